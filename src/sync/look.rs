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
mod tests {
    use super::{
        super::sample::{fresh, head, in_step, now},
        *,
    };
    use crate::{
        resources::{
            condition::Conditions,
            sync::{Keys, Target},
        },
        store::Head,
    };

    fn reason(look: &Look) -> Option<Reason> {
        match look {
            Look::Stop(verdict) => Some(verdict.reason),
            _ => None,
        }
    }

    #[test]
    fn what_is_in_step_asks_nobody() {
        assert_eq!(look(&in_step(), now()), Look::Rest);
    }

    #[test]
    fn after_a_restart_an_unknown_head_is_waited_for() {
        let known = Known { head: None, ..in_step() };
        assert_eq!(look(&known, now()), Look::Rest);
    }

    #[test]
    fn a_first_sync_reads_unless_the_store_is_known_to_fail() {
        assert_eq!(look(&fresh(), now()), Look::Read(Trigger::First));
        assert_eq!(look(&fresh().with_head(Ok(head(4))), now()), Look::Read(Trigger::First));
        let sealed = fresh().with_head(Err(StoreError::Sealed));
        assert_eq!(reason(&look(&sealed, now())), Some(Reason::SourceSealed));
    }

    #[test]
    fn whatever_differs_in_a_head_is_a_move_also_backwards() {
        let moved: [Head; 4] = [
            head(2),
            head(0),
            Head { updated: Some(now().into()), ..head(1) },
            Head { resource_version: Some("7".into()), ..head(1) },
        ];
        for head in moved {
            assert_eq!(look(&in_step().with_head(Ok(head.clone())), now()), Look::Read(Trigger::Live), "{head:?}");
        }
    }

    #[test]
    fn a_schedule_acts_when_it_is_due_and_manual_never() {
        let moved = |auto_sync| {
            let known = in_step().with_head(Ok(head(2))).with_spec(|spec| spec.auto_sync = Some(auto_sync));
            look(&known, now())
        };
        // Phase 0 of the empty UID is not on the hour: first seen now, so no instant has passed since.
        assert_eq!(moved(AutoSync::Every24h), Look::Rest);
        assert_eq!(moved(AutoSync::Manual), Look::Rest);
        let seen_long_ago = |auto_sync| {
            let mut known = in_step().with_head(Ok(head(2))).with_spec(|spec| spec.auto_sync = Some(auto_sync));
            if let Some(book) = &mut known.head {
                book.since = jiff::Timestamp::UNIX_EPOCH;
            }
            look(&known, now())
        };
        assert_eq!(seen_long_ago(AutoSync::Every24h), Look::Read(Trigger::Schedule));
        assert_eq!(seen_long_ago(AutoSync::Manual), Look::Rest);
    }

    #[test]
    fn a_failing_store_keeps_the_last_good() {
        let errors = [
            (StoreError::Sealed, Reason::SourceSealed),
            (StoreError::Unreachable("x".into()), Reason::SourceUnreachable),
            (StoreError::NotFound("newsroom".into()), Reason::SourceNotFound),
            (StoreError::TimedOut, Reason::SourceTimedOut),
        ];
        for (error, expected) in errors {
            assert_eq!(reason(&look(&in_step().with_head(Err(error)), now())), Some(expected));
        }
        let deleted = Head { deleted: Some(now().into()), ..head(1) };
        assert_eq!(reason(&look(&in_step().with_head(Ok(deleted)), now())), Some(Reason::SourceDeleted));
    }

    #[test]
    fn a_source_that_is_gone_is_called_so_only_where_the_sync_wants_it_deleted() {
        let gone = || in_step().with_head(Err(StoreError::NotFound("newsroom".into())));
        let delete = gone().with_spec(|spec| spec.on_source_gone = Some(DeletionPolicy::Delete));
        assert_eq!(reason(&look(&delete, now())), Some(Reason::SourceGone));
        let sealed = delete.with_head(Err(StoreError::Sealed));
        assert_eq!(reason(&look(&sealed, now())), Some(Reason::SourceSealed));
    }

    #[test]
    fn an_entry_that_was_never_read_has_not_gone() {
        let strict = |known: Known| known.with_spec(|spec| spec.on_source_gone = Some(DeletionPolicy::Delete));
        let missing = |known: Known| known.with_head(Err(StoreError::NotFound("newsroom".into())));
        assert_eq!(reason(&look(&missing(strict(fresh())), now())), Some(Reason::SourceNotFound));
        let mut misspelt = missing(strict(in_step()));
        misspelt.entry.path = "newsrom".into();
        assert_eq!(reason(&look(&misspelt, now())), Some(Reason::SourceNotFound));
        // Once its Secret was deleted, it stays so.
        let gone = missing(strict(fresh())).with_sync(|sync| {
            let verdict = Verdict::new(false, Reason::SourceGone, &[]);
            sync.status.get_or_insert_default().conditions =
                Conditions::over(&[], Some(1), now()).set("Synced", &verdict).done();
        });
        assert_eq!(reason(&look(&gone, now())), Some(Reason::SourceGone));
    }

