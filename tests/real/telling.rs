//! What the operator says: a line and an Event for what changed, and nothing while nothing does.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use devcluster::{AuditLevel, OpenBao, OpenBaoOptions};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Event};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams},
};
use serde_json::json;
use spacesync::resources::Space;

use crate::{
    an_unchanged_world::quiet,
    tenant::{PATIENCE, Tenant, until},
    workload::template,
    world::{Operator, World},
};

/// More than a minute, in which each sync is due once and each store is asked.
const IDLE: Duration = Duration::from_secs(65);

/// What it logged since it had logged `before`: level and message, fields aside.
fn since(operator: &Operator, before: &str) -> Vec<String> {
    let log = operator.log();
    let new = log.strip_prefix(before).expect("a log only grows").lines();
    new.map(|line| line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")).collect()
}

/// All Events by name, with how often each was written.
async fn events(tenant: &Tenant<'_>) -> BTreeMap<String, String> {
    let events = Api::<Event>::all(tenant.client.clone()).list(&ListParams::default()).await.expect("Events");
    let line = |event: &Event| {
        let (about, reason) = (event.involved_object.name.clone(), event.reason.clone());
        format!("{} {} {}", about.unwrap_or_default(), reason.unwrap_or_default(), event.resource_version().unwrap())
    };
    events.iter().map(|event| (event.name_any(), line(event))).collect()
}

/// Of each Event about the sync's sealed store, how often it was told.
async fn series(tenant: &Tenant<'_>) -> Vec<i32> {
    let events = tenant.api::<Event>().list(&ListParams::default()).await.expect("Events");
    let about = events.into_iter().filter(|event| event.reason.as_deref() == Some("SourceSealed"));
    about.map(|event| event.series.and_then(|series| series.count).unwrap_or(1)).collect()
}

/// A tenant of a store that is sealed once it is in step: what is wrong is told once.
async fn sealed<'w>(world: &'w World, store: &OpenBao) -> Tenant<'w> {
    let tenant = Tenant::unbound(world).await;
    let token = json!({"stringData": {"token": store.root_token()}});
    tenant.apply(&tenant.own(), "bao-token", token).await;
    let auth = json!({"tokenSecret": {"name": "bao-token", "key": "token"}});
    tenant.manager("bao", json!({"openBao": {"address": store.url(), "auth": auth}})).await;
    tenant.space(json!({"secretManagerRef": {"name": "bao"}})).await;
    store.put(&format!("spaces/{}", tenant.name), json!({"A": "1"})).unwrap();
    tenant.sync(json!({})).await;
    tenant.until_condition("Ready", "True/Synced").await;
    seal(&tenant, store, "manual/1").await;
    tenant
}

async fn seal(troubled: &Tenant<'_>, store: &OpenBao, request: &str) {
    store.seal().unwrap();
    troubled.request(request).await;
    troubled.until_condition("Ready", "False/SourceSealed").await;
}

/// Waits until there is one Event about the sealed store, told so often.
async fn until_told(troubled: &Tenant<'_>, times: i32) {
    let began = Instant::now();
    while series(troubled).await != [times] {
        assert!(began.elapsed() < PATIENCE, "{:?}", series(troubled).await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_minute_without_a_change_says_nothing_and_a_change_says_exactly_what_it_changed() {
    let world = World::start(AuditLevel::Metadata);
    let store = OpenBao::start(OpenBaoOptions::default()).unwrap();
    let operator = world.operator(&[("RUST_LOG", "info")]);
    let troubled = sealed(&world, &store).await;
    let tenant = world.tenant(&[("A", "1")]).await;
    tenant.workload::<Deployment>("ingest", template()).await;
    tenant.sync(json!({})).await;
    tenant.ingest(json!({})).await;
    tenant.until_app("ingest", "Ready", "True/Ready").await;
    tenant.running("pod", "ingest").await;
    let load = async |version| {
        let status = tenant.until_status("a version", |s| s.version == Some(version)).await;
        tenant.until_told("pod", status.revision.as_ref().unwrap()).await;
        tenant.ack("pod", &status.revision.unwrap()).await;
        tenant.until_condition("Delivered", "True/Delivered").await;
    };
    load(1).await;
    quiet(|| operator.log().len() + world.requests_of_operator().len()).await;

    let (log, told) = (operator.log(), events(&tenant).await);
    let of = |tenant: &Tenant<'_>, reason: &str| {
        told.values().filter(|event| event.starts_with(&format!("secrets {reason} "))).count() > 0
            || panic!("no {reason} of {}: {told:?}", tenant.name)
    };
    assert!(of(&troubled, "SourceSealed") && of(&tenant, "Synced"));
    tokio::time::sleep(IDLE).await;
    assert_eq!(since(&operator, &log), [""; 0], "an unchanged world");
    assert_eq!(events(&tenant).await, told, "an unchanged world");

    tenant.entry(&[("A", "2")]).await;
    load(2).await;
    quiet(|| operator.log().len() + world.requests_of_operator().len()).await;
    let lines = since(&operator, &log);
    println!("{lines:#?}");
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(lines[0].starts_with("INFO spacesync::sync::controller: synced"), "{lines:#?}");
    let new: Vec<_> = events(&tenant).await.into_iter().filter(|(name, _)| !told.contains_key(name)).collect();
    assert_eq!(new.len(), 1, "{new:?}");
    assert!(new[0].1.starts_with("secrets Synced "), "{new:?}");

    // What comes back is told as what it is, once.
    let log = operator.log();
    store.unseal().unwrap();
    troubled.request("manual/2").await;
    troubled.until_condition("Ready", "True/Synced").await;
    quiet(|| operator.log().len() + world.requests_of_operator().len()).await;
    let lines = since(&operator, &log);
    println!("healed: {lines:#?}");
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(lines[0].starts_with("INFO spacesync::sync::controller: in step again"), "{lines:#?}");

    // The same trouble again is the same Event, told once more; where somebody deleted that, one anew.
    seal(&troubled, &store, "manual/3").await;
    until_told(&troubled, 2).await;
    let all = troubled.api::<Event>();
    all.delete_collection(&DeleteParams::default(), &ListParams::default()).await.expect("no Events");
    store.unseal().unwrap();
    troubled.request("manual/4").await;
    troubled.until_condition("Ready", "True/Synced").await;
    seal(&troubled, &store, "manual/5").await;
    until_told(&troubled, 1).await;

    // No label tells of a tenant, and what has gone has no series.
    let metrics = || operator.get("/metrics").expect("metrics").1;
    for word in [&tenant.name, &troubled.name, "secrets\"", "ingest", "pod\""] {
        assert!(!metrics().lines().any(|line| !line.starts_with('#') && line.contains(word)), "{word}");
    }
    assert!(metrics().contains("secret_manager=\"bao\""));
    let sealed = "spacesync_objects{kind=\"sync\",condition=\"Ready\",status=\"False\",reason=\"SourceSealed\"} 1";
    assert!(metrics().lines().any(|line| line == sealed), "{}", metrics());
    Api::<Space>::all(tenant.client.clone()).delete(&troubled.name, &DeleteParams::default()).await.unwrap();
    let managers = Api::<spacesync::resources::SecretManager>::all(tenant.client.clone());
    until(managers.clone(), "bao", "unused", |manager| {
        manager.status.as_ref().is_some_and(|status| status.spaces == Some(0))
    })
    .await;
    managers.delete("bao", &DeleteParams::default()).await.unwrap();
    let began = Instant::now();
    while metrics().contains("secret_manager=\"bao\"") {
        assert!(began.elapsed() < PATIENCE, "{}", metrics());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
