//! What every controller is given.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, RwLock},
    time::Duration,
};

use tokio::sync::{Notify, watch};

use super::{
    caches::Caches,
    events::Events,
    fanout::GATHER,
    metrics::{Metrics, ScheduleLabels, WriteLabels},
    pace::Pace,
    scope::Scope,
};
use crate::{
    cluster::{
        Cluster,
        cache::{Item, Key},
        queue::{Lane, Queue},
        secrets::SecretMeta,
    },
    delivery::{delivery_of, restart::budget::Budget},
    pod_api::trust::Trust,
    resources::{Reason, Space, SpaceSecretSync, SpaceSecretSyncStatus, condition::Verdict},
    secret::{Content, FingerprintKey},
    space::{reach::Reach, rush::Rush},
    store::{Store, StoreError, book::Book},
    sync::{change, last_words::LastWords, status::Delivery, turnstile::Turnstile},
};

/// How this operator was told to run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The namespace that it runs in, and where credentials and embedded entries are.
    pub namespace: String,
    /// Which namespaces it serves.
    pub scope: Scope,
    /// What pods are told.
    pub api_url: String,
    /// How many workloads may roll for a new revision at once.
    pub rollouts_at_once: usize,
}

/// What is to be looked at, by controller.
#[derive(Default)]
pub struct Queues {
    /// Syncs by namespace and name.
    pub syncs: Arc<Queue<Key>>,
    /// FlowApps by namespace and name.
    pub flow_apps: Arc<Queue<Key>>,
    /// Spaces by name.
    pub spaces: Arc<Queue<String>>,
    /// SecretManagers by name.
    pub managers: Arc<Queue<String>>,
}

/// What waits a while for more.
pub struct Paces {
    /// Those of the syncs.
    pub syncs: Pace,
    /// Those of the FlowApps.
    pub flow_apps: Pace,
    /// Since when FlowApps have gone whose workloads are still injected.
    pub farewells: Pace,
}

/// A FlowApp that is deleted and made again, as `kubectl replace --force` and GitOps do, finds its workload as it was: to
/// withdraw the injection and to inject again would roll it twice.
const COMES_AGAIN: Duration = Duration::from_secs(5);

impl Default for Paces {
    fn default() -> Self {
        // A FlowApp is looked at as soon as anything happens to a pod, for its next signal may be due; a sync only when
        // what happened was gathered already.
        Self { syncs: Pace::new(Duration::ZERO), flow_apps: Pace::new(GATHER), farewells: Pace::new(COMES_AGAIN) }
    }
}

/// Which Spaces claim a namespace, and which are kept at a path. An index over the Spaces, so that nobody walks them all.
#[derive(Debug, Default)]
pub struct Claims {
    namespaces: Index,
    /// Only those whose spec names one: mostly a Space's path is its name.
    paths: Index,
}

impl Claims {
    /// Takes in that a Space moved from one spec to another.
    pub fn moved(&self, name: &str, old: Option<&Space>, new: Option<&Space>) {
        self.namespaces.moved(
            name,
            old.iter().flat_map(|space| &space.spec.namespaces),
            new.iter().flat_map(|space| &space.spec.namespaces),
        );
        self.paths.moved(
            name,
            old.iter().filter_map(|space| space.spec.path.as_ref()),
            new.iter().filter_map(|space| space.spec.path.as_ref()),
        );
    }

    /// The Spaces that claim a namespace, by name.
    pub fn of(&self, namespace: &str) -> Vec<String> {
        self.namespaces.of(namespace)
    }

    /// The Spaces whose spec names a path, by name.
    pub fn at(&self, path: &str) -> Vec<String> {
        self.paths.of(path)
    }
}

/// What Spaces say, each with the Space that says it: pairs, for mostly one says it, and a set of its own for each would
/// take three times the room.
#[derive(Debug, Default)]
struct Index(RwLock<BTreeSet<(String, String)>>);

