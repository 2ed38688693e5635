//! A space in OpenBao, with the same flow app.

use std::{collections::BTreeMap, time::Instant};

use anyhow::{Context, Result};
use kube::api::{Patch, PatchParams};
use serde_json::json;
use spacesync::resources::SpaceSecretSync;

use crate::{
    editor,
    embedded::{has, until_synced},
    pods::FlowPods,
    stage::{SYSTEM, objects},
    story::{self, expect},
    world::{World, status, until},
};

/// The space, its namespace, and its path in the vault.
pub const SPACE: &str = "newsroom-prod";

/// What the operator needs, and no more: as deploy/samples/secret-managers.yaml says it.
const POLICY: &str = r#"
path "secret/data/spaces/*" { capabilities = ["read"] }
path "secret/metadata/spaces/*" { capabilities = ["read"] }
path "secret/detailed-metadata/spaces/*" { capabilities = ["list"] }
"#;

/// From a token of the vault to a value that changes in three more pods.
pub async fn chapter(world: &World) -> Result<FlowPods> {
    story::chapter("2. A space in OpenBao, which the operator may only read");
    world.bao.put(&format!("spaces/{SPACE}"), json!({"MY_API_TOKEN": "from-the-vault"}))?;
    let credentials = async {
        let token = world.bao.token_with_policy(POLICY)?;
        let ca = world.bao.ca_pem().context("the vault has no CA")?;
        objects::apply(&world.client, &credentials(&token, ca)).await
    };
    story::step("a token that may read spaces/*, and the vault's CA, are given to the operator", credentials).await?;
    let first = async {
        objects::apply(&world.client, &space()).await?;
        objects::apply(&world.client, &world.samples.of_in(&["SpaceSecretSync"], SPACE)).await?;
        let spaces = kube::Api::all(world.client.clone());
        until(spaces, SPACE, "has its namespace", status, |space| has(space, SPACE)).await?;
        world.until_secret(SPACE, &entry("from-the-vault")).await
    };
    story::step("space newsroom-prod is created, and its first sync done", first).await?;
    let sync = until_synced(world, SPACE).await?;
    expect("the version of the first sync", &Some(1), &sync.status.and_then(|s| s.version))?;
    let pods = FlowPods::start(world, SPACE).await?;
    pods.read(world, "MY_API_TOKEN", "from-the-vault").await?;
    change(world, &pods, "rotated-in-the-vault").await?;
    pods.read(world, "MY_API_TOKEN", "rotated-in-the-vault").await?;
    editor::flows_read(&pods, "rotated-in-the-vault", 2).await?;
    pods.still_the_same(world).await?;
    Ok(pods)
}

/// A write to the vault, and Sync now: a vault does not announce a change, so it would be found within a minute.
async fn change(world: &World, pods: &FlowPods, token: &str) -> Result<()> {
    let change = async {
        world.bao.put(&format!("spaces/{SPACE}"), json!({"MY_API_TOKEN": token}))?;
        let request = json!({"metadata": {"annotations": {"spacesync.dev/sync-requested": "manual/demo"}}});
        let syncs = world.api::<SpaceSecretSync>(SPACE);
        syncs.patch("secrets", &PatchParams::default(), &Patch::Merge(&request)).await?;
        Ok(())
    };
    let what = format!("{token}, and Sync now");
    if pods.are_there() {
        pods.see(world, &what, ("MY_API_TOKEN", token), change).await?;
        world.until_secret(SPACE, &entry(token)).await?;
    } else {
        let began = Instant::now();
        change.await?;
        world.until_secret(SPACE, &entry(token)).await?;
        story::seen(&format!("{what}: Secret secrets holds it"), began.elapsed());
    }
    let handled = |sync: &SpaceSecretSync| {
        sync.status.as_ref().is_some_and(|s| s.last_handled_sync_request.as_deref() == Some("manual/demo"))
    };
    until(world.api::<SpaceSecretSync>(SPACE), "secrets", "has handled the request", status, handled).await?;
    Ok(())
}

/// The vault's one key.
pub fn entry(token: &str) -> BTreeMap<String, String> {
    [("MY_API_TOKEN".to_owned(), token.to_owned())].into()
}

fn credentials(token: &str, ca: &str) -> Vec<serde_json::Value> {
    vec![
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "bao-token", "namespace": SYSTEM},
               "stringData": {"token": token}}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "openbao-ca", "namespace": SYSTEM},
               "data": {"ca.crt": ca}}),
    ]
}

fn space() -> Vec<serde_json::Value> {
    vec![
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}}),
        json!({"apiVersion": "spacesync.dev/v1alpha1", "kind": "Space", "metadata": {"name": SPACE},
               "spec": {"displayName": "Newsroom PROD", "namespaces": [SPACE], "secretManagerRef": {"name": "central"}}}),
    ]
}
