//! How the operator gets in.

use std::time::{Duration, Instant};

use devcluster::OpenBaoOptions;
use serde_json::{Value as Json, json};
use spacesync::resources::{SecretManager, condition::find};

use super::vault::{InVault, READER};
use crate::{
    tenant::{PATIENCE, message, until},
    world::World,
};

#[tokio::test]
async fn a_token_that_is_revoked_is_said_and_its_rotation_is_noticed() {
    let vault = InVault::plain(json!({"A": "1"})).await;
    let policy = r#"path "secret/*" { capabilities = ["read", "list"] }"#;
    let token = vault.store.token_with_policy(policy).unwrap();
    vault.token(&token).await;
    vault.synced(&[("A", "1")]).await;
    vault.store.revoke(&token).unwrap();
    vault.ask(1).await;
    let sync = vault.tenant.until_condition("Ready", "False/SourceUnauthorized").await;
    assert!(message(&sync, "Ready").contains("renew it"), "{}", message(&sync, "Ready"));
    vault.token(&vault.store.token_with_policy(policy).unwrap()).await;
    vault.tenant.until_condition("Ready", "True/Synced").await;
}

#[tokio::test]
async fn a_missing_credential_names_the_secret_and_the_key() {
    let vault = InVault::plain(json!({"A": "1"})).await;
    let auth = json!({"tokenSecret": {"name": "nowhere", "key": "token"}});
    vault.tenant.manager(&vault.tenant.name, json!({"openBao": {"address": vault.store.url(), "auth": auth}})).await;
    vault.tenant.sync(json!({})).await;
    let sync = vault.tenant.until_condition("Ready", "False/SecretManagerInvalid").await;
    assert!(message(&sync, "Ready").contains("nowhere"), "{}", message(&sync, "Ready"));
    let managers: kube::Api<SecretManager> = kube::Api::all(vault.tenant.client.clone());
    until(managers, &vault.tenant.name, "not ready", |manager| {
        let conditions = manager.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default();
        find(&conditions, "Ready").is_some_and(|c| c.status == "False" && c.message.contains("nowhere"))
    })
    .await;
}

#[tokio::test]
async fn an_app_role_logs_in_once_and_a_new_secret_id_is_noticed() {
    let vault = InVault::bare(OpenBaoOptions::default()).await;
    vault.put(json!({"A": "1"}));
    let post = |path: &str, body: Json| vault.store.request("POST", path, Some(&body.to_string())).unwrap();
    post("sys/policies/acl/spacesync", json!({"policy": READER}));
    post("sys/auth/approle", json!({"type": "approle"}));
    post("auth/approle/role/spacesync", json!({"role_id": "operator", "token_policies": ["spacesync"]}));
    let new_id = || post("auth/approle/role/spacesync/secret-id", json!({}))["data"]["secret_id"].clone();
    let first = new_id();
    let secret = vault.secret("app-role", json!({"secret-id": first})).await;
    let auth = json!({"roleId": "operator", "secretIdSecret": {"name": secret, "key": "secret-id"}});
    vault.manager_with(json!({"auth": {"appRole": auth}}), json!({})).await;
    vault.synced(&[("A", "1")]).await;
    for n in 1..=3 {
        vault.ask(n).await;
    }
    assert_eq!(vault.asked("auth/approle/login"), 1);
    // Its secret ID is destroyed, and with it the token.
    post("auth/approle/role/spacesync/secret-id/destroy", json!({"secret_id": first}));
    post("sys/leases/revoke-prefix/auth/approle/login", json!({"sync": true}));
    vault.ask(4).await;
    let text = vault.until_not_ready("SourceUnauthorized").await;
    assert!(text.contains("renew it in the Secret that auth.appRole names"), "{text}");
    assert!(!text.contains(first.as_str().unwrap()));
    vault.keeps_last_good().await;
    vault.is_told("SourceUnauthorized").await;
    vault.secret("app-role", json!({"secret-id": new_id()})).await;
    vault.tenant.until_condition("Ready", "True/Synced").await;
    vault.put(json!({"A": "2"}));
    vault.ask(5).await;
    vault.tenant.until_secret(&[("A", "2")]).await;
    // Neither the secret ID nor a token is in the log.
    let log = World::shared_log();
    let mut words = log.split(|c: char| !c.is_ascii_alphanumeric() && c != '.');
    let is_token = |word: &str| word.len() == 26 && word.starts_with("s.");
    assert!(!log.contains(first.as_str().unwrap()) && !words.any(is_token), "a credential is in the log");
}

