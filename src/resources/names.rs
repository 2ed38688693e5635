//! Every label, annotation and fixed name of the contract, once.

/// The API group of the custom resources.
pub const GROUP: &str = "spacesync.dev";
/// The namespace that the operator runs in unless told otherwise.
pub const DEFAULT_NAMESPACE: &str = "spacesync-system";

/// `app.kubernetes.io/managed-by`, with [`MANAGER`] as its value on everything that is ours alone.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The value of [`MANAGED_BY`], and the prefix of our field managers.
pub const MANAGER: &str = "spacesync";

/// Label of a managed Secret: the name of its sync. This is what makes a Secret ours.
pub const SYNC: &str = "spacesync.dev/sync";
/// Label of a managed Secret: the name of the space that its content is from.
pub const SPACE: &str = "spacesync.dev/space";
/// Annotation of a managed Secret and of each pod: `<version>-<fingerprint>`. On a pod it is the reload signal.
pub const REVISION: &str = "spacesync.dev/revision";
/// Annotation of a managed Secret: the change that its last write made, by key name.
pub const CHANGE: &str = "spacesync.dev/change";
/// Annotation of a managed Secret: `<revision>/<time>` since which its content is the same, whatever its version.
pub const CONTENT: &str = "spacesync.dev/content";
/// Annotation of a managed Secret: `Retain` where it stays after its sync; absent for the default, `Delete`.
pub const DELETION_POLICY: &str = "spacesync.dev/deletion-policy";
/// Annotation by which the owner of a foreign Secret lets a sync take it over.
pub const ADOPT: &str = "spacesync.dev/adopt";
/// Annotation of a sync: a value that differs from `status.lastHandledSyncRequest` asks for a sync now.
pub const SYNC_REQUESTED: &str = "spacesync.dev/sync-requested";
/// Annotation of a Space: the namespace that it may take over from another.
pub const TAKE_OVER: &str = "spacesync.dev/take-over";
/// Label of an injected pod template, of its pods, and of the workload: the name of the `FlowApp`.
pub const FLOW_APP: &str = "spacesync.dev/flow-app";
/// Annotation of a workload, of its pod template and so of its pods: the revision that it was last rolled for.
pub const RESTARTED_FOR: &str = "spacesync.dev/restarted-for";
/// Annotation of a pod: the Flow App's version.
pub const FLOW_APP_VERSION: &str = "spacesync.dev/flow-app-version";
/// Annotation of a pod: `<attempt>/<unix milliseconds>` of the last reload signal.
pub const SIGNAL: &str = "spacesync.dev/signal";
/// Pod condition: the runtime's acknowledgement. Its message is the revision.
pub const LOADED: &str = "spacesync.dev/Loaded";
/// Annotation of a pod: what acknowledged, such as `node-red/5.0.7 plugin/0.1.0 protection/context-store`.
pub const RUNTIME: &str = "spacesync.dev/runtime";
/// Annotation of a pod: how many legacy Secret Manager nodes its runtime found in its flows.
pub const LEGACY_NODES: &str = "spacesync.dev/legacy-nodes";

/// Annotation of an embedded entry: comma-separated keys whose value is JSON.
pub const JSON_KEYS: &str = "spacesync.dev/json-keys";
/// Annotation of an embedded entry: the version that its writer states.
pub const VERSION: &str = "spacesync.dev/version";
/// The Secret of an embedded entry is `space-<path>` in the operator's namespace.
pub const EMBEDDED_PREFIX: &str = "space-";

/// The `ConfigMap` in each bound namespace: where the pods' API is.
pub const API_CONFIG_MAP: &str = "spacesync-api";
/// The projected volume.
pub const VOLUME: &str = "spacesync";
/// The audience of the pods' tokens.
pub const AUDIENCE: &str = "spacesync.dev";
/// Where the volume is mounted unless `spec.mountPath` says otherwise.
pub const DEFAULT_MOUNT_PATH: &str = "/var/run/spacesync";
