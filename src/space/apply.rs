//! All that is written for one Space, besides its status.

use std::collections::BTreeMap;

use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::core::ObjectMeta;
use serde_json::json;

use super::{
    gather::Known,
    plan::{ConfigMapPlan, NamespacePlan, Plan},
};
use crate::{
    cluster::{self, Error, cache::Item, secrets::SecretMeta},
    operator::{Context, caches::ObjectView},
    resources::{
        names::{API_CONFIG_MAP, MANAGED_BY, MANAGER},
        space::ApiConfigMapStatus,
    },
};

/// How many namespaces are written to at once: others use the connection too.
const AT_ONCE: usize = 8;

/// What came of the plan for one namespace.
#[derive(Debug)]
pub enum Done {
    /// There was nothing to do.
    Nothing,
    /// The `ConfigMap` as it is now.
    Written(ApiConfigMapStatus),
    /// Something was removed.
    Removed,
    /// It did not come to pass.
    Failed(Error),
}

/// What came of a plan, by namespace.
pub type Applied = BTreeMap<String, Done>;

/// Does what the plan says. What fails in one namespace keeps no other from its own.
pub async fn apply(ctx: &Context, known: &Known, plan: &Plan) -> Applied {
    let one = |plan: &NamespacePlan| {
        let (name, config_map, delete) = (plan.name.clone(), plan.config_map.clone(), plan.delete.clone());
        async move {
            let done = async {
                for secret in &delete {
                    part_with(ctx, secret).await?;
                }
                let done = self::config_map(ctx, &name, &config_map, &known.content).await?;
                Ok(if delete.is_empty() { done } else { Done::Removed })
            };
            let done = done.await.unwrap_or_else(Done::Failed);
            (name, done)
        }
    };
    let futures: Vec<_> = plan.namespaces.iter().map(one).collect();
    stream::iter(futures).buffer_unordered(AT_ONCE).collect().await
}

/// As it was seen: a sync of the space that has the namespace now may have taken it over since.
async fn part_with(ctx: &Context, secret: &SecretMeta) -> cluster::Result<()> {
    let SecretMeta { namespace, name, uid, resource_version, .. } = secret;
    ctx.cluster.delete_seen::<Secret>(namespace, name, uid, resource_version).await?;
    ctx.caches.managed.remove(&secret.key());
    tracing::info!(secret = %secret.key(), "deleted a managed Secret of a namespace that left its space");
    Ok(())
}

async fn config_map(ctx: &Context, namespace: &str, plan: &ConfigMapPlan, content: &str) -> cluster::Result<Done> {
    let written = match plan {
        ConfigMapPlan::Leave | ConfigMapPlan::RefuseForeign => return Ok(Done::Nothing),
        ConfigMapPlan::Remove(there) => {
            ctx.cluster.delete::<ConfigMap>(Some(namespace), API_CONFIG_MAP, &there.uid).await?;
            ctx.caches.api_config_maps.remove(&there.key());
            return Ok(Done::Removed);
        }
        // Not by apply, which would merge into one that somebody else made just now.
        ConfigMapPlan::Create => ctx.cluster.create(&wanted(ctx, namespace)).await?,
        ConfigMapPlan::Repair(there) => repair(ctx, namespace, there).await?,
    };
    let resource_version = written.metadata.resource_version.clone().unwrap_or_default();
    if let Some(view) = ObjectView::from_meta(written.metadata) {
        ctx.caches.api_config_maps.put(view);
    }
    Ok(Done::Written(ApiConfigMapStatus { resource_version, content: content.to_owned() }))
}

async fn repair(ctx: &Context, namespace: &str, there: &ObjectView) -> cluster::Result<ConfigMap> {
    let wanted = wanted(ctx, namespace);
    let body = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": API_CONFIG_MAP, "uid": there.uid, "labels": wanted.metadata.labels},
        "data": wanted.data,
    });
    match ctx.cluster.apply_ours(Some(namespace), API_CONFIG_MAP, "api", &body).await {
        // Somebody made it immutable.
        Err(Error::Invalid(_)) => {
            ctx.cluster.delete::<ConfigMap>(Some(namespace), API_CONFIG_MAP, &there.uid).await?;
            ctx.cluster.create(&wanted).await
        }
        answer => answer,
    }
}

fn wanted(ctx: &Context, namespace: &str) -> ConfigMap {
    let data = [("url", ctx.settings.api_url.clone()), ("ca.crt", ctx.trust.bundle())];
    ConfigMap {
        metadata: ObjectMeta {
            namespace: Some(namespace.to_owned()),
            name: Some(API_CONFIG_MAP.to_owned()),
            labels: Some(BTreeMap::from([(MANAGED_BY.to_owned(), MANAGER.to_owned())])),
            ..ObjectMeta::default()
        },
        data: Some(data.map(|(key, value)| (key.to_owned(), value)).into()),
        ..ConfigMap::default()
    }
}
