//! `spacesync_delivery_seconds`: from a change in the store to the flows that read it.
//!
//! Observed by the replica that takes the acknowledgement, once for each pod and revision, where both ends are known: the
//! change that the sync's current revision brought (see [`crate::sync::change`]), and a pod that ran before that was read
//! from the store. One that started later was never told of a change. The end is when the acknowledgement arrived.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};

use super::{bounded::Bounded, caller::Caller};
use crate::{
    cluster::cache::{Item, Key},
    delivery::pod::PodView,
    operator::{Context, metrics::ScheduleLabels},
    resources::SpaceSecretSyncStatus,
    sync::change,
};

/// How many pods are remembered with the revision that was last counted of them.
const REMEMBERED: usize = 20_000;
/// The status of a sync comes right after its Secret, but an acknowledgement may come between them.
const PATIENCE: Duration = Duration::from_secs(10);
const SECOND: SignedDuration = SignedDuration::from_secs(1);

/// What was counted.
#[derive(Debug)]
pub struct Latency(Arc<Mutex<Bounded<String, String>>>);

impl Default for Latency {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Bounded::new(REMEMBERED))))
    }
}

impl Latency {
    /// A pod has loaded a revision.
    pub fn note(&self, ctx: &Arc<Context>, caller: &Caller, revision: &str, arrived: Timestamp) {
        let Some(sync) = &caller.sync else { return };
        let (ctx, pod, key) = (ctx.clone(), caller.pod.clone(), sync.key());
        let (revision, counted) = (revision.to_owned(), self.0.clone());
        tokio::spawn(async move {
            let status = tokio::time::timeout(PATIENCE, status_of(&ctx, &key, &revision)).await;
            let Ok(Some(status)) = status else { return };
            let Some(took) = took(&status, &pod, arrived) else { return };
            let mut counted = counted.lock().expect("no code panics while it holds the lock");
            let before = counted.get(&pod.uid) == Some(&revision);
            counted.put(pod.uid.clone(), revision);
            drop(counted);
            if !before {
                let labels = ScheduleLabels { auto_sync: status.auto_sync.unwrap_or_default().as_str() };
                ctx.metrics.delivery_seconds.get_or_create(&labels).observe(took.as_secs_f64());
            }
        });
    }
}

/// The sync's status when it says this revision; nothing where the managed Secret holds another.
async fn status_of(ctx: &Context, key: &Key, revision: &str) -> Option<SpaceSecretSyncStatus> {
    let mut changes = ctx.caches.syncs.changes();
    loop {
        changes.mark_unchanged();
        let sync = ctx.caches.syncs.get(key)?;
        let says = sync.status.as_ref().filter(|status| status.revision.as_deref() == Some(revision));
        if let Some(status) = says {
            return Some(status.clone());
        }
        let target = Key::new(&key.namespace, sync.spec.target_name(&key.name));
        ctx.caches.managed.get(&target).filter(|secret| secret.revision.as_deref() == Some(revision))?;
        changes.changed().await.ok()?;
    }
}

/// How long it took, where that can be said.
fn took(status: &SpaceSecretSyncStatus, pod: &PodView, arrived: Timestamp) -> Option<SignedDuration> {
    let began = change::came(status)?;
    let issued = status.issued_at?.0;
    // The start of a container has whole seconds: the last moment of it must have been before.
    let ran_before = pod.started_at.is_some_and(|started| started + SECOND <= issued);
    ran_before.then(|| arrived.duration_since(began).max(SignedDuration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        resources::Trigger,
        secret::{ChangeRecord, change::Names},
    };

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(1_700_000_000_000 + millis).unwrap()
    }

    fn record(version: u64) -> ChangeRecord {
        ChangeRecord {
            version,
            revision: format!("{version}-0000000000000001"),
            time: at(0).into(),
            trigger: Trigger::Live,
            added: Names::default(),
            changed: Names::default(),
            removed: Names::default(),
        }
    }

    fn status(updated: i64, issued: i64) -> SpaceSecretSyncStatus {
        SpaceSecretSyncStatus {
            revision: Some(record(2).revision),
            updated_at: Some(at(updated).into()),
            issued_at: Some(at(issued).into()),
            history: vec![record(2), record(1)],
            ..SpaceSecretSyncStatus::default()
        }
    }

    fn started(millis: i64) -> PodView {
        PodView { started_at: Some(at(millis)), ..PodView::default() }
    }

    fn millis(status: &SpaceSecretSyncStatus, pod: &PodView, arrived: i64) -> Option<i128> {
        took(status, pod, at(arrived)).map(|took| took.as_millis())
    }

    #[test]
    fn from_the_stores_time_of_the_change_to_the_acknowledgement() {
        assert_eq!(millis(&status(1_001, 1_050), &started(-60_000), 1_201), Some(200));
        // A store that is asked once a minute.
        assert_eq!(millis(&status(1_001, 55_000), &started(-60_000), 56_001), Some(55_000));
    }

    #[test]
    fn a_store_that_knows_only_seconds_never_makes_it_longer_than_it_was() {
        // The change came at some moment of [1000, 2000), and was read at 1050, 1950 or much later.
        assert_eq!(millis(&status(1_000, 1_050), &started(-60_000), 1_200), Some(150));
        assert_eq!(millis(&status(1_000, 1_950), &started(-60_000), 2_100), Some(150));
        assert_eq!(millis(&status(1_000, 55_000), &started(-60_000), 56_000), Some(54_000));
    }

    #[test]
    fn a_clock_of_a_store_that_is_ahead_gives_no_time_below_zero() {
        assert_eq!(millis(&status(9_001, 1_050), &started(-60_000), 1_200), Some(150));
        assert_eq!(millis(&status(9_001, 1_050), &started(-60_000), 1_000), Some(0));
    }

    #[test]
    fn a_pod_that_did_not_surely_run_before_the_revision_is_not_counted() {
        let status = status(1_001, 10_000);
        for (pod, counted) in
            [(started(9_000), true), (started(9_001), false), (started(10_000), false), (PodView::default(), false)]
        {
            assert_eq!(millis(&status, &pod, 10_500).is_some(), counted, "{:?}", pod.started_at);
        }
    }

    #[test]
    fn what_is_no_change_of_the_store_is_not_counted() {
        let pod = started(-60_000);
        let counted = status(1_001, 1_050);
        let first = SpaceSecretSyncStatus { history: vec![record(2)], ..counted.clone() };
        let filtered = SpaceSecretSyncStatus { history: vec![record(2), record(2)], ..counted.clone() };
        let other = SpaceSecretSyncStatus { revision: Some("9-0000000000000009".into()), ..counted.clone() };
        for status in [first, filtered, other] {
            assert_eq!(millis(&status, &pod, 2_000), None);
        }
        assert!(millis(&counted, &pod, 2_000).is_some());
    }
}
