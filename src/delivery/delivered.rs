//! How far a revision has come: who has loaded it, who lags and why. Pure.

use std::{collections::BTreeMap, fmt, sync::Arc};

use super::{
    pod::PodView,
    restart,
    serving::Selected,
    signal::{self, Step},
};
use crate::{
    resources::{
        FlowApp, Reason, Reload, SpaceSecretSync,
        condition::{State, Verdict},
        flow_app::RestartPhase,
        sync::{DeliveryStatus, LaggingPod},
    },
    secret::Content,
    sync::status::Delivery,
};

/// Names in a status are capped; the counts beside them are not.
const MAX_LAGGING: usize = 10;
/// A message names this many pods.
const MAX_NAMED: usize = 3;

/// How one pod stands to a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has acknowledged it.
    Loaded,
    /// It has not been told yet.
    NotTold,
    /// It was told.
    AwaitingAck,
    /// Its runtime could not load it, in the runtime's word.
    LoadFailed(String),
    /// It acknowledged earlier ones, and we no longer ask.
    NoAck,
    /// It never acknowledged anything, and we no longer ask.
    NeverAcked,
    /// It is to be replaced, for it was started with something older.
    AwaitingRestart,
    /// It was started with it, and is not Ready.
    NotReady,
    /// The restart that is to bring it does not come to an end.
    RestartStalled,
}

impl Standing {
    /// Whether it is of a pod that is restarted, and not told.
    fn is_of_a_restart(&self) -> bool {
        matches!(self, Self::AwaitingRestart | Self::NotReady | Self::RestartStalled)
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loaded => f.write_str("Loaded"),
            Self::NotTold => f.write_str("NotTold"),
            Self::AwaitingAck => f.write_str("AwaitingAck"),
            Self::LoadFailed(why) => write!(f, "LoadFailed:{why}"),
            Self::NoAck => f.write_str("NoAck"),
            Self::NeverAcked => f.write_str("NeverAcked"),
            Self::AwaitingRestart => f.write_str("AwaitingRestart"),
            Self::NotReady => f.write_str("NotReady"),
            Self::RestartStalled => f.write_str("RestartStalled"),
        }
    }
}

/// How a pod stands to a revision.
pub fn standing(pod: &PodView, revision: &str, now: jiff::Timestamp) -> Standing {
    match &pod.loaded {
        Some(ack) if ack.loaded && ack.revision == revision => return Standing::Loaded,
        Some(ack) if ack.revision == revision => return Standing::LoadFailed(ack.reason.clone()),
        _ => {}
    }
    if pod.revision.as_deref() != Some(revision) {
        return Standing::NotTold;
    }
    // The version of the app does not bear on it.
    let version = pod.flow_app_version.as_deref().unwrap_or_default();
    match signal::step(pod, revision, version, now) {
        Step::GaveUp if pod.loaded.is_none() => Standing::NeverAcked,
        Step::GaveUp => Standing::NoAck,
        _ => Standing::AwaitingAck,
    }
}

/// How all pods that count stand to a revision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally<'a> {
    /// How many there are.
    pub pods: usize,
    /// How many have loaded it.
    pub loaded: usize,
    /// The others, by app and name.
    pub lagging: Vec<(&'a PodView, Standing)>,
}

