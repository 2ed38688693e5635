//! Each verb of the operator's roles is one that it uses: what it asked for while it did everything that it does, by the
//! audit log of the API server.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use devcluster::{AuditLevel, ControlPlane};
use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    core::v1::{ConfigMap, Event, Pod as CorePod, Secret},
};
use kube::{
    Api,
    api::{DeleteParams, ListParams, PostParams},
};
use serde_json::{Value as Json, json};
use spacesync::{
    operator::{
        permissions::{AT_NEED, PERMISSIONS},
        scope::Scope,
    },
    resources::{FlowApp, SpaceSecretSync},
};

use crate::{
    pod_api::{certificates, client::Pod},
    tenant::{PATIENCE, Tenant, until, until_gone},
    workload::{mounts, template},
    world::{OPERATOR_USER, Operator, SYSTEM, World},
};

/// Without streamed lists, so that lists are among what is asked for.
fn plane() -> ControlPlane {
    let lists = "--feature-gates=WatchList=false";
    ControlPlane::builder().audit(AuditLevel::Metadata).api_server_arg(lists).start().unwrap()
}

/// What was granted and done: group, resource, verb, namespace, name.
type Used = (String, String, String, Option<String>, Option<String>);

fn used(world: &World) -> BTreeSet<Used> {
    let text = |value: &Json| value.as_str().map(str::to_owned);
    let one = |entry: Json| {
        let by_operator = entry["user"]["username"] == OPERATOR_USER;
        let granted = entry["responseStatus"]["code"].as_u64().is_some_and(|code| code != 403);
        let object = &entry["objectRef"];
        let resource = text(&object["resource"])?;
        let resource = text(&object["subresource"]).map_or(resource.clone(), |sub| format!("{resource}/{sub}"));
        let group = text(&object["apiGroup"]).unwrap_or_default();
        let used = (group, resource, text(&entry["verb"])?, text(&object["namespace"]), text(&object["name"]));
        (by_operator && granted).then_some(used)
    };
    world.plane.audit_entries().expect("an audit log").into_iter().filter_map(one).collect()
}

/// What the roles give and nobody used.
fn unused(world: &World, scope: &Scope) -> BTreeSet<String> {
    let used = used(world);
    let mut unused = BTreeSet::new();
    for permission in PERMISSIONS.iter().chain([&AT_NEED]) {
        for spot in permission.place.spots(scope, SYSTEM) {
            let names: Vec<_> = permission.names.iter().copied().chain(spot.name).map(Some).collect();
            let names = if names.is_empty() { vec![None] } else { names };
            for (verb, name) in permission.verbs.split(' ').flat_map(|verb| names.iter().map(move |name| (verb, *name)))
            {
                let is_it = |(group, resource, did, namespace, of): &&Used| {
                    (group.as_str(), resource.as_str(), did.as_str()) == (permission.group, permission.resource, verb)
                        && spot.namespace.is_none_or(|wanted| namespace.as_deref() == Some(wanted))
                        && name.is_none_or(|wanted| of.as_deref() == Some(wanted))
                };
                if !used.iter().any(|one| is_it(&one)) {
                    let (name, place) = (name.unwrap_or_default(), spot.namespace.unwrap_or("the cluster"));
                    unused.insert(format!("{verb} {}.{} {name} in {place}", permission.resource, permission.group));
                }
            }
        }
    }
    unused
}

/// Does everything once, in a namespace that is there.
async fn everything(world: &World, operator: &Operator, name: &str) {
    let tenant = Tenant { world, client: world.client().await, name: name.to_owned() };
    tenant.entry(&[("A", "1")]).await;
    tenant.manager("embedded", json!({"kubernetes": {}})).await;
    tenant.space(json!({})).await;
    tenant.with_ingest().await;
    tenant.until_secret(&[("A", "1")]).await;
    tenant.workload::<StatefulSet>("stateful", template()).await;
    let stateful = json!({"workloadRef": {"kind": "StatefulSet", "name": "stateful"}});
    tenant.app_for("stateful", stateful).await;
    until(tenant.api::<StatefulSet>(), "stateful", "it is injected", |set| !mounts(set).is_empty()).await;
    drift(&tenant).await;
    editor(&tenant, operator).await;
    bindings(&tenant).await;
    warnings(&tenant).await;
    stores(&tenant).await;
    certificates::renew(&tenant).await;
    ends(&tenant).await;
}

/// What is edited, made immutable or deleted is put back.
async fn drift(tenant: &Tenant<'_>) {
    tenant.patch::<Secret>("secrets", json!({"stringData": {"A": "edited"}})).await;
    tenant.until_secret(&[("A", "1")]).await;
    let frozen = tenant.patch::<Secret>("secrets", json!({"immutable": true, "stringData": {"A": "edited"}})).await;
    until(tenant.api::<Secret>(), "secrets", "a new one", |secret| secret.metadata.uid != frozen.metadata.uid).await;
    let edited = tenant.patch::<ConfigMap>("spacesync-api", json!({"data": {"url": "https://evil.example"}})).await;
    let back = |map: &ConfigMap| map.data != edited.data;
    until(tenant.api::<ConfigMap>(), "spacesync-api", "it is put back", back).await;
}

