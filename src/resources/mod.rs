//! The four custom resources of `spacesync.dev/v1alpha1`, their rules, conditions and reasons. Knows no client.

pub mod condition;
pub mod flow_app;
pub mod names;
pub mod owner;
pub mod reason;
mod schema;
pub mod secret_manager;
pub mod space;
pub mod sync;
pub mod time;

pub use condition::Conditions;
pub use flow_app::{FlowApp, FlowAppSpec, FlowAppStatus, Reload};
pub use reason::Reason;
pub use secret_manager::{SecretManager, SecretManagerSpec, SecretManagerStatus};
pub use space::{Space, SpaceSpec, SpaceStatus};
pub use sync::{
    AutoSync, DeletionPolicy, KeyStatus, Outcome, SpaceSecretSync, SpaceSecretSyncSpec, SpaceSecretSyncStatus, Trigger,
};
pub use time::Timestamp;

/// The four definitions, in the order in which they are printed. Other than from `T::crd()`, they are as they are installed.
pub fn crds() -> Vec<k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition> {
    use kube::CustomResourceExt;
    [SecretManager::crd(), Space::crd(), SpaceSecretSync::crd(), FlowApp::crd()].map(schema::tidy).into()
}
