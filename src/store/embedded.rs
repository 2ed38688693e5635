//! The embedded store: a space's entry is the Secret `space-<path>` in the operator's own namespace.
//!
//! It is watched by metadata, so a head costs nothing, and read on change. A Secret has no counter of its own, so the
//! space's version is counted here, in `Space.status`, with the fingerprint of the content that was counted: one status
//! write, before any managed Secret is written, and only when the fingerprint moved.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    sync::{Arc, Mutex},
};

use super::{Head, StoreError};
use crate::{
    cluster::{
        Cluster,
        cache::Key,
        secrets::{FullSecret, OwnObject},
    },
    operator::caches::Caches,
    resources::{
        Space,
        names::{EMBEDDED_PREFIX, JSON_KEYS, VERSION},
        space::{BindingState, EntryStatus},
    },
    secret::{Entry, FingerprintKey, Format, Refused, Revision, Snapshot, Value, managed::check_format},
};

/// The Secrets of the operator's own namespace as a store.
pub struct Embedded {
    cluster: Cluster,
    caches: Arc<Caches>,
    fingerprints: FingerprintKey,
    namespace: String,
    counting: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedded").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

impl Embedded {
    /// The store of this operator.
    pub fn new(cluster: Cluster, caches: Arc<Caches>, fingerprints: FingerprintKey, namespace: String) -> Self {
        Self { cluster, caches, fingerprints, namespace, counting: Mutex::default() }
    }

    /// The head of an entry, as the watch told it. Costs no request.
    pub fn head(&self, path: &str) -> Result<Head, StoreError> {
        let key = Key::new(&self.namespace, &secret_name(path));
        self.caches.own_secrets.get(&key).map(|object| head_of(&object)).ok_or_else(|| not_found(path))
    }

    /// The values of an entry, counted for `space`.
    pub async fn read(&self, space: &str, path: &str) -> Result<Snapshot, StoreError> {
        // Two syncs of a space must not count one change twice.
        let turn = self.turn(space);
        let _turn = turn.lock().await;
        let found = self.cluster.get_secret(&self.namespace, &secret_name(path)).await;
        let secret = found.map_err(|e| from_cluster(&e))?.ok_or_else(|| not_found(path))?;
        let space = self.caches.spaces.get(&Key::cluster(space)).ok_or_else(|| not_found(path))?;
        let head = head_of(&OwnObject::from_meta(&secret.object_meta));
        let content = Content::of(&secret);
        let counted = self.count(&space, &secret, &content, &head).await?;
        Ok(Snapshot {
            head,
            version: counted.version,
            created: counted.created_at.0,
            updated: counted.updated_at.0,
            issued: jiff::Timestamp::now(),
            entries: content.entries,
            refused: content.refused,
        })
    }

    fn turn(&self, space: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.counting.lock().expect("no code panics while it holds the lock");
        turns.retain(|name, turn| name == space || Arc::strong_count(turn) > 1);
        turns.entry(space.to_owned()).or_default().clone()
    }

    async fn count(
        &self,
        space: &Space,
        secret: &FullSecret,
        content: &Content,
        head: &Head,
    ) -> Result<EntryStatus, StoreError> {
        let uid = space.metadata.uid.as_deref().unwrap_or_default();
        let formats = |key: &str| content.entries.get(key).map_or(Format::Text, |entry| entry.format);
        let all = secret.data.iter().map(|(key, value)| (key.as_str(), formats(key), value));
        let fingerprint = self.fingerprints.fingerprint(&["space", uid], all).to_string();
        let old = space.status.clone().unwrap_or_default();
        let stated = stated_version(secret);
        let counted = count(old.entry.as_ref(), &fingerprint, stated, || self.highest_version(space), head);
        if old.entry.as_ref() != Some(&counted) {
            let mut new = old.clone();
            new.entry = Some(counted.clone());
            let written = self.cluster.patch_status(space, Some(&old), &new).await.map_err(|e| from_cluster(&e))?;
            if let Some(written) = written {
                self.caches.spaces.put(written);
            }
        }
        Ok(counted)
    }

