//! What every controller is given.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, RwLock},
};

use super::{caches::Caches, events::Events, metrics::Metrics};
use crate::{
    cluster::{Cluster, cache::Key, queue::Queue},
    resources::{Reason, Space, condition::Verdict},
    secret::FingerprintKey,
    store::{Store, book::Book},
};

/// How this operator was told to run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The namespace that it runs in, and where credentials and embedded entries are.
    pub namespace: String,
    /// What pods are told.
    pub api_url: String,
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

/// Which Spaces claim a namespace. An index over the Spaces, so that nobody walks them all.
#[derive(Debug, Default)]
pub struct Claims(RwLock<HashMap<String, BTreeSet<String>>>);

impl Claims {
    /// Takes in that a Space moved from one spec to another.
    pub fn moved(&self, name: &str, old: Option<&Space>, new: Option<&Space>) {
        let mut claims = self.0.write().expect("no code panics while it holds the lock");
        for namespace in old.iter().flat_map(|space| &space.spec.namespaces) {
            if let Some(names) = claims.get_mut(namespace) {
                names.remove(name);
                if names.is_empty() {
                    claims.remove(namespace);
                }
            }
        }
        for namespace in new.iter().flat_map(|space| &space.spec.namespaces) {
            claims.entry(namespace.clone()).or_default().insert(name.to_owned());
        }
    }

    /// The Spaces that claim a namespace, by name.
    pub fn of(&self, namespace: &str) -> Vec<String> {
        let claims = self.0.read().expect("no code panics while it holds the lock");
        claims.get(namespace).into_iter().flatten().cloned().collect()
    }
}

/// The stores as their `SecretManagers` describe them; an error is one of the configuration.
#[derive(Debug, Default)]
pub struct Stores(RwLock<BTreeMap<String, Result<Store, Verdict>>>);

impl Stores {
    /// The store of one `SecretManager`. [`Reason::Pending`] until its controller has looked at it.
    pub fn get(&self, manager: &str) -> Result<Store, Verdict> {
        let stores = self.0.read().expect("no code panics while it holds the lock");
        stores.get(manager).cloned().unwrap_or_else(|| Err(Verdict::new(false, Reason::Pending, &[])))
    }

    /// Puts a store in, or what keeps it from being used.
    pub fn set(&self, manager: &str, store: Result<Store, Verdict>) {
        self.0.write().expect("no code panics while it holds the lock").insert(manager.to_owned(), store);
    }

    /// Forgets one.
    pub fn remove(&self, manager: &str) {
        self.0.write().expect("no code panics while it holds the lock").remove(manager);
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
    /// Which Spaces claim which namespace.
    pub claims: Claims,
    /// The key of every fingerprint.
    pub fingerprints: FingerprintKey,
    /// The stores.
    pub stores: Stores,
    /// The heads of their entries.
    pub book: Book,
    /// The CA of the pods' API, in PEM.
    pub api_ca: String,
    /// Where Events go.
    pub events: Events,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}
