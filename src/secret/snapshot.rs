//! A space's secrets as one read of the store gave them.

use std::{collections::BTreeMap, fmt};

use crate::store::Head;

use super::{Format, Value};

/// One key's value, and how it is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Text or JSON.
    pub format: Format,
    /// The bytes.
    pub value: Value,
}

impl Entry {
    /// A text entry.
    pub fn text(value: &str) -> Self {
        Self { format: Format::Text, value: value.into() }
    }

    /// A JSON entry, kept byte for byte.
    pub fn json(value: &str) -> Self {
        Self { format: Format::Json, value: value.into() }
    }
}

/// Why a key is not delivered. The others are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// Kubernetes cannot hold the name: outside `[-._a-zA-Z0-9]{1,253}`, or `.`, or beginning with `..`.
    Name,
    /// The name begins with `.spacesync`, which is reserved.
    Reserved,
    /// The value is not UTF-8 text.
    NotUtf8,
    /// The value was said to be JSON and is not.
    NotJson,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "not a name that Kubernetes can hold",
            Self::Reserved => "names beginning with .spacesync are reserved",
            Self::NotUtf8 => "not UTF-8 text",
            Self::NotJson => "not valid JSON",
        })
    }
}

/// A key that was refused, by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refused {
    /// The key's name.
    pub key: String,
    /// Why.
    pub why: Refusal,
}

/// Everything of a space at one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The head that this was read at.
    pub head: Head,
    /// The space's counter.
    pub version: u64,
    /// When the first version was made.
    pub created: jiff::Timestamp,
    /// When this version was made.
    pub updated: jiff::Timestamp,
    /// When it was read from the store.
    pub issued: jiff::Timestamp,
    /// The entries by key.
    pub entries: BTreeMap<String, Entry>,
    /// Keys that the store itself could not give in a form flows can read, sorted.
    pub refused: Vec<Refused>,
}
