//! What a runtime gets: the status, a sync, its settings, and that its acknowledgement counts.

use k8s_openapi::api::core::v1::Pod as CorePod;
use serde_json::json;

use super::client::{Pod, runtime};
use crate::{
    tenant::{Tenant, until},
    workload::annotation,
    world::World,
};

/// A tenant with `A=1`, the FlowApp `ingest` and its running pod `a`, which was told the revision.
async fn one_pod(world: &World) -> (Tenant<'_>, String) {
    let tenant = world.tenant(&[("A", "1")]).await;
    tenant.with_ingest().await;
    let secret = tenant.until_secret(&[("A", "1")]).await;
    let revision = secret.metadata.annotations.unwrap()["spacesync.dev/revision"].clone();
    tenant.running("a", "ingest").await;
    tenant.until_told("a", &revision).await;
    (tenant, revision)
}

#[tokio::test]
async fn a_runtime_acknowledges_and_everybody_can_see_it() {
    let (tenant, revision) = one_pod(World::shared()).await;
    let pod = Pod::new(&tenant, "a", World::shared_operator()).await;
    let said = pod.acks(json!({"revision": revision, "runtime": runtime(), "legacyNodes": 3})).await;
    assert_eq!(said.status, 204, "{said:?}");
    tenant.until_app("ingest", "Loaded", "True/Loaded").await;
    tenant.until_condition("Delivered", "True/Delivered").await;
    let seen = tenant.api::<CorePod>().get("a").await.unwrap();
    assert_eq!(annotation(&seen, "runtime").as_deref(), Some("node-red/5.0.7 plugin/0.1.0 protection/context-store"));
    assert_eq!(annotation(&seen, "legacy-nodes").as_deref(), Some("3"));
    let status = pod.status().await.body;
    assert_eq!(status["space"], tenant.name);
    assert_eq!((&status["sync"], &status["revision"]), (&json!("secrets"), &json!(revision)));
    assert_eq!(status["flowApp"], json!({"name": "ingest", "version": "5.3.0", "pods": 1, "loaded": 1}));
    assert_eq!(status["pod"], json!({"name": "a", "told": revision, "loaded": revision}));
    assert_eq!(status["autoSync"], json!({"value": "Live", "managedBy": null}));

    // Again: nothing is written.
    let before = until(tenant.api::<CorePod>(), "a", "it is there", |_| true).await.metadata.resource_version;
    for _ in 0..3 {
        assert_eq!(pod.acks(json!({"revision": revision, "runtime": runtime(), "legacyNodes": 3})).await.status, 204);
    }
    assert_eq!(tenant.api::<CorePod>().get("a").await.unwrap().metadata.resource_version, before);
}
