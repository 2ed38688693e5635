//! A table of a limited size: what came first goes first.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
};

/// A map that forgets its oldest entry when it is full.
#[derive(Debug)]
pub struct Bounded<K, V> {
    entries: HashMap<K, V>,
    order: VecDeque<K>,
    limit: usize,
}

impl<K: Clone + Eq + Hash, V> Bounded<K, V> {
    /// Takes up to `limit` entries.
    pub fn new(limit: usize) -> Self {
        Self { entries: HashMap::new(), order: VecDeque::new(), limit }
    }

    /// One entry.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key)
    }

    /// One entry, which is made where there is none.
    pub fn entry(&mut self, key: &K, make: impl FnOnce() -> V) -> &mut V {
        if !self.entries.contains_key(key) {
            self.put(key.clone(), make());
        }
        self.entries.get_mut(key).expect("just put in")
    }

    /// Puts an entry in. One of the same key keeps its age.
    pub fn put(&mut self, key: K, value: V) {
        if self.entries.insert(key.clone(), value).is_some() {
            return;
        }
        self.order.push_back(key);
        if self.order.len() > self.limit
            && let Some(oldest) = self.order.pop_front()
        {
            self.entries.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_table_forgets_what_came_first_and_nothing_else() {
        let mut table = Bounded::new(3);
        for n in 0..4 {
            table.put(n, n * 10);
            table.put(2, 7);
        }
        assert_eq!([0, 1, 2, 3].map(|n| table.get(&n).copied()), [None, Some(10), Some(7), Some(30)]);
        assert_eq!((table.entries.len(), table.order.len()), (3, 3));
    }
}