/// Counts pods.
pub fn tally<'a>(pods: impl IntoIterator<Item = &'a PodView>, standing: impl Fn(&'a PodView) -> Standing) -> Tally<'a> {
    let mut tally = Tally::default();
    for pod in pods.into_iter().filter(|pod| pod.counts()) {
        tally.pods += 1;
        match standing(pod) {
            Standing::Loaded => tally.loaded += 1,
            lags => tally.lagging.push((pod, lags)),
        }
    }
    tally.lagging.sort_by(|(a, _), (b, _)| (&a.flow_app, &a.name).cmp(&(&b.flow_app, &b.name)));
    tally
}

/// What a condition is to call the three ways in which it goes well or on.
pub struct Words {
    /// Every pod has it.
    pub all: Reason,
    /// Some runtime that can acknowledge has not yet.
    pub on_the_way: (State, Reason),
}

/// The words of a sync's `Delivered`.
const DELIVERED: Words = Words { all: Reason::Delivered, on_the_way: (State::False, Reason::Delivering) };
/// The words of a FlowApp's `Loaded`.
pub const LOADED: Words = Words { all: Reason::Loaded, on_the_way: (State::Unknown, Reason::AwaitingAck) };

impl Tally<'_> {
    /// `loaded/pods`.
    pub fn summary(&self) -> String {
        format!("{}/{}", self.loaded, self.pods)
    }

    /// What a condition says of all pods together.
    pub fn say(&self, state: State, reason: Reason, revision: &str) -> Verdict {
        let (loaded, count) = (self.loaded.to_string(), self.pods.to_string());
        Verdict::new(state, reason, &[("loaded", &loaded), ("count", &count), ("revision", revision)])
    }

    /// What a condition says of it. What somebody must look at goes before what only takes time.
    pub fn verdict(&self, revision: &str, words: &Words) -> Verdict {
        let say = |state: State, reason: Reason| self.say(state, reason, revision);
        let name = |state: State, reason: Reason, concerned: &[&str]| {
            let (count, pods) = (concerned.len().to_string(), name_some(concerned));
            Verdict::new(state, reason, &[("count", &*count), ("revision", revision), ("pods", &pods)])
        };
        let those = |wanted: fn(&Standing) -> bool| -> Vec<&str> {
            self.lagging.iter().filter(|(_, standing)| wanted(standing)).map(|(pod, _)| pod.name.as_str()).collect()
        };
        let gave_up = those(|standing| *standing == Standing::NoAck);
        let failed = those(|standing| matches!(standing, Standing::LoadFailed(_)));
        let mute = those(|standing| *standing == Standing::NeverAcked);
        let stalled = those(|standing| *standing == Standing::RestartStalled);
        let silent = self.lagging.iter().all(|(pod, stands)| pod.loaded.is_none() && !stands.is_of_a_restart());
        match () {
            () if self.pods == 0 => say(State::True, Reason::NoPods),
            () if self.lagging.is_empty() => say(State::True, words.all),
            () if !failed.is_empty() => name(State::False, Reason::LoadFailed, &failed),
            () if !gave_up.is_empty() => name(State::False, Reason::NoAck, &gave_up),
            () if !stalled.is_empty() => {
                let why = format!("{}; the status of their FlowApp says why", name_some(&stalled));
                Verdict::new(false, Reason::RestartStalled, &[("revision", revision), ("why", &why)])
            }
            () if mute.len() == self.lagging.len() => name(State::Unknown, Reason::NeverAcked, &mute),
            () if silent => say(State::Unknown, Reason::AwaitingAck),
            () => say(words.on_the_way.0, words.on_the_way.1),
        }
    }
}

fn name_some(pods: &[&str]) -> String {
    let more = pods.len().saturating_sub(MAX_NAMED);
    let named = pods.iter().take(MAX_NAMED).copied().collect::<Vec<_>>().join(", ");
    if more == 0 { named } else { format!("{named} and {more} more") }
}

/// How far what a sync's Secret holds has come, a revision and since when its content is the same, from everything of its
/// namespace. Pods of Hot apps count by their word, those of Restart apps by their age.
pub fn delivery_of(
    sync: &SpaceSecretSync,
    held: Option<(&str, &Content)>,
    apps: &[Arc<FlowApp>],
    syncs: &[Arc<SpaceSecretSync>],
    pods: &[Arc<PodView>],
    now: jiff::Timestamp,
) -> Delivery {
    let selected = Selected::new(sync, apps, syncs);
    let served: Vec<_> = selected.served().collect();
    let counted = served.iter().filter(|app| app.spec.effective_reload() != Reload::None);
    let counted: BTreeMap<&str, &FlowApp> =
        counted.filter_map(|app| Some((app.metadata.name.as_deref()?, &***app))).collect();
    let pods = pods.iter().map(|pod| &**pod).filter(|pod| counted.contains_key(pod.flow_app.as_str()));
    let Some((revision, content)) = held else {
        let pods = pods.filter(|pod| pod.counts()).count();
        let status =
            DeliveryStatus { flow_apps: served.len(), pods, summary: format!("0/{pods}"), ..DeliveryStatus::default() };
        let nothing = Verdict::new(State::Unknown, Reason::NothingToLoad, &[]);
        return Delivery { status, verdict: or_taken(nothing, &selected) };
    };
    let tally = tally(pods, |pod| match counted.get(pod.flow_app.as_str()) {
        Some(app) if app.spec.effective_reload() == Reload::Restart => restart::standing(pod, content, phase(app)),
        _ => standing(pod, revision, now),
    });
    let lagging = tally.lagging.iter().take(MAX_LAGGING).map(|(pod, standing)| LaggingPod {
        flow_app: pod.flow_app.clone(),
        pod: pod.name.clone(),
        reason: standing.to_string(),
    });
    let status = DeliveryStatus {
        flow_apps: served.len(),
        pods: tally.pods,
        loaded: tally.loaded,
        summary: tally.summary(),
        lagging: lagging.collect(),
    };
    let rolls = counted.values().any(|app| phase(app).is_some_and(|phase| phase != RestartPhase::Done));
    let verdict = match tally.verdict(revision, &DELIVERED) {
        // All that run now have it, and others are on their way: between an old pod and a new one there may be none.
        verdict if rolls && verdict.state == State::True => tally.say(State::False, Reason::Restarting, revision),
        verdict => verdict,
    };
    Delivery { status, verdict: or_taken(verdict, &selected) }
}

