//! The status of one FlowApp, built from what was known and applied; and what is told of it.

use std::collections::BTreeMap;

use semver::Version;

use super::{
    delivered::{self, Standing, Tally},
    gather::Known,
    plan::Injected,
    pod::PodView,
    restart::{self, Restarted},
};
use crate::{
    operator::pace::Weight,
    resources::{
        FlowAppStatus, Reason, Reload,
        condition::{Conditions, State, Verdict, find, new_warning},
        flow_app::{PodRevision, RestartPhase},
    },
};

/// Pods in a status are capped; the counts beside them are not.
const MAX_PODS: usize = 50;

/// From this version on the Secret Manager plugin serves the secrets, its pre-releases included.
const FIRST_WITH_PLUGIN: (u64, u64, u64) = (5, 3, 0);

/// What the status is to say.
pub fn build(known: &Known, injected: Injected, restarted: Restarted, now: jiff::Timestamp) -> FlowAppStatus {
    let spec = &known.app.spec;
    let revision = known.serving.as_ref().and_then(|serving| serving.revision.clone());
    let phase = restarted.status.as_ref().map(|status| status.phase);
    let pods = known.pods.iter().map(|pod| &**pod);
    let tally = delivered::tally(pods, |pod| match restart::content(known) {
        Some(content) => restart::standing(pod, content, phase),
        None => delivered::standing(pod, revision.as_deref().unwrap_or_default(), now),
    });
    FlowAppStatus {
        observed_generation: known.app.metadata.generation,
        sync: known.serving.as_ref().map(|serving| serving.sync.clone()),
        reload: Some(spec.effective_reload()),
        sync_on_save: Some(spec.sync_on_save.unwrap_or(true)),
        pods: Some(tally.pods),
        loaded: Some(tally.loaded),
        summary: Some(tally.summary()),
        pod_revisions: pod_revisions(known, &tally),
        legacy_nodes: known.pods.iter().filter(|pod| pod.counts()).filter_map(|pod| pod.legacy_nodes).max(),
        conditions: conditions(known, &injected.verdict, &restarted, &tally, now),
        workload: injected.workload,
        restart: restarted.status,
        revision,
    }
}

fn pod_revisions(known: &Known, tally: &Tally) -> Vec<PodRevision> {
    // The pods of an app that is neither told nor restarted lag behind nothing.
    let told = known.told_revision().is_some() || restart::content(known).is_some();
    let lagging: BTreeMap<&str, &Standing> = tally.lagging.iter().map(|(pod, why)| (pod.name.as_str(), why)).collect();
    let entry = |pod: &PodView| PodRevision {
        pod: pod.name.clone(),
        revision: pod.loaded.as_ref().filter(|ack| ack.loaded).map(|ack| ack.revision.clone()),
        reason: lagging
            .get(pod.name.as_str())
            .map(|standing| if told { standing.to_string() } else { Reason::NotSignalled.to_string() }),
        runtime: pod.runtime.clone(),
    };
    let mut entries: Vec<_> = known.pods.iter().filter(|pod| pod.counts()).map(|pod| entry(pod)).collect();
    if entries.len() > MAX_PODS {
        // Whoever looks here looks for those.
        entries.sort_by_key(|entry| entry.reason.is_none());
        entries.truncate(MAX_PODS);
        entries.sort_by(|a, b| a.pod.cmp(&b.pod));
    }
    entries
}

fn conditions(
    known: &Known,
    injected: &Verdict,
    restarted: &Restarted,
    tally: &Tally,
    now: jiff::Timestamp,
) -> Vec<k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition> {
    let old = known.app.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let ready = ready(known, injected);
    let (reconciling, stalled) = progress(&ready);
    Conditions::over(old, known.app.metadata.generation, now)
        .set("Ready", &ready)
        .set("Injected", injected)
        .set("Loaded", &loaded(known, restarted, tally))
        .set("Supported", &supported(&known.app.spec.version))
        .set_while("Reconciling", reconciling.as_ref())
        .set_while("Stalled", stalled.as_ref())
        .done()
}

/// It is served and injected, or the first thing that keeps it from being so.
fn ready(known: &Known, injected: &Verdict) -> Verdict {
    match &known.serving {
        None => Verdict::new(false, Reason::NoSync, &[]),
        Some(_) if injected.state != State::True => injected.clone(),
        Some(serving) => Verdict::new(true, Reason::Ready, &[("sync", &serving.sync)]),
    }
}

