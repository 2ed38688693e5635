//! A Deployment or StatefulSet by its metadata.

use kube::core::{ObjectMeta, PartialObjectMeta};

use super::{injection, restart};
use crate::{
    cluster::cache::{Item, version_number},
    resources::names::{FLOW_APP, RESTARTED_FOR},
};

/// Which kind of workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WorkloadKind {
    /// `apps/v1` Deployment.
    Deployment,
    /// `apps/v1` StatefulSet.
    StatefulSet,
}

impl WorkloadKind {
    /// As the API spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
        }
    }

    /// Reads `workloadRef.kind`; the CEL rule lets nothing else through.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Deployment, Self::StatefulSet].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// A workload, as far as a metadata watch tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadMeta {
    /// Which kind.
    pub kind: WorkloadKind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Its resourceVersion.
    pub resource_version: String,
    /// Moves with its spec: while it stays, the template is as it was.
    pub generation: i64,
    /// The FlowApp that it was injected for, by our label.
    pub flow_app: Option<String>,
    /// When we last changed its template, if anything of it is ours.
    pub injected: Option<jiff::Timestamp>,
    /// Where in its managed fields a part of a container is ours, which is to be given up.
    pub containers_at: Option<usize>,
    /// The revision that we last rolled it for.
    pub restarted_for: Option<String>,
    /// When we last rolled it.
    pub restarted: Option<jiff::Timestamp>,
    /// Whether it is being deleted.
    pub terminating: bool,
}

impl WorkloadMeta {
    /// What the cache would know of this object.
    pub fn from_meta(kind: WorkloadKind, meta: ObjectMeta) -> Option<Self> {
        Some(Self {
            kind,
            injected: injection::injected_at(meta.managed_fields.as_deref().unwrap_or_default()),
            containers_at: injection::containers_at(meta.managed_fields.as_deref().unwrap_or_default()),
            restarted: restart::restarted_at(meta.managed_fields.as_deref().unwrap_or_default()),
            restarted_for: meta.annotations.and_then(|mut annotations| annotations.remove(RESTARTED_FOR)),
            namespace: meta.namespace?,
            name: meta.name?,
            uid: meta.uid?,
            resource_version: meta.resource_version?,
            generation: meta.generation?,
            flow_app: meta.labels.and_then(|mut labels| labels.remove(FLOW_APP)),
            terminating: meta.deletion_timestamp.is_some(),
        })
    }

    /// The projection for the cache of Deployments.
    pub fn deployment<K>(object: PartialObjectMeta<K>) -> Option<Self> {
        Self::from_meta(WorkloadKind::Deployment, object.metadata)
    }

    /// The projection for the cache of StatefulSets.
    pub fn stateful_set<K>(object: PartialObjectMeta<K>) -> Option<Self> {
        Self::from_meta(WorkloadKind::StatefulSet, object.metadata)
    }
}

impl Item for WorkloadMeta {
    fn place(&self) -> (&str, &str) {
        (&self.namespace, &self.name)
    }

    fn resource_version(&self) -> u64 {
        version_number(Some(&self.resource_version))
    }
}
