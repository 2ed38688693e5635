//! The volume of a flow app's pods: how a pod template stands to what it is to have. Pure.

mod claim;
mod ours;
mod shape;
#[cfg(test)]
mod tests;

use k8s_openapi::api::core::v1::{Container, PodTemplateSpec, VolumeMount};
use serde_json::{Value as Json, json};

pub use claim::claim;
pub use ours::{CONTAINERS, containers_at, injected_at, owns_volume};
pub use shape::{body, sources_for, withdrawal};
use shape::{has_shape, names_secret, projections};

use crate::resources::names::{FLOW_APP, VOLUME};

/// The concern in the name of our field manager.
pub const CONCERN: &str = "inject";

/// What a template is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// The FlowApp.
    pub app: &'a str,
    /// The managed Secret.
    pub secret: &'a str,
    /// Where it is mounted.
    pub path: &'a str,
    /// The container; `None` for the first.
    pub container: Option<&'a str>,
}

/// What a workload has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found<'a> {
    /// Its pods' template.
    pub template: &'a PodTemplateSpec,
    /// Whether the volume in it is ours, by the managed fields.
    pub owned: bool,
    /// The FlowApp that the workload itself is labelled with: by this an injection is found when it is to be withdrawn.
    pub label: Option<&'a str>,
}

/// How a workload stands to what it is to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Injection {
    /// All of it is there, and we put it there.
    Ours,
    /// All of it is there by the user's own manifest.
    Declared,
    /// Something is missing or names something old, and can be applied.
    Missing {
        /// To this container.
        container: String,
        /// With these sources: those that stand there where they name the right Secret, so that neither a declared nor
        /// an injected volume is ever changed for its spelling.
        sources: Json,
    },
    /// There is no such container.
    NoContainer {
        /// Which.
        container: String,
    },
    /// Somebody else's volume has our name and another shape.
    VolumeConflict,
    /// Somebody else's mount is at our path.
    MountConflict {
        /// In which container.
        container: String,
    },
}

/// Compares what a workload has with what it is to have.
pub fn compare(found: Found, wanted: &Wanted) -> Injection {
    let Found { template, owned, label } = found;
    let spec = template.spec.as_ref();
    let containers = spec.map(|spec| spec.containers.as_slice()).unwrap_or_default();
    let Some(container) = find_container(containers, wanted.container) else {
        return Injection::NoContainer { container: wanted.container.unwrap_or_default().to_owned() };
    };
    let volumes = spec.and_then(|spec| spec.volumes.as_deref()).unwrap_or_default();
    let volume = volumes.iter().find(|volume| volume.name == VOLUME);
    if volume.is_some_and(|volume| !owned && !has_shape(volume, wanted.secret)) {
        return Injection::VolumeConflict;
    }
    let mount = mount_at(container, wanted.path);
    if mount.is_some_and(|mount| !is_whole(mount)) {
        return Injection::MountConflict { container: container.name.clone() };
    }
    let labels = template.metadata.as_ref().and_then(|meta| meta.labels.as_ref());
    let labelled = labels.and_then(|labels| labels.get(FLOW_APP)).is_some_and(|app| app == wanted.app);
    let standing = volume.filter(|volume| names_secret(volume, wanted.secret)).and_then(projections);
    match (standing.is_some() && mount.is_some() && labelled, owned) {
        (true, false) => Injection::Declared,
        (true, true) if label == Some(wanted.app) => Injection::Ours,
        _ => {
            let sources = standing.map_or_else(|| sources_for(wanted.secret), |sources| json!(sources));
            Injection::Missing { container: container.name.clone(), sources }
        }
    }
}

fn find_container<'a>(containers: &'a [Container], name: Option<&str>) -> Option<&'a Container> {
    match name {
        Some(name) => containers.iter().find(|container| container.name == name),
        None => containers.first(),
    }
}

fn mount_at<'a>(container: &'a Container, path: &str) -> Option<&'a VolumeMount> {
    let segments = |path: &str| path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    let mounts = container.volume_mounts.as_deref().unwrap_or_default();
    mounts.iter().find(|mount| segments(&mount.mount_path) == segments(path))
}

/// A part of our volume would not be refreshed: the kubelet never updates a `subPath`.
fn is_whole(mount: &VolumeMount) -> bool {
    let part = |part: &Option<String>| part.as_ref().is_some_and(|part| !part.is_empty());
    mount.name == VOLUME && !part(&mount.sub_path) && !part(&mount.sub_path_expr)
}
