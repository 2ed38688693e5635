//! The store on a real OpenBao. What it asked is counted in the server's own audit log.

use std::{
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use devcluster::{BaoClient, OpenBao as Server, OpenBaoOptions, Storage};
use serde_json::{Value as Json, json};
use spacesync::{
    secret::{Entry, Format, Snapshot},
    store::{
        Head, Heads, StoreError,
        openbao::{Credential, Limits, OpenBao, Settings},
    },
};

static SHARED: LazyLock<Server> = LazyLock::new(|| Server::start(OpenBaoOptions::default()).unwrap());

/// A folder of the shared server that no other test uses.
struct Folder {
    prefix: String,
}

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self { prefix: format!("folder-{}/", NEXT.fetch_add(1, Relaxed)) }
    }

    fn settings(&self) -> Settings {
        Settings { path_prefix: self.prefix.clone(), ..settings(&SHARED, SHARED.root_token()) }
    }

    fn client(&self) -> OpenBao {
        OpenBao::new(&self.settings()).unwrap()
    }

    fn client_with_policy(&self, policy: &str) -> OpenBao {
        let token = SHARED.token_with_policy(&policy.replace("FOLDER/", &self.prefix)).unwrap();
        OpenBao::new(&Settings { credential: credential(&token), ..self.settings() }).unwrap()
    }

    fn path(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }

    /// The same as a URL has it.
    fn encoded(&self, path: &str) -> String {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
        let encode = |byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
        self.path(path).bytes().map(encode).collect()
    }

    fn put(&self, path: &str, data: Json) -> u64 {
        SHARED.put(&self.encoded(path), data).unwrap()
    }

    /// What was asked of this folder so far and contains `part`.
    fn asked(&self, part: &str) -> usize {
        let requests = SHARED.requests().unwrap();
        requests.iter().filter(|(_, path)| path.contains(&self.prefix) && path.contains(part)).count()
    }
}

fn settings(server: &BaoClient, token: &str) -> Settings {
    Settings {
        address: server.url().to_owned(),
        mount: "secret".to_owned(),
        path_prefix: String::new(),
        ca_pem: server.ca_pem().map(|pem| pem.as_bytes().to_vec()),
        credential: credential(token),
        limits: Limits { per_second: 10_000, ..Limits::default() },
    }
}

fn credential(token: &str) -> Credential {
    Credential::Token(token.to_owned().into())
}

fn root(server: &BaoClient) -> OpenBao {
    OpenBao::new(&settings(server, server.root_token())).unwrap()
}

