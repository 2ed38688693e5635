//! What is decided about one sync, case by case.

use super::{
    super::apply::Applied,
    super::gather::Target,
    super::look,
    super::sample::{annotate, built, fresh, full, head, in_step, key, now, snapshot, value},
    super::status::{self, Delivery},
    *,
};
use crate::{
    cluster::{Error, secrets::FullSecret},
    resources::{
        AutoSync, DeletionPolicy, Outcome, SpaceSecretSyncStatus,
        names::{CHANGE, CONTENT, DELETION_POLICY, REVISION, SYNC},
        sync::DeliveryStatus,
    },
    secret::{Content, managed::META_KEY},
};
use crate::{secret::managed::MAX_BYTES, store::StoreError};

fn found(source: Source, there: Option<FullSecret>) -> Found {
    let target = there.map_or(Target::NotAsked, |secret| Target::There(Box::new(secret)));
    Found { source, target, trigger: Some(Trigger::Live) }
}

fn read(version: u64, entries: &[(&str, &str)]) -> Source {
    Source::Read(Box::new(snapshot(version, entries)))
}

fn decide(known: &Known, found: &Found) -> Plan {
    plan(known, &Look::Read(Trigger::Live), found, &key(), now())
}

fn write(plan: &Plan) -> &Write {
    match &plan.secret {
        SecretPlan::Write(write) => write,
        other => panic!("{other:?}"),
    }
}

fn synced(plan: &Plan) -> Reason {
    plan.synced.as_ref().unwrap().reason
}

#[test]
fn a_first_sync_creates_the_secret_with_its_change_record() {
    let plan = decide(&fresh(), &found(read(1, &[("A", "1")]), None));
    let write = write(&plan);
    assert!(write.over.is_none() && !write.anew);
    assert_eq!(write.secret.labels[SYNC], "secrets");
    assert_eq!(write.secret.annotations[REVISION], built(1, &[("A", "1")]).revision.to_string());
    let record: ChangeRecord = serde_json::from_str(&write.secret.annotations[CHANGE]).unwrap();
    assert_eq!((record.added.names, record.trigger), (vec!["A".to_owned()], Trigger::Live));
    assert_eq!(synced(&plan), Reason::Synced);
}

#[test]
fn a_new_version_is_written_over_what_was_read() {
    let there = full(&built(1, &[("A", "1")]), "100");
    let plan = decide(&in_step(), &found(read(2, &[("A", "2"), ("B", "1")]), Some(there)));
    assert_eq!(write(&plan).over.as_ref().unwrap().resource_version, "100");
    let record = plan.content.unwrap().record.unwrap();
    assert_eq!((record.added.names, record.changed.names), (vec!["B".to_owned()], vec!["A".to_owned()]));
}

#[test]
fn the_same_content_again_is_not_written_and_keeps_its_record() {
    let mut there = full(&built(1, &[("A", "1")]), "100");
    let first = decide(&fresh(), &found(read(1, &[("A", "1")]), None)).content.unwrap().record.unwrap();
    annotate(&mut there, &first);
    let plan = decide(&in_step(), &found(read(1, &[("A", "1")]), Some(there)));
    assert!(matches!(plan.secret, SecretPlan::Leave), "{plan:?}");
    assert_eq!(plan.content.unwrap().record, Some(first));
}

#[test]
fn what_somebody_did_to_the_secret_is_undone() {
    let edits: [fn(&mut FullSecret); 6] = [
        |s| drop(s.data.insert("A".into(), value("edited"))),
        |s| drop(s.data.insert("EXTRA".into(), value("x"))),
        |s| drop(s.data.remove(META_KEY)),
        |s| s.immutable = true,
        |s| s.type_ = "kubernetes.io/tls".into(),
        |s| s.meta.revision = None,
    ];
    for (n, edit) in edits.into_iter().enumerate() {
        let mut there = full(&built(1, &[("A", "1")]), "101");
        edit(&mut there);
        assert!(!build::is_as_written(&in_step(), Some(&there), &key()), "edit {n}");
        let anew = there.immutable || there.type_ != "Opaque";
        let plan = decide(&in_step(), &found(read(1, &[("A", "1")]), Some(there)));
        assert_eq!(write(&plan).anew, anew, "edit {n}");
        assert_eq!(write(&plan).secret.data["A"], value("1"), "edit {n}");
    }
}

#[test]
fn a_policy_that_changed_is_written_down_on_the_secret() {
    let target = crate::resources::sync::Target { deletion_policy: Some(DeletionPolicy::Retain), ..Default::default() };
    let known = in_step().with_spec(|spec| spec.target = Some(target));
    let there = full(&built(1, &[("A", "1")]), "100");
    let plan = decide(&known, &found(read(1, &[("A", "1")]), Some(there)));
    assert_eq!(write(&plan).secret.annotations[DELETION_POLICY], "Retain");
}

