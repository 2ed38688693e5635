//! `SpaceSecretSync`: brings one space's secrets into its namespace.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Timestamp, schema};
use crate::{
    secret::{ChangeRecord, Format},
    store::Head,
};

/// Brings one space's secrets into its namespace, on a schedule, on save, on demand.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "spacesync.dev",
    version = "v1alpha1",
    kind = "SpaceSecretSync",
    plural = "spacesecretsyncs",
    singular = "spacesecretsync",
    shortname = "sss",
    category = "spacesync",
    namespaced,
    status = "SpaceSecretSyncStatus",
    derive = "PartialEq",
    doc = "A SpaceSecretSync brings the secrets of the space that its namespace belongs to into one managed Secret, and tells the flow apps.",
    printcolumn(name = "Space", type_ = "string", json_path = ".status.space"),
    printcolumn(name = "Version", type_ = "integer", json_path = ".status.version"),
    printcolumn(name = "Synced", type_ = "string", json_path = ".status.conditions[?(@.type=='Synced')].status"),
    printcolumn(name = "Delivered", type_ = "string", json_path = ".status.delivery.summary"),
    printcolumn(name = "Auto Sync", type_ = "string", json_path = ".status.autoSync"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.size() <= 63")
        .message("a SpaceSecretSync's name is used as a label: choose one of at most 63 characters")
)]
#[serde(rename_all = "camelCase")]
pub struct SpaceSecretSyncSpec {
    /// When to look for a new version: `Live`, `1m`, `30m`, `60m`, `12h`, `24h` or `Manual` (only when asked).
    /// Defaults to Live: as soon as the store announces a change, and checked each minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::choice::<AutoSync>")]
    pub auto_sync: Option<AutoSync>,
    /// Stops every sync, also those asked for; they are done when it ends. Defaults to false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
    /// Which flow apps are told. Absent: every FlowApp of the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow_apps: Option<FlowApps>,
    /// Which keys are brought. Absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<Keys>,
    /// The managed Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// What becomes of the managed Secret when the space's entry itself has gone: `Retain` or `Delete`. Defaults to Retain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::choice::<DeletionPolicy>")]
    pub on_source_gone: Option<DeletionPolicy>,
}

impl SpaceSecretSyncSpec {
    /// When to look, with the default filled in.
    pub fn effective_auto_sync(&self) -> AutoSync {
        self.auto_sync.unwrap_or_default()
    }

    /// Whether everything waits.
    pub fn is_suspended(&self) -> bool {
        self.suspend.unwrap_or_default()
    }

    /// The name of the managed Secret of a sync of this name.
    pub fn target_name<'a>(&'a self, sync: &'a str) -> &'a str {
        self.target.as_ref().and_then(|t| t.name.as_deref()).unwrap_or(sync)
    }

    /// The type of the managed Secret.
    pub fn target_type(&self) -> &str {
        self.target.as_ref().and_then(|t| t.type_.as_deref()).unwrap_or(OPAQUE)
    }

    /// What becomes of the managed Secret when the sync goes.
    pub fn deletion_policy(&self) -> DeletionPolicy {
        self.target.as_ref().and_then(|t| t.deletion_policy).unwrap_or(DeletionPolicy::Delete)
    }

    /// What becomes of it when the space's entry goes.
    pub fn source_gone_policy(&self) -> DeletionPolicy {
        self.on_source_gone.unwrap_or(DeletionPolicy::Retain)
    }
}

/// When a sync looks for a new version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum AutoSync {
    /// As soon as the store announces a change, and checked each minute.
    #[default]
    Live,
    /// Every minute.
    #[serde(rename = "1m")]
    Every1m,
    /// Every 30 minutes.
    #[serde(rename = "30m")]
    Every30m,
    /// Every 60 minutes.
    #[serde(rename = "60m")]
    Every60m,
    /// Every 12 hours.
    #[serde(rename = "12h")]
    Every12h,
    /// Every 24 hours.
    #[serde(rename = "24h")]
    Every24h,
    /// Only when asked.
    Manual,
}

impl AutoSync {
    /// As the API spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "Live",
            Self::Every1m => "1m",
            Self::Every30m => "30m",
            Self::Every60m => "60m",
            Self::Every12h => "12h",
            Self::Every24h => "24h",
            Self::Manual => "Manual",
        }
    }
}

/// What becomes of a managed Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// It stays, and is no longer managed.
    Retain,
    /// It is deleted.
    Delete,
}

/// Which flow apps a sync tells.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FlowApps {
    /// A label selector over the FlowApps of the namespace. Empty: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::selector")]
    #[x_kube(validation = Rule::new(schema::SELECTOR)
        .message("each of matchExpressions needs an operator In or NotIn with values, or Exists or DoesNotExist without"))]
    pub selector: Option<LabelSelector>,
}

/// Which keys a sync brings, by globs such as `PRODUCT_A_*`.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Keys {
    /// Keys to bring. Defaults to `*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100), inner(length(min = 1, max = 253)))]
    pub include: Option<Vec<String>>,
    /// Keys to leave out, of those.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100), inner(length(min = 1, max = 253)))]
    pub exclude: Option<Vec<String>>,
}

