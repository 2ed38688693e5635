//! One login for all requests, renewed before it ends and made anew once when it was revoked.

use std::time::{Duration, Instant};

use devcluster::{OpenBao as Server, OpenBaoOptions};
use futures::future::join_all;
use serde_json::{Value as Json, json};
use spacesync::store::{
    StoreError,
    openbao::{Credential, OpenBao, Settings},
};

use crate::folder::{paths, settings};

const READER: &str = r#"
path "secret/data/*" { capabilities = ["read"] }
path "secret/metadata/*" { capabilities = ["read"] }
path "secret/detailed-metadata/*" { capabilities = ["list"] }
"#;

/// A server with the role `spacesync` of the auth method AppRole.
struct WithRole {
    server: Server,
}

impl WithRole {
    /// The role with these fields besides.
    fn new(mut role: Json) -> Self {
        let server = Server::start(OpenBaoOptions::default()).unwrap();
        for path in ["a", "b"] {
            server.put(path, json!({"K": "1"})).unwrap();
        }
        let new = Self { server };
        new.post("sys/policies/acl/reader", json!({"policy": READER}));
        new.post("sys/auth/approle", json!({"type": "approle"}));
        role["role_id"] = "spacesync-operator".into();
        role["token_policies"] = json!(["reader"]);
        new.post("auth/approle/role/spacesync", role);
        new
    }

    #[allow(clippy::needless_pass_by_value, reason = "one writes post(path, json!({...}))")]
    fn post(&self, path: &str, body: Json) -> Json {
        self.server.request("POST", path, Some(&body.to_string())).unwrap()
    }

    fn secret_id(&self) -> String {
        let answer = self.post("auth/approle/role/spacesync/secret-id", json!({}));
        answer["data"]["secret_id"].as_str().unwrap().to_owned()
    }

    fn client_with(&self, role_id: &str, secret_id: &str) -> OpenBao {
        let credential = Credential::AppRole {
            mount: "approle".to_owned(),
            role_id: role_id.to_owned(),
            secret_id: format!("{secret_id}\n").into(),
        };
        OpenBao::new(&Settings { credential, ..settings(&self.server, "") }).unwrap()
    }

    fn client(&self) -> OpenBao {
        self.client_with("spacesync-operator", &self.secret_id())
    }

    fn revoke_all(&self) {
        self.post("sys/leases/revoke-prefix/auth/approle/login", json!({"sync": true}));
    }

    fn asked(&self, path: &str) -> usize {
        self.server.requests().unwrap().iter().filter(|(_, asked)| asked == path).count()
    }

    /// Logins, renewals and looks at the token so far.
    fn logins(&self) -> [usize; 3] {
        ["auth/approle/login", "auth/token/renew-self", "auth/token/lookup-self"].map(|path| self.asked(path))
    }
}

#[tokio::test]
async fn all_who_come_at_once_share_one_login() {
    let role = WithRole::new(json!({}));
    let client = role.client();
    let reads = join_all((0..50).map(|_| client.read("a"))).await;
    assert!(reads.iter().all(Result::is_ok));
    assert!(client.heads(&paths(&["a", "b"])).await.unwrap().values().all(Result::is_ok));
    assert_eq!(role.logins(), [1, 0, 0]);
}

#[tokio::test]
async fn a_revoked_token_is_one_new_login_and_nobody_notices() {
    let role = WithRole::new(json!({}));
    let client = role.client();
    assert!(client.read("a").await.is_ok());
    role.revoke_all();
    let reads = join_all((0..50).map(|_| client.read("a"))).await;
    assert!(reads.iter().all(Result::is_ok), "{reads:?}");
    assert_eq!(role.logins(), [2, 0, 1]);
}

