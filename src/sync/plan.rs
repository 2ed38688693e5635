//! What to do about one sync, and why. Pure: no client, no clock.

use std::{sync::Arc, time::Duration};

use super::{
    build,
    gather::{Found, Known, Source},
    look::{Look, complaint, filter, has_moved, shape_of, source_verdict, target_name},
    schedule,
};
use crate::{
    cluster::{
        queue::Next,
        secrets::{NewSecret, SecretMeta},
    },
    resources::{
        Reason, Trigger,
        condition::{Verdict, find},
        reason::Retry,
        sync::SourceStatus,
    },
    secret::{ChangeRecord, FingerprintKey, ManagedSecret, Snapshot, demand, managed::Meta},
};

/// What to do about the managed Secret.
#[derive(Debug)]
pub enum SecretPlan {
    /// It stays as it is.
    Leave,
    /// It is written, whole.
    Write(Box<Write>),
    /// It is deleted: its source has gone, and the sync says so.
    Delete(Arc<SecretMeta>),
}

/// A write of the managed Secret.
#[derive(Debug)]
pub struct Write {
    /// What is written.
    pub secret: NewSecret,
    /// Over what; `None` to create it.
    pub over: Option<SecretMeta>,
    /// Whether it must be deleted first: `immutable` or a wrong type cannot be changed.
    pub anew: bool,
}

/// What came of the entry's content.
#[derive(Debug)]
pub struct Content {
    /// What the managed Secret holds, or is to hold.
    pub meta: Meta,
    /// What the last write changed.
    pub record: Option<ChangeRecord>,
    /// Whether every key is delivered.
    pub keys: Verdict,
}

/// What to do about one sync, and why.
#[derive(Debug)]
pub struct Plan {
    /// What to do about the managed Secret.
    pub secret: SecretPlan,
    /// Whether the managed Secret was looked at and is as it is to be. Only then is it recorded: what somebody edited
    /// while its store could not be read is repaired when it can.
    pub stands: bool,
    /// Secrets of an earlier target name: deleted or let go once the new one stands.
    pub strays: Vec<Arc<SecretMeta>>,
    /// What the condition `Synced` is to say; `None` to leave it.
    pub synced: Option<Verdict>,
    /// What was read; `None` where nothing was.
    pub content: Option<Content>,
    /// The head that was dealt with.
    pub source: Option<SourceStatus>,
    /// What made us look.
    pub trigger: Option<Trigger>,
    /// The request that this deals with.
    pub handled: Option<String>,
    /// When to look again.
    pub next: Next,
}

impl Plan {
    fn new(known: &Known, found: &Found) -> Self {
        Self {
            secret: SecretPlan::Leave,
            stands: false,
            strays: Vec::new(),
            synced: None,
            content: None,
            source: None,
            trigger: found.trigger,
            handled: known.request.as_ref().map(|request| request.value.clone()),
            next: Next::OnChange,
        }
    }

    /// Whether the source has gone, and its Secret is to be gone with it.
    pub fn has_gone(&self) -> bool {
        self.synced.as_ref().is_some_and(|verdict| verdict.reason == Reason::SourceGone)
    }

    fn stopped(mut self, verdict: Verdict) -> Self {
        self.next = Next::Failed(verdict.reason.retry());
        self.synced = Some(verdict);
        self
    }
}

/// Decides. `look` is what was to be asked, `found` what was found by it.
pub fn plan(known: &Known, look: &Look, found: &Found, key: &FingerprintKey, now: jiff::Timestamp) -> Plan {
    let plan = Plan::new(known, found);
    if let Look::Stop(verdict) = look {
        return stopped(known, plan, verdict.clone());
    }
    match &found.source {
        Source::Failed(error) => {
            let verdict = source_verdict(known, error);
            let mut plan = stopped(known, plan, verdict.clone());
            // A look at heads comes by itself; what a read alone met must be tried again.
            if !matches!(look, Look::Ask(_)) {
                plan.next = Next::Failed(verdict.reason.retry());
            }
            plan
        }
        Source::Read(snapshot) => read(known, found, snapshot, key, now, plan),
        Source::Unmoved | Source::NotAsked => {
            let plan = Plan { stands: found.target.there().is_some(), ..plan };
            rest(known, plan, now)
        }
    }
}

/// Something stands in the way: the last good stays, unless the sync wants it gone with its source.
fn stopped(known: &Known, plan: Plan, verdict: Verdict) -> Plan {
    let mut plan = plan.stopped(verdict);
    let reason = plan.synced.as_ref().map_or(Reason::Pending, |v| v.reason);
    let is_refused = complaint(&known.sync) == Some(Reason::TargetWriteFailed);
    if is_refused && plan.handled.is_none() && reason.is_of_source() && reason != Reason::SourceGone {
        // That a write was refused stays told and is tried again: nobody may ask for it once more.
        plan.synced = None;
        plan.next = Next::Failed(Reason::TargetWriteFailed.retry());
        return plan;
    }
    match reason {
        Reason::Suspended => {
            plan.handled = None;
            plan.synced = None;
        }
        Reason::SourceGone => {
            plan.secret = known.target.clone().map_or(SecretPlan::Leave, SecretPlan::Delete);
            plan.strays.clone_from(&known.strays);
        }
        _ => {}
    }
    // The ticker asks every store each minute, so no sync need ask on its own while its store fails.
    if matches!(reason.retry(), Retry::Backoff(..)) && reason.is_of_source() {
        plan.next = Next::OnChange;
    }
    plan
}

