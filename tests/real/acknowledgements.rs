//! What a change costs that many pods acknowledge: counted in the audit log. No kubelet: the tests say what it would.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    ResourceExt,
    runtime::{WatchStreamExt, watcher},
};
use spacesync::resources::{SpaceSecretSync, SpaceSecretSyncStatus};

use crate::{
    tenant::{PATIENCE, Tenant, version_of},
    workload::annotation,
    world::World,
};

const PODS: usize = 100;
/// Requests that a test makes at once, as the pods' API would.
const AT_ONCE: usize = 16;

/// For what a change begins and ends with: the sync that wrote the Secret, and both when the last pod has it.
const ENDS: usize = 3;
/// For each second of acknowledgements: a count in the FlowApp's status, and one in the sync's.
const A_SECOND: usize = 2;

fn name(number: usize) -> String {
    format!("pod-{number:03}")
}

/// Acknowledges a revision for each pod that is told of it, after each the next this much later.
async fn acknowledge(tenant: &Tenant<'_>, revision: &str, apart: Duration) {
    let pods = watcher(tenant.api::<Pod>(), watcher::Config::default()).applied_objects();
    let mut told = BTreeSet::new();
    let newly = pods.filter_map(|pod| {
        let pod = pod.expect("a watch");
        let is_new = annotation(&pod, "revision").as_deref() == Some(revision) && told.insert(pod.name_any());
        std::future::ready(is_new.then(|| (pod.name_any(), apart * u32::try_from(told.len()).unwrap())))
    });
    let acks = newly.take(PODS).for_each_concurrent(None, async |(pod, after)| {
        tokio::time::sleep(after).await;
        tenant.ack(&pod, revision).await;
    });
    tokio::time::timeout(PATIENCE, acks).await.expect("all are told in time");
}

fn is_status(request: &str) -> bool {
    ["patch spacesecretsyncs/secrets/status", "patch flowapps/ingest/status"].contains(&request)
}

/// Waits until nothing was asked for a while.
async fn quiet(tenant: &Tenant<'_>) {
    let (mut last, mut since) = (tenant.requests().len(), Instant::now());
    while since.elapsed() < Duration::from_secs(3) {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let now = tenant.requests().len();
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
}

async fn revision_of(tenant: &Tenant<'_>, value: &str) -> String {
    tenant.until_secret(&[("A", value)]).await.annotations()["spacesync.dev/revision"].clone()
}

/// Waits until the sync says that all pods have this revision.
async fn until_delivered(tenant: &Tenant<'_>, revision: &str) -> SpaceSecretSync {
    let has_it = |status: &SpaceSecretSyncStatus| {
        let summary = status.delivery.as_ref().map(|delivery| delivery.summary.as_str());
        status.revision.as_deref() == Some(revision) && summary == Some("100/100")
    };
    tenant.until_sync("all have it", |sync| sync.status.as_ref().is_some_and(has_it)).await
}

/// A change that all pods acknowledge, one every `apart`: how many seconds that took, and the writes of statuses.
async fn change(tenant: &Tenant<'_>, value: &str, apart: Duration) -> (usize, usize) {
    let before = tenant.requests().len();
    let began = Instant::now();
    tenant.entry(&[("A", value)]).await;
    let revision = revision_of(tenant, value).await;
    acknowledge(tenant, &revision, apart).await;
    let acked = began.elapsed();
    let delivered = until_delivered(tenant, &revision).await;
    let said = began.elapsed();
    quiet(tenant).await;
    let requests = tenant.requests().split_off(before);
    let writes = requests.iter().filter(|request| is_status(request)).count();
    let signals = requests.iter().filter(|request| request.contains("pods/pod-")).count();
    println!(
        "{PODS} pods acknowledged within {acked:?}, said after {said:?}: {writes} status writes, {signals} signals"
    );
    assert!(signals >= PODS, "{signals}");
    // What was written last shows the end.
    let app = tenant.until_app("ingest", "Loaded", "True/Loaded").await;
    assert_eq!(app.status.unwrap().summary.as_deref(), Some("100/100"));
    let last = tenant.until_condition("Delivered", "True/Delivered").await;
    assert_eq!(version_of(&last), version_of(&delivered));
    (usize::try_from(acked.as_secs()).unwrap(), writes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_acknowledgements_cost_a_handful_of_status_writes() {
    let tenant = World::shared().tenant(&[("A", "1")]).await;
    tenant.with_ingest().await;
    let first = revision_of(&tenant, "1").await;
    let start = stream::iter(0..PODS).for_each_concurrent(AT_ONCE, async |n| tenant.running(&name(n), "ingest").await);
    tokio::join!(start, acknowledge(&tenant, &first, Duration::ZERO));
    until_delivered(&tenant, &first).await;
    quiet(&tenant).await;
    for (value, apart) in [("2", Duration::ZERO), ("3", Duration::from_millis(18))] {
        let (seconds, writes) = change(&tenant, value, apart).await;
        // 5 for what takes less than a second, 7 for less than two.
        assert!(writes <= ENDS + A_SECOND * (seconds + 1), "{writes} writes in {seconds} s");
    }
}
