//! `reload: Restart`: a workload is rolled when its pods run with something older than what its Secret holds. Pure.
//!
//! What was rolled for stands on the workload, on its pod template and so on each pod: whoever leads next goes on from
//! there. A pod has a content when it was made for it, or came to be after it: a pod reads its environment at its start.

pub mod apply;
pub mod budget;
mod rollout;
#[cfg(test)]
mod tests;

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use serde_json::{Value as Json, json};

use super::{delivered::Standing, gather::Known, plan::Injected, pod::PodView, workload::WorkloadMeta};
use crate::{
    resources::{
        FlowApp, Reason, Reload,
        condition::{State, Verdict},
        flow_app::{RestartPhase, RestartStatus},
        names::{MANAGER, RESTARTED_FOR},
    },
    secret::Content,
};
pub use rollout::{Progress, Rollout};

/// The concern in the name of our field manager.
pub const CONCERN: &str = "restart";

/// The operator tells when a content came, the API server when a pod was made, and that in whole seconds. A pod of the same
/// moment counts as older: to roll once too often is better than to call delivered what is not.
const SKEW: Duration = Duration::from_secs(2);

/// Whether what a pod was started with is this content.
pub fn has(pod: &PodView, content: &Content) -> bool {
    let made_for_it = pod.restarted_for.as_deref() == Some(&content.revision);
    let after = content.since.checked_add(SKEW).unwrap_or(jiff::Timestamp::MAX);
    made_for_it || pod.created.is_some_and(|created| created > after)
}

/// How a pod that is restarted, and not told, stands to what its Secret holds.
pub fn standing(pod: &PodView, content: &Content, phase: Option<RestartPhase>) -> Standing {
    match (has(pod, content), pod.ready) {
        (true, true) => Standing::Loaded,
        _ if matches!(phase, Some(RestartPhase::Stalled | RestartPhase::Held)) => Standing::RestartStalled,
        (true, false) => Standing::NotReady,
        (false, _) => Standing::AwaitingRestart,
    }
}

/// What is to be done about the workload of one FlowApp.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Nothing: it is not restarted, or its pods have what there is.
    Rest,
    /// It is to be rolled, once there is a place for it.
    Roll(Content),
    /// It was rolled and is not known to have come to an end: it is to be read.
    Follow,
}

/// What is to be done about the workload of one FlowApp, now that it is or is not injected.
pub fn step(known: &Known, injected: &Injected) -> Step {
    let (Some(content), Some(workload)) = (content(known), &known.workload) else { return Step::Rest };
    // Whoever has the workload rolls it, and sees to the end of that.
    if known.holder.is_some() {
        return Step::Rest;
    }
    let unmoved = injected.workload.as_ref().is_some_and(|seen| seen.generation == workload.generation);
    // Without the volume its pods are not known; where it was injected in this very look they are replaced anyway.
    let may_roll = injected.verdict.state == State::True && unmoved;
    let rolled_for_it = workload.restarted_for.as_deref() == Some(&content.revision);
    let lacks = |pod: &PodView| !pod.terminating && !has(pod, content);
    if may_roll && !rolled_for_it && known.pods.iter().any(|pod| lacks(pod)) {
        return Step::Roll(content.clone());
    }
    let status = known.app.status.as_ref().and_then(|status| status.restart.as_ref());
    if is_open(workload.restarted_for.as_deref(), status) { Step::Follow } else { Step::Rest }
}

/// What the pods of an app that is restarted are to have.
pub fn content(known: &Known) -> Option<&Content> {
    let restarts = known.app.spec.effective_reload() == Reload::Restart;
    known.serving.as_ref().filter(|_| restarts)?.content.as_ref()
}

/// Whether a workload that was rolled for a revision is not known to have come to an end.
fn is_open(restarted_for: Option<&str>, status: Option<&RestartStatus>) -> bool {
    let held_up = |status: &RestartStatus| matches!(status.phase, RestartPhase::Stalled | RestartPhase::Held);
    takes_a_place(restarted_for, status) || status.is_some_and(held_up) && restarted_for.is_some()
}

/// Whether the end of an app's restart is still to be seen, by its status.
pub fn is_followed(app: &FlowApp) -> bool {
    let status = app.status.as_ref().and_then(|status| status.restart.as_ref());
    status.is_some_and(|status| !matches!(status.phase, RestartPhase::Waiting | RestartPhase::Done))
}

/// Whether it counts among those that roll: by its status, or because a leader ended between the roll and the status.
pub fn takes_a_place(restarted_for: Option<&str>, status: Option<&RestartStatus>) -> bool {
    let Some(revision) = restarted_for else { return false };
    match status {
        None => true,
        Some(status) => match status.phase {
            RestartPhase::Rolling => true,
            RestartPhase::Waiting => status.revision == revision,
            RestartPhase::Done | RestartPhase::Stalled | RestartPhase::Held => status.revision != revision,
        },
    }
}

