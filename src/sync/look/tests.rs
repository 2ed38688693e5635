//! What is asked about one sync, case by case.

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
