//! What a new version changed, by key name only: the line of a sync's history.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::resources::{Timestamp, Trigger};

use super::Entry;

/// How many names a list of a change holds; beyond that only the count grows.
pub const MAX_NAMES: usize = 20;

/// Names, capped, and how many there were in all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Names {
    /// How many keys in all.
    pub count: usize,
    /// The first 20 of them, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
}

impl Names {
    fn push(&mut self, name: &str) {
        self.count += 1;
        if self.names.len() < MAX_NAMES {
            self.names.push(name.to_owned());
        }
    }

    /// Whether no key is meant.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// One change of a managed Secret. Travels as an annotation of the write that made it, so that a crash between that
/// write and the status loses no history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChangeRecord {
    /// The space's version that came.
    pub version: u64,
    /// The revision that came.
    pub revision: String,
    /// When it was written.
    pub time: Timestamp,
    /// What made the sync look.
    pub trigger: Trigger,
    /// Keys that were not there before.
    #[serde(default, skip_serializing_if = "Names::is_empty")]
    pub added: Names,
    /// Keys whose value or format is another.
    #[serde(default, skip_serializing_if = "Names::is_empty")]
    pub changed: Names,
    /// Keys that went.
    #[serde(default, skip_serializing_if = "Names::is_empty")]
    pub removed: Names,
}

/// The names that were added, changed and removed between two contents.
pub fn names(old: &BTreeMap<String, Entry>, new: &BTreeMap<String, Entry>) -> (Names, Names, Names) {
    let (mut added, mut changed, mut removed) = (Names::default(), Names::default(), Names::default());
    for (key, entry) in new {
        match old.get(key) {
            None => added.push(key),
            Some(before) if before != entry => changed.push(key),
            Some(_) => {}
        }
    }
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        removed.push(key);
    }
    (added, changed, removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(list: &[(&str, &str)]) -> BTreeMap<String, Entry> {
        list.iter().map(|(k, v)| ((*k).to_owned(), Entry::text(v))).collect()
    }

    #[test]
    fn a_change_names_what_was_added_changed_and_removed() {
        let (added, changed, removed) =
            names(&entries(&[("A", "1"), ("B", "1"), ("C", "1")]), &entries(&[("B", "2"), ("C", "1"), ("D", "1")]));
        assert_eq!((added.names, changed.names, removed.names), (vec!["D".into()], vec!["B".into()], vec!["A".into()]));
    }

    #[test]
    fn text_that_becomes_json_is_a_change() {
        let new = BTreeMap::from([("A".to_owned(), Entry::json("1"))]);
        assert_eq!(names(&entries(&[("A", "1")]), &new).1.names, ["A"]);
    }

    #[test]
    fn beyond_twenty_names_only_the_count_grows() {
        let many: Vec<String> = (0..50).map(|n| format!("K{n:02}")).collect();
        let new = many.iter().map(|k| (k.clone(), Entry::text(""))).collect();
        let (added, ..) = names(&BTreeMap::new(), &new);
        assert_eq!((added.count, added.names.len()), (50, MAX_NAMES));
    }
}
