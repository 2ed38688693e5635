//! The managed Secret of a sync as it is written, and what can be told of the one that is there. Pure, and cannot fail.

use std::collections::BTreeMap;

use super::{gather::Known, look::target_name};
use crate::{
    cluster::secrets::{self, FullSecret, NewSecret},
    resources::{
        DeletionPolicy, Reason, Timestamp, Trigger,
        condition::Verdict,
        names::{CHANGE, CONTENT, DELETION_POLICY, MANAGED_BY, MANAGER, REVISION, SPACE, SYNC},
    },
    secret::{
        ChangeRecord, Content, Entry, FingerprintKey, Format, Identity, ManagedSecret, change,
        managed::{META_KEY, Meta},
    },
};

/// Whose managed Secret it is.
pub fn identity(known: &Known) -> Identity<'_> {
    Identity {
        namespace: known.sync.metadata.namespace.as_deref().unwrap_or_default(),
        sync_uid: known.sync.metadata.uid.as_deref().unwrap_or_default(),
        space: known.space.as_ref().and_then(|s| s.metadata.name.as_deref()).unwrap_or_default(),
    }
}

/// Whether a Secret is exactly what this sync last wrote, whatever its resourceVersion.
pub fn is_as_written(known: &Known, target: Option<&FullSecret>, key: &FingerprintKey) -> bool {
    let Some(secret) = target else { return false };
    let content = ManagedSecret::read_back(&secret.data, &identity(known), key);
    let name = known.sync.metadata.name.as_deref();
    content.is_some_and(|content| secret.meta.revision == Some(content.revision.to_string()))
        && secret.meta.sync.as_deref() == name
        && secret.meta.space.as_deref() == Some(identity(known).space)
        && secret.meta.content.as_ref().is_some_and(|of| secret.meta.revision.as_ref().is_some_and(|r| of.is_of(r)))
        && secret.meta.retain == (known.sync.spec.deletion_policy() == DeletionPolicy::Retain)
        && secret.type_ == known.sync.spec.target_type()
        && !secret.immutable
        && has_labels_and_annotations(known, secret)
}

/// Whether a Secret has what the target says, and nothing of ours that it said earlier. What others added is theirs.
fn has_labels_and_annotations(known: &Known, secret: &FullSecret) -> bool {
    let meta = &secret.object_meta;
    let target = known.sync.spec.target.clone().unwrap_or_default();
    let holds = |wanted: Option<Pairs>, there: &Option<Pairs>, field: &str, own: &[&str]| {
        let (wanted, there) = (wanted.unwrap_or_default(), there.as_ref());
        let ours = secrets::written_by_us(meta, field);
        let mut left_over = ours.filter(|name| !own.contains(&name.as_str()) && !wanted.contains_key(name));
        wanted.iter().all(|(name, value)| there.and_then(|there| there.get(name)) == Some(value))
            && left_over.next().is_none()
    };
    holds(target.labels, &meta.labels, "f:labels", &[MANAGED_BY, SYNC, SPACE])
        && holds(target.annotations, &meta.annotations, "f:annotations", &[REVISION, CHANGE, CONTENT, DELETION_POLICY])
}

type Pairs = BTreeMap<String, String>;

/// Whether a Secret carries this sync's label.
pub fn is_ours(known: &Known, secret: &FullSecret) -> bool {
    secret.meta.sync == known.sync.metadata.name
}

/// The change that the last write of a Secret made.
pub fn last_record(secret: &FullSecret) -> Option<ChangeRecord> {
    serde_json::from_str(secret.object_meta.annotations.as_ref()?.get(CHANGE)?).ok()
}

/// Whether the Secret tells of a change that the status does not: a crash came between the two. A repair writes the
/// revision that the status has already, so that alone does not show it. What somebody else wrote there tells nothing.
pub fn is_untold(known: &Known, target: Option<&FullSecret>) -> bool {
    let Some(secret) = target else { return false };
    let by_us = secrets::written_by_us(&secret.object_meta, "f:annotations").any(|name| name == CHANGE);
    let told = known.sync.status.as_ref().and_then(|status| status.history.first());
    let is_new = |record: &ChangeRecord| told.is_none_or(|told| record.time.0 > told.time.0);
    let record = last_record(secret).filter(|record| secret.meta.revision.as_ref() == Some(&record.revision));
    by_us && record.as_ref().is_some_and(is_new)
}

/// The change from what is there to what is built.
pub fn record_of(
    built: &ManagedSecret,
    there: Option<&FullSecret>,
    trigger: Trigger,
    now: jiff::Timestamp,
) -> ChangeRecord {
    let before = there.map(|secret| entries_as_they_are(secret, built)).unwrap_or_default();
    let (added, changed, removed) = change::names(&before, &built.entries);
    ChangeRecord {
        version: built.revision.version,
        revision: built.revision.to_string(),
        time: Timestamp::millis(now),
        trigger,
        added,
        changed,
        removed,
    }
}

