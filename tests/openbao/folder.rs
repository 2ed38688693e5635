//! Entries of a real OpenBao, and the client that the store asks them with.

use std::sync::{
    LazyLock,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use devcluster::{BaoClient, OpenBao as Server, OpenBaoOptions};
use serde_json::{Value as Json, json};
use spacesync::{
    secret::{Entry, Format, Snapshot},
    store::{
        Head, StoreError,
        openbao::{Credential, Limits, Observer, OpenBao, Settings},
    },
};

pub static SHARED: LazyLock<Server> = LazyLock::new(|| Server::start(OpenBaoOptions::default()).unwrap());

/// A folder of the shared server that no other test uses.
pub struct Folder {
    pub prefix: String,
}

impl Folder {
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self { prefix: format!("folder-{}/", NEXT.fetch_add(1, Relaxed)) }
    }

    pub fn settings(&self) -> Settings {
        Settings { path_prefix: self.prefix.clone(), ..settings(&SHARED, SHARED.root_token()) }
    }

    pub fn client(&self) -> OpenBao {
        OpenBao::new(&self.settings()).unwrap()
    }

    pub fn client_with_policy(&self, policy: &str) -> OpenBao {
        let token = SHARED.token_with_policy(&policy.replace("FOLDER/", &self.prefix)).unwrap();
        OpenBao::new(&Settings { credential: credential(&token), ..self.settings() }).unwrap()
    }

    /// A token whose policy can be amended.
    pub fn policy(&self, policy: &str) -> Policy {
        let name = self.prefix.trim_end_matches('/').to_owned();
        let new = Policy { name, prefix: self.prefix.clone(), token: String::new() };
        new.becomes(policy);
        let wanted = json!({"policies": [new.name], "no_parent": true}).to_string();
        let answer = SHARED.request("POST", "auth/token/create", Some(&wanted)).unwrap();
        Policy { token: answer["auth"]["client_token"].as_str().unwrap().to_owned(), ..new }
    }

    pub fn path(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }

    /// The same as a URL has it.
    pub fn encoded(&self, path: &str) -> String {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
        let encode = |byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
        self.path(path).bytes().map(encode).collect()
    }

    pub fn put(&self, path: &str, data: Json) -> u64 {
        SHARED.put(&self.encoded(path), data).unwrap()
    }

    /// What was asked of this folder so far and contains `part`.
    pub fn asked(&self, part: &str) -> usize {
        let requests = SHARED.requests().unwrap();
        requests.iter().filter(|(_, path)| path.contains(&self.prefix) && path.contains(part)).count()
    }
}

/// What a token may do, and the token.
pub struct Policy {
    name: String,
    prefix: String,
    pub token: String,
}

impl Policy {
    pub fn becomes(&self, policy: &str) {
        // An empty policy is refused.
        let policy = format!("path \"elsewhere\" {{ capabilities = [\"read\"] }}\n{policy}");
        let body = json!({"policy": policy.replace("FOLDER/", &self.prefix)}).to_string();
        SHARED.request("PUT", &format!("sys/policies/acl/{}", self.name), Some(&body)).unwrap();
    }
}

pub fn settings(server: &BaoClient, token: &str) -> Settings {
    Settings {
        address: server.url().to_owned(),
        namespace: None,
        mount: "secret".to_owned(),
        path_prefix: String::new(),
        ca_pem: server.ca_pem().map(|pem| pem.as_bytes().to_vec()),
        credential: credential(token),
        limits: Limits { per_second: 10_000, ..Limits::default() },
        observer: Observer::default(),
    }
}

pub fn credential(token: &str) -> Credential {
    Credential::Token(token.to_owned().into())
}

pub fn root(server: &BaoClient) -> OpenBao {
    OpenBao::new(&settings(server, server.root_token())).unwrap()
}

pub fn paths(list: &[&str]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

/// Of one entry, as bulk tells it; another is asked for too, since one alone is not listed.
pub async fn head_in_bulk(client: &OpenBao, path: &str) -> Result<Head, StoreError> {
    let mut heads = client.heads(&paths(&[path, "another"])).await.unwrap();
    assert!(client.bulk());
    heads.remove(path).unwrap()
}

pub fn shows(snapshot: &Snapshot, key: &str, format: Format, value: &str) -> bool {
    let Entry { format: found, value: bytes } = &snapshot.entries[key];
    *found == format && bytes.expose() == value.as_bytes()
}

pub const READ_HEADS: &str = r#"path "secret/metadata/FOLDER/*" { capabilities = ["read"] }"#;
pub const LIST_HEADS: &str = r#"path "secret/detailed-metadata/FOLDER/*" { capabilities = ["list"] }"#;
pub const READ_VALUES: &str = r#"path "secret/data/FOLDER/*" { capabilities = ["read"] }"#;