#[tokio::test]
async fn a_login_that_is_refused_is_tried_once_for_all_who_wait_and_heals() {
    let role = WithRole::new(json!({}));
    let secret_id = role.secret_id();
    let client = role.client_with("spacesync-operator", &secret_id);
    role.post("auth/approle/role/spacesync/secret-id/destroy", json!({"secret_id": secret_id}));
    let why = "auth/approle knows no such role ID, or the secret ID is wrong, used up or expired: renew it in the \
               Secret that auth.appRole names";
    let refused = StoreError::Unauthorized(why.to_owned());
    let reads = join_all((0..50).map(|_| client.read("a"))).await;
    assert!(reads.iter().all(|read| read.as_ref() == Err(&refused)), "{reads:?}");
    assert_eq!(client.heads(&paths(&["a", "b"])).await, Err(refused));
    assert_eq!(role.logins(), [1, 0, 0]);
    // The same secret ID is made good again.
    role.post("auth/approle/role/spacesync/custom-secret-id", json!({"secret_id": secret_id}));
    let start = Instant::now();
    while client.read("a").await.is_err() {
        assert!(start.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(role.logins()[0], 2);
}

#[tokio::test]
async fn a_token_is_renewed_before_it_ends_and_replaced_before_it_may_live_no_longer() {
    let role = WithRole::new(json!({"token_ttl": "3s", "token_max_ttl": "8s"}));
    let client = role.client();
    assert!(client.head("a").await.is_ok());
    let start = Instant::now();
    // As the ticker does it.
    while start.elapsed() < Duration::from_secs(10) {
        let wait = client.keep().await.expect("a token that ends");
        assert!(wait <= Duration::from_secs(2), "{wait:?}");
        tokio::time::sleep(wait).await;
    }
    let [logins, renewals, looks] = role.logins();
    println!("in 10 s: {logins} logins, {renewals} renewals");
    assert!(logins == 2 && (3..=5).contains(&renewals) && looks == 0, "{logins} {renewals} {looks}");
    assert!(client.read("a").await.is_ok());
    assert_eq!(role.logins()[0], logins);
}

#[tokio::test]
async fn a_token_that_nobody_renewed_in_time_is_replaced_by_whoever_needs_it() {
    let role = WithRole::new(json!({"token_ttl": "1s"}));
    let client = role.client();
    assert!(client.head("a").await.is_ok());
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(client.keep().await, None);
    assert!(join_all((0..20).map(|_| client.head("a"))).await.iter().all(Result::is_ok));
    assert_eq!(role.logins(), [2, 0, 0]);
}

#[tokio::test]
async fn while_the_server_is_sealed_the_old_token_is_kept() {
    let role = WithRole::new(json!({"token_ttl": "1h"}));
    let client = role.client();
    let before = client.head("a").await;
    assert!(before.is_ok());
    role.server.seal().unwrap();
    assert_eq!(client.head("a").await, Err(StoreError::Sealed));
    // One that has not logged in yet is told the same, and not that its credential is bad.
    let late = role.client_with("spacesync-operator", "any");
    assert_eq!(late.head("a").await, Err(StoreError::Sealed));
    role.server.unseal().unwrap();
    let start = Instant::now();
    while client.head("a").await != before {
        assert!(start.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let [logins, ..] = role.logins();
    assert_eq!(logins, 1);
}

#[tokio::test]
async fn a_given_token_that_can_be_renewed_is() {
    let role = WithRole::new(json!({}));
    let wanted = json!({"policies": ["reader", "default"], "no_parent": true, "period": "3s"});
    let answer = role.post("auth/token/create", wanted);
    let token = answer["auth"]["client_token"].as_str().unwrap();
    let client = OpenBao::new(&settings(&role.server, token)).unwrap();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(5) {
        let wait = client.keep().await.expect("a token that ends");
        assert!(wait <= Duration::from_secs(2), "{wait:?}");
        tokio::time::sleep(wait).await;
    }
    assert!(client.read("a").await.is_ok(), "it is good after its first three seconds");
    let [logins, renewals, looks] = role.logins();
    assert!(logins == 0 && (2..=4).contains(&renewals) && looks == 1, "{logins} {renewals} {looks}");
}

#[tokio::test]
async fn an_auth_method_that_is_not_there_is_said() {
    let role = WithRole::new(json!({}));
    let credential =
        Credential::AppRole { mount: "nowhere".into(), role_id: "r".into(), secret_id: "hunter2".to_owned().into() };
    let client = OpenBao::new(&Settings { credential, ..settings(&role.server, "") }).unwrap();
    let why = "nobody can log in at auth/nowhere: mount the AppRole auth method there, or correct its mount";
    assert_eq!(client.head("a").await, Err(StoreError::Unauthorized(why.into())));
}
