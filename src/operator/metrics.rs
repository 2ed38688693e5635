//! What is counted, by the conventions of Prometheus, with bounded labels only.

use std::sync::atomic::AtomicU64;

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

/// A controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(non_camel_case_types, reason = "label values are lower case")]
pub enum Controller {
    /// SpaceSecretSync.
    sync,
    /// FlowApp.
    flow_app,
    /// Space.
    space,
    /// SecretManager.
    secret_manager,
}

/// Labels of a look at one object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct LookLabels {
    /// Whose.
    pub controller: Controller,
    /// `ok`, or the reason's name.
    pub result: &'static str,
}

/// Labels of a store.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ManagerLabels {
    /// The `SecretManager`'s name: admins make few of them.
    pub secret_manager: String,
}

/// Labels of a request to a store.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct StoreLabels {
    /// The `SecretManager`'s name.
    pub secret_manager: String,
    /// `heads`, `head` or `read`.
    pub kind: &'static str,
    /// `ok`, or the reason's name.
    pub result: &'static str,
}

/// Labels of a managed Secret's write.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct WriteLabels {
    /// What made the sync look: `schedule`, `live`, `manual`, `save`, `drift` or `first`.
    pub trigger: &'static str,
}

/// Everything that is counted.
pub struct Metrics {
    registry: Registry,
    /// Looks at objects.
    pub looks: Family<LookLabels, Counter>,
    /// Questions to stores.
    pub store_requests: Family<StoreLabels, Counter>,
    /// When each store last answered, in seconds since 1970.
    pub last_checked: Family<ManagerLabels, Gauge<f64, AtomicU64>>,
    /// Writes of managed Secrets.
    pub secret_writes: Family<WriteLabels, Counter>,
    /// Reload signals sent to pods.
    pub signals: Counter,
    /// Seconds from the store's own time of a change to its managed Secret.
    pub sync_seconds: Histogram,
    /// Whether this replica is the leader.
    pub leader: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("spacesync");
        let looks = Family::default();
        registry.register("looks", "Looks at objects, by controller and result", looks.clone());
        let store_requests = Family::default();
        registry.register("store_requests", "Questions to Secret Managers", store_requests.clone());
        let last_checked = Family::default();
        registry.register(
            "secret_manager_last_checked_timestamp_seconds",
            "When the Secret Manager last answered, in seconds since 1970",
            last_checked.clone(),
        );
        let secret_writes = Family::default();
        registry.register("secret_writes", "Writes of managed Secrets, by trigger", secret_writes.clone());
        let signals = Counter::default();
        registry.register("signals", "Reload signals sent to pods", signals.clone());
        let sync_seconds = Histogram::new([0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0, 3600.0]);
        registry.register(
            "sync_seconds",
            "Seconds from a change in the Secret Manager to the managed Secret",
            sync_seconds.clone(),
        );
        let leader = Gauge::default();
        registry.register("leader", "1 while this replica holds the lease", leader.clone());
        Self { registry, looks, store_requests, last_checked, secret_writes, signals, sync_seconds, leader }
    }
}

impl Metrics {
    /// All of it as Prometheus reads it (OpenMetrics text).
    pub fn encode(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("a string takes everything");
        text
    }
}
