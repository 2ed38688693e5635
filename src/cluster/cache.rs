//! What is watched, by name: fed by a watch, and by our own writes, so that we read what we wrote.
//!
//! kube's shared stores lose deletions (kube-rs/kube#1590) and tell nothing of what vanished during a relist, so the
//! fan-out is our own. What a cache need not know is left out by a projection before it gets in.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    fmt::{self, Debug},
    sync::{Arc, Mutex, OnceLock, RwLock},
    time::Duration,
};

use futures::StreamExt;
use kube::{
    Api, Resource, ResourceExt,
    runtime::watcher::{self, Event},
};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

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

/// What one watch tells of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// All items.
    All,
    /// Those of one namespace.
    Namespace(String),
    /// The one of this name, which is in no namespace.
    Object(String),
}

impl Part {
    fn holds(&self, key: &Key) -> bool {
        match self {
            Self::All => true,
            Self::Namespace(namespace) => key.namespace == *namespace,
            Self::Object(name) => key.name == *name,
        }
    }

    /// What the API server says of the watch, with a word on which it is.
    fn word(&self, words: &str) -> String {
        match self {
            Self::All => words.to_owned(),
            Self::Namespace(namespace) => format!("in namespace {namespace}: {words}"),
            Self::Object(name) => format!("{name}: {words}"),
        }
    }
}

/// How a watch fares, from well to worse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Everything is known.
    Synced,
    /// The first list has not come yet.
    Starting,
    /// It fails, in the API server's words.
    Failing(String),
    /// It cannot work as things are, in the API server's words: a definition or a permission is missing.
    Refused(String),
}

impl Health {
    fn of(error: &watcher::Error) -> Self {
        match error {
            watcher::Error::InitialListFailed(kube::Error::Api(status))
            | watcher::Error::WatchStartFailed(kube::Error::Api(status))
            | watcher::Error::WatchFailed(kube::Error::Api(status))
            | watcher::Error::WatchError(status) => match status.code {
                404 => Self::Refused("is not installed; apply the output of `spacesync crds`".into()),
                401 | 403 => Self::Refused(status.message.clone()),
                _ => Self::Failing(status.message.clone()),
            },
            _ => Self::Failing("the API server cannot be reached".into()),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Synced => 0,
            Self::Starting => 1,
            Self::Failing(_) => 2,
            Self::Refused(_) => 3,
        }
    }

    /// The same, with a word on which watch it is about.
    fn of_part(self, part: &Part) -> Self {
        match self {
            Self::Failing(words) => Self::Failing(part.word(&words)),
            Self::Refused(words) => Self::Refused(part.word(&words)),
            well => well,
        }
    }
}

/// How one of a cache's watches fares, and whether its first list has come, ever.
struct Standing {
    health: Health,
    complete: bool,
}

impl Default for Standing {
    fn default() -> Self {
        Self { health: Health::Starting, complete: false }
    }
}

impl Standing {
    /// Whether this was known once, and is of a namespace whose role has been taken away since.
    fn is_shut(&self, part: &Part) -> bool {
        self.complete && matches!((part, &self.health), (Part::Namespace(_), Health::Refused(_)))
    }
}

/// How many items that went are remembered: many more than writes can be under way.
const GONE: usize = 4096;

/// The items, and when the last ones went: the answer to a write of ours may come after the watch said that its object
/// is gone, and must not bring it back.
struct Items<T> {
    /// By namespace and name. Each has these in it already, and a map would hold them once more: a tenth of the memory.
    known: Vec<Arc<T>>,
    gone: HashMap<Key, u64>,
    order: VecDeque<Key>,
}

impl<T> Default for Items<T> {
    fn default() -> Self {
        Self { known: Vec::new(), gone: HashMap::new(), order: VecDeque::new() }
    }
}

impl<T: Item> Items<T> {
    /// Where an item is, or where it would have to be.
    fn find(&self, key: &Key) -> Result<usize, usize> {
        find(&self.known, key)
    }

    fn get(&self, key: &Key) -> Option<&Arc<T>> {
        self.find(key).ok().map(|at| &self.known[at])
    }

