//! What is counted, by the conventions of Prometheus, with bounded labels only.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, atomic::AtomicU64},
};

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use crate::{resources::Reason, store::StoreError};

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

/// What came of a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(non_camel_case_types, reason = "label values are lower case")]
pub enum LookResult {
    /// What was to be done is done.
    ok,
    /// It is tried again.
    failed,
}

/// Labels of a look at one object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct LookLabels {
    /// Whose.
    pub controller: Controller,
    /// What came of it.
    pub result: LookResult,
}

/// Labels of the objects of a kind that stand alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ConditionLabels {
    /// The kind.
    pub kind: Controller,
    /// The type of the condition.
    pub condition: &'static str,
    /// Its status: `True`, `False` or `Unknown`.
    pub status: &'static str,
    /// Why it is not `True`. Empty where it is, and where nobody has said yet.
    pub reason: &'static str,
}

/// Labels of a store.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ManagerLabels {
    /// The `SecretManager`'s name: admins make few of them.
    pub secret_manager: String,
}

/// What a store is asked for: `heads` of many at once, `head` of one (or one that failed among many), values, a login.
const STORE_KINDS: [&str; 5] = ["heads", "head", "read", "login", "renewal"];

/// Labels of a request to a store.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct StoreLabels {
    /// The `SecretManager`'s name.
    pub secret_manager: String,
    /// One of [`STORE_KINDS`].
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

/// A route of the pods' API. Not an endpoint: the Prometheus operator sets a label of that name itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(non_camel_case_types, reason = "label values are lower case")]
pub enum Route {
    /// `/v1/status`.
    status,
    /// `/v1/sync`.
    sync,
    /// `/v1/settings`.
    settings,
    /// `/v1/acks`.
    acks,
    /// Any other path.
    other,
}

/// Labels of a request to the pods' API.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// Where.
    pub route: Route,
    /// The HTTP status of the answer.
    pub code: u16,
}

/// What came of a token review.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(non_camel_case_types, reason = "label values are lower case")]
pub enum Review {
    /// The token is a pod's.
    accepted,
    /// It is not.
    refused,
    /// The API server did not say.
    failed,
}

/// Labels of a token review.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReviewLabels {
    /// What came of it.
    pub result: Review,
}

/// Labels of what took a change to arrive.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ScheduleLabels {
    /// When the sync looks by itself: what is asked for once a day takes as long.
    pub auto_sync: &'static str,
}

/// Everything that is counted.
pub struct Metrics {
    registry: Registry,
    /// Looks at objects, and how many seconds each took.
    pub look_seconds: Family<LookLabels, Histogram>,
    /// Objects by how they stand.
    objects: Family<ConditionLabels, Gauge>,
    /// Which of these series there are.
    standing: Mutex<HashSet<ConditionLabels>>,
    /// Questions to stores.
    pub store_requests: Family<StoreLabels, Counter>,
    /// When each store last answered, in seconds since 1970.
    pub last_checked: Family<ManagerLabels, Gauge<f64, AtomicU64>>,
    /// Writes of managed Secrets.
    pub secret_writes: Family<WriteLabels, Counter>,
    /// Reload signals sent to pods.
    pub signals: Counter,
    /// Workloads rolled for a new revision.
    pub restarts: Counter,
    /// Seconds from the store's own time of a change to its managed Secret.
    pub sync_seconds: Family<ScheduleLabels, Histogram>,
    /// Seconds from the store's own time of a change to the flows that read it, for each pod.
    pub delivery_seconds: Family<ScheduleLabels, Histogram>,
    /// Requests to the pods' API.
    pub api_requests: Family<RequestLabels, Counter>,
    /// Tokens that the API server was asked about.
    pub token_reviews: Family<ReviewLabels, Counter>,
    /// Whether this replica is the leader.
    pub leader: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("spacesync");
        let look_seconds = Family::new_with_constructor(look_histogram as fn() -> Histogram);
        registry.register(
            "look_seconds",
            "Seconds that a look at one object took (its reconcile)",
            look_seconds.clone(),
        );
        let objects = Family::default();
        registry.register(
            "objects",
            "Objects by the status of a condition and why it is not True; every replica tells the same, so take the maximum",
            objects.clone(),
        );
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
        let restarts = Counter::default();
        registry.register("restarts", "Workloads rolled for a new revision", restarts.clone());
        let sync_seconds = Family::new_with_constructor(sync_histogram as fn() -> Histogram);
        registry.register(
            "sync_seconds",
            "Seconds from a change in the Secret Manager to the managed Secret",
            sync_seconds.clone(),
        );
        let delivery_seconds = Family::new_with_constructor(delivery_histogram as fn() -> Histogram);
        registry.register(
            "delivery_seconds",
            "Seconds from a change in the Secret Manager to the flows of a running pod, by its acknowledgement",
            delivery_seconds.clone(),
        );
        let api_requests = Family::default();
        registry.register("api_requests", "Requests to the pods' API, by route and code", api_requests.clone());
        let token_reviews = Family::default();
        registry.register("token_reviews", "Tokens that the API server was asked about", token_reviews.clone());
        let leader = Gauge::default();
        registry.register("leader", "1 while this replica holds the lease", leader.clone());
        Self {
            registry,
            look_seconds,
            objects,
            standing: Mutex::default(),
            store_requests,
            last_checked,
            secret_writes,
            signals,
            restarts,
            sync_seconds,
            delivery_seconds,
            api_requests,
            token_reviews,
            leader,
        }
    }
}