/// Whoever asks the pods' API.
async fn editor(tenant: &Tenant<'_>, operator: &Operator) {
    tenant.running("p", "ingest").await;
    let pod = Pod::new(tenant, "p", operator).await;
    assert_eq!(pod.status().await.status, 200);
    let said = pod.settings(json!({"autoSync": "1m", "syncOnSave": false})).await;
    assert_eq!(said.status, 200, "{said:?}");
    // One that no watch tells of, for it carries no label.
    let stranger = json!({
        "metadata": {"name": "stranger"},
        "spec": {"containers": [{"name": "a", "image": "a"}], "automountServiceAccountToken": false},
    });
    let stranger: CorePod = serde_json::from_value(stranger).unwrap();
    tenant.api().create(&PostParams::default(), &stranger).await.unwrap();
    assert_eq!(Pod::new(tenant, "stranger", operator).await.status().await.problem(), (403, "NoFlowApp"));
    // Somebody writes the sync all the time: what was known of it is not what is there when it is asked for.
    let began = Instant::now();
    let reads = || used(tenant.world).iter().any(|one| (one.1.as_str(), one.2.as_str()) == ("spacesecretsyncs", "get"));
    while !reads() {
        assert!(began.elapsed() < PATIENCE, "a sync that moved is not read again");
        let writing = async {
            for number in 0.. {
                tenant.annotate::<SpaceSecretSync>("secrets", "test", Some(&format!("{number}"))).await;
            }
        };
        tokio::select! {
            () = writing => {}
            _ = pod.sync(json!({"trigger": "manual"})) => {}
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

/// A namespace leaves its space and comes back.
async fn bindings(tenant: &Tenant<'_>) {
    tenant.space(json!({"namespaces": []})).await;
    until_gone(tenant.api::<ConfigMap>(), "spacesync-api").await;
    tenant.space(json!({})).await;
    until(tenant.api::<ConfigMap>(), "spacesync-api", "it is there again", |_| true).await;
}

/// What goes wrong once and again is told as a series, of the space and of the sync.
async fn warnings(tenant: &Tenant<'_>) {
    for round in 1..=2 {
        tenant.space(json!({"secretManagerRef": {"name": "none"}})).await;
        tenant.until_condition("Ready", "False/SecretManagerNotFound").await;
        for namespace in ["default", &tenant.name] {
            until_told(tenant, namespace, round).await;
        }
        tenant.space(json!({})).await;
        tenant.until_condition("Ready", "True/Synced").await;
    }
}

async fn until_told(tenant: &Tenant<'_>, namespace: &str, times: i32) {
    let events = Api::<Event>::namespaced(tenant.client.clone(), namespace);
    let count = |event: &Event| event.series.as_ref().and_then(|series| series.count).unwrap_or(1);
    let began = Instant::now();
    let told = async || {
        let all = events.list(&ListParams::default()).await.expect("Events");
        let about = all.iter().filter(|event| event.reason.as_deref() == Some("SecretManagerNotFound"));
        about.map(count).max().unwrap_or_default()
    };
    while told().await < times {
        assert!(began.elapsed() < PATIENCE, "not told {times} times in {namespace}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A store with a CA bundle, to which the operator logs in as itself. It need not answer.
async fn stores(tenant: &Tenant<'_>) {
    let bundle = tenant.bundle().await;
    let maps = Api::<ConfigMap>::namespaced(tenant.client.clone(), SYSTEM);
    tenant.apply(&maps, "ca", json!({"data": {"ca.crt": bundle}})).await;
    let auth = json!({"kubernetes": {"role": "spacesync", "audience": "openbao"}});
    let address = "https://127.0.0.1:1";
    let bao = json!({"address": address, "auth": auth, "caBundle": {"configMap": {"name": "ca", "key": "ca.crt"}}});
    tenant.manager("bao", json!({"openBao": bao})).await;
    tenant.space(json!({"secretManagerRef": {"name": "bao"}})).await;
    tenant.until_condition("Ready", "False/SourceUnreachable").await;
    tenant.space(json!({})).await;
    tenant.until_condition("Ready", "True/Synced").await;
}

/// A flow app goes, and its sync.
async fn ends(tenant: &Tenant<'_>) {
    tenant.delete::<FlowApp>("ingest").await;
    tenant.until_mounted(&[]).await;
    tenant.api::<Deployment>().delete("ingest", &DeleteParams::default()).await.unwrap();
    tenant.delete::<SpaceSecretSync>("secrets").await;
    until_gone(tenant.api::<Secret>(), "secrets").await;
}

async fn until_all_is_used(world: &World, scope: &Scope) {
    let began = Instant::now();
    while !unused(world, scope).is_empty() {
        assert!(began.elapsed() < PATIENCE, "given and not used: {:#?}", unused(world, scope));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn each_verb_of_the_roles_is_used() {
    let world = World::on(plane());
    let operator = world.operator(&[]);
    world.plane.kubectl(&["create", "namespace", "a"]).unwrap();
    everything(&world, &operator, "a").await;
    until_all_is_used(&world, &Scope::Cluster).await;
}

#[tokio::test]
async fn each_verb_of_the_roles_for_some_namespaces_is_used() {
    let world = World::of_namespaces(plane(), &["a"]);
    let operator = world.operator(&[("SPACESYNC_WATCH_NAMESPACES", "a")]);
    everything(&world, &operator, "a").await;
    until_all_is_used(&world, &Scope::of(&["a".into()], SYSTEM).unwrap()).await;
}