/// The managed Secret.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// Its name. Defaults to the sync's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new(schema::OBJECT_NAME)
        .message("must be the name of a Secret: lower-case letters, digits, - and ., such as secrets"))]
    pub name: Option<String>,
    /// What becomes of it when the sync is deleted: `Delete` or `Retain`. Defaults to Delete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::choice::<DeletionPolicy>")]
    pub deletion_policy: Option<DeletionPolicy>,
    /// Its type, such as `kubernetes.io/tls`. Defaults to Opaque. A Secret's type cannot be changed, so another one here makes
    /// the Secret anew.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9]([-A-Za-z0-9._]*[A-Za-z0-9])?(/[A-Za-z0-9]([-A-Za-z0-9._]*[A-Za-z0-9])?)?$')")
        .message("must be the type of a Secret, such as Opaque or kubernetes.io/tls"))]
    #[x_kube(validation = Rule::new("!(self in ['kubernetes.io/service-account-token', 'bootstrap.kubernetes.io/token'])")
        .message("must not be a type by which Kubernetes gives out or takes credentials of its own; use Opaque"))]
    pub type_: Option<String>,
    /// Labels that it is to have besides Spacesync's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::labels")]
    #[x_kube(validation = Rule::new(schema::NOT_OURS).message(schema::NOT_OURS_SAYS))]
    #[x_kube(validation = Rule::new(schema::QUALIFIED).message("must have names such as team or example.org/team"))]
    #[x_kube(validation = Rule::new("self.all(k, self[k].matches('^([A-Za-z0-9]([-A-Za-z0-9._]*[A-Za-z0-9])?)?$'))")
        .message("must have values of letters, digits, -, _ and ., such as newsroom"))]
    pub labels: Option<BTreeMap<String, String>>,
    /// Annotations that it is to have besides Spacesync's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::annotations")]
    #[x_kube(validation = Rule::new(schema::NOT_OURS).message(schema::NOT_OURS_SAYS))]
    #[x_kube(validation = Rule::new(schema::QUALIFIED).message("must have names such as team or example.org/team"))]
    pub annotations: Option<BTreeMap<String, String>>,
}

/// The type of a managed Secret unless `target.type` says otherwise.
pub const OPAQUE: &str = "Opaque";

/// What made a sync look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Trigger {
    /// The schedule.
    Schedule,
    /// The store announced a change.
    Live,
    /// Somebody pressed *Sync now*.
    Manual,
    /// A flow was saved.
    Save,
    /// The managed Secret was changed by somebody else.
    Drift,
    /// There was nothing yet.
    First,
}

impl Trigger {
    /// As the API spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Schedule => "schedule",
            Self::Live => "live",
            Self::Manual => "manual",
            Self::Save => "save",
            Self::Drift => "drift",
            Self::First => "first",
        }
    }
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Outcome {
    /// A new revision was written.
    Synced,
    /// There was nothing new.
    Unchanged,
    /// It did not come to pass; the condition `Synced` says why.
    Failed,
}

/// A key and its format.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyStatus {
    /// The key's name.
    pub name: String,
    /// How its value is to be read.
    pub format: Format,
}

/// What a sync brought, when, and who has it. Names, counts, times and revisions; never a value.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SpaceSecretSyncStatus {
    /// The generation that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The space that the namespace belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub space: Option<String>,
    /// The schedule in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::choice::<AutoSync>")]
    pub auto_sync: Option<AutoSync>,
    /// The space's version that the managed Secret holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// What exactly it holds: `<version>-<fingerprint>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// When the space's first version was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// When this version was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Timestamp>,
    /// When this revision was read from the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_at: Option<Timestamp>,
    /// How many keys the managed Secret holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_count: Option<usize>,
    /// The first 200 of them, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<KeyStatus>,
    /// The managed Secret as it was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<TargetStatus>,
    /// What the store said of the entry when it was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceStatus>,
    /// The last time that something was brought, asked for or failed. A cycle that found nothing new is not written down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_sync: Option<LastSync>,
    /// The last `spacesync.dev/sync-requested` that was dealt with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_sync_request: Option<String>,
    /// Which flow apps have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<DeliveryStatus>,
    /// The last 10 changes, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<ChangeRecord>,
    /// `Ready`, `Synced`, `KeysComplete`, `Delivered`, and `Reconciling` or `Stalled` while they hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// The managed Secret as it was last written.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetStatus {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Its resourceVersion.
    pub resource_version: String,
}

/// Which entry of which store was read, and at which head.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceStatus {
    /// The `SecretManager`.
    pub secret_manager: String,
    /// The space's path in it.
    pub path: String,
    /// The generation of the sync that the content was chosen by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
    /// A digest of the `keys` and the `target` that it was chosen and shaped by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<String>,
    /// What the store said of the entry.
    pub head: Head,
}

/// One look at the store.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastSync {
    /// When.
    pub time: Timestamp,
    /// What made the sync look.
    pub trigger: Trigger,
    /// What came of it.
    pub result: Outcome,
}

/// How far a revision has come.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryStatus {
    /// Flow apps that this sync serves.
    pub flow_apps: usize,
    /// Their running pods that count.
    pub pods: usize,
    /// Pods that have acknowledged the current revision, or were started with it and are Ready.
    pub loaded: usize,
    /// `loaded/pods`.
    pub summary: String,
    /// Up to 10 pods that have not, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lagging: Vec<LaggingPod>,
}

/// A pod that has not acknowledged the current revision.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LaggingPod {
    /// The FlowApp.
    pub flow_app: String,
    /// The pod.
    pub pod: String,
    /// What it waits for: `NotTold`, `AwaitingAck`, `NoAck`, `NeverAcked`, or `LoadFailed:` with the runtime's word. Where
    /// the app's `reload` is Restart: `AwaitingRestart`, `NotReady`, or `RestartStalled`.
    pub reason: String,
}
