//! What Spacesync does not do: touch a Secret that is not its own, or bring a space's secrets where they do not belong.

use std::collections::BTreeMap;

use anyhow::Result;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use serde_json::json;
use spacesync::resources::{Space, SpaceSecretSync, space::BindingState};

use crate::{
    embedded::{self, entry},
    stage::{SYSTEM, objects},
    story::{self, expect},
    world::{World, says, status, until},
};

/// A sync that names somebody else's Secret as its target.
pub async fn foreign_secret(world: &World) -> Result<()> {
    story::chapter("4. A Secret of somebody else");
    let secrets = world.api::<Secret>(embedded::SPACE);
    let data = BTreeMap::from([("password".to_owned(), ByteString(b"theirs".to_vec()))]);
    let mut theirs = Secret { data: Some(data), ..Secret::default() };
    theirs.metadata.name = Some("database".into());
    let theirs = secrets.create(&PostParams::default(), &theirs).await?;
    let syncs = world.api::<SpaceSecretSync>(embedded::SPACE);
    let refused = async {
        objects::apply(&world.client, &[sync("greedy", embedded::SPACE, "database")]).await?;
        let refused = |sync: &SpaceSecretSync| says(sync, "Ready", "False/TargetConflict");
        until(syncs.clone(), "greedy", "is refused with TargetConflict", status, refused).await
    };
    story::step("a sync with target database is refused: TargetConflict", refused).await?;
    syncs.delete("greedy", &DeleteParams::default()).await?;
    let now = secrets.get("database").await?;
    expect("Secret database, of somebody else", &theirs, &now)?;
    story::say("Secret database is as it was, to the resourceVersion");
    Ok(())
}

/// A namespace that no space has, and a space that claims another's namespace.
pub async fn other_spaces(world: &World) -> Result<()> {
    story::chapter("5. Another space's namespace");
    let unbound = async {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "elsewhere"}});
        objects::apply(&world.client, &[namespace, sync("secrets", "elsewhere", "secrets")]).await?;
        let refused = |sync: &SpaceSecretSync| says(sync, "Ready", "False/NamespaceNotBound");
        until(
            world.api::<SpaceSecretSync>("elsewhere"),
            "secrets",
            "is refused with NamespaceNotBound",
            status,
            refused,
        )
        .await
    };
    story::step("a sync in namespace elsewhere, of no space, is refused: NamespaceNotBound", unbound).await?;
    let none = world.api::<Secret>("elsewhere").get_opt("secrets").await?;
    expect("a Secret in namespace elsewhere", &None, &none)?;
    let waits = async {
        objects::apply(&world.client, &rival()).await?;
        let spaces = Api::<Space>::all(world.client.clone());
        until(spaces, "rival", "waits for newsroom-dev", status, waits_for_newsroom).await
    };
    story::step("space rival claims namespace newsroom-dev, and waits for newsroom-dev", waits).await?;
    world.until_secret(embedded::SPACE, &entry("token-3")).await?;
    story::say("namespace newsroom-dev still has its own space's secrets");
    Ok(())
}

fn waits_for_newsroom(space: &Space) -> bool {
    let namespaces = space.status.iter().flat_map(|status| &status.namespaces);
    namespaces
        .into_iter()
        .any(|n| n.state == BindingState::Waiting && n.waiting_for.as_deref() == Some(embedded::SPACE))
}

fn sync(name: &str, namespace: &str, target: &str) -> serde_json::Value {
    json!({"apiVersion": "spacesync.dev/v1alpha1", "kind": "SpaceSecretSync",
           "metadata": {"name": name, "namespace": namespace}, "spec": {"target": {"name": target}}})
}

fn rival() -> Vec<serde_json::Value> {
    vec![
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "space-rival", "namespace": SYSTEM},
               "stringData": {"MY_API_TOKEN": "not-for-newsroom"}}),
        json!({"apiVersion": "spacesync.dev/v1alpha1", "kind": "Space", "metadata": {"name": "rival"},
               "spec": {"namespaces": [embedded::SPACE], "secretManagerRef": {"name": "embedded"}}}),
    ]
}
