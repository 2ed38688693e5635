//! Objects that a tenant may write.

use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value as Json, json};

use crate::{tenant::merge, workload::template};

pub fn resource_of(object: &Json) -> ApiResource {
    let text = |field: &str| object[field].as_str().expect("every object has a kind").to_owned();
    let (version, kind) = (text("apiVersion"), text("kind"));
    let (group, version) = version.split_once('/').unwrap_or(("", &version));
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &kind))
}

fn object(api_version: &str, kind: &str, name: &str, body: Json) -> Json {
    let mut object = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}});
    merge(&mut object, body);
    object
}

pub fn sync(name: &str, spec: &Json) -> Json {
    object("spacesync.dev/v1alpha1", "SpaceSecretSync", name, json!({"spec": spec}))
}

/// A sync that has every field.
pub fn whole_sync(name: &str) -> Json {
    let selector = json!({
        "matchLabels": {"team": "a"},
        "matchExpressions": [{"key": "team", "operator": "In", "values": ["a"]}],
    });
    let spec = json!({
        "autoSync": "1m", "suspend": false, "flowApps": {"selector": selector},
        "keys": {"include": ["*"], "exclude": ["NONE"]},
        "target": {"name": name, "deletionPolicy": "Delete", "type": "Opaque", "labels": {"team": "a"},
                   "annotations": {"team": "a"}},
        "onSourceGone": "Retain",
    });
    sync(name, &spec)
}

/// A FlowApp that has every field.
pub fn whole_app(name: &str) -> Json {
    let spec = json!({
        "version": "5.3.0", "workloadRef": {"kind": "Deployment", "name": name}, "container": "node-red",
        "mountPath": "/var/run/spacesync", "reload": "Hot", "syncOnSave": true,
    });
    object("spacesync.dev/v1alpha1", "FlowApp", name, json!({"spec": spec}))
}

pub fn secret(name: &str) -> Json {
    object("v1", "Secret", name, json!({"stringData": {"A": "the tenant's own"}}))
}

pub fn config_map(name: &str) -> Json {
    object("v1", "ConfigMap", name, json!({"data": {"url": "https://the.tenant.example"}}))
}

pub fn pod(name: &str) -> Json {
    let containers = json!([{"name": "node-red", "image": "node-red:5"}]);
    object("v1", "Pod", name, json!({"spec": {"containers": containers, "automountServiceAccountToken": false}}))
}

/// Paused, so that no controller has work with it.
pub fn deployment(name: &str) -> Json {
    let selector = json!({"matchLabels": {"app": "ingest"}});
    let spec = json!({"replicas": 0, "paused": true, "selector": selector, "template": template()});
    object("apps/v1", "Deployment", name, json!({"spec": spec}))
}
