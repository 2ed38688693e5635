//! Every way in which the server can fail, and how the same client goes on.

use std::time::{Duration, Instant};

use devcluster::{OpenBao as Server, OpenBaoOptions, Storage};
use serde_json::json;
use spacesync::store::{
    StoreError,
    openbao::{OpenBao, Settings},
};

use crate::folder::{Folder, SHARED, paths, root, settings};

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
    assert!(matches!(client.head("a").await, Err(StoreError::RateLimited)));
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