/// How the restart of one FlowApp stands after a look.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Restarted {
    /// What is remembered of it.
    pub status: Option<RestartStatus>,
    /// What stands in its way. Without it, the pods are counted.
    pub hindrance: Option<Verdict>,
    /// When it is to be looked at again, if nothing changes.
    pub again: Option<Duration>,
}

impl Restarted {
    fn at(revision: &str, phase: RestartPhase) -> Self {
        Self { status: Some(RestartStatus { revision: revision.to_owned(), phase }), ..Self::default() }
    }

    fn hindered(mut self, known: &Known, state: State, reason: Reason, more: (&str, &str)) -> Self {
        let revision = self.status.as_ref().map(|status| status.revision.clone()).unwrap_or_default();
        let [kind, name] = known.workload_args();
        self.hindrance = Some(Verdict::new(state, reason, &[kind, name, ("revision", &revision), more]));
        self
    }

    /// Nothing is to be done. A wait for what is not needed any more is over, and so is a restart that was undone, or whose
    /// workload is another app's now.
    pub fn rest(known: &Known) -> Self {
        if content(known).is_none() || known.holder.is_some() {
            return Self::default();
        }
        let status = known.app.status.as_ref().and_then(|status| status.restart.clone());
        let rolled = known.workload.as_ref().and_then(|workload| workload.restarted_for.as_deref());
        match (status, rolled) {
            (Some(status), Some(revision)) if status.phase == RestartPhase::Waiting => {
                Self::at(revision, RestartPhase::Done)
            }
            (_, None) => Self::default(),
            (status, _) => Self { status, ..Self::default() },
        }
    }

    /// It waits for others.
    pub fn waiting(known: &Known, revision: &str, limit: usize) -> Self {
        let limit = ("limit", &*limit.to_string());
        Self::at(revision, RestartPhase::Waiting).hindered(known, State::Unknown, Reason::RestartWaiting, limit)
    }

    /// It was rolled just now.
    pub fn rolling(revision: &str) -> Self {
        Self { again: Some(rollout::DEADLINE), ..Self::at(revision, RestartPhase::Rolling) }
    }

    /// It could not be rolled.
    pub fn failed(known: &Known, revision: &str, why: &str) -> Self {
        let failed = Self::at(revision, RestartPhase::Waiting);
        failed.hindered(known, State::False, Reason::RestartFailed, ("why", why))
    }

    /// How far the workload is, which was rolled for a revision and has just been read.
    pub fn followed(known: &Known, workload: &WorkloadMeta, rollout: &Rollout, now: jiff::Timestamp) -> Self {
        let Some(revision) = workload.restarted_for.as_deref() else { return Self::default() };
        let [(_, kind), (_, name)] = known.workload_args();
        let stalled = |why: String| {
            let stalled = Self::at(revision, RestartPhase::Stalled);
            stalled.hindered(known, State::False, Reason::RestartStalled, ("why", &why))
        };
        match rollout.progress {
            Progress::Complete => Self::at(revision, RestartPhase::Done),
            Progress::Held(why) => {
                let held = Self::at(revision, RestartPhase::Held);
                held.hindered(known, State::False, Reason::RestartHeld, ("why", why))
            }
            Progress::Stalled => stalled(format!("{kind} {name} has exceeded its progress deadline")),
            Progress::Rolling => {
                let left = rollout.left(last_progress(workload, known), now);
                let rolling = || Self { again: left, ..Self::at(revision, RestartPhase::Rolling) };
                let late =
                    || stalled(format!("no new pod of {kind} {name} in the last {} s", rollout.patience.as_secs()));
                left.map_or_else(late, |_| rolling())
            }
        }
    }
}

/// When a workload that rolls last came on: when it was rolled, or made its last pod.
fn last_progress(workload: &WorkloadMeta, known: &Known) -> Option<jiff::Timestamp> {
    let made_for_it = known.pods.iter().filter(|pod| pod.restarted_for == workload.restarted_for);
    made_for_it.filter_map(|pod| pod.created).chain(workload.restarted).max()
}

/// What is applied to a workload so that it rolls. The UID keeps it from creating one that has just gone.
pub fn body(workload: &WorkloadMeta, revision: &str) -> Json {
    let annotations = json!({RESTARTED_FOR: revision});
    json!({
        "apiVersion": "apps/v1",
        "kind": workload.kind.as_str(),
        "metadata": {
            "namespace": workload.namespace,
            "name": workload.name,
            "uid": workload.uid,
            "annotations": annotations,
        },
        "spec": {"template": {"metadata": {"annotations": annotations}}},
    })
}

/// When we last rolled a workload.
pub fn restarted_at(fields: &[ManagedFieldsEntry]) -> Option<jiff::Timestamp> {
    let manager = format!("{MANAGER}-{CONCERN}");
    let ours = fields.iter().find(|entry| entry.manager.as_deref() == Some(&manager))?;
    ours.time.as_ref().map(|at| at.0)
}
