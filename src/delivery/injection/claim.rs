//! What an injection left to nobody is claimed again before it is moved or taken back. Pure.
//!
//! A container of which a mount is ours would outlive its owner: who renames it by server-side apply would leave behind
//! what we hold of it, without an image, and be refused. So our mounts are nobody's once they stand
//! (docs/decisions/0011), and server-side apply drops only what is somebody's: they are claimed first, as they stand.

use k8s_openapi::api::core::v1::{PodTemplateSpec, VolumeMount};
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
    let mut left_behind = false;
    let mut containers = Vec::new();
    for container in &spec.containers {
        let mounts = container.volume_mounts.iter().flatten().filter(|mount| mount.name == VOLUME);
        let mounts: Vec<_> = mounts.collect();
        left_behind |= mounts.iter().any(|mount| stays != Some((&container.name, &mount.mount_path)));
        if !mounts.is_empty() {
            let mounts: Vec<_> = mounts.into_iter().map(as_it_stands).collect();
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

/// What an injection says of a mount, all of it: what a claim left out would go by it where it was not given up yet, and
/// the pods would roll once for the claim and once for what follows.
fn as_it_stands(mount: &VolumeMount) -> Json {
    let mut claimed = json!({"name": mount.name, "mountPath": mount.mount_path});
    if let Some(read_only) = mount.read_only {
        claimed["readOnly"] = read_only.into();
    }
    claimed
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
                        "volumeMounts": [{"name": "spacesync", "mountPath": "/var/run/spacesync", "readOnly": true}],
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
    fn a_mount_is_claimed_as_somebody_may_have_changed_it() {
        let mut template = template();
        template.spec.as_mut().unwrap().containers[0].volume_mounts.as_mut().unwrap()[1].read_only = None;
        let claimed = claim(&workload(), &template, None).unwrap();
        let mounts = &claimed["spec"]["template"]["spec"]["containers"][0]["volumeMounts"];
        assert_eq!(*mounts, json!([{"name": "spacesync", "mountPath": "/var/run/spacesync"}]));
    }

    #[test]
    fn nothing_is_claimed_where_no_mount_would_stay_behind() {
        assert_eq!(claim(&workload(), &template(), Some(("node-red", "/var/run/spacesync"))), None);
        let mut bare = template();
        bare.spec.as_mut().unwrap().containers.remove(0);
        assert_eq!(claim(&workload(), &bare, None), None);
    }
}
