//! What the mount holds: read whole and consistent, or not at all.
//!
//! The kubelet writes a new folder beside the old one and renames the link `..data` to it. So everything is read inside
//! the folder that the link names, and the link must name the same one afterwards.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

const DATA: &str = "..data";
const META: &str = ".spacesync.json";
const OWN_FOLDER: &str = ".spacesync";
/// The kubelet swaps at most a few times a second; a read takes less than a millisecond.
const TRIES: usize = 5;

/// A space's secrets at one revision.
#[derive(PartialEq)]
pub struct Snapshot {
    /// What `.spacesync.json` says.
    pub meta: Meta,
    /// The values. They have no `Debug`, and are wiped when the snapshot is dropped.
    pub values: BTreeMap<String, Value>,
}

/// The bytes of one value.
#[derive(PartialEq)]
pub struct Value(Zeroizing<Vec<u8>>);

impl Value {
    /// All that anybody outside of a flow may know of it.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// `.spacesync.json`, as far as it is used here. What is not known is ignored: there may be more one day.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Meta {
    /// The space's counter.
    pub version: u64,
    /// What is acknowledged.
    pub revision: String,
    keys: Vec<Key>,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Key {
    name: String,
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    Json,
    /// And whatever is not known.
    #[serde(other)]
    Text,
}

/// Why the mount could not be loaded, in the words of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[allow(clippy::enum_variant_names, reason = "the contract has other words too, which do not concern this runtime")]
pub enum Problem {
    /// There is no Secret (yet).
    SnapshotMissing,
    /// A file cannot be read.
    SnapshotUnreadable,
    /// A file is not of the format that it should be.
    SnapshotMalformed,
    /// There are more or fewer files than keys.
    SnapshotIncomplete,
}

/// What could not be loaded.
#[derive(Debug, PartialEq)]
pub struct Damage {
    /// Why.
    pub problem: Problem,
    /// Of what revision it is: as it says itself, else as the pod was told. `None` where neither is known.
    pub revision: Option<String>,
}

/// Reads the mount.
pub fn read(mount: &Path) -> Result<Snapshot, Damage> {
    for _ in 0..TRIES {
        let target = match fs::read_link(mount.join(DATA)) {
            Ok(target) => mount.join(target),
            Err(error) => return Err(Damage { problem: absent_or_unreadable(&error), revision: None }),
        };
        let seen = read_folder(&target);
        // Also where it failed: the old folder is removed right after the rename.
        if fs::read_link(mount.join(DATA)).is_ok_and(|now| mount.join(now) == target) {
            return seen;
        }
    }
    Err(Damage { problem: Problem::SnapshotUnreadable, revision: None })
}

fn read_folder(folder: &Path) -> Result<Snapshot, Damage> {
    let told = || {
        let text = fs::read_to_string(folder.join(OWN_FOLDER).join("revision")).unwrap_or_default();
        Some(text.trim().to_owned()).filter(|told| !told.is_empty())
    };
    let meta = read_meta(folder).map_err(|problem| Damage { problem, revision: told() })?;
    match read_values(folder, &meta) {
        Ok(values) => Ok(Snapshot { meta, values }),
        Err(problem) => Err(Damage { problem, revision: Some(meta.revision) }),
    }
}

fn read_meta(folder: &Path) -> Result<Meta, Problem> {
    let bytes = fs::read(folder.join(META)).map_err(|error| absent_or_unreadable(&error))?;
    // The parser's own words may quote what it read.
    serde_json::from_slice(&bytes).map_err(|_| Problem::SnapshotMalformed)
}

/// Only files that were found are opened, never a name that stands in a file.
fn read_values(folder: &Path, meta: &Meta) -> Result<BTreeMap<String, Value>, Problem> {
    let files = files(folder).map_err(|_| Problem::SnapshotUnreadable)?;
    let formats: BTreeMap<&str, Format> = meta.keys.iter().map(|key| (key.name.as_str(), key.format)).collect();
    if !files.keys().map(String::as_str).eq(formats.keys().copied()) {
        return Err(Problem::SnapshotIncomplete);
    }
    let mut values = BTreeMap::new();
    for (name, path) in files {
        let bytes = Zeroizing::new(fs::read(path).map_err(|_| Problem::SnapshotUnreadable)?);
        let sound = match formats[name.as_str()] {
            Format::Text => std::str::from_utf8(&bytes).is_ok(),
            Format::Json => serde_json::from_slice::<serde::de::IgnoredAny>(&bytes).is_ok(),
        };
        if !sound {
            return Err(Problem::SnapshotMalformed);
        }
        values.insert(name, Value(bytes));
    }
    Ok(values)
}

/// All that should be a value.
fn files(folder: &Path) -> io::Result<BTreeMap<String, PathBuf>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with("..") && name != OWN_FOLDER && name != META {
            files.insert(name, entry.path());
        }
    }
    Ok(files)
}

fn absent_or_unreadable(error: &io::Error) -> Problem {
    match error.kind() {
        io::ErrorKind::NotFound => Problem::SnapshotMissing,
        _ => Problem::SnapshotUnreadable,
    }
}

#[cfg(test)]
#[path = "snapshot_tests.rs"]
pub mod tests;
