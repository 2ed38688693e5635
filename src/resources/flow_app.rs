//! `FlowApp`: a workload that runs flows.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{names::DEFAULT_MOUNT_PATH, schema};

/// A workload that runs flows.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "spacesync.dev",
    version = "v1alpha1",
    kind = "FlowApp",
    plural = "flowapps",
    singular = "flowapp",
    shortname = "fa",
    category = "spacesync",
    namespaced,
    status = "FlowAppStatus",
    derive = "PartialEq",
    doc = "A FlowApp is a workload that runs flows. Its pods get the secrets of the namespace's space, live.",
    printcolumn(name = "Version", type_ = "string", json_path = ".spec.version"),
    printcolumn(name = "Sync", type_ = "string", json_path = ".status.sync"),
    printcolumn(name = "Injected", type_ = "string", json_path = ".status.conditions[?(@.type=='Injected')].status"),
    printcolumn(name = "Loaded", type_ = "string", json_path = ".status.summary"),
    printcolumn(name = "Reload", type_ = "string", json_path = ".status.reload"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.size() <= 63")
        .message("a FlowApp's name is used as a label: choose one of at most 63 characters")
)]
#[serde(rename_all = "camelCase")]
pub struct FlowAppSpec {
    /// The Flow App's version, such as `5.3.0`. From 5.3.0 on the Secret Manager plugin serves the secrets.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^v?(0|[1-9][0-9]*)[.](0|[1-9][0-9]*)[.](0|[1-9][0-9]*)(-[0-9A-Za-z-]+([.][0-9A-Za-z-]+)*)?([+][0-9A-Za-z-]+([.][0-9A-Za-z-]+)*)?$')")
        .message("must be a semantic version such as 5.3.0"))]
    pub version: String,
    /// The workload that runs the flows.
    pub workload_ref: WorkloadRef,
    /// The container that runs the flows. Defaults to the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new(schema::LABEL_NAME).message("must be the name of a container, such as node-red"))]
    pub container: Option<String>,
    /// Where the secrets are mounted. Defaults to `/var/run/spacesync`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = Rule::new(r"self.matches(r'^/[^:\x00-\x1f\x7f]*$') && !self.split('/').exists(s, s == '..' || s == '.')")
        .message("must be an absolute path without . and .. segments, colons and control characters, such as /var/run/spacesync"))]
    #[x_kube(validation = Rule::new("!self.matches('^/+(etc|proc|sys|dev|(var/+)?run/+secrets)(/|$)') && !self.matches('^/*(var|(var/+)?run)?/*$')")
        .message("must not be /, /etc, /proc, /sys, /dev or /var/run/secrets nor below them, and not hide /var/run; use for example /var/run/spacesync"))]
    pub mount_path: Option<String>,
    /// How a new revision reaches the flows. `Hot`: the running pods are told and load it. `Restart`: the workload is rolled.
    /// `None`: no revision is told, only the files change. Defaults to Hot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::choice::<Reload>")]
    pub reload: Option<Reload>,
    /// Whether saving a flow asks for a sync. Defaults to true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync_on_save: Option<bool>,
}

impl FlowAppSpec {
    /// Where the volume is mounted, with the default filled in.
    pub fn effective_mount_path(&self) -> &str {
        self.mount_path.as_deref().unwrap_or(DEFAULT_MOUNT_PATH)
    }

    /// Whether saving a flow asks for a sync, with the default filled in.
    pub fn effective_sync_on_save(&self) -> bool {
        self.sync_on_save.unwrap_or(true)
    }

    /// How a new revision reaches the flows, with the default filled in.
    pub fn effective_reload(&self) -> Reload {
        self.reload.unwrap_or_default()
    }
}

/// A workload of the same namespace.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkloadRef {
    /// `Deployment` or `StatefulSet`.
    #[schemars(length(max = 63))]
    #[x_kube(validation = Rule::new("self == 'Deployment' || self == 'StatefulSet'")
        .message("must be Deployment or StatefulSet: no flow app runs as a DaemonSet, Job or Argo Rollout"))]
    pub kind: String,
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new(schema::OBJECT_NAME)
        .message("must be the name of a workload of this namespace, such as ingest"))]
    pub name: String,
}

/// How a new revision reaches the flows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Reload {
    /// The running pods are told and load it; no restart.
    #[default]
    Hot,
    /// The workload is rolled.
    Restart,
    /// Nothing is told; the files change.
    None,
}

/// What was injected, and which pods have loaded which revision.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FlowAppStatus {
    /// The generation that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The sync that serves this app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync: Option<String>,
    /// The revision that the pods are to load.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// How a new revision reaches the flows, with the default filled in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::choice::<Reload>")]
    pub reload: Option<Reload>,
    /// Whether saving a flow asks for a sync.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync_on_save: Option<bool>,
    /// The workload as it was last looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<WorkloadStatus>,
    /// How far the restart for a new revision is, where `reload` is Restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<RestartStatus>,
    /// Running pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<usize>,
    /// Those that have acknowledged the current revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loaded: Option<usize>,
    /// `loaded/pods`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// Up to 50 pods and the revision that each has acknowledged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pod_revisions: Vec<PodRevision>,
    /// Legacy Secret Manager nodes that a runtime found in its flows. The pods run the same flows: of what they say, the
    /// most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub legacy_nodes: Option<u32>,
    /// `Ready`, `Injected`, `Loaded`, `Supported`, and `Reconciling` or `Stalled` while they hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// The workload as it was last looked at: while nothing of it moved, it is not read again.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadStatus {
    /// Its UID.
    pub uid: String,
    /// Its generation when it was found to be injected.
    pub generation: i64,
    /// The managed Secret that its template mounts.
    pub secret: String,
}

/// How far a restart is. While nothing of it is open, the workload is not looked at for it.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartStatus {
    /// The revision that the workload is rolled for. Later ones with the same content need no restart.
    pub revision: String,
    /// How far it is.
    pub phase: RestartPhase,
}

/// How far a restart is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RestartPhase {
    /// It waits for its turn: the operator rolls only so many workloads at once.
    Waiting,
    /// It is on its way.
    Rolling,
    /// Every pod was started with it and is available.
    Done,
    /// It does not come to an end; others no longer wait for it.
    Stalled,
    /// The workload does not roll by itself, because it is paused or its strategy says so.
    Held,
}

/// A pod, what it has loaded, and what runs in it.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodRevision {
    /// The pod.
    pub pod: String,
    /// The revision that it has acknowledged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// What it waits for, where that is not the current one: `NotTold`, `AwaitingAck`, `NoAck`, `NeverAcked`,
    /// `NotSignalled`, or `LoadFailed:` with the runtime's word. Where `reload` is Restart: `AwaitingRestart`, `NotReady`,
    /// or `RestartStalled`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What acknowledged, such as `node-red/5.0.7 plugin/0.1.0 protection/context-store`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
}