fn with_target(target: serde_json::Value) -> Known {
    in_step().with_spec(|spec| spec.target = Some(serde_json::from_value(target).unwrap()))
}

#[test]
fn a_target_adds_labels_and_annotations_and_never_takes_the_place_of_ours() {
    let known = with_target(serde_json::json!({
        "labels": {"team": "a", SYNC: "other"}, "annotations": {"note": "b", REVISION: "9-00", DELETION_POLICY: "Retain"},
    }));
    let there = full(&built(1, &[("A", "1")]), "100");
    let plan = decide(&known, &found(read(1, &[("A", "1")]), Some(there)));
    let secret = &write(&plan).secret;
    assert_eq!((secret.labels["team"].as_str(), secret.annotations["note"].as_str()), ("a", "b"));
    let revision = built(1, &[("A", "1")]).revision.to_string();
    assert_eq!((secret.labels[SYNC].as_str(), &secret.annotations[REVISION]), ("secrets", &revision));
    assert!(!secret.annotations.contains_key(DELETION_POLICY) && !write(&plan).anew);
}

#[test]
fn what_the_target_says_is_put_back_what_it_no_longer_says_goes_and_what_others_add_stays() {
    let labelled = |labels: &[(&str, &str)], ours: &[&str]| {
        let mut there = full(&built(1, &[("A", "1")]), "100");
        let fields: serde_json::Map<_, _> = ours.iter().map(|k| (format!("f:{k}"), serde_json::json!({}))).collect();
        let entry = serde_json::json!({"manager": "spacesync", "fieldsV1": {"f:metadata": {"f:labels": fields}}});
        there.object_meta.managed_fields = Some(vec![serde_json::from_value(entry).unwrap()]);
        there.object_meta.labels = Some(labels.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect());
        there
    };
    let (wants, plain) = (with_target(serde_json::json!({"labels": {"team": "a"}})), in_step());
    let table = [
        ("missing", &wants, labelled(&[], &[]), false),
        ("another", &wants, labelled(&[("team", "b")], &["team"]), false),
        ("there", &wants, labelled(&[("team", "a")], &["team", SYNC]), true),
        ("left over", &plain, labelled(&[("team", "a")], &["team"]), false),
        ("somebody else's", &plain, labelled(&[("team", "a")], &[SYNC]), true),
    ];
    for (what, known, there, as_written) in table {
        assert_eq!(build::is_as_written(known, Some(&there), &key()), as_written, "{what}");
    }
}

#[test]
fn the_secret_tells_since_when_its_content_is_the_same() {
    let content = |there: Option<FullSecret>, version, value: &str| -> Content {
        let plan = decide(&in_step(), &found(read(version, &[("A", value)]), there));
        write(&plan).secret.annotations[CONTENT].parse().unwrap()
    };
    let there = |since: &str| {
        let mut there = full(&built(1, &[("A", "1")]), "100");
        there.meta.content.as_mut().unwrap().since = since.parse().unwrap();
        Some(there)
    };
    let early = "2026-11-01T00:00:00Z";
    let first = built(1, &[("A", "1")]).revision.to_string();
    let at = |revision: &str, since: &str| Content { revision: revision.to_owned(), since: since.parse().unwrap() };
    assert_eq!(content(None, 1, "1"), at(&first, &now().to_string()));
    assert_eq!(content(there(early), 2, "1"), at(&first, early), "only the version moved");
    let other = built(2, &[("A", "2")]).revision.to_string();
    let record = |revision: &str, since: &str| {
        let mut record = decide(&fresh(), &found(read(1, &[("A", "1")]), None)).content.unwrap().record.unwrap();
        (record.revision, record.time) = (revision.to_owned(), since.parse::<jiff::Timestamp>().unwrap().into());
        record
    };
    let history =
        vec![record(&first, "2026-11-02T00:00:00Z"), record(&first, early), record(&other, "2026-10-01T00:00:00Z")];
    let deleted = in_step().with_sync(|sync| sync.status.as_mut().unwrap().history = history);
    let plan = decide(&deleted, &found(read(1, &[("A", "1")]), None));
    assert_eq!(write(&plan).secret.annotations[CONTENT], at(&first, early).to_string(), "somebody deleted it");
    assert_eq!(content(there(early), 2, "2"), at(&other, &now().to_string()));
}

