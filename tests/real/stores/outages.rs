//! Every way in which OpenBao can be away: the last good stays, the reason is said, and it heals without a restart.

use std::time::{Duration, Instant};

use devcluster::{OpenBaoOptions, Storage};
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::json;
use spacesync::resources::SpaceSecretSync;

use super::{
    proxy::{Damage, Proxy},
    vault::InVault,
};
use crate::{
    tenant::{condition, until},
    world::SYSTEM,
};

#[tokio::test]
async fn a_sealed_store_keeps_the_last_good_and_heals() {
    let mut vault = InVault::plain(json!({"A": "1"})).await;
    vault.synced(&[("A", "1")]).await;
    vault.outage("SourceSealed", "is sealed", |v| v.store.seal().unwrap(), |v| v.store.unseal().unwrap()).await;
}

#[tokio::test]
async fn a_store_that_is_down_keeps_the_last_good_and_heals() {
    let options = OpenBaoOptions { storage: Storage::Raft, ..OpenBaoOptions::default() };
    let mut vault = InVault::new(options).await;
    vault.put(json!({"A": "1"}));
    vault.synced(&[("A", "1")]).await;
    vault
        .outage("SourceUnreachable", "connection refused", |v| v.store.stop(), |v| v.store.start_again().unwrap())
        .await;
}

#[tokio::test]
async fn a_store_that_hangs_keeps_the_last_good_and_heals() {
    let mut vault = InVault::plain(json!({"A": "1"})).await;
    vault.synced(&[("A", "1")]).await;
    vault
        .outage(
            "SourceTimedOut",
            "did not answer in time",
            |v| v.store.suspend().unwrap(),
            |v| v.store.resume().unwrap(),
        )
        .await;
}

#[tokio::test]
async fn whoever_shares_an_entry_is_told_and_healed_also_where_the_request_of_another_met_it_first() {
    let vault = InVault::plain(json!({"A": "1"})).await;
    vault.synced(&[("A", "1")]).await;
    vault.tenant.sync_named("neighbour", json!({})).await;
    let neighbour_says = async |expected: &str| {
        let says = |sync: &SpaceSecretSync| condition(sync, "Ready") == expected;
        until(vault.tenant.api::<SpaceSecretSync>(), "neighbour", expected, says).await
    };
    neighbour_says("True/Synced").await;
    vault.store.suspend().unwrap();
    vault.ask(1).await;
    vault.until_not_ready("SourceTimedOut").await;
    neighbour_says("False/SourceTimedOut").await;
    vault.store.resume().unwrap();
    vault.ask(2).await;
    vault.tenant.until_condition("Ready", "True/Synced").await;
    neighbour_says("True/Synced").await;
}

#[tokio::test]
async fn a_private_ca_is_trusted_by_its_bundle_and_by_nothing_else() {
    let vault = InVault::new(OpenBaoOptions { tls: true, ..OpenBaoOptions::default() }).await;
    vault.put(json!({"A": "1"}));
    vault.tenant.sync(json!({})).await;
    let text = vault.until_not_ready("SourceTls").await;
    assert!(text.contains("caBundle"), "{text}");
    vault.is_told("SourceTls").await;
    let name = format!("ca-{}", vault.tenant.name);
    let maps: kube::Api<ConfigMap> = kube::Api::namespaced(vault.tenant.client.clone(), SYSTEM);
    vault.tenant.apply(&maps, &name, json!({"data": {"ca.crt": vault.store.ca_pem().unwrap()}})).await;
    vault.manager(json!({"caBundle": {"configMap": {"name": name, "key": "ca.crt"}}})).await;
    vault.tenant.until_secret(&[("A", "1")]).await;
    vault.tenant.until_condition("Ready", "True/Synced").await;
}

#[tokio::test]
async fn a_host_name_that_leads_nowhere_is_said_and_a_right_one_heals() {
    let vault = InVault::plain(json!({"A": "1"})).await;
    vault.synced(&[("A", "1")]).await;
    vault.manager(json!({"address": "http://spacesync.invalid:8200"})).await;
    let text = vault.until_not_ready("SourceUnknownHost").await;
    assert!(text.contains("check its address"), "{text}");
    vault.until_manager("False/SourceUnknownHost").await;
    vault.is_told("SourceUnknownHost").await;
    vault.keeps_last_good().await;
    vault.manager(json!({})).await;
    vault.tenant.until_condition("Ready", "True/Synced").await;
}

