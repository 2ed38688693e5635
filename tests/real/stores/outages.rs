//! Every way in which OpenBao can be away: the last good stays, the reason is said, and it heals without a restart.

use devcluster::{OpenBaoOptions, Storage};
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::json;

use super::vault::InVault;
use crate::{tenant::message, world::SYSTEM};

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
async fn a_policy_that_does_not_reach_the_entry_is_said() {
    let vault = InVault::plain(json!({"A": "1"})).await;
    let elsewhere = r#"path "secret/data/other/*" { capabilities = ["read"] }"#;
    vault.token(&vault.store.token_with_policy(elsewhere).unwrap()).await;
    vault.tenant.sync(json!({})).await;
    let sync = vault.tenant.until_condition("Ready", "False/SourceForbidden").await;
    assert!(message(&sync, "Ready").contains("extend its policy"), "{}", message(&sync, "Ready"));
    vault.token(vault.store.root_token()).await;
    vault.tenant.until_secret(&[("A", "1")]).await;
}

#[tokio::test]
async fn a_private_ca_is_trusted_by_its_bundle_and_by_nothing_else() {
    let vault = InVault::new(OpenBaoOptions { tls: true, ..OpenBaoOptions::default() }).await;
    vault.put(json!({"A": "1"}));
    vault.tenant.sync(json!({})).await;
    let sync = vault.tenant.until_condition("Ready", "False/SourceTls").await;
    assert!(message(&sync, "Ready").contains("caBundle"), "{}", message(&sync, "Ready"));
    let name = format!("ca-{}", vault.tenant.name);
    let maps: kube::Api<ConfigMap> = kube::Api::namespaced(vault.tenant.client.clone(), SYSTEM);
    vault.tenant.apply(&maps, &name, json!({"data": {"ca.crt": vault.store.ca_pem().unwrap()}})).await;
    vault.manager(json!({"caBundle": {"configMap": {"name": name, "key": "ca.crt"}}})).await;
    vault.tenant.until_secret(&[("A", "1")]).await;
    vault.tenant.until_condition("Ready", "True/Synced").await;
}
