//! What no real server can be made to do, from one that says whatever it is told to.

use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Instant,
};

use super::*;

/// Answers each request by its path and query with bytes as they are, then closes the connection.
struct Canned {
    address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Canned {
    fn new(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, answer) = (Arc::clone(&requests), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                thread::spawn(move || serve(stream, &seen, &*answer));
            }
        });
        Self { address, requests }
    }

    fn always(answer: Vec<u8>) -> Self {
        Self::new(move |_| answer.clone())
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// With time enough for a busy machine: what is tested by it is not how fast this server writes.
    fn client(&self) -> OpenBao {
        self.client_with(Limits { whole: Duration::from_mins(1), ..Limits::default() })
    }

    fn client_with(&self, limits: Limits) -> OpenBao {
        OpenBao::new(&Settings { limits, ..settings(&self.address) }).unwrap()
    }
}

fn serve(mut stream: TcpStream, seen: &Mutex<Vec<String>>, answer: &dyn Fn(&str) -> Vec<u8>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let Some(first) = lines.next() else { return };
    for line in lines {
        if line.is_empty() {
            break;
        }
    }
    let path = first.split(' ').nth(1).unwrap().to_owned();
    seen.lock().unwrap().push(path.clone());
    let _ = stream.write_all(&answer(&path));
}

fn settings(address: &str) -> Settings {
    Settings {
        address: address.to_owned(),
        namespace: None,
        mount: "secret".to_owned(),
        path_prefix: "spaces/".to_owned(),
        ca_pem: None,
        credential: Credential::Token("canary-token".to_owned().into()),
        limits: Limits::default(),
        observer: Observer::default(),
    }
}

fn answer(status: u16, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}").into_bytes()
}

fn metadata(version: u64, made: &str) -> String {
    format!(
        r#"{{"data":{{"created_time":"2026-01-01T00:00:00Z","updated_time":"{made}","current_version":{version},
        "versions":{{"{version}":{{"created_time":"{made}","deletion_time":"","destroyed":false}}}}}}}}"#
    )
}

fn data(version: u64, made: &str) -> String {
    format!(r#"{{"data":{{"data":{{"K":"v{version}"}},"metadata":{{"version":{version},"created_time":"{made}"}}}}}}"#)
}

const FIRST: &str = "2026-01-01T00:00:00Z";
const SECOND: &str = "2026-01-02T00:00:00Z";
const UNKNOWN_PATH: &str = r#"{"data":null,"warnings":["Invalid path for a versioned K/V secrets engine."]}"#;

async fn error(answer: Vec<u8>) -> StoreError {
    Canned::always(answer).client().read("a").await.unwrap_err()
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("s{n:02}")).collect()
}

#[tokio::test]
async fn a_server_that_limits_its_rate_is_left_alone_for_as_long_as_it_says() {
    for (header, seconds) in [("Retry-After: 7\r\n", 7), ("", 1), ("Retry-After: 99999\r\n", 15 * 60)] {
        let server = Canned::always(answer(429, header, ""));
        let client = server.client();
        assert_eq!(client.pause(), None);
        for _ in 0..3 {
            assert_eq!(client.head("a").await, Err(StoreError::RateLimited), "{header}");
        }
        assert_eq!(server.requests().len(), 1, "{header}");
        let pause = client.pause().unwrap();
        assert!(
            pause <= Duration::from_secs(seconds) && pause > Duration::from_secs(seconds) / 2,
            "{header}: {pause:?}"
        );
    }
}

#[tokio::test]
async fn after_the_pause_it_is_asked_again() {
    let seen = AtomicU64::new(0);
    let server = Canned::new(move |_| match seen.fetch_add(1, Relaxed) {
        0 => answer(429, "", ""),
        _ => answer(200, "", &metadata(1, FIRST)),
    });
    let client = server.client();
    assert_eq!(client.head("a").await, Err(StoreError::RateLimited));
    tokio::time::sleep(client.pause().unwrap()).await;
    assert!(client.head("a").await.is_ok());
}

#[tokio::test]
async fn half_a_body_is_an_answer_that_ended_early() {
    let whole = data(1, FIRST);
    let half = &whole[..whole.len() / 2];
    let length = whole.len();
    let promised = format!("HTTP/1.1 200 X\r\nContent-Length: {length}\r\n\r\n{half}").into_bytes();
    assert_eq!(error(promised).await, StoreError::Truncated);
    let chunked = format!("HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{half}\r\n", half.len());
    assert_eq!(error(chunked.into_bytes()).await, StoreError::Truncated);
    assert_eq!(error(answer(200, "", half)).await, StoreError::Truncated);
}

#[tokio::test]
async fn no_answer_at_all_is_a_closed_connection() {
    assert_eq!(error(Vec::new()).await, StoreError::Unreachable("connection closed".into()));
    assert_eq!(error(b"hunter2".to_vec()).await, StoreError::Unreachable("connection closed".into()));
}

#[tokio::test]
async fn garbage_is_told_by_its_place_and_never_by_its_text() {
    for body in ["hunter2", r#"{"data":{"data":{"K":hunter2}}}"#, "<html>hunter2</html>"] {
        let error = error(answer(200, "", body)).await;
        assert!(matches!(error, StoreError::Malformed(_)), "{error:?}");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }
}

