//! What pods are told, and what their acknowledgements say. No kubelet: the tests say what it would.

use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Pod, Secret},
};
use kube::{
    api::{Patch, PatchParams},
    runtime::{WatchStreamExt, watcher},
};
use serde_json::json;
use spacesync::resources::{FlowApp, FlowAppStatus};

use crate::{
    an_unchanged_world::quiet,
    tenant::{PATIENCE, Tenant, until, version_of},
    workload::{annotation, app_condition, app_message, signal},
    world::World,
};

async fn revision(tenant: &Tenant<'_>, value: &str) -> String {
    let secret = tenant.until_secret(&[("A", value)]).await;
    secret.metadata.annotations.unwrap()["spacesync.dev/revision"].clone()
}

/// Two running pods that have acknowledged `A=1`.
async fn two_acked(world: &World) -> (Tenant<'_>, String) {
    let tenant = world.tenant(&[("A", "1")]).await;
    tenant.with_ingest().await;
    let first = revision(&tenant, "1").await;
    for pod in ["a", "b"] {
        tenant.running(pod, "ingest").await;
        tenant.until_told(pod, &first).await;
        tenant.ack(pod, &first).await;
    }
    until_summary(&tenant, "2/2").await;
    (tenant, first)
}

async fn until_summary(tenant: &Tenant<'_>, summary: &str) -> FlowAppStatus {
    let told = |app: &FlowApp| app.status.as_ref().and_then(|s| s.summary.clone()).as_deref() == Some(summary);
    until(tenant.api::<FlowApp>(), "ingest", summary, told).await.status.unwrap()
}

#[tokio::test]
async fn running_pods_are_told_and_counted_when_they_acknowledge() {
    let tenant = World::shared().tenant(&[("A", "1")]).await;
    tenant.with_ingest().await;
    let first = revision(&tenant, "1").await;
    tenant.until_app("ingest", "Loaded", "True/NoPods").await;
    tenant.pod("waiting", "ingest").await;
    tenant.running("a", "ingest").await;
    tenant.running("b", "ingest").await;
    let told = tenant.until_told("a", &first).await;
    assert_eq!(annotation(&told, "flow-app-version").as_deref(), Some("5.3.0"));
    assert_eq!(signal(&told).unwrap().0, 1);
    tenant.until_told("b", &first).await;
    let app = tenant.until_app("ingest", "Loaded", "Unknown/AwaitingAck").await;
    assert!(app_message(&app, "Loaded").contains("0 of "), "{}", app_message(&app, "Loaded"));
    tenant.until_condition("Delivered", "Unknown/AwaitingAck").await;
    tenant.ack("a", &first).await;
    let status = until_summary(&tenant, "1/2").await;
    let of_a = status.pod_revisions.iter().find(|entry| entry.pod == "a").unwrap();
    assert_eq!((of_a.revision.as_ref(), of_a.reason.as_ref()), (Some(&first), None));
    tenant.ack("b", &first).await;
    tenant.until_app("ingest", "Loaded", "True/Loaded").await;
    let sync = tenant.until_condition("Delivered", "True/Delivered").await;
    let delivery = sync.status.unwrap().delivery.unwrap();
    assert_eq!((delivery.flow_apps, delivery.summary.as_str(), delivery.lagging.len()), (1, "2/2", 0));
    let waiting = tenant.api::<Pod>().get("waiting").await.unwrap();
    assert_eq!(annotation(&waiting, "revision"), None, "a pod that does not run is not told");
}

#[tokio::test]
async fn a_pod_that_starts_later_is_told_when_it_runs() {
    let (tenant, first) = two_acked(World::shared()).await;
    tenant.pod("late", "ingest").await;
    tenant.run("late").await;
    tenant.until_told("late", &first).await;
    until_summary(&tenant, "2/3").await;
    tenant.delete::<Pod>("late").await;
    until_summary(&tenant, "2/2").await;
}

