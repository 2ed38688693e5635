//! Pods of Node-RED with the plugin, and a flow that answers with what it reads: masked, and its version.

use std::path::PathBuf;

use anyhow::{Context, Result};
use devcluster::{Image, Layer};
use serde_json::{Value as Json, json};

use super::runtime::Runtime;

/// Where Node-RED finds what is installed beside it.
const PLUGIN: &str = "/usr/src/node-red/node_modules/@spacesync/node-red-secret-manager";
const SETTINGS: &str = include_str!("node-red/settings.js");
const FLOWS: &str = include_str!("node-red/flows.json");
const CONFIG: &str = "node-red";
/// Where it answers.
pub const PORT: u16 = 1880;
/// What its flow answers to.
pub const PATH: &str = "/token";

const TAG: &str = "localhost/flow-app:1";
/// The same on Node-RED 4.1.
pub const TAG_4: &str = "localhost/flow-app-4:1";

/// Node-RED 5.
pub fn image() -> Result<PathBuf> {
    image_on(Image::NodeRed, "flow-app")
}

/// Node-RED 4.1, [`TAG_4`].
pub fn image_4() -> Result<PathBuf> {
    image_on(Image::NodeRed4, "flow-app-4")
}

/// With the plugin as the sources are now and as it is published; made where it is not there yet.
fn image_on(base: Image, name: &str) -> Result<PathBuf> {
    let source = super::root().join("plugin");
    let package: Json = serde_json::from_slice(&std::fs::read(source.join("package.json"))?)?;
    let files = package["files"].as_array().context("package.json has no files")?.iter().filter_map(Json::as_str);
    let there = files.filter(|name| source.join(name).exists());
    let put = |layer: Layer, name: &str| layer.put(&format!("{PLUGIN}/{name}"), source.join(name));
    put(there.fold(Layer::on(base, name), put), "package.json").archive()
}

/// So many pods of it.
pub fn runtime(pods: usize) -> Runtime {
    Runtime { name: "Node-RED", pods, image, program: "/usr/local/bin/node", objects, port: PORT, path: PATH }
}

/// A namespace for `restricted` pods only, and a Deployment `app` of them. It mounts nothing of ours: that is the operator's part.
pub fn objects(namespace: &str, pods: usize) -> Vec<Json> {
    let labels = json!({"app": "app"});
    let container = json!({
        "name": "node-red",
        "readinessProbe": {"httpGet": {"path": "/", "port": PORT}, "periodSeconds": 1},
        "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                            "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}, {"name": "tmp", "mountPath": "/tmp"}],
    });
    let pod = json!({
        "terminationGracePeriodSeconds": 1,
        "securityContext": {"runAsNonRoot": true, "runAsUser": 1000, "fsGroup": 1000,
                            "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": [{"name": "data", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}],
    });
    let mut deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "app", "namespace": namespace},
        "spec": {"replicas": pods, "selector": {"matchLabels": labels},
                 "template": {"metadata": {"labels": labels}, "spec": pod}},
    });
    configure(&mut deployment);
    let enforce = json!({"pod-security.kubernetes.io/enforce": "restricted"});
    vec![
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": enforce}}),
        config_map(namespace),
        deployment,
    ]
}

/// Settings and flows, as the pods mount them.
pub fn config_map(namespace: &str) -> Json {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": CONFIG, "namespace": namespace},
           "data": {"settings.js": SETTINGS, "flows.json": FLOWS}})
}

/// Has the first container of a Deployment run this image with them.
pub fn configure(deployment: &mut Json) {
    let pod = &mut deployment["spec"]["template"]["spec"];
    let container = &mut pod["containers"][0];
    container["image"] = TAG.into();
    container["args"] = json!(["--settings", "/config/settings.js"]);
    push(&mut container["volumeMounts"], json!({"name": "config", "mountPath": "/config"}));
    push(&mut pod["volumes"], json!({"name": "config", "configMap": {"name": CONFIG}}));
}

fn push(list: &mut Json, item: Json) {
    if let Some(list) = list.as_array_mut() {
        list.push(item);
    }
}