#[tokio::test]
async fn a_proxys_404_does_not_mean_that_the_entry_is_gone() {
    let proxy = Canned::always(answer(404, "", "<html>404 Not Found</html>"));
    let client = proxy.client();
    assert_eq!(client.head("a").await, Err(StoreError::Server(404)));
    assert_eq!(client.read("a").await, Err(StoreError::Server(404)));
    let heads = client.heads(&names(3)).await;
    assert_eq!(heads, Err(StoreError::Server(404)));
}

#[tokio::test]
async fn an_answer_over_the_limit_is_refused_before_it_is_held() {
    let announced = b"HTTP/1.1 200 X\r\nContent-Length: 99999999999\r\n\r\n".to_vec();
    assert_eq!(error(announced).await, StoreError::TooLarge(wire::MAX_BODY));
    let endless = format!("HTTP/1.1 200 X\r\n\r\n{}", " ".repeat(wire::MAX_BODY + 1));
    assert_eq!(error(endless.into_bytes()).await, StoreError::TooLarge(wire::MAX_BODY));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Canned::always(answer(200, "", &metadata(1, FIRST)));
    let location = format!("Location: {}/x\r\n", elsewhere.address);
    assert_eq!(error(answer(307, &location, "")).await, StoreError::Server(307));
    assert!(elsewhere.requests().is_empty());
}

