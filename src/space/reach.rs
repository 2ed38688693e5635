//! What each Secret Manager last answered, and what its store was built from. In memory only: after a restart it is
//! asked again.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard},
};

use jiff::{SignedDuration, Timestamp};
use prometheus_client::metrics::family::Family;

use crate::{
    operator::metrics::{ManagerLabels, Metrics},
    store::StoreError,
};

/// How old the time of the last answer may become in a status, and an answer before somebody asks again.
pub const REPORT: SignedDuration = SignedDuration::from_mins(15);

/// What a store is built from. Where any of it moved, another one is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inputs {
    /// The `SecretManager`'s UID.
    pub uid: Option<String>,
    /// Its generation.
    pub generation: Option<i64>,
    /// The resourceVersion of the Secret with the credential; `None` where there is none.
    pub credential: Option<String>,
    /// The resourceVersion of the `ConfigMap` with the CA; `None` where there is none.
    pub ca: Option<String>,
}

/// What is known of one Secret Manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What its store was built from. `None`: the API server refused what it is built from, and a permission that is
    /// given moves none of this.
    pub inputs: Option<Inputs>,
    /// When that was.
    pub built: Timestamp,
    /// What it last said, and when.
    pub outcome: Option<(Result<(), StoreError>, Timestamp)>,
    /// When it last answered.
    pub answered: Option<Timestamp>,
    /// The time of its last answer as the status has it.
    pub reported: Option<Timestamp>,
    /// Whether a Space is kept there. One without is asked by nobody, and is not late with an answer.
    pub is_used: bool,
}

type LastChecked = Family<ManagerLabels, prometheus_client::metrics::gauge::Gauge<f64, std::sync::atomic::AtomicU64>>;

/// What each Secret Manager last answered.
#[derive(Debug)]
pub struct Reach {
    managers: Mutex<HashMap<String, Seen>>,
    last_checked: LastChecked,
}

impl Reach {
    /// Nobody has been asked yet.
    pub fn new(metrics: &Metrics) -> Self {
        Self { managers: Mutex::default(), last_checked: metrics.last_checked.clone() }
    }

    /// Notes what a manager said to somebody. Says whether its status has to be looked at: it says something else than
    /// before, or the status is to tell a newer time.
    pub fn note(&self, manager: &str, outcome: Result<(), StoreError>, at: Timestamp) -> bool {
        let mut managers = self.lock();
        // One whose store was taken away since is asked by nobody.
        let Some(seen) = managers.get_mut(manager) else { return false };
        if outcome.is_ok() {
            seen.answered = Some(at);
            self.tell(manager, seen);
        }
        let is_old = seen.answered.is_some_and(|at| seen.reported.is_none_or(|told| at.duration_since(told) >= REPORT));
        let is_news = seen.outcome.as_ref().is_none_or(|(before, _)| *before != outcome);
        seen.outcome = Some((outcome, at));
        is_news || is_old
    }

    /// What is known of a manager.
    pub fn seen(&self, manager: &str) -> Option<Seen> {
        self.lock().get(manager).cloned()
    }

    /// Whether a manager gave no answer when it was last asked.
    pub fn is_away(&self, manager: &str) -> bool {
        let managers = self.lock();
        let outcome = managers.get(manager).and_then(|seen| seen.outcome.as_ref());
        outcome.is_some_and(|(outcome, _)| outcome.as_ref().is_err_and(StoreError::is_outage))
    }

    /// Begins anew with a manager whose store was built anew. `reported` is what its status tells.
    pub fn begin(&self, manager: &str, inputs: Option<Inputs>, reported: Option<Timestamp>, at: Timestamp) {
        let seen = Seen { inputs, built: at, outcome: None, answered: None, reported, is_used: false };
        self.lock().insert(manager.to_owned(), seen);
    }

    /// The status tells this time now.
    pub fn reported(&self, manager: &str, at: Option<Timestamp>) {
        if let Some(seen) = self.lock().get_mut(manager) {
            seen.reported = at;
            self.tell(manager, seen);
        }
    }

    /// Notes whether a Space is kept there.
    pub fn used(&self, manager: &str, is_used: bool) {
        if let Some(seen) = self.lock().get_mut(manager) {
            seen.is_used = is_used;
            self.tell(manager, seen);
        }
    }

    /// This replica asks no more: how old an answer is that it had is not for it to say.
    pub fn rest(&self) {
        let mut managers = self.lock();
        managers.values_mut().for_each(|seen| seen.is_used = false);
        self.last_checked.clear();
    }

    #[allow(clippy::cast_precision_loss, reason = "seconds since 1970 are exact in a double")]
    fn tell(&self, manager: &str, seen: &Seen) {
        // What another replica has heard is known from the status.
        match seen.answered.max(seen.reported) {
            _ if !seen.is_used => drop(self.last_checked.remove(&labels(manager))),
            Some(at) => drop(self.last_checked.get_or_create(&labels(manager)).set(at.as_second() as f64)),
            None => {}
        }
    }

