//! What a runtime gets: the status, a sync, its settings, and that its acknowledgement counts.

use std::time::Duration;

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

#[tokio::test]
async fn a_status_that_is_known_is_not_sent_again() {
    let (tenant, revision) = one_pod(World::shared()).await;
    tenant.until_condition("Delivered", "Unknown/AwaitingAck").await;
    let pod = Pod::new(&tenant, "a", World::shared_operator()).await;
    let first = pod.status().await;
    let etag = first.header("etag").to_owned();
    // Something that has just moved may move it again: then the answer is whole, with another tag.
    let again = pod.status_if_none_match(&format!("\"other\", W/{etag}")).await;
    assert!(again.status == 304 || again.header("etag") != etag, "{again:?}");
    // More than two a second are refused.
    let third = pod.status_if_none_match("").await;
    assert_eq!((third.problem(), third.header("retry-after")), ((429, "TooManyRequests"), "1"));
    pod.ack(&revision).await;
    tenant.until_app("ingest", "Loaded", "True/Loaded").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let after = pod.status_if_none_match(&etag).await;
    assert_eq!((after.status, &after.body["pod"]["loaded"]), (200, &json!(revision)));
}

#[tokio::test]
async fn what_a_runtime_could_not_load_is_said_in_a_word_and_its_text_thrown_away() {
    let (tenant, revision) = one_pod(World::shared()).await;
    let pod = Pod::new(&tenant, "a", World::shared_operator()).await;
    let failed = |error: &str| json!({"revision": revision, "error": error, "runtime": runtime()});
    assert_eq!(pod.acks(failed("SnapshotIncomplete")).await.status, 204);
    tenant.until_app("ingest", "Loaded", "False/LoadFailed").await;
    assert_eq!(pod.acks(failed("cannot read hunter2")).await.status, 204);
    let reason = |pod: &CorePod| {
        let conditions = pod.status.as_ref()?.conditions.clone()?;
        conditions.into_iter().find(|condition| condition.type_ == "spacesync.dev/Loaded")?.reason
    };
    let seen =
        until(tenant.api::<CorePod>(), "a", "failed", |pod| reason(pod).as_deref() == Some("RuntimeError")).await;
    assert!(!serde_json::to_string(&seen).unwrap().contains("hunter2"));
    assert!(!World::shared_log().contains("hunter2"));
    assert_eq!(pod.ack(&revision).await.status, 204);
    tenant.until_app("ingest", "Loaded", "True/Loaded").await;
}

/// Count and sum of `spacesync_delivery_seconds`.
fn delivered() -> (u64, f64) {
    let (_, text) = World::shared_operator().get("/metrics").unwrap();
    let of = |name: &str| -> f64 {
        let lines = text.lines().filter(|line| line.starts_with(&format!("spacesync_delivery_seconds_{name}{{")));
        lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
    };
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
    let count = of("count") as u64;
    (count, of("sum"))
}

#[tokio::test]
async fn the_time_from_the_store_to_the_runtime_is_counted_once_for_each_pod_and_change() {
    let (tenant, first) = one_pod(World::shared()).await;
    tenant.running("b", "ingest").await;
    let pods = [
        Pod::new(&tenant, "a", World::shared_operator()).await,
        Pod::new(&tenant, "b", World::shared_operator()).await,
    ];
    for pod in &pods {
        assert_eq!(pod.ack(&first).await.status, 204);
    }
    tenant.until_condition("Delivered", "True/Delivered").await;
    assert_eq!(delivered().0, 0, "the first revision is no change");
    let began = std::time::Instant::now();
    tenant.entry(&[("A", "2")]).await;
    let secret = tenant.until_secret(&[("A", "2")]).await;
    let second = secret.metadata.annotations.unwrap()["spacesync.dev/revision"].clone();
    for pod in &pods {
        for _ in 0..3 {
            assert_eq!(pod.ack(&second).await.status, 204);
        }
    }
    tenant.until_condition("Delivered", "True/Delivered").await;
    let took = began.elapsed().as_secs_f64();
    let (count, sum) = delivered();
    println!("2 deliveries within {took:.3} s were counted as {sum:.3} s in all");
    assert!(count == 2 && sum > 0.0 && sum <= 2.0 * took, "{count} {sum} {took}");
    // An earlier revision, and one that nobody brought, are none.
    pods[0].ack(&first).await;
    pods[0].ack("7-0123456789abcdef").await;
    pods[0].ack(&second).await;
    tenant.until_condition("Delivered", "True/Delivered").await;
    assert_eq!(delivered().0, 2);
}

#[tokio::test]
async fn whoever_connects_and_says_nothing_is_shown_out_and_keeps_nobody_waiting() {
    use tokio::{io::AsyncReadExt, net::TcpStream};
    let (tenant, revision) = one_pod(World::shared()).await;
    let at = World::shared_operator().api;
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(TcpStream::connect(at).await.unwrap());
    }
    let pod = Pod::new(&tenant, "a", World::shared_operator()).await;
    assert_eq!(pod.ack(&revision).await.status, 204);
    let began = std::time::Instant::now();
    for stream in &mut silent {
        let ended = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut [0; 1])).await;
        assert!(matches!(ended, Ok(Ok(0) | Err(_))), "{ended:?}");
    }
    println!("shown out after {:?}", began.elapsed());
    // Plain HTTP gets no answer, least of all a redirect.
    let mut plain = TcpStream::connect(at).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut plain, b"GET /v1/status HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let mut said = Vec::new();
    let _ = plain.read_to_end(&mut said).await;
    assert!(!String::from_utf8_lossy(&said).contains("HTTP/"), "{said:?}");
}