/// Why a content cannot be the managed Secret's. It is not read again for it.
pub const OF_CONTENT: [Reason; 2] = [Reason::TooLarge, Reason::TargetTypeUnmet];

fn unfit(known: &Known, built: &ManagedSecret) -> Option<Verdict> {
    let name = target_name(&known.sync);
    if let Err(too_large) = built.check_size() {
        let args = [("why", &*too_large.to_string()), ("name", name)];
        return Some(Verdict::new(false, Reason::TooLarge, &args));
    }
    let type_ = known.sync.spec.target_type();
    let why = demand::lacks(type_, &built.entries)?;
    Some(Verdict::new(false, Reason::TargetTypeUnmet, &[("name", name), ("type", type_), ("why", &why)]))
}

/// Nothing to bring. What had stood in the way may have gone.
fn rest(known: &Known, mut plan: Plan, now: jiff::Timestamp) -> Plan {
    let status = known.sync.status.as_ref();
    let reachable = known.head.as_ref().is_some_and(|book| book.head.is_ok()) || plan.handled.is_some();
    let old = status.and_then(|s| find(&s.conditions, "Synced"));
    // What the content itself stands in the way of stays until the content is another.
    let of_content = old.is_some_and(|c| OF_CONTENT.iter().any(|reason| c.reason == reason.as_str()));
    if reachable && !of_content {
        let version = status.and_then(|s| s.version).map(|v| v.to_string()).unwrap_or_default();
        let args = [("version", version.as_str()), ("name", target_name(&known.sync))];
        plan.synced = Some(Verdict::new(true, Reason::Synced, &args));
        plan.strays.clone_from(&known.strays);
    }
    if has_moved(known)
        && let Some(wait) = schedule::until_next(known.sync.spec.effective_auto_sync(), known.phase, now)
    {
        plan.next = Next::After(wait + Duration::from_millis(1));
    }
    plan
}

fn read(
    known: &Known,
    found: &Found,
    snapshot: &Snapshot,
    key: &FingerprintKey,
    now: jiff::Timestamp,
    mut plan: Plan,
) -> Plan {
    let Ok(filter) = filter(&known.sync) else { return plan };
    let built = ManagedSecret::build(snapshot, &build::identity(known), &filter, key);
    let name = target_name(&known.sync);
    let source = SourceStatus {
        secret_manager: known.entry.manager.clone(),
        path: known.entry.path.clone(),
        generation: known.sync.metadata.generation,
        shape: Some(shape_of(&known.sync.spec)),
        head: snapshot.head.clone(),
    };
    if let Some(verdict) = unfit(known, &built) {
        let mut plan = plan.stopped(verdict);
        // Noted as dealt with, and so is what stands there: it is read again when either moves, not before.
        plan.source = Some(source);
        plan.stands = found.target.there().is_some();
        plan.next = Next::OnChange;
        return plan;
    }
    let there = found.target.there();
    if let Some(secret) = there.filter(|secret| !build::is_ours(known, secret)) {
        let sync = known.sync.metadata.name.as_deref().unwrap_or_default();
        if secret.meta.adopt.as_deref() != Some(sync) {
            return plan.stopped(Verdict::new(false, Reason::TargetConflict, &[("name", name), ("sync", sync)]));
        }
    }
    let current = there.and_then(|secret| ManagedSecret::read_back(&secret.data, &build::identity(known), key));
    let same = current.as_ref().is_some_and(|current| current.revision == built.revision);
    let record = if same { there.and_then(build::last_record) } else { None };
    let trigger = found.trigger.unwrap_or(Trigger::Schedule);
    let record = record.unwrap_or_else(|| build::record_of(&built, there, trigger, now));
    let version = built.revision.version.to_string();
    plan.synced = Some(Verdict::new(true, Reason::Synced, &[("version", &version), ("name", name)]));
    let kept = current.filter(|_| same && build::is_as_written(known, there, key));
    if kept.is_none() {
        plan.secret = SecretPlan::Write(Box::new(Write {
            secret: build::secret(known, &built, &record, there),
            over: there.map(|secret| secret.meta.clone()),
            anew: there.is_some_and(|secret| secret.immutable || secret.type_ != known.sync.spec.target_type()),
        }));
    }
    plan.stands = kept.is_some();
    plan.content = Some(Content {
        keys: build::keys_verdict(&built),
        // What stays was issued when it was written.
        meta: kept.map_or(built.meta, |current| current.meta),
        record: Some(record),
    });
    plan.source = Some(source);
    plan.strays.clone_from(&known.strays);
    plan
}

#[cfg(test)]
mod tests;
