//! What to do about one sync, and why. Pure: no client, no clock.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{
    gather::{Found, Known, Source},
    schedule,
};
use crate::{
    cluster::{
        queue::Next,
        secrets::{FullSecret, NewSecret, SecretMeta},
    },
    resources::{
        DeletionPolicy, Reason, SpaceSecretSync, Trigger,
        condition::{Verdict, find},
        names::{CHANGE, DELETION_POLICY, MANAGED_BY, MANAGER, REVISION, SPACE, SYNC},
        reason::Retry,
        sync::SourceStatus,
    },
    secret::{ChangeRecord, FingerprintKey, Identity, KeyFilter, ManagedSecret, Snapshot, change, managed::Meta},
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
    target_moved,
    source_failing,
    source_moved,
];

/// What must be asked.
pub fn look(known: &Known, now: jiff::Timestamp) -> Look {
    LOOKS.iter().find_map(|rule| rule(known, now)).unwrap_or(Look::Rest)
}

fn stop(reason: Reason, args: &[(&str, &str)]) -> Option<Look> {
    Some(Look::Stop(Verdict::new(false, reason, args)))
}

fn suspended(known: &Known, _: jiff::Timestamp) -> Option<Look> {
    known.sync.spec.is_suspended().then(|| Look::Stop(Verdict::new(false, Reason::Suspended, &[])))
}

fn not_bound(known: &Known, _: jiff::Timestamp) -> Option<Look> {
    let namespace = known.sync.metadata.namespace.as_deref().unwrap_or_default();
    known.space.is_none().then(|| stop(Reason::NamespaceNotBound, &[("ns", namespace)])).flatten()
}

fn no_store(known: &Known, _: jiff::Timestamp) -> Option<Look> {
    let verdict = known.store.as_ref().err()?;
    if verdict.reason == Reason::Pending && known.manager_exists {
        return Some(Look::Wait);
    }
    if verdict.reason == Reason::Pending {
        let space = known.space.as_ref().and_then(|s| s.metadata.name.as_deref()).unwrap_or_default();
        return stop(Reason::SecretManagerNotFound, &[("space", space), ("manager", &known.entry.manager)]);
    }
    Some(Look::Stop(verdict.clone()))
}

fn target_taken(known: &Known, _: jiff::Timestamp) -> Option<Look> {
    let other = known.taken_by.as_deref()?;
    stop(Reason::TargetTaken, &[("name", target_name(&known.sync)), ("other", other)])
}

fn bad_pattern(known: &Known, _: jiff::Timestamp) -> Option<Look> {
    let bad = filter(&known.sync).err()?;
    stop(Reason::BadKeyPattern, &[("why", &bad)])
}

