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
mod tests;
