//! What must be asked about one sync before anything can be decided. Pure: no client, no clock.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::{gather::Known, schedule};
use crate::{
    cluster::{queue::Lane, secrets::SecretMeta},
    resources::{
        AutoSync, DeletionPolicy, Reason, SpaceSecretSync, SpaceSecretSyncSpec, Trigger,
        condition::{Verdict, find},
        sync::{SourceStatus, TargetStatus},
    },
    secret::KeyFilter,
    store::{self, StoreError},
};

/// What must be asked before anything can be decided.
#[derive(Clone, Debug, PartialEq)]
pub enum Look {
    /// Nothing: what is there is what should be there.
    Rest,
    /// Nothing yet: the store is being made, and will wake us.
    Wait,
    /// Nothing: something stands in the way.
    Stop(Verdict),
    /// The entry's own head, past what is known, and its values if it moved.
    Ask(Trigger),
    /// The entry's values.
    Read(Trigger),
    /// The managed Secret: somebody wrote it, and perhaps nothing of it moved.
    Inspect,
}

impl Look {
    /// Whether the store may be asked, and how urgently: not at all, by the schedule, or because somebody waits.
    pub fn asks_store(&self) -> Option<Lane> {
        match self {
            Self::Rest | Self::Wait | Self::Stop(_) => None,
            Self::Ask(Trigger::Schedule | Trigger::Live) | Self::Read(Trigger::Schedule | Trigger::Live) => {
                Some(Lane::Normal)
            }
            Self::Ask(_) | Self::Read(_) | Self::Inspect => Some(Lane::Urgent),
        }
    }
}

/// A chain of small rules, the first that speaks decides. Their order is the policy.
const LOOKS: &[fn(&Known, jiff::Timestamp) -> Option<Look>] = &[
    suspended,
    not_bound,
    no_store,
    target_taken,
    bad_pattern,
    requested,
    source_is_another,
    spec_moved,
    source_failing,
    write_failed,
    target_moved,
    source_moved,
];

/// What must be asked.
pub fn look(known: &Known, now: jiff::Timestamp) -> Look {
    LOOKS.iter().find_map(|rule| rule(known, now)).unwrap_or(Look::Rest)
}

fn stop(reason: Reason, args: &[(&str, &str)]) -> Look {
    Look::Stop(Verdict::new(false, reason, args))
}

fn suspended(known: &Known, _: jiff::Timestamp) -> Option<Look> {
    known.sync.spec.is_suspended().then(|| stop(Reason::Suspended, &[]))
}

fn not_bound(known: &Known, _: jiff::Timestamp) -> Option<Look> {
    let namespace = known.sync.metadata.namespace.as_deref().unwrap_or_default();
    known.space.is_none().then(|| stop(Reason::NamespaceNotBound, &[("ns", namespace)]))
}

fn no_store(known: &Known, _: jiff::Timestamp) -> Option<Look> {
    let verdict = known.no_store.as_ref()?;
    if verdict.reason == Reason::Pending && known.manager_exists {
        return Some(Look::Wait);
    }
    if verdict.reason == Reason::Pending {
        let space = known.space.as_ref().and_then(|s| s.metadata.name.as_deref()).unwrap_or_default();
        return Some(stop(Reason::SecretManagerNotFound, &[("space", space), ("manager", &known.entry.manager)]));
    }
    Some(Look::Stop(verdict.clone()))
}

fn target_taken(known: &Known, _: jiff::Timestamp) -> Option<Look> {
    let other = known.taken_by.as_deref()?;
    Some(stop(Reason::TargetTaken, &[("name", target_name(&known.sync)), ("other", other)]))
}

fn bad_pattern(known: &Known, _: jiff::Timestamp) -> Option<Look> {
    let bad = filter(&known.sync).err()?;
    Some(stop(Reason::BadKeyPattern, &[("why", &bad)]))
}

/// A request asks past what is known. Where the content must be built anew anyway, it is read whatever the head says.
fn requested(known: &Known, now: jiff::Timestamp) -> Option<Look> {
    let trigger = known.request.as_ref()?.trigger;
    let anew = recorded(known).is_none()
        || [spec_moved, target_moved, write_failed].iter().any(|rule| rule(known, now).is_some());
    Some(if anew { Look::Read(trigger) } else { Look::Ask(trigger) })
}

/// Nothing was brought yet, or the space keeps its secrets elsewhere now.
fn source_is_another(known: &Known, _: jiff::Timestamp) -> Option<Look> {
    if recorded(known).is_some() {
        return None;
    }
    match &known.head {
        Some(book) => Some(match &book.head {
            Ok(head) if !head.is_gone() => Look::Read(Trigger::First),
            Ok(_) => Look::Stop(source_verdict(known, &StoreError::Deleted(known.entry.path.clone()))),
            Err(error) => Look::Stop(source_verdict(known, error)),
        }),
        None => Some(Look::Read(Trigger::First)),
    }
}

/// Filters or the target are others now. Whoever edits the rest of a spec, such as how often to sync, asks for no content.
fn spec_moved(known: &Known, _: jiff::Timestamp) -> Option<Look> {
    let source = recorded(known)?;
    let same = match &source.shape {
        Some(shape) => *shape == shape_of(&known.sync.spec),
        None => source.generation == known.sync.metadata.generation,
    };
    (!same).then_some(Look::Read(Trigger::Live))
}

/// A digest of what of a spec chooses and shapes the content: 16 hexadecimal digits.
pub fn shape_of(spec: &SpaceSecretSyncSpec) -> String {
    let shaping = serde_json::to_vec(&(&spec.keys, &spec.target)).expect("names and patterns are always JSON");
    hex::encode(&Sha256::digest(shaping)[..8])
}

