//! What is decided about one FlowApp, case by case.

use serde_json::json;

use super::*;
use crate::{
    delivery::restart::Rollout,
    delivery::sample::{R1, R2, acked, app, at_ms, known, pod, shared, told, workload},
    resources::{FlowAppStatus, Reload, condition::Conditions},
};

const NOW: i64 = 1_000_000;

/// As it stands after a look that found the workload to be so.
fn looked_at(verdict: &Verdict) -> Known {
    let mut known = known();
    let workload = as_status(known.workload.as_ref().unwrap(), known.serving.as_ref().unwrap());
    let status = FlowAppStatus {
        observed_generation: known.app.metadata.generation,
        workload: Some(workload),
        conditions: Conditions::over(&[], Some(1), at_ms(NOW)).set("Injected", verdict).done(),
        ..FlowAppStatus::default()
    };
    Arc::make_mut(&mut known.app).status = Some(status);
    known
}

fn injected() -> Verdict {
    Verdict::new(true, Reason::Injected, &[])
}

fn reason(look: &Look) -> Option<Reason> {
    match look {
        Look::Settled(injected) => Some(injected.verdict.reason),
        Look::Read(_) => None,
    }
}

fn change(known: &Known, change: impl FnOnce(&mut WorkloadMeta)) -> Known {
    let mut known = known.clone();
    change(Arc::make_mut(known.workload.as_mut().unwrap()));
    known
}

#[test]
fn an_unchanged_world_is_not_read() {
    for verdict in [injected(), Verdict::new(false, Reason::VolumeConflict, &[])] {
        let known = looked_at(&verdict);
        let workload = known.app.status.as_ref().unwrap().workload.clone();
        assert_eq!(look(&known), Look::Settled(Injected { verdict, workload }));
    }
}

#[test]
fn whatever_moved_is_read() {
    let same = looked_at(&injected());
    let read = |known: &Known| look(known) == Look::Read(known.workload.clone().unwrap());
    assert!(read(&known()), "never looked at");
    assert!(read(&change(&same, |workload| workload.generation += 1)), "its generation, as by rollout undo");
    assert!(read(&change(&same, |workload| workload.uid = "another".into())), "another of its name");
    assert!(read(&change(&same, |workload| workload.flow_app = None)), "its label");
    let mut spec = same.clone();
    Arc::make_mut(&mut spec.app).metadata.generation = Some(2);
    assert!(read(&spec), "the spec");
    let mut target = same.clone();
    target.serving.as_mut().unwrap().secret = "other".into();
    assert!(read(&target), "the sync's target");
    let mut failed = same.clone();
    Arc::make_mut(&mut failed.app).status.as_mut().unwrap().workload = None;
    assert!(read(&failed), "an attempt that failed");
}

#[test]
fn a_declared_volume_needs_no_label_on_the_workload() {
    let declared = change(&looked_at(&injected()), |workload| (workload.flow_app, workload.injected) = (None, None));
    assert_eq!(reason(&look(&declared)), Some(Reason::Injected));
}

#[test]
fn what_keeps_an_app_from_being_injected_is_said_in_order() {
    let table = [
        (Known { serving: None, holder: Some("older".into()), workload: None, ..known() }, Reason::NoSync),
        (Known { holder: Some("older".into()), workload: None, ..known() }, Reason::WorkloadTaken),
        (Known { workload: None, ..known() }, Reason::WorkloadNotFound),
    ];
    for (known, expected) in table {
        let look = look(&known);
        assert_eq!(reason(&look), Some(expected));
        let Look::Settled(injected) = look else { unreachable!() };
        assert_eq!((injected.verdict.state, injected.workload), (State::False, None));
        assert!(!injected.verdict.message.contains('{'), "{}", injected.verdict.message);
    }
}

