//! An operator that is let into some namespaces alone, under exactly the roles of `deploy/namespaced/`.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use devcluster::{AuditLevel, ControlPlane};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Event, Secret},
};
use kube::{Api, api::ListParams};
use serde_json::{Value as Json, json};
use spacesync::{
    operator::scope::WATCHES,
    resources::{Space, SpaceSecretSync, condition::find, space::NamespaceStatus},
};

use crate::{
    an_unchanged_world::quiet,
    pod_api::client::Pod,
    tenant::{PATIENCE, Tenant, until, version_of},
    workload::template,
    world::{OPERATOR_USER, Operator, SYSTEM, World},
};

/// What is in no namespace and may be asked for: by name only where others have the like.
const OF_NO_NAMESPACE: [&str; 6] =
    ["secretmanagers", "spaces", "namespaces", "tokenreviews", "customresourcedefinitions", "selfsubjectrulesreviews"];

fn serving(world: &World, namespaces: &str) -> Operator {
    world.operator(&[("SPACESYNC_WATCH_NAMESPACES", namespaces)])
}

/// The parts of one space: all of them have the entry of `a`.
async fn tenants<'w>(world: &'w World, names: [&str; 3]) -> [Tenant<'w>; 3] {
    let client = world.client().await;
    let tenants = names.map(|name| Tenant { world, client: client.clone(), name: name.to_owned() });
    tenants[0].entry(&[("A", "1")]).await;
    tenants[0].manager("embedded", json!({"kubernetes": {}})).await;
    tenants[0].space(json!({"namespaces": names})).await;
    for tenant in &tenants {
        tenant.sync(json!({})).await;
    }
    tenants
}

async fn until_space(tenant: &Tenant<'_>, expected: &str) -> Space {
    let ready = |space: &Space| {
        let ready = find(&space.status.as_ref()?.conditions, "Ready")?;
        Some(format!("{}/{}: {}", ready.status, ready.reason, ready.message))
    };
    let spaces = Api::all(tenant.client.clone());
    until(spaces, "a", expected, |space| ready(space).is_some_and(|ready| ready.starts_with(expected))).await
}

fn row(space: &Space, name: &str) -> NamespaceStatus {
    let rows = &space.status.as_ref().expect("a status").namespaces;
    rows.iter().find(|row| row.name == name).expect("a row").clone()
}

/// What the operator asked for in its whole life, watches, leases and all.
fn asked(world: &World) -> Vec<Json> {
    let entries = world.plane.audit_entries().expect("an audit log");
    entries.into_iter().filter(|entry| entry["user"]["username"] == OPERATOR_USER).collect()
}

/// Nothing was refused, and nothing is about a namespace but these, or about all.
fn assert_kept_to(world: &World, namespaces: &[&str]) {
    for entry in asked(world) {
        let (code, object) = (entry["responseStatus"]["code"].as_u64(), &entry["objectRef"]);
        assert_ne!(code, Some(403), "{entry:#}");
        let (resource, name) = (object["resource"].as_str().unwrap_or_default(), object["name"].as_str());
        let kept = match object["namespace"].as_str() {
            _ if resource == "namespaces" => name.is_some_and(|name| namespaces.contains(&name)),
            None => OF_NO_NAMESPACE.contains(&resource),
            Some("default") => resource == "events",
            Some(namespace) => namespace == SYSTEM || namespaces.contains(&namespace),
        };
        assert!(kept, "{entry:#}");
    }
}

