//! What is watched, by name: fed by a watch, and by our own writes, so that we read what we wrote.
//!
//! kube's shared stores lose deletions (kube-rs/kube#1590) and tell nothing of what vanished during a relist, so the
//! fan-out is our own. What a cache need not know is left out by a projection before it gets in.

use std::{
    fmt::{self, Debug},
    sync::{Arc, OnceLock, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};

use futures::StreamExt;
use kube::{
    Api, Resource, ResourceExt,
    runtime::watcher::{self, Event},
};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use super::{
    items::{Items, find},
    parts::{Health, Part, Parts},
    queue::jitter,
};

/// The longest pause before a watch that failed is tried again: a cluster that comes back is noticed soon.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// An object by namespace (empty where there is none) and name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Key {
    /// A key of a namespaced object.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// A key of a cluster-scoped object.
    pub fn cluster(name: &str) -> Self {
        Self::new("", name)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() { f.write_str(&self.name) } else { write!(f, "{}/{}", self.namespace, self.name) }
    }
}

/// What a cache must know of its items.
pub trait Item: Send + Sync + 'static {
    /// Where it is: its namespace (empty where there is none) and its name.
    fn place(&self) -> (&str, &str);

    /// How new it is. Resource versions are integers in practice, and ordered since KEP-5504; 0 where it is none.
    fn resource_version(&self) -> u64;

    /// Lets go of what nobody reads here, before it is kept.
    fn slim(&mut self) {}

    /// Where it is.
    fn key(&self) -> Key {
        let (namespace, name) = self.place();
        Key::new(namespace, name)
    }
}

/// A resourceVersion as a number.
pub fn version_number(text: Option<&str>) -> u64 {
    text.and_then(|t| t.parse().ok()).unwrap_or_default()
}

/// What happened to one item.
#[derive(Debug)]
pub struct Change<T> {
    /// Which.
    pub key: Key,
    /// As it was.
    pub old: Option<Arc<T>>,
    /// As it is.
    pub new: Option<Arc<T>>,
}

type Listener<T> = Box<dyn Fn(&Change<T>) + Send + Sync>;

/// All items of one kind that we watch.
pub struct Cache<T> {
    items: RwLock<Items<T>>,
    listener: OnceLock<Listener<T>>,
    parts: Parts,
    changes: watch::Sender<u64>,
}

impl<T> Default for Cache<T> {
    fn default() -> Self {
        Self {
            items: RwLock::default(),
            listener: OnceLock::new(),
            parts: Parts::default(),
            changes: watch::Sender::new(0),
        }
    }
}

impl<T: Item> Cache<T> {
    /// Who is told of each change. Called once, before the watch begins.
    pub fn listen(&self, listener: impl Fn(&Change<T>) + Send + Sync + 'static) {
        assert!(self.listener.set(Box::new(listener)).is_ok(), "a cache has one listener");
    }

    /// One item.
    pub fn get(&self, key: &Key) -> Option<Arc<T>> {
        self.read().get(key).cloned()
    }

    /// The items of one namespace, by name.
    pub fn in_namespace(&self, namespace: &str) -> Vec<Arc<T>> {
        self.read().in_namespace(namespace)
    }

    /// All items, by namespace and name.
    pub fn all(&self) -> Vec<Arc<T>> {
        self.read().all().to_vec()
    }

