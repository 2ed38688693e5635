//! A managed Secret that somebody else edits or deletes.

use anyhow::Result;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;
use spacesync::resources::{SpaceSecretSync, Trigger};

use crate::{
    embedded::{SPACE, entry},
    pods::FlowPods,
    story,
    world::{World, status, until, values},
};

/// The value that the embedded store holds by now.
const CURRENT: &str = "token-3";

/// It is put back, from the store.
pub async fn chapter(world: &World, pods: &FlowPods) -> Result<()> {
    story::chapter("3. Drift");
    let secrets = world.api::<Secret>(SPACE);
    let edited = async {
        let body = json!({"stringData": {"MY_API_TOKEN": "edited-by-hand"}});
        secrets.patch("secrets", &PatchParams::default(), &Patch::Merge(&body)).await?;
        world.until_secret(SPACE, &entry(CURRENT)).await
    };
    let before = story::step("Secret secrets is edited by hand, and put back", edited).await?;
    let deleted = async {
        secrets.delete("secrets", &DeleteParams::default()).await?;
        let uid = &before.metadata.uid;
        let fresh = |secret: &Secret| secret.metadata.uid != *uid && values(secret) == entry(CURRENT);
        until(secrets.clone(), "secrets", "is back", |secret| format!("{:?}", values(secret)), fresh).await
    };
    story::step("Secret secrets is deleted, and made again", deleted).await?;
    let twice = |sync: &SpaceSecretSync| {
        let history = sync.status.iter().flat_map(|s| &s.history);
        history.filter(|record| record.trigger == Trigger::Drift).count() == 2
    };
    until(world.api::<SpaceSecretSync>(SPACE), "secrets", "has both in its history", status, twice).await?;
    pods.read(world, "MY_API_TOKEN", CURRENT).await
}
