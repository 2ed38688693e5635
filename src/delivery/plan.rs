//! What is to be done about one FlowApp, and why. Pure: no client, no clock.

use std::{sync::Arc, time::Duration};

use super::{
    gather::{Known, Serving, Workload},
    injection::{self, Found, Injection, Wanted},
    pod::PodView,
    signal::{self, Step},
    workload::WorkloadMeta,
};
use crate::resources::{
    Reason,
    condition::{State, Verdict, find},
    flow_app::WorkloadStatus,
};

/// What is to be told to one pod.
#[derive(Clone, Debug, PartialEq)]
pub struct Telling {
    /// The pod.
    pub pod: Arc<PodView>,
    /// The Flow App's version.
    pub version: String,
    /// The revision, and which attempt it is; `None` when only the version is told.
    pub signal: Option<(String, usize)>,
}

/// What is to be told to whom right now.
pub fn tellings(known: &Known, now: jiff::Timestamp) -> Vec<Telling> {
    let version = &known.app.spec.version;
    let telling = |pod: &Arc<PodView>| {
        let signal = match step(known, pod, now) {
            Step::Signal { attempt } => Some((known.told_revision()?.to_owned(), attempt)),
            Step::TellVersion => None,
            Step::Rest | Step::Wait(_) | Step::GaveUp => return None,
        };
        Some(Telling { pod: pod.clone(), version: version.clone(), signal })
    };
    known.pods.iter().filter_map(telling).collect()
}

/// What is to be done about one pod. Whether the plugin serves in it depends on the version, so that every pod is told
/// that; what is to be signalled to it says the version along with it.
fn step(known: &Known, pod: &PodView, now: jiff::Timestamp) -> Step {
    let version = &known.app.spec.version;
    match known.told_revision() {
        Some(revision) => signal::step(pod, revision, version, now),
        // A signal will come, and the kubelet refreshes a pod at once only once a second.
        None if known.will_be_told() => Step::Rest,
        None => signal::version_step(pod, version),
    }
}

/// When the next signal is due, if nothing changes. `began` is when [`tellings`] was asked: what became due since then was
/// not told yet; what was due then was told, or its pod has gone, which the watch will say.
pub fn next_signal(known: &Known, began: jiff::Timestamp, now: jiff::Timestamp) -> Option<Duration> {
    let waits = known.pods.iter().filter_map(|pod| match step(known, pod, now) {
        Step::Wait(wait) => Some(wait),
        Step::Signal { .. } if matches!(step(known, pod, began), Step::Wait(_)) => Some(Duration::ZERO),
        _ => None,
    });
    waits.min()
}

/// How the workload stands, and as what it is remembered.
#[derive(Clone, Debug, PartialEq)]
pub struct Injected {
    /// The condition.
    pub verdict: Verdict,
    /// While the workload is as it was here, it is not read again. Nothing where it must be.
    pub workload: Option<WorkloadStatus>,
}

impl Injected {
    fn not(reason: Reason, args: &[(&str, &str)]) -> Self {
        Self { verdict: Verdict::new(false, reason, args), workload: None }
    }

    /// An attempt failed that is made again.
    pub fn failed(known: &Known, why: &str) -> Self {
        let [kind, name] = known.workload_args();
        Self::not(Reason::InjectionFailed, &[kind, name, ("why", why)])
    }
}

/// What the caches say of the workload.
#[derive(Clone, Debug, PartialEq)]
pub enum Look {
    /// All that there is to know.
    Settled(Injected),
    /// That it moved, so that its template must be read.
    Read(Arc<WorkloadMeta>),
}

/// A chain of small rules, the first that speaks decides. Their order is the policy.
const RULES: &[fn(&Known) -> Option<Look>] = &[not_served, taken, not_found, unmoved];

/// What the caches say of the workload.
pub fn look(known: &Known) -> Look {
    let read = || known.workload.clone().map(Look::Read);
    RULES.iter().find_map(|rule| rule(known)).or_else(read).expect("a workload that is not found is settled")
}

/// Nothing is injected without a sync; an injection that is there stays.
fn not_served(known: &Known) -> Option<Look> {
    if known.serving.is_some() {
        return None;
    }
    let remembered = remembered(known).filter(|(before, verdict)| {
        verdict.state == State::True && known.workload.as_ref().is_some_and(|workload| workload.uid == before.uid)
    });
    Some(Look::Settled(match remembered {
        Some((workload, verdict)) => Injected { verdict, workload: Some(workload.clone()) },
        None => Injected::not(Reason::NoSync, &[]),
    }))
}

