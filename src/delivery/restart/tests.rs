//! Which workload rolls, which does not, and what is said of it.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::*;
use crate::{
    delivery::{
        plan::as_status,
        sample::{CAME, R1, R2, at_ms, known, pod, shared, workload},
        workload::WorkloadKind,
    },
    resources::{FlowAppStatus, Reload},
};

const NOW: i64 = CAME + 100_000;

/// An app that is restarted, with these pods, a workload that was rolled for this, and this in its status.
fn app_of(pods: Vec<PodView>, rolled_for: Option<&str>, status: Option<(&str, RestartPhase)>) -> Known {
    let mut known = Known { pods: shared(pods), ..known() };
    let app = Arc::make_mut(&mut known.app);
    app.spec.reload = Some(Reload::Restart);
    let restart = status.map(|(revision, phase)| RestartStatus { revision: revision.into(), phase });
    app.status = Some(FlowAppStatus { restart, ..FlowAppStatus::default() });
    let workload = Arc::make_mut(known.workload.as_mut().unwrap());
    workload.restarted_for = rolled_for.map(ToOwned::to_owned);
    known
}

fn injected(known: &Known) -> Injected {
    let seen = known.workload.as_ref().map(|workload| as_status(workload, known.serving.as_ref().unwrap()));
    Injected { verdict: Verdict::new(true, Reason::Injected, &[]), workload: seen }
}

fn step_of(known: &Known) -> Step {
    step(known, &injected(known))
}

fn made(name: &str, ms: i64) -> PodView {
    PodView { created: Some(at_ms(ms)), ..pod(name, "ingest") }
}

fn old() -> PodView {
    made("old", CAME - 60_000)
}

fn young() -> PodView {
    made("young", CAME + 60_000)
}

fn rolls() -> Step {
    Step::Roll(Content { revision: R2.into(), since: at_ms(CAME) })
}

#[test]
fn a_pod_has_what_it_was_made_for_and_what_came_before_it() {
    let content = Content { revision: R2.into(), since: at_ms(CAME) };
    let made_for = |revision: &str, ms| PodView { restarted_for: Some(revision.into()), ..made("p", ms) };
    let table = [
        (old(), false),
        (young(), true),
        (made("p", CAME), false),
        // The API server tells whole seconds, and its clock may be another.
        (made("p", CAME + 2_000), false),
        (made("p", CAME + 3_000), true),
        (made_for(R2, CAME), true),
        (made_for(R1, CAME), false),
        (made_for(R1, CAME + 60_000), true),
        (pod("p", "ingest"), false),
    ];
    for (pod, expected) in table {
        assert_eq!(has(&pod, &content), expected, "{:?} {:?}", pod.created, pod.restarted_for);
    }
    assert!(!has(&young(), &Content::untold(R2)), "nothing is known to be younger than what has no age");
}

#[test]
fn a_workload_rolls_when_a_pod_of_it_lacks_what_there_is_and_never_twice_for_one_revision() {
    use RestartPhase::{Done, Held, Rolling, Stalled, Waiting};
    let pending = PodView { started: false, ready: false, ..old() };
    let table = [
        ("an old pod", vec![young(), old()], None, None, rolls()),
        ("one that has not even started", vec![pending], None, None, rolls()),
        ("after an earlier one", vec![old()], Some(R1), Some((R1, Done)), rolls()),
        ("while an earlier one is on its way", vec![old()], Some(R1), Some((R1, Rolling)), rolls()),
        ("after one that stalled", vec![old()], Some(R1), Some((R1, Stalled)), rolls()),
        ("it waits", vec![old()], Some(R1), Some((R2, Waiting)), rolls()),
        ("young pods only", vec![young()], None, None, Step::Rest),
        ("no pods", vec![], None, None, Step::Rest),
        ("a pod that goes", vec![PodView { terminating: true, ..old() }], None, None, Step::Rest),
        ("it is on its way", vec![old()], Some(R2), Some((R2, Rolling)), Step::Follow),
        ("the leader ended before the status", vec![old()], Some(R2), Some((R1, Done)), Step::Follow),
        ("the same, after it had waited", vec![old()], Some(R2), Some((R2, Waiting)), Step::Follow),
        ("the same, and it was the first", vec![old()], Some(R2), None, Step::Follow),
        ("it stalls", vec![old()], Some(R2), Some((R2, Stalled)), Step::Follow),
        ("it is held", vec![old()], Some(R2), Some((R2, Held)), Step::Follow),
        ("it came to its end", vec![young()], Some(R2), Some((R2, Done)), Step::Rest),
        ("an old pod that came to stay", vec![old()], Some(R2), Some((R2, Done)), Step::Rest),
    ];
    for (what, pods, rolled_for, status, expected) in table {
        assert_eq!(step_of(&app_of(pods, rolled_for, status)), expected, "{what}");
    }
}

