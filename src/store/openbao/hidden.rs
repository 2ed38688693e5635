//! Entries of which a policy allows to read the values and not the metadata.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::time::Instant;

use super::bulk::ASK_AGAIN;

/// Entries whose metadata was forbidden, and when that was last tried.
#[derive(Debug, Default)]
pub(super) struct Hidden(Mutex<HashMap<String, Instant>>);

impl Hidden {
    /// Whether the metadata of an entry was forbidden when it was last asked for.
    pub(super) fn is(&self, path: &str) -> bool {
        self.lock().contains_key(path)
    }

    /// The same, and it is not time yet to try again.
    pub(super) fn is_at_rest(&self, path: &str) -> bool {
        self.lock().get(path).is_some_and(|at| at.elapsed() < ASK_AGAIN)
    }

    /// The metadata was forbidden just now, and the values were not.
    pub(super) fn note(&self, path: &str) {
        let mut hidden = self.lock();
        // So that it grows with what is asked for only.
        hidden.retain(|_, at| at.elapsed() < ASK_AGAIN * 2);
        hidden.insert(path.to_owned(), Instant::now());
    }

    /// The metadata was told.
    pub(super) fn forget(&self, path: &str) {
        self.lock().remove(path);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
