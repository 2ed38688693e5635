//! What stands in the managed Secret.

use std::collections::BTreeMap;

use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::api::{DeleteParams, PostParams};
use serde_json::{Value as Json, json};

use crate::{
    tenant::{Tenant, condition, message, until, values},
    world::World,
};

fn meta_of(secret: &Secret) -> Json {
    serde_json::from_slice(&secret.data.as_ref().unwrap()[".spacesync.json"].0).unwrap()
}

#[tokio::test]
async fn a_spaces_secret_reaches_its_namespace() {
    let tenant = World::shared().tenant(&[("my_api_token", "one")]).await;
    tenant.sync(json!({})).await;
    let secret = tenant.until_secret(&[("my_api_token", "one")]).await;
    assert_eq!(secret.type_.as_deref(), Some("Opaque"));
    let sync = tenant.until_condition("Ready", "True/Synced").await;
    let status = sync.status.unwrap();
    assert_eq!((status.version, status.key_count), (Some(1), Some(1)));
    assert_eq!(status.space, Some(tenant.name.clone()));
    assert_eq!(secret.metadata.annotations.unwrap()["spacesync.dev/revision"], status.revision.unwrap());
    assert_eq!(secret.metadata.labels.unwrap()["spacesync.dev/sync"], "secrets");
    assert_eq!(secret.metadata.owner_references, None);
}

#[tokio::test]
async fn a_change_arrives_and_a_key_that_was_revoked_is_gone() {
    let tenant = World::shared().tenant(&[("A", "1"), ("B", "1")]).await;
    tenant.sync(json!({})).await;
    tenant.until_secret(&[("A", "1"), ("B", "1")]).await;
    tenant.entry(&[("A", "2")]).await;
    tenant.until_secret(&[("A", "2")]).await;
    let status = tenant.until_status("version 2", |s| s.version == Some(2)).await;
    let last = &status.history[0];
    assert_eq!((&last.changed.names, &last.removed.names), (&vec!["A".to_owned()], &vec!["B".to_owned()]));
    assert!(last.added.is_empty());
    assert_eq!(status.history[1].added.names, ["A", "B"]);
}

