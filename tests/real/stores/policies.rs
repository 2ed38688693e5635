//! What the operator's policy may leave out, and what that costs.

use std::time::{Duration, Instant};

use devcluster::OpenBaoOptions;
use jiff::Timestamp;
use kube::Api;
use serde_json::json;
use spacesync::{resources::Space, sync::schedule::Phase};

use super::vault::InVault;
use crate::tenant::{PATIENCE, Tenant, condition, until};

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
        tokio::time::sleep(Duration::from_millis(200)).await;
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
        for name in ["second", "third"] {
            vault.tenant.sync_named(name, json!({})).await;
            until(vault.tenant.api(), name, "synced", |sync| condition(sync, "Ready") == "True/Synced").await;
        }
        assert_eq!(a_minute(&vault, by).await, costs, "one for all three");
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

/// Waits until a path is asked for once more, and says how often that was in the second after.
async fn once_more(vault: &InVault<'_>, path: &str) -> (Timestamp, usize) {
    let before = vault.asked(path);
    let began = Instant::now();
    while vault.asked(path) == before {
        assert!(began.elapsed() < 3 * PATIENCE, "{path} is not asked for in a minute");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let at = Timestamp::now();
    tokio::time::sleep(Duration::from_secs(1)).await;
    (at, vault.asked(path) - before)
}

#[tokio::test]
async fn where_nothing_is_told_in_bulk_a_space_has_its_own_instant_and_one_head_for_all_its_syncs() {
    let read = |kind: &str| format!("path \"secret/{kind}/spaces/*\" {{ capabilities = [\"read\"] }}\n");
    let vault = InVault::bare(OpenBaoOptions::default()).await;
    vault.put(json!({"A": "1"}));
    vault.token(&vault.store.token_with_policy(&(read("data") + &read("metadata"))).unwrap()).await;
    vault.manager(json!({})).await;
    vault.synced(&[("A", "1")]).await;
    for name in ["second", "third"] {
        vault.tenant.sync_named(name, json!({})).await;
        until(vault.tenant.api(), name, "synced", |sync| condition(sync, "Ready") == "True/Synced").await;
    }
    let other = Tenant::unbound(vault.tenant.world).await;
    vault.store.put(&format!("spaces/{}", other.name), json!({"A": "1"})).unwrap();
    other.space(json!({"secretManagerRef": {"name": vault.tenant.name}})).await;
    other.sync(json!({})).await;
    other.until_condition("Ready", "True/Synced").await;
    // With two entries a listing is worth a try, the only one in an hour, which is refused.
    let began = Instant::now();
    while vault.asked("secret/detailed-metadata/") == 0 {
        assert!(began.elapsed() < 3 * PATIENCE, "nothing was listed in a minute");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    for tenant in [&vault.tenant, &other] {
        let (at, times) = once_more(&vault, &format!("secret/metadata/spaces/{}", tenant.name)).await;
        let space = Api::<Space>::all(tenant.client.clone()).get(&tenant.name).await.unwrap();
        let instant = Phase::of(&space.metadata.uid.unwrap()).in_minute();
        let late = (at.as_millisecond() - instant).rem_euclid(60_000);
        println!("asked for {times} times, {late} ms after its instant");
        assert!(late < 5_000, "{late} ms after the instant of its space");
        assert_eq!(times, 1);
    }
}