#[tokio::test]
async fn a_new_version_is_told_after_its_secret_was_written_and_before_anything_else() {
    let (tenant, _) = two_acked(World::shared()).await;
    // Until the second of the last signal is over.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let before = tenant.requests().len();
    tenant.entry(&[("A", "2")]).await;
    let second = revision(&tenant, "2").await;
    for pod in ["a", "b"] {
        tenant.until_told(pod, &second).await;
        tenant.ack(pod, &second).await;
    }
    tenant.until_condition("Delivered", "True/Delivered").await;
    let requests = tenant.requests().split_off(before);
    let at = |what: &str| requests.iter().position(|request| request.contains(what)).unwrap_or(usize::MAX);
    let told = at("patch pods/a/status").max(at("patch pods/b/status"));
    assert!(at("update secrets/secrets") < told, "{requests:?}");
    assert!(told < at("patch flowapps/ingest/status"), "{requests:?}");
    assert!(!requests.iter().any(|request| request.contains("deployments")), "{requests:?}");
}

#[tokio::test]
async fn changes_within_a_second_are_gathered_into_one_signal() {
    let (tenant, first) = two_acked(World::shared()).await;
    let mut pods =
        watcher(tenant.api::<Pod>(), watcher::Config::default().fields("metadata.name=a")).touched_objects().boxed();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    for value in ["2", "3", "4", "5"] {
        tenant.entry(&[("A", value)]).await;
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    let last = revision(&tenant, "5").await;
    let mut told: Vec<(String, i64)> = Vec::new();
    while told.last().is_none_or(|(revision, _)| *revision != last) {
        let pod = tokio::time::timeout(PATIENCE, pods.next()).await.expect("in time").unwrap().unwrap();
        let seen = (annotation(&pod, "revision").unwrap(), signal(&pod).unwrap().1);
        if seen.0 != first && !told.contains(&seen) {
            told.push(seen);
        }
    }
    assert_eq!(told.len(), 2, "the first at once, the others together: {told:?}");
    assert!(told[1].1 - told[0].1 >= 1000, "{told:?}");
    assert!(told[1].1 - told[0].1 < 1500, "{told:?}");
}

#[tokio::test]
async fn a_pod_that_does_not_acknowledge_is_told_again_and_delivery_goes_on_for_the_others() {
    let (tenant, _) = two_acked(World::shared()).await;
    tenant.entry(&[("A", "2")]).await;
    let second = revision(&tenant, "2").await;
    let told = tenant.until_told("a", &second).await;
    tenant.until_told("b", &second).await;
    tenant.ack("b", &second).await;
    let sync = tenant.until_condition("Delivered", "False/Delivering").await;
    assert_eq!(sync.status.unwrap().delivery.unwrap().lagging[0].pod, "a");
    let (_, first_at) = signal(&told).unwrap();
    let again = |attempt| move |pod: &Pod| signal(pod).is_some_and(|(number, _)| number == attempt);
    let twice = until(tenant.api::<Pod>(), "a", "told twice", again(2)).await;
    let (_, second_at) = signal(&twice).unwrap();
    assert!((1500..2500).contains(&(second_at - first_at)), "{}", second_at - first_at);
    let thrice = until(tenant.api::<Pod>(), "a", "told three times", again(3)).await;
    let (_, third_at) = signal(&thrice).unwrap();
    assert!((4000..5000).contains(&(third_at - second_at)), "{}", third_at - second_at);
    let other = tenant.api::<Pod>().get("b").await.unwrap();
    assert_eq!(signal(&other).unwrap().0, 1, "one that has acknowledged is told once");
    tenant.ack("a", &second).await;
    tenant.until_condition("Delivered", "True/Delivered").await;
}

#[tokio::test]
async fn a_pod_of_which_we_gave_up_is_named() {
    let (tenant, first) = two_acked(World::shared()).await;
    // As if it had been told eight times: the signal is all that is remembered.
    let long_ago = jiff::Timestamp::now().as_millisecond() - 61_000;
    tenant.ack("a", "0-0000000000000000").await;
    tenant.annotate::<Pod>("a", "spacesync.dev/signal", Some(&format!("8/{long_ago}"))).await;
    tenant.patch::<FlowApp>("ingest", json!({"metadata": {"labels": {"look": "again"}}})).await;
    let app = tenant.until_app("ingest", "Loaded", "False/NoAck").await;
    assert!(app_message(&app, "Loaded").contains("1 pods do not acknowledge"), "{}", app_message(&app, "Loaded"));
    assert_eq!(app_condition(&app, "Ready"), "True/Ready");
    let sync = tenant.until_condition("Delivered", "False/NoAck").await;
    assert_eq!(sync.status.unwrap().delivery.unwrap().lagging[0].reason, "NoAck");
    tenant.ack("a", &first).await;
    tenant.until_condition("Delivered", "True/Delivered").await;
}

#[tokio::test]
async fn a_runtime_that_never_acknowledged_gets_one_retry_and_no_more() {
    let tenant = World::shared().tenant(&[("A", "1")]).await;
    tenant.with_ingest().await;
    let first = revision(&tenant, "1").await;
    tenant.running("mute", "ingest").await;
    tenant.until_told("mute", &first).await;
    let twice = |pod: &Pod| signal(pod).is_some_and(|(number, _)| number == 2);
    let told = until(tenant.api::<Pod>(), "mute", "told twice", twice).await;
    // Nobody asks it any more, and that is said of it.
    let sync = tenant.until_condition("Delivered", "Unknown/NeverAcked").await;
    assert_eq!(sync.status.unwrap().delivery.unwrap().lagging[0].reason, "NeverAcked");
    let app = tenant.until_app("ingest", "Loaded", "Unknown/NeverAcked").await;
    assert!(app_message(&app, "Loaded").contains("mute"), "{}", app_message(&app, "Loaded"));
    let before = tenant.requests();
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(version_of(&tenant.api::<Pod>().get("mute").await.unwrap()), version_of(&told));
    assert_eq!(tenant.requests(), before);
}

#[tokio::test]
async fn a_runtime_that_cannot_load_it_says_so() {
    let (tenant, first) = two_acked(World::shared()).await;
    let before = signal(&tenant.api::<Pod>().get("a").await.unwrap()).unwrap();
    tenant.ack_as("a", "False", "SnapshotIncomplete", &first).await;
    let app = tenant.until_app("ingest", "Loaded", "False/LoadFailed").await;
    let word = Some("LoadFailed:SnapshotIncomplete");
    assert_eq!(app.status.unwrap().pod_revisions[0].reason.as_deref(), word);
    let sync = tenant.until_condition("Delivered", "False/LoadFailed").await;
    assert_eq!(Some(sync.status.unwrap().delivery.unwrap().lagging[0].reason.as_str()), word);
    // It is told again, as any other that has not got it; and when it has, all is well.
    let again = |pod: &Pod| signal(pod).is_some_and(|(number, _)| number > before.0);
    until(tenant.api::<Pod>(), "a", "told again", again).await;
    tenant.ack("a", &first).await;
    let app = tenant.until_app("ingest", "Loaded", "True/Loaded").await;
    assert_eq!(app.status.unwrap().pod_revisions[0].reason, None);
    tenant.until_condition("Delivered", "True/Delivered").await;
}

#[tokio::test]
async fn what_runs_in_a_pod_and_its_legacy_nodes_stand_in_the_status() {
    let (tenant, _) = two_acked(World::shared()).await;
    let runtime = "node-red/5.0.7 plugin/0.1.0 protection/context-store";
    tenant.annotate::<Pod>("a", "spacesync.dev/runtime", Some(runtime)).await;
    tenant.annotate::<Pod>("b", "spacesync.dev/legacy-nodes", Some("3")).await;
    let told = |app: &FlowApp| {
        app.status.as_ref().is_some_and(|s| s.legacy_nodes == Some(3) && s.pod_revisions[0].runtime.is_some())
    };
    let app = until(tenant.api::<FlowApp>(), "ingest", "it says so", told).await;
    assert_eq!(app.status.unwrap().pod_revisions[0].runtime.as_deref(), Some(runtime));
}

#[tokio::test]
async fn an_app_that_reloads_nothing_is_told_its_version_and_no_revision() {
    let tenant = World::shared().tenant(&[("A", "1")]).await;
    tenant.workload::<Deployment>("ingest", crate::workload::template()).await;
    tenant.sync(json!({})).await;
    tenant.ingest(json!({"reload": "None"})).await;
    tenant.until_app("ingest", "Ready", "True/Ready").await;
    tenant.running("a", "ingest").await;
    let app = tenant.until_app("ingest", "Loaded", "Unknown/NotSignalled").await;
    assert_eq!(app_message(&app, "Loaded"), "reload is None: pods get no reload signal");
    until_summary(&tenant, "0/1").await;
    until_version(&tenant, "5.3.0").await;
    tenant.until_condition("Delivered", "True/NoPods").await;
    tenant.ingest(json!({"reload": "Hot"})).await;
    tenant.until_told("a", &revision(&tenant, "1").await).await;
}

/// Waits until pod `a` was told the version of its Flow App, which is all that it was told.
async fn until_version(tenant: &Tenant<'_>, version: &str) {
    let told = |pod: &Pod| annotation(pod, "flow-app-version").as_deref() == Some(version);
    let pod = until(tenant.api::<Pod>(), "a", version, told).await;
    assert_eq!((annotation(&pod, "revision"), signal(&pod)), (None, None));
}

#[tokio::test]
async fn a_pod_that_is_not_signalled_hears_the_version_once_so_that_below_5_3_the_legacy_node_serves_alone() {
    let world = World::start(devcluster::AuditLevel::Metadata);
    let mut operator = world.operator(&[]);
    for reload in ["None", "Restart"] {
        let tenant = world.tenant(&[("A", "1")]).await;
        tenant.with_ingest().await;
        tenant.ingest(json!({"reload": reload, "version": "5.2.9"})).await;
        tenant.until_app("ingest", "Supported", "False/LegacyNodeServes").await;
        tenant.running("a", "ingest").await;
        until_version(&tenant, "5.2.9").await;
        tenant.ingest(json!({"reload": reload, "version": "5.3.0"})).await;
        until_version(&tenant, "5.3.0").await;
        // Nobody answers, and nobody is asked again: by whoever told it, nor by the next.
        quiet(|| tenant.requests().len()).await;
        let before = tenant.requests();
        let told = before.iter().filter(|request| *request == "patch pods/a/status").count();
        assert_eq!(told, 2, "{reload}: {before:?}");
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(tenant.requests(), before, "{reload}, while it runs");
        operator = world.successor(&mut operator).await;
        assert_eq!(tenant.requests().split_off(before.len()), Vec::<String>::new(), "{reload}: {}", operator.log());
    }
}

#[tokio::test]
async fn another_version_of_the_flow_app_is_told_without_a_signal() {
    let (tenant, _) = two_acked(World::shared()).await;
    let before = signal(&tenant.api::<Pod>().get("a").await.unwrap());
    tenant.ingest(json!({"version": "5.4.0"})).await;
    let told = |pod: &Pod| annotation(pod, "flow-app-version").as_deref() == Some("5.4.0");
    let pod = until(tenant.api::<Pod>(), "a", "told the version", told).await;
    assert_eq!(signal(&pod), before);
}

#[tokio::test]
async fn another_pod_of_the_same_name_is_not_reached_by_a_signal_for_the_old_one() {
    let tenant = World::shared().tenant(&[]).await;
    tenant.running("a", "none").await;
    let patch = json!({"metadata": {"uid": "another", "annotations": {"spacesync.dev/signal": "1/1"}}});
    let pods = tenant.api::<Pod>();
    let refused = pods.patch_subresource("status", "a", &PatchParams::default(), &Patch::Strategic(patch)).await;
    let Err(kube::Error::Api(status)) = refused else { panic!("{refused:?}") };
    // The words by which the operator knows it.
    assert!(status.code == 422 && status.message.contains("metadata.uid: "), "{status:?}");
    assert_eq!(signal(&pods.get("a").await.unwrap()), None);
}

#[tokio::test]
async fn an_unchanged_world_costs_no_request_and_a_restart_reads_and_writes_nothing_of_it() {
    let world = World::start(devcluster::AuditLevel::Metadata);
    let mut operator = world.operator(&[]);
    let (tenant, _) = two_acked(&world).await;
    tenant.until_condition("Delivered", "True/Delivered").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = tenant.requests();
    let versions = versions(&tenant).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(tenant.requests(), before, "while it runs");
    let again = world.successor(&mut operator).await;
    assert_eq!(tenant.requests().split_off(before.len()), Vec::<String>::new(), "{}", again.log());
    assert_eq!(self::versions(&tenant).await, versions);
    tenant.entry(&[("A", "2")]).await;
    let second = revision(&tenant, "2").await;
    tenant.until_told("a", &second).await;
}

async fn versions(tenant: &Tenant<'_>) -> Vec<String> {
    vec![
        version_of(&tenant.api::<FlowApp>().get("ingest").await.unwrap()),
        version_of(&tenant.api::<Deployment>().get("ingest").await.unwrap()),
        version_of(&tenant.api::<Pod>().get("a").await.unwrap()),
        version_of(&tenant.api::<Secret>().get("secrets").await.unwrap()),
    ]
}
