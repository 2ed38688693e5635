//! What is known of the entries: the last head of each, shared by all syncs of a space.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard},
};

use super::{Head, StoreError};

/// An entry: a store by its `SecretManager`, and a path in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryId {
    /// The `SecretManager`'s name.
    pub manager: String,
    /// The space's path.
    pub path: String,
}

/// What was last heard of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its head, or why there is none.
    pub head: Result<Head, StoreError>,
    /// Since when it has been so, as far as we know: the instant of the look that first saw it.
    pub since: jiff::Timestamp,
}

/// The heads of all entries.
#[derive(Debug, Default)]
pub struct Book(Mutex<HashMap<EntryId, Known>>);

impl Book {
    /// What is known of one entry.
    pub fn get(&self, id: &EntryId) -> Option<Known> {
        self.lock().get(id).cloned()
    }

    /// Notes what a look at `at` found. Says whether it is something new.
    pub fn note(&self, id: &EntryId, head: Result<Head, StoreError>, at: jiff::Timestamp) -> bool {
        let mut book = self.lock();
        if book.get(id).is_some_and(|known| known.head == head) {
            return false;
        }
        book.insert(id.clone(), Known { head, since: at });
        true
    }

    /// Forgets an entry, so that the book grows with what exists only.
    pub fn forget(&self, id: &EntryId) {
        self.lock().remove(id);
    }

    /// Forgets all: another replica may have led since, and what was heard before that is old.
    pub fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<EntryId, Known>> {
        self.0.lock().expect("no code panics while it holds the lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_head_again_is_nothing_new_and_keeps_its_time() {
        let (book, at) = (Book::default(), |s| jiff::Timestamp::from_second(s).unwrap());
        let id = EntryId { manager: "m".into(), path: "p".into() };
        let head = |version| Ok(Head { version: Some(version), ..Head::default() });
        assert!(book.note(&id, head(1), at(1)));
        assert!(!book.note(&id, head(1), at(2)));
        assert_eq!(book.get(&id).unwrap().since, at(1));
        assert!(book.note(&id, Err(StoreError::Sealed), at(3)));
        assert!(!book.note(&id, Err(StoreError::Sealed), at(4)));
        assert!(book.note(&id, head(1), at(5)));
    }
}
