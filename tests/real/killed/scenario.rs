//! What happens to a tenant from its first sync until it leaves its space.

use std::time::Instant;

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Pod, Secret},
};
use kube::{Api, api::DeleteParams};
use serde_json::json;
use spacesync::resources::{FlowApp, SecretManager, Space, SpaceSecretSync, Trigger};

use super::{END, state::Standing};
use crate::{
    tenant::{Tenant, condition, until, until_gone, values},
    workload::{mounted_secret, template},
};

/// Plays it, and tells how everything stands in the end.
pub async fn play(tenant: &Tenant<'_>, expected: Option<&Standing>) -> Standing {
    arrive(tenant).await;
    change(tenant, &[("A", "2"), ("B", "1")], 2).await;
    change(tenant, &[("A", "2")], 3).await;
    put_right(tenant).await;
    ask(tenant).await;
    rename(tenant).await;
    leave(tenant).await;
    let began = Instant::now();
    let (mut last, mut since) = (Standing::of(tenant).await, Instant::now());
    // Whoever knows where it ends waits for that; whoever does not, until nothing has moved for a while.
    while expected.map_or(since.elapsed() < END / 5, |expected| last != *expected) && began.elapsed() < END {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        let now = Standing::of(tenant).await;
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    last
}

/// First sync, injection, the first pod.
async fn arrive(tenant: &Tenant<'_>) {
    tenant.entry(&[("A", "1"), ("B", "1")]).await;
    tenant.manager(&tenant.name, json!({"kubernetes": {}})).await;
    tenant.space(json!({"secretManagerRef": {"name": tenant.name}})).await;
    tenant.workload::<Deployment>("ingest", template()).await;
    tenant.sync(json!({})).await;
    tenant.ingest(json!({})).await;
    tenant.until_secret(&[("A", "1"), ("B", "1")]).await;
    tenant.until_mounted(&[("node-red", "/var/run/spacesync")]).await;
    tenant.running("pod", "ingest").await;
    load(tenant, 1).await;
}

/// The pod is told the version, and acknowledges it.
async fn load(tenant: &Tenant<'_>, version: u64) {
    let status = tenant.until_status("a version", |s| s.version == Some(version)).await;
    let revision = status.revision.expect("a revision");
    tenant.until_told("pod", &revision).await;
    tenant.ack("pod", &revision).await;
    tenant.until_condition("Delivered", "True/Delivered").await;
    tenant.until_app("ingest", "Loaded", "True/Loaded").await;
}

async fn change(tenant: &Tenant<'_>, entry: &[(&str, &str)], version: u64) {
    tenant.entry(entry).await;
    tenant.until_secret(entry).await;
    load(tenant, version).await;
}

/// Somebody edits the managed Secret.
async fn put_right(tenant: &Tenant<'_>) {
    tenant.patch::<Secret>("secrets", json!({"stringData": {"A": "edited"}})).await;
    tenant.until_secret(&[("A", "2")]).await;
    tenant.until_status("the repair", |status| status.history[0].trigger == Trigger::Drift).await;
}

async fn ask(tenant: &Tenant<'_>) {
    tenant.request("manual/1").await;
    tenant.until_status("handled", |s| s.last_handled_sync_request.as_deref() == Some("manual/1")).await;
}

/// The target gets another name.
async fn rename(tenant: &Tenant<'_>) {
    tenant.sync(json!({"target": {"name": "moved"}})).await;
    until(tenant.api::<Secret>(), "moved", "it is whole", |secret| values(secret)["A"] == "2").await;
    until_gone(tenant.api::<Secret>(), "secrets").await;
    until(tenant.api::<Deployment>(), "ingest", "mounts the moved one", |deployment| {
        mounted_secret(deployment).as_deref() == Some("moved")
    })
    .await;
    tenant.until_condition("Ready", "True/Synced").await;
}

/// The FlowApp goes, and the namespace leaves the space.
async fn leave(tenant: &Tenant<'_>) {
    tenant.delete::<FlowApp>("ingest").await;
    tenant.until_mounted(&[]).await;
    tenant.space(json!({"namespaces": ["elsewhere"], "secretManagerRef": {"name": tenant.name}})).await;
    until_gone(tenant.api::<ConfigMap>(), "spacesync-api").await;
    until(tenant.api::<SpaceSecretSync>(), "secrets", "unbound", |sync| {
        condition(sync, "Synced") == "False/NamespaceNotBound"
    })
    .await;
}

/// Leaves nothing behind that a next operator would look at.
pub async fn clear(tenant: &Tenant<'_>) {
    tenant.delete::<SpaceSecretSync>("secrets").await;
    until_gone(tenant.api::<Secret>(), "moved").await;
    tenant.api::<Pod>().delete("pod", &DeleteParams::default().grace_period(0)).await.expect("it goes");
    let spaces: Api<Space> = Api::all(tenant.client.clone());
    spaces.delete(&tenant.name, &DeleteParams::default()).await.expect("it goes");
    let managers: Api<SecretManager> = Api::all(tenant.client.clone());
    managers.delete(&tenant.name, &DeleteParams::default()).await.expect("it goes");
}
