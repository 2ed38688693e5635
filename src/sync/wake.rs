//! Whom a look at the heads wakes although it brought nothing new. Pure: no client, no clock.
//!
//! What a head says may have been noted by another: a request of one sync, or a read of a neighbour's that shares the
//! entry. So it is compared with what each sync says, and whoever says it already, or tries again by itself, sleeps on.

use super::{look::complaint, plan::OF_CONTENT};
use crate::{
    resources::{Reason, SpaceSecretSync, reason::Retry},
    store::{Head, StoreError},
};

/// Whether a sync has something to do about a head that is no news. `is_due` says whether its schedule lets it act on
/// it, `tries_again` whether it comes by itself, with a pause of its own, after what it met: a store may tell heads and
/// refuse values.
pub fn differs(
    sync: &SpaceSecretSync,
    head: &Result<Head, StoreError>,
    is_due: impl FnOnce() -> bool,
    tries_again: impl FnOnce() -> bool,
) -> bool {
    let said = complaint(sync);
    let has_a_pause = |reason: Reason| matches!(reason.retry(), Retry::Backoff(..));
    if sync.spec.is_suspended() || said.is_some_and(has_a_pause) && tries_again() {
        return false;
    }
    let source = sync.status.as_ref().and_then(|status| status.source.as_ref());
    match failure(head) {
        None => {
            let healed = said.is_some_and(Reason::is_of_source);
            healed || head.as_ref().is_ok_and(|head| source.is_none_or(|source| source.head != *head))
        }
        Some(error) => {
            // What waits for a change of its own does not look at its store before; what its content was too large for does.
            let is_its_own = |reason: Reason| reason.retry() == Retry::OnChange && !OF_CONTENT.contains(&reason);
            let stands_in_the_way = said.is_some_and(is_its_own);
            let is_told = said == Some(error.reason()) || error.is_of_entry() && said == Some(Reason::SourceGone);
            !is_told && !stands_in_the_way && (source.is_none() || is_due())
        }
    }
}

/// Whether a sync says that its store fails.
pub fn says_that_its_store_fails(sync: &SpaceSecretSync) -> bool {
    complaint(sync).is_some_and(Reason::is_of_source)
}

/// An entry that is deleted fails whoever wants to read it.
fn failure(head: &Result<Head, StoreError>) -> Option<StoreError> {
    match head {
        Ok(head) => head.is_gone().then(|| StoreError::Deleted(String::new())),
        Err(error) => Some(error.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::sample::{fresh, head, in_step, now},
        *,
    };
    use crate::resources::{
        DeletionPolicy, SpaceSecretSyncSpec,
        condition::{Conditions, State, Verdict},
    };

    /// A sync in step, or one that has nothing yet, whose `Synced` says this.
    fn saying(is_fresh: bool, reason: Reason) -> SpaceSecretSync {
        let mut sync = if is_fresh { fresh() } else { in_step() }.sync.as_ref().clone();
        let state = if reason == Reason::Synced { State::True } else { State::False };
        let conditions = Conditions::over(&[], Some(1), now()).set("Synced", &Verdict::new(state, reason, &[])).done();
        sync.status.get_or_insert_default().conditions = conditions;
        sync
    }

    fn with(mut sync: SpaceSecretSync, change: impl FnOnce(&mut SpaceSecretSyncSpec)) -> SpaceSecretSync {
        change(&mut sync.spec);
        sync
    }

    fn wakes(sync: &SpaceSecretSync, head: &Result<Head, StoreError>) -> bool {
        differs(sync, head, || true, || false)
    }

    fn gone() -> Head {
        Head { deleted: Some(now().into()), ..head(1) }
    }

    #[test]
    fn an_unchanged_world_wakes_nobody() {
        let (synced, fails) = (saying(false, Reason::Synced), Err(StoreError::TimedOut));
        assert!(!wakes(&synced, &Ok(head(1))));
        assert!(!wakes(&saying(false, Reason::SourceTimedOut), &fails));
        assert!(!wakes(&saying(true, Reason::SourceTimedOut), &fails));
        assert!(!wakes(&saying(false, Reason::SourceDeleted), &Ok(gone())));
        assert!(!wakes(&saying(false, Reason::SecretManagerInvalid), &Err(StoreError::Config("no key".into()))));
        let misspelt =
            with(saying(true, Reason::SourceNotFound), |spec| spec.on_source_gone = Some(DeletionPolicy::Delete));
        assert!(!wakes(&misspelt, &Err(StoreError::NotFound("newsrom".into()))));
        let delete = |sync| with(sync, |spec| spec.on_source_gone = Some(DeletionPolicy::Delete));
        for missing in [Ok(gone()), Err(StoreError::NotFound("newsroom".into()))] {
            assert!(!wakes(&delete(saying(true, Reason::SourceGone)), &missing));
            assert!(wakes(&delete(saying(false, Reason::Synced)), &missing));
        }
    }

    #[test]
    fn whoever_was_not_told_is_woken_though_another_noted_it_first() {
        assert!(wakes(&saying(false, Reason::Synced), &Ok(head(2))), "a version that a request of another met");
        for error in [StoreError::TimedOut, StoreError::Sealed, StoreError::NotFound("newsroom".into())] {
            assert!(wakes(&saying(false, Reason::Synced), &Err(error.clone())), "{error}");
            assert!(wakes(&fresh().sync, &Err(error.clone())), "{error}");
        }
        assert!(wakes(&saying(false, Reason::SourceSealed), &Err(StoreError::TimedOut)), "it fails in another way");
        assert!(wakes(&saying(false, Reason::Synced), &Ok(gone())));
    }

    #[test]
    fn whoever_says_that_its_store_fails_is_woken_by_a_head_to_be_healed() {
        assert!(wakes(&saying(false, Reason::SourceTimedOut), &Ok(head(1))));
        assert!(wakes(&saying(true, Reason::SourceTimedOut), &Ok(head(1))));
    }

    #[test]
    fn whoever_tries_again_by_itself_is_not_woken_for_nothing_where_heads_come_and_values_do_not() {
        let refused = [saying(false, Reason::SourceForbidden), saying(true, Reason::SourceForbidden)];
        for sync in &refused {
            for head in [Ok(head(1)), Ok(head(2)), Err(StoreError::TimedOut)] {
                assert!(!differs(sync, &head, || true, || true), "{head:?}");
                assert!(differs(sync, &head, || true, || false), "{head:?}");
            }
        }
        let conflict = saying(true, Reason::TargetConflict);
        assert!(!differs(&conflict, &Ok(head(1)), || true, || true), "each time it would read the value for nothing");
    }

    #[test]
    fn nobody_is_woken_who_could_do_nothing() {
        let fails = Err(StoreError::TimedOut);
        let suspended = |reason| with(saying(false, reason), |spec| spec.suspend = Some(true));
        assert!(!wakes(&suspended(Reason::SourceSealed), &Ok(head(1))));
        assert!(!wakes(&suspended(Reason::Synced), &fails));
        // Manual, or at the next instant of its schedule.
        assert!(!differs(&saying(false, Reason::Synced), &fails, || false, || false));
        for reason in [Reason::TargetTaken, Reason::BadKeyPattern] {
            assert!(!wakes(&saying(true, reason), &fails), "{reason}");
        }
        // Nothing was brought yet: why is said whatever the schedule.
        assert!(differs(&fresh().sync, &fails, || false, || false));
    }
}
