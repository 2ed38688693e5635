//! What an injection left to nobody is claimed again before it is moved or taken back. Pure.
//!
//! A container of which a mount is ours would outlive its owner: who renames it by server-side apply would leave behind
//! what we hold of it, without an image, and be refused. So our mounts are nobody's once they stand
//! (docs/decisions/0011), and server-side apply drops only what is somebody's: they are claimed first, as they stand.

use k8s_openapi::api::core::v1::PodTemplateSpec;
use serde_json::{Value as Json, json};

use super::shape::withdrawal;
use crate::{
    delivery::workload::WorkloadMeta,
    resources::names::{FLOW_APP, VOLUME},
};

/// A mount of our volume: container and path.
pub type Mount<'a> = (&'a str, &'a str);

/// Claims all of our shape that stands in a workload, so that the next apply drops what that leaves out. `None` where no
/// mount would stay behind: nothing but `stays` mounts our volume. The resourceVersion keeps it to what was read.
pub fn claim(workload: &WorkloadMeta, template: &PodTemplateSpec, stays: Option<Mount>) -> Option<Json> {
    let spec = template.spec.as_ref()?;
    let paths = |mounts: Vec<&str>| mounts.into_iter().map(|path| json!({"name": VOLUME, "mountPath": path})).collect();
    let mut left_behind = false;
    let mut containers = Vec::new();
    for container in &spec.containers {
        let mounts = container.volume_mounts.iter().flatten().filter(|mount| mount.name == VOLUME);
        let mounts: Vec<_> = mounts.map(|mount| mount.mount_path.as_str()).collect();
        left_behind |= mounts.iter().any(|path| stays != Some((&container.name, path)));
        if !mounts.is_empty() {
            let mounts: Vec<Json> = paths(mounts);
            containers.push(json!({"name": container.name, "volumeMounts": mounts}));
        }
    }
    if !left_behind {
        return None;
    }
    let identity = (workload.namespace.as_str(), workload.name.as_str(), workload.uid.as_str());
    let mut body = withdrawal(workload.kind, identity);
    body["metadata"]["resourceVersion"] = workload.resource_version.clone().into();
    if let Some(app) = &workload.flow_app {
        body["metadata"]["labels"] = json!({FLOW_APP: app});
    }
    let labels = template.metadata.as_ref().and_then(|meta| meta.labels.as_ref());
    if let Some(app) = labels.and_then(|labels| labels.get(FLOW_APP)) {
        body["spec"]["template"]["metadata"]["labels"] = json!({FLOW_APP: app});
    }
    body["spec"]["template"]["spec"]["containers"] = containers.into();
    let volume = spec.volumes.iter().flatten().find(|volume| volume.name == VOLUME);
    if let Some(sources) = volume.and_then(|volume| volume.projected.as_ref()?.sources.as_ref()) {
        let volume = json!({"name": VOLUME, "projected": {"sources": sources}});
        body["spec"]["template"]["spec"]["volumes"] = json!([volume]);
    }
    Some(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::sample::workload;

    fn template() -> PodTemplateSpec {
        let mount = |path: &str| json!({"name": "spacesync", "mountPath": path, "readOnly": true});
        let template = json!({
            "metadata": {"labels": {"app": "ingest", "spacesync.dev/flow-app": "ingest"}},
            "spec": {
                "volumes": [
                    {"name": "data", "emptyDir": {}},
                    {"name": "spacesync", "projected": {"defaultMode": 420, "sources": [{"secret": {"name": "s"}}]}},
                ],
                "containers": [
                    {"name": "node-red", "image": "nr", "volumeMounts": [
                        {"name": "data", "mountPath": "/data"}, mount("/var/run/spacesync"),
                    ]},
                    {"name": "side", "image": "s"},
                ],
            },
        });
        serde_json::from_value(template).unwrap()
    }

    #[test]
    fn what_stands_is_claimed_and_nothing_else() {
        let expected = json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {
                "namespace": "ns", "name": "ingest", "uid": "uid-of-ingest", "resourceVersion": "7",
                "labels": {"spacesync.dev/flow-app": "ingest"},
            },
            "spec": {"template": {
                "metadata": {"labels": {"spacesync.dev/flow-app": "ingest"}},
                "spec": {
                    "volumes": [{"name": "spacesync", "projected": {"sources": [{"secret": {"name": "s"}}]}}],
                    "containers": [{
                        "name": "node-red",
                        "volumeMounts": [{"name": "spacesync", "mountPath": "/var/run/spacesync"}],
                    }],
                },
            }},
        });
        assert_eq!(claim(&workload(), &template(), None), Some(expected.clone()));
        for elsewhere in [("side", "/var/run/spacesync"), ("node-red", "/secrets")] {
            assert_eq!(claim(&workload(), &template(), Some(elsewhere)), Some(expected.clone()));
        }
    }

    #[test]
    fn nothing_is_claimed_where_no_mount_would_stay_behind() {
        assert_eq!(claim(&workload(), &template(), Some(("node-red", "/var/run/spacesync"))), None);
        let mut bare = template();
        bare.spec.as_mut().unwrap().containers.remove(0);
        assert_eq!(claim(&workload(), &bare, None), None);
    }
}
