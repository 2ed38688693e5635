//! What is to be looked at: each key once, never twice at the same time, the urgent ones first.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    future::Future,
    hash::Hash,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{sync::Notify, task::JoinSet, time::Instant};

use crate::resources::reason::Retry;

/// Who goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Somebody waits: a first sync, a request, a reload signal.
    Urgent,
    /// The schedule.
    Normal,
}

#[derive(Clone, Copy)]
struct Wish {
    lane: Lane,
    at: Instant,
}

impl Wish {
    fn merge(self, other: Self) -> Self {
        Self { lane: self.lane.min(other.lane), at: self.at.min(other.at) }
    }
}

/// A queue that has room for more gives it back when nothing is left in it: thousands come together once, at a start.
const CALM: usize = 256;

/// A key whose look panicked comes again after this.
const AFTER_PANIC: Duration = Duration::from_secs(5);

enum State {
    /// Waits for its time.
    Later(Wish),
    /// Stands in a lane.
    Ready(Lane),
    /// Is being looked at, and perhaps wanted again.
    Running(Option<Wish>),
}

struct Inner<K> {
    states: HashMap<K, State>,
    later: BTreeSet<(Instant, K)>,
    lanes: [VecDeque<K>; 2],
    failures: HashMap<K, u32>,
    open: bool,
    /// Which run it is: what is left of an earlier one, whose workers may end a moment after the next began, counts no
    /// more.
    run: u64,
}

/// A queue of keys.
pub struct Queue<K> {
    inner: Mutex<Inner<K>>,
    wake: Notify,
}

/// When a key is to be looked at again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// When something changes.
    OnChange,
    /// After this time at the latest.
    After(Duration),
    /// It did not come to pass: as its reason says.
    Failed(Retry),
}

impl<K: Clone + Eq + Hash + Ord + Send + 'static> Default for Queue<K> {
    fn default() -> Self {
        let lanes = [VecDeque::new(), VecDeque::new()];
        let (states, later, failures) = (HashMap::new(), BTreeSet::new(), HashMap::new());
        let inner = Inner { states, later, lanes, failures, open: false, run: 0 };
        Self { inner: Mutex::new(inner), wake: Notify::new() }
    }
}