fn look_histogram() -> Histogram {
    Histogram::new([0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 10.0, 60.0])
}

fn sync_histogram() -> Histogram {
    Histogram::new([
        0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 120.0, 600.0, 3600.0, 43200.0, 86400.0,
    ])
}

/// Fine where the floor is, and up to the longest schedule.
fn delivery_histogram() -> Histogram {
    Histogram::new([0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 120.0, 600.0, 3600.0, 43200.0, 86400.0])
}

impl Metrics {
    /// Has one sample of every family, so that its labels can be read from the text. For the reference only.
    pub fn exemplify(&self) {
        let secret_manager = || "central".to_owned();
        drop(self.look_seconds.get_or_create(&LookLabels { controller: Controller::sync, result: LookResult::ok }));
        let reason = Reason::TargetConflict.as_str();
        let objects = ConditionLabels { kind: Controller::sync, condition: "Ready", status: "False", reason };
        drop(self.objects.get_or_create(&objects));
        self.count_store(&secret_manager(), "head", None);
        drop(self.last_checked.get_or_create(&ManagerLabels { secret_manager: secret_manager() }));
        drop(self.secret_writes.get_or_create(&WriteLabels { trigger: "live" }));
        drop(self.sync_seconds.get_or_create(&ScheduleLabels { auto_sync: "Live" }));
        drop(self.delivery_seconds.get_or_create(&ScheduleLabels { auto_sync: "Live" }));
        drop(self.api_requests.get_or_create(&RequestLabels { route: Route::acks, code: 200 }));
        drop(self.token_reviews.get_or_create(&ReviewLabels { result: Review::accepted }));
    }

    /// Tells how objects stand now. What no object stands for any more has no series: few of all reasons are met at a time.
    pub fn tell_objects(&self, now: HashMap<ConditionLabels, i64>) {
        let mut standing = self.standing.lock().expect("no code panics while it holds the lock");
        for gone in standing.iter().filter(|labels| !now.contains_key(labels)) {
            self.objects.remove(gone);
        }
        for (labels, count) in &now {
            self.objects.get_or_create(labels).set(*count);
        }
        *standing = now.into_keys().collect();
    }

    /// Counts a question to a store.
    pub fn count_store(&self, manager: &str, kind: &'static str, error: Option<&StoreError>) {
        debug_assert!(STORE_KINDS.contains(&kind), "{kind} would outlive its manager");
        let result = error.map_or("ok", |error| error.reason().as_str());
        let labels = StoreLabels { secret_manager: manager.to_owned(), kind, result };
        self.store_requests.get_or_create(&labels).inc();
    }

    /// Ends the series of a `SecretManager` that has gone; that of its last answer ends with `Reach`.
    pub fn forget_manager(&self, manager: &str) {
        let results = || std::iter::once("ok").chain(Reason::ALL.iter().map(|reason| reason.as_str()));
        for (kind, result) in STORE_KINDS.into_iter().flat_map(|kind| results().map(move |result| (kind, result))) {
            self.store_requests.remove(&StoreLabels { secret_manager: manager.to_owned(), kind, result });
        }
    }

    /// All of it as Prometheus reads it (OpenMetrics text).
    pub fn encode(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("a string takes everything");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manager_that_has_gone_leaves_no_series_behind() {
        let metrics = Metrics::default();
        for kind in STORE_KINDS {
            metrics.count_store("gone", kind, None);
            metrics.count_store("gone", kind, Some(&StoreError::RateLimited));
            metrics.count_store("stays", kind, None);
        }
        assert_eq!(metrics.encode().matches("\"gone\"").count(), 2 * STORE_KINDS.len());
        metrics.forget_manager("gone");
        assert!(!metrics.encode().contains("gone"), "{}", metrics.encode());
        assert_eq!(metrics.encode().matches("\"stays\"").count(), STORE_KINDS.len());
    }
}
