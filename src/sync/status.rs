//! The status of one sync, built from what was known, planned and applied; and what is told of it.

use super::{
    apply::Applied,
    gather::Known,
    look::target_name,
    plan::{Content, Plan},
};
use crate::{
    cluster::{Error, queue::Next, secrets::SecretMeta},
    operator::pace::Weight,
    resources::{
        Outcome, Reason, SpaceSecretSyncStatus, Timestamp, Trigger,
        condition::{Conditions, State, Verdict, find, new_warning},
        reason::Retry,
        sync::{DeliveryStatus, LastSync, TargetStatus},
    },
};

/// Names in a status are capped; the count beside them is not.
const MAX_KEYS: usize = 200;
const MAX_HISTORY: usize = 10;

/// How far the current revision has come, and what the condition `Delivered` says of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// The counts.
    pub status: DeliveryStatus,
    /// The condition.
    pub verdict: Verdict,
}

/// What the plan's verdict became by applying it.
pub fn synced(known: &Known, plan: &Plan, applied: &Applied) -> Option<Verdict> {
    match applied {
        Applied::Refused(error) => {
            let why = match error {
                Error::Forbidden(why) => why.clone(),
                other => other.to_string(),
            };
            let args = [("name", target_name(&known.sync)), ("why", &why)];
            Some(Verdict::new(false, Reason::TargetWriteFailed, &args))
        }
        _ => plan.synced.clone(),
    }
}

/// When to look again, by what was applied.
pub fn next(plan: &Plan, applied: &Applied) -> Next {
    match applied {
        Applied::Refused(_) => Next::Failed(Reason::TargetWriteFailed.retry()),
        _ => plan.next,
    }
}

/// The new status.
pub fn build(
    known: &Known,
    plan: &Plan,
    applied: &Applied,
    delivery: impl FnOnce(Option<&str>) -> Delivery,
    now: jiff::Timestamp,
) -> SpaceSecretSyncStatus {
    let old = known.sync.status.clone().unwrap_or_default();
    let synced = synced(known, plan, applied);
    let mut new = SpaceSecretSyncStatus {
        observed_generation: known.sync.metadata.generation,
        space: known.space.as_ref().and_then(|space| space.metadata.name.clone()),
        auto_sync: Some(known.sync.spec.effective_auto_sync()),
        ..old.clone()
    };
    if !matches!(applied, Applied::Refused(_)) {
        if let Some(content) = &plan.content {
            take_content(&mut new, content);
        }
        if plan.source.is_some() {
            new.source.clone_from(&plan.source);
        }
        take_target(&mut new, known, plan, applied);
    }
    new.last_sync = last_sync(&old, plan, applied, synced.as_ref(), now);
    if plan.handled.is_some() {
        new.last_handled_sync_request.clone_from(&plan.handled);
    }
    let delivery = delivery(new.revision.as_deref());
    new.delivery = Some(delivery.status);
    new.conditions = conditions(known, plan, synced.as_ref(), &delivery.verdict, &old, now);
    new
}

fn take_content(new: &mut SpaceSecretSyncStatus, content: &Content) {
    let meta = &content.meta;
    new.version = Some(meta.version);
    new.revision = Some(meta.revision.clone());
    new.created_at = Some(meta.created_at);
    new.updated_at = Some(meta.updated_at);
    new.issued_at = Some(meta.issued_at);
    new.key_count = Some(meta.keys.len());
    new.keys = meta.keys.iter().take(MAX_KEYS).cloned().collect();
    if let Some(record) = &content.record
        && new.history.first() != Some(record)
    {
        new.history.insert(0, record.clone());
        new.history.truncate(MAX_HISTORY);
    }
}

