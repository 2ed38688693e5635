//! What flows read, and what is to be said about it.

use std::{
    sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::SystemTime,
};

use serde::Serialize;

use crate::snapshot::{Damage, Problem, Snapshot};

/// What is said to the operator: this revision is what flows read now, or could not be loaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ack {
    /// The one inside the snapshot; never the one that the pod was told.
    pub revision: String,
    /// Why it could not be loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Problem>,
}

/// What a look at the mount brought.
#[derive(Debug, Default, PartialEq)]
pub struct News {
    /// To be said to the operator.
    pub acknowledge: Option<Ack>,
    /// To be said to whoever reads the log.
    pub log: Option<String>,
}

/// Shared between the watch and the flows.
#[derive(Default)]
pub struct State(RwLock<Held>);

/// What is held now.
#[derive(Default)]
pub struct Held {
    /// What flows read: the last good one.
    pub snapshot: Option<Arc<Snapshot>>,
    /// When it was loaded.
    pub since: Option<SystemTime>,
    /// Why the mount, as it is now, could not be loaded.
    pub problem: Option<Problem>,
    said: Option<Ack>,
}

impl State {
    /// What flows read. A flow that began with one snapshot may end with it: the next is another object.
    pub fn held(&self) -> RwLockReadGuard<'_, Held> {
        self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Takes what was read: swaps where the content is new, keeps the last good one where it is damaged.
    pub fn take(&self, read: Result<Snapshot, Damage>) -> News {
        self.hold().take(read, SystemTime::now())
    }

    fn hold(&self) -> RwLockWriteGuard<'_, Held> {
        self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Held {
    fn take(&mut self, read: Result<Snapshot, Damage>, now: SystemTime) -> News {
        let (ack, log) = match read {
            Ok(snapshot) => self.load(snapshot, now),
            Err(damage) => self.keep(damage),
        };
        // A look that finds what was said already says nothing. A token that was renewed is such a look.
        let acknowledge = ack.filter(|ack| self.said.as_ref() != Some(ack));
        if acknowledge.is_some() {
            self.said.clone_from(&acknowledge);
        }
        News { acknowledge, log }
    }

    fn load(&mut self, snapshot: Snapshot, now: SystemTime) -> (Option<Ack>, Option<String>) {
        let ack = Ack { revision: snapshot.meta.revision.clone(), error: None };
        let healed = self.problem.take().is_some();
        let same = self.snapshot.as_deref() == Some(&snapshot);
        let log = (healed || !same).then(|| format!("loaded {}: {} keys", ack.revision, snapshot.values.len()));
        if !same {
            self.snapshot = Some(Arc::new(snapshot));
            self.since = Some(now);
        }
        (Some(ack), log)
    }

    fn keep(&mut self, damage: Damage) -> (Option<Ack>, Option<String>) {
        let Damage { problem, revision } = damage;
        let kept = self.snapshot.as_ref().map_or("nothing", |kept| kept.meta.revision.as_str());
        let log = (self.problem != Some(problem)).then(|| format!("{problem:?}: flows keep {kept}"));
        self.problem = Some(problem);
        (revision.map(|revision| Ack { revision, error: Some(problem) }), log)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::tests::Mount;

    fn ack(revision: &str) -> Ack {
        Ack { revision: revision.to_owned(), error: None }
    }

    fn look(state: &State, mount: &Mount) -> Option<Ack> {
        state.take(mount.read()).acknowledge
    }

    fn revision(state: &State) -> String {
        state.held().snapshot.as_ref().expect("a snapshot").meta.revision.clone()
    }

    #[test]
    fn a_new_revision_is_loaded_and_said_once() {
        let (state, mount) = (State::default(), Mount::new());
        mount.swap("1-a", &[("KEY", "one")]);
        assert_eq!(look(&state, &mount), Some(ack("1-a")));
        assert_eq!(look(&state, &mount), None);
        mount.swap("2-b", &[("KEY", "two")]);
        assert_eq!(look(&state, &mount), Some(ack("2-b")));
        assert_eq!(revision(&state), "2-b");
    }

    #[test]
    fn a_renewed_token_is_no_reload() {
        let (state, mount) = (State::default(), Mount::new());
        mount.swap("1-a", &[("KEY", "one")]);
        look(&state, &mount);
        let before = state.held().snapshot.clone().expect("a snapshot");
        mount.swap("1-a", &[("KEY", "one")]);
        assert_eq!(state.take(mount.read()), News::default());
        assert!(Arc::ptr_eq(&before, state.held().snapshot.as_ref().expect("a snapshot")));
    }

    #[test]
    fn a_new_annotation_beside_an_old_secret_says_nothing() {
        let (state, mount) = (State::default(), Mount::new());
        mount.told("1-a");
        mount.swap("1-a", &[("KEY", "one")]);
        look(&state, &mount);
        mount.told("2-b");
        mount.swap("1-a", &[("KEY", "one")]);
        assert_eq!(look(&state, &mount), None);
    }

    #[test]
    fn before_the_first_sync_nothing_is_said() {
        let (state, mount) = (State::default(), Mount::new());
        assert_eq!(look(&state, &mount), None);
        mount.swap_files(&[]);
        assert_eq!(look(&state, &mount), None);
        assert_eq!(state.held().problem, Some(Problem::SnapshotMissing));
    }

    #[test]
    fn a_damaged_mount_keeps_the_last_good_and_what_heals_it_is_said() {
        let (state, mount) = (State::default(), Mount::new());
        mount.swap("1-a", &[("KEY", "one")]);
        look(&state, &mount);
        mount.swap_files(&[(".spacesync.json", &Mount::meta("2-b", &["KEY", "OTHER"])), ("KEY", "two")]);
        let said = Ack { revision: "2-b".into(), error: Some(Problem::SnapshotIncomplete) };
        assert_eq!(look(&state, &mount), Some(said));
        assert_eq!(revision(&state), "1-a");
        mount.swap("1-a", &[("KEY", "one")]);
        assert_eq!(look(&state, &mount), Some(ack("1-a")));
        assert_eq!(state.held().problem, None);
    }
}
