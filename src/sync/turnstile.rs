//! Lets only so many syncs ask one store at a time: a store that hangs keeps its own syncs waiting, and nobody else's.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::cluster::{
    cache::Key,
    queue::{Lane, Queue},
};

/// How many may ask a store at a time that answers.
const AT_ONCE: usize = 16;

#[derive(Debug, Default)]
struct Gate {
    inside: usize,
    limit: usize,
    waiting: [BTreeSet<Key>; 2],
}

impl Gate {
    /// The next to come in, whoever is urgent first.
    fn next(&mut self) -> Option<(Key, Lane)> {
        [Lane::Urgent, Lane::Normal].into_iter().find_map(|lane| Some((self.waiting[lane as usize].pop_first()?, lane)))
    }
}

/// Who asks which store.
#[derive(Debug, Default)]
pub struct Turnstile(Mutex<HashMap<String, Gate>>);

impl Turnstile {
    /// Lets a sync in, or keeps it in mind: then it is put into `queue` again when it is its turn.
    ///
    /// A store that `hangs` has a single one at a time, for each may wait as long as a request may take.
    pub fn enter(
        self: &Arc<Self>,
        manager: &str,
        key: &Key,
        lane: Lane,
        hangs: bool,
        queue: &Arc<Queue<Key>>,
    ) -> Option<Pass> {
        let mut gates = self.lock();
        let gate = gates.entry(manager.to_owned()).or_default();
        gate.limit = if hangs { 1 } else { AT_ONCE };
        if gate.inside >= gate.limit {
            gate.waiting[lane as usize].insert(key.clone());
            return None;
        }
        for lane in &mut gate.waiting {
            lane.remove(key);
        }
        gate.inside += 1;
        Some(Pass { turnstile: self.clone(), queue: queue.clone(), manager: manager.to_owned() })
    }

    /// Everybody who waits, to be told what has become known of the store meanwhile.
    pub fn waiting(&self, manager: &str) -> Vec<Key> {
        let mut gates = self.lock();
        let Some(gate) = gates.get_mut(manager) else { return Vec::new() };
        std::iter::from_fn(|| gate.next()).map(|(key, _)| key).collect()
    }

    /// Those who wait though nobody is inside: whoever was called in may have gone, or not want in any more.
    pub fn forgotten(&self, manager: &str) -> Vec<(Key, Lane)> {
        let mut gates = self.lock();
        if gates.get(manager).is_none_or(|gate| gate.inside > 0) {
            return Vec::new();
        }
        let mut gate = gates.remove(manager).unwrap_or_default();
        std::iter::from_fn(|| gate.next()).collect()
    }

    /// How many wait, for whichever store.
    pub fn depth(&self) -> usize {
        self.lock().values().flat_map(|gate| &gate.waiting).map(BTreeSet::len).sum()
    }

    fn leave(&self, manager: &str) -> Vec<(Key, Lane)> {
        let mut gates = self.lock();
        let Some(gate) = gates.get_mut(manager) else { return Vec::new() };
        gate.inside -= 1;
        let free = gate.limit.saturating_sub(gate.inside);
        let next = (0..free).map_while(|_| gate.next()).collect();
        if gate.inside == 0 && gate.waiting.iter().all(BTreeSet::is_empty) {
            gates.remove(manager);
        }
        next
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Gate>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to ask a store, until it is dropped.
pub struct Pass {
    turnstile: Arc<Turnstile>,
    queue: Arc<Queue<Key>>,
    manager: String,
}

impl Drop for Pass {
    fn drop(&mut self) {
        for (key, lane) in self.turnstile.leave(&self.manager) {
            self.queue.add(key, lane);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Hall(Arc<Turnstile>, Arc<Queue<Key>>);

    impl Hall {
        fn new() -> Self {
            Self(Arc::default(), Arc::default())
        }

        fn enter(&self, manager: &str, name: &str, lane: Lane, hangs: bool) -> Option<Pass> {
            self.0.enter(manager, &Key::new("ns", name), lane, hangs, &self.1)
        }

        fn fill(&self, manager: &str) -> Vec<Pass> {
            (0..AT_ONCE).map(|n| self.enter(manager, &n.to_string(), Lane::Normal, false).unwrap()).collect()
        }

        fn leave(&self, pass: Pass) -> Vec<String> {
            let next = self.0.leave(&pass.manager);
            std::mem::forget(pass);
            next.into_iter().map(|(key, _)| key.name).collect()
        }
    }

    #[test]
    fn a_full_store_keeps_nobody_from_another() {
        let hall = Hall::new();
        let _inside = hall.fill("hangs");
        assert!(hall.enter("hangs", "late", Lane::Urgent, false).is_none());
        assert!(hall.enter("answers", "late", Lane::Normal, false).is_some());
    }

    #[test]
    fn who_waited_comes_in_by_urgency() {
        let hall = Hall::new();
        let mut inside = hall.fill("m");
        for (name, lane) in [("a", Lane::Normal), ("b", Lane::Urgent), ("a", Lane::Normal)] {
            assert!(hall.enter("m", name, lane, false).is_none());
        }
        assert_eq!(hall.leave(inside.pop().unwrap()), ["b"]);
        assert_eq!(hall.leave(inside.pop().unwrap()), ["a"], "once, though it came twice");
        assert!(hall.leave(inside.pop().unwrap()).is_empty());
    }

    #[test]
    fn a_store_that_hangs_has_one_and_a_store_that_is_back_has_all_again() {
        let hall = Hall::new();
        let first = hall.enter("m", "first", Lane::Normal, true).unwrap();
        for n in 0..20 {
            assert!(hall.enter("m", &n.to_string(), Lane::Normal, true).is_none());
        }
        let next = hall.leave(first);
        assert_eq!(next.len(), 1);
        let back = hall.enter("m", &next[0], Lane::Normal, false).unwrap();
        assert_eq!(hall.leave(back).len(), AT_ONCE);
    }

    #[test]
    fn who_waits_can_be_called_for_news() {
        let hall = Hall::new();
        let _inside = hall.fill("m");
        for name in ["a", "b"] {
            assert!(hall.enter("m", name, Lane::Normal, false).is_none());
        }
        let names: Vec<_> = hall.0.waiting("m").into_iter().map(|key| key.name).collect();
        assert_eq!(names, ["a", "b"]);
        assert!(hall.0.waiting("m").is_empty() && hall.0.waiting("another").is_empty());
    }

    #[test]
    fn who_waits_behind_somebody_who_does_not_come_is_not_forgotten() {
        let hall = Hall::new();
        let first = hall.enter("m", "first", Lane::Normal, true).unwrap();
        for name in ["gone", "waits"] {
            assert!(hall.enter("m", name, Lane::Urgent, true).is_none());
        }
        assert!(hall.0.forgotten("m").is_empty(), "somebody is inside");
        assert_eq!(hall.leave(first), ["gone"]);
        assert_eq!(hall.0.forgotten("m"), [(Key::new("ns", "waits"), Lane::Urgent)]);
        assert!(hall.0.lock().is_empty());
    }

    #[test]
    fn nothing_is_kept_of_a_store_that_nobody_asks() {
        let hall = Hall::new();
        drop(hall.fill("m"));
        assert!(hall.0.lock().is_empty());
    }
}
