//! The items of a cache, by namespace and name.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    sync::Arc,
};

use super::cache::{Item, Key};

/// How many items that went are remembered: many more than writes can be under way.
pub(super) const GONE: usize = 4096;

/// The items, and when the last ones went: the answer to a write of ours may come after the watch said that its object
/// is gone, and must not bring it back.
pub(super) struct Items<T> {
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
    /// Those of one namespace, by name.
    pub(super) fn in_namespace(&self, namespace: &str) -> Vec<Arc<T>> {
        let from = self.known.partition_point(|item| item.place().0 < namespace);
        self.known[from..].iter().take_while(|item| item.place().0 == namespace).cloned().collect()
    }

    /// All of them, by namespace and name.
    pub(super) fn all(&self) -> &[Arc<T>] {
        &self.known
    }

    /// Where an item is, or where it would have to be.
    fn find(&self, key: &Key) -> Result<usize, usize> {
        find(&self.known, key)
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Arc<T>> {
        self.find(key).ok().map(|at| &self.known[at])
    }

    /// Whether nothing newer is known, and it did not go since.
    pub(super) fn is_news(&self, item: &T, key: &Key) -> bool {
        let version = item.resource_version();
        let superseded = self.get(key).is_some_and(|known| known.resource_version() > version);
        !superseded && self.gone.get(key).is_none_or(|gone| version > *gone)
    }

    /// Takes it in, and gives the one that it replaces.
    pub(super) fn insert(&mut self, key: &Key, item: Arc<T>) -> Option<Arc<T>> {
        match self.find(key) {
            Ok(at) => Some(std::mem::replace(&mut self.known[at], item)),
            Err(at) => {
                self.known.insert(at, item);
                None
            }
        }
    }

    /// Lets one go that had gone by this version.
    pub(super) fn remove(&mut self, key: &Key, version: u64) -> Option<Arc<T>> {
        let old = self.find(key).ok().map(|at| self.known.remove(at));
        // Our own deletion, which knows no version, may be told after the watch's.
        match self.gone.entry(key.clone()) {
            Entry::Occupied(mut gone) => {
                gone.insert(version.max(*gone.get()));
            }
            Entry::Vacant(new) => {
                new.insert(version);
                self.order.push_back(key.clone());
            }
        }
        if self.order.len() > GONE {
            self.order.pop_front().map(|oldest| self.gone.remove(&oldest));
        }
        old
    }
}

/// Where an item is in a list by namespace and name, or where it would have to be.
pub(super) fn find<T: Item>(sorted: &[Arc<T>], key: &Key) -> Result<usize, usize> {
    sorted.binary_search_by(|item| item.place().cmp(&(key.namespace.as_str(), key.name.as_str())))
}
