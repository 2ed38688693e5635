//! How the operator gets in.

use serde_json::json;
use spacesync::resources::{SecretManager, condition::find};

use super::vault::InVault;
use crate::tenant::{message, until};

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