#[test]
fn a_workload_that_another_app_has_is_that_ones_to_roll_and_to_follow() {
    let taken = |known: Known| Known { holder: Some("older".into()), ..known };
    assert_eq!(step_of(&app_of(vec![old()], None, None)), rolls());
    assert_eq!(step_of(&taken(app_of(vec![old()], None, None))), Step::Rest);
    let rolling = app_of(vec![old()], Some(R2), Some((R2, RestartPhase::Rolling)));
    assert_eq!(step_of(&rolling), Step::Follow);
    assert_eq!(step_of(&taken(rolling.clone())), Step::Rest);
    assert_eq!(Restarted::rest(&taken(rolling)), Restarted::default(), "it gives its place away");
}

#[test]
fn nothing_rolls_that_is_not_to_be_restarted() {
    let fine = app_of(vec![old()], None, None);
    assert_eq!(step_of(&fine), rolls());
    let mut table = Vec::new();
    for reload in [Reload::Hot, Reload::None] {
        let mut other = fine.clone();
        Arc::make_mut(&mut other.app).spec.reload = Some(reload);
        table.push(other);
    }
    let mut empty = fine.clone();
    empty.serving.as_mut().unwrap().content = None;
    table.extend([Known { serving: None, ..fine.clone() }, Known { workload: None, ..fine.clone() }, empty]);
    for known in table {
        assert_eq!(step(&known, &injected(&fine)), Step::Rest);
    }
    let conflict = Injected { verdict: Verdict::new(false, Reason::VolumeConflict, &[]), ..injected(&fine) };
    assert_eq!(step(&fine, &conflict), Step::Rest, "its pods are not known");
    let rolling = app_of(vec![old()], Some(R2), Some((R2, RestartPhase::Rolling)));
    assert_eq!(step(&rolling, &conflict), Step::Follow, "what rolls is seen to its end all the same");
    let mut just_now = injected(&fine);
    just_now.workload.as_mut().unwrap().generation += 1;
    assert_eq!(step(&fine, &just_now), Step::Rest, "it was injected in this look, which rolls it");
}

#[test]
fn a_version_that_moves_alone_rolls_nothing() {
    let mut known = app_of(vec![made("p", CAME + 60_000)], None, None);
    known.serving.as_mut().unwrap().revision = Some("3-00000000000000bb".into());
    assert_eq!(step_of(&known), Step::Rest);
}

#[test]
fn what_rolls_counts_for_the_next_leader_and_what_waits_does_not() {
    use RestartPhase::{Done, Held, Rolling, Stalled, Waiting};
    let table = [
        (None, None, false),
        (None, Some(Waiting), false),
        (Some(R2), None, true),
        (Some(R2), Some(Rolling), true),
        (Some(R2), Some(Waiting), true),
        (Some(R1), Some(Waiting), false),
        (Some(R1), Some(Rolling), true),
        (Some(R2), Some(Done), false),
        (Some(R2), Some(Stalled), false),
        (Some(R2), Some(Held), false),
        (Some(R1), Some(Done), true),
    ];
    for (rolled_for, phase, expected) in table {
        let status = phase.map(|phase| RestartStatus { revision: R2.into(), phase });
        assert_eq!(takes_a_place(rolled_for, status.as_ref()), expected, "{rolled_for:?} {phase:?}");
    }
}

#[test]
fn a_wait_for_what_is_not_needed_any_more_is_over() {
    use RestartPhase::{Done, Waiting};
    let rest = |known: &Known| Restarted::rest(known).status.map(|status| (status.revision, status.phase));
    assert_eq!(rest(&app_of(vec![], None, Some((R2, Waiting)))), None);
    assert_eq!(rest(&app_of(vec![], Some(R1), Some((R2, Waiting)))), Some((R1.into(), Done)));
    assert_eq!(rest(&app_of(vec![], Some(R1), Some((R1, Done)))), Some((R1.into(), Done)));
    assert_eq!(rest(&app_of(vec![], None, Some((R1, RestartPhase::Rolling)))), None, "undone");
    let gone = Known { workload: None, ..app_of(vec![], Some(R1), Some((R1, RestartPhase::Rolling))) };
    assert_eq!(rest(&gone), None, "and its place is free");
    let mut hot = app_of(vec![], Some(R1), Some((R1, Done)));
    Arc::make_mut(&mut hot.app).spec.reload = None;
    assert_eq!(rest(&hot), None);
}

