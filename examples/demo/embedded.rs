//! A space in the embedded store, and a change that reaches running pods.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::Result;
use kube::Api;
use spacesync::resources::{Space, SpaceSecretSync, space::BindingState};

use crate::{
    editor,
    pods::FlowPods,
    stage::objects,
    story::{self, expect},
    world::{World, says, status, until},
};

/// The sample's space, which is its namespace and its entry's path too.
pub const SPACE: &str = "newsroom-dev";
/// What the sample's JSON key holds.
pub const SMTP: &str = r#"{"host": "smtp.example.org", "port": 587, "user": "newsroom"}"#;

/// How often the value is changed.
const ROUNDS: u32 = 3;
/// The kubelet refreshes a pod at once only once a second.
const PAUSE: Duration = Duration::from_millis(1200);

/// From nothing to a value that changes in three pods.
pub async fn chapter(world: &World) -> Result<FlowPods> {
    story::chapter("1. A space in the embedded store: deploy/samples");
    let bound = async {
        let objects = world.samples.of(&["Namespace", "Secret", "SecretManager", "Space"]);
        objects::apply(&world.client, &objects).await?;
        until(Api::<Space>::all(world.client.clone()), SPACE, "has its namespace", status, |space| has(space, SPACE))
            .await
    };
    story::step("space newsroom-dev is created, and has namespace newsroom-dev", bound).await?;
    let first = async {
        objects::apply(&world.client, &world.samples.of(&["SpaceSecretSync"])).await?;
        world.until_secret(SPACE, &entry("change-me")).await
    };
    story::step("first sync: Secret secrets holds MY_API_TOKEN and SMTP", first).await?;
    let sync = until_synced(world, SPACE).await?;
    expect("the version of the first sync", &Some(1), &sync.status.and_then(|s| s.version))?;
    let pods = FlowPods::start(world, SPACE).await?;
    pods.read(world, "MY_API_TOKEN", "change-me").await?;
    editor::flows_read(&pods, "change-me", 1).await?;
    for round in 1..=ROUNDS {
        if pods.are_there() {
            tokio::time::sleep(PAUSE).await;
        }
        change(world, &pods, &format!("token-{round}")).await?;
    }
    pods.read(world, "MY_API_TOKEN", &format!("token-{ROUNDS}")).await?;
    editor::flows_read(&pods, &format!("token-{ROUNDS}"), 1 + u64::from(ROUNDS)).await?;
    pods.still_the_same(world).await?;
    Ok(pods)
}

async fn change(world: &World, pods: &FlowPods, token: &str) -> Result<()> {
    let change = world.put_embedded(SPACE, "MY_API_TOKEN", token);
    let what = format!("MY_API_TOKEN becomes {token}");
    if pods.are_there() {
        pods.see(world, &what, ("MY_API_TOKEN", token), change).await?;
        world.until_secret(SPACE, &entry(token)).await?;
    } else {
        let began = Instant::now();
        change.await?;
        world.until_secret(SPACE, &entry(token)).await?;
        story::seen(&format!("{what}: Secret secrets holds it"), began.elapsed());
    }
    Ok(())
}

/// The sample's entry with this token.
pub fn entry(token: &str) -> BTreeMap<String, String> {
    [("MY_API_TOKEN", token), ("SMTP", SMTP)].map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

/// Whether a space has a namespace.
pub fn has(space: &Space, namespace: &str) -> bool {
    let namespaces = space.status.iter().flat_map(|status| &status.namespaces);
    namespaces.into_iter().any(|n| n.name == namespace && n.state == BindingState::Bound)
}

/// Waits until the sync `secrets` of a namespace says that it is.
pub async fn until_synced(world: &World, namespace: &str) -> Result<SpaceSecretSync> {
    let synced = |sync: &SpaceSecretSync| says(sync, "Synced", "True/Synced");
    until(world.api::<SpaceSecretSync>(namespace), "secrets", "is synced", status, synced).await
}