#[test]
fn an_injection_stays_when_its_sync_goes() {
    let unserved = |known: Known| Known { serving: None, ..known };
    assert_eq!(reason(&look(&unserved(looked_at(&injected())))), Some(Reason::Injected));
    let never = looked_at(&Verdict::new(false, Reason::VolumeConflict, &[]));
    assert_eq!(reason(&look(&unserved(never))), Some(Reason::NoSync));
    let replaced = change(&looked_at(&injected()), |workload| workload.uid = "another".into());
    assert_eq!(reason(&look(&unserved(replaced))), Some(Reason::NoSync));
}

fn read_as(template: serde_json::Value, owned: bool) -> Workload {
    let template = serde_json::from_value(template).unwrap();
    Workload { meta: workload(), template, owned, rollout: Rollout::default() }
}

fn bare() -> serde_json::Value {
    json!({"spec": {"containers": [{"name": "node-red"}]}})
}

fn complete() -> serde_json::Value {
    let known = known();
    let wanted = wanted(&known, known.serving.as_ref().unwrap());
    injection::body(workload().kind, ("", "", ""), "node-red", &injection::sources_for("secrets"), &wanted)["spec"]
        ["template"]
        .clone()
}

#[test]
fn what_is_missing_is_injected_and_nothing_else() {
    let plan = |read: &Workload| plan(&known(), Some(read));
    let then =
        Verdict { message: "Deployment ingest mounts Secret secrets at /var/run/spacesync".into(), ..injected() };
    let sources = injection::sources_for("secrets");
    let inject = Plan::Inject {
        workload: Box::new(workload()),
        container: "node-red".into(),
        sources,
        claim: None,
        then: then.clone(),
    };
    assert_eq!(plan(&read_as(bare(), false)), inject);
    assert_eq!(plan(&read_as(bare(), true)), inject, "an injection that was undone");
    let as_it_is = known().serving.map(|serving| as_status(&workload(), &serving));
    let leave = Plan::Leave(Injected { verdict: then, workload: as_it_is });
    assert_eq!(plan(&read_as(complete(), false)), leave);
    assert_eq!(plan(&read_as(complete(), true)), leave);
}

#[test]
fn what_only_a_person_can_mend_is_said_and_remembered() {
    let mut ghost = known();
    Arc::make_mut(&mut ghost.app).spec.container = Some("ghost".into());
    let volume = json!({"spec": {
        "containers": [{"name": "node-red"}], "volumes": [{"name": "spacesync", "emptyDir": {}}],
    }});
    let mount = json!({"spec": {"containers": [
        {"name": "node-red", "volumeMounts": [{"name": "data", "mountPath": "/var/run/spacesync"}]},
    ]}});
    let table = [
        (ghost, bare(), Reason::ContainerNotFound, "ghost"),
        (known(), volume, Reason::VolumeConflict, "Deployment ingest"),
        (known(), mount, Reason::MountConflict, "container node-red of Deployment ingest"),
    ];
    for (known, template, reason, word) in table {
        let Plan::Leave(injected) = plan(&known, Some(&read_as(template, false))) else { panic!("{reason}") };
        assert_eq!((injected.verdict.state, injected.verdict.reason), (State::False, reason));
        assert!(injected.verdict.message.contains(word) && !injected.verdict.message.contains('{'), "{reason}");
        assert!(injected.workload.is_some(), "{reason}");
    }
}

#[test]
fn a_workload_that_went_meanwhile_is_not_found() {
    let Plan::Leave(injected) = plan(&known(), None) else { panic!() };
    assert_eq!((injected.verdict.reason, injected.workload), (Reason::WorkloadNotFound, None));
}

fn with_pods(pods: Vec<PodView>) -> Known {
    Known { pods: shared(pods), ..known() }
}

#[test]
fn every_pod_that_must_be_told_is_told_at_once() {
    let loaded = told(acked(pod("b", "ingest"), R2), R2, 1, NOW);
    let other_version = PodView { flow_app_version: Some("5.2.0".into()), ..told(pod("d", "ingest"), R2, 1, NOW) };
    let known = with_pods(vec![pod("a", "ingest"), loaded, acked(pod("c", "ingest"), R1), other_version]);
    let told = tellings(&known, at_ms(NOW));
    let told: Vec<_> = told.iter().map(|t| (t.pod.name.as_str(), t.signal.clone())).collect();
    let first = Some((R2.to_owned(), 1));
    assert_eq!(told, [("a", first.clone()), ("c", first), ("d", None)]);
}