/// kstatus: what comes by itself, or with what GitOps still brings, is Reconciling; what waits for a person is Stalled.
fn progress(ready: &Verdict) -> (Option<Verdict>, Option<Verdict>) {
    if ready.state == State::True {
        return (None, None);
    }
    let holds = Verdict { state: State::True, ..ready.clone() };
    match ready.reason {
        Reason::NoSync | Reason::WorkloadNotFound | Reason::InjectionFailed => (Some(holds), None),
        _ => (None, Some(holds)),
    }
}

fn loaded(known: &Known, restarted: &Restarted, tally: &Tally) -> Verdict {
    let nothing = || Verdict::new(State::Unknown, Reason::NothingToLoad, &[]);
    match known.app.spec.effective_reload() {
        Reload::Hot => known.told_revision().map_or_else(nothing, |told| tally.verdict(told, &delivered::LOADED)),
        Reload::Restart => restart::content(known).map_or_else(nothing, |content| {
            let rolls = restarted.status.as_ref().is_some_and(|status| status.phase != RestartPhase::Done);
            let (state, reason) = match () {
                () if rolls || !tally.lagging.is_empty() => (State::Unknown, Reason::Restarting),
                () if tally.pods == 0 => (State::True, Reason::NoPods),
                () => (State::True, Reason::Restarted),
            };
            restarted.hindrance.clone().unwrap_or_else(|| tally.say(state, reason, &content.revision))
        }),
        Reload::None => Verdict::new(State::Unknown, Reason::NotSignalled, &[("reload", "None")]),
    }
}

/// The version gate: every version gets the volume, and this says who shows it to the flows.
fn supported(version: &str) -> Verdict {
    // The CEL rule lets only versions through; one whose numbers are too large to be read is no old one.
    let read = Version::parse(version.strip_prefix('v').unwrap_or(version));
    let served = read.is_ok_and(|v| (v.major, v.minor, v.patch) < FIRST_WITH_PLUGIN);
    let reason = if served { Reason::LegacyNodeServes } else { Reason::PluginServes };
    Verdict::new(!served, reason, &[("version", version)])
}

/// How much `new` differs from the status that stands; `None` where it says the same.
pub fn weight(old: Option<&FlowAppStatus>, new: &FlowAppStatus) -> Option<Weight> {
    let Some(old) = old else { return Some(Weight::News) };
    let loaded = |status: &FlowAppStatus| find(&status.conditions, "Loaded").cloned();
    let without_counts = |status: &FlowAppStatus| {
        let counts = FlowAppStatus { revision: None, pods: None, loaded: None, summary: None, ..status.clone() };
        let mut status = FlowAppStatus { pod_revisions: Vec::new(), legacy_nodes: None, ..counts };
        status.conditions.retain(|condition| condition.type_ != "Loaded");
        status
    };
    if old == new {
        return None;
    }
    let only_counts = without_counts(old) == without_counts(new);
    Some(if only_counts { Weight::of_counts(loaded(old).as_ref(), loaded(new).as_ref()) } else { Weight::News })
}