#[test]
fn another_type_makes_the_secret_anew_and_one_that_is_not_met_keeps_the_last_good() {
    let tls = with_target(serde_json::json!({"type": "kubernetes.io/tls"}));
    let there = || Some(full(&built(1, &[("A", "1")]), "100"));
    let plan = decide(&tls, &found(read(2, &[("tls.crt", "c"), ("tls.key", "k")]), there()));
    assert!(write(&plan).anew);
    assert_eq!(write(&plan).secret.type_, "kubernetes.io/tls");
    let plan = decide(&tls, &found(read(2, &[("tls.crt", "c")]), there()));
    assert!(matches!(plan.secret, SecretPlan::Leave));
    assert_eq!((synced(&plan), plan.next), (Reason::TargetTypeUnmet, Next::OnChange));
    let said = plan.synced.unwrap().message;
    assert!(said.contains("kubernetes.io/tls, which needs the key tls.key;"), "{said}");
    assert_eq!(plan.source.unwrap().head, head(2), "it is read again when it moves, not before");
}

#[test]
fn a_foreign_secret_is_never_touched_without_its_owners_consent() {
    let mut theirs = full(&built(1, &[("A", "1")]), "100");
    for (label, adopt, expected) in [
        (None, None, false),
        (Some("another"), None, false),
        (None, Some("another"), false),
        (None, Some("secrets"), true),
    ] {
        theirs.meta.sync = label.map(ToOwned::to_owned);
        theirs.meta.adopt = adopt.map(ToOwned::to_owned);
        let there = FullSecret { meta: theirs.meta.clone(), data: theirs.data.clone(), ..full(&built(1, &[]), "1") };
        let plan = decide(&fresh(), &found(read(1, &[("A", "2")]), Some(there)));
        assert_eq!(matches!(plan.secret, SecretPlan::Write(_)), expected, "{label:?} {adopt:?}");
        assert_eq!(synced(&plan) == Reason::TargetConflict, !expected, "{label:?} {adopt:?}");
    }
}

#[test]
fn too_large_writes_nothing_and_is_not_read_again_until_it_moves() {
    let large = "x".repeat(MAX_BYTES + 1);
    let plan = decide(&in_step(), &found(read(2, &[("A", &large)]), None));
    assert!(matches!(plan.secret, SecretPlan::Leave));
    assert_eq!((synced(&plan), plan.next), (Reason::TooLarge, Next::OnChange));
    assert_eq!(plan.source.unwrap().head, head(2));
}

#[test]
fn a_failed_read_keeps_the_last_good_and_is_tried_again() {
    let plan = decide(&in_step(), &found(Source::Failed(StoreError::Sealed), None));
    assert!(matches!(plan.secret, SecretPlan::Leave));
    assert_eq!(synced(&plan), Reason::SourceSealed);
    assert!(matches!(plan.next, Next::Failed(Retry::Backoff(..))), "{:?}", plan.next);
}

#[test]
fn a_source_that_has_gone_takes_the_secret_along_only_where_the_sync_says_so() {
    let gone = || found(Source::Failed(StoreError::NotFound("newsroom".into())), None);
    assert!(matches!(decide(&in_step(), &gone()).secret, SecretPlan::Leave));
    let strict = in_step().with_spec(|spec| spec.on_source_gone = Some(DeletionPolicy::Delete));
    assert!(matches!(decide(&strict, &gone()).secret, SecretPlan::Delete(_)));
    let sealed = found(Source::Failed(StoreError::Sealed), None);
    assert!(matches!(decide(&strict, &sealed).secret, SecretPlan::Leave));
}

#[test]
fn suspended_neither_says_nor_handles_anything() {
    let known = in_step().with_request("manual/1");
    let verdict = Verdict::new(false, Reason::Suspended, &[]);
    let plan = plan(&known, &Look::Stop(verdict), &found(Source::NotAsked, None), &key(), now());
    assert_eq!((plan.synced, plan.handled), (None, None));
}

#[test]
fn a_request_that_found_nothing_new_is_handled() {
    let known = in_step().with_request("manual/1");
    let plan = plan(&known, &Look::Ask(Trigger::Manual), &found(Source::Unmoved, None), &key(), now());
    assert_eq!((plan.handled.as_deref(), synced(&plan)), (Some("manual/1"), Reason::Synced));
    assert!(matches!(plan.secret, SecretPlan::Leave));
}

#[test]
fn a_move_that_is_not_due_is_looked_at_when_it_is() {
    let known = in_step().with_head(Ok(head(2))).with_spec(|spec| {
        spec.auto_sync = Some(crate::resources::AutoSync::Every24h);
    });
    let plan = plan(&known, &Look::Rest, &found(Source::NotAsked, None), &key(), now());
    assert!(matches!(plan.next, Next::After(wait) if wait <= Duration::from_hours(24)), "{:?}", plan.next);
}

