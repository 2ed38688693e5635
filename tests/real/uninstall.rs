//! Nothing is lost: not by an uninstall, not while no operator runs, not by one that is killed at any moment.

use std::time::Duration;

use devcluster::AuditLevel;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Pod, Secret},
    rbac::v1::{ClusterRole, PolicyRule},
};
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::json;
use spacesync::resources::{FlowApp, Space, SpaceSecretSync, SpaceSecretSyncStatus};

use crate::{
    tenant::{PATIENCE, Tenant, condition, until, until_gone, values, version_of},
    workload::app_condition,
    world::{OPERATOR_USER, Operator, World},
};

/// All four, as an uninstall deletes them.
const DEFINITIONS: [&str; 4] = [
    "secretmanagers.spacesync.dev",
    "spaces.spacesync.dev",
    "spacesecretsyncs.spacesync.dev",
    "flowapps.spacesync.dev",
];

/// A world of its own, with an operator.
async fn world() -> (World, Operator) {
    tokio::task::spawn_blocking(|| {
        let world = World::start(AuditLevel::Metadata);
        let operator = world.operator(&[]);
        (world, operator)
    })
    .await
    .expect("a world")
}

/// The next operator, when the last was killed.
async fn next(world: &World, last: &mut Operator) {
    last.kill();
    world.forget_lease().await;
    *last = tokio::task::block_in_place(|| world.operator(&[]));
}