/// What is newly to be told as a Warning: a reason of `Ready` that was not there before, or what a restart met. What the
/// pods say is told of the sync, for all apps together.
pub fn warning<'a>(old: Option<&FlowAppStatus>, new: &'a FlowAppStatus) -> Option<(Reason, &'a str)> {
    let new_of = |type_| new_warning(old.map_or(&[], |old| &old.conditions), &new.conditions, type_);
    let of_restart = |(reason, _): &(Reason, _)| {
        [Reason::RestartStalled, Reason::RestartHeld, Reason::RestartFailed].contains(reason)
    };
    new_of("Ready").or_else(|| new_of("Loaded").filter(of_restart))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        delivery::sample::{CAME, R1, R2, acked, at_ms, failed, known, pod, shared, told},
        resources::flow_app::{RestartStatus, WorkloadStatus},
    };

    const NOW: i64 = 1_000_000;

    fn injected() -> Injected {
        let workload = WorkloadStatus { uid: "uid-of-ingest".into(), generation: 3, secret: "secrets".into() };
        Injected { verdict: Verdict::new(true, Reason::Injected, &[]), workload: Some(workload) }
    }

    fn not_injected(reason: Reason) -> Injected {
        Injected { verdict: Verdict::new(false, reason, &[]), workload: None }
    }

    fn condition<'a>(status: &'a FlowAppStatus, type_: &str) -> Option<(&'a str, &'a str)> {
        find(&status.conditions, type_).map(|c| (c.status.as_str(), c.reason.as_str()))
    }

    fn built(known: &Known, injected: Injected) -> FlowAppStatus {
        build(known, injected, Restarted::default(), at_ms(NOW))
    }

    #[test]
    fn an_app_that_is_served_and_injected_is_ready() {
        let status = built(&known(), injected());
        assert_eq!(condition(&status, "Ready"), Some(("True", "Ready")));
        assert_eq!(condition(&status, "Injected"), Some(("True", "Injected")));
        assert_eq!((condition(&status, "Reconciling"), condition(&status, "Stalled")), (None, None));
        assert_eq!((status.sync.as_deref(), status.revision.as_deref()), (Some("secrets"), Some(R2)));
        assert_eq!(status.workload, injected().workload);
    }

    #[test]
    fn the_first_thing_that_keeps_it_from_being_ready_is_the_reason() {
        let unserved = Known { serving: None, ..known() };
        let table = [
            (unserved.clone(), injected(), Reason::NoSync, "Reconciling"),
            (unserved, not_injected(Reason::NoSync), Reason::NoSync, "Reconciling"),
            (known(), not_injected(Reason::WorkloadNotFound), Reason::WorkloadNotFound, "Reconciling"),
            (known(), not_injected(Reason::InjectionFailed), Reason::InjectionFailed, "Reconciling"),
            (known(), not_injected(Reason::WorkloadTaken), Reason::WorkloadTaken, "Stalled"),
            (known(), not_injected(Reason::ContainerNotFound), Reason::ContainerNotFound, "Stalled"),
            (known(), not_injected(Reason::VolumeConflict), Reason::VolumeConflict, "Stalled"),
            (known(), not_injected(Reason::MountConflict), Reason::MountConflict, "Stalled"),
        ];
        for (known, injected, reason, holds) in table {
            let status = built(&known, injected);
            assert_eq!(condition(&status, "Ready"), Some(("False", reason.as_str())));
            assert_eq!(condition(&status, holds), Some(("True", reason.as_str())), "{reason}");
            assert_eq!(status.conditions.len(), 5, "one of Reconciling and Stalled: {reason}");
        }
    }

    #[test]
    fn loaded_says_how_the_pods_stand() {
        let told = |name: &str| told(pod(name, "ingest"), R2, 1, NOW - 100);
        let table = [
            (vec![], "True", "NoPods", "0/0"),
            (vec![acked(told("a"), R2)], "True", "Loaded", "1/1"),
            (vec![acked(told("a"), R2), told("b")], "Unknown", "AwaitingAck", "1/2"),
            (vec![acked(told("a"), R1)], "Unknown", "AwaitingAck", "0/1"),
            (vec![failed(told("a"), R2, "SnapshotMissing")], "False", "LoadFailed", "0/1"),
            (vec![acked(super::super::sample::told(pod("a", "ingest"), R2, 8, 0), R1)], "False", "NoAck", "0/1"),
        ];
        for (pods, state, reason, summary) in table {
            let status = built(&Known { pods: shared(pods), ..known() }, injected());
            assert_eq!(condition(&status, "Loaded"), Some((state, reason)));
            assert_eq!(status.summary.as_deref(), Some(summary), "{reason}");
        }
    }

    #[test]
    fn an_app_that_is_not_told_says_so() {
        let mut known = Known { pods: shared([pod("a", "ingest")]), ..known() };
        Arc::make_mut(&mut known.app).spec.reload = Some(Reload::None);
        let status = built(&known, injected());
        assert_eq!(condition(&status, "Loaded"), Some(("Unknown", "NotSignalled")));
        assert_eq!(status.pod_revisions[0].reason.as_deref(), Some("NotSignalled"));
        assert_eq!((status.summary.as_deref(), status.reload), (Some("0/1"), Some(Reload::None)));
    }

    #[test]
    fn an_app_that_is_restarted_counts_its_pods_by_what_they_were_started_with() {
        use RestartPhase::{Done, Rolling, Stalled, Waiting};
        let made = |name: &str, ms| PodView { created: Some(at_ms(ms)), ..pod(name, "ingest") };
        let (old, new) = (made("old", CAME), made("new", CAME + 60_000));
        let unready = PodView { ready: false, ..new.clone() };
        let table = [
            (vec![], None, "True", "NoPods", "0/0", None),
            (vec![], Some(Rolling), "Unknown", "Restarting", "0/0", None),
            (vec![new.clone()], None, "True", "Restarted", "1/1", None),
            (vec![new.clone()], Some(Done), "True", "Restarted", "1/1", None),
            (vec![new.clone()], Some(Rolling), "Unknown", "Restarting", "1/1", None),
            (vec![unready], Some(Rolling), "Unknown", "Restarting", "0/1", Some("NotReady")),
            (vec![old.clone(), new.clone()], Some(Waiting), "Unknown", "Restarting", "1/2", Some("AwaitingRestart")),
            (vec![old, new], Some(Stalled), "Unknown", "Restarting", "1/2", Some("RestartStalled")),
        ];
        for (pods, phase, state, reason, summary, lags) in table {
            let mut known = Known { pods: shared(pods), ..known() };
            Arc::make_mut(&mut known.app).spec.reload = Some(Reload::Restart);
            let restart = phase.map(|phase| RestartStatus { revision: R2.into(), phase });
            let restarted = Restarted { status: restart.clone(), ..Restarted::default() };
            let status = build(&known, injected(), restarted, at_ms(NOW));
            assert_eq!(condition(&status, "Loaded"), Some((state, reason)), "{phase:?}");
            assert_eq!((status.summary.as_deref(), &status.restart), (Some(summary), &restart), "{phase:?}");
            let lagging = status.pod_revisions.iter().find_map(|pod| pod.reason.as_deref());
            assert_eq!(lagging, lags, "{phase:?}");
        }
    }

    #[test]
    fn what_a_restart_met_is_the_reason_and_told_once() {
        let mut known = Known { pods: shared([pod("a", "ingest")]), ..known() };
        Arc::make_mut(&mut known.app).spec.reload = Some(Reload::Restart);
        let failed = build(&known, injected(), Restarted::failed(&known, R2, "a policy says no"), at_ms(NOW));
        assert_eq!(condition(&failed, "Loaded"), Some(("False", "RestartFailed")));
        let said = format!("Deployment ingest could not be told to restart for revision {R2}: a policy says no");
        assert_eq!(warning(None, &failed), Some((Reason::RestartFailed, said.as_str())));
        assert_eq!(warning(Some(&failed), &failed), None);
        let waits = build(&known, injected(), Restarted::waiting(&known, R2, 5), at_ms(NOW));
        assert_eq!((condition(&waits, "Loaded"), warning(None, &waits)), (Some(("Unknown", "RestartWaiting")), None));
    }

    #[test]
    fn before_the_first_sync_there_is_nothing_to_load() {
        let mut known = known();
        known.serving.as_mut().unwrap().revision = None;
        assert_eq!(condition(&built(&known, injected()), "Loaded"), Some(("Unknown", "NothingToLoad")));
    }

    #[test]
    fn each_pod_stands_with_its_revision_and_with_what_it_waits_for() {
        let pods = [acked(pod("a", "ingest"), R2), told(acked(pod("b", "ingest"), R1), R2, 1, NOW), pod("c", "ingest")];
        let status = built(&Known { pods: shared(pods), ..known() }, injected());
        let listed = status.pod_revisions.iter();
        let listed: Vec<_> = listed.map(|p| (p.pod.as_str(), p.revision.as_deref(), p.reason.as_deref())).collect();
        assert_eq!(listed, [("a", Some(R2), None), ("b", Some(R1), Some("AwaitingAck")), ("c", None, Some("NotTold"))]);
    }

    #[test]
    fn what_runs_in_each_pod_is_told_and_of_its_legacy_nodes_the_most() {
        let with = |name: &str, nodes| PodView { legacy_nodes: nodes, ..acked(pod(name, "ingest"), R2) };
        let runs = PodView { runtime: Some("node-red/5.0.7".into()), ..with("a", Some(2)) };
        let pods = [runs, with("b", Some(3)), with("c", None), PodView { terminating: true, ..with("d", Some(9)) }];
        let status = built(&Known { pods: shared(pods), ..known() }, injected());
        assert_eq!(status.legacy_nodes, Some(3));
        assert_eq!(status.pod_revisions[0].runtime.as_deref(), Some("node-red/5.0.7"));
        let silent = Known { pods: shared([with("c", None)]), ..known() };
        assert_eq!(built(&silent, injected()).legacy_nodes, None);
    }

    #[test]
    fn pods_are_capped_those_that_lag_first_and_counts_are_not() {
        let pods = (0..80).map(|n| pod(&format!("pod-{n:02}"), "ingest"));
        let pods = pods.map(|pod| if pod.name == "pod-77" { pod } else { acked(pod, R2) });
        let status = built(&Known { pods: shared(pods), ..known() }, injected());
        assert_eq!((status.pods, status.pod_revisions.len()), (Some(80), 50));
        assert_eq!((status.pod_revisions[0].pod.as_str(), status.pod_revisions[49].pod.as_str()), ("pod-00", "pod-77"));
    }

    #[test]
    fn what_only_counts_pods_may_wait_and_trouble_may_not() {
        let status = |pods: Vec<PodView>| built(&Known { pods: shared(pods), ..known() }, injected());
        let told = |name: &str| told(pod(name, "ingest"), R2, 1, NOW - 100);
        let none = status(vec![told("a"), told("b")]);
        let half = status(vec![acked(told("a"), R2), told("b")]);
        let all = status(vec![acked(told("a"), R2), acked(told("b"), R2)]);
        let failed = status(vec![acked(told("a"), R2), failed(told("b"), R2, "SnapshotMissing")]);
        assert_eq!(weight(None, &none), Some(Weight::News));
        assert_eq!(weight(Some(&none), &none), None);
        assert_eq!(weight(Some(&none), &half), Some(Weight::Count));
        assert_eq!(weight(Some(&half), &all), Some(Weight::Complete));
        assert_eq!(weight(Some(&half), &failed), Some(Weight::News));
        let conflict = built(&known(), not_injected(Reason::VolumeConflict));
        assert_eq!(weight(Some(&all), &conflict), Some(Weight::News));
        let other_sync = FlowAppStatus { sync: None, ..all.clone() };
        assert_eq!(weight(Some(&all), &other_sync), Some(Weight::News));
    }

    #[test]
    fn the_plugin_serves_from_5_3_0_on_its_pre_releases_included() {
        let table = [
            ("5.3.0", true),
            ("v5.3.0", true),
            ("5.3.0-rc.1", true),
            ("v5.3.0-0", true),
            ("5.3.1", true),
            ("5.10.0", true),
            ("6.0.0", true),
            ("10.0.0", true),
            ("5.3.0+build.7", true),
            ("99999999999999999999.0.0", true),
            ("5.2.99", false),
            ("5.2.0-rc.1", false),
            ("v4.9.9", false),
            ("0.0.0", false),
        ];
        for (version, served) in table {
            let verdict = supported(version);
            let reason = if served { Reason::PluginServes } else { Reason::LegacyNodeServes };
            assert_eq!((verdict.state, verdict.reason), (State::from(served), reason), "{version}");
        }
    }

    #[test]
    fn a_status_built_over_itself_is_the_same() {
        let mut known = Known { pods: shared([acked(pod("a", "ingest"), R2), pod("b", "ingest")]), ..known() };
        let first = built(&known, injected());
        Arc::make_mut(&mut known.app).status = Some(first.clone());
        assert_eq!(build(&known, injected(), Restarted::default(), at_ms(NOW + 3_000_000)), first);
    }

    #[test]
    fn a_warning_is_told_once_and_quiet_reasons_never() {
        let conflict = built(&known(), not_injected(Reason::VolumeConflict));
        let fine = built(&known(), injected());
        let unserved = built(&Known { serving: None, ..known() }, not_injected(Reason::NoSync));
        let reason = |old: Option<&FlowAppStatus>, new| warning(old, new).map(|(reason, _)| reason);
        assert_eq!(reason(None, &conflict), Some(Reason::VolumeConflict));
        assert_eq!(reason(Some(&fine), &conflict), Some(Reason::VolumeConflict));
        assert_eq!(reason(Some(&conflict), &conflict), None);
        assert_eq!(reason(Some(&conflict), &fine), None);
        assert_eq!(reason(None, &unserved), None);
    }
}
