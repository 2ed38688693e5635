//! Running it: what is missing, who leads, and what a restart costs.

use std::time::{Duration, Instant};

use devcluster::AuditLevel;
use k8s_openapi::api::{coordination::v1::Lease, core::v1::Secret};
use kube::{Api, ResourceExt};
use serde_json::json;

use crate::{
    tenant::Tenant,
    world::{Operator, SYSTEM, World},
};

/// Waits until `holds`, for as long as it may take at most.
pub async fn within(limit: Duration, what: &str, holds: impl AsyncFn() -> bool) -> Duration {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < limit, "not within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    began.elapsed()
}

fn readiness(operator: &Operator) -> (u16, String) {
    operator.get("/readyz").unwrap_or_default()
}

/// Whether a replica leads.
pub fn leads(operator: &Operator) -> bool {
    operator.get("/metrics").is_some_and(|(_, metrics)| metrics.lines().any(|line| line == "spacesync_leader 1"))
}

async fn holder(tenant: &Tenant<'_>) -> Option<String> {
    let leases = Api::<Lease>::namespaced(tenant.client.clone(), SYSTEM);
    leases.get_opt("spacesync").await.unwrap()?.spec?.holder_identity.filter(|holder| !holder.is_empty())
}

const SOON: Duration = Duration::from_secs(30);

#[tokio::test]
async fn what_is_missing_is_named_and_its_coming_is_noticed() {
    let world = World::start(AuditLevel::Metadata);
    world.plane.kubectl(&["delete", "crd", "flowapps.spacesync.dev"]).unwrap();
    let mut operator = world.operator_unready(&[]);
    let only = "flowapps.spacesync.dev: is not installed; apply the output of `spacesync crds`\n";
    within(SOON, "the definition is named", async || readiness(&operator) == (503, only.into())).await;
    assert_eq!(operator.get("/healthz"), Some((200, "ok\n".into())));
    let crds = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
    world.plane.kubectl(&["apply", "--server-side", "-k", &crds.to_string_lossy()]).unwrap();
    within(SOON, "it is ready", async || readiness(&operator) == (200, "ok\n".into())).await;
    operator.kill();
    // Without any permission it is the first thing that it needs; then all that it watches.
    world.plane.kubectl(&["delete", "clusterrolebinding", "spacesync-operator"]).unwrap();
    let operator = world.operator_unready(&[]);
    let own = "read Secret spacesync-system/spacesync-fingerprint-key: forbidden: ";
    within(SOON, "the first permission is named", async || readiness(&operator).1.contains(own)).await;
    let view = ["create", "clusterrolebinding", "view", "--clusterrole=spacesync-test"];
    let role = ["create", "clusterrole", "spacesync-test", "--verb=get,list,watch", "--resource=secrets,configmaps"];
    world.plane.kubectl(&role).unwrap();
    world.plane.kubectl(&[&view[..], &["--serviceaccount=spacesync-system:spacesync"]].concat()).unwrap();
    let watched = "spaces.spacesync.dev: spaces.spacesync.dev is forbidden: \
                   User \"system:serviceaccount:spacesync-system:spacesync\" cannot";
    within(SOON, "each is named", async || readiness(&operator).1.contains(watched)).await;
    assert_eq!(readiness(&operator).0, 503);
}

#[tokio::test]
async fn a_replica_that_is_cut_off_stops_leading_in_time_stays_ready_and_comes_back() {
    let mut world = World::start(AuditLevel::Metadata);
    let operator = world.operator(&[]);
    within(SOON, "it leads", async || leads(&operator)).await;
    world.plane.stop_api_server();
    let gave_up = within(Duration::from_secs(11), "it gives up", async || !leads(&operator)).await;
    println!("gave up {gave_up:?} after the API server went");
    assert_eq!(readiness(&operator), (200, "ok\n".into()));
    world.plane.start_api_server().unwrap();
    within(SOON, "it leads again", async || leads(&operator)).await;
    let tenant = world.tenant(&[("A", "1")]).await;
    tenant.sync(json!({})).await;
    tenant.until_secret(&[("A", "1")]).await;
}

#[tokio::test]
async fn one_of_two_replicas_leads_and_the_other_takes_over_whatever_ends_it() {
    let world = World::start(AuditLevel::Metadata);
    let mut first = world.operator(&[]);
    let tenant = world.tenant(&[("A", "1")]).await;
    tenant.sync(json!({"autoSync": "Manual"})).await;
    tenant.until_secret(&[("A", "1")]).await;
    assert!(leads(&first));
    let second = world.operator(&[]);
    assert!(!leads(&second));

    // A leader that ends in peace hands over at once.
    let identity = holder(&tenant).await;
    first.signal("TERM");
    assert!(first.wait().success());
    assert_eq!(holder(&tenant).await.filter(|holder| Some(holder) == identity.as_ref()), None);
    let took = within(Duration::from_secs(4), "the second leads", async || leads(&second)).await;
    println!("taken over {took:?} after SIGTERM");

    // One that is stopped is succeeded within the lease, and writes nothing when it goes on.
    let third = world.operator(&[]);
    second.signal("STOP");
    let took = within(Duration::from_secs(19), "the third leads", async || leads(&third)).await;
    println!("taken over {took:?} after SIGSTOP");
    second.signal("CONT");
    within(Duration::from_secs(2), "the second stands by", async || !leads(&second)).await;
    assert!(leads(&third));
    assert!(!second.log().contains("could not be released"));

    // One that is killed is succeeded within the lease; what changed in between is not lost.
    let mut third = third;
    third.kill();
    tenant.entry(&[("A", "2")]).await;
    tenant.request("manual/1").await;
    let took = within(Duration::from_secs(19), "the second leads again", async || leads(&second)).await;
    println!("taken over {took:?} after SIGKILL");
    tenant.until_secret(&[("A", "2")]).await;
}

#[tokio::test]
async fn a_restart_with_nothing_changed_writes_nothing_for_spaces_and_secret_managers() {
    let world = World::start(AuditLevel::Metadata);
    let mut operator = world.operator(&[]);
    let tenant = world.tenant(&[("A", "1")]).await;
    tenant.sync(json!({})).await;
    let secret = tenant.until_secret(&[("A", "1")]).await;
    tenant.until_condition("Ready", "True/Synced").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    operator.signal("TERM");
    operator.wait();
    let before = world.requests_of_operator().len();
    let operator = world.operator(&[]);
    within(SOON, "it leads", async || leads(&operator)).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let since = world.requests_of_operator().split_off(before);
    let writes: Vec<_> = since.iter().filter(|(verb, _)| !["get", "list"].contains(&verb.as_str())).collect();
    assert!(writes.is_empty(), "{writes:?}");
    assert!(since.len() <= 30, "{since:?}");
    let now = tenant.api::<Secret>().get("secrets").await.unwrap();
    assert_eq!(now.resource_version(), secret.resource_version());
}

#[tokio::test]
async fn metrics_are_openmetrics_and_other_crates_trace_nothing_whatever_is_asked_for() {
    let world = World::start(AuditLevel::Metadata);
    let operator = world.operator(&[("RUST_LOG", "trace"), ("SPACESYNC_LOG_FORMAT", "text")]);
    let metrics = operator.get("/metrics").unwrap();
    assert_eq!(metrics.0, 200);
    assert!(metrics.1.ends_with("# EOF\n"), "{}", metrics.1);
    for noisy in ["hyper::", "h2::", "rustls::", "tower::", "kube_client::"] {
        assert!(!operator.log().lines().any(|line| line.contains("TRACE") && line.contains(noisy)), "{noisy}");
    }
}
