//! What cannot be left out of a first sync: the same Secrets and the same statuses, written by a bare client.

use std::time::{Duration, Instant};

use anyhow::Result;
use devcluster::ControlPlane;
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::{
    Api,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde_json::json;
use spacesync::resources::SpaceSecretSync;

use crate::{
    crowd::{CONNECTIONS, Crowd},
    stage,
};

const NAMESPACE: &str = "floor";

/// Copies what the operator wrote in `crowd` to a cluster of its own.
pub async fn same_writes(crowd: &Crowd) -> Result<Duration> {
    let managed = ListParams::default().labels("spacesync.dev/sync");
    let secrets = Api::<Secret>::all(crowd.client.clone()).list(&managed).await?.items;
    let syncs = Api::<SpaceSecretSync>::all(crowd.client.clone()).list(&ListParams::default()).await?.items;
    let plane = tokio::task::spawn_blocking(ControlPlane::start).await??;
    stage::install(&plane)?;
    let client = stage::client(&plane).await?;
    let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": NAMESPACE}}))?;
    Api::all(client.clone()).create(&PostParams::default(), &namespace).await?;
    let (new_secrets, new_syncs) =
        (Api::<Secret>::namespaced(client.clone(), NAMESPACE), Api::<SpaceSecretSync>::namespaced(client, NAMESPACE));
    let named = |number: usize| format!("secrets-{number}");

    let bare = stream::iter(0..syncs.len()).map(|number| {
        let (sync, syncs) = (SpaceSecretSync::new(&named(number), <_>::default()), new_syncs.clone());
        async move { syncs.create(&PostParams::default(), &sync).await }
    });
    bare.buffer_unordered(CONNECTIONS).try_collect::<Vec<_>>().await?;

    let began = Instant::now();
    let writes = stream::iter(secrets.into_iter().zip(syncs).enumerate()).map(|(number, (secret, sync))| {
        let (secrets, syncs, name) = (new_secrets.clone(), new_syncs.clone(), named(number));
        async move {
            let mut copy = Secret { data: secret.data, ..Secret::default() };
            copy.metadata.name = Some(name.clone());
            copy.metadata.labels = secret.metadata.labels;
            copy.metadata.annotations = secret.metadata.annotations;
            secrets.create(&PostParams::default(), &copy).await?;
            let status = json!({"status": sync.status});
            syncs.patch_status(&name, &PatchParams::default(), &Patch::Merge(status)).await
        }
    });
    writes.buffer_unordered(CONNECTIONS).try_collect::<Vec<_>>().await?;
    Ok(began.elapsed())
}