    /// How many items there are.
    pub fn len(&self) -> usize {
        self.read().all().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes an item in unless a newer one is known.
    pub fn put(&self, mut item: T) {
        item.slim();
        self.take_in(Arc::new(item));
    }

    fn take_in(&self, new: Arc<T>) {
        let key = new.key();
        let old = {
            let mut items = self.write();
            if !items.is_news(&new, &key) {
                return;
            }
            let old = items.insert(&key, new.clone());
            if old.as_ref().is_some_and(|old| old.resource_version() == new.resource_version()) {
                return;
            }
            old
        };
        self.tell(&Change { key, old, new: Some(new) });
    }

    /// Forgets an item that we deleted ourselves.
    pub fn remove(&self, key: &Key) {
        let version = self.get(key).map_or(0, |item| item.resource_version());
        self.remove_at(key, version);
    }

    /// The watch tells that an item went at this version. One of its name that we have made since is another.
    fn deleted(&self, key: &Key, version: u64) {
        if self.get(key).is_none_or(|item| item.resource_version() <= version) {
            self.remove_at(key, version);
        }
    }

    /// Forgets an item that had gone by this version, and whatever is told of it that is older.
    fn remove_at(&self, key: &Key, version: u64) {
        let old = self.write().remove(key, version);
        if old.is_some() {
            self.tell(&Change { key: key.clone(), old, new: None });
        }
    }

    /// Takes the whole list of a part in: what is of that part and not in it has gone.
    fn replace(&self, part: &Part, mut list: Vec<Arc<T>>) {
        // As etcd keeps them, which is nearly this order already.
        list.sort_by(|a, b| a.place().cmp(&b.place()));
        // The list is at least as new. What was made after it is newer, and comes again by the watch.
        let version = list.iter().map(|item| item.resource_version()).max().unwrap_or_default();
        let known: Vec<_> = self.all().iter().map(|item| item.key()).collect();
        for key in known.into_iter().filter(|key| part.holds(key) && find(&list, key).is_err()) {
            self.remove_at(&key, version);
        }
        for item in list {
            self.take_in(item);
        }
        self.parts.listed(part);
    }

    /// Wakes whoever waits for one item to become something.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// How its watches fare: as the one that fares worst.
    pub fn health(&self) -> Health {
        self.parts.health()
    }

    /// Why the operator was shut out of namespaces that it could see before.
    pub fn shut_out(&self) -> Vec<String> {
        self.parts.shut_out()
    }

    /// Whether a first list of every part has come, ever.
    pub fn is_complete(&self) -> bool {
        self.parts.are_complete()
    }

    /// Waits for the first list of every part.
    pub async fn completed(&self) {
        self.parts.completed().await;
    }

    /// Tells of a part that will be watched. Without it the cache is not complete; called before any watch begins.
    pub fn expect(&self, part: Part) {
        self.parts.expect(part);
    }

    /// Keeps a part of the cache in step with the cluster, for good. While its namespace does `not_exist`, nothing is in
    /// it, and its role is not there either.
    pub async fn watch<K>(
        &self,
        part: Part,
        api: Api<K>,
        config: watcher::Config,
        project: fn(K) -> Option<T>,
        not_exist: impl Fn(&Part) -> bool,
    ) where
        K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    {
        let mut events = watcher::watcher(api.clone(), config.clone().streaming_lists()).boxed();
        let mut list = Vec::new();
        let mut pause = Duration::from_millis(100);
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Init) => {
                    list.clear();
                    // Said before anything was asked: it shows nothing.
                    continue;
                }
                Ok(Event::InitApply(object)) => {
                    if let Some(mut item) = project(object) {
                        item.slim();
                        list.push(Arc::new(item));
                    }
                }
                Ok(Event::InitDone) => self.replace(&part, std::mem::take(&mut list)),
                Ok(Event::Apply(object)) => {
                    if let Some(item) = project(object) {
                        self.put(item);
                    }
                }
                Ok(Event::Delete(object)) => {
                    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
                    self.deleted(&Key { namespace, name }, version_number(object.resource_version().as_deref()));
                }
                Err(error) if streams_no_lists(&error) => {
                    tracing::info!("the API server streams no lists: they are read whole");
                    // One request whatever there is, which servers of 1.31 and later answer from their cache. Not with
                    // resourceVersion 0: a list that is behind lacks what is new, and what belongs to it would be let go.
                    let whole = watcher::Config { page_size: None, ..config.clone() };
                    events = watcher::watcher(api.clone(), whole).boxed();
                    continue;
                }
                Err(error) => {
                    self.parts.fails(&part, Health::of(&error));
                    if not_exist(&part) {
                        self.replace(&part, Vec::new());
                    }
                    while not_exist(&part) {
                        tokio::time::sleep(LONGEST_PAUSE).await;
                    }
                    tokio::time::sleep(jitter(pause)).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    continue;
                }
            }
            pause = Duration::from_millis(100);
            self.parts.works(&part);
        }
    }

    fn tell(&self, change: &Change<T>) {
        if let Some(listener) = self.listener.get() {
            listener(change);
        }
        self.changes.send_modify(|n| *n += 1);
    }

    fn read(&self) -> RwLockReadGuard<'_, Items<T>> {
        self.items.read().expect("no code panics while it holds the lock")
    }

    fn write(&self) -> RwLockWriteGuard<'_, Items<T>> {
        self.items.write().expect("no code panics while it holds the lock")
    }
}

/// Whether the API server refuses to stream a list, as 1.33 does unless its gate `WatchList` is open.
fn streams_no_lists(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::WatchStartFailed(kube::Error::Api(status)) | watcher::Error::WatchError(status) => {
            status.code == 422 && status.message.contains("sendInitialEvents")
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