impl Index {
    fn moved<'a>(&self, name: &str, old: impl Iterator<Item = &'a String>, new: impl Iterator<Item = &'a String>) {
        let mut pairs = self.0.write().expect("no code panics while it holds the lock");
        for word in old {
            pairs.remove(&(word.clone(), name.to_owned()));
        }
        pairs.extend(new.map(|word| (word.clone(), name.to_owned())));
    }

    fn of(&self, word: &str) -> Vec<String> {
        let pairs = self.0.read().expect("no code panics while it holds the lock");
        let from = (word.to_owned(), String::new());
        pairs.range(from..).take_while(|(said, _)| said == word).map(|(_, name)| name.clone()).collect()
    }
}

/// The stores as their `SecretManagers` describe them; an error is one of the configuration.
#[derive(Debug)]
pub struct Stores {
    stores: RwLock<BTreeMap<String, Made>>,
    changes: watch::Sender<u64>,
}

/// A store, or what keeps it from being used, and which of all that were ever made it is.
#[derive(Debug)]
struct Made {
    number: u64,
    store: Result<Store, Verdict>,
}

impl Default for Stores {
    fn default() -> Self {
        Self { stores: RwLock::default(), changes: watch::Sender::new(0) }
    }
}

impl Stores {
    /// The store of one `SecretManager`. [`Reason::Pending`] until its controller has looked at it.
    pub fn get(&self, manager: &str) -> Result<Store, Verdict> {
        let stores = self.stores.read().expect("no code panics while it holds the lock");
        stores.get(manager).map_or_else(|| Err(Verdict::new(false, Reason::Pending, &[])), |made| made.store.clone())
    }

    /// A number that is another one whenever the store of a `SecretManager` was made anew.
    pub fn number(&self, manager: &str) -> Option<u64> {
        self.stores.read().expect("no code panics while it holds the lock").get(manager).map(|made| made.number)
    }

    /// The names of all.
    pub fn names(&self) -> Vec<String> {
        self.stores.read().expect("no code panics while it holds the lock").keys().cloned().collect()
    }

    /// Puts a store in, or what keeps it from being used.
    pub fn set(&self, manager: &str, store: Result<Store, Verdict>) {
        if store.is_err() && self.get(manager).err() == store.as_ref().err().cloned() {
            // What keeps it from being used does so still: nobody need look again.
            return;
        }
        let made = Made { number: *self.changes.borrow() + 1, store };
        self.stores.write().expect("no code panics while it holds the lock").insert(manager.to_owned(), made);
        self.changes.send_modify(|n| *n += 1);
    }

    /// Forgets one.
    pub fn remove(&self, manager: &str) {
        self.stores.write().expect("no code panics while it holds the lock").remove(manager);
        self.changes.send_modify(|n| *n += 1);
    }

    /// Tells when any of them changed.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

/// Who wants a store looked at before its next due instant, because a read of it met an outage.
#[derive(Debug, Default)]
pub struct Doubts(Mutex<HashMap<String, Arc<Notify>>>);

impl Doubts {
    /// The bell of one `SecretManager`.
    pub fn of(&self, manager: &str) -> Arc<Notify> {
        let mut bells = self.0.lock().expect("no code panics while it holds the lock");
        bells.entry(manager.to_owned()).or_default().clone()
    }
}

/// What every controller is given.
pub struct Context {
    /// How this operator was told to run.
    pub settings: Settings,
    /// The API server.
    pub cluster: Cluster,
    /// What is known of it.
    pub caches: Arc<Caches>,
    /// What is to be looked at.
    pub queues: Queues,
    /// What waits a while for more.
    pub paces: Paces,
    /// Which workloads roll for a new revision, and which wait for it.
    pub budget: Budget,
    /// Which Spaces claim which namespace.
    pub claims: Claims,
    /// The key of every fingerprint.
    pub fingerprints: FingerprintKey,
    /// The stores.
    pub stores: Stores,
    /// The heads of their entries.
    pub book: Book,
    /// What the pods' API serves, and what pods are to trust.
    pub trust: Arc<Trust>,
    /// What stores last answered.
    pub reach: Reach,
    /// Stores that should be looked at soon.
    pub doubts: Doubts,
    /// Which syncs ask which store right now.
    pub turnstile: Arc<Turnstile>,
    /// What syncs that have gone last said of their Secrets.
    pub last_words: LastWords,
    /// Whether so many syncs wait that spaces give way.
    pub rush: Rush,
    /// Where Events go.
    pub events: Events,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

impl Context {
    /// Counts a question to a store.
    pub fn count_store(&self, manager: &str, kind: &'static str, error: Option<&StoreError>) {
        self.metrics.count_store(manager, kind, error);
    }