    /// The highest version that a managed Secret of this space holds. Only in its own namespaces: the tenants of others
    /// can label a Secret as they like.
    fn highest_version(&self, space: &Space) -> Option<u64> {
        let version = |revision: &String| revision.parse::<Revision>().ok().map(|r| r.version);
        let name = space.metadata.name.as_deref();
        let namespaces = space.spec.namespaces.iter().filter(|namespace| !is_elsewhere(space, namespace));
        let managed: Vec<_> = namespaces.flat_map(|namespace| self.caches.managed.in_namespace(namespace)).collect();
        let of_space = managed.iter().filter(|secret| secret.space.as_deref() == name);
        of_space.filter_map(|secret| secret.revision.as_ref().and_then(version)).max()
    }
}

/// Whether a namespace is known not to be the space's, though its spec lists it.
fn is_elsewhere(space: &Space, namespace: &str) -> bool {
    let entry = space.status.iter().flat_map(|status| &status.namespaces).find(|entry| entry.name == namespace);
    entry.is_some_and(|entry| entry.state != BindingState::Bound)
}

/// The Secret of an entry.
pub fn secret_name(path: &str) -> String {
    format!("{EMBEDDED_PREFIX}{path}")
}

/// The path of the entry that a Secret of this name is.
pub fn path_of(secret_name: &str) -> Option<&str> {
    secret_name.strip_prefix(EMBEDDED_PREFIX)
}

fn head_of(object: &OwnObject) -> Head {
    Head {
        created: object.created.map(Into::into),
        updated: object.updated.map(Into::into),
        uid: Some(object.uid.clone()),
        resource_version: Some(object.resource_version.clone()),
        ..Head::default()
    }
}

fn not_found(path: &str) -> StoreError {
    StoreError::NotFound(secret_name(path))
}

fn from_cluster(error: &crate::cluster::Error) -> StoreError {
    use crate::cluster::Error;
    match error {
        Error::Forbidden(why) => StoreError::Forbidden(why.clone()),
        Error::TimedOut => StoreError::TimedOut,
        Error::Malformed(place) => StoreError::Malformed(place.clone()),
        Error::Other(code) if *code > 0 => StoreError::Server(*code),
        other => StoreError::Unreachable(other.to_string()),
    }
}

fn stated_version(secret: &FullSecret) -> Option<u64> {
    secret.object_meta.annotations.as_ref()?.get(VERSION)?.trim().parse().ok()
}

/// The next count of an entry: one more when its content moved, unless the writer states the version.
fn count(
    old: Option<&EntryStatus>,
    fingerprint: &str,
    stated: Option<u64>,
    highest: impl FnOnce() -> Option<u64>,
    head: &Head,
) -> EntryStatus {
    let moved_at = head.updated.unwrap_or_else(|| jiff::Timestamp::now().into());
    let same = old.filter(|old| old.fingerprint == fingerprint);
    let counted = match (same, old) {
        (Some(same), _) => same.version,
        (None, Some(old)) => old.version.saturating_add(1),
        (None, None) => highest().unwrap_or_default().saturating_add(1),
    };
    EntryStatus {
        version: stated.unwrap_or(counted),
        fingerprint: fingerprint.to_owned(),
        created_at: old.map(|old| old.created_at).or(head.created).unwrap_or(moved_at),
        updated_at: same.map_or(moved_at, |same| same.updated_at),
    }
}

struct Content {
    entries: BTreeMap<String, Entry>,
    refused: Vec<Refused>,
}

impl Content {
    /// Text, unless the key is named in the annotation of JSON keys.
    fn of(secret: &FullSecret) -> Self {
        let json: BTreeSet<&str> = secret
            .object_meta
            .annotations
            .iter()
            .filter_map(|annotations| annotations.get(JSON_KEYS))
            .flat_map(|names| names.split(','))
            .map(str::trim)
            .collect();
        let mut content = Self { entries: BTreeMap::new(), refused: Vec::new() };
        for (key, value) in &secret.data {
            let format = if json.contains(key.as_str()) { Format::Json } else { Format::Text };
            content.take(key, format, value);
        }
        content
    }

    fn take(&mut self, key: &str, format: Format, value: &Value) {
        match check_format(format, value) {
            Some(why) => self.refused.push(Refused { key: key.to_owned(), why }),
            None => drop(self.entries.insert(key.to_owned(), Entry { format, value: value.clone() })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> crate::resources::Timestamp {
        jiff::Timestamp::from_second(second).unwrap().into()
    }

    fn head(updated: i64) -> Head {
        Head { created: Some(at(1)), updated: Some(at(updated)), ..Head::default() }
    }

    fn entry(version: u64, fingerprint: &str, updated: i64) -> EntryStatus {
        EntryStatus { version, fingerprint: fingerprint.into(), created_at: at(1), updated_at: at(updated) }
    }

    #[test]
    fn the_version_counts_only_when_the_content_moved() {
        let old = entry(4, "aa", 5);
        assert_eq!(count(Some(&old), "aa", None, || None, &head(9)), old);
        assert_eq!(count(Some(&old), "bb", None, || None, &head(9)), entry(5, "bb", 9));
    }

    #[test]
    fn a_new_space_goes_on_from_the_highest_version_of_its_managed_secrets() {
        assert_eq!(count(None, "aa", None, || Some(41), &head(9)), entry(42, "aa", 9));
        assert_eq!(count(None, "aa", None, || None, &head(9)), entry(1, "aa", 9));
    }

    #[test]
    fn a_writer_may_state_the_version_also_backwards() {
        let old = entry(4, "aa", 5);
        assert_eq!(count(Some(&old), "bb", Some(2), || None, &head(9)).version, 2);
        assert_eq!(count(Some(&old), "aa", Some(7), || None, &head(9)).version, 7);
    }

    #[test]
    fn text_that_is_no_utf8_and_json_that_is_none_are_refused_by_name() {
        let mut secret = FullSecret {
            meta: crate::cluster::secrets::SecretMeta::default(),
            object_meta: kube::core::ObjectMeta::default(),
            type_: "Opaque".into(),
            immutable: false,
            data: BTreeMap::from([
                ("GOOD".into(), Value::from("text")),
                ("BYTES".into(), Value::new(vec![0xff, 0xfe])),
                ("HALF".into(), Value::from("{\"a\":")),
                ("CONFIG".into(), Value::from("{\"a\": 1.10}")),
            ]),
        };
        secret.object_meta.annotations = Some(BTreeMap::from([(JSON_KEYS.into(), "CONFIG, HALF".into())]));
        let content = Content::of(&secret);
        assert_eq!(content.entries.keys().collect::<Vec<_>>(), ["CONFIG", "GOOD"]);
        assert_eq!(content.entries["CONFIG"], Entry::json("{\"a\": 1.10}"));
        let refused: Vec<_> = content.refused.iter().map(|r| (r.key.as_str(), r.why.to_string())).collect();
        assert_eq!(refused, [("BYTES", "not UTF-8 text".to_owned()), ("HALF", "not valid JSON".to_owned())]);
    }
}