async fn until_told_of(world: &World, reason: &str) {
    let events = Api::<Event>::namespaced(world.client().await, "default");
    let began = Instant::now();
    let told = async || {
        let all = events.list(&ListParams::default()).await.expect("Events");
        all.iter().any(|event| event.reason.as_deref() == Some(reason))
    };
    while !told().await {
        assert!(began.elapsed() < PATIENCE, "no Event {reason}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn an_operator_of_some_namespaces_serves_these_and_asks_for_nothing_of_any_other() {
    let plane = ControlPlane::builder().audit(AuditLevel::Metadata).start().unwrap();
    let world = World::of_namespaces(plane, &["a", "b"]);
    world.plane.kubectl(&["create", "namespace", "c"]).unwrap();
    let mut operator = serving(&world, "b,a,a");
    starts_with_few_requests(&world);
    let [a, b, c] = tenants(&world, ["a", "b", "c"]).await;

    // Two are served in full.
    a.until_secret(&[("A", "1")]).await;
    b.until_secret(&[("A", "1")]).await;
    a.with_ingest().await;
    a.running("p", "ingest").await;
    let pod = Pod::new(&a, "p", &operator).await;
    assert_eq!(pod.status().await.status, 200);
    a.patch::<Secret>("secrets", json!({"stringData": {"A": "edited"}})).await;
    b.delete::<Secret>("secrets").await;
    a.until_secret(&[("A", "1")]).await;
    b.until_secret(&[("A", "1")]).await;
    a.entry(&[("A", "2")]).await;
    let secret = a.until_secret(&[("A", "2")]).await;
    b.until_secret(&[("A", "2")]).await;
    let revision = &secret.metadata.annotations.expect("annotations")["spacesync.dev/revision"];
    a.until_told("p", revision).await;
    assert!(pod.ack(revision).await.status < 300);
    a.until_condition("Delivered", "True/Delivered").await;

    // The third is named, and left alone.
    let says = "False/NamespaceNotWatched: c: not served, for the operator watches other namespaces only";
    let space = until_space(&a, says).await;
    assert!(row(&space, "c").message.is_some() && row(&space, "a").message.is_none(), "{space:#?}");
    assert!(row(&space, "a").api_config_map.is_some() && row(&space, "b").api_config_map.is_some(), "{space:#?}");
    until_told_of(&world, "NamespaceNotWatched").await;
    c.workload::<Deployment>("ingest", template()).await;
    c.ingest(json!({})).await;
    c.running("p", "ingest").await;
    let stranger = Pod::with(&a.bundle().await, c.token("p").await, &operator);
    let said = stranger.status().await;
    assert_eq!(said.problem(), (403, "NoFlowApp"), "{said:?}");
    assert!(said.body["detail"].as_str().unwrap().contains("--watch-namespaces"), "{said:?}");
    assert_eq!(c.api::<SpaceSecretSync>().get("secrets").await.unwrap().status, None);
    assert!(c.api::<Secret>().list(&ListParams::default()).await.unwrap().items.is_empty());
    assert!(c.api::<ConfigMap>().get_opt("spacesync-api").await.unwrap().is_none());

    // Nothing changes, and nothing is asked.
    quiet(|| world.requests_of_operator().len()).await;
    let before = world.requests_of_operator().len();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(world.requests_of_operator().split_off(before), []);
    assert_kept_to(&world, &["a", "b"]);

    // It is let into the third, and out again: what it has written there stays.
    world.let_into(&["a", "b", "c"]);
    operator.kill();
    world.forget_lease().await;
    let mut operator = serving(&world, "a,b,c");
    c.until_secret(&[("A", "2")]).await;
    let served = row(&until_space(&a, "True/Bound: 3 namespaces are bound").await, "c");
    c.until_condition("Ready", "True/Synced").await;
    operator.kill();
    world.forget_lease().await;
    let before = version_of(&c.api::<Secret>().get("secrets").await.unwrap());
    let _operator = serving(&world, "a,b");
    let space = until_space(&a, says).await;
    a.entry(&[("A", "3")]).await;
    a.until_secret(&[("A", "3")]).await;
    b.until_secret(&[("A", "3")]).await;
    assert_eq!(NamespaceStatus { message: None, ..row(&space, "c") }, served);
    assert_eq!(version_of(&c.api::<Secret>().get("secrets").await.unwrap()), before);
    assert!(c.api::<ConfigMap>().get_opt("spacesync-api").await.unwrap().is_some());
    assert_kept_to(&world, &["a", "b", "c"]);
}

#[tokio::test]
async fn a_watched_namespace_that_goes_or_shuts_the_operator_out_keeps_no_other_from_being_served() {
    let plane = ControlPlane::builder().audit(AuditLevel::Metadata).start().unwrap();
    let world = World::of_namespaces(plane, &["a", "b", "c"]);
    let mut operator = serving(&world, "a,b,c");
    let [a, b, c] = tenants(&world, ["a", "b", "c"]).await;
    for tenant in [&a, &b, &c] {
        tenant.until_secret(&[("A", "1")]).await;
    }
    // Whoever rules a namespace may take the operator's role away, and may delete it.
    world.plane.kubectl(&["delete", "rolebinding", "spacesync-operator", "--namespace", "b"]).unwrap();
    world.plane.kubectl(&["delete", "namespace", "c", "--wait=true", "--timeout=25s"]).unwrap();
    a.entry(&[("A", "2")]).await;
    a.until_secret(&[("A", "2")]).await;
    let began = Instant::now();
    let named = |operator: &Operator| {
        let (status, body) = operator.get("/readyz").unwrap_or_default();
        assert!(status == 200 || status == 0, "{body}");
        body.lines().any(|line| line.starts_with("may not") && line.contains(" in namespace b ("))
    };
    while !named(&operator) {
        assert!(began.elapsed() < PATIENCE, "{:?}", operator.get("/readyz"));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // With the role again, one that starts anew serves the others of those that are there.
    world
        .plane
        .kubectl(&[
            "create",
            "rolebinding",
            "spacesync-operator",
            "--namespace",
            "b",
            "--role",
            "spacesync-operator",
            "--serviceaccount",
            "spacesync-system:spacesync",
        ])
        .unwrap();
    operator.kill();
    world.forget_lease().await;
    let _operator = serving(&world, "a,b,c");
    a.entry(&[("A", "3")]).await;
    a.until_secret(&[("A", "3")]).await;
    b.until_secret(&[("A", "3")]).await;
    until_space(&a, "False/NamespaceNotFound: bound as soon as they exist: c").await;
    // When it is there again, it is served as soon as it lets the operator in.
    world.plane.kubectl(&["create", "namespace", "c"]).unwrap();
    world.let_into(&["a", "b", "c"]);
    c.sync(json!({})).await;
    c.until_secret(&[("A", "3")]).await;
    until_space(&a, "True/Bound").await;
}

/// What a start costs: see docs/least-privilege.md. What the API server puts off is asked for again, and is the same.
fn starts_with_few_requests(world: &World) {
    let asked: BTreeSet<(String, String)> = asked(world)
        .iter()
        .map(|entry| (&entry["objectRef"]["resource"], &entry["requestURI"]))
        .map(|(resource, uri)| (resource.to_string(), uri.to_string()))
        .collect();
    let watches = asked.iter().filter(|(_, uri)| uri.contains("sendInitialEvents=true")).count();
    assert_eq!(watches, 4 + 2 * WATCHES, "{asked:#?}");
    // Of the cluster, its own namespace, that of Events, and each of two.
    let questions = world.requests_of_operator().iter().filter(|(_, uri)| uri.contains("authorization.k8s.io")).count();
    assert_eq!(questions, 3 + 2, "{asked:#?}");
    println!("a start for two namespaces: {questions} questions about permissions, {watches} watches");
}