/// What a Secret holds now, edited or not. Formats are not in the data: those of its own description, else of what comes.
fn entries_as_they_are(secret: &FullSecret, built: &ManagedSecret) -> BTreeMap<String, Entry> {
    let described: Option<Meta> = secret.data.get(META_KEY).and_then(|meta| serde_json::from_slice(meta.expose()).ok());
    let described: BTreeMap<_, _> = described.into_iter().flat_map(|m| m.keys).map(|k| (k.name, k.format)).collect();
    let format = |key: &String| {
        described.get(key).copied().or_else(|| built.entries.get(key).map(|e| e.format)).unwrap_or(Format::Text)
    };
    let entries = secret.data.iter().filter(|(key, _)| *key != META_KEY);
    entries.map(|(key, value)| (key.clone(), Entry { format: format(key), value: value.clone() })).collect()
}

/// Whether every key is delivered.
pub fn keys_verdict(built: &ManagedSecret) -> Verdict {
    if built.refused.is_empty() {
        return Verdict::new(true, Reason::KeysComplete, &[("count", &built.entries.len().to_string())]);
    }
    let shown = built.refused.iter().take(20).map(|r| format!("{:?} ({})", cut(&r.key), r.why));
    let mut keys = shown.collect::<Vec<_>>().join(", ");
    if built.refused.len() > 20 {
        keys.push_str(", …");
    }
    let count = built.refused.len().to_string();
    Verdict::new(false, Reason::KeysRefused, &[("count", &count), ("keys", &keys)])
}

/// A store may have keys of any length.
fn cut(key: &str) -> String {
    key.chars().take(80).collect()
}

/// Since when the content of a Secret that somebody deleted was the same, by the history.
fn remembered_content(known: &Known, revision: &str) -> Option<Content> {
    let history = &known.sync.status.as_ref()?.history;
    let same = history.iter().take_while(|record| Content::untold(&record.revision).is_of(revision));
    same.last().map(|record| Content { revision: record.revision.clone(), since: record.time.0 })
}

/// The managed Secret as it is written.
pub fn secret(known: &Known, built: &ManagedSecret, record: &ChangeRecord, there: Option<&FullSecret>) -> NewSecret {
    let of = identity(known);
    let text =
        |pairs: &[(&str, &str)]| -> Pairs { pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect() };
    let sync = known.sync.metadata.name.as_deref().unwrap_or_default();
    let revision = built.revision.to_string();
    let change = serde_json::to_string(record).expect("names and times are always JSON");
    let target = known.sync.spec.target.clone().unwrap_or_default();
    // Ours come last: nothing that a tenant writes takes their place.
    let mut labels = target.labels.unwrap_or_default();
    labels.extend(text(&[(MANAGED_BY, MANAGER), (SYNC, sync), (SPACE, of.space)]));
    let mut annotations = target.annotations.unwrap_or_default();
    let content = there.and_then(|secret| secret.meta.content.clone()).filter(|content| content.is_of(&revision));
    let content = content
        .or_else(|| remembered_content(known, &revision))
        .unwrap_or_else(|| Content { revision: revision.clone(), since: record.time.0 });
    annotations.extend(text(&[(REVISION, &revision), (CHANGE, &change), (CONTENT, &content.to_string())]));
    annotations.remove(DELETION_POLICY);
    if known.sync.spec.deletion_policy() == DeletionPolicy::Retain {
        annotations.insert(DELETION_POLICY.to_owned(), "Retain".to_owned());
    }
    NewSecret {
        namespace: of.namespace.to_owned(),
        name: target_name(&known.sync).to_owned(),
        labels,
        annotations,
        data: built.data(),
        type_: known.sync.spec.target_type().to_owned(),
        immutable: false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{
        super::sample::{annotate, built, full, in_step, key, now},
        *,
    };

    /// The Secret of a repair, annotated by `manager` at `seconds`.
    fn repaired(manager: &str, seconds: i64) -> (FullSecret, ChangeRecord) {
        let content = built(1, &[("A", "1")]);
        let at = now() + jiff::SignedDuration::from_secs(seconds);
        let record = record_of(&content, None, Trigger::Drift, at);
        let mut secret = full(&content, "101");
        annotate(&mut secret, &record);
        let fields = json!({"f:metadata": {"f:annotations": {"f:spacesync.dev/change": {}}}});
        let entries = json!([{"manager": manager, "fieldsType": "FieldsV1", "fieldsV1": fields}]);
        secret.object_meta.managed_fields = serde_json::from_value(entries).unwrap();
        (secret, record)
    }

    #[test]
    fn a_repair_of_which_a_crash_kept_the_status_is_told_and_nothing_that_somebody_else_wrote() {
        let (_, first) = repaired(MANAGER, 0);
        let known = in_step().with_sync(|sync| sync.status.as_mut().unwrap().history = vec![first]);
        let untold = |secret: &FullSecret| is_untold(&known, Some(secret));
        let (repair, _) = repaired(MANAGER, 1);
        assert!(is_as_written(&known, Some(&repair), &key()) && untold(&repair));
        assert!(!untold(&repaired(MANAGER, 0).0), "it is told already");
        assert!(!untold(&repaired(MANAGER, -1).0), "one before it");
        assert!(!untold(&repaired("kubectl-edit", 1).0), "somebody else's");
        let mut another = repair;
        another.meta.revision = Some("2-0000000000000000".into());
        assert!(!untold(&another), "of another revision");
        assert!(!is_untold(&known, None));
    }
}