impl<K: Clone + Eq + Hash + Ord + Send + 'static> Queue<K> {
    /// Wants `key` looked at now.
    pub fn add(&self, key: K, lane: Lane) {
        self.add_at(key, lane, Instant::now());
    }

    /// Wants `key` looked at in a while.
    pub fn add_after(&self, key: K, lane: Lane, after: Duration) {
        self.add_at(key, lane, Instant::now() + after);
    }

    fn add_at(&self, key: K, lane: Lane, at: Instant) {
        let mut inner = self.lock();
        // A standby looks at everything when it becomes the leader, so it need not collect.
        if inner.open {
            inner.add(key, Wish { lane, at });
            self.wake.notify_one();
        }
    }

    /// How many keys stand ready or are being looked at.
    pub fn depth(&self) -> usize {
        let inner = self.lock();
        inner.states.len() - inner.later.len()
    }

    /// Whether `key` comes again by itself, since its last look did not come to pass.
    pub fn tries_again(&self, key: &K) -> bool {
        self.lock().failures.contains_key(key)
    }

    async fn next(&self, run: u64) -> (K, Lane) {
        loop {
            let notified = self.wake.notified();
            let wait = {
                let mut inner = self.lock();
                if inner.run != run {
                    break;
                }
                inner.ripen(Instant::now());
                if let Some((key, lane)) = inner.take() {
                    // Another worker may find more.
                    self.wake.notify_one();
                    return (key, lane);
                }
                inner.later.first().map(|(at, _)| *at)
            };
            match wait {
                Some(at) => drop(tokio::time::timeout_at(at, notified).await),
                None => notified.await,
            }
        }
        // It may have been woken in place of a worker of the run that is.
        self.wake.notify_one();
        std::future::pending().await
    }

    fn done(&self, key: &K, next: Next, run: u64) {
        let mut inner = self.lock();
        if inner.run != run {
            return;
        }
        let wish = match next {
            Next::OnChange | Next::Failed(Retry::OnChange) => None,
            Next::After(after) => Some(after),
            Next::Failed(Retry::Backoff(first, last)) => {
                let failures = inner.failures.entry(key.clone()).or_default();
                *failures += 1;
                Some(jitter(backoff(first, last, *failures)))
            }
        };
        if !matches!(next, Next::Failed(_)) {
            inner.failures.remove(key);
        }
        let wish = wish.map(|after| Wish { lane: Lane::Normal, at: Instant::now() + after });
        let again = match inner.states.remove(key) {
            Some(State::Running(again)) => again,
            _ => None,
        };
        if let Some(wish) = [wish, again].into_iter().flatten().reduce(Wish::merge) {
            inner.add(key.clone(), wish);
            self.wake.notify_one();
        } else if inner.states.is_empty() && inner.states.capacity() > CALM {
            inner.shrink();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner<K>> {
        self.inner.lock().expect("no code panics while it holds the lock")
    }

    /// Looks at keys, `workers` at once, until the future is dropped; then the queue is empty and takes nothing in.
    pub async fn run<F, Fut>(self: Arc<Self>, workers: usize, first: impl IntoIterator<Item = K>, look: F)
    where
        F: Fn(K, Lane) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Next> + Send + 'static,
    {
        let run = self.lock().begin();
        let _close = Close { queue: self.clone(), run };
        for key in first {
            self.add(key, Lane::Normal);
        }
        let look = Arc::new(look);
        let worker = || {
            let (queue, look) = (self.clone(), look.clone());
            async move {
                loop {
                    let (key, lane) = queue.next(run).await;
                    let done = Done { queue: &queue, run, key: key.clone(), next: Next::After(AFTER_PANIC) };
                    let next = look(key, lane).await;
                    done.with(next);
                }
            }
        };
        let mut tasks: JoinSet<()> = (0..workers).map(|_| worker()).collect();
        // A worker ends only by a panic; its key comes again, and another worker takes its place.
        while tasks.join_next().await.is_some() {
            tracing::error!("a worker panicked");
            tasks.spawn(worker());
        }
    }
}

/// Says that a key is done, also when looking at it panicked.
struct Done<'a, K: Clone + Eq + Hash + Ord + Send + 'static> {
    queue: &'a Queue<K>,
    run: u64,
    key: K,
    next: Next,
}

impl<K: Clone + Eq + Hash + Ord + Send + 'static> Done<'_, K> {
    fn with(mut self, next: Next) {
        self.next = next;
    }
}

impl<K: Clone + Eq + Hash + Ord + Send + 'static> Drop for Done<'_, K> {
    fn drop(&mut self) {
        self.queue.done(&self.key, self.next, self.run);
    }
}

struct Close<K: Clone + Eq + Hash + Ord + Send + 'static> {
    queue: Arc<Queue<K>>,
    run: u64,
}

impl<K: Clone + Eq + Hash + Ord + Send + 'static> Drop for Close<K> {
    fn drop(&mut self) {
        let mut inner = self.queue.lock();
        if inner.run == self.run {
            inner.open = false;
            inner.clear();
        }
    }
}

impl<K: Clone + Eq + Hash + Ord> Inner<K> {
    fn begin(&mut self) -> u64 {
        self.clear();
        self.open = true;
        self.run += 1;
        self.run
    }

    fn clear(&mut self) {
        self.states.clear();
        self.later.clear();
        self.failures.clear();
        self.lanes.iter_mut().for_each(VecDeque::clear);
    }

