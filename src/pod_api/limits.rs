//! How often one may ask. Token buckets: pure but for their tables.

use std::{
    hash::Hash,
    sync::Mutex,
    time::{Duration, Instant},
};

use super::{
    bounded::Bounded,
    problem::{Problem, What},
};

/// How often something may happen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// How many at once, after a pause.
    pub burst: u32,
    /// How long until one more may.
    pub each: Duration,
}

impl Rate {
    /// So many at once, and one more after each such time.
    pub const fn new(burst: u32, each: Duration) -> Self {
        Self { burst, each }
    }
}

/// A bucket: by when it will be full again.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    full_at: Instant,
}

impl Bucket {
    /// A full one.
    pub fn full(now: Instant) -> Self {
        Self { full_at: now }
    }

    /// Takes one, or says when there will be one.
    pub fn take(&mut self, rate: Rate, now: Instant) -> Result<(), Duration> {
        let full_at = self.full_at.max(now) + rate.each;
        let room = now + rate.each * rate.burst;
        if full_at > room {
            return Err(full_at - room);
        }
        self.full_at = full_at;
        Ok(())
    }
}

/// A bucket for each key.
#[derive(Debug)]
pub struct Buckets<K> {
    rate: Rate,
    table: Mutex<Bounded<K, Bucket>>,
}

impl<K: Clone + Eq + Hash> Buckets<K> {
    /// Buckets of this rate, for up to `limit` keys.
    pub fn new(rate: Rate, limit: usize) -> Self {
        Self { rate, table: Mutex::new(Bounded::new(limit)) }
    }

    /// Takes one, or says when there will be one.
    pub fn take(&self, key: &K, now: Instant) -> Result<(), Duration> {
        self.bucket(key, now, |bucket| bucket.take(self.rate, now))
    }

    /// Whether there is one, without taking it.
    pub fn check(&self, key: &K, now: Instant) -> Result<(), Duration> {
        self.bucket(key, now, |bucket| { *bucket }.take(self.rate, now))
    }

    fn bucket<T>(&self, key: &K, now: Instant, then: impl FnOnce(&mut Bucket) -> T) -> T {
        let mut table = self.table.lock().expect("no code panics while it holds the lock");
        then(table.entry(key, || Bucket::full(now)))
    }
}

/// *Sync now*, for one pod.
const SYNC: Rate = Rate::new(1, Duration::from_secs(2));
/// Settings, for one pod.
const SETTINGS: Rate = Rate::new(10, Duration::from_secs(6));
/// Status, for one pod.
const STATUS: Rate = Rate::new(2, Duration::from_millis(500));
/// All of these, for one space.
const SPACE: Rate = Rate::new(200, Duration::from_millis(10));
/// How many pods or spaces are counted.
const COUNTED: usize = 20_000;

/// What has a quota. Acknowledgements have none: all pods of an app come at once, when a secret moves.
#[derive(Debug)]
pub struct Limits {
    sync: Buckets<String>,
    settings: Buckets<String>,
    status: Buckets<String>,
    space: Buckets<String>,
}

impl Default for Limits {
    fn default() -> Self {
        let buckets = |rate| Buckets::new(rate, COUNTED);
        Self { sync: buckets(SYNC), settings: buckets(SETTINGS), status: buckets(STATUS), space: buckets(SPACE) }
    }
}

impl Limits {
    /// *Sync now*, by a pod's UID.
    pub fn sync(&self, pod: &str) -> Result<(), Problem> {
        over("a sync was asked for less than 2 s ago", self.sync.take(&pod.to_owned(), Instant::now()))
    }

    /// A setting, by a pod's UID.
    pub fn settings(&self, pod: &str) -> Result<(), Problem> {
        over("settings were changed 10 times within a minute", self.settings.take(&pod.to_owned(), Instant::now()))
    }

    /// A look at the status, by a pod's UID.
    pub fn status(&self, pod: &str) -> Result<(), Problem> {
        over("the status was asked for twice within a second", self.status.take(&pod.to_owned(), Instant::now()))
    }

    /// Any of these, by the space.
    pub fn space(&self, space: &str) -> Result<(), Problem> {
        over("all pods of the space together ask too often", self.space.take(&space.to_owned(), Instant::now()))
    }
}

fn over(what: &str, taken: Result<(), Duration>) -> Result<(), Problem> {
    taken.map_err(|after| Problem::later(What::TooManyRequests, after, format!("{what}; try again after Retry-After")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_burst_is_let_through_and_then_one_after_each_time() {
        let (start, rate) = (Instant::now(), Rate::new(3, SECOND * 2));
        let mut bucket = Bucket::full(start);
        let taken: Vec<_> = (0..4).map(|_| bucket.take(rate, start)).collect();
        assert_eq!(taken, [Ok(()), Ok(()), Ok(()), Err(SECOND * 2)]);
        assert_eq!(bucket.take(rate, start + SECOND), Err(SECOND), "a refusal costs nothing");
        assert_eq!(bucket.take(rate, start + SECOND * 2), Ok(()));
        assert_eq!(bucket.take(rate, start + SECOND * 2), Err(SECOND * 2));
    }

    #[test]
    fn a_long_pause_saves_no_more_than_a_burst() {
        let (start, rate) = (Instant::now(), Rate::new(2, SECOND));
        let mut bucket = Bucket::full(start);
        let later = start + SECOND * 1000;
        assert_eq!([(); 3].map(|()| bucket.take(rate, later).is_ok()), [true, true, false]);
    }

    #[test]
    fn each_key_has_its_own_bucket_and_to_look_takes_nothing() {
        let (now, buckets) = (Instant::now(), Buckets::new(Rate::new(1, SECOND), 10));
        assert_eq!(buckets.check(&"a", now), Ok(()));
        assert_eq!(buckets.take(&"a", now), Ok(()));
        assert_eq!((buckets.check(&"a", now), buckets.take(&"b", now)), (Err(SECOND), Ok(())));
    }
}
