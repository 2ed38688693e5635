//! Every replica serves, and any of them may go at any moment.

use std::time::{Duration, Instant};

use devcluster::AuditLevel;
use k8s_openapi::api::core::v1::Secret;
use serde_json::json;

use super::client::Pod;
use crate::{
    tenant::values,
    world::{Operator, World},
};

fn leads(operator: &Operator) -> bool {
    operator.get("/metrics").is_some_and(|(_, metrics)| metrics.lines().any(|line| line == "spacesync_leader 1"))
}

async fn until_leader(operator: &Operator) {
    let began = Instant::now();
    while !leads(operator) {
        assert!(began.elapsed() < Duration::from_secs(30), "{}", operator.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_follower_serves_everything_and_a_request_survives_the_leader() {
    let world = World::start(AuditLevel::Metadata);
    let mut leader = world.operator(&[]);
    until_leader(&leader).await;
    let follower = world.operator(&[]);
    assert!(!leads(&follower));
    let tenant = world.tenant(&[("A", "1")]).await;
    tenant.with_ingest().await;
    let secret = tenant.until_secret(&[("A", "1")]).await;
    let revision = secret.metadata.annotations.unwrap()["spacesync.dev/revision"].clone();
    tenant.running("a", "ingest").await;
    tenant.until_told("a", &revision).await;

    // Every endpoint, at the replica that does not lead.
    let pod = Pod::new(&tenant, "a", &follower).await;
    assert_eq!(pod.ack(&revision).await.status, 204);
    tenant.until_app("ingest", "Loaded", "True/Loaded").await;
    assert_eq!(pod.settings(json!({"autoSync": "Manual"})).await.body["autoSync"]["value"], "Manual");
    tenant.until_status("the schedule", |status| json!(status.auto_sync) == "Manual").await;
    tenant.entry(&[("A", "2")]).await;
    let said = pod.sync(json!({"trigger": "manual", "wait": 30})).await;
    assert_eq!((&said.body["state"], &said.body["version"]), (&json!("done"), &json!(2)), "{said:?}");
    let status = pod.status().await.body;
    assert_eq!((&status["version"], &status["syncing"]), (&json!(2), &json!(false)));
    assert!(!leads(&follower));

    // Two replicas are asked at the same moment: one writes, the other joins.
    tenant.sync(json!({"suspend": true})).await;
    tenant.until_condition("Ready", "True/Suspended").await;
    tenant.running("b", "ingest").await;
    let other = Pod::new(&tenant, "b", &leader).await;
    other.status().await;
    let ask = json!({"trigger": "save"});
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (here, there) = tokio::join!(pod.sync(ask.clone()), other.sync(ask));
    assert_eq!((here.status, &here.body["state"]), (202, &json!("suspended")), "{here:?}");
    assert_eq!(here.body["request"], there.body["request"], "{there:?}");
    tenant.sync(json!({"suspend": false})).await;
    let request = here.body["request"].as_str().unwrap().to_owned();
    tenant.until_status("handled", |status| status.last_handled_sync_request.as_ref() == Some(&request)).await;

    // The leader hangs, takes no more of a request than the annotation, and is killed: it is still done, once.
    leader.signal("STOP");
    tenant.entry(&[("A", "3")]).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let asked = tokio::spawn({
        let pod = pod.at(&tenant, &follower).await;
        async move { pod.sync(json!({"trigger": "manual", "wait": 30})).await }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let status = pod.status().await.body;
    assert_eq!((&status["version"], &status["syncing"]), (&json!(2), &json!(true)));
    leader.kill();
    let said = asked.await.unwrap();
    assert_eq!((&said.body["state"], &said.body["version"]), (&json!("done"), &json!(3)), "{said:?}");
    assert!(leads(&follower));
    assert_eq!(values(&tenant.api::<Secret>().get("secrets").await.unwrap())["A"], "3");
    let status = tenant.until_status("handled", |status| status.version == Some(3)).await;
    assert_eq!(json!(status.last_handled_sync_request), said.body["request"]);
    assert_eq!(status.history.len(), 3);
    let writes = tenant.requests().iter().filter(|line| *line == "update secrets/secrets").count();
    assert_eq!(writes, 2, "one for each change");

    // One that ends in peace answers whoever waits.
    let mut last = world.operator(&[]);
    follower.signal("STOP");
    tokio::time::sleep(Duration::from_secs(2)).await;
    let asked = tokio::spawn({
        let pod = pod.at(&tenant, &last).await;
        async move { pod.sync(json!({"trigger": "save", "wait": 30})).await }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let began = Instant::now();
    last.signal("TERM");
    let said = asked.await.unwrap();
    assert_eq!((said.status, &said.body["state"]), (202, &json!("pending")), "{said:?}");
    assert!(last.wait().success() && began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    follower.signal("CONT");
}

#[tokio::test]
async fn without_the_api_server_a_pod_is_told_to_come_again() {
    let mut world = World::start(AuditLevel::Metadata);
    let operator = world.operator(&[]);
    let (known, unknown, revision) = {
        let tenant = world.tenant(&[("A", "1")]).await;
        tenant.with_ingest().await;
        let secret = tenant.until_secret(&[("A", "1")]).await;
        let revision = secret.metadata.annotations.unwrap()["spacesync.dev/revision"].clone();
        for pod in ["a", "b"] {
            tenant.running(pod, "ingest").await;
            tenant.until_told(pod, &revision).await;
        }
        (Pod::new(&tenant, "a", &operator).await, Pod::new(&tenant, "b", &operator).await, revision)
    };
    assert_eq!(known.ack(&revision).await.status, 204);
    world.plane.stop_api_server();
    for said in [
        unknown.ack(&revision).await,
        known.ack("9-0123456789abcdef").await,
        known.settings(json!({"autoSync": "1m"})).await,
        known.sync(json!({"trigger": "manual"})).await,
    ] {
        assert_eq!((said.problem(), said.header("retry-after")), ((503, "Unavailable"), "2"), "{said:?}");
    }
    // What is known can be told, and what was written needs no writing.
    assert_eq!(known.status().await.body["revision"], revision);
    assert_eq!(known.ack(&revision).await.status, 204);
    world.plane.start_api_server().unwrap();
    let began = Instant::now();
    while unknown.ack(&revision).await.status != 204 {
        assert!(began.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
