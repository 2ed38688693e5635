//! What a change needs that nobody can leave out, done by a bare client: pods with the contract's volume, the Secret, and
//! a word to each pod, all at once.

use anyhow::Result;
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::{Value as Json, json};
use spacesync::{delivery::injection::sources_for, resources::names};

use super::pods::PodRef;

/// The Secret's name.
pub const SECRET: &str = "secrets";

/// What the operator injects into a Deployment: the kubelet has the same work with each.
pub fn inject(deployment: &mut Json) {
    let volume = json!({"name": names::VOLUME, "projected": {"sources": sources_for(SECRET)}});
    let pod = &mut deployment["spec"]["template"]["spec"];
    push(&mut pod["volumes"], volume);
    push(
        &mut pod["containers"][0]["volumeMounts"],
        json!({"name": names::VOLUME, "mountPath": names::DEFAULT_MOUNT_PATH}),
    );
}

fn push(list: &mut Json, item: Json) {
    match list {
        Json::Array(list) => list.push(item),
        absent => *absent = json!([item]),
    }
}

/// One key at a revision, as the operator would write it.
pub fn content(revision: &str, key: &str, value: &str) -> Json {
    let (version, _) = revision.split_once('-').unwrap_or((revision, ""));
    let version: u64 = version.parse().unwrap_or_default();
    let at = "2026-01-01T00:00:00Z";
    let meta = json!({"space": "floor", "version": version, "revision": revision, "createdAt": at, "updatedAt": at,
                      "issuedAt": at, "keys": [{"name": key, "format": "text"}]});
    json!({key: value, ".spacesync.json": meta.to_string()})
}

/// Writes the Secret, then tells each pod.
pub async fn change(client: &Client, namespace: &str, pods: &[PodRef], revision: &str, content: Json) -> Result<()> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let body = json!({"stringData": content});
    secrets.patch(SECRET, &PatchParams::default(), &Patch::Merge(&body)).await?;
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let tell = |pod: &PodRef| {
        let body = json!({"metadata": {"uid": pod.uid, "annotations": {names::REVISION: revision}}});
        let (api, name) = (api.clone(), pod.name.clone());
        async move { api.patch_status(&name, &PatchParams::default(), &Patch::Strategic(body)).await }
    };
    try_join_all(pods.iter().map(tell)).await?;
    Ok(())
}
