//! `Space`: the owner of a set of secrets, bound to namespaces.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DeletionPolicy, Timestamp, schema};

/// The owner of a set of secrets, and the namespaces that may have them.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "spacesync.dev",
    version = "v1alpha1",
    kind = "Space",
    plural = "spaces",
    singular = "space",
    status = "SpaceStatus",
    derive = "PartialEq",
    doc = "A Space is the owner of a set of secrets. It binds them to namespaces. Cluster-scoped; for admins: a tenant can never choose a space.",
    printcolumn(name = "Display Name", type_ = "string", json_path = ".spec.displayName"),
    printcolumn(name = "Manager", type_ = "string", json_path = ".spec.secretManagerRef.name"),
    printcolumn(name = "Bound", type_ = "string", json_path = ".status.summary"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.size() <= 63")
        .message("a Space's name is used as a label: choose one of at most 63 characters")
)]
#[serde(rename_all = "camelCase")]
pub struct SpaceSpec {
    /// What people call the space.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub display_name: Option<String>,
    /// The namespaces that the space's secrets may go to. A namespace belongs to one space.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000), inner(length(max = 63)), extend("x-kubernetes-list-type" = "set"))]
    #[x_kube(validation = Rule::new("self.all(n, n.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'))")
        .message("each must be the name of a namespace, such as newsroom-dev; patterns and selectors are not supported"))]
    pub namespaces: Vec<String>,
    /// The `SecretManager` that keeps the space's secrets.
    pub secret_manager_ref: SecretManagerRef,
    /// The space's path in the store. Defaults to the Space's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 247))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9]([-A-Za-z0-9._/]*[A-Za-z0-9])?$') && !self.split('/').exists(s, s == '' || s == '.' || s == '..')")
        .message("must be a path such as newsroom-dev or teams/newsroom: letters, digits, - . _ and single slashes, no . or .. segments"))]
    pub path: Option<String>,
    /// What becomes of the managed Secrets in a namespace that leaves the space: `Retain` or `Delete`.
    /// Defaults to Retain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::choice::<DeletionPolicy>")]
    pub on_unbind: Option<DeletionPolicy>,
}

/// A `SecretManager` by name.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SecretManagerRef {
    /// Its name.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new(schema::OBJECT_NAME).message("must be the name of a SecretManager, such as central"))]
    pub name: String,
}

/// What the space holds, and what it waits for.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SpaceStatus {
    /// The generation that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Each namespace of the spec, and whether the space has it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<NamespaceStatus>,
    /// Bound and claimed namespaces, such as `2/3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// The embedded store's count of this space's entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<EntryStatus>,
    /// `Ready`, and `Reconciling` or `Stalled` while they hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// One namespace of a space.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceStatus {
    /// Its name.
    pub name: String,
    /// Whether the space has it.
    pub state: BindingState,
    /// The space that has it instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
    /// What keeps the binding from being complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The `ConfigMap` spacesync-api as it was last written there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_config_map: Option<ApiConfigMapStatus>,
}

/// A `ConfigMap` spacesync-api as it was last written. One that differs is written anew; the same is not even read.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiConfigMapStatus {
    /// Its resourceVersion, which moves with every change by anybody.
    pub resource_version: String,
    /// A digest of what it tells: the address and the CA of the pods' API.
    pub content: String,
}

/// Whether a space has a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BindingState {
    /// The namespace is the space's.
    Bound,
    /// Another space has it.
    Waiting,
    /// It can never be the space's: it is the operator's own.
    Refused,
    /// It is the space's no longer, and what is there of the space is being removed.
    Unbinding,
}

/// What the embedded store last counted.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EntryStatus {
    /// The space's counter.
    pub version: u64,
    /// The fingerprint of the content that was counted.
    pub fingerprint: String,
    /// When the first version was made.
    pub created_at: Timestamp,
    /// When this version was seen.
    pub updated_at: Timestamp,
}
