//! A replica that leads again after another did.

use std::time::Duration;

use devcluster::{AuditLevel, OpenBaoOptions};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::json;
use spacesync::resources::SecretManager;

use super::vault::InVault;
use crate::{
    running::{leads, within},
    world::{SYSTEM, World},
};

/// Takes the lease for another replica, or gives it back where that is nobody.
async fn let_lead(vault: &InVault<'_>, replica: &str) {
    let leases = Api::<Lease>::namespaced(vault.tenant.client.clone(), SYSTEM);
    let spec = json!({"holderIdentity": replica, "renewTime": format!("{:.6}", jiff::Timestamp::now())});
    leases.patch("spacesync", &PatchParams::default(), &Patch::Merge(json!({"spec": spec}))).await.unwrap();
}

#[tokio::test]
async fn a_secret_manager_that_went_while_another_led_is_asked_for_nothing_more() {
    let world = World::start(AuditLevel::Metadata);
    let operator = world.operator(&[]);
    let vault = InVault::bare_in(&world, OpenBaoOptions::default()).await;
    vault.put(json!({"A": "1"}));
    vault.token(vault.store.root_token()).await;
    vault.manager(json!({})).await;
    vault.synced(&[("A", "1")]).await;
    let_lead(&vault, "another").await;
    within(Duration::from_secs(15), "it stands by", async || !leads(&operator)).await;
    let managers = Api::<SecretManager>::all(vault.tenant.client.clone());
    managers.delete(&vault.tenant.name, &DeleteParams::default()).await.unwrap();
    // Until its watch has told it, which nothing shows.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let asked = vault.store.requests().unwrap().len();
    let_lead(&vault, "").await;
    within(Duration::from_secs(15), "it leads again", async || leads(&operator)).await;
    vault.tenant.request("manual/1").await;
    vault.until_not_ready("SecretManagerNotFound").await;
    assert_eq!(vault.store.requests().unwrap().split_off(asked), []);
    vault.keeps_last_good().await;
    let metrics = operator.get("/metrics").unwrap().1;
    assert!(!metrics.contains(&format!("secret_manager=\"{}\"", vault.tenant.name)), "{metrics}");
}