/// The managed Secret is not the one that the status records.
fn target_moved(known: &Known, _: jiff::Timestamp) -> Option<Look> {
    let status = known.sync.status.as_ref()?;
    let recorded = status.target.as_ref();
    match (&known.target, recorded) {
        (None, None) if status.revision.is_none() => None,
        (None, _) => Some(Look::Read(Trigger::Drift)),
        (Some(secret), Some(recorded)) if is_recorded(secret, recorded) => None,
        // A crash came between the Secret and the status: what was written then is found again by reading.
        (Some(secret), _) if secret.revision != status.revision => Some(Look::Read(Trigger::Drift)),
        (Some(_), _) => Some(Look::Inspect),
    }
}

/// What the API server refused was read and is not there: it is tried again, also where nobody asks any more.
fn write_failed(known: &Known, _: jiff::Timestamp) -> Option<Look> {
    let trigger = known.sync.status.as_ref()?.last_sync.as_ref().map_or(Trigger::Schedule, |last| last.trigger);
    (complaint(&known.sync) == Some(Reason::TargetWriteFailed)).then_some(Look::Read(trigger))
}

fn source_failing(known: &Known, now: jiff::Timestamp) -> Option<Look> {
    let book = known.head.as_ref()?;
    let error = match &book.head {
        Ok(head) if head.is_gone() => StoreError::Deleted(known.entry.path.clone()),
        Ok(_) => return None,
        Err(error) => error.clone(),
    };
    // What is said of it already may mean something else by another spec.
    let is_told = complaint(&known.sync) == Some(error.reason());
    (is_told || due(known, now)).then(|| Look::Stop(source_verdict(known, &error)))
}

fn source_moved(known: &Known, now: jiff::Timestamp) -> Option<Look> {
    let trigger = match known.sync.spec.effective_auto_sync() {
        AutoSync::Live => Trigger::Live,
        _ => Trigger::Schedule,
    };
    (has_moved(known) && due(known, now)).then_some(Look::Read(trigger))
}

/// Whether the store says that the entry is not what was read last.
pub fn has_moved(known: &Known) -> bool {
    let head = known.head.as_ref().and_then(|book| book.head.as_ref().ok());
    head.is_some_and(|head| recorded(known).is_none_or(|source| source.head != *head))
}

fn due(known: &Known, now: jiff::Timestamp) -> bool {
    let auto_sync = known.sync.spec.effective_auto_sync();
    known.head.as_ref().is_some_and(|book| schedule::may_act(auto_sync, known.phase, book, now))
}

fn is_recorded(secret: &SecretMeta, recorded: &TargetStatus) -> bool {
    secret.name == recorded.name && secret.uid == recorded.uid && secret.resource_version == recorded.resource_version
}

/// What the status says of the entry that this sync reads now; `None` when it was another.
pub fn recorded(known: &Known) -> Option<&SourceStatus> {
    let source = known.sync.status.as_ref()?.source.as_ref()?;
    let same = source.secret_manager == known.entry.manager && source.path == known.entry.path;
    let space = known.space.as_ref().and_then(|s| s.metadata.name.as_deref());
    (same && known.sync.status.as_ref()?.space.as_deref() == space).then_some(source)
}

/// What a store's error means for this sync.
pub fn source_verdict(known: &Known, error: &StoreError) -> Verdict {
    if has_gone(known, error) {
        let args = [
            ("path", known.entry.path.as_str()),
            ("manager", &known.entry.manager),
            ("name", target_name(&known.sync)),
        ];
        return Verdict::new(false, Reason::SourceGone, &args);
    }
    store::reason::verdict(error, &known.entry.manager, &known.entry.path)
}

/// Whether the entry has gone, and the sync wants its Secret gone with it. An entry that was never read, such as one of a
/// path that somebody misspelt, has not gone: it would take along what flows have from another.
fn has_gone(known: &Known, error: &StoreError) -> bool {
    let wants_it_gone = known.sync.spec.source_gone_policy() == DeletionPolicy::Delete;
    // Where the Secret went already, nothing is recorded any more.
    let was_there = || recorded(known).is_some() || complaint(&known.sync) == Some(Reason::SourceGone);
    error.is_of_entry() && wants_it_gone && was_there()
}

/// Why a sync says that it is not in step.
pub fn complaint(sync: &SpaceSecretSync) -> Option<Reason> {
    let conditions = &sync.status.as_ref()?.conditions;
    let synced = find(conditions, "Synced").filter(|condition| condition.status == "False")?;
    Reason::parse(&synced.reason)
}

/// The name of a sync's managed Secret.
pub fn target_name(sync: &SpaceSecretSync) -> &str {
    sync.spec.target_name(sync.metadata.name.as_deref().unwrap_or_default())
}

/// The older sync of the namespace (then by name) that has the same target.
pub fn taken_by(sync: &SpaceSecretSync, all: &[Arc<SpaceSecretSync>]) -> Option<String> {
    let age = |s: &SpaceSecretSync| (s.metadata.creation_timestamp.clone().map(|at| at.0), s.metadata.name.clone());
    let rivals = all.iter().filter(|other| other.metadata.name != sync.metadata.name);
    let older = rivals.filter(|other| target_name(other) == target_name(sync) && age(other) < age(sync));
    older.min_by_key(|other| age(other)).and_then(|other| other.metadata.name.clone())
}

/// Which keys the sync brings, or which of its patterns is none.
pub fn filter(sync: &SpaceSecretSync) -> Result<KeyFilter, String> {
    let keys = sync.spec.keys.clone().unwrap_or_default();
    KeyFilter::new(keys.include.as_deref(), keys.exclude.as_deref()).map_err(|bad| bad.to_string())
}

#[cfg(test)]
mod tests;
