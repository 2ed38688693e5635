//! A leader that stands still amid its writes, as on a machine that is paused, and goes on when another leads.

use std::time::{Duration, Instant};

use devcluster::AuditLevel;
use futures::{StreamExt, TryStreamExt, future::join_all};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    runtime::{WatchStreamExt, watcher},
};
use serde_json::json;
use spacesync::resources::SpaceSecretSync;
use tokio::time::timeout;

use crate::{
    running::{TAKEN_OVER, leads, within},
    tenant::{PATIENCE, Tenant},
    world::{OPERATOR_USER, Operator, World},
};

const TENANTS: usize = 24;

/// All that was written by one token of the operator, leases aside: verb and path.
fn writes_by(world: &World, credential: &str) -> Vec<String> {
    let entries = world.plane.audit_entries().expect("an audit log");
    let writes = entries.iter().filter(|entry| {
        entry["user"]["username"] == OPERATOR_USER
            && entry["user"]["extra"]["authentication.kubernetes.io/credential-id"][0] == credential
            && entry["stage"] == "ResponseComplete"
            && !["get", "list", "watch"].iter().any(|verb| entry["verb"] == *verb)
            && entry["objectRef"]["resource"] != "leases"
            // To ask what one may do is a `create` by its form only.
            && entry["objectRef"]["apiGroup"] != "authorization.k8s.io"
    });
    writes.map(|entry| format!("{} {}", entry["verb"], entry["requestURI"])).collect()
}

/// Changes all entries to what is their version by then.
async fn change(tenants: &[Tenant<'_>], version: u64) {
    let value = &version.to_string();
    join_all(tenants.iter().map(|tenant| async move { tenant.entry(&[("A", value)]).await })).await;
}

async fn all_hold(tenants: &[Tenant<'_>], version: u64) {
    let value = &version.to_string();
    join_all(tenants.iter().map(|tenant| async move { tenant.until_secret(&[("A", value)]).await })).await;
}

/// How many syncs do not stand at a version.
async fn behind(tenants: &[Tenant<'_>], version: u64) -> usize {
    let syncs =
        join_all(tenants.iter().map(|tenant| async { tenant.api::<SpaceSecretSync>().get("secrets").await })).await;
    let stands = |sync: &SpaceSecretSync| sync.status.as_ref().and_then(|status| status.version) == Some(version);
    syncs.into_iter().filter(|sync| !stands(sync.as_ref().unwrap())).count()
}

/// Lets changes gather while the leader stands still, lets it go on, and stops it again when the first of them is brought.
/// Gives the version that they have, how many of them it has not brought to an end, and when it was stopped.
async fn stop_amid_writes(leader: &Operator, tenants: &[Tenant<'_>]) -> (u64, usize, Instant) {
    for version in 2..8 {
        leader.signal("STOP");
        change(tenants, version).await;
        let secrets = Api::<Secret>::all(tenants[0].client.clone());
        let managed = watcher::Config::default().labels("spacesync.dev/sync");
        let mut secrets = watcher(secrets, managed).touched_objects().boxed();
        let all = secrets.by_ref().take(TENANTS).try_collect::<Vec<_>>();
        timeout(PATIENCE, all).await.expect("there are as many").unwrap();
        leader.signal("CONT");
        assert!(leads(leader), "changes took longer than its lease");
        timeout(PATIENCE, secrets.next()).await.expect("it brings one").unwrap().unwrap();
        leader.signal("STOP");
        let stopped_at = Instant::now();
        // What had left by then arrives.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let under_way = behind(tenants, version).await;
        if under_way > 0 {
            return (version, under_way, stopped_at);
        }
        leader.signal("CONT");
    }
    panic!("it was done each time before it was stopped");
}

#[tokio::test]
async fn a_leader_that_was_stopped_amid_its_writes_writes_nothing_once_another_leads() {
    let world = World::start(AuditLevel::Metadata);
    let [(kubeconfig, own), (of_next, other)] = [world.another_token(), world.another_token()];
    let stopped = world.operator(&[("KUBECONFIG", &kubeconfig)]);
    let tenants = join_all((0..TENANTS).map(|_| world.tenant(&[("A", "1")]))).await;
    join_all(tenants.iter().map(|tenant| tenant.sync(json!({"autoSync": "Live"})))).await;
    all_hold(&tenants, 1).await;
    assert!(leads(&stopped));
    let next = world.operator(&[("KUBECONFIG", &of_next)]);

    let (version, under_way, stopped_at) = stop_amid_writes(&stopped, &tenants).await;
    let (_, ()) =
        tokio::join!(within(TAKEN_OVER, "the next leads", async || leads(&next)), change(&tenants, version + 1));
    let took = stopped_at.elapsed();
    println!("taken over {took:?} after SIGSTOP, with {under_way} of {TENANTS} changes under way");
    assert!(took < TAKEN_OVER, "{took:?}");
    let before = writes_by(&world, &own);
    assert!(before.len() >= 2 * TENANTS, "{before:#?}");

    stopped.signal("CONT");
    within(Duration::from_secs(2), "it stands by", async || !leads(&stopped)).await;
    all_hold(&tenants, version + 1).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let since = writes_by(&world, &own).split_off(before.len());
    assert!(since.is_empty(), "{since:#?}");
    assert!(leads(&next));
    assert!(writes_by(&world, &other).len() >= TENANTS);
    assert!(!stopped.log().contains("could not be released"));
}