fn take_target(new: &mut SpaceSecretSyncStatus, known: &Known, plan: &Plan, applied: &Applied) {
    let as_status = |secret: &SecretMeta| TargetStatus {
        name: secret.name.clone(),
        uid: secret.uid.clone(),
        resource_version: secret.resource_version.clone(),
    };
    match (applied, &known.target) {
        (Applied::Written(secret), _) => new.target = Some(as_status(secret)),
        (Applied::Nothing, Some(secret)) if plan.stands && secret.revision == new.revision => {
            new.target = Some(as_status(secret));
        }
        // Also where a crash came between the Secret and the status.
        (Applied::Deleted, _) | (Applied::Nothing, None) if plan.has_gone() => {
            *new = SpaceSecretSyncStatus {
                version: None,
                revision: None,
                created_at: None,
                updated_at: None,
                issued_at: None,
                key_count: None,
                keys: Vec::new(),
                target: None,
                source: None,
                ..std::mem::take(new)
            };
        }
        _ => {}
    }
}

/// Moves when something was brought, asked for, or began to fail; a cycle that found nothing new is not written down.
fn last_sync(
    old: &SpaceSecretSyncStatus,
    plan: &Plan,
    applied: &Applied,
    synced: Option<&Verdict>,
    now: jiff::Timestamp,
) -> Option<LastSync> {
    let at = |time, trigger, result| Some(LastSync { time, trigger, result });
    let now = Timestamp::millis(now);
    let trigger = plan.trigger.unwrap_or(Trigger::Schedule);
    let record = plan.content.as_ref().and_then(|content| content.record.as_ref());
    if let (Applied::Written(_), Some(record)) = (applied, record) {
        return at(record.time, trigger, Outcome::Synced);
    }
    let fails = synced.filter(|verdict| verdict.state == State::False);
    if plan.handled.is_some() {
        return at(now, trigger, if fails.is_some() { Outcome::Failed } else { Outcome::Unchanged });
    }
    // Written before a crash that came before the status.
    let is_there = !matches!(applied, Applied::Refused(_));
    if let Some(record) = record.filter(|record| is_there && old.history.first() != Some(*record)) {
        return at(record.time, record.trigger, Outcome::Synced);
    }
    let known_to_fail = |verdict: &&Verdict| {
        find(&old.conditions, "Synced").is_some_and(|c| c.status == "False" && c.reason == verdict.reason.as_str())
    };
    match fails {
        Some(verdict) if !known_to_fail(&verdict) => at(now, trigger, Outcome::Failed),
        _ => old.last_sync.clone(),
    }
}

fn conditions(
    known: &Known,
    plan: &Plan,
    synced: Option<&Verdict>,
    delivered: &Verdict,
    old: &SpaceSecretSyncStatus,
    now: jiff::Timestamp,
) -> Vec<k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition> {
    let pending = Verdict::new(State::Unknown, Reason::Pending, &[]);
    let keys = plan.content.as_ref().map(|content| &content.keys);
    let (reconciling, stalled) = synced.map_or((None, None), progress);
    let conditions = Conditions::over(&old.conditions, known.sync.metadata.generation, now);
    let conditions = if known.sync.spec.is_suspended() {
        let ready = find(&old.conditions, "Synced").is_some_and(|c| c.status == "True");
        conditions.set("Ready", &Verdict::new(ready, Reason::Suspended, &[]))
    } else {
        conditions.set_or_keep("Ready", synced, &pending)
    };
    conditions
        .set_or_keep("Synced", synced, &pending)
        .set_or_keep("KeysComplete", keys, &pending)
        .set("Delivered", delivered)
        .set_while("Reconciling", reconciling.as_ref())
        .set_while("Stalled", stalled.as_ref())
        .done()
}

/// kstatus: what we go on trying is Reconciling, what waits for a person is Stalled.
fn progress(synced: &Verdict) -> (Option<Verdict>, Option<Verdict>) {
    if synced.state != State::False {
        return (None, None);
    }
    let holds = Verdict { state: State::True, ..synced.clone() };
    let by_itself = synced.reason.as_str().starts_with("Source") && matches!(synced.reason.retry(), Retry::Backoff(..));
    if by_itself { (Some(holds), None) } else { (None, Some(holds)) }
}