fn reloading(reload: Reload, known: Known) -> Known {
    let mut app = app("ingest");
    app.spec.reload = Some(reload);
    Known { app: Arc::new(app), ..known }
}

fn without_revision(mut known: Known) -> Known {
    known.serving.as_mut().unwrap().revision = None;
    known
}

fn without_sync(known: Known) -> Known {
    Known { serving: None, ..known }
}

#[test]
fn nobody_is_signalled_without_a_revision_or_where_the_app_does_not_want_it() {
    let hot = || with_pods(vec![pod("a", "ingest")]);
    let [cold, restarted] = [Reload::None, Reload::Restart].map(|reload| reloading(reload, hot()));
    for known in [without_sync(hot()), without_revision(hot()), cold, restarted] {
        assert!(tellings(&known, at_ms(NOW)).iter().all(|telling| telling.signal.is_none()));
        assert_eq!(next_signal(&known, at_ms(NOW), at_ms(NOW)), None);
    }
}

#[test]
fn every_pod_hears_the_version_once_whether_its_app_is_signalled_or_not() {
    let versed = |name, version: &str| PodView { flow_app_version: Some(version.into()), ..pod(name, "ingest") };
    let pods = || {
        with_pods(vec![
            pod("untold", "ingest"),
            versed("old", "5.2.9"),
            versed("knows", "5.3.0"),
            PodView { started: false, ..pod("waits", "ingest") },
            PodView { terminating: true, ..pod("goes", "ingest") },
        ])
    };
    let table = [
        (reloading(Reload::None, pods()), vec!["untold", "old"]),
        (reloading(Reload::Restart, pods()), vec!["untold", "old"]),
        (reloading(Reload::Restart, without_revision(pods())), vec!["untold", "old"]),
        (reloading(Reload::None, without_sync(pods())), vec!["untold", "old"]),
        // A pod that outlives its sync has what that brought.
        (without_sync(pods()), vec!["untold", "old"]),
        // The signal that will come says both.
        (without_revision(pods()), vec![]),
    ];
    for (known, expected) in table {
        let told = tellings(&known, at_ms(NOW));
        let names: Vec<_> = told.iter().map(|telling| telling.pod.name.as_str()).collect();
        assert_eq!(names, expected, "{:?} {:?}", known.app.spec.reload, known.serving);
        assert!(told.iter().all(|telling| telling.version == "5.3.0" && telling.signal.is_none()));
    }
}

#[test]
fn the_soonest_signal_decides_when_to_look_again() {
    let known = with_pods(vec![
        told(pod("a", "ingest"), R2, 1, NOW),
        told(acked(pod("b", "ingest"), R1), R1, 1, NOW - 400),
        told(acked(pod("c", "ingest"), R2), R2, 1, NOW),
    ]);
    assert_eq!(next_signal(&known, at_ms(NOW), at_ms(NOW)), Some(Duration::from_millis(600)));
    assert_eq!(next_signal(&with_pods(vec![]), at_ms(NOW), at_ms(NOW)), None);
}

#[test]
fn what_became_due_during_a_look_is_told_by_the_next_and_what_was_tried_is_not() {
    let waits = told(acked(pod("a", "ingest"), R1), R1, 1, NOW - 995);
    let known = with_pods(vec![waits]);
    assert_eq!(next_signal(&known, at_ms(NOW), at_ms(NOW + 5)), Some(Duration::ZERO));
    let gone_since = with_pods(vec![pod("a", "ingest")]);
    assert_eq!(next_signal(&gone_since, at_ms(NOW), at_ms(NOW + 5)), None);
}