    /// Counts a question that a sync asked by itself; one that failed for now makes the ticker look.
    pub fn count_asked(&self, manager: &str, kind: &'static str, error: Option<&StoreError>) {
        self.count_store(manager, kind, error);
        if error.is_some_and(StoreError::is_passing) {
            self.doubts.of(manager).notify_one();
        }
    }

    /// Counts a write of a managed Secret, and how long after a change in the store it came, where one made it. `new`
    /// tells of the write already.
    pub fn count_write(&self, trigger: &'static str, old: Option<&SpaceSecretSyncStatus>, new: &SpaceSecretSyncStatus) {
        self.metrics.secret_writes.get_or_create(&WriteLabels { trigger }).inc();
        // What only mends the Secret leaves the history as it was.
        let is_change = old.and_then(|old| old.history.first()) != new.history.first();
        if let Some(came) = change::came(new).filter(|_| is_change) {
            let labels = ScheduleLabels { auto_sync: new.auto_sync.unwrap_or_default().as_str() };
            let took = jiff::Timestamp::now().duration_since(came).as_secs_f64();
            self.metrics.sync_seconds.get_or_create(&labels).observe(took.max(0.0));
        }
    }
}

impl Context {
    /// Wants every sync of a space looked at.
    pub fn add_syncs(&self, space: &Space) {
        for namespace in &space.spec.namespaces {
            for sync in self.caches.syncs.in_namespace(namespace) {
                self.queues.syncs.add(sync.key(), Lane::Normal);
            }
        }
    }

    /// The Secrets that carry a sync's label.
    pub fn managed_by(&self, sync: &Key) -> Vec<Arc<SecretMeta>> {
        let mut secrets = self.caches.managed.in_namespace(&sync.namespace);
        secrets.retain(|secret| secret.sync.as_deref() == Some(&sync.name));
        secrets
    }

    /// How far the current revision of a sync has come.
    pub fn delivery_of(&self, sync: &SpaceSecretSync, revision: Option<&str>) -> Delivery {
        let namespace = sync.metadata.namespace.as_deref().unwrap_or_default();
        let (apps, syncs) = (self.caches.flow_apps.in_namespace(namespace), self.caches.syncs.in_namespace(namespace));
        let pods = self.caches.pods.in_namespace(namespace);
        let name = sync.metadata.name.as_deref().unwrap_or_default();
        let managed = self.caches.managed.get(&Key::new(namespace, sync.spec.target_name(name)));
        let content = managed.and_then(|managed| managed.content());
        let held = revision.map(|revision| {
            let content = content.filter(|content| content.is_of(revision));
            (revision, content.unwrap_or_else(|| Content::untold(revision)))
        });
        let held = held.as_ref().map(|(revision, content)| (*revision, content));
        delivery_of(sync, held, &apps, &syncs, &pods)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::SpaceSpec;

    fn space(namespaces: &[&str], path: Option<&str>) -> Space {
        let namespaces = namespaces.iter().map(|&name| name.to_owned()).collect();
        Space::new("any", SpaceSpec { namespaces, path: path.map(str::to_owned), ..SpaceSpec::default() })
    }

    #[test]
    fn what_a_space_no_longer_says_is_forgotten() {
        let (claims, none) = (Claims::default(), Vec::<String>::new());
        let (first, second) = (space(&["a", "b"], Some("path")), space(&["b"], None));
        claims.moved("one", None, Some(&first));
        claims.moved("two", None, Some(&space(&["b"], Some("path"))));
        assert_eq!((claims.of("a"), claims.of("b")), (vec!["one".into()], vec!["one".into(), "two".into()]));
        assert_eq!(claims.at("path"), ["one", "two"]);
        claims.moved("one", Some(&first), Some(&second));
        assert_eq!((claims.of("a"), claims.of("b")), (none.clone(), vec!["one".into(), "two".into()]));
        assert_eq!(claims.at("path"), ["two"]);
        claims.moved("one", Some(&second), None);
        assert_eq!((claims.of("b"), claims.of(""), claims.at("")), (vec!["two".into()], none.clone(), none));
    }
}