/// A request asks past what is known. Where the content must be built anew anyway, it is read whatever the head says.
fn requested(known: &Known, now: jiff::Timestamp) -> Option<Look> {
    let trigger = known.request.as_ref()?.trigger;
    let anew = recorded(known).is_none() || spec_moved(known, now).is_some() || target_moved(known, now).is_some();
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

/// Filters or the target may be others now.
fn spec_moved(known: &Known, _: jiff::Timestamp) -> Option<Look> {
    (recorded(known)?.generation != known.sync.metadata.generation).then_some(Look::Read(Trigger::Live))
}

/// The managed Secret is not the one that the status records.
fn target_moved(known: &Known, _: jiff::Timestamp) -> Option<Look> {
    let status = known.sync.status.as_ref()?;
    let recorded = status.target.as_ref();
    match (&known.target, recorded) {
        (None, None) => None,
        (None, Some(_)) => Some(Look::Read(Trigger::Drift)),
        (Some(secret), Some(recorded)) if is_recorded(secret, recorded) => None,
        // A crash came between the Secret and the status: what was written then is found again by reading.
        (Some(secret), _) if secret.revision != status.revision => Some(Look::Read(Trigger::Drift)),
        (Some(_), _) => Some(Look::Inspect),
    }
}

fn source_failing(known: &Known, now: jiff::Timestamp) -> Option<Look> {
    let book = known.head.as_ref()?;
    let error = match &book.head {
        Ok(head) if head.is_gone() => StoreError::Deleted(known.entry.path.clone()),
        Ok(_) => return None,
        Err(error) => error.clone(),
    };
    due(known, now).then(|| Look::Stop(source_verdict(known, &error)))
}

fn source_moved(known: &Known, now: jiff::Timestamp) -> Option<Look> {
    let trigger = match known.sync.spec.effective_auto_sync() {
        crate::resources::AutoSync::Live => Trigger::Live,
        _ => Trigger::Schedule,
    };
    (has_moved(known) && due(known, now)).then_some(Look::Read(trigger))
}

fn has_moved(known: &Known) -> bool {
    let head = known.head.as_ref().and_then(|book| book.head.as_ref().ok());
    head.is_some_and(|head| recorded(known).is_none_or(|source| source.head != *head))
}

fn due(known: &Known, now: jiff::Timestamp) -> bool {
    let auto_sync = known.sync.spec.effective_auto_sync();
    known.head.as_ref().is_some_and(|book| schedule::may_act(auto_sync, known.phase, book, now))
}

fn is_recorded(secret: &SecretMeta, recorded: &crate::resources::sync::TargetStatus) -> bool {
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
fn source_verdict(known: &Known, error: &StoreError) -> Verdict {
    let gone = matches!(error, StoreError::NotFound(_) | StoreError::Deleted(_));
    if gone && known.sync.spec.source_gone_policy() == DeletionPolicy::Delete {
        let args = [
            ("path", known.entry.path.as_str()),
            ("manager", &known.entry.manager),
            ("name", target_name(&known.sync)),
        ];
        return Verdict::new(false, Reason::SourceGone, &args);
    }
    store::reason::verdict(error, &known.entry.manager, &known.entry.path)
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

fn filter(sync: &SpaceSecretSync) -> Result<KeyFilter, String> {
    let keys = sync.spec.keys.clone().unwrap_or_default();
    KeyFilter::new(keys.include.as_deref(), keys.exclude.as_deref()).map_err(|bad| bad.to_string())
}

fn identity(known: &Known) -> Identity<'_> {
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
        && secret.meta.retain == (known.sync.spec.deletion_policy() == DeletionPolicy::Retain)
        && secret.type_ == "Opaque"
        && !secret.immutable
}

/// What to do about the managed Secret.
#[derive(Debug)]
pub enum SecretPlan {
    /// It stays as it is.
    Leave,
    /// It is written, whole.
    Write(Box<Write>),
    /// It is deleted: its source has gone, and the sync says so.
    Delete(Arc<SecretMeta>),
}

/// A write of the managed Secret.
#[derive(Debug)]
pub struct Write {
    /// What is written.
    pub secret: NewSecret,
    /// Over what; `None` to create it.
    pub over: Option<SecretMeta>,
    /// Whether it must be deleted first: `immutable` or a wrong type cannot be changed.
    pub anew: bool,
}

/// What came of the entry's content.
#[derive(Debug)]
pub struct Content {
    /// What the managed Secret holds, or is to hold.
    pub meta: Meta,
    /// What the last write changed.
    pub record: Option<ChangeRecord>,
    /// Whether every key is delivered.
    pub keys: Verdict,
}

/// What to do about one sync, and why.
#[derive(Debug)]
pub struct Plan {
    /// What to do about the managed Secret.
    pub secret: SecretPlan,
    /// Secrets of an earlier target name: deleted or let go once the new one stands.
    pub strays: Vec<Arc<SecretMeta>>,
    /// What the condition `Synced` is to say; `None` to leave it.
    pub synced: Option<Verdict>,
    /// What was read; `None` where nothing was.
    pub content: Option<Content>,
    /// The head that was dealt with.
    pub source: Option<SourceStatus>,
    /// What made us look.
    pub trigger: Option<Trigger>,
    /// The request that this deals with.
    pub handled: Option<String>,
    /// When to look again.
    pub next: Next,
}

impl Plan {
    fn new(known: &Known, found: &Found) -> Self {
        Self {
            secret: SecretPlan::Leave,
            strays: Vec::new(),
            synced: None,
            content: None,
            source: None,
            trigger: found.trigger,
            handled: known.request.as_ref().map(|request| request.value.clone()),
            next: Next::OnChange,
        }
    }

    fn stopped(mut self, verdict: Verdict) -> Self {
        self.next = Next::Failed(verdict.reason.retry());
        self.synced = Some(verdict);
        self
    }
}

/// Decides. `look` is what [`look`] said, `found` what was found by it.
pub fn plan(known: &Known, look: &Look, found: &Found, key: &FingerprintKey, now: jiff::Timestamp) -> Plan {
    let plan = Plan::new(known, found);
    if let Look::Stop(verdict) = look {
        return stopped(known, plan, verdict.clone());
    }
    match &found.source {
        Source::Failed(error) => {
            let verdict = source_verdict(known, error);
            let mut plan = stopped(known, plan, verdict.clone());
            // A look at heads comes by itself; what a read alone met must be tried again.
            if !matches!(look, Look::Ask(_)) {
                plan.next = Next::Failed(verdict.reason.retry());
            }
            plan
        }
        Source::Read(snapshot) => read(known, found, snapshot, key, now, plan),
        Source::Unmoved | Source::NotAsked => rest(known, plan, now),
    }
}

/// Something stands in the way: the last good stays, unless the sync wants it gone with its source.
fn stopped(known: &Known, plan: Plan, verdict: Verdict) -> Plan {
    let mut plan = plan.stopped(verdict);
    let reason = plan.synced.as_ref().map_or(Reason::Pending, |v| v.reason);
    match reason {
        Reason::Suspended => {
            plan.handled = None;
            plan.synced = None;
        }
        Reason::SourceGone => {
            plan.secret = known.target.clone().map_or(SecretPlan::Leave, SecretPlan::Delete);
        }
        _ => {}
    }
    // The ticker asks every store each minute, so no sync need ask on its own while its store fails.
    if matches!(reason.retry(), Retry::Backoff(..)) && is_source(reason) {
        plan.next = Next::OnChange;
    }
    plan
}

fn is_source(reason: Reason) -> bool {
    reason.as_str().starts_with("Source")
}

/// Nothing to bring. What had stood in the way may have gone.
fn rest(known: &Known, mut plan: Plan, now: jiff::Timestamp) -> Plan {
    let status = known.sync.status.as_ref();
    let reachable = known.head.as_ref().is_some_and(|book| book.head.is_ok()) || plan.handled.is_some();
    let old = status.and_then(|s| find(&s.conditions, "Synced"));
    // What the content itself stands in the way of stays until the content is another.
    let of_content = old.is_some_and(|c| c.reason == Reason::TooLarge.as_str());
    if reachable && !of_content {
        let version = status.and_then(|s| s.version).map(|v| v.to_string()).unwrap_or_default();
        let args = [("version", version.as_str()), ("name", target_name(&known.sync))];
        plan.synced = Some(Verdict::new(true, Reason::Synced, &args));
        plan.strays.clone_from(&known.strays);
    }
    if has_moved(known)
        && let Some(wait) = schedule::until_next(known.sync.spec.effective_auto_sync(), known.phase, now)
    {
        plan.next = Next::After(wait + Duration::from_millis(1));
    }
    plan
}

fn read(
    known: &Known,
    found: &Found,
    snapshot: &Snapshot,
    key: &FingerprintKey,
    now: jiff::Timestamp,
    mut plan: Plan,
) -> Plan {
    let Ok(filter) = filter(&known.sync) else { return plan };
    let built = ManagedSecret::build(snapshot, &identity(known), &filter, key);
    let name = target_name(&known.sync);
    let source = SourceStatus {
        secret_manager: known.entry.manager.clone(),
        path: known.entry.path.clone(),
        generation: known.sync.metadata.generation,
        head: snapshot.head.clone(),
    };
    if let Err(too_large) = built.check_size() {
        let mut plan =
            plan.stopped(Verdict::new(false, Reason::TooLarge, &[("why", &too_large.to_string()), ("name", name)]));
        // Noted as dealt with: it is read again when it moves, not before.
        plan.source = Some(source);
        plan.next = Next::OnChange;
        return plan;
    }
    let there = found.target.as_ref().and_then(Option::as_ref);
    if let Some(secret) = there.filter(|secret| !is_ours(known, secret)) {
        let sync = known.sync.metadata.name.as_deref().unwrap_or_default();
        if secret.meta.adopt.as_deref() != Some(sync) {
            return plan.stopped(Verdict::new(false, Reason::TargetConflict, &[("name", name), ("sync", sync)]));
        }
    }
    let current = there.and_then(|secret| ManagedSecret::read_back(&secret.data, &identity(known), key));
    let same = current.as_ref().is_some_and(|current| current.revision == built.revision);
    let record = if same { there.and_then(last_record) } else { None };
    let trigger = found.trigger.unwrap_or(Trigger::Schedule);
    let record = record.unwrap_or_else(|| record_of(&built, there, trigger, now));
    let version = built.revision.version.to_string();
    plan.synced = Some(Verdict::new(true, Reason::Synced, &[("version", &version), ("name", name)]));
    let kept = current.filter(|_| same && is_as_written(known, there, key));
    if kept.is_none() {
        plan.secret = SecretPlan::Write(Box::new(Write {
            secret: secret(known, &built, &record),
            over: there.map(|secret| secret.meta.clone()),
            anew: there.is_some_and(|secret| secret.immutable || secret.type_ != "Opaque"),
        }));
    }
    plan.content = Some(Content {
        keys: keys_verdict(&built),
        // What stays was issued when it was written.
        meta: kept.map_or(built.meta, |current| current.meta),
        record: Some(record),
    });
    plan.source = Some(source);
    plan.strays.clone_from(&known.strays);
    plan
}

fn is_ours(known: &Known, secret: &FullSecret) -> bool {
    secret.meta.sync == known.sync.metadata.name
}

fn last_record(secret: &FullSecret) -> Option<ChangeRecord> {
    serde_json::from_str(secret.object_meta.annotations.as_ref()?.get(CHANGE)?).ok()
}

fn record_of(
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
        time: crate::resources::Timestamp::millis(now),
        trigger,
        added,
        changed,
        removed,
    }
}

/// What a Secret holds now, edited or not. Formats are not in the data: those of its own description, else of what comes.
fn entries_as_they_are(secret: &FullSecret, built: &ManagedSecret) -> BTreeMap<String, crate::secret::Entry> {
    use crate::secret::{Entry, Format, managed::META_KEY};
    let described: Option<Meta> = secret.data.get(META_KEY).and_then(|meta| serde_json::from_slice(meta.expose()).ok());
    let described: BTreeMap<_, _> = described.into_iter().flat_map(|m| m.keys).map(|k| (k.name, k.format)).collect();
    let format = |key: &String| {
        described.get(key).copied().or_else(|| built.entries.get(key).map(|e| e.format)).unwrap_or(Format::Text)
    };
    let entries = secret.data.iter().filter(|(key, _)| *key != META_KEY);
    entries.map(|(key, value)| (key.clone(), Entry { format: format(key), value: value.clone() })).collect()
}

fn keys_verdict(built: &ManagedSecret) -> Verdict {
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

/// The managed Secret as it is written.
fn secret(known: &Known, built: &ManagedSecret, record: &ChangeRecord) -> NewSecret {
    let of = identity(known);
    let text = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let sync = known.sync.metadata.name.as_deref().unwrap_or_default();
    let revision = built.revision.to_string();
    let change = serde_json::to_string(record).expect("names and times are always JSON");
    let mut annotations: BTreeMap<String, String> = text(&[(REVISION, &revision), (CHANGE, &change)]);
    if known.sync.spec.deletion_policy() == DeletionPolicy::Retain {
        annotations.insert(DELETION_POLICY.to_owned(), "Retain".to_owned());
    }
    NewSecret {
        namespace: of.namespace.to_owned(),
        name: target_name(&known.sync).to_owned(),
        labels: text(&[(MANAGED_BY, MANAGER), (SYNC, sync), (SPACE, of.space)]),
        annotations,
        data: built.data(),
        type_: "Opaque".into(),
    }
}