#[tokio::test]
async fn the_reserved_entry_says_what_the_others_are() {
    let tenant = World::shared().tenant(&[]).await;
    let values = [("TOKEN", "t"), ("CONFIG", "{\"b\": 1.10, \"a\": [1, 2]}")];
    tenant.entry_with(&values, json!({"spacesync.dev/json-keys": "CONFIG", "spacesync.dev/version": "41"})).await;
    tenant.sync(json!({})).await;
    let secret = tenant.until_secret(&values).await;
    let meta = meta_of(&secret);
    assert_eq!(meta["keys"], json!([{"name": "CONFIG", "format": "json"}, {"name": "TOKEN", "format": "text"}]));
    assert_eq!((&meta["space"], &meta["version"]), (&json!(tenant.name), &json!(41)));
    let status = tenant.until_status("version 41", |s| s.version == Some(41)).await;
    assert_eq!(meta["revision"], json!(status.revision));
    for time in ["createdAt", "updatedAt", "issuedAt"] {
        assert!(meta[time].as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{time}: {}", meta[time]);
    }
}

#[tokio::test]
async fn values_are_kept_byte_for_byte() {
    let tenant = World::shared().tenant(&[]).await;
    let large = "x".repeat(500 * 1024);
    let values = [
        ("EMPTY", ""),
        ("LINES", "a\nb\r\n\tc\n"),
        ("UNICODE", "схід ☂ \u{1F511} \u{0000}"),
        ("LARGE", large.as_str()),
        ("BASE64", "ab/c+d=="),
        ("NUMBER", "123456789012345678901234567890.10"),
    ];
    tenant.entry_with(&values, json!({"spacesync.dev/json-keys": "NUMBER"})).await;
    tenant.sync(json!({})).await;
    tenant.until_secret(&values).await;
}

#[tokio::test]
async fn filters_choose_which_keys_are_brought() {
    let tenant = World::shared().tenant(&[("DB_HOST", "h"), ("DB_PASSWORD", "p"), ("API", "a")]).await;
    tenant.sync(json!({"keys": {"include": ["DB_*"], "exclude": ["*_PASSWORD"]}})).await;
    tenant.until_secret(&[("DB_HOST", "h")]).await;
    tenant.sync(json!({"keys": {"include": ["DB_*"]}})).await;
    tenant.until_secret(&[("DB_HOST", "h"), ("DB_PASSWORD", "p")]).await;
    tenant.sync(json!({"keys": {"include": ["[a"]}})).await;
    let sync = tenant.until_condition("Synced", "False/BadKeyPattern").await;
    assert!(message(&sync, "Synced").contains("\"[a\" is not a glob"), "{}", message(&sync, "Synced"));
    tenant.until_secret(&[("DB_HOST", "h"), ("DB_PASSWORD", "p")]).await;
}

#[tokio::test]
async fn keys_that_cannot_be_delivered_are_refused_by_name_and_the_others_arrive() {
    let tenant = World::shared().tenant(&[]).await;
    let bytes = |b: &[u8]| ByteString(b.to_vec());
    let data = BTreeMap::from([
        ("GOOD".to_owned(), bytes(b"yes")),
        ("BINARY".to_owned(), bytes(&[0xff, 0xfe])),
        ("HALF".to_owned(), bytes(b"{\"a\":")),
        (".spacesync.json".to_owned(), bytes(b"{}")),
    ]);
    let mut entry = Secret { data: Some(data), ..Secret::default() };
    entry.metadata.name = Some(format!("space-{}", tenant.name));
    entry.metadata.annotations = Some(BTreeMap::from([("spacesync.dev/json-keys".into(), "HALF".into())]));
    tenant.own().create(&PostParams::default(), &entry).await.unwrap();
    tenant.sync(json!({})).await;
    tenant.until_secret(&[("GOOD", "yes")]).await;
    let sync = tenant.until_condition("KeysComplete", "False/KeysRefused").await;
    let text = message(&sync, "KeysComplete");
    for part in
        ["3 keys", "\"BINARY\" (not UTF-8 text)", "\"HALF\" (not valid JSON)", "\".spacesync.json\" (names beginning"]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert_eq!(condition(&sync, "Ready"), "True/Synced");
    remove_entry(&tenant).await;
    tenant.entry(&[("GOOD", "yes")]).await;
    tenant.until_condition("KeysComplete", "True/KeysComplete").await;
}

#[tokio::test]
async fn over_one_mebibyte_nothing_is_written_and_the_last_good_stays() {
    let tenant = World::shared().tenant(&[("A", "good")]).await;
    tenant.sync(json!({})).await;
    let good = tenant.until_secret(&[("A", "good")]).await;
    // An entry is itself a Secret of at most 1 MiB: with the reserved entry it is too large.
    let large = "x".repeat(1024 * 1024 - 10);
    tenant.entry(&[("A", &large)]).await;
    let sync = tenant.until_condition("Synced", "False/TooLarge").await;
    assert!(message(&sync, "Synced").contains("more than the 1 MiB"), "{}", message(&sync, "Synced"));
    let stays = tenant.api::<Secret>().get("secrets").await.unwrap();
    assert_eq!(stays.metadata.resource_version, good.metadata.resource_version);
    tenant.entry(&[("A", "small")]).await;
    tenant.until_secret(&[("A", "small")]).await;
    tenant.until_condition("Ready", "True/Synced").await;
}

#[tokio::test]
async fn an_entry_that_is_there_and_empty_is_a_change_like_any_other() {
    let tenant = World::shared().tenant(&[("A", "1")]).await;
    tenant.sync(json!({})).await;
    tenant.until_secret(&[("A", "1")]).await;
    tenant.entry(&[]).await;
    tenant.until_secret(&[]).await;
    tenant.until_status("no keys", |s| s.key_count == Some(0)).await;
}

#[tokio::test]
async fn equal_secrets_of_two_tenants_have_different_fingerprints() {
    let (one, two) = (World::shared().tenant(&[("A", "same")]).await, World::shared().tenant(&[("A", "same")]).await);
    let mut fingerprints = Vec::new();
    for tenant in [&one, &two] {
        tenant.sync(json!({})).await;
        let status = tenant.until_status("a revision", |s| s.revision.is_some()).await;
        fingerprints.push(status.revision.unwrap().split_once('-').unwrap().1.to_owned());
    }
    assert_ne!(fingerprints[0], fingerprints[1]);
}

#[tokio::test]
async fn an_entry_that_comes_later_heals_the_sync() {
    let tenant = World::shared().tenant(&[]).await;
    tenant.sync(json!({})).await;
    let sync = tenant.until_condition("Synced", "False/SourceNotFound").await;
    assert!(message(&sync, "Synced").contains(&format!("no entry space-{}", tenant.name)));
    tenant.entry(&[("A", "1")]).await;
    tenant.until_secret(&[("A", "1")]).await;
}

#[tokio::test]
async fn an_entry_that_goes_leaves_the_last_good_unless_the_sync_says_delete() {
    let tenant = World::shared().tenant(&[("A", "1")]).await;
    tenant.sync(json!({})).await;
    tenant.sync_named("strict", json!({"onSourceGone": "Delete"})).await;
    tenant.until_secret(&[("A", "1")]).await;
    until(tenant.api::<Secret>(), "strict", "it is there", |_| true).await;
    remove_entry(&tenant).await;
    tenant.until_condition("Synced", "False/SourceNotFound").await;
    crate::tenant::until_gone(tenant.api::<Secret>(), "strict").await;
    assert_eq!(values(&tenant.api::<Secret>().get("secrets").await.unwrap()).len(), 1);
    tenant.entry(&[("A", "2")]).await;
    tenant.until_secret(&[("A", "2")]).await;
    until(tenant.api::<Secret>(), "strict", "it is back", |secret| values(secret)["A"] == "2").await;
}

async fn remove_entry(tenant: &Tenant<'_>) {
    tenant.own().delete(&format!("space-{}", tenant.name), &DeleteParams::default()).await.unwrap();
}

#[tokio::test]
async fn the_status_names_keys_up_to_two_hundred_and_counts_the_rest() {
    let keys: Vec<String> = (0..250).map(|n| format!("KEY_{n:03}")).collect();
    let entry: Vec<_> = keys.iter().map(|key| (key.as_str(), "v")).collect();
    let tenant = World::shared().tenant(&entry).await;
    tenant.sync(json!({})).await;
    let status = tenant.until_status("250 keys", |s| s.key_count == Some(250)).await;
    assert_eq!(status.keys.len(), 200);
    assert_eq!((status.history[0].added.count, status.history[0].added.names.len()), (250, 20));
}
