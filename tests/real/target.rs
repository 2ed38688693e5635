//! The managed Secret and whoever else touches it.

use std::collections::BTreeMap;

use k8s_openapi::{
    ByteString,
    api::core::v1::{ResourceQuota, Secret},
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, PostParams},
};
use serde_json::json;
use spacesync::resources::{Outcome, SpaceSecretSync, SpaceSecretSyncStatus, Trigger};

use crate::{
    tenant::{Tenant, condition, message, until, until_gone, values},
    world::World,
};

async fn foreign(tenant: &Tenant<'_>, annotations: &[(&str, &str)], type_: &str) -> Secret {
    let data = BTreeMap::from([("theirs".to_owned(), ByteString(b"precious".to_vec()))]);
    let mut secret = Secret { data: Some(data), type_: Some(type_.into()), ..Secret::default() };
    secret.metadata.name = Some("secrets".into());
    secret.metadata.annotations = Some(annotations.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect());
    tenant.api::<Secret>().create(&PostParams::default(), &secret).await.unwrap()
}

async fn synced(tenant: &Tenant<'_>) -> Secret {
    tenant.sync(json!({})).await;
    let secret = tenant.until_secret(&[("A", "1")]).await;
    tenant.until_condition("Ready", "True/Synced").await;
    secret
}

#[tokio::test]
async fn an_edited_secret_is_put_back_from_the_store() {
    let tenant = World::shared().tenant(&[("A", "1")]).await;
    synced(&tenant).await;
    tenant.patch::<Secret>("secrets", json!({"stringData": {"A": "edited", "EXTRA": "x"}})).await;
    tenant.until_secret(&[("A", "1")]).await;
    let status = tenant.until_status("drift", |s| s.history[0].trigger == Trigger::Drift).await;
    assert_eq!(status.version, Some(1));
    assert_eq!(status.history[0].changed.names, ["A"]);
    assert_eq!(status.history[0].removed.names, ["EXTRA"]);
}

#[tokio::test]
async fn a_deleted_secret_is_put_back() {
    let tenant = World::shared().tenant(&[("A", "1")]).await;
    let before = synced(&tenant).await;
    tenant.delete::<Secret>("secrets").await;
    let uid = before.metadata.uid;
    until(tenant.api::<Secret>(), "secrets", "a new one", |s| s.metadata.uid != uid && values(s).len() == 1).await;
    tenant.until_status("drift", |s| s.history[0].trigger == Trigger::Drift).await;
}

#[tokio::test]
async fn a_secret_that_was_made_immutable_is_made_anew() {
    let tenant = World::shared().tenant(&[("A", "1")]).await;
    let before = synced(&tenant).await;
    tenant.patch::<Secret>("secrets", json!({"immutable": true})).await;
    let fresh = until(tenant.api::<Secret>(), "secrets", "it is not immutable", |secret| {
        secret.immutable != Some(true) && secret.metadata.uid != before.metadata.uid
    })
    .await;
    assert_eq!(values(&fresh)["A"], "1");
    tenant.entry(&[("A", "2")]).await;
    tenant.until_secret(&[("A", "2")]).await;
}

#[tokio::test]
async fn our_annotations_are_put_back_too() {
    let tenant = World::shared().tenant(&[("A", "1")]).await;
    let before = synced(&tenant).await;
    tenant.annotate::<Secret>("secrets", "spacesync.dev/revision", Some("9-0000000000000000")).await;
    let revision = before.metadata.annotations.unwrap()["spacesync.dev/revision"].clone();
    until(tenant.api::<Secret>(), "secrets", "our revision", |secret| {
        secret.metadata.annotations.as_ref().is_some_and(|a| a["spacesync.dev/revision"] == revision)
    })
    .await;
}

#[tokio::test]
async fn a_label_of_somebody_else_is_not_drift() {
    let tenant = World::shared().tenant(&[("A", "1")]).await;
    synced(&tenant).await;
    let labelled = tenant.patch::<Secret>("secrets", json!({"metadata": {"labels": {"theirs": "yes"}}})).await;
    let version = labelled.metadata.resource_version.clone();
    let status =
        tenant.until_status("seen", |s| s.target.as_ref().map(|t| t.resource_version.clone()) == version).await;
    assert_eq!(status.history.len(), 1);
    let after = tenant.api::<Secret>().get("secrets").await.unwrap();
    assert_eq!(after.metadata.labels.unwrap()["theirs"], "yes");
}