fn paths(list: &[&str]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

/// Of one entry, as bulk tells it; another is asked for too, since one alone is not listed.
async fn head_in_bulk(client: &OpenBao, path: &str) -> Result<Head, StoreError> {
    let mut heads = client.heads(&paths(&[path, "another"])).await.unwrap();
    assert!(client.bulk());
    heads.remove(path).unwrap()
}

fn shows(snapshot: &Snapshot, key: &str, format: Format, value: &str) -> bool {
    let Entry { format: found, value: bytes } = &snapshot.entries[key];
    *found == format && bytes.expose() == value.as_bytes()
}

const READ_HEADS: &str = r#"path "secret/metadata/FOLDER/*" { capabilities = ["read"] }"#;
const LIST_HEADS: &str = r#"path "secret/detailed-metadata/FOLDER/*" { capabilities = ["list"] }"#;
const READ_VALUES: &str = r#"path "secret/data/FOLDER/*" { capabilities = ["read"] }"#;

#[tokio::test]
async fn text_comes_as_it_was_written() {
    let folder = Folder::new();
    let large = "0123456789abcdef".repeat(32 * 1024);
    let texts = [
        ("PLAIN", "s3cr3t"),
        ("EMPTY", ""),
        ("SPACES", "  both ends \t"),
        ("LINES", "-----BEGIN KEY-----\nabc\r\ndef\n-----END KEY-----\n"),
        ("UNICODE", "Zürich 東京 🗝\u{fe0f} e\u{301} \u{202e}x"),
        ("ESCAPES", "\"\\/\u{8}\u{c}\u{0}\u{7f}<>&\u{2028}"),
        ("LOOKS_LIKE_JSON", "{\"a\": 1}"),
        ("LARGE", large.as_str()),
        ("a key/with ünusual \"name\"", "1"),
    ];
    folder.put("a", texts.iter().map(|(key, text)| ((*key).to_owned(), json!(text))).collect());
    let snapshot = folder.client().read("a").await.unwrap();
    assert_eq!(snapshot.entries.len(), texts.len());
    for (key, text) in texts {
        assert!(shows(&snapshot, key, Format::Text, text), "{key}");
    }
}

#[tokio::test]
async fn json_comes_byte_for_byte_as_the_store_returns_it() {
    let folder = Folder::new();
    let data = r#"{"O": {"b": 1, "a": [1, {"x": "<é>"}]}, "N": 1.50, "BIG": 12345678901234567890123, "T": true, "NO": null,
        "L": [], "E": {}}"#;
    SHARED.put_raw(&folder.path("a"), data).unwrap();
    let snapshot = folder.client().read("a").await.unwrap();
    // The server sorts keys, rounds numbers and escapes; what it makes of them is what is kept.
    let expected = [
        ("O", r#"{"a":[1,{"x":"\u003cé\u003e"}],"b":1}"#),
        ("N", "1.5"),
        ("BIG", "1.2345678901234568e+22"),
        ("T", "true"),
        ("NO", "null"),
        ("L", "[]"),
        ("E", "{}"),
    ];
    for (key, raw) in expected {
        let found = String::from_utf8_lossy(snapshot.entries[key].value.expose()).into_owned();
        assert!(shows(&snapshot, key, Format::Json, raw), "{key}: {found}");
    }
}

#[tokio::test]
async fn an_entry_without_keys_is_an_entry() {
    let folder = Folder::new();
    folder.put("a", json!({}));
    assert!(folder.client().read("a").await.unwrap().entries.is_empty());
}

#[tokio::test]
async fn a_snapshot_tells_its_version_and_times() {
    let (folder, start) = (Folder::new(), jiff::Timestamp::now());
    let client = folder.client();
    folder.put("a", json!({"K": "1"}));
    let first = client.read("a").await.unwrap();
    folder.put("a", json!({"K": "2"}));
    let second = client.read("a").await.unwrap();
    assert_eq!((first.version, second.version), (1, 2));
    assert_eq!((first.created, first.updated), (second.created, first.created));
    assert!(start < second.created && second.created < second.updated && second.updated < second.issued);
    assert_eq!(second.head, client.head("a").await.unwrap());
    // "Updated at" is when the secrets have been changed, and this changes none.
    let metadata = format!("secret/metadata/{}", folder.path("a"));
    SHARED.request("POST", &metadata, Some(r#"{"custom_metadata":{"owner":"x"}}"#)).unwrap();
    let touched = client.read("a").await.unwrap();
    assert_eq!((touched.version, touched.updated), (2, second.updated));
    assert_ne!(touched.head, second.head);
}

#[tokio::test]
async fn every_change_moves_the_head_and_bulk_tells_the_same() {
    let folder = Folder::new();
    let (client, path) = (folder.client(), folder.path("a"));
    folder.put("another", json!({}));
    let mut before = None;
    let steps: [(&str, &dyn Fn(), u64, bool); 8] = [
        (
            "write",
            &|| {
                folder.put("a", json!({"K": "1"}));
            },
            1,
            false,
        ),
        (
            "write again",
            &|| {
                folder.put("a", json!({"K": "1"}));
            },
            2,
            false,
        ),
        ("soft delete", &|| SHARED.delete(&path).unwrap(), 2, true),
        ("undelete", &|| SHARED.undelete(&path, &[2]).unwrap(), 2, false),
        ("destroy", &|| SHARED.destroy(&path, &[2]).unwrap(), 2, true),
        (
            "write over it",
            &|| {
                folder.put("a", json!({"K": "1"}));
            },
            3,
            false,
        ),
        (
            "metadata delete and write",
            &|| {
                SHARED.delete_metadata(&path).unwrap();
                folder.put("a", json!({"K": "1"}));
            },
            1,
            false,
        ),
        (
            "roll back by a write",
            &|| {
                folder.put("a", json!({"K": "0"}));
            },
            2,
            false,
        ),
    ];
    for (step, act, version, gone) in steps {
        act();
        let head = client.head("a").await.unwrap();
        assert_eq!((head.version, head.is_gone()), (Some(version), gone), "{step}");
        assert_eq!(head_in_bulk(&client, "a").await.as_ref(), Ok(&head), "{step}");
        assert_eq!(client.head("a").await.as_ref(), Ok(&head), "{step}: and stays");
        assert_ne!(before.replace(head.clone()), Some(head), "{step}");
        let read = client.read("a").await;
        assert_eq!(read.is_ok(), !gone, "{step}");
    }
}

#[tokio::test]
async fn undeleting_brings_the_very_same_head_back() {
    let folder = Folder::new();
    let client = folder.client();
    folder.put("a", json!({"K": "1"}));
    let before = client.head("a").await.unwrap();
    SHARED.delete(&folder.path("a")).unwrap();
    assert_ne!(client.head("a").await.unwrap(), before);
    SHARED.undelete(&folder.path("a"), &[1]).unwrap();
    assert_eq!(client.head("a").await.unwrap(), before);
}

#[tokio::test]
async fn what_cannot_be_read_is_told_apart() {
    let folder = Folder::new();
    let client = folder.client();
    let name = |path: &str| format!("secret/{}", folder.path(path));
    for path in ["deleted", "destroyed"] {
        folder.put(path, json!({"K": "hunter2"}));
    }
    SHARED.delete(&folder.path("deleted")).unwrap();
    SHARED.destroy(&folder.path("destroyed"), &[1]).unwrap();
    SHARED.request("POST", &format!("secret/metadata/{}", folder.path("bare")), Some("{}")).unwrap();
    for path in ["deleted", "destroyed"] {
        assert_eq!(client.read(path).await, Err(StoreError::Deleted(name(path))));
        assert!(client.head(path).await.unwrap().is_gone());
    }
    for path in ["missing", "bare", "missing/deeper", "odd ?#%é"] {
        assert_eq!(client.read(path).await, Err(StoreError::NotFound(name(path))), "{path}");
        assert_eq!(client.head(path).await, Err(StoreError::NotFound(name(path))), "{path}");
        assert_eq!(head_in_bulk(&client, path).await, Err(StoreError::NotFound(name(path))), "{path}");
    }
}

#[tokio::test]
async fn a_version_that_deletes_itself_is_there_until_then() {
    let folder = Folder::new();
    let client = folder.client();
    let metadata = format!("secret/metadata/{}", folder.path("a"));
    SHARED.request("POST", &metadata, Some(r#"{"delete_version_after":"1s"}"#)).unwrap();
    folder.put("a", json!({"K": "1"}));
    folder.put("another", json!({"K": "1"}));
    let head = client.head("a").await.unwrap();
    assert!(!head.is_gone());
    assert_eq!(head_in_bulk(&client, "a").await, Ok(head.clone()));
    assert_eq!(client.read("a").await.unwrap().head, head);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let after = client.head("a").await.unwrap();
    assert!(after.is_gone());
    assert_eq!(head_in_bulk(&client, "a").await, Ok(after));
    assert!(matches!(client.read("a").await, Err(StoreError::Deleted(_))));
}

#[tokio::test]
async fn fifty_heads_are_one_request_and_no_value_is_read() {
    let folder = Folder::new();
    let client = folder.client();
    let names: Vec<String> = (0..50).map(|n| format!("space-{n:02}")).collect();
    for name in &names {
        folder.put(name, json!({"K": "1"}));
    }
    let written = folder.asked("");
    let heads = client.heads(&names).await.unwrap();
    assert!(names.iter().all(|name| heads[name].as_ref().unwrap().version == Some(1)));
    assert_eq!(folder.asked("") - written, 1);
    assert_eq!(folder.asked("/detailed-metadata/"), 1);
    for _ in 0..3 {
        assert_eq!(client.heads(&names).await.unwrap(), heads);
    }
    assert_eq!(folder.asked("") - written, 4);
}

#[tokio::test]
async fn one_head_alone_is_asked_for_alone() {
    let folder = Folder::new();
    for name in ["a", "b", "c"] {
        folder.put(name, json!({}));
    }
    let heads = folder.client().heads(&paths(&["a"])).await.unwrap();
    assert!(heads["a"].is_ok() && heads.len() == 1);
    assert_eq!((folder.asked("/detailed-metadata/"), folder.asked("/metadata/")), (0, 1));
}

#[tokio::test]
async fn over_a_thousand_heads_come_in_pages() {
    let folder = Folder::new();
    let client = folder.client();
    let names: Vec<String> = (0..1205).map(|n| format!("s{n}")).collect();
    for name in &names {
        folder.put(name, json!({}));
    }
    let start = Instant::now();
    let heads = client.heads(&names).await.unwrap();
    println!("{} heads in {:?}", heads.len(), start.elapsed());
    assert!(heads.len() == 1205 && heads.values().all(Result::is_ok));
    assert_eq!(folder.asked("/detailed-metadata/"), 2);
    assert_eq!(folder.asked("/metadata/"), 0);
    // Few of many: one page, then each by itself rather than the whole folder.
    let heads = client.heads(&paths(&["s0", "s1204", "s999"])).await.unwrap();
    assert!(heads.len() == 3 && heads.values().all(Result::is_ok));
    assert_eq!(folder.asked("/detailed-metadata/"), 3);
}

#[tokio::test]
async fn paths_with_slashes_are_listed_folder_by_folder() {
    let folder = Folder::new();
    let client = folder.client();
    let names =
        paths(&["a", "b", "teams/x", "teams/y", "teams/deep/er/z", "teams", "odd ?#%é/one two", "odd ?#%é/+&="]);
    for (name, version) in names.iter().zip(1..) {
        for _ in 0..version {
            folder.put(name, json!({}));
        }
    }
    let heads = client.heads(&names).await.unwrap();
    for (name, version) in names.iter().zip(1..) {
        assert_eq!(heads[name].as_ref().unwrap().version, Some(version), "{name}");
        assert_eq!(heads[name], client.head(name).await, "{name}");
        assert_eq!(client.read(name).await.unwrap().version, version, "{name}");
    }
    assert_eq!(folder.asked("/detailed-metadata/"), 3);
}

#[tokio::test]
async fn where_a_policy_forbids_to_list_each_head_is_asked_for() {
    let folder = Folder::new();
    let client = folder.client_with_policy(READ_HEADS);
    let names = paths(&["a", "b", "c", "missing"]);
    for name in &names[..3] {
        folder.put(name, json!({}));
    }
    for _ in 0..2 {
        let heads: Heads = client.heads(&names).await.unwrap();
        assert!(names[..3].iter().all(|name| heads[name].is_ok()));
        assert!(matches!(heads["missing"], Err(StoreError::NotFound(_))));
    }
    assert!(!client.bulk());
    assert_eq!((folder.asked("/detailed-metadata/"), folder.asked("/metadata/")), (1, 8));
}

#[tokio::test]
async fn heads_need_no_right_to_read_values() {
    let folder = Folder::new();
    let client = folder.client_with_policy(&[READ_HEADS, LIST_HEADS].join("\n"));
    folder.put("a", json!({"K": "1"}));
    folder.put("b", json!({"K": "1"}));
    assert!(client.heads(&paths(&["a", "b"])).await.unwrap().values().all(Result::is_ok));
    let denied = format!("the token's policies do not allow to read secret/data/{}", folder.path("a"));
    assert_eq!(client.read("a").await, Err(StoreError::Forbidden(denied)));
    let reader = folder.client_with_policy(&[READ_HEADS, READ_VALUES].join("\n"));
    assert!(reader.read("a").await.is_ok());
}

#[tokio::test]
async fn a_bad_token_is_told_from_a_policys_denial() {
    let folder = Folder::new();
    folder.put("a", json!({"K": "1"}));
    folder.put("b", json!({"K": "1"}));
    let with = |token: &str| OpenBao::new(&Settings { credential: credential(token), ..folder.settings() }).unwrap();
    let unauthorized = StoreError::Unauthorized("the token is unknown, revoked or expired".into());
    let bad = with("s.nonsense");
    assert_eq!(bad.head("a").await, Err(unauthorized.clone()));
    assert_eq!(bad.heads(&paths(&["a", "b"])).await, Err(unauthorized.clone()));
    assert!(bad.bulk());
    // Both kinds of good token: one that may look itself up by the default policy, and one that may do nothing at all.
    let request = r#"{"policies":["default"],"no_parent":true}"#;
    let answer = SHARED.request("POST", "auth/token/create", Some(request)).unwrap();
    let default = with(answer["auth"]["client_token"].as_str().unwrap());
    let nothing = folder.client_with_policy(r#"path "elsewhere" { capabilities = ["read"] }"#);
    for client in [default, nothing] {
        assert!(matches!(client.head("a").await, Err(StoreError::Forbidden(_))));
        let heads = client.heads(&paths(&["a", "b"])).await.unwrap();
        assert!(heads.values().all(|head| matches!(head, Err(StoreError::Forbidden(_)))));
    }
    let token = SHARED.token_with_policy(&READ_HEADS.replace("FOLDER/", &folder.prefix)).unwrap();
    let revoked = with(&format!("{token}\n"));
    assert!(revoked.head("a").await.is_ok());
    SHARED.revoke(&token).unwrap();
    assert_eq!(revoked.head("a").await, Err(unauthorized));
}

#[tokio::test]
async fn a_mount_that_is_none_or_another_engines_is_not_taken_for_missing_entries() {
    SHARED.request("POST", "sys/mounts/old", Some(r#"{"type":"kv","options":{"version":"1"}}"#)).unwrap();
    SHARED.request("POST", "old/a", Some(r#"{"K":"1"}"#)).unwrap();
    SHARED.request("POST", "sys/mounts/keys", Some(r#"{"type":"transit"}"#)).unwrap();
    for mount in ["old", "keys", "nowhere"] {
        let client = OpenBao::new(&Settings { mount: mount.to_owned(), ..Folder::new().settings() }).unwrap();
        let wrong = StoreError::Config(format!("no KV version 2 engine is mounted at {mount}"));
        assert_eq!(client.head("a").await, Err(wrong.clone()));
        assert_eq!(client.read("a").await, Err(wrong.clone()));
        assert_eq!(client.heads(&paths(&["a", "b"])).await, Err(wrong));
    }
}

#[tokio::test]
async fn a_servers_own_quota_is_a_rate_limit() {
    let server = Server::start(OpenBaoOptions::default()).unwrap();
    server.put("a", json!({})).unwrap();
    server.request("POST", "sys/quotas/rate-limit/q", Some(r#"{"path":"secret/","rate":1,"interval":"60s"}"#)).unwrap();
    let client = root(&server);
    assert!(client.head("a").await.is_ok());
    assert!(matches!(client.head("a").await, Err(StoreError::RateLimited { .. })));
}

#[tokio::test]
async fn a_sealed_server_says_so_and_goes_on_when_it_is_unsealed() {
    let server = Server::start(OpenBaoOptions::default()).unwrap();
    server.put("a", json!({"K": "1"})).unwrap();
    server.put("b", json!({"K": "1"})).unwrap();
    let client = root(&server);
    let before = client.head("a").await.unwrap();
    server.seal().unwrap();
    assert_eq!(client.head("a").await, Err(StoreError::Sealed));
    assert_eq!(client.read("a").await, Err(StoreError::Sealed));
    assert_eq!(client.heads(&paths(&["a", "b"])).await, Err(StoreError::Sealed));
    server.unseal().unwrap();
    heals(&client).await;
    assert_eq!(client.head("a").await, Ok(before));
}

#[tokio::test]
async fn a_stopped_server_cannot_be_reached_and_the_same_client_goes_on_when_it_is_back() {
    let mut server = Server::start(OpenBaoOptions { storage: Storage::Raft, ..OpenBaoOptions::default() }).unwrap();
    server.put("a", json!({"K": "1"})).unwrap();
    let client = root(&server);
    let before = client.head("a").await.unwrap();
    server.stop();
    for _ in 0..3 {
        assert_eq!(client.head("a").await, Err(StoreError::Unreachable("connection refused".into())));
    }
    server.start_again().unwrap();
    heals(&client).await;
    assert_eq!(client.head("a").await, Ok(before));
}

#[tokio::test]
async fn a_suspended_server_is_given_up_at_the_deadline() {
    let server = Server::start(OpenBaoOptions::default()).unwrap();
    server.put("a", json!({"K": "1"})).unwrap();
    let mut settings = settings(&server, server.root_token());
    settings.limits.whole = Duration::from_millis(200);
    let client = OpenBao::new(&settings).unwrap();
    assert!(client.read("a").await.is_ok());
    server.suspend().unwrap();
    // The signal is sent, but not every thread of the server has stopped yet.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let start = Instant::now();
    assert_eq!(client.read("a").await, Err(StoreError::TimedOut));
    assert_eq!(client.heads(&paths(&["a", "b"])).await, Err(StoreError::TimedOut));
    assert!(start.elapsed() < Duration::from_secs(1));
    server.resume().unwrap();
    heals(&client).await;
    assert!(client.read("a").await.is_ok());
}

async fn heals(client: &OpenBao) {
    let start = Instant::now();
    while client.head("a").await.is_err() {
        assert!(start.elapsed() < Duration::from_secs(10), "it does not heal: {:?}", client.head("a").await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn tls_is_trusted_with_the_right_ca_only() {
    let server = Server::start(OpenBaoOptions { tls: true, ..OpenBaoOptions::default() }).unwrap();
    server.put("a", json!({"K": "1"})).unwrap();
    let right = settings(&server, server.root_token());
    assert!(OpenBao::new(&right).unwrap().read("a").await.is_ok());
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap().cert.pem();
    let tls_error = |settings: Settings| async move { OpenBao::new(&settings).unwrap().head("a").await.unwrap_err() };
    let untrusted = StoreError::Tls("the issuer of its certificate is not trusted; set caBundle".into());
    assert_eq!(tls_error(Settings { ca_pem: Some(other.into()), ..right.clone() }).await, untrusted);
    // Without a CA the system's are trusted, which this is not among; a system without any says so.
    match OpenBao::new(&Settings { ca_pem: None, ..right.clone() }) {
        Ok(client) => assert_eq!(client.head("a").await, Err(untrusted)),
        Err(error) => {
            assert_eq!(error, StoreError::Config("the system has no trusted certificates; set caBundle".into()));
        }
    }
    let plain = right.address.replace("https://", "http://");
    assert_eq!(tls_error(Settings { address: plain, ..right.clone() }).await, StoreError::Server(400));
    let tls_at_a_plain_one = SHARED.url().replace("http://", "https://");
    let error = tls_error(Settings { address: tls_at_a_plain_one, ..right }).await;
    assert_eq!(error, StoreError::Tls("it does not speak TLS at this port".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_under_writes_never_mix_two_versions() {
    let folder = Arc::new(Folder::new());
    folder.put("a", json!({"N": 1}));
    let shared = Arc::clone(&folder);
    let writes = thread::spawn(move || {
        for n in 2..=300 {
            assert_eq!(shared.put("a", json!({"N": n})), n);
        }
    });
    let client = folder.client();
    let (mut reads, mut last) = (0, 0);
    while !writes.is_finished() {
        match client.read("a").await {
            Ok(snapshot) => {
                assert!(shows(&snapshot, "N", Format::Json, &snapshot.version.to_string()));
                assert_eq!(snapshot.head.version, Some(snapshot.version));
                assert_eq!(snapshot.head.updated, Some(snapshot.updated.into()));
                assert!(snapshot.version >= last);
                (reads, last) = (reads + 1, snapshot.version);
            }
            Err(error) => {
                let expected = StoreError::Malformed("its head and its values are of different versions".into());
                assert_eq!(error, expected);
            }
        }
    }
    writes.join().unwrap();
    println!("{reads} reads during 300 writes, {:?}", client.requests());
    assert!(reads > 10);
    assert_eq!(client.read("a").await.unwrap().version, 300);
}
