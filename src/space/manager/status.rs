//! The status of one `SecretManager`, and what is told of it.

use jiff::Timestamp;

use crate::{
    resources::{
        Reason, SecretManager, SecretManagerStatus,
        condition::{Conditions, State, Verdict, new_warning},
        secret_manager::SecretManagerSpec,
    },
    space::reach::{REPORT, Seen},
    store::reason::verdict,
};

/// The new status. Says the time of the last answer anew only when something else changed or it became old.
pub fn build(
    manager: &SecretManager,
    store: Result<(), Verdict>,
    seen: &Seen,
    spaces: usize,
    now: Timestamp,
) -> SecretManagerStatus {
    let name = manager.metadata.name.as_deref().unwrap_or_default();
    let old = manager.status.clone().unwrap_or_default();
    let (kind, is_embedded) = kind(&manager.spec);
    let ready = ready(name, kind, is_embedded, store, seen, spaces);
    let (reconciling, stalled) = ready.as_ref().map_or((None, None), progress);
    let pending = Verdict::new(State::Unknown, Reason::Pending, &[]);
    let conditions = Conditions::over(&old.conditions, manager.metadata.generation, now);
    let conditions = match &ready {
        Some(verdict) => conditions.set("Ready", verdict),
        // Nobody has asked since it was built: after a restart it is most likely as it was.
        None => conditions.keep_or("Ready", &pending),
    };
    let conditions =
        conditions.set_while("Reconciling", reconciling.as_ref()).set_while("Stalled", stalled.as_ref()).done();
    let mut new = SecretManagerStatus {
        observed_generation: manager.metadata.generation,
        store: Some(kind.to_owned()),
        spaces: Some(spaces),
        last_checked: old.last_checked,
        conditions,
    };
    if let Some(at) = seen.answered
        && (new.conditions != old.conditions || old.last_checked.is_none_or(|told| at.duration_since(told.0) >= REPORT))
    {
        new.last_checked = Some(crate::resources::Timestamp::millis(at));
    }
    new
}

fn kind(spec: &SecretManagerSpec) -> (&'static str, bool) {
    match spec {
        SecretManagerSpec { kubernetes: Some(_), .. } => ("Kubernetes", true),
        SecretManagerSpec { open_bao: Some(_), .. } => ("OpenBao", false),
        _ => ("HTTP", false),
    }
}

/// `None`: nobody knows yet.
fn ready(
    name: &str,
    kind: &str,
    is_embedded: bool,
    store: Result<(), Verdict>,
    seen: &Seen,
    spaces: usize,
) -> Option<Verdict> {
    let outcome = seen.outcome.as_ref().map(|(outcome, _)| outcome);
    Some(match (store, outcome) {
        (Err(invalid), _) => invalid,
        (Ok(()), _) if is_embedded => Verdict::new(true, Reason::Reachable, &[("store", kind)]),
        // Nobody asks it any more, so what it last said is not known to hold.
        (Ok(()), _) if spaces == 0 => Verdict::new(State::Unknown, Reason::Unused, &[]),
        (Ok(()), Some(Err(error))) => verdict(error, name, "its entries"),
        (Ok(()), Some(Ok(()))) => Verdict::new(true, Reason::Reachable, &[("store", kind)]),
        (Ok(()), None) => return None,
    })
}

/// kstatus: a store that is down comes back by itself, what is misconfigured waits for a person.
fn progress(ready: &Verdict) -> (Option<Verdict>, Option<Verdict>) {
    let holds = Some(Verdict { state: State::True, ..ready.clone() });
    match ready.reason {
        _ if ready.state != State::False => (None, None),
        Reason::SecretManagerInvalid | Reason::SourceForbidden | Reason::SourceUnauthorized => (None, holds),
        _ => (holds, None),
    }
}