    fn is_news(&self, item: &T, key: &Key) -> bool {
        let version = item.resource_version();
        let superseded = self.get(key).is_some_and(|known| known.resource_version() > version);
        !superseded && self.gone.get(key).is_none_or(|gone| version > *gone)
    }

    fn insert(&mut self, key: &Key, item: Arc<T>) -> Option<Arc<T>> {
        match self.find(key) {
            Ok(at) => Some(std::mem::replace(&mut self.known[at], item)),
            Err(at) => {
                self.known.insert(at, item);
                None
            }
        }
    }

    fn remove(&mut self, key: &Key, version: u64) -> Option<Arc<T>> {
        let old = self.find(key).ok().map(|at| self.known.remove(at));
        if self.gone.insert(key.clone(), version).is_none() {
            self.order.push_back(key.clone());
        }
        if self.order.len() > GONE {
            self.order.pop_front().map(|oldest| self.gone.remove(&oldest));
        }
        old
    }
}

fn find<T: Item>(sorted: &[Arc<T>], key: &Key) -> Result<usize, usize> {
    sorted.binary_search_by(|item| item.place().cmp(&(key.namespace.as_str(), key.name.as_str())))
}

/// All items of one kind that we watch.
pub struct Cache<T> {
    items: RwLock<Items<T>>,
    listener: OnceLock<Listener<T>>,
    parts: Mutex<BTreeMap<Part, Standing>>,
    complete: watch::Sender<bool>,
    changes: watch::Sender<u64>,
}

impl<T> Default for Cache<T> {
    fn default() -> Self {
        Self {
            items: RwLock::default(),
            listener: OnceLock::new(),
            parts: Mutex::default(),
            complete: watch::Sender::new(false),
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
        let items = self.read();
        let from = items.known.partition_point(|item| item.place().0 < namespace);
        items.known[from..].iter().take_while(|item| item.place().0 == namespace).cloned().collect()
    }

    /// All items, by namespace and name.
    pub fn all(&self) -> Vec<Arc<T>> {
        self.read().known.clone()
    }

    /// How many items there are.
    pub fn len(&self) -> usize {
        self.read().known.len()
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
        let mut parts = self.parts();
        parts.insert(part.clone(), Standing { health: Health::Synced, complete: true });
        if parts.values().all(|standing| standing.complete) {
            self.complete.send_replace(true);
        }
    }

    /// Wakes whoever waits for one item to become something.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// How the watches fare: as the one that fares worst. A namespace out of which the operator was shut is not among them.
    pub fn health(&self) -> Health {
        let parts = self.parts();
        // Of those that fare alike the last is taken, so the first comes last.
        let others = parts.iter().rev().filter(|(part, standing)| !standing.is_shut(part));
        let worst = others.max_by_key(|(_, standing)| standing.health.rank());
        worst.map_or(Health::Starting, |(part, standing)| standing.health.clone().of_part(part))
    }

    /// Why the operator was shut out of namespaces: whoever rules one could otherwise keep it from all others.
    pub fn shut_out(&self) -> Vec<String> {
        let words = |(part, standing): (&Part, &Standing)| match &standing.health {
            Health::Refused(words) if standing.is_shut(part) => Some(part.word(words)),
            _ => None,
        };
        self.parts().iter().filter_map(words).collect()
    }

    /// Whether a first list of every part has come, ever.
    pub fn is_complete(&self) -> bool {
        *self.complete.borrow()
    }

    /// Waits for the first list of every part.
    pub async fn completed(&self) {
        let mut complete = self.complete.subscribe();
        // The sender lives as long as `self`.
        let _ = complete.wait_for(|done| *done).await;
    }

    /// Tells of a part that will be watched. Without it the cache is not complete; called before any watch begins.
    pub fn expect(&self, part: Part) {
        self.parts().insert(part, Standing::default());
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
                Ok(Event::Init) => list.clear(),
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
                    let version = version_number(object.resource_version().as_deref());
                    self.remove_at(&Key { namespace, name }, version);
                }
                Err(error) if lists_in_pages(&error) => {
                    tracing::info!("the API server streams no lists: they are read in pages");
                    events = watcher::watcher(api.clone(), config.clone()).boxed();
                    continue;
                }
                Err(error) => {
                    self.parts().entry(part.clone()).or_default().health = Health::of(&error);
                    if not_exist(&part) {
                        self.replace(&part, Vec::new());
                    }
                    while not_exist(&part) {
                        tokio::time::sleep(LONGEST_PAUSE).await;
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    continue;
                }
            }
            pause = Duration::from_millis(100);
            // Whatever comes shows that a watch works again that had failed.
            if let Some(standing) = self.parts().get_mut(&part).filter(|standing| standing.complete) {
                standing.health = Health::Synced;
            }
        }
    }

    fn tell(&self, change: &Change<T>) {
        if let Some(listener) = self.listener.get() {
            listener(change);
        }
        self.changes.send_modify(|n| *n += 1);
    }

    fn parts(&self) -> std::sync::MutexGuard<'_, BTreeMap<Part, Standing>> {
        self.parts.lock().expect("no code panics while it holds the lock")
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Items<T>> {
        self.items.read().expect("no code panics while it holds the lock")
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Items<T>> {
        self.items.write().expect("no code panics while it holds the lock")
    }
}

