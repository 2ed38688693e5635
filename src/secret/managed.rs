//! The managed Secret of a sync, built from a snapshot. Building cannot fail: what cannot be delivered is refused by
//! name, and only the size of the whole keeps it from being written.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::resources::{KeyStatus, Timestamp};

use super::{Entry, FingerprintKey, Format, KeyFilter, Refusal, Refused, Revision, Snapshot, Value};

/// The reserved entry that describes the others.
pub const META_KEY: &str = ".spacesync.json";

/// The sum of all values that Kubernetes takes in one Secret (`MaxSecretSize` of the core API).
pub const MAX_BYTES: usize = 1024 * 1024;

/// Whose managed Secret it is. Goes into the fingerprint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity<'a> {
    /// The sync's namespace.
    pub namespace: &'a str,
    /// The sync's UID.
    pub sync_uid: &'a str,
    /// The space's name.
    pub space: &'a str,
}

/// `.spacesync.json`: what a runtime reads beside the values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Meta {
    /// The space's name.
    pub space: String,
    /// The space's counter.
    pub version: u64,
    /// `<version>-<fingerprint>`.
    pub revision: String,
    /// When the space's first version was made.
    pub created_at: Timestamp,
    /// When this version was made.
    pub updated_at: Timestamp,
    /// When it was read from the store.
    pub issued_at: Timestamp,
    /// Each key and its format, sorted by name.
    pub keys: Vec<KeyStatus>,
}

/// What the managed Secret is to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManagedSecret {
    /// What it is, in one word.
    pub revision: Revision,
    /// The entries by key, without the reserved one.
    pub entries: BTreeMap<String, Entry>,
    /// What stands in the reserved entry.
    pub meta: Meta,
    /// Keys that are not delivered, sorted.
    pub refused: Vec<Refused>,
}

/// The values do not fit into one Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the keys hold {size} bytes, {over} more than the 1 MiB that a Kubernetes Secret takes", over = size - MAX_BYTES)]
pub struct TooLarge {
    /// The sum of all values in bytes.
    pub size: usize,
}

impl ManagedSecret {
    /// What `snapshot` becomes for one sync: filtered, refused keys left out, and named by its revision.
    pub fn build(snapshot: &Snapshot, of: &Identity<'_>, filter: &KeyFilter, key: &FingerprintKey) -> Self {
        let mut refused: Vec<_> = snapshot.refused.iter().filter(|r| filter.takes(&r.key)).cloned().collect();
        let mut entries = BTreeMap::new();
        for (name, entry) in snapshot.entries.iter().filter(|(name, _)| filter.takes(name)) {
            match refusal(name) {
                Some(why) => refused.push(Refused { key: name.clone(), why }),
                None => drop(entries.insert(name.clone(), entry.clone())),
            }
        }
        refused.sort();
        let revision = Revision { version: snapshot.version, fingerprint: fingerprint(key, of, &entries) };
        let meta = Meta {
            space: of.space.to_owned(),
            version: snapshot.version,
            revision: revision.to_string(),
            created_at: snapshot.created.into(),
            updated_at: snapshot.updated.into(),
            issued_at: snapshot.issued.into(),
            keys: keys(&entries),
        };
        Self { revision, entries, meta, refused }
    }

    /// Reads back what a Secret of the cluster holds. `None` when it is not, byte for byte, what its own reserved entry
    /// says: then somebody edited it.
    pub fn read_back(data: &BTreeMap<String, Value>, of: &Identity<'_>, key: &FingerprintKey) -> Option<Self> {
        let meta: Meta = serde_json::from_slice(data.get(META_KEY)?.expose()).ok()?;
        let formats: BTreeMap<_, _> = meta.keys.iter().map(|k| (k.name.as_str(), k.format)).collect();
        let mut entries = BTreeMap::new();
        for (name, value) in data.iter().filter(|(name, _)| *name != META_KEY) {
            let format = *formats.get(name.as_str())?;
            entries.insert(name.clone(), Entry { format, value: value.clone() });
        }
        let revision: Revision = meta.revision.parse().ok()?;
        let intact = entries.len() == meta.keys.len()
            && meta.space == of.space
            && revision == Revision { version: meta.version, fingerprint: fingerprint(key, of, &entries) };
        intact.then_some(Self { revision, entries, meta, refused: Vec::new() })
    }

    /// Every entry of the Secret with its bytes, the reserved one first. The bytes go to the door and nowhere else.
    pub fn data(&self) -> BTreeMap<String, Value> {
        let meta = serde_json::to_vec(&self.meta).expect("names and times are always JSON");
        let mut data = BTreeMap::from([(META_KEY.to_owned(), Value::new(meta))]);
        data.extend(self.entries.iter().map(|(name, entry)| (name.clone(), entry.value.clone())));
        data
    }

    /// Says so when the whole does not fit into one Secret.
    pub fn check_size(&self) -> Result<(), TooLarge> {
        let size = self.data().values().map(Value::len).sum();
        if size > MAX_BYTES { Err(TooLarge { size }) } else { Ok(()) }
    }
}

/// Names and formats, sorted by name.
fn keys(entries: &BTreeMap<String, Entry>) -> Vec<KeyStatus> {
    entries.iter().map(|(name, entry)| KeyStatus { name: name.clone(), format: entry.format }).collect()
}

fn fingerprint(key: &FingerprintKey, of: &Identity<'_>, entries: &BTreeMap<String, Entry>) -> super::Fingerprint {
    key.fingerprint(&[of.namespace, of.sync_uid], entries.iter().map(|(name, e)| (name.as_str(), e.format, &e.value)))
}