#[tokio::test]
async fn a_foreign_secret_is_refused_by_name_and_left_alone() {
    let tenant = World::shared().tenant(&[("A", "1")]).await;
    let theirs = foreign(&tenant, &[], "Opaque").await;
    tenant.sync(json!({})).await;
    let sync = tenant.until_condition("Ready", "False/TargetConflict").await;
    assert!(message(&sync, "Ready").contains("Secret secrets exists and is not managed by this sync"));
    assert_eq!(condition(&sync, "Stalled"), "True/TargetConflict");
    let still = tenant.api::<Secret>().get("secrets").await.unwrap();
    assert_eq!(still.metadata.resource_version, theirs.metadata.resource_version);
    tenant.delete::<Secret>("secrets").await;
    tenant.until_secret(&[("A", "1")]).await;
    tenant.until_condition("Ready", "True/Synced").await;
}

#[tokio::test]
async fn its_owner_may_let_a_foreign_secret_be_adopted() {
    for type_ in ["Opaque", "example.com/theirs"] {
        let tenant = World::shared().tenant(&[("A", "1")]).await;
        foreign(&tenant, &[("spacesync.dev/adopt", "another")], type_).await;
        tenant.sync(json!({})).await;
        tenant.until_condition("Ready", "False/TargetConflict").await;
        tenant.annotate::<Secret>("secrets", "spacesync.dev/adopt", Some("secrets")).await;
        tenant.request("manual/1").await;
        tenant.until_secret(&[("A", "1")]).await;
        tenant.until_condition("Ready", "True/Synced").await;
    }
}

#[tokio::test]
async fn of_two_syncs_with_one_target_the_older_has_it_until_it_goes() {
    let tenant = World::shared().tenant(&[("A", "1")]).await;
    tenant.sync_named("older", json!({"target": {"name": "secrets"}})).await;
    until(tenant.api::<SpaceSecretSync>(), "older", "synced", |s| condition(s, "Ready") == "True/Synced").await;
    // Creation times have whole seconds.
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    tenant.sync_named("secrets", json!({})).await;
    let sync = tenant.until_condition("Ready", "False/TargetTaken").await;
    assert!(message(&sync, "Ready").contains("the older sync older"), "{}", message(&sync, "Ready"));
    tenant.delete::<SpaceSecretSync>("older").await;
    let taken = until(tenant.api::<Secret>(), "secrets", "it is the other's", |secret| {
        secret.metadata.labels.as_ref().is_some_and(|l| l["spacesync.dev/sync"] == "secrets")
    })
    .await;
    assert_eq!(values(&taken)["A"], "1");
    tenant.until_condition("Ready", "True/Synced").await;
}

#[tokio::test]
async fn a_deleted_sync_takes_its_secret_along_unless_it_is_to_be_retained() {
    let tenant = World::shared().tenant(&[("A", "1")]).await;
    synced(&tenant).await;
    tenant.sync_named("kept", json!({"target": {"deletionPolicy": "Retain"}})).await;
    until(tenant.api::<Secret>(), "kept", "it is there", |_| true).await;
    tenant.delete::<SpaceSecretSync>("secrets").await;
    tenant.delete::<SpaceSecretSync>("kept").await;
    until_gone(tenant.api::<Secret>(), "secrets").await;
    let kept = until(tenant.api::<Secret>(), "kept", "it is let go", |secret| {
        secret.metadata.labels.as_ref().is_none_or(|labels| !labels.contains_key("spacesync.dev/sync"))
    })
    .await;
    assert_eq!(values(&kept)["A"], "1");
    // After a Retain a sync of that name needs the owner's consent.
    tenant.sync_named("kept", json!({})).await;
    until(tenant.api::<SpaceSecretSync>(), "kept", "a conflict", |s| condition(s, "Ready") == "False/TargetConflict")
        .await;
    tenant.annotate::<Secret>("kept", "spacesync.dev/adopt", Some("kept")).await;
    until(tenant.api::<SpaceSecretSync>(), "kept", "adopted", |s| condition(s, "Ready") == "True/Synced").await;
}

#[tokio::test]
async fn what_a_sync_last_said_of_its_secret_holds_also_where_it_could_bring_nothing_since() {
    let tenant = World::shared().tenant(&[("A", "1")]).await;
    synced(&tenant).await;
    tenant.sync(json!({"suspend": true})).await;
    tenant.until_condition("Ready", "True/Suspended").await;
    // Somebody guards it, which must not keep it from being let go.
    tenant.patch::<Secret>("secrets", json!({"immutable": true})).await;
    tenant.sync(json!({"suspend": true, "target": {"deletionPolicy": "Retain"}})).await;
    tenant.delete::<SpaceSecretSync>("secrets").await;
    let kept = until(tenant.api::<Secret>(), "secrets", "it is let go", |secret| {
        !secret.labels().contains_key("spacesync.dev/sync")
    })
    .await;
    assert_eq!((values(&kept)["A"].as_str(), kept.immutable), ("1", Some(true)));
}

