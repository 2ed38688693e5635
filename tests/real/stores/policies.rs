//! What the operator's policy may leave out, and what that costs.

use std::time::Instant;

use devcluster::OpenBaoOptions;
use serde_json::json;

use super::vault::InVault;
use crate::tenant::PATIENCE;

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

/// What the store was asked while the ticker looked once: listings, heads and values.
async fn a_minute(vault: &InVault<'_>, ticked_by: &str) -> [usize; 3] {
    let kinds = ["secret/detailed-metadata/", "secret/metadata/", "secret/data/"];
    let counts = || kinds.map(|kind| vault.asked(kind));
    let before = counts();
    let began = Instant::now();
    while vault.asked(ticked_by) == before[kinds.iter().position(|kind| *kind == ticked_by).unwrap()] {
        assert!(began.elapsed() < 3 * PATIENCE, "nothing was asked in a minute");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    let after = counts();
    std::array::from_fn(|n| after[n] - before[n])
}

#[tokio::test]
async fn a_policy_that_allows_less_costs_more_each_minute_and_brings_the_same() {
    let read = |kind: &str| format!("path \"secret/{kind}/spaces/*\" {{ capabilities = [\"read\"] }}\n");
    for (policy, by, costs) in
        [(read("data") + &read("metadata"), "secret/metadata/", [0, 1, 0]), (read("data"), "secret/data/", [0, 0, 1])]
    {
        let vault = InVault::bare(OpenBaoOptions::default()).await;
        vault.put(json!({"A": "1"}));
        vault.token(&vault.store.token_with_policy(&policy).unwrap()).await;
        vault.manager(json!({})).await;
        vault.synced(&[("A", "1")]).await;
        assert_eq!(a_minute(&vault, by).await, costs);
        vault.put(json!({"A": "2"}));
        vault.ask(1).await;
        vault.tenant.until_secret(&[("A", "2")]).await;
        vault.store.delete(&vault.path()).unwrap();
        vault.ask(2).await;
        vault.until_not_ready("SourceDeleted").await;
        vault.store.undelete(&vault.path(), &[2]).unwrap();
        vault.ask(3).await;
        vault.tenant.until_condition("Ready", "True/Synced").await;
    }
}