/// How far the restart of an app is, where it is restarted.
fn phase(app: &FlowApp) -> Option<RestartPhase> {
    let restarts = app.spec.effective_reload() == Reload::Restart;
    app.status.as_ref().filter(|_| restarts)?.restart.as_ref().map(|restart| restart.phase)
}

/// An app that the sync selects and an older one serves has not got it. What somebody must look at goes before.
fn or_taken(verdict: Verdict, selected: &Selected) -> Verdict {
    let worse = [Reason::LoadFailed, Reason::NoAck, Reason::RestartStalled].contains(&verdict.reason);
    match selected.taken().next() {
        Some((app, other)) if !worse => {
            let name = |meta: &kube::core::ObjectMeta| meta.name.clone().unwrap_or_default();
            let args = [("app", &*name(&app.metadata)), ("other", &*name(&other.metadata))];
            Verdict::new(false, Reason::FlowAppTaken, &args)
        }
        _ => verdict,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        delivery::sample::{CAME, R1, R2, acked, app, at_ms, failed, pod, shared, sync, told},
        resources::{FlowAppStatus, flow_app::RestartStatus},
    };

    const NOW: i64 = 1_000_000;

    fn content() -> Content {
        Content { revision: R2.into(), since: at_ms(CAME) }
    }

    fn named(name: &str) -> PodView {
        pod(name, "ingest")
    }

    fn delivery(pods: Vec<PodView>) -> Delivery {
        delivery_of(
            &sync("s", 1),
            Some((R2, &content())),
            &shared([app("ingest")]),
            &shared([sync("s", 1)]),
            &shared(pods),
            at_ms(NOW),
        )
    }

    fn loaded(name: &str) -> PodView {
        told(acked(named(name), R2), R2, 1, NOW - 5_000)
    }

    fn silent(name: &str) -> PodView {
        told(named(name), R2, 1, NOW - 5_000)
    }

    fn mute(name: &str) -> PodView {
        told(named(name), R2, 2, NOW - 5_000)
    }

    fn asked(name: &str) -> PodView {
        told(acked(named(name), R1), R2, 2, NOW - 100)
    }

    fn gave_up(name: &str) -> PodView {
        told(acked(named(name), R1), R2, 8, NOW - 100_000)
    }

    fn broken(name: &str) -> PodView {
        told(failed(named(name), R2, "SnapshotIncomplete"), R2, 1, NOW - 100)
    }

    #[test]
    fn delivered_says_the_worst_that_holds() {
        use Reason::{AwaitingAck, Delivered, Delivering, LoadFailed, NeverAcked, NoAck, NoPods};
        let table = [
            (vec![], State::True, NoPods, "0/0"),
            (vec![loaded("a"), loaded("b")], State::True, Delivered, "2/2"),
            (vec![loaded("a"), silent("b")], State::Unknown, AwaitingAck, "1/2"),
            (vec![named("a")], State::Unknown, AwaitingAck, "0/1"),
            (vec![silent("a"), mute("b")], State::Unknown, AwaitingAck, "0/2"),
            (vec![loaded("a"), mute("b")], State::Unknown, NeverAcked, "1/2"),
            (vec![asked("a"), mute("b")], State::False, Delivering, "0/2"),
            (vec![gave_up("a"), mute("b")], State::False, NoAck, "0/2"),
            (vec![loaded("a"), asked("b")], State::False, Delivering, "1/2"),
            (vec![silent("a"), asked("b")], State::False, Delivering, "0/2"),
            (vec![asked("a"), gave_up("b"), loaded("c")], State::False, NoAck, "1/3"),
            (vec![gave_up("a"), broken("b"), silent("c")], State::False, LoadFailed, "0/3"),
        ];
        for (pods, state, reason, summary) in table {
            let names = pods.iter().map(|p| p.name.clone()).collect::<Vec<_>>();
            let delivery = delivery(pods);
            let found = (delivery.verdict.state, delivery.verdict.reason, delivery.status.summary.as_str());
            assert_eq!(found, (state, reason, summary), "{names:?}");
            assert!(!delivery.verdict.message.contains('{'), "{}", delivery.verdict.message);
        }
    }

    #[test]
    fn who_lags_is_named_with_the_reason() {
        let delivery =
            delivery(vec![named("e"), silent("d"), asked("c"), gave_up("b"), broken("a"), loaded("f"), mute("g")]);
        let lagging: Vec<_> = delivery.status.lagging.iter().map(|l| (l.pod.as_str(), l.reason.as_str())).collect();
        let expected = [
            ("a", "LoadFailed:SnapshotIncomplete"),
            ("b", "NoAck"),
            ("c", "AwaitingAck"),
            ("d", "AwaitingAck"),
            ("e", "NotTold"),
            ("g", "NeverAcked"),
        ];
        assert_eq!(lagging, expected);
    }

    #[test]
    fn lists_are_capped_and_counts_are_not() {
        let delivery = delivery((0..30).map(|n| gave_up(&format!("pod-{n:02}"))).collect());
        assert_eq!((delivery.status.pods, delivery.status.lagging.len()), (30, 10));
        let message = delivery.verdict.message;
        assert!(message.contains("30 pods") && message.contains("pod-00, pod-01, pod-02 and 27 more"), "{message}");
    }

    #[test]
    fn pods_on_their_way_in_or_out_do_not_count() {
        let starting = PodView { started: false, ..named("a") };
        let ending = PodView { terminating: true, ..named("b") };
        assert_eq!(delivery(vec![starting, ending, loaded("c")]).status.summary, "1/1");
    }

    fn with_reload(name: &str, reload: Reload) -> FlowApp {
        let mut app = app(name);
        app.spec.reload = Some(reload);
        app
    }

    #[test]
    fn only_pods_of_apps_that_are_told_or_restarted_and_that_this_sync_serves_count() {
        let apps =
            [with_reload("hot", Reload::Hot), with_reload("cold", Reload::Restart), with_reload("none", Reload::None)];
        let pods = ["hot", "cold", "none", "unbound"].map(|app| pod(&format!("pod-of-{app}"), app));
        let (apps, pods) = (shared(apps), shared(pods));
        let syncs = shared([sync("old", 1), sync("new", 2)]);
        let old = delivery_of(&syncs[0], Some((R2, &content())), &apps, &syncs, &pods, at_ms(NOW)).status;
        let lagging: Vec<_> = old.lagging.iter().map(|lags| (lags.pod.as_str(), lags.reason.as_str())).collect();
        assert_eq!(lagging, [("pod-of-cold", "AwaitingRestart"), ("pod-of-hot", "NotTold")]);
        assert_eq!((old.flow_apps, old.pods), (3, 2));
        let new = delivery_of(&syncs[1], Some((R2, &content())), &apps, &syncs, &pods, at_ms(NOW));
        assert_eq!((new.status.flow_apps, new.status.pods), (0, 0));
    }

    #[test]
    fn a_restart_is_delivered_when_its_pods_are_younger_than_the_content_and_ready() {
        use Reason::{Delivered, Delivering, NoPods, RestartStalled, Restarting};
        use RestartPhase::{Done, Held, Rolling, Stalled, Waiting};
        let made = |name: &str, ms| PodView { created: Some(at_ms(ms)), flow_app: "cold".into(), ..pod(name, "cold") };
        let (old, new) = (made("old", CAME), made("new", CAME + 60_000));
        let unready = PodView { ready: false, ..new.clone() };
        let table = [
            (vec![], Done, State::True, NoPods, "0/0"),
            (vec![], Rolling, State::False, Restarting, "0/0"),
            (vec![new.clone()], Done, State::True, Delivered, "1/1"),
            (vec![new.clone()], Rolling, State::False, Restarting, "1/1"),
            (vec![old.clone(), new.clone()], Rolling, State::False, Delivering, "1/2"),
            (vec![old.clone()], Waiting, State::False, Delivering, "0/1"),
            (vec![unready], Rolling, State::False, Delivering, "0/1"),
            (vec![old.clone(), new.clone()], Stalled, State::False, RestartStalled, "1/2"),
            (vec![old], Held, State::False, RestartStalled, "0/1"),
            // A Hot app beside it: what both say together is the worse.
            (vec![new.clone(), loaded("hot")], Done, State::True, Delivered, "2/2"),
            (vec![new, gave_up("hot")], Done, State::False, Reason::NoAck, "1/2"),
        ];
        for (pods, phase, state, reason, summary) in table {
            let mut cold = with_reload("cold", Reload::Restart);
            let restart = Some(RestartStatus { revision: R2.into(), phase });
            cold.status = Some(FlowAppStatus { restart, ..FlowAppStatus::default() });
            let (apps, syncs) = (shared([cold, app("ingest")]), shared([sync("s", 1)]));
            let delivery = delivery_of(&syncs[0], Some((R2, &content())), &apps, &syncs, &shared(pods), at_ms(NOW));
            let found = (delivery.verdict.state, delivery.verdict.reason, delivery.status.summary.as_str());
            assert_eq!(found, (state, reason, summary), "{phase:?}");
            assert!(!delivery.verdict.message.contains('{'), "{}", delivery.verdict.message);
        }
    }

    #[test]
    fn a_sync_whose_app_an_older_one_serves_says_so_unless_something_is_worse() {
        let mut own = app("own");
        own.metadata.labels = Some([("tier".to_owned(), "back".to_owned())].into());
        let mut old = sync("old", 1);
        let not_back = serde_json::from_value(serde_json::json!({"selector": {
            "matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}],
        }}));
        old.spec.flow_apps = Some(not_back.unwrap());
        let (syncs, apps) = (shared([old, sync("new", 2)]), shared([app("ingest"), own]));
        let told = |pod: PodView| {
            let pods = shared([PodView { flow_app: "own".into(), ..pod }]);
            delivery_of(&syncs[1], Some((R2, &content())), &apps, &syncs, &pods, at_ms(NOW)).verdict
        };
        let taken = told(loaded("a"));
        assert_eq!((taken.state, taken.reason), (State::False, Reason::FlowAppTaken));
        assert_eq!(taken.message, Reason::FlowAppTaken.message(&[("app", "ingest"), ("other", "old")]));
        assert_eq!(told(gave_up("a")).reason, Reason::NoAck);
        let unsynced = delivery_of(&syncs[1], None, &apps, &syncs, &[], at_ms(NOW)).verdict;
        assert_eq!(unsynced.reason, Reason::FlowAppTaken);
        let old = delivery_of(&syncs[0], Some((R2, &content())), &apps, &syncs, &[], at_ms(NOW)).verdict;
        assert_eq!(old.reason, Reason::NoPods);
    }

    #[test]
    fn nothing_is_delivered_before_there_is_a_revision() {
        let none = delivery_of(&sync("s", 1), None, &shared([app("ingest")]), &[], &shared([named("a")]), at_ms(NOW));
        assert_eq!((none.verdict.state, none.verdict.reason), (State::Unknown, Reason::NothingToLoad));
        assert_eq!(none.status.summary, "0/1");
    }

    #[test]
    fn an_acknowledgement_of_another_revision_is_none_of_this_one() {
        assert_eq!(standing(&told(acked(named("a"), R2), R1, 1, NOW), R1, at_ms(NOW)), Standing::AwaitingAck);
        assert_eq!(standing(&told(failed(named("a"), R1, "x"), R2, 1, NOW), R2, at_ms(NOW)), Standing::AwaitingAck);
        assert_eq!(standing(&acked(named("a"), R2), R2, at_ms(NOW)), Standing::Loaded, "also when it was not told");
    }
}