#[tokio::test]
async fn a_slow_answer_is_given_up_at_the_deadline() {
    let slow = Canned::new(|_| {
        thread::sleep(Duration::from_secs(2));
        answer(200, "", &metadata(1, FIRST))
    });
    let client = slow.client_with(Limits { whole: Duration::from_millis(100), ..Limits::default() });
    let start = Instant::now();
    assert_eq!(client.head("a").await, Err(StoreError::TimedOut));
    assert!(start.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_in_the_same_words_each_time() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let client = OpenBao::new(&settings(&format!("http://{free}"))).unwrap();
    for _ in 0..2 {
        assert_eq!(client.head("a").await, Err(StoreError::Unreachable("connection refused".into())));
    }
    let nowhere = OpenBao::new(&settings("http://spacesync.invalid:8200")).unwrap();
    assert_eq!(nowhere.head("a").await, Err(StoreError::UnknownHost));
}

#[tokio::test]
async fn a_503_of_a_server_that_is_not_sealed_is_only_that() {
    assert_eq!(error(answer(503, "", "hunter2")).await, StoreError::Server(503));
}

#[tokio::test]
async fn a_read_that_met_a_write_describes_exactly_what_it_read() {
    // The first head is of before the write, the values are of after it.
    let seen = AtomicU64::new(0);
    let server = Canned::new(move |path| match path {
        "/v1/secret/data/spaces/a" => answer(200, "", &data(2, SECOND)),
        _ if seen.fetch_add(1, Relaxed) == 0 => answer(200, "", &metadata(1, FIRST)),
        _ => answer(200, "", &metadata(2, SECOND)),
    });
    let client = server.client();
    let snapshot = client.read("a").await.unwrap();
    assert_eq!((snapshot.version, snapshot.head.version), (2, Some(2)));
    assert_eq!(snapshot.updated, SECOND.parse().unwrap());
    assert_eq!(client.requests(), Requests { heads: 2, pages: 0, reads: 1 });
}

#[tokio::test]
async fn an_entry_made_anew_under_a_read_is_not_mistaken_for_the_old_one() {
    // Both are version 1, and only the time tells them apart.
    let seen = AtomicU64::new(0);
    let server = Canned::new(move |path| match path {
        "/v1/secret/metadata/spaces/a" => answer(200, "", &metadata(1, SECOND)),
        _ if seen.fetch_add(1, Relaxed) == 0 => answer(200, "", &data(1, FIRST)),
        _ => answer(200, "", &data(1, SECOND)),
    });
    let client = server.client();
    assert_eq!(client.read("a").await.unwrap().updated, SECOND.parse().unwrap());
    assert_eq!(client.requests().reads, 2);
}

#[tokio::test]
async fn a_read_that_never_agrees_with_its_head_ends() {
    let server = Canned::new(|path| {
        answer(200, "", &if path.contains("/data/") { data(1, FIRST) } else { metadata(2, SECOND) })
    });
    let error = server.client().read("a").await.unwrap_err();
    assert_eq!(error, StoreError::Malformed("its head and its values are of different versions".into()));
}

#[tokio::test]
async fn a_vault_that_cannot_list_is_asked_for_each_head_and_never_to_list_again() {
    for refusal in [answer(404, "", UNKNOWN_PATH), answer(405, "", ""), answer(404, "", r#"{"errors":[]}"#)] {
        let server = Canned::new(move |path| {
            if path.contains("detailed-metadata") { refusal.clone() } else { answer(200, "", &metadata(3, FIRST)) }
        });
        let client = server.client();
        assert!(client.bulk());
        for _ in 0..2 {
            let heads = client.heads(&names(10)).await.unwrap();
            assert!(heads.len() == 10 && heads.values().all(|head| head.as_ref().unwrap().version == Some(3)));
        }
        assert!(!client.bulk());
        assert_eq!(client.requests(), Requests { heads: 20, pages: 1, reads: 0 });
    }
}

#[tokio::test]
async fn heads_one_by_one_take_half_of_the_connections_and_leave_the_rest_to_reads() {
    let now = Arc::new((AtomicU64::new(0), AtomicU64::new(0)));
    let counts = Arc::clone(&now);
    let server = Canned::new(move |path| {
        if path.contains("detailed-metadata") {
            return answer(404, "", UNKNOWN_PATH);
        }
        let open = counts.0.fetch_add(1, Relaxed) + 1;
        counts.1.fetch_max(open, Relaxed);
        thread::sleep(Duration::from_millis(20));
        counts.0.fetch_sub(1, Relaxed);
        answer(200, "", &metadata(1, FIRST))
    });
    let client = server.client_with(Limits { concurrency: 8, per_second: 10_000, ..Limits::default() });
    client.heads(&names(40)).await.unwrap();
    assert_eq!(now.1.load(Relaxed), 4);
}

#[tokio::test]
async fn a_server_is_asked_no_faster_than_it_may_be() {
    let server = Canned::new(|path| {
        if path.contains("detailed-metadata") { answer(405, "", "") } else { answer(200, "", &metadata(1, FIRST)) }
    });
    let client = server.client_with(Limits { concurrency: 4, per_second: 50, ..Limits::default() });
    let start = Instant::now();
    client.heads(&names(29)).await.unwrap();
    // Thirty requests, of which four are the burst.
    assert!(start.elapsed() >= Duration::from_millis(500), "{:?}", start.elapsed());
}

#[tokio::test]
async fn pages_that_are_too_large_become_smaller() {
    let server = Canned::new(|path| {
        if path.contains("limit=2500") {
            return b"HTTP/1.1 200 X\r\nContent-Length: 99999999999\r\n\r\n".to_vec();
        }
        let one: serde_json::Value = serde_json::from_str(&metadata(1, FIRST)).unwrap();
        let info: serde_json::Map<_, _> = names(10).into_iter().map(|name| (name, one["data"].clone())).collect();
        answer(200, "", &serde_json::json!({"data": {"keys": names(10), "key_info": info}}).to_string())
    });
    let client = server.client();
    assert!(client.heads(&names(10)).await.unwrap().values().all(Result::is_ok));
    assert_eq!(client.requests(), Requests { heads: 0, pages: 2, reads: 0 });
}

#[tokio::test]
async fn a_path_that_leads_elsewhere_is_refused_and_the_others_are_asked_for() {
    let server = Canned::always(answer(200, "", &metadata(1, FIRST)));
    let heads = server.client().heads(&["../x".to_owned(), "a".to_owned()]).await.unwrap();
    assert!(matches!(heads["../x"], Err(StoreError::Config(_))) && heads["a"].is_ok());
    assert_eq!(server.requests(), ["/v1/secret/metadata/spaces/a"]);
}

#[test]
fn nothing_that_can_be_printed_shows_the_token() {
    let settings = settings("http://bao:8200");
    let client = OpenBao::new(&settings).unwrap();
    for text in [format!("{settings:?}"), format!("{settings:#?}"), format!("{client:?}"), format!("{client:#?}")] {
        assert!(!text.contains("canary-token"), "{text}");
    }
}

#[test]
fn settings_that_cannot_work_say_what_is_wrong() {
    let with = |change: fn(&mut Settings)| {
        let mut settings = settings("https://bao:8200");
        change(&mut settings);
        OpenBao::new(&settings).unwrap_err().to_string()
    };
    let token = |text: &str| Credential::Token(text.to_owned().into());
    assert_eq!(with(|s| s.ca_pem = Some(b"hunter2".to_vec())), "caBundle holds no certificate in PEM");
    let garbage = b"-----BEGIN CERTIFICATE-----\nMAAA\n-----END CERTIFICATE-----\n";
    assert_eq!(with(|s| s.ca_pem = Some(Vec::new())), "caBundle holds no certificate in PEM");
    let mut broken = settings("https://bao:8200");
    broken.ca_pem = Some(garbage.to_vec());
    assert!(OpenBao::new(&broken).unwrap_err().to_string().starts_with("caBundle holds"));
    for (text, expected) in [(" \n", "the token is empty"), ("a\nb", "the token holds characters that no token has")] {
        let error = OpenBao::new(&Settings { credential: token(text), ..settings("http://bao:8200") }).unwrap_err();
        assert_eq!(error, StoreError::Unauthorized(expected.to_owned()));
    }
}

#[test]
fn a_client_can_be_shared_and_its_futures_sent() {
    fn sent<T: Send>(_: &T) {}
    let client = Arc::new(OpenBao::new(&settings("http://bao:8200")).unwrap());
    let shared = Arc::clone(&client);
    sent(&async move {
        let _ = shared.heads(&["a".to_owned()]).await;
        let _ = shared.read("a").await;
    });
}
