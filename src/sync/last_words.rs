//! What syncs that have gone last said of their Secrets.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard},
};

use crate::{cluster::cache::Key, resources::DeletionPolicy};

/// Whether the Secrets of syncs that have gone stay, where something else stands on them: there it stands since the last
/// content, and a sync that was suspended, or whose store was down, has brought none since. In memory only: what went
/// while nobody led goes by what stands on its Secrets.
#[derive(Debug, Default)]
pub struct LastWords(Mutex<HashMap<Key, DeletionPolicy>>);

impl LastWords {
    /// Notes what a sync last said.
    pub fn note(&self, sync: &Key, policy: DeletionPolicy) {
        self.lock().insert(sync.clone(), policy);
    }

    /// What it said, where that is not what stands on its Secrets.
    pub fn of(&self, sync: &Key) -> Option<DeletionPolicy> {
        self.lock().get(sync).copied()
    }

    /// It is back, or has nothing left.
    pub fn forget(&self, sync: &Key) {
        self.lock().remove(sync);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, DeletionPolicy>> {
        self.0.lock().expect("no code panics while it holds the lock")
    }
}
