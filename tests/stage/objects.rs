//! Objects of any kind, applied; and those that a namespace needs to get secrets.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams},
};
use serde_json::{Value as Json, json};
use spacesync::resources::FlowApp;

use super::SYSTEM;

/// Applies objects by server-side apply, in their order.
pub async fn apply(client: &Client, objects: &[Json]) -> Result<()> {
    for object in objects {
        let object: DynamicObject = serde_json::from_value(object.clone())?;
        let types = object.types.clone().context("an object without a kind")?;
        let name = object.metadata.name.clone().context("an object without a name")?;
        let resource = ApiResource::from_gvk(&GroupVersionKind::try_from(&types)?);
        let api: Api<DynamicObject> = match &object.metadata.namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
            None => Api::all_with(client.clone(), &resource),
        };
        let params = PatchParams::apply("stage").force();
        Box::pin(api.patch(&name, &params, &Patch::Apply(&object)))
            .await
            .with_context(|| format!("{} {name}", types.kind))?;
    }
    Ok(())
}

/// What an admin makes: an entry of the embedded store with one text, and the space that binds it to a namespace.
pub fn bound(name: &str, key: &str, value: &str) -> Vec<Json> {
    let entry = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": format!("space-{name}"), "namespace": SYSTEM},
                       "stringData": {key: value}});
    let space = json!({"namespaces": [name], "secretManagerRef": {"name": "embedded"}});
    vec![
        entry,
        spacesync("SecretManager", None, "embedded", &json!({"kubernetes": {}})),
        spacesync("Space", None, name, &space),
    ]
}

/// What its team adds: the sync `secrets`, and the flow app `app` of a Deployment of that name.
pub fn served(namespace: &str) -> Vec<Json> {
    let app = json!({"version": "5.3.0", "workloadRef": {"kind": "Deployment", "name": "app"}});
    vec![
        spacesync("SpaceSecretSync", Some(namespace), "secrets", &json!({})),
        spacesync("FlowApp", Some(namespace), "app", &app),
    ]
}

/// An object of ours.
pub fn spacesync(kind: &str, namespace: Option<&str>, name: &str, spec: &Json) -> Json {
    let mut object =
        json!({"apiVersion": "spacesync.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec});
    if let Some(namespace) = namespace {
        object["metadata"]["namespace"] = namespace.into();
    }
    object
}

/// Waits until the flow app `app` is injected.
pub async fn injected(client: &Client, namespace: &str, limit: Duration) -> Result<()> {
    let (apps, began) = (Api::<FlowApp>::namespaced(client.clone(), namespace), Instant::now());
    loop {
        let status = apps.get("app").await?.status.unwrap_or_default();
        if status.conditions.iter().any(|c| c.type_ == "Injected" && c.status == "True") {
            return Ok(());
        }
        ensure!(began.elapsed() < limit, "nothing was injected: {:?}", status.conditions);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