#[test]
fn no_reason_of_a_plan_shows_a_value() {
    let large = format!("hunter2{}", "x".repeat(MAX_BYTES));
    let mut there = full(&built(1, &[("A", "hunter2")]), "101");
    there.meta.sync = None;
    for found in [found(read(2, &[("A", &large)]), None), found(read(2, &[("A", "hunter2")]), Some(there))] {
        let plan = decide(&in_step(), &found);
        assert!(!format!("{plan:?}").contains("hunter2"));
    }
}

/// The status after a plan of which nothing, or this, came.
fn told(known: &Known, plan: &Plan, applied: &Applied) -> SpaceSecretSyncStatus {
    let verdict = Verdict::new(true, Reason::NoPods, &[]);
    let delivery = |_: Option<&str>| Delivery { status: DeliveryStatus::default(), verdict };
    status::build(known, plan, applied, delivery, now())
}

fn recorded(known: &Known, look: &Look, found: &Found) -> String {
    told(known, &plan(known, look, found, &key(), now()), &Applied::Nothing).target.unwrap().resource_version
}

#[test]
fn an_edit_that_cannot_be_mended_now_is_not_taken_for_what_stands() {
    let edited = in_step().with_target(|target| target.resource_version = "101".into());
    let there = || Some(full(&built(1, &[("A", "1")]), "101"));
    let sealed = Found { trigger: Some(Trigger::Drift), ..found(Source::Failed(StoreError::Sealed), there()) };
    assert_eq!(recorded(&edited, &Look::Inspect, &sealed), "100");
    let suspended = Look::Stop(Verdict::new(false, Reason::Suspended, &[]));
    assert_eq!(recorded(&edited, &suspended, &found(Source::NotAsked, None)), "100");
    // Once the store is known to fail, nobody asks before it is back.
    let known_to_fail = edited.clone().with_head(Err(StoreError::Sealed));
    assert!(matches!(look::look(&known_to_fail, now()), Look::Stop(_)));
    // What does not fit is not looked at again before it is another.
    let huge = "x".repeat(MAX_BYTES);
    assert_eq!(recorded(&edited, &Look::Inspect, &found(read(2, &[("A", &huge)]), there())), "101");
    // A label that somebody added.
    assert_eq!(recorded(&edited, &Look::Inspect, &found(Source::NotAsked, there())), "101");
}

#[test]
fn a_refused_write_answers_the_request_and_is_read_again_whoever_asks() {
    let asked = in_step().with_spec(|spec| spec.auto_sync = Some(AutoSync::Manual)).with_request("manual/2");
    let there = full(&built(1, &[("A", "1")]), "100");
    let manual = Found { trigger: Some(Trigger::Manual), ..found(read(2, &[("A", "2")]), Some(there)) };
    let plan = plan(&asked, &Look::Ask(Trigger::Manual), &manual, &key(), now());
    let status = told(&asked, &plan, &Applied::Refused(Error::Forbidden("exceeded quota".into())));
    let last = status.last_sync.clone().unwrap();
    assert_eq!((last.trigger, last.result), (Trigger::Manual, Outcome::Failed));
    assert_eq!(status.last_handled_sync_request.as_deref(), Some("manual/2"));
    assert_eq!((status.version, status.history.len()), (Some(1), 0));
    let next = Known { request: None, ..asked }.with_sync(|sync| sync.status = Some(status));
    assert_eq!(look::look(&next, now()), Look::Read(Trigger::Manual));
    let labelled = next.clone().with_target(|target| target.resource_version = "101".into());
    assert_eq!(look::look(&labelled, now()), Look::Read(Trigger::Manual), "what stands is not all that is to be said");
    // Nor does an outage make anybody forget it.
    let sealed = found(Source::Failed(StoreError::Sealed), None);
    let plan = super::plan(&next, &Look::Read(Trigger::Manual), &sealed, &key(), now());
    assert!(plan.synced.is_none() && matches!(plan.next, Next::Failed(Retry::Backoff(..))), "{plan:?}");
}

#[test]
fn a_source_that_has_gone_is_finished_also_where_a_crash_came_before_the_status() {
    let known = in_step().with_spec(|spec| spec.on_source_gone = Some(DeletionPolicy::Delete));
    let gone = found(Source::Failed(StoreError::NotFound("newsroom".into())), None);
    let known = Known { target: None, ..known };
    let plan = plan(&known, &Look::Read(Trigger::Drift), &gone, &key(), now());
    assert_eq!(synced(&plan), Reason::SourceGone);
    let status = told(&known, &plan, &Applied::Nothing);
    assert_eq!((status.version, status.revision, status.target), (None, None, None));
}