    #[test]
    fn what_stands_in_the_way_is_said_before_anything_is_asked() {
        let suspended = fresh().with_spec(|spec| spec.suspend = Some(true));
        let unbound = Known { space: None, ..fresh() };
        let missing = Verdict::new(false, Reason::Pending, &[]);
        let no_manager = Known { manager_exists: false, no_store: Some(missing.clone()), ..fresh() };
        let taken = Known { taken_by: Some("older".into()), ..fresh() };
        let cases = [
            (suspended, Reason::Suspended),
            (unbound, Reason::NamespaceNotBound),
            (no_manager, Reason::SecretManagerNotFound),
            (taken, Reason::TargetTaken),
        ];
        for (known, expected) in cases {
            assert_eq!(reason(&look(&known.with_request("manual/1"), now())), Some(expected));
        }
        assert_eq!(look(&Known { no_store: Some(missing), ..fresh() }, now()), Look::Wait);
    }

    #[test]
    fn a_request_asks_past_what_is_known_and_reads_where_the_content_is_to_be_built_anew() {
        assert_eq!(look(&in_step().with_request("manual/1"), now()), Look::Ask(Trigger::Manual));
        assert_eq!(look(&in_step().with_request("save/1"), now()), Look::Ask(Trigger::Save));
        assert_eq!(look(&fresh().with_request("save/1"), now()), Look::Read(Trigger::Save));
        let edited = in_step().with_sync(|sync| sync.metadata.generation = Some(2)).with_request("manual/2");
        assert_eq!(look(&edited, now()), Look::Read(Trigger::Manual));
        let deleted = Known { target: None, ..in_step() }.with_request("manual/3");
        assert_eq!(look(&deleted, now()), Look::Read(Trigger::Manual));
    }

    #[test]
    fn a_spec_that_moved_is_built_anew_where_that_shapes_the_content() {
        let moved = |change: fn(&mut SpaceSecretSyncSpec)| {
            let shape = shape_of(&in_step().sync.spec);
            let known = in_step().with_sync(|sync| {
                sync.metadata.generation = Some(2);
                sync.status.as_mut().unwrap().source.as_mut().unwrap().shape = Some(shape);
            });
            look(&known.with_spec(change), now())
        };
        assert_eq!(moved(|spec| spec.auto_sync = Some(AutoSync::Manual)), Look::Rest);
        assert_eq!(moved(|spec| spec.keys = Some(Keys::default())), Look::Read(Trigger::Live));
        assert_eq!(moved(|spec| spec.target = Some(Target::default())), Look::Read(Trigger::Live));
        // As an earlier version recorded it.
        let known = in_step().with_sync(|sync| sync.metadata.generation = Some(2));
        assert_eq!(look(&known, now()), Look::Read(Trigger::Live));
    }

    #[test]
    fn another_space_or_store_is_a_first_sync() {
        let elsewhere = |change: fn(&mut Known)| {
            let mut known = in_step();
            change(&mut known);
            look(&known, now())
        };
        assert_eq!(elsewhere(|known| known.entry.path = "other".into()), Look::Read(Trigger::First));
        assert_eq!(elsewhere(|known| known.entry.manager = "other".into()), Look::Read(Trigger::First));
        let renamed = elsewhere(|known| {
            let mut space = known.space.as_deref().cloned().unwrap();
            space.metadata.name = Some("other".into());
            known.space = Some(Arc::new(space));
        });
        assert_eq!(renamed, Look::Read(Trigger::First));
    }

    #[test]
    fn a_managed_secret_that_somebody_wrote_is_looked_at() {
        let deleted = Known { target: None, ..in_step() };
        assert_eq!(look(&deleted, now()), Look::Read(Trigger::Drift));
        let touched = in_step().with_target(|target| target.resource_version = "101".into());
        assert_eq!(look(&touched, now()), Look::Inspect);
        let other = in_step().with_target(|target| target.revision = Some("9-0000000000000000".into()));
        let other = other.with_target(|target| target.resource_version = "101".into());
        assert_eq!(look(&other, now()), Look::Read(Trigger::Drift));
    }

    #[test]
    fn the_older_sync_has_a_target_and_then_the_first_by_name() {
        let sync = |name: &str, second: i64, target: Option<&str>| {
            let mut sync = SpaceSecretSync::new(name, crate::resources::SpaceSecretSyncSpec::default());
            let at = jiff::Timestamp::from_second(second).unwrap();
            sync.metadata.creation_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at));
            sync.spec.target = target.map(|name| Target { name: Some(name.into()), ..Target::default() });
            Arc::new(sync)
        };
        let all = [sync("b", 1, Some("x")), sync("a", 2, Some("x")), sync("x", 2, None), sync("c", 1, None)];
        let taken: Vec<_> = all.iter().map(|sync| taken_by(sync, &all)).collect();
        assert_eq!(taken, [None, Some("b".to_owned()), Some("b".to_owned()), None]);
    }

    #[test]
    fn a_bad_pattern_is_said() {
        let keys = crate::resources::sync::Keys { include: Some(vec!["[a".into()]), exclude: None };
        let known = fresh().with_spec(|spec| spec.keys = Some(keys));
        assert_eq!(reason(&look(&known, now())), Some(Reason::BadKeyPattern));
    }
}