/// Why Kubernetes or the contract on the pod cannot hold a key of this name
/// (`IsConfigMapKey` of apimachinery's validation).
pub fn refusal(name: &str) -> Option<Refusal> {
    let plain = (1..=253).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'));
    if !plain || name == "." || name.starts_with("..") {
        Some(Refusal::Name)
    } else if name.starts_with(".spacesync") {
        Some(Refusal::Reserved)
    } else {
        None
    }
}

/// JSON is checked when it comes in, so that a flow never meets half a document.
pub fn check_format(format: Format, value: &Value) -> Option<Refusal> {
    match format {
        Format::Text => std::str::from_utf8(value.expose()).err().map(|_| Refusal::NotUtf8),
        Format::Json => serde_json::from_slice::<serde::de::IgnoredAny>(value.expose()).err().map(|_| Refusal::NotJson),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::Head;

    const OF: Identity<'_> = Identity { namespace: "newsroom-dev", sync_uid: "uid-1", space: "newsroom" };

    fn key() -> FingerprintKey {
        FingerprintKey::new(vec![7; 32]).unwrap()
    }

    fn snapshot(entries: impl IntoIterator<Item = (String, Entry)>) -> Snapshot {
        let at = jiff::Timestamp::UNIX_EPOCH;
        Snapshot {
            head: Head { version: Some(3), ..Head::default() },
            version: 3,
            created: at,
            updated: at,
            issued: at,
            entries: entries.into_iter().collect(),
            refused: Vec::new(),
        }
    }

    fn build(entries: impl IntoIterator<Item = (String, Entry)>) -> ManagedSecret {
        ManagedSecret::build(&snapshot(entries), &OF, &KeyFilter::new(None, None).unwrap(), &key())
    }

    #[test]
    fn keys_that_kubernetes_cannot_hold_are_refused_one_by_one_and_the_others_delivered() {
        let long = "x".repeat(254);
        let cases = [
            ("OK", None),
            ("a.b-c_d", None),
            (".hidden", None),
            ("...", Some(Refusal::Name)),
            ("", Some(Refusal::Name)),
            (".", Some(Refusal::Name)),
            ("..data", Some(Refusal::Name)),
            ("a b", Some(Refusal::Name)),
            ("a/b", Some(Refusal::Name)),
            ("ключ", Some(Refusal::Name)),
            (long.as_str(), Some(Refusal::Name)),
            (".spacesync.json", Some(Refusal::Reserved)),
            (".spacesync", Some(Refusal::Reserved)),
            (".spacesyncopher", Some(Refusal::Reserved)),
        ];
        let built = build(cases.iter().map(|(name, _)| ((*name).to_owned(), Entry::text("v"))));
        for (name, expected) in cases {
            let seen = built.refused.iter().find(|r| r.key == name).map(|r| r.why);
            assert_eq!(seen, expected, "{name:?}");
            assert_eq!(built.entries.contains_key(name), expected.is_none(), "{name:?}");
        }
    }

    #[test]
    fn a_secret_of_exactly_one_mebibyte_fits_and_one_byte_more_does_not() {
        let meta = build([("A".to_owned(), Entry::text(""))]).data()[META_KEY].len();
        let fits = build([("A".to_owned(), Entry::text(&"x".repeat(MAX_BYTES - meta)))]);
        assert_eq!(fits.check_size(), Ok(()));
        let over = build([("A".to_owned(), Entry::text(&"x".repeat(MAX_BYTES - meta + 1)))]);
        let error = over.check_size().unwrap_err();
        assert!(error.to_string().contains("1 more than the 1 MiB"), "{error}");
    }

    #[test]
    fn an_edited_secret_does_not_read_back() {
        let built = build([("A".to_owned(), Entry::text("1")), ("B".to_owned(), Entry::json("{}"))]);
        let edits: [fn(&mut BTreeMap<String, Value>); 5] = [
            |data| drop(data.insert("A".into(), "2".into())),
            |data| drop(data.insert("C".into(), "3".into())),
            |data| drop(data.remove("A")),
            |data| drop(data.remove(META_KEY)),
            |data| drop(data.insert(META_KEY.into(), "{".into())),
        ];
        assert!(ManagedSecret::read_back(&built.data(), &OF, &key()).is_some());
        for (n, edit) in edits.iter().enumerate() {
            let mut data = built.data();
            edit(&mut data);
            assert_eq!(ManagedSecret::read_back(&data, &OF, &key()), None, "edit {n}");
        }
        let other = Identity { sync_uid: "uid-2", ..OF };
        assert_eq!(ManagedSecret::read_back(&built.data(), &other, &key()), None);
    }

    #[test]
    fn the_debug_of_a_managed_secret_shows_no_value() {
        let built = build([("A".to_owned(), Entry::text("hunter2"))]);
        assert!(!format!("{built:?}").contains("hunter2"));
    }

    proptest! {
        #[test]
        fn what_was_built_reads_back_as_it_was(
            entries in prop::collection::btree_map("[A-Za-z_]{1,8}", (any::<bool>(), "\\PC{0,20}"), 0..8)
        ) {
            let built = build(entries.into_iter().map(|(k, (json, v))| {
                (k, if json { Entry::json(&serde_json::to_string(&v).unwrap()) } else { Entry::text(&v) })
            }));
            prop_assert_eq!(ManagedSecret::read_back(&built.data(), &OF, &key()), Some(built));
        }
    }
}