    /// Forgets a manager.
    pub fn forget(&self, manager: &str) {
        self.lock().remove(manager);
        self.last_checked.remove(&labels(manager));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Seen>> {
        self.managers.lock().expect("no code panics while it holds the lock")
    }
}

fn labels(manager: &str) -> ManagerLabels {
    ManagerLabels { secret_manager: manager.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(minute * 60).unwrap()
    }

    fn reach(reported: Option<Timestamp>) -> Reach {
        let reach = Reach::new(&Metrics::default());
        let inputs = Inputs { uid: None, generation: Some(1), credential: None, ca: None };
        reach.begin("central", Some(inputs), reported, at(0));
        reach
    }

    #[test]
    fn only_news_and_an_old_report_want_a_look() {
        let reach = reach(Some(at(0)));
        assert!(reach.note("central", Ok(()), at(1)));
        assert!(!reach.note("central", Ok(()), at(2)));
        assert!(reach.note("central", Err(StoreError::Sealed), at(3)));
        assert!(!reach.note("central", Err(StoreError::Sealed), at(4)));
        assert!(reach.note("central", Ok(()), at(5)));
        assert!(!reach.note("central", Ok(()), at(14)));
        assert!(reach.note("central", Ok(()), at(15)));
        reach.reported("central", Some(at(15)));
        assert!(!reach.note("central", Ok(()), at(29)));
        assert!(reach.note("central", Ok(()), at(30)));
    }

    #[test]
    fn a_manager_that_is_down_for_long_is_no_news() {
        let reach = reach(Some(at(0)));
        assert!(reach.note("central", Err(StoreError::TimedOut), at(1)));
        assert!(!reach.note("central", Err(StoreError::TimedOut), at(600)));
    }

    #[test]
    fn the_metric_tells_the_last_answer_and_goes_with_the_manager() {
        let metrics = Metrics::default();
        let reach = Reach::new(&metrics);
        let inputs = Inputs { uid: None, generation: Some(1), credential: None, ca: None };
        reach.begin("central", Some(inputs), None, at(0));
        reach.used("central", true);
        reach.note("central", Ok(()), at(1));
        reach.note("central", Err(StoreError::Sealed), at(2));
        let line = "spacesync_secret_manager_last_checked_timestamp_seconds{secret_manager=\"central\"} 60.0";
        assert!(metrics.encode().contains(line), "{}", metrics.encode());
        reach.forget("central");
        assert!(!metrics.encode().contains("central"));
        assert!(!reach.note("central", Ok(()), at(3)));
    }

    #[test]
    fn the_metric_of_a_store_that_is_down_since_another_replica_led_tells_what_that_one_heard() {
        let metrics = Metrics::default();
        let reach = Reach::new(&metrics);
        let inputs = Inputs { uid: None, generation: Some(1), credential: None, ca: None };
        reach.begin("central", Some(inputs), Some(at(1)), at(2));
        reach.used("central", true);
        reach.note("central", Err(StoreError::Sealed), at(3));
        assert!(metrics.encode().contains("\"central\"} 60.0"), "{}", metrics.encode());
        reach.rest();
        reach.used("central", true);
        reach.reported("central", Some(at(10)));
        assert!(metrics.encode().contains("\"central\"} 600.0"), "{}", metrics.encode());
    }

    #[test]
    fn the_metric_tells_nothing_of_whom_nobody_asks() {
        let metrics = Metrics::default();
        let reach = Reach::new(&metrics);
        let inputs = || Inputs { uid: None, generation: Some(1), credential: None, ca: None };
        let told = || metrics.encode().lines().find_map(|line| Some(line.split_once("\"central\"} ")?.1.to_owned()));
        reach.begin("central", Some(inputs()), None, at(0));
        // Somebody asked before it was looked at.
        reach.note("central", Ok(()), at(1));
        assert_eq!(told(), None);
        reach.used("central", true);
        assert_eq!(told().as_deref(), Some("60.0"));
        reach.begin("central", Some(inputs()), None, at(2));
        assert_eq!(told().as_deref(), Some("60.0"), "one that was built anew has answered before");
        reach.used("central", true);
        reach.note("central", Ok(()), at(3));
        assert_eq!(told().as_deref(), Some("180.0"));
        // Its last Space leaves, while a question is under way; and another comes.
        reach.used("central", false);
        reach.note("central", Ok(()), at(4));
        assert_eq!(told(), None);
        reach.used("central", true);
        assert_eq!(told().as_deref(), Some("240.0"));
        // Another replica leads, until this one does again.
        reach.rest();
        assert_eq!(told(), None);
        reach.used("central", true);
        assert_eq!(told().as_deref(), Some("240.0"));
    }
}