/// How much `new` differs from the status that stands; `None` where it says the same.
pub fn weight(old: Option<&SpaceSecretSyncStatus>, new: &SpaceSecretSyncStatus) -> Option<Weight> {
    let Some(old) = old else { return Some(Weight::News) };
    let delivered = |status: &SpaceSecretSyncStatus| find(&status.conditions, "Delivered").cloned();
    let without_counts = |status: &SpaceSecretSyncStatus| {
        let mut status = SpaceSecretSyncStatus { delivery: None, ..status.clone() };
        status.conditions.retain(|condition| condition.type_ != "Delivered");
        status
    };
    if old == new {
        return None;
    }
    let only_counts = without_counts(old) == without_counts(new);
    Some(if only_counts { Weight::of_counts(delivered(old).as_ref(), delivered(new).as_ref()) } else { Weight::News })
}

/// What is newly to be told as a Warning.
pub fn warnings<'a>(
    old: Option<&SpaceSecretSyncStatus>,
    new: &'a SpaceSecretSyncStatus,
) -> impl Iterator<Item = (Reason, &'a str)> {
    let before = old.map(|status| status.conditions.clone()).unwrap_or_default();
    let types = ["Ready", "KeysComplete", "Delivered"];
    let told = types.into_iter().filter_map(move |type_| new_warning(&before, &new.conditions, type_));
    // The FlowApp tells of that one, and why it is so.
    told.filter(|(reason, _)| *reason != Reason::RestartStalled)
}

/// Whether what was told as a Warning is over, so that whoever reads the log need not wonder.
pub fn has_recovered(old: Option<&SpaceSecretSyncStatus>, new: &SpaceSecretSyncStatus) -> bool {
    let is = |status: &SpaceSecretSyncStatus, wanted: &str| {
        find(&status.conditions, "Synced").is_some_and(|condition| condition.status == wanted)
    };
    old.is_some_and(|old| is(old, "False")) && is(new, "True")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(state: State, reason: Reason, summary: &str) -> SpaceSecretSyncStatus {
        let verdict = Verdict::new(state, reason, &[]);
        SpaceSecretSyncStatus {
            version: Some(2),
            delivery: Some(DeliveryStatus { summary: summary.into(), ..DeliveryStatus::default() }),
            conditions: Conditions::over(&[], None, jiff::Timestamp::UNIX_EPOCH).set("Delivered", &verdict).done(),
            ..SpaceSecretSyncStatus::default()
        }
    }

    #[test]
    fn what_only_counts_pods_may_wait_and_everything_else_may_not() {
        let none = status(State::False, Reason::Delivering, "0/2");
        let half = status(State::False, Reason::Delivering, "1/2");
        let all = status(State::True, Reason::Delivered, "2/2");
        assert_eq!(weight(None, &none), Some(Weight::News));
        assert_eq!(weight(Some(&none), &none), None);
        assert_eq!(weight(Some(&none), &half), Some(Weight::Count));
        assert_eq!(weight(Some(&half), &all), Some(Weight::Complete));
        assert_eq!(weight(Some(&half), &status(State::False, Reason::NoAck, "1/2")), Some(Weight::News));
        let next = SpaceSecretSyncStatus { version: Some(3), ..half.clone() };
        assert_eq!(weight(Some(&half), &next), Some(Weight::News));
    }

    #[test]
    fn a_recovery_is_told_once() {
        let with = |state| {
            let verdict = Verdict::new(state, Reason::SourceSealed, &[]);
            let conditions = Conditions::over(&[], None, jiff::Timestamp::UNIX_EPOCH).set("Synced", &verdict).done();
            SpaceSecretSyncStatus { conditions, ..SpaceSecretSyncStatus::default() }
        };
        let (good, bad) = (with(State::True), with(State::False));
        assert!(has_recovered(Some(&bad), &good));
        for (old, new) in [(None, &good), (Some(&good), &good), (Some(&good), &bad), (Some(&bad), &bad)] {
            assert!(!has_recovered(old, new));
        }
    }
}