    fn add(&mut self, key: K, wish: Wish) {
        match self.states.get_mut(&key) {
            Some(State::Running(again)) => {
                *again = Some(again.map_or(wish, |other| other.merge(wish)));
            }
            // Already ahead of every wish, but perhaps in the slower lane.
            Some(State::Ready(lane)) => {
                if wish.lane < *lane && wish.at <= Instant::now() {
                    *lane = wish.lane;
                    self.lanes[Lane::Normal as usize].retain(|k| *k != key);
                    self.lanes[wish.lane as usize].push_back(key);
                }
            }
            Some(State::Later(known)) => {
                let merged = known.merge(wish);
                if merged.at < known.at {
                    self.later.remove(&(known.at, key.clone()));
                    self.later.insert((merged.at, key.clone()));
                }
                *known = merged;
            }
            None => {
                self.later.insert((wish.at, key.clone()));
                self.states.insert(key, State::Later(wish));
            }
        }
    }

    fn shrink(&mut self) {
        self.states.shrink_to_fit();
        self.failures.shrink_to_fit();
        self.lanes.iter_mut().for_each(VecDeque::shrink_to_fit);
    }

    /// Moves what is due into its lane.
    fn ripen(&mut self, now: Instant) {
        while self.later.first().is_some_and(|(at, _)| *at <= now) {
            let Some((_, key)) = self.later.pop_first() else { break };
            if let Some(state) = self.states.get_mut(&key)
                && let State::Later(wish) = state
            {
                let lane = wish.lane;
                *state = State::Ready(lane);
                self.lanes[lane as usize].push_back(key);
            }
        }
    }

    fn take(&mut self) -> Option<(K, Lane)> {
        for lane in [Lane::Urgent, Lane::Normal] {
            if let Some(key) = self.lanes[lane as usize].pop_front() {
                self.states.insert(key.clone(), State::Running(None));
                return Some((key, lane));
            }
        }
        None
    }
}

/// Twice as long after each failure, from `first` to `last`.
fn backoff(first: Duration, last: Duration, failures: u32) -> Duration {
    first.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(last)
}

