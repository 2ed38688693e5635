//! What is in OpenBao, and what becomes of it.

use k8s_openapi::api::core::v1::Secret;
use serde_json::json;

use super::vault::InVault;
use crate::tenant::{until_gone, values};

#[tokio::test]
async fn values_arrive_byte_for_byte_as_openbao_returns_them() {
    let vault = InVault::plain(json!({})).await;
    let large = "x".repeat(500 * 1024);
    let lines = "a\nb\r\n\t\"quoted\" \\ схід ☂ \u{1F511}";
    vault.put(
        json!({"TEXT": "t", "EMPTY": "", "LINES": lines, "LARGE": large, "JSON": {"b": 1, "a": [1, null]}, "N": 7}),
    );
    let json = r#"{"a":[1,null],"b":1}"#;
    let expected =
        [("TEXT", "t"), ("EMPTY", ""), ("LINES", lines), ("LARGE", large.as_str()), ("JSON", json), ("N", "7")];
    vault.synced(&expected).await;
    let status = vault.tenant.until_status("keys", |s| s.key_count == Some(6)).await;
    let formats: Vec<_> = status.keys.iter().map(|key| (key.name.as_str(), key.format.to_string())).collect();
    assert!(formats.contains(&("JSON", "json".into())) && formats.contains(&("TEXT", "text".into())), "{formats:?}");
    assert_eq!(status.version, Some(2));
}

#[tokio::test]
async fn sync_now_brings_what_openbao_has_now() {
    let vault = InVault::plain(json!({"A": "1"})).await;
    vault.synced(&[("A", "1")]).await;
    vault.put(json!({"A": "2"}));
    let before = vault.store.requests().unwrap().len();
    vault.ask(1).await;
    vault.tenant.until_secret(&[("A", "2")]).await;
    let since = vault.store.requests().unwrap().split_off(before);
    let read = since.iter().filter(|(_, path)| path.contains("/data/")).count();
    assert_eq!(read, 1, "{since:?}");
    let reads = |vault: &InVault| vault.store.requests().unwrap().iter().filter(|(_, p)| p.contains("/data/")).count();
    let before = reads(&vault);
    vault.ask(2).await;
    assert_eq!(reads(&vault), before, "nothing moved, so no value was read");
}

#[tokio::test]
async fn an_entry_that_began_anew_at_version_one_is_a_change() {
    let vault = InVault::plain(json!({"A": "1"})).await;
    vault.synced(&[("A", "1")]).await;
    vault.store.delete_metadata(&vault.path()).unwrap();
    vault.put(json!({"A": "2"}));
    vault.ask(1).await;
    vault.tenant.until_secret(&[("A", "2")]).await;
    vault.tenant.until_status("version 1 again", |s| s.version == Some(1)).await;
}

#[tokio::test]
async fn a_soft_deleted_entry_keeps_the_last_good_and_comes_back() {
    let vault = InVault::plain(json!({"A": "1"})).await;
    vault.synced(&[("A", "1")]).await;
    let path = vault.path();
    vault.store.delete(&path).unwrap();
    vault.ask(1).await;
    vault.tenant.until_condition("Ready", "False/SourceDeleted").await;
    assert_eq!(values(&vault.tenant.api::<Secret>().get("secrets").await.unwrap())["A"], "1");
    vault.store.undelete(&path, &[1]).unwrap();
    vault.ask(2).await;
    vault.tenant.until_condition("Ready", "True/Synced").await;
    // Gone for good: still the last good, until there is something new.
    vault.store.destroy(&path, &[1]).unwrap();
    vault.ask(3).await;
    vault.tenant.until_condition("Ready", "False/SourceDeleted").await;
    assert_eq!(values(&vault.tenant.api::<Secret>().get("secrets").await.unwrap())["A"], "1");
    vault.put(json!({"A": "2"}));
    vault.ask(4).await;
    vault.tenant.until_secret(&[("A", "2")]).await;
    vault.tenant.until_condition("Ready", "True/Synced").await;
}

#[tokio::test]
async fn a_sync_may_want_its_secret_gone_with_the_entry_and_only_with_the_entry() {
    let vault = InVault::plain(json!({"A": "1"})).await;
    vault.tenant.sync(json!({"onSourceGone": "Delete"})).await;
    vault.tenant.until_secret(&[("A", "1")]).await;
    vault.tenant.until_condition("Ready", "True/Synced").await;
    // What may come back is not gone: the store, the right to read it, the engine.
    vault.store.seal().unwrap();
    vault.ask(1).await;
    vault.until_not_ready("SourceSealed").await;
    vault.store.unseal().unwrap();
    vault.tenant.until_condition("Ready", "True/Synced").await;
    vault.token(&vault.store.token_with_policy(r#"path "elsewhere" { capabilities = ["read"] }"#).unwrap()).await;
    vault.ask(2).await;
    vault.until_not_ready("SourceForbidden").await;
    vault.token(vault.store.root_token()).await;
    vault.tenant.until_condition("Ready", "True/Synced").await;
    vault.manager(json!({"mount": "nowhere"})).await;
    vault.until_not_ready("SecretManagerInvalid").await;
    vault.keeps_last_good().await;
    vault.manager(json!({})).await;
    vault.tenant.until_condition("Ready", "True/Synced").await;
    // A soft delete is one, and an undelete brings it back.
    vault.store.delete(&vault.path()).unwrap();
    vault.ask(3).await;
    let text = vault.until_not_ready("SourceGone").await;
    assert!(text.contains("as spec.onSourceGone says"), "{text}");
    until_gone(vault.tenant.api::<Secret>(), "secrets").await;
    vault.is_warned_of("SourceGone").await;
    vault.store.undelete(&vault.path(), &[1]).unwrap();
    vault.ask(4).await;
    vault.tenant.until_secret(&[("A", "1")]).await;
    // So is the end of the entry with all its versions.
    vault.store.delete_metadata(&vault.path()).unwrap();
    vault.ask(5).await;
    until_gone(vault.tenant.api::<Secret>(), "secrets").await;
    let status = vault.tenant.until_status("nothing is there", |status| status.target.is_none()).await;
    assert_eq!((status.version, status.revision, status.key_count), (None, None, None));
    vault.put(json!({"A": "anew"}));
    vault.ask(6).await;
    vault.tenant.until_secret(&[("A", "anew")]).await;
    vault.tenant.until_condition("Ready", "True/Synced").await;
}