#[tokio::test]
async fn a_quota_is_said_and_the_store_is_left_alone_for_as_long_as_it_wants() {
    let vault = InVault::plain(json!({"A": "1"})).await;
    vault.synced(&[("A", "1")]).await;
    let loud = r#"{"enable_rate_limit_response_headers":true,"enable_rate_limit_audit_logging":true}"#;
    vault.store.request("POST", "sys/quotas/config", Some(loud)).unwrap();
    // One request in each 8 s, so that a head and the values after it are one too many.
    let quota = r#"{"path":"secret/","rate":1,"interval":"8s"}"#;
    vault.put(json!({"A": "2"}));
    vault.store.request("POST", "sys/quotas/rate-limit/q", Some(quota)).unwrap();
    vault.ask(1).await;
    let text = vault.until_not_ready("SourceRateLimited").await;
    assert!(text.contains("spec.limits"), "{text}");
    vault.keeps_last_good().await;
    let (asked, began) = (vault.asked("secret/"), Instant::now());
    for n in 2..=4 {
        vault.ask(n).await;
    }
    vault.is_told("SourceRateLimited").await;
    assert!(began.elapsed() < Duration::from_secs(6), "the pause is not over yet: {:?}", began.elapsed());
    assert_eq!(vault.asked("secret/"), asked);
    vault.store.request("DELETE", "sys/quotas/rate-limit/q", None).unwrap();
    vault.tenant.until_secret(&[("A", "2")]).await;
    vault.tenant.until_condition("Ready", "True/Synced").await;
}

#[tokio::test]
async fn an_entry_that_is_larger_than_anybody_takes_is_said_and_a_smaller_one_heals() {
    let vault = InVault::plain(json!({"A": "1"})).await;
    vault.synced(&[("A", "1")]).await;
    vault.put(json!({"A": "x".repeat(9 * 1024 * 1024)}));
    vault.ask(1).await;
    let text = vault.until_not_ready("SourceTooLarge").await;
    assert!(text.contains("over 8388608 bytes"), "{text}");
    vault.is_told("SourceTooLarge").await;
    vault.keeps_last_good().await;
    vault.put(json!({"A": "2"}));
    vault.ask(2).await;
    vault.tenant.until_secret(&[("A", "2")]).await;
    vault.tenant.until_condition("Ready", "True/Synced").await;
}

#[tokio::test]
async fn an_entry_that_has_gone_keeps_the_last_good_and_a_new_one_is_brought() {
    let mut vault = InVault::plain(json!({"A": "1"})).await;
    vault.synced(&[("A", "1")]).await;
    let path = vault.path();
    let begin = |v: &mut InVault<'_>| v.store.delete_metadata(&path).unwrap();
    vault.fails("SourceNotFound", &format!("has no entry secret/{path}"), begin).await;
    vault.put(json!({"A": "2"}));
    vault.ask(2).await;
    vault.tenant.until_secret(&[("A", "2")]).await;
}

#[tokio::test]
async fn what_a_proxy_makes_of_an_answer_is_said_and_passes() {
    let mut vault = InVault::plain(json!({"A": "1"})).await;
    let proxy = Proxy::before(vault.store.url());
    vault.manager(json!({"address": proxy.url})).await;
    vault.synced(&[("A", "1")]).await;
    for (damage, reason, says) in [
        (Damage::Half, "SourceTruncated", "ended early"),
        (Damage::Page, "SourceMalformed", "cannot be read: line 1 column 1"),
        (Damage::BadGateway, "SourceError", "status 502"),
        (Damage::Endless, "SourceTooLarge", "over 8388608 bytes"),
        (Damage::Nothing, "SourceUnreachable", "connection closed"),
    ] {
        vault.outage(reason, says, |_| proxy.does(damage), |_| proxy.does(Damage::None)).await;
    }
}
