//! The watches that feed a cache, and how each fares: one of everything, or one a namespace where the operator may see
//! only some.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
};

use kube::runtime::watcher;
use tokio::sync::watch;

use super::cache::Key;

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
    pub(super) fn holds(&self, key: &Key) -> bool {
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
    pub(super) fn of(error: &watcher::Error) -> Self {
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

/// All watches of one cache.
pub(super) struct Parts {
    known: Mutex<BTreeMap<Part, Standing>>,
    complete: watch::Sender<bool>,
}

impl Default for Parts {
    fn default() -> Self {
        Self { known: Mutex::default(), complete: watch::Sender::new(false) }
    }
}

impl Parts {
    /// Tells of one that will be watched.
    pub(super) fn expect(&self, part: Part) {
        self.known().insert(part, Standing::default());
    }

    /// The whole list of one has come.
    pub(super) fn listed(&self, part: &Part) {
        let mut known = self.known();
        known.insert(part.clone(), Standing { health: Health::Synced, complete: true });
        if known.values().all(|standing| standing.complete) {
            self.complete.send_replace(true);
        }
    }

    /// One fails.
    pub(super) fn fails(&self, part: &Part, health: Health) {
        self.known().entry(part.clone()).or_default().health = health;
    }

    /// Something came of one, which shows that it works again.
    pub(super) fn works(&self, part: &Part) {
        if let Some(standing) = self.known().get_mut(part).filter(|standing| standing.complete) {
            standing.health = Health::Synced;
        }
    }

    /// How they fare: as the one that fares worst. A namespace out of which the operator was shut is not among them.
    pub(super) fn health(&self) -> Health {
        let known = self.known();
        // Of those that fare alike the last is taken, so the first comes last.
        let others = known.iter().rev().filter(|(part, standing)| !standing.is_shut(part));
        let worst = others.max_by_key(|(_, standing)| standing.health.rank());
        worst.map_or(Health::Starting, |(part, standing)| standing.health.clone().of_part(part))
    }

    /// Why the operator was shut out of namespaces: whoever rules one could otherwise keep it from all others.
    pub(super) fn shut_out(&self) -> Vec<String> {
        let words = |(part, standing): (&Part, &Standing)| match &standing.health {
            Health::Refused(words) if standing.is_shut(part) => Some(part.word(words)),
            _ => None,
        };
        self.known().iter().filter_map(words).collect()
    }

    /// Whether a first list of every one has come, ever.
    pub(super) fn are_complete(&self) -> bool {
        *self.complete.borrow()
    }

    /// Waits for that.
    pub(super) async fn completed(&self) {
        let mut complete = self.complete.subscribe();
        // The sender lives as long as `self`.
        let _ = complete.wait_for(|done| *done).await;
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<Part, Standing>> {
        self.known.lock().expect("no code panics while it holds the lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn namespaces() -> [Part; 2] {
        ["a", "b"].map(|name| Part::Namespace(name.into()))
    }

    #[test]
    fn a_cache_is_complete_when_each_of_its_watches_is_and_fares_as_the_one_that_fares_worst() {
        let parts = Parts::default();
        let [a, b] = namespaces();
        for part in [&a, &b] {
            parts.expect(part.clone());
        }
        parts.listed(&a);
        assert!(!parts.are_complete(), "b is not known");
        assert_eq!(parts.health(), Health::Starting);
        parts.listed(&b);
        assert!(parts.are_complete());
        assert_eq!(parts.health(), Health::Synced);
        parts.fails(&a, Health::Failing("away".into()));
        assert_eq!(parts.health(), Health::Failing("in namespace a: away".into()));
        parts.works(&a);
        assert_eq!(parts.health(), Health::Synced);
    }

    #[test]
    fn of_watches_that_are_refused_from_the_start_the_first_is_named() {
        let parts = Parts::default();
        let [a, b] = namespaces();
        parts.expect(a.clone());
        parts.fails(&b, Health::Refused("forbidden".into()));
        assert_eq!(parts.health(), Health::Refused("in namespace b: forbidden".into()));
        parts.works(&b);
        assert_eq!(parts.health(), Health::Refused("in namespace b: forbidden".into()), "nothing was listed yet");
        parts.fails(&a, Health::Refused("forbidden".into()));
        assert_eq!(parts.health(), Health::Refused("in namespace a: forbidden".into()));
    }

    #[test]
    fn one_namespace_that_shuts_the_operator_out_stands_in_the_way_of_no_other() {
        let parts = Parts::default();
        let [a, b] = namespaces();
        for part in [&a, &b] {
            parts.listed(part);
        }
        let refused = Health::Refused("forbidden".into());
        parts.fails(&b, refused.clone());
        assert!(parts.are_complete() && parts.health() == Health::Synced);
        assert_eq!(parts.shut_out(), ["in namespace b: forbidden"]);
        // That nothing is known of any namespace is another matter.
        parts.listed(&Part::All);
        parts.fails(&Part::All, refused.clone());
        assert_eq!(parts.health(), refused);
    }
}