#[tokio::test]
async fn a_namespace_of_openbao_has_its_own_logins_and_entries() {
    let vault = InVault::bare(OpenBaoOptions::default()).await;
    // The same path in the root namespace is somebody else's.
    vault.put(json!({"A": "not this"}));
    let post = |path: &str, body: Json| vault.store.request("POST", path, Some(&body.to_string())).unwrap();
    post("sys/namespaces/teams", json!({}));
    post("teams/sys/namespaces/media", json!({}));
    let within = |path: &str| format!("teams/media/{path}");
    post(&within("sys/mounts/kv"), json!({"type": "kv", "options": {"version": "2"}}));
    post(&within("sys/policies/acl/spacesync"), json!({"policy": READER.replace("secret/", "kv/")}));
    post(&within("sys/auth/approle"), json!({"type": "approle"}));
    post(&within("auth/approle/role/r"), json!({"role_id": "operator", "token_policies": ["spacesync"]}));
    let id = post(&within("auth/approle/role/r/secret-id"), json!({}))["data"]["secret_id"].clone();
    let entry = within(&format!("kv/data/{}", vault.path()));
    let began = Instant::now();
    // The mount prepares itself for a moment.
    while vault.store.request("POST", &entry, Some(r#"{"data":{"A":"1"}}"#)).is_err() {
        assert!(began.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let secret = vault.secret("app-role", json!({"id": id})).await;
    let auth = json!({"appRole": {"roleId": "operator", "secretIdSecret": {"name": secret, "key": "id"}}});
    let store = |namespace: &str| json!({"namespace": namespace, "mount": "kv", "auth": auth});
    vault.manager_with(store("teams/none"), json!({})).await;
    vault.tenant.sync(json!({"onSourceGone": "Delete"})).await;
    let text = vault.until_not_ready("SecretManagerInvalid").await;
    assert!(text.contains("there is no such namespace: create it, or correct openBao.namespace"), "{text}");
    vault.manager_with(store("teams/media"), json!({})).await;
    vault.tenant.until_secret(&[("A", "1")]).await;
    vault.tenant.until_condition("Ready", "True/Synced").await;
    // Sealed is asked of the server as a whole.
    vault.store.seal().unwrap();
    vault.ask(1).await;
    vault.until_not_ready("SourceSealed").await;
    vault.store.unseal().unwrap();
    vault.tenant.until_condition("Ready", "True/Synced").await;
    // A namespace that went is not an entry that went.
    vault.manager_with(store("teams/none"), json!({})).await;
    vault.until_not_ready("SecretManagerInvalid").await;
    vault.keeps_last_good().await;
}

#[tokio::test]
async fn a_login_in_a_namespace_may_read_a_mount_below_it() {
    let vault = InVault::bare(OpenBaoOptions::default()).await;
    let post = |path: &str, body: Json| vault.store.request("POST", path, Some(&body.to_string())).unwrap();
    post("sys/namespaces/media", json!({}));
    post("media/sys/mounts/kv", json!({"type": "kv", "options": {"version": "2"}}));
    let entry = format!("media/kv/data/{}", vault.path());
    let began = Instant::now();
    while vault.store.request("POST", &entry, Some(r#"{"data":{"A":"1"}}"#)).is_err() {
        assert!(began.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let policy = READER.replace("secret/", "media/kv/");
    vault.token(&vault.store.token_with_policy(&policy).unwrap()).await;
    vault.manager(json!({"mount": "media/kv"})).await;
    vault.synced(&[("A", "1")]).await;
}