/// The same of one from which something was taken: it says so, and does the rest.
async fn next_without(world: &World, last: &mut Operator, resource: &str, verb: &str) {
    last.kill();
    world.forget_lease().await;
    *last = world.operator_unready(&[]);
    let only =
        |(_, body): (u16, String)| body.lines().all(|line| line.starts_with(&format!("may not {verb} {resource}")));
    let began = std::time::Instant::now();
    while !(last.log().contains("leading") && last.get("/readyz").is_some_and(only)) {
        assert!(began.elapsed() < crate::tenant::PATIENCE, "{:?}\n{}", last.get("/readyz"), last.log());
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

fn is_managed(secret: &Secret) -> bool {
    secret.labels().contains_key("spacesync.dev/sync")
}

/// A Secret like that of a sync which went while nobody ran. It is swept at the next start: so when it has gone, the
/// sweep has been.
async fn orphan(tenant: &Tenant<'_>, name: &str) {
    let metadata = json!({"labels": {"spacesync.dev/sync": name, "app.kubernetes.io/managed-by": "spacesync"}});
    tenant.apply(&tenant.api::<Secret>(), name, json!({"metadata": metadata})).await;
}

async fn until_unready(operator: &Operator, word: &str) {
    let began = std::time::Instant::now();
    loop {
        match tokio::task::block_in_place(|| operator.get("/readyz")) {
            Some((503, text)) if text.contains(word) => return,
            other => assert!(began.elapsed() < PATIENCE, "still {other:?}\n{}", operator.log()),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_the_definitions_leaves_every_secret_and_workload_as_it_is() {
    let (world, mut operator) = world().await;
    let tenant = world.tenant(&[("A", "1")]).await;
    // A namespace that leaves its space would lose its Secrets; one whose space goes with its definition has not left.
    tenant.space(json!({"onUnbind": "Delete"})).await;
    tenant.with_ingest().await;
    let nobody = json!({"selector": {"matchLabels": {"served-by": "kept"}}});
    tenant.sync_named("kept", json!({"target": {"deletionPolicy": "Retain"}, "flowApps": nobody})).await;
    until(tenant.api::<SpaceSecretSync>(), "kept", "synced", |sync| condition(sync, "Synced") == "True/Synced").await;
    tenant.running("pod", "ingest").await;
    let revision = tenant.until_status("synced", |s| s.revision.is_some()).await.revision.unwrap();
    tenant.until_told("pod", &revision).await;
    until(tenant.api::<ConfigMap>(), "spacesync-api", "it is there", |_| true).await;
    let before = standing(&tenant).await;

    // While the operator runs, for it sees every sync and flow app go.
    let delete = [&["delete", "crd", "--timeout=30s"][..], &DEFINITIONS].concat();
    tokio::task::block_in_place(|| world.plane.kubectl(&delete)).expect("the definitions go");
    until_unready(&operator, "spacesecretsyncs.spacesync.dev").await;
    assert_eq!(standing(&tenant).await, before);

    // They come back, empty, first while it runs, and then it starts anew.
    tokio::task::block_in_place(|| world.install_definitions());
    for name in ["swept", "swept-after-a-restart"] {
        orphan(&tenant, name).await;
        next(&world, &mut operator).await;
        until_gone(tenant.api::<Secret>(), name).await;
        assert_eq!(standing(&tenant).await, before);
    }

    // What GitOps puts back takes over what stayed, and nothing rolls.
    tenant.manager("embedded", json!({"kubernetes": {}})).await;
    tenant.space(json!({})).await;
    tenant.sync(json!({})).await;
    tenant.ingest(json!({})).await;
    tenant.until_condition("Ready", "True/Synced").await;
    until(tenant.api::<FlowApp>(), "ingest", "in order", |app| app_condition(app, "Ready") == "True/Ready").await;
    let after = tenant.until_secret(&[("A", "1")]).await;
    assert_eq!(after.uid(), before.secrets.iter().find(|(name, ..)| name == "secrets").map(|(_, uid, _)| uid.clone()));
    let workload = tenant.api::<Deployment>().get("ingest").await.unwrap();
    assert_eq!(workload.metadata.generation, before.generation);
}

/// What must stay as it is.
#[derive(Debug, PartialEq)]
struct Standing {
    /// Name, UID and resourceVersion.
    secrets: Vec<(String, String, String)>,
    generation: Option<i64>,
    template: serde_json::Value,
    api: String,
    pod: String,
}

async fn standing(tenant: &Tenant<'_>) -> Standing {
    let mut secrets = Vec::new();
    for name in ["kept", "secrets"] {
        let secret = tenant.api::<Secret>().get(name).await.expect("it is there");
        assert!(is_managed(&secret) && values(&secret)["A"] == "1", "{name}");
        secrets.push((name.to_owned(), secret.uid().unwrap_or_default(), version_of(&secret)));
    }
    let workload = tenant.api::<Deployment>().get("ingest").await.expect("it is there");
    let api = tenant.api::<ConfigMap>().get("spacesync-api").await.expect("it is there");
    let pod = tenant.api::<Pod>().get("pod").await.expect("it runs");
    Standing {
        secrets,
        generation: workload.metadata.generation,
        api: version_of(&api),
        template: json!(workload.spec.expect("a spec").template),
        pod: pod.uid().unwrap_or_default(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_was_deleted_while_no_operator_ran_is_swept_at_the_next_start() {
    let (world, mut operator) = world().await;
    let tenant = world.tenant(&[("A", "1")]).await;
    tenant.sync(json!({})).await;
    tenant.sync_named("kept", json!({"target": {"deletionPolicy": "Retain"}})).await;
    tenant.sync_named("stays", json!({})).await;
    for name in ["secrets", "kept", "stays"] {
        until(tenant.api::<SpaceSecretSync>(), name, "synced", |sync| condition(sync, "Ready") == "True/Synced").await;
    }
    let stays = version_of(&tenant.api::<Secret>().get("stays").await.unwrap());
    operator.kill();
    tenant.delete::<SpaceSecretSync>("secrets").await;
    tenant.delete::<SpaceSecretSync>("kept").await;
    assert!(is_managed(&tenant.api::<Secret>().get("secrets").await.unwrap()));

    next(&world, &mut operator).await;
    until_gone(tenant.api::<Secret>(), "secrets").await;
    let kept = until(tenant.api::<Secret>(), "kept", "let go", |secret| !is_managed(secret)).await;
    assert_eq!(values(&kept)["A"], "1");
    assert!(kept.annotations().keys().all(|name| !name.starts_with("spacesync.dev/")), "{:?}", kept.annotations());
    assert_eq!(version_of(&tenant.api::<Secret>().get("stays").await.unwrap()), stays);
}

/// After any crash: one more version, one more change in the history, and all of it about the same revision.
async fn until_whole(tenant: &Tenant<'_>, version: u64) -> SpaceSecretSyncStatus {
    let value = version.to_string();
    let secret = tenant.until_secret(&[("A", &value)]).await;
    let revision = secret.annotations()["spacesync.dev/revision"].clone();
    let status = tenant
        .until_status(&format!("version {version} in step"), |status| {
            let target = status.target.as_ref();
            status.version == Some(version)
                && target.is_some_and(|target| target.resource_version == version_of(&secret))
        })
        .await;
    assert_eq!(status.revision.as_deref(), Some(revision.as_str()));
    let told: Vec<_> = status.history.iter().map(|change| change.version).collect();
    let expected: Vec<_> = (1..=version).rev().take(10).collect();
    assert_eq!(told, expected, "{:#?}", status.history);
    assert_eq!(status.history[0].revision, revision);
    for change in status.history.iter().filter(|change| change.version > 1) {
        assert_eq!((change.changed.names.as_slice(), change.added.count), (&["A".to_owned()][..], 0), "{change:?}");
    }
    // Read once more, for nothing: a change that the history has is not taken in again.
    let request = format!("manual/{version}");
    tenant.request(&request).await;
    let handled = tenant.until_status("handled", |s| s.last_handled_sync_request.as_ref() == Some(&request)).await;
    assert_eq!(handled.history, status.history);
    let space = Api::<Space>::all(tenant.client.clone()).get(&tenant.name).await.unwrap();
    assert_eq!(space.status.and_then(|status| status.entry).map(|entry| entry.version), Some(version));
    status
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_is_killed_at_any_moment_leaves_no_gap_and_nothing_twice() {
    let (world, mut operator) = world().await;
    let tenant = world.tenant(&[("A", "1")]).await;
    tenant.sync(json!({})).await;
    until_whole(&tenant, 1).await;
    for version in 2..=13_u64 {
        tenant.entry(&[("A", &version.to_string())]).await;
        // From before its watch tells of it until after all is written.
        let mut random = [0_u8];
        getrandom::fill(&mut random).expect("randomness");
        let delay = Duration::from_micros(u64::from(random[0]) * 250);
        tokio::time::sleep(delay).await;
        operator.signal("KILL");
        let reached = values(&tenant.api::<Secret>().get("secrets").await.unwrap())["A"] == version.to_string();
        println!("killed after {delay:?}, {} the write", if reached { "after" } else { "before" });
        next(&world, &mut operator).await;
        until_whole(&tenant, version).await;
    }
}

/// Takes a verb on a resource away from the operator: what it writes then ends exactly there. Gives what it had.
async fn cut(world: &World, resource: &str, verb: &str) -> Vec<PolicyRule> {
    let api = Api::<ClusterRole>::all(world.client().await);
    let before = api.get("spacesync-operator").await.unwrap().rules.unwrap_or_default();
    let mut rules = before.clone();
    for rule in &before {
        if rule.resources.iter().flatten().any(|r| r == resource) {
            let verbs = rule.verbs.iter().filter(|v| *v != verb).cloned().collect();
            rules.push(PolicyRule { resources: Some(vec![resource.to_owned()]), verbs, ..rule.clone() });
        }
    }
    for rule in &mut rules[..before.len()] {
        rule.resources.iter_mut().for_each(|resources| resources.retain(|r| r != resource));
    }
    rules
        .retain(|rule| !rule.verbs.is_empty() && rule.resources.as_ref().is_none_or(|resources| !resources.is_empty()));
    set_rules(world, &rules, resource, verb, "no").await;
    before
}

async fn set_rules(world: &World, rules: &[PolicyRule], resource: &str, verb: &str, expected: &str) {
    let api = Api::<ClusterRole>::all(world.client().await);
    let patch = Patch::Merge(json!({"rules": rules}));
    api.patch("spacesync-operator", &PatchParams::default(), &patch).await.unwrap();
    let (kind, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let subresource = format!("--subresource={subresource}");
    let ask = ["auth", "can-i", verb, kind, &subresource, "--all-namespaces", "--as", OPERATOR_USER];
    let began = std::time::Instant::now();
    // Nothing tells when the authorizer has seen it. `can-i` says no by its exit code too.
    loop {
        let mut command = world.plane.kubectl_command().expect("kubectl");
        let said = tokio::task::block_in_place(|| command.args(ask).output()).expect("kubectl ends");
        if String::from_utf8_lossy(&said.stdout).trim() == expected {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{said:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_dies_between_any_two_writes_is_gone_on_from_there() {
    let (world, mut operator) = world().await;
    let tenant = world.tenant(&[("A", "1")]).await;
    tenant.sync(json!({})).await;
    until_whole(&tenant, 1).await;
    let cuts = [("spaces/status", "patch"), ("secrets", "update"), ("spacesecretsyncs/status", "patch")];
    for (version, (resource, verb)) in (2..).zip(cuts) {
        let before = tenant.api::<SpaceSecretSync>().get("secrets").await.unwrap().status;
        let rules = cut(&world, resource, verb).await;
        tenant.entry(&[("A", &format!("{version}"))]).await;
        until_denied(&world, &tenant, resource).await;
        next_without(&world, &mut operator, resource, verb).await;
        let secret = tenant.api::<Secret>().get("secrets").await.unwrap();
        let status = tenant.api::<SpaceSecretSync>().get("secrets").await.unwrap().status;
        let written = values(&secret)["A"] == version.to_string();
        assert_eq!(written, resource == "spacesecretsyncs/status", "cut off before {resource}");
        assert_eq!(status.unwrap().revision, before.unwrap().revision);
        operator.kill();
        set_rules(&world, &rules, resource, verb, "yes").await;
        next(&world, &mut operator).await;
        until_whole(&tenant, version).await;
    }
}

/// Waits until the operator was kept from a write of this tenant.
async fn until_denied(world: &World, tenant: &Tenant<'_>, resource: &str) {
    let began = std::time::Instant::now();
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    loop {
        let entries = tokio::task::block_in_place(|| world.plane.audit_entries()).expect("an audit log");
        let denied = entries.iter().rev().take(200).any(|entry| {
            let about = &entry["objectRef"];
            entry["user"]["username"] == OPERATOR_USER
                && entry["responseStatus"]["code"] == 403
                && about["resource"] == resource
                && about["subresource"].as_str().unwrap_or_default() == subresource
                && [&about["namespace"], &about["name"]].iter().any(|part| **part == *tenant.name)
        });
        if denied {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "nothing was denied on {resource}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