fn taken(known: &Known) -> Option<Look> {
    let other = known.holder.as_deref()?;
    let [kind, name] = known.workload_args();
    Some(Look::Settled(Injected::not(Reason::WorkloadTaken, &[kind, name, ("other", other)])))
}

fn not_found(known: &Known) -> Option<Look> {
    known.workload.is_none().then(|| Look::Settled(missing(known)))
}

fn missing(known: &Known) -> Injected {
    Injected::not(Reason::WorkloadNotFound, &known.workload_args())
}

/// The status says how this very workload was found for this very spec.
fn unmoved(known: &Known) -> Option<Look> {
    let (before, verdict) = remembered(known)?;
    let workload = known.workload.as_ref()?;
    let status = known.app.status.as_ref()?;
    let same_spec = status.observed_generation == known.app.metadata.generation;
    let same_workload = before.uid == workload.uid && before.generation == workload.generation;
    let same_secret = known.serving.as_ref().is_some_and(|serving| serving.secret == before.secret);
    // Without its label an injected workload would not be found when it is to be withdrawn.
    let labelled = workload.injected.is_none() || workload.flow_app.as_deref() == Some(&known.key.name);
    let same = same_spec && same_workload && same_secret && labelled;
    same.then(|| Look::Settled(Injected { verdict, workload: Some(before.clone()) }))
}

/// The workload as it was last looked at, and what was said of it.
fn remembered(known: &Known) -> Option<(&WorkloadStatus, Verdict)> {
    let status = known.app.status.as_ref()?;
    let condition = find(&status.conditions, "Injected")?;
    let verdict = Verdict {
        state: State::from(condition.status == "True"),
        reason: Reason::parse(&condition.reason)?,
        message: condition.message.clone(),
    };
    Some((status.workload.as_ref()?, verdict))
}

/// What is to be done about a workload that was read.
#[derive(Clone, Debug, PartialEq)]
pub enum Plan {
    /// Nothing: it is as it should be, or only a person can mend it.
    Leave(Injected),
    /// The injection is applied to this container.
    Inject {
        /// The workload.
        workload: Box<WorkloadMeta>,
        /// The container.
        container: String,
        /// The sources of the volume.
        sources: serde_json::Value,
        /// What is claimed first, so that no mount of an earlier injection stays elsewhere.
        claim: Option<serde_json::Value>,
        /// What becomes of it.
        then: Verdict,
    },
}

/// What the template of an app's workload is to have.
pub fn wanted<'a>(known: &'a Known, serving: &'a Serving) -> Wanted<'a> {
    let spec = &known.app.spec;
    let (path, container) = (spec.effective_mount_path(), spec.container.as_deref());
    Wanted { app: &known.key.name, secret: &serving.secret, path, container }
}

/// What is to be done about the workload that was read; `None` when it has gone meanwhile.
pub fn plan(known: &Known, read: Option<&Workload>) -> Plan {
    let (Some(read), Some(serving)) = (read, &known.serving) else { return Plan::Leave(missing(known)) };
    let wanted = wanted(known, serving);
    let [kind, name] = known.workload_args();
    let say = |holds: bool, reason, container: &str| {
        let args = [kind, name, ("secret", wanted.secret), ("path", wanted.path), ("container", container)];
        Verdict::new(holds, reason, &args)
    };
    let found = Found { template: &read.template, owned: read.owned, label: read.meta.flow_app.as_deref() };
    let verdict = match injection::compare(found, &wanted) {
        Injection::Missing { container, sources } => {
            let then = say(true, Reason::Injected, "");
            let claim = injection::claim(&read.meta, &read.template, Some((&container, wanted.path)));
            return Plan::Inject { workload: Box::new(read.meta.clone()), container, sources, claim, then };
        }
        Injection::Ours | Injection::Declared => say(true, Reason::Injected, ""),
        Injection::NoContainer { container } => say(false, Reason::ContainerNotFound, &container),
        Injection::VolumeConflict => say(false, Reason::VolumeConflict, ""),
        Injection::MountConflict { container } => say(false, Reason::MountConflict, &container),
    };
    Plan::Leave(Injected { verdict, workload: Some(as_status(&read.meta, serving)) })
}

/// As what a workload is remembered.
pub fn as_status(workload: &WorkloadMeta, serving: &Serving) -> WorkloadStatus {
    WorkloadStatus { uid: workload.uid.clone(), generation: workload.generation, secret: serving.secret.clone() }
}

#[cfg(test)]
mod tests;
