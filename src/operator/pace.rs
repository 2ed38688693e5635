//! When a status that differs is written. Pods start and acknowledge in numbers: what only counts them is gathered, so that
//! a hundred acknowledgements cost a handful of writes.

use std::{collections::HashMap, sync::Mutex, time::Duration};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use tokio::time::Instant;

use crate::{
    cluster::cache::Key,
    resources::{Reason, reason::Telling},
};

/// Nobody acts on a count that is a second old, and no object is written more than once a second for one.
const COUNT: Duration = Duration::from_secs(1);

/// How a status differs from the one that stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// In more than counts, or there is trouble that was not there before.
    News,
    /// In counts, and now they are complete.
    Complete,
    /// In counts.
    Count,
}

impl Weight {
    /// Of a status that differs only in counts, by the condition that sums them up.
    pub fn of_counts(old: Option<&Condition>, new: Option<&Condition>) -> Self {
        let reason = |condition: Option<&Condition>| Reason::parse(&condition?.reason);
        let is_trouble = reason(new).is_some_and(|reason| reason.telling() == Telling::Warning);
        match new {
            Some(new) if new.status == "True" => Self::Complete,
            _ if is_trouble && reason(old) != reason(new) => Self::News,
            _ => Self::Count,
        }
    }
}

/// Since when the statuses of one kind differ. Lost with the process, which costs one wait.
#[derive(Debug)]
pub struct Pace {
    complete: Duration,
    since: Mutex<HashMap<Key, Instant>>,
}

impl Pace {
    /// Counts that are complete wait this long: others may be complete in a moment as well.
    pub fn new(complete: Duration) -> Self {
        Self { complete, since: Mutex::default() }
    }

    /// How long a status that differs is still to wait for more; `None` when it is to be written now.
    pub fn wait(&self, key: &Key, weight: Weight) -> Option<Duration> {
        let window = match weight {
            Weight::News => return None,
            Weight::Complete => self.complete,
            Weight::Count => COUNT,
        };
        let now = Instant::now();
        let mut since = self.since.lock().expect("no code panics while it holds the lock");
        let began = *since.entry(key.clone()).or_insert(now);
        Some(window.saturating_sub(now - began)).filter(|wait| !wait.is_zero())
    }

    /// It was written, differs no longer, or has gone.
    pub fn settled(&self, key: &Key) {
        self.since.lock().expect("no code panics while it holds the lock").remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::condition::{Conditions, State, Verdict};

    const GATHER: Duration = Duration::from_millis(250);

    fn key() -> Key {
        Key::new("ns", "ingest")
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[tokio::test(start_paused = true)]
    async fn a_count_waits_a_second_for_more_from_when_it_first_differed() {
        let pace = Pace::new(GATHER);
        assert_eq!(pace.wait(&key(), Weight::Count), Some(COUNT));
        tokio::time::advance(ms(900)).await;
        assert_eq!(pace.wait(&key(), Weight::Count), Some(ms(100)));
        tokio::time::advance(ms(100)).await;
        assert_eq!(pace.wait(&key(), Weight::Count), None);
        pace.settled(&key());
        assert_eq!(pace.wait(&key(), Weight::Count), Some(COUNT));
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_of_many_ends_the_wait() {
        let pace = Pace::new(GATHER);
        pace.wait(&key(), Weight::Count);
        tokio::time::advance(ms(300)).await;
        assert_eq!(pace.wait(&key(), Weight::Complete), None);
        pace.settled(&key());
        assert_eq!(pace.wait(&key(), Weight::Complete), Some(GATHER));
        assert_eq!(Pace::new(Duration::ZERO).wait(&key(), Weight::Complete), None);
    }

    #[tokio::test(start_paused = true)]
    async fn news_waits_for_nothing() {
        assert_eq!(Pace::new(GATHER).wait(&key(), Weight::News), None);
    }

    #[test]
    fn trouble_is_news_once() {
        let condition = |state: State, reason| {
            let verdict = Verdict::new(state, reason, &[]);
            Conditions::over(&[], None, jiff::Timestamp::UNIX_EPOCH).set("Loaded", &verdict).done().remove(0)
        };
        let weight = |old: &Condition, new: &Condition| Weight::of_counts(Some(old), Some(new));
        let waiting = condition(State::Unknown, Reason::AwaitingAck);
        let delivering = condition(State::False, Reason::Delivering);
        let loaded = condition(State::True, Reason::Loaded);
        let failed = condition(State::False, Reason::LoadFailed);
        assert_eq!(weight(&waiting, &failed), Weight::News);
        assert_eq!(weight(&failed, &failed), Weight::Count);
        assert_eq!(weight(&failed, &condition(State::False, Reason::NoAck)), Weight::News);
        assert_eq!(weight(&failed, &loaded), Weight::Complete);
        assert_eq!(weight(&loaded, &waiting), Weight::Count);
        assert_eq!(weight(&loaded, &delivering), Weight::Count);
        assert_eq!(Weight::of_counts(None, Some(&failed)), Weight::News);
    }
}
