//! When a sync looks: the schedules, *Sync now*, `suspend`.

use k8s_openapi::api::core::v1::Secret;
use serde_json::json;
use spacesync::resources::{Outcome, SpaceSecretSync, Trigger};

use crate::{
    tenant::{condition, values},
    world::World,
};

#[tokio::test]
async fn each_auto_sync_shows_its_effective_value_and_syncs_first_at_once() {
    let tenant = World::shared().tenant(&[("A", "1")]).await;
    for schedule in ["Live", "1m", "30m", "60m", "12h", "24h", "Manual"] {
        let name = format!("s-{}", schedule.to_lowercase());
        tenant.sync_named(&name, json!({"autoSync": schedule})).await;
        let synced = crate::tenant::until(tenant.api::<SpaceSecretSync>(), &name, "synced", |sync| {
            condition(sync, "Synced") == "True/Synced"
        })
        .await;
        let status = synced.status.unwrap();
        assert_eq!(json!(status.auto_sync), json!(schedule));
        assert_eq!(status.last_sync.unwrap().trigger, Trigger::First);
    }
}

#[tokio::test]
async fn a_schedule_does_not_bring_what_is_not_due_and_sync_now_does() {
    let tenant = World::shared().tenant(&[("A", "1")]).await;
    tenant.sync(json!({"autoSync": "Manual"})).await;
    tenant.sync_named("live", json!({})).await;
    tenant.until_secret(&[("A", "1")]).await;
    tenant.entry(&[("A", "2")]).await;
    crate::tenant::until(tenant.api::<Secret>(), "live", "live has it", |s| values(s)["A"] == "2").await;
    assert_eq!(values(&tenant.api::<Secret>().get("secrets").await.unwrap())["A"], "1");
    tenant.request("manual/1").await;
    tenant.until_secret(&[("A", "2")]).await;
    let status = tenant.until_status("handled", |s| s.last_handled_sync_request.as_deref() == Some("manual/1")).await;
    let last = status.last_sync.unwrap();
    assert_eq!((last.trigger, last.result), (Trigger::Manual, Outcome::Synced));
    assert_eq!(status.history[0].trigger, Trigger::Manual);
}

#[tokio::test]
async fn sync_now_with_nothing_new_says_unchanged_and_writes_no_secret() {
    let tenant = World::shared().tenant(&[("A", "1")]).await;
    tenant.sync(json!({})).await;
    let before = tenant.until_secret(&[("A", "1")]).await;
    tenant.until_condition("Ready", "True/Synced").await;
    tenant.request("save/7").await;
    let status = tenant.until_status("handled", |s| s.last_handled_sync_request.as_deref() == Some("save/7")).await;
    let last = status.last_sync.unwrap();
    assert_eq!((last.trigger, last.result), (Trigger::Save, Outcome::Unchanged));
    let after = tenant.api::<Secret>().get("secrets").await.unwrap();
    assert_eq!(after.metadata.resource_version, before.metadata.resource_version);
    assert_eq!(status.history.len(), 1);
}

#[tokio::test]
async fn suspend_defers_changes_and_requests_until_it_ends() {
    let tenant = World::shared().tenant(&[("A", "1")]).await;
    tenant.sync(json!({})).await;
    tenant.until_secret(&[("A", "1")]).await;
    tenant.sync(json!({"suspend": true})).await;
    tenant.until_condition("Ready", "True/Suspended").await;
    tenant.sync_named("witness", json!({})).await;
    tenant.entry(&[("A", "2")]).await;
    tenant.request("manual/9").await;
    crate::tenant::until(tenant.api::<Secret>(), "witness", "the other has it", |s| values(s)["A"] == "2").await;
    let sync = tenant.api::<SpaceSecretSync>().get("secrets").await.unwrap();
    assert_eq!(sync.status.unwrap().last_handled_sync_request, None);
    assert_eq!(values(&tenant.api::<Secret>().get("secrets").await.unwrap())["A"], "1");
    tenant.sync(json!({"suspend": false})).await;
    tenant.until_secret(&[("A", "2")]).await;
    tenant.until_status("handled", |s| s.last_handled_sync_request.as_deref() == Some("manual/9")).await;
}

#[tokio::test]
async fn a_request_that_fails_is_answered_with_failed() {
    let tenant = World::shared().tenant(&[]).await;
    tenant.sync(json!({})).await;
    tenant.until_condition("Synced", "False/SourceNotFound").await;
    tenant.request("manual/3").await;
    let status = tenant.until_status("handled", |s| s.last_handled_sync_request.as_deref() == Some("manual/3")).await;
    assert_eq!(status.last_sync.unwrap().result, Outcome::Failed);
}

#[tokio::test]
async fn each_new_version_is_told_once_as_an_event() {
    let tenant = World::shared().tenant(&[("A", "1")]).await;
    tenant.sync(json!({})).await;
    tenant.until_secret(&[("A", "1")]).await;
    tenant.entry(&[("A", "2")]).await;
    tenant.until_status("version 2", |s| s.version == Some(2)).await;
    tenant.request("manual/1").await;
    tenant.until_status("handled", |s| s.last_handled_sync_request.is_some()).await;
    let began = std::time::Instant::now();
    loop {
        let notes: Vec<_> = tenant.events().await.into_iter().filter(|(_, reason, _)| reason == "Synced").collect();
        if notes.len() == 2 {
            assert!(notes.iter().all(|(type_, ..)| type_ == "Normal"), "{notes:?}");
            break;
        }
        assert!(began.elapsed().as_secs() < 10, "{notes:?}");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}