#[tokio::test]
async fn a_request_whose_write_is_refused_is_answered_and_brought_when_it_is_allowed() {
    let tenant = World::shared().tenant(&[("A", "1")]).await;
    let quota = tenant.api::<ResourceQuota>();
    tenant.apply(&quota, "none", json!({"spec": {"hard": {"count/secrets": "0"}}})).await;
    until(quota.clone(), "none", "counted", |q| q.status.as_ref().is_some_and(|s| s.used.is_some())).await;
    tenant.sync(json!({"autoSync": "Manual"})).await;
    tenant.request("manual/1").await;
    let answered = |status: &SpaceSecretSyncStatus| status.last_handled_sync_request.as_deref() == Some("manual/1");
    let sync = tenant.until_status("it is answered", answered).await;
    let last = sync.last_sync.unwrap();
    assert_eq!((last.trigger, last.result), (Trigger::Manual, Outcome::Failed));
    assert_eq!((sync.version, sync.history.len()), (None, 0));
    tenant.until_condition("Ready", "False/TargetWriteFailed").await;
    quota.delete("none", &DeleteParams::default()).await.unwrap();
    tenant.until_secret(&[("A", "1")]).await;
    tenant.until_condition("Ready", "True/Synced").await;
}

#[tokio::test]
async fn how_often_to_sync_is_changed_without_bringing_anything() {
    let tenant = World::shared().tenant(&[("A", "1")]).await;
    tenant.sync(json!({"autoSync": "Manual"})).await;
    tenant.until_secret(&[("A", "1")]).await;
    tenant.until_condition("Ready", "True/Synced").await;
    tenant.entry(&[("A", "2")]).await;
    tenant.sync(json!({"autoSync": "24h", "suspend": true})).await;
    tenant.until_condition("Ready", "True/Suspended").await;
    tenant.sync(json!({"autoSync": "Manual"})).await;
    tenant.until_condition("Ready", "True/Synced").await;
    tenant.until_secret(&[("A", "1")]).await;
    // A filter chooses from what is there now.
    tenant.sync(json!({"autoSync": "Manual", "keys": {"include": ["*"]}})).await;
    tenant.until_secret(&[("A", "2")]).await;
}

#[tokio::test]
async fn another_target_name_moves_the_secret() {
    let tenant = World::shared().tenant(&[("A", "1")]).await;
    synced(&tenant).await;
    tenant.sync(json!({"target": {"name": "elsewhere"}})).await;
    until(tenant.api::<Secret>(), "elsewhere", "it is there", |s| values(s).len() == 1).await;
    until_gone(tenant.api::<Secret>(), "secrets").await;
}

#[tokio::test]
async fn a_target_gives_the_secret_labels_annotations_and_a_type_and_takes_them_back() {
    let tenant = World::shared().tenant(&[("tls.crt", "c"), ("tls.key", "k")]).await;
    let extras = json!({"labels": {"team": "a"}, "annotations": {"example.org/note": "b c"}});
    tenant.sync(json!({"target": extras})).await;
    let has = |secret: &Secret, label: Option<&str>, note: Option<&str>| {
        let (labels, annotations) = (secret.labels(), secret.annotations());
        labels.get("team").map(String::as_str) == label
            && annotations.get("example.org/note").map(String::as_str) == note
            && labels["spacesync.dev/sync"] == "secrets"
    };
    let until_has =
        |what, label, note| until(tenant.api::<Secret>(), "secrets", what, move |secret| has(secret, label, note));
    let first = until_has("both", Some("a"), Some("b c")).await;
    assert_eq!(first.type_.as_deref(), Some("Opaque"));
    tenant.until_condition("Ready", "True/Synced").await;
    let status = tenant.until_status("it is synced", |status| status.target.is_some()).await;
    // What somebody took away or changed comes again, and is no change of the content.
    tenant.patch::<Secret>("secrets", json!({"metadata": {"labels": {"team": null, "theirs": "yes"}}})).await;
    until_has("the label again", Some("a"), Some("b c")).await;
    tenant.patch::<Secret>("secrets", json!({"metadata": {"annotations": {"example.org/note": "x"}}})).await;
    until_has("the annotation again", Some("a"), Some("b c")).await;
    tenant.sync(json!({"target": {"labels": {"team": "a"}}})).await;
    let bare = until_has("the annotation has gone", Some("a"), None).await;
    assert_eq!(bare.metadata.uid, first.metadata.uid);
    // Another type: a Secret's cannot be changed.
    tenant.sync(json!({"target": {"type": "kubernetes.io/tls"}})).await;
    let tls = |secret: &Secret| secret.type_.as_deref() == Some("kubernetes.io/tls") && has(secret, None, None);
    let anew = until(tenant.api::<Secret>(), "secrets", "it is made anew", tls).await;
    assert_ne!(anew.metadata.uid, first.metadata.uid);
    assert_eq!(values(&anew), values(&first));
    let now = tenant.until_condition("Ready", "True/Synced").await.status.unwrap();
    assert_eq!((now.revision, now.history.len()), (status.revision, 1));
}