/// Whether the API server refuses to stream a list, as 1.33 does unless its gate `WatchList` is open.
fn lists_in_pages(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::WatchStartFailed(kube::Error::Api(status)) | watcher::Error::WatchError(status) => {
            status.code == 422 && status.message.contains("sendInitialEvents")
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::core::ObjectMeta;

    use super::*;

    impl Item for ConfigMap {
        fn place(&self) -> (&str, &str) {
            let meta = &self.metadata;
            (meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default())
        }

        fn resource_version(&self) -> u64 {
            version_number(self.metadata.resource_version.as_deref())
        }
    }

    fn object(name: &str, version: u64) -> ConfigMap {
        let metadata = ObjectMeta {
            namespace: Some("ns".into()),
            name: Some(name.into()),
            resource_version: Some(version.to_string()),
            ..ObjectMeta::default()
        };
        ConfigMap { metadata, ..ConfigMap::default() }
    }

    fn cache() -> (Cache<ConfigMap>, Arc<Mutex<Vec<String>>>) {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let cache = Cache::default();
        let log = seen.clone();
        cache.listen(move |change: &Change<ConfigMap>| {
            let what = match (&change.old, &change.new) {
                (None, Some(_)) => "new",
                (Some(_), Some(_)) => "moved",
                _ => "gone",
            };
            log.lock().unwrap().push(format!("{} {what}", change.key));
        });
        (cache, seen)
    }

    #[test]
    fn what_vanished_during_a_relist_is_told() {
        let (cache, seen) = cache();
        cache.put(object("a", 1));
        cache.put(object("b", 2));
        cache.replace(&Part::All, list([object("b", 2), object("c", 3)]));
        assert_eq!(*seen.lock().unwrap(), ["ns/a new", "ns/b new", "ns/a gone", "ns/c new"]);
        assert!(cache.is_complete());
    }

    #[test]
    fn an_older_object_never_replaces_a_newer_one() {
        let (cache, seen) = cache();
        cache.put(object("a", 5));
        cache.put(object("a", 4));
        cache.put(object("a", 5));
        assert_eq!(Item::resource_version(&*cache.get(&Key::new("ns", "a")).unwrap()), 5);
        assert_eq!(*seen.lock().unwrap(), ["ns/a new"]);
    }

    #[test]
    fn the_answer_to_a_write_does_not_bring_back_what_has_gone_since() {
        let (cache, seen) = cache();
        cache.put(object("a", 1));
        cache.remove_at(&Key::new("ns", "a"), 3);
        cache.put(object("a", 2));
        assert!(cache.is_empty(), "written at 2, deleted at 3");
        cache.put(object("a", 4));
        assert_eq!(*seen.lock().unwrap(), ["ns/a new", "ns/a gone", "ns/a new"]);
    }

    #[test]
    fn what_was_made_after_a_list_comes_back_by_the_watch() {
        let (cache, _) = cache();
        cache.put(object("made", 7));
        cache.replace(&Part::All, list([object("b", 5)]));
        cache.put(object("made", 7));
        assert_eq!(cache.len(), 2);
    }

    #[test]
    fn what_went_is_remembered_up_to_a_limit() {
        let (cache, _) = cache();
        for number in 0..=GONE {
            cache.remove_at(&Key::new("ns", &number.to_string()), 9);
        }
        cache.put(object("0", 1));
        cache.put(object("1", 1));
        assert_eq!(cache.len(), 1);
    }

    fn object_in(namespace: &str, name: &str, version: u64) -> ConfigMap {
        let mut object = object(name, version);
        object.metadata.namespace = Some(namespace.to_owned());
        object
    }

    fn list(objects: impl IntoIterator<Item = ConfigMap>) -> Vec<Arc<ConfigMap>> {
        objects.into_iter().map(Arc::new).collect()
    }

    #[test]
    fn a_list_of_one_namespace_removes_nothing_of_another() {
        let (cache, seen) = cache();
        let [a, b] = ["a", "b"].map(|name| Part::Namespace(name.into()));
        cache.replace(&a, list([object_in("a", "one", 1), object_in("a", "two", 1)]));
        cache.replace(&b, list([object_in("b", "one", 9)]));
        cache.replace(&a, list([object_in("a", "two", 1)]));
        assert_eq!(*seen.lock().unwrap(), ["a/one new", "a/two new", "b/one new", "a/one gone"]);
        cache.replace(&b, list([]));
        let left: Vec<_> = cache.all().iter().map(|object| object.key().to_string()).collect();
        assert_eq!(left, ["a/two"]);
    }

    #[test]
    fn a_list_of_one_object_removes_no_other() {
        let (cache, _) = cache();
        let [a, b] = ["a", "b"].map(|name| Part::Object(name.into()));
        cache.replace(&a, list([object_in("", "a", 1)]));
        cache.replace(&b, list([object_in("", "b", 2)]));
        cache.replace(&a, list([]));
        assert_eq!(cache.all().iter().map(|object| object.name_any()).collect::<Vec<_>>(), ["b"]);
    }

    #[test]
    fn a_cache_is_complete_when_each_of_its_watches_is_and_fares_as_the_one_that_fares_worst() {
        let (cache, _) = cache();
        let [a, b] = ["a", "b"].map(|name| Part::Namespace(name.into()));
        let fares = |part: &Part, health: Health| cache.parts().get_mut(part).unwrap().health = health;
        for part in [&a, &b] {
            cache.expect(part.clone());
        }
        cache.replace(&a, list([]));
        assert!(!cache.is_complete(), "b is not known");
        assert_eq!(cache.health(), Health::Starting);
        cache.replace(&b, list([]));
        assert!(cache.is_complete());
        assert_eq!(cache.health(), Health::Synced);
        fares(&a, Health::Failing("away".into()));
        assert_eq!(cache.health(), Health::Failing("in namespace a: away".into()));
        let health = Health::Refused("forbidden".into());
        cache.parts().insert(b.clone(), Standing { health: health.clone(), complete: false });
        assert_eq!(cache.health(), Health::Refused("in namespace b: forbidden".into()));
        cache.parts().insert(a, Standing { health, complete: false });
        assert_eq!(cache.health(), Health::Refused("in namespace a: forbidden".into()));
    }

    #[test]
    fn one_namespace_that_shuts_the_operator_out_stands_in_the_way_of_no_other() {
        let (cache, _) = cache();
        let [a, b] = ["a", "b"].map(|name| Part::Namespace(name.into()));
        for part in [&a, &b] {
            cache.replace(part, list([]));
        }
        cache.parts().get_mut(&b).unwrap().health = Health::Refused("forbidden".into());
        assert!(cache.is_complete() && cache.health() == Health::Synced);
        assert_eq!(cache.shut_out(), ["in namespace b: forbidden"]);
        // That nothing is known of any namespace is another matter.
        let health = Health::Refused("forbidden".into());
        cache.parts().insert(Part::All, Standing { health: health.clone(), complete: true });
        assert_eq!(cache.health(), health);
    }

    #[test]
    fn a_namespace_holds_only_its_own() {
        let (cache, _) = cache();
        cache.put(object("a", 1));
        cache.put(object_in("ns-2", "b", 2));
        let names: Vec<_> = cache.in_namespace("ns").iter().map(|o| o.name_any()).collect();
        assert_eq!(names, ["a"]);
    }
}