/// How a workload that was rolled at a moment is found to be.
fn followed(
    pods: Vec<PodView>,
    rolled: i64,
    progress: Progress,
) -> (RestartPhase, Option<(Reason, String)>, Option<Duration>) {
    let known = app_of(pods, Some(R2), Some((R2, RestartPhase::Rolling)));
    let workload = WorkloadMeta { restarted: Some(at_ms(rolled)), ..(**known.workload.as_ref().unwrap()).clone() };
    let rollout = Rollout { progress, patience: Duration::from_secs(90) };
    let restarted = Restarted::followed(&known, &workload, &rollout, at_ms(NOW));
    let status = restarted.status.unwrap();
    assert_eq!(status.revision, R2);
    let said = restarted.hindrance.map(|verdict| (verdict.reason, verdict.message));
    assert!(said.iter().all(|(_, message)| !message.contains('{')), "{said:?}");
    (status.phase, said, restarted.again)
}

#[test]
fn a_restart_ends_or_is_held_or_stalls_and_says_why() {
    let (phase, said, again) = followed(vec![], NOW - 1_000, Progress::Complete);
    assert_eq!((phase, said, again), (RestartPhase::Done, None, None));
    let (phase, said, again) = followed(vec![], NOW - 1_000, Progress::Rolling);
    assert_eq!((phase, said, again), (RestartPhase::Rolling, None, Some(Duration::from_secs(89))));
    let (phase, said, again) = followed(vec![], NOW - 1_000, Progress::Stalled);
    let why = "Deployment ingest has exceeded its progress deadline";
    let message = format!("the restart for revision {R2} does not come to an end: {why}");
    assert_eq!((phase, said, again), (RestartPhase::Stalled, Some((Reason::RestartStalled, message)), None));
    let (phase, said, again) = followed(vec![], NOW - 1_000, Progress::Held("it is paused; resume it"));
    let message =
        format!("Deployment ingest is to restart for revision {R2} and does not by itself: it is paused; resume it");
    assert_eq!((phase, said, again), (RestartPhase::Held, Some((Reason::RestartHeld, message)), None));
}

#[test]
fn a_rollout_that_makes_no_pod_for_too_long_stalls_and_one_that_does_goes_on() {
    let (phase, said, _) = followed(vec![], NOW - 90_000, Progress::Rolling);
    assert_eq!(phase, RestartPhase::Stalled);
    assert!(said.unwrap().1.ends_with("no new pod of Deployment ingest in the last 90 s"));
    let made_for = |revision: &str| PodView { restarted_for: Some(revision.into()), ..made("p", NOW - 30_000) };
    let (phase, _, again) = followed(vec![made_for(R2)], NOW - 90_000, Progress::Rolling);
    assert_eq!((phase, again), (RestartPhase::Rolling, Some(Duration::from_mins(1))));
    let (phase, ..) = followed(vec![made_for(R1)], NOW - 90_000, Progress::Rolling);
    assert_eq!(phase, RestartPhase::Stalled, "a pod of the template before is no progress");
}

#[test]
fn what_is_applied_is_one_annotation_of_the_workload_and_of_its_template() {
    let set = WorkloadMeta { kind: WorkloadKind::StatefulSet, ..workload() };
    let expected = json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {
            "namespace": "ns", "name": "ingest", "uid": "uid-of-ingest",
            "annotations": {"spacesync.dev/restarted-for": R2},
        },
        "spec": {"template": {"metadata": {"annotations": {"spacesync.dev/restarted-for": R2}}}},
    });
    assert_eq!(body(&set, R2), expected);
}

#[test]
fn the_managed_fields_tell_when_it_was_rolled() {
    let by = |manager: &str| ManagedFieldsEntry {
        manager: Some(manager.into()),
        time: Some(Time(at_ms(7_000))),
        ..ManagedFieldsEntry::default()
    };
    assert_eq!(restarted_at(&[by("spacesync-inject"), by("kubectl")]), None);
    assert_eq!(restarted_at(&[by("spacesync-inject"), by("spacesync-restart")]), Some(at_ms(7_000)));
}