#[tokio::test]
async fn a_type_whose_keys_the_space_lacks_is_explained_and_the_last_good_secret_stays() {
    let tenant = World::shared().tenant(&[("A", "1")]).await;
    let before = synced(&tenant).await;
    tenant.sync(json!({"target": {"type": "kubernetes.io/tls"}})).await;
    let sync = tenant.until_condition("Ready", "False/TargetTypeUnmet").await;
    assert_eq!(condition(&sync, "Stalled"), "True/TargetTypeUnmet");
    let expected = "Secret secrets is to be of type kubernetes.io/tls, which needs the key tls.crt and the key tls.key; \
                    nothing was written, it keeps its last good content; add that, or change spec.target.type";
    assert_eq!(message(&sync, "Ready"), expected);
    let still = tenant.api::<Secret>().get("secrets").await.unwrap();
    assert_eq!(still.metadata.resource_version, before.metadata.resource_version);
    tenant.entry(&[("tls.crt", "c"), ("tls.key", "k")]).await;
    tenant.until_condition("Ready", "True/Synced").await;
    let tls = tenant.api::<Secret>().get("secrets").await.unwrap();
    assert_eq!(tls.type_.as_deref(), Some("kubernetes.io/tls"));
}

#[tokio::test]
async fn a_secret_that_could_not_be_made_anew_is_not_deleted_for_it() {
    let entry = [("tls.crt", "c"), ("tls.key", "k")];
    let tenant = World::shared().tenant(&entry).await;
    tenant.sync(json!({})).await;
    let before = tenant.until_secret(&entry).await;
    tenant.until_condition("Ready", "True/Synced").await;
    let quota = tenant.api::<ResourceQuota>();
    tenant.apply(&quota, "one", json!({"spec": {"hard": {"count/secrets": "1"}}})).await;
    until(quota.clone(), "one", "counted", |q| q.status.as_ref().is_some_and(|s| s.used.is_some())).await;
    tenant.sync(json!({"target": {"type": "kubernetes.io/tls"}})).await;
    let sync = tenant.until_condition("Ready", "False/TargetWriteFailed").await;
    let said = message(&sync, "Ready");
    assert!(said.contains("exceeded quota") && said.ends_with("stays until that is allowed"), "{said}");
    let still = tenant.api::<Secret>().get("secrets").await.unwrap();
    assert_eq!(still.metadata.resource_version, before.metadata.resource_version);
    quota.delete("one", &DeleteParams::default()).await.unwrap();
    tenant.until_condition("Ready", "True/Synced").await;
    let anew = tenant.api::<Secret>().get("secrets").await.unwrap();
    assert_eq!(anew.type_.as_deref(), Some("kubernetes.io/tls"));
}

#[tokio::test]
async fn a_namespace_of_no_space_gets_nothing() {
    let tenant = Tenant::unbound(World::shared()).await;
    tenant.sync(json!({})).await;
    let sync = tenant.until_condition("Ready", "False/NamespaceNotBound").await;
    assert!(message(&sync, "Ready").contains("an admin adds it to spec.namespaces"));
    assert!(tenant.api::<Secret>().get_opt("secrets").await.unwrap().is_none());
    tenant.manager("embedded", json!({"kubernetes": {}})).await;
    tenant.entry(&[("A", "1")]).await;
    tenant.space(json!({})).await;
    tenant.until_secret(&[("A", "1")]).await;
    let spaces: Api<spacesync::resources::Space> = Api::all(tenant.client.clone());
    spaces.delete(&tenant.name, &DeleteParams::default()).await.unwrap();
    tenant.until_condition("Ready", "False/NamespaceNotBound").await;
    assert_eq!(values(&tenant.api::<Secret>().get("secrets").await.unwrap())["A"], "1");
}
