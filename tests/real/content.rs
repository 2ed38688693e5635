//! What stands in the managed Secret.

use serde_json::json;

use crate::{tenant::values, world::World};

#[tokio::test]
async fn a_spaces_secret_reaches_its_namespace() {
    let tenant = World::shared().tenant(&[("my_api_token", "one")]).await;
    tenant.sync(json!({})).await;
    let secret = tenant.until_secret(&[("my_api_token", "one")]).await;
    assert_eq!(secret.type_.as_deref(), Some("Opaque"));
    let sync = tenant.until_condition("Ready", "True/Synced").await;
    let status = sync.status.unwrap();
    assert_eq!((status.version, status.key_count), (Some(1), Some(1)));
    assert_eq!(secret.metadata.annotations.unwrap()["spacesync.dev/revision"], status.revision.unwrap());
}

#[tokio::test]
async fn a_change_arrives_and_a_key_that_was_revoked_is_gone() {
    let tenant = World::shared().tenant(&[("A", "1"), ("B", "1")]).await;
    tenant.sync(json!({})).await;
    tenant.until_secret(&[("A", "1"), ("B", "1")]).await;
    tenant.own().delete(&format!("space-{}", tenant.name), &Default::default()).await.unwrap();
    tenant.entry(&[("A", "2")]).await;
    let secret = tenant.until_secret(&[("A", "2")]).await;
    assert_eq!(values(&secret).len(), 1);
}