/// What is newly to be told as a Warning.
pub fn warning<'a>(old: Option<&SecretManagerStatus>, new: &'a SecretManagerStatus) -> Option<(Reason, &'a str)> {
    new_warning(old.map_or(&[], |old| &old.conditions), &new.conditions, "Ready")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::condition::find;
    use crate::{
        resources::secret_manager::{EmbeddedStore, OpenBaoStore},
        space::reach::Inputs,
        store::StoreError,
    };

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(minute * 60).unwrap()
    }

    fn open_bao() -> SecretManager {
        let spec = SecretManagerSpec { open_bao: Some(OpenBaoStore::default()), ..SecretManagerSpec::default() };
        SecretManager::new("central", spec)
    }

    fn seen(outcome: Option<Result<(), StoreError>>, minute: i64) -> Seen {
        let inputs = Inputs { uid: None, generation: None, credential: None, ca: None };
        let answered = outcome.as_ref().filter(|outcome| outcome.is_ok()).map(|_| at(minute));
        Seen {
            inputs: Some(inputs),
            built: at(0),
            outcome: outcome.map(|o| (o, at(minute))),
            answered,
            reported: None,
            is_used: true,
        }
    }

    fn ready(status: &SecretManagerStatus) -> String {
        let ready = find(&status.conditions, "Ready").unwrap();
        format!("{}/{}: {}", ready.status, ready.reason, ready.message)
    }

    /// The manager with the status of a look at this minute.
    fn looked(mut manager: SecretManager, outcome: Option<Result<(), StoreError>>, minute: i64) -> SecretManager {
        manager.status = Some(build(&manager, Ok(()), &seen(outcome, minute), 1, at(minute)));
        manager
    }

    #[test]
    fn a_store_that_answers_is_ready_and_says_when() {
        let status = looked(open_bao(), Some(Ok(())), 3).status.unwrap();
        assert_eq!(ready(&status), "True/Reachable: OpenBao answers");
        assert_eq!((status.store.as_deref(), status.spaces), (Some("OpenBao"), Some(1)));
        assert_eq!(status.last_checked, Some(at(3).into()));
    }

    #[test]
    fn the_time_of_the_last_answer_alone_is_written_each_15_minutes_at_most() {
        let first = looked(open_bao(), Some(Ok(())), 0);
        let soon = looked(first.clone(), Some(Ok(())), 14);
        assert_eq!(soon.status, first.status);
        let later = looked(first.clone(), Some(Ok(())), 15);
        assert_eq!(later.status.unwrap().last_checked, Some(at(15).into()));
    }

    #[test]
    fn after_a_restart_it_is_as_it_was_until_somebody_knows_better() {
        let first = looked(open_bao(), Some(Ok(())), 0);
        assert_eq!(looked(first.clone(), None, 60).status, first.status);
        let new = looked(open_bao(), None, 0).status.unwrap();
        assert!(ready(&new).starts_with("Unknown/Pending"), "{}", ready(&new));
    }

    #[test]
    fn a_store_that_is_down_says_why_and_when_it_last_answered() {
        let first = looked(open_bao(), Some(Ok(())), 0);
        let down = looked(first, Some(Err(StoreError::Sealed)), 5).status.unwrap();
        assert!(ready(&down).starts_with("False/SourceSealed: central is sealed"), "{}", ready(&down));
        assert_eq!(down.last_checked, Some(at(0).into()));
        assert!(find(&down.conditions, "Reconciling").is_some());
    }

    #[test]
    fn what_is_misconfigured_waits_for_a_person() {
        let why = [("manager", "central"), ("why", "Secret bao-token has no key token")];
        let invalid = Verdict::new(false, Reason::SecretManagerInvalid, &why);
        let status = build(&open_bao(), Err(invalid), &seen(None, 0), 1, at(0));
        assert_eq!(
            ready(&status),
            "False/SecretManagerInvalid: SecretManager central cannot be used: Secret bao-token has no key token"
        );
        assert!(find(&status.conditions, "Stalled").is_some());
        assert_eq!(warning(None, &status).map(|(reason, _)| reason), Some(Reason::SecretManagerInvalid));
        assert_eq!(warning(Some(&status), &status), None);
    }

    #[test]
    fn a_store_without_spaces_has_nothing_to_be_asked_for() {
        for last in [None, Some(Ok(())), Some(Err(StoreError::Sealed))] {
            let status = build(&open_bao(), Ok(()), &seen(last, 0), 0, at(0));
            assert_eq!(ready(&status), "Unknown/Unused: no Space is kept here");
        }
    }

    #[test]
    fn the_embedded_store_is_always_there() {
        let spec = SecretManagerSpec { kubernetes: Some(EmbeddedStore {}), ..SecretManagerSpec::default() };
        let status = build(&SecretManager::new("embedded", spec), Ok(()), &seen(None, 0), 0, at(0));
        assert_eq!(ready(&status), "True/Reachable: Kubernetes answers");
        assert_eq!(status.last_checked, None);
    }
}
