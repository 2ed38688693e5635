//! Objects of any kind, applied.

use anyhow::{Context, Result};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams},
};
use serde_json::Value as Json;

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
