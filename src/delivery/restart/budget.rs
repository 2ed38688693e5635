//! How many workloads roll at once. First come, first served, but a namespace in which none rolls goes ahead of one in which
//! some do: workloads of one tenant that never come to an end hold no other up for long. What must outlive the leader stands
//! on the workloads.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Mutex,
};

use crate::cluster::cache::Key;

/// The places of the FlowApps whose workloads roll, and who waits for one.
#[derive(Debug)]
pub struct Budget {
    limit: usize,
    places: Mutex<Places>,
}

#[derive(Debug, Default)]
struct Places {
    rolling: BTreeSet<Key>,
    waiting: VecDeque<Key>,
}

impl Budget {
    /// So many places.
    pub fn new(limit: usize) -> Self {
        Self { limit, places: Mutex::default() }
    }

    /// How many places there are.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// A leader begins, with those that roll already.
    pub fn begin(&self, rolling: impl IntoIterator<Item = Key>) {
        *self.lock() = Places { rolling: rolling.into_iter().collect(), waiting: VecDeque::new() };
    }

    /// Whether this one has a place now. Else it is given one when its turn comes.
    pub fn ask(&self, app: &Key) -> bool {
        let mut places = self.lock();
        let free = places.rolling.len() < self.limit;
        if free || places.rolling.contains(app) {
            places.rolling.insert(app.clone());
            return true;
        }
        if !places.waiting.contains(app) {
            places.waiting.push_back(app.clone());
        }
        false
    }

    /// This one rolls, whether or not it asked.
    pub fn hold(&self, app: &Key) {
        let mut places = self.lock();
        places.waiting.retain(|waiting| waiting != app);
        places.rolling.insert(app.clone());
    }

    /// Whether this one rolls.
    pub fn is_rolling(&self, app: &Key) -> bool {
        self.lock().rolling.contains(app)
    }

    /// This one neither rolls nor waits. Gives whoever has its place now, and is to be looked at.
    #[must_use = "whoever is given a place must be looked at"]
    pub fn leave(&self, app: &Key) -> Option<Key> {
        let mut places = self.lock();
        places.waiting.retain(|waiting| waiting != app);
        places.rolling.remove(app);
        if places.rolling.len() >= self.limit {
            return None;
        }
        let is_first = |waiting: &Key| !places.rolling.iter().any(|rolling| rolling.namespace == waiting.namespace);
        let turn = places.waiting.iter().position(is_first).unwrap_or(0);
        let next = places.waiting.remove(turn)?;
        places.rolling.insert(next.clone());
        Some(next)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Places> {
        self.places.lock().expect("no code panics while it holds the lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key::new("ns", name)
    }

    #[test]
    fn no_more_roll_at_once_than_there_are_places_and_the_first_that_asked_is_next() {
        let budget = Budget::new(2);
        let asked: Vec<_> = ["a", "b", "c", "d"].iter().map(|name| budget.ask(&key(name))).collect();
        assert_eq!(asked, [true, true, false, false]);
        assert!(budget.ask(&key("a")) && !budget.ask(&key("c")), "who has a place keeps it, who waits keeps waiting");
        assert_eq!(budget.leave(&key("b")), Some(key("c")));
        assert!(budget.is_rolling(&key("c")) && !budget.ask(&key("b")), "the place is taken, also before it is used");
        assert_eq!(budget.leave(&key("a")), Some(key("d")));
        assert_eq!(budget.leave(&key("c")), Some(key("b")));
    }

    #[test]
    fn one_that_gives_its_place_back_unused_holds_nobody_up() {
        let budget = Budget::new(1);
        let _ = ["a", "b", "c", "d"].map(|name| budget.ask(&key(name)));
        assert_eq!(budget.leave(&key("c")), None, "one that no longer waits");
        assert_eq!(budget.leave(&key("a")), Some(key("b")));
        assert_eq!(budget.leave(&key("b")), Some(key("d")));
        assert_eq!(budget.leave(&key("d")), None);
        assert!(budget.ask(&key("e")));
    }

    #[test]
    fn a_tenant_whose_workloads_never_come_to_an_end_goes_behind_the_others() {
        let budget = Budget::new(2);
        let (stuck, other) = (|n: usize| Key::new("stuck", &format!("app-{n}")), Key::new("other", "app"));
        let asked: Vec<_> = (0..5).map(|n| budget.ask(&stuck(n))).collect();
        assert_eq!(asked, [true, true, false, false, false]);
        assert!(!budget.ask(&other));
        assert_eq!(budget.leave(&stuck(0)), Some(other.clone()), "the last that asked");
        assert_eq!(budget.leave(&stuck(1)), Some(stuck(2)));
        assert_eq!(budget.leave(&other), Some(stuck(3)), "no place is left empty");
    }

    #[test]
    fn what_rolls_already_counts_for_the_next_leader() {
        let budget = Budget::new(2);
        budget.begin(["a", "b", "c"].map(key));
        assert!(!budget.ask(&key("d")));
        assert_eq!(budget.leave(&key("a")), None, "there were more than places");
        assert_eq!(budget.leave(&key("b")), Some(key("d")));
        budget.begin([]);
        budget.hold(&key("x"));
        assert!(budget.is_rolling(&key("x")) && !budget.is_rolling(&key("d")));
    }
}