/// Up to a fifth more, so that what failed together does not come back together.
pub(super) fn jitter(duration: Duration) -> Duration {
    let mut byte = [0];
    // Without randomness there is no jitter, which harms nothing.
    let _ = getrandom::fill(&mut byte);
    duration + duration.mul_f64(f64::from(byte[0]) / 255.0 / 5.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open() -> Queue<&'static str> {
        let queue = Queue::default();
        queue.lock().begin();
        queue
    }

    #[tokio::test(start_paused = true)]
    async fn urgent_keys_go_ahead_of_scheduled_ones() {
        let queue = open();
        queue.add("schedule", Lane::Normal);
        queue.add("request", Lane::Urgent);
        assert_eq!(queue.next(1).await.0, "request");
        assert_eq!(queue.next(1).await.0, "schedule");
    }

    #[tokio::test(start_paused = true)]
    async fn a_scheduled_key_that_becomes_urgent_changes_lanes() {
        let queue = open();
        queue.add("a", Lane::Normal);
        queue.add("b", Lane::Normal);
        queue.lock().ripen(Instant::now());
        queue.add("b", Lane::Urgent);
        assert_eq!(queue.next(1).await, ("b", Lane::Urgent));
        assert_eq!(queue.next(1).await, ("a", Lane::Normal));
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_never_looked_at_twice_at_once_and_no_wish_is_lost() {
        let queue = open();
        queue.add("a", Lane::Normal);
        queue.add("a", Lane::Normal);
        let (key, _) = queue.next(1).await;
        queue.add("a", Lane::Urgent);
        assert!(tokio::time::timeout(Duration::from_secs(9), queue.next(1)).await.is_err());
        queue.done(&key, Next::OnChange, 1);
        assert_eq!(queue.next(1).await, ("a", Lane::Urgent));
    }

    #[tokio::test(start_paused = true)]
    async fn an_earlier_wish_wins() {
        let queue = open();
        let start = Instant::now();
        queue.add_after("a", Lane::Normal, Duration::from_mins(1));
        queue.add_after("a", Lane::Normal, Duration::from_secs(2));
        queue.next(1).await;
        assert_eq!(start.elapsed().as_secs(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn failures_back_off_and_a_success_forgets_them() {
        let queue = open();
        let retry = Next::Failed(Retry::Backoff(Duration::from_secs(1), Duration::from_secs(10)));
        let mut waits = Vec::new();
        queue.add("a", Lane::Normal);
        for next in [retry, retry, retry, retry, retry, Next::After(Duration::from_mins(1)), retry] {
            let start = Instant::now();
            let (key, _) = queue.next(1).await;
            waits.push(start.elapsed().as_secs_f64());
            queue.done(&key, next, 1);
            assert_eq!(queue.tries_again(&key), next == retry);
        }
        let start = Instant::now();
        queue.next(1).await;
        waits.push(start.elapsed().as_secs_f64());
        let floors = [0.0, 1.0, 2.0, 4.0, 8.0, 10.0, 60.0, 1.0];
        for (wait, floor) in waits.iter().zip(floors) {
            assert!((floor..=floor * 1.21 + 0.01).contains(wait), "{waits:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_that_many_went_through_keeps_no_room_for_them() {
        let queue = Queue::default();
        queue.lock().begin();
        (0..10_000).for_each(|key| queue.add(key, Lane::Normal));
        for _ in 0..10_000 {
            let (key, _) = queue.next(1).await;
            queue.done(&key, Next::OnChange, 1);
        }
        let inner = queue.lock();
        assert!(inner.states.capacity() < CALM && inner.lanes.iter().all(|lane| lane.capacity() < CALM));
    }

    #[tokio::test(start_paused = true)]
    async fn a_closed_queue_takes_nothing_in() {
        let queue: Queue<&str> = Queue::default();
        queue.add("a", Lane::Urgent);
        assert_eq!(queue.depth(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_a_run_does_nothing_to_the_next() {
        let queue = Arc::new(Queue::default());
        let (sender, mut seen) = tokio::sync::mpsc::unbounded_channel();
        let hold = Arc::new(Notify::new());
        let run = |first: &'static str| {
            let (sender, hold) = (sender.clone(), hold.clone());
            queue.clone().run(1, [first], move |key, _| {
                let (sender, hold) = (sender.clone(), hold.clone());
                async move {
                    sender.send(key).unwrap();
                    hold.notified().await;
                    Next::OnChange
                }
            })
        };
        let mut old = Box::pin(run("a"));
        assert!(tokio::time::timeout(Duration::from_secs(1), &mut old).await.is_err());
        assert_eq!(seen.recv().await, Some("a"));
        // The next begins before the first is dropped, as where a lease comes back at once.
        let new = tokio::spawn(run("a"));
        assert_eq!(seen.recv().await, Some("a"));
        queue.add("a", Lane::Normal);
        drop(old);
        queue.add("b", Lane::Normal);
        assert_eq!(queue.depth(), 1, "the wish for b is still ahead");
        let mut after = Vec::new();
        for _ in 0..2 {
            hold.notify_one();
            after.push(tokio::time::timeout(Duration::from_secs(1), seen.recv()).await.ok().flatten());
        }
        after.sort();
        assert_eq!(after, [Some("a"), Some("b")]);
        new.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_costs_neither_the_key_nor_the_worker() {
        let queue = Arc::new(Queue::default());
        let (sender, mut seen) = tokio::sync::mpsc::unbounded_channel();
        let run = tokio::spawn(queue.clone().run(1, ["a"], move |key, _| {
            let sender = sender.clone();
            async move {
                sender.send(key).unwrap();
                panic!("planted");
            }
        }));
        assert_eq!(seen.recv().await, Some("a"));
        assert_eq!(seen.recv().await, Some("a"));
        run.abort();
    }
}
