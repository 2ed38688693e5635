//! What the operator's policy may leave out, and what that costs.

use serde_json::json;

use super::vault::InVault;

#[tokio::test]
async fn a_policy_that_does_not_reach_the_entry_is_said() {
    let vault = InVault::plain(json!({"A": "1"})).await;
    let elsewhere = r#"path "secret/data/other/*" { capabilities = ["read"] }"#;
    vault.token(&vault.store.token_with_policy(elsewhere).unwrap()).await;
    vault.tenant.sync(json!({})).await;
    let text = vault.until_not_ready("SourceForbidden").await;
    assert!(text.contains("extend its policy"), "{text}");
    vault.is_told("SourceForbidden").await;
    vault.token(vault.store.root_token()).await;
    vault.tenant.until_secret(&[("A", "1")]).await;
}
