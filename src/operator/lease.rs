//! The lease: of all replicas only one writes.

mod election;
#[cfg(test)]
mod simulation;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Instant, SystemTime},
};

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use tokio::{sync::watch, task::JoinHandle};

use self::election::{Ask, Election, Failed, TIMING};
use crate::{
    cluster::{Cluster, Error},
    resources::names::MANAGER,
};

/// The last renewal that succeeded, by when it began.
#[derive(Clone, Copy, Debug)]
struct Renewal {
    at: Instant,
    wall: SystemTime,
}

impl Renewal {
    fn is_valid(self) -> bool {
        // The monotonic clock of a machine that is paused stands still, its wall clock is set right afterwards. One that
        // is set for another reason costs no more than a pause until the next renewal.
        let by_wall = self.wall.elapsed().unwrap_or_default();
        self.at.elapsed() < TIMING.renew_deadline && by_wall < TIMING.renew_deadline
    }
}

/// Which of this replica's terms it is, so that the end of one is noticed also when the next has begun by then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Term {
    number: u64,
    leads: bool,
}

#[derive(Debug)]
struct Shared {
    renewal: Mutex<Option<Renewal>>,
    term: watch::Sender<Term>,
    ready: watch::Sender<bool>,
    stop: watch::Sender<bool>,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// Whether this replica leads.
#[derive(Clone, Debug)]
pub struct Lead(Arc<Shared>);

impl Lead {
    /// Looks at the lease from now on, and takes it once it is [`ready`](Self::ready). `cluster` must not be one that asks
    /// [`Lead::may_write`].
    pub fn start(cluster: Cluster, namespace: &str) -> Self {
        let shared = Arc::new(Shared {
            renewal: Mutex::default(),
            term: watch::Sender::new(Term::default()),
            ready: watch::Sender::new(false),
            stop: watch::Sender::new(false),
            task: Mutex::default(),
        });
        let identity = identity();
        tracing::info!(identity, "takes part in the election");
        let election = Election::new(identity, namespace, MANAGER, TIMING, Instant::now());
        let (namespace, failing) = (namespace.to_owned(), AtomicBool::new(false));
        let candidate = Candidate { cluster, namespace, election, shared: shared.clone(), failing };
        *shared.task.lock().expect("no code panics while it holds the lock") = Some(tokio::spawn(candidate.run()));
        Self(shared)
    }

    /// Whether this replica may write at this very moment. Also right in a process that was stopped and goes on.
    pub fn may_write(&self) -> bool {
        let renewal = *self.0.renewal.lock().expect("no code panics while it holds the lock");
        renewal.is_some_and(Renewal::is_valid)
    }

    /// This replica could do the work. One that could not, since it may not list what it must know, would keep the lease
    /// from one that can.
    pub fn ready(&self) {
        self.0.ready.send_replace(true);
    }

    /// Waits until this replica leads.
    pub async fn acquired(&self) {
        // The sender lives as long as `self`.
        let _ = self.0.term.subscribe().wait_for(|term| term.leads).await;
    }

    /// Waits until this term ends.
    pub async fn lost(&self) {
        let mut terms = self.0.term.subscribe();
        let now = *terms.borrow();
        let _ = terms.wait_for(|term| !term.leads || *term != now).await;
    }

    /// Writes nothing more, and lets another take over at once. Whoever writes must have ended before.
    pub async fn release(&self) {
        self.0.stop.send_replace(true);
        let task = self.0.task.lock().expect("no code panics while it holds the lock").take();
        if let Some(task) = task {
            // A panic there has been logged, and there is nothing to release then.
            let _ = task.await;
        }
    }
}

/// Never the same twice: a container that is started again in its pod must not take the lease of its predecessor, which
/// may still have a write on its way, for its own.
fn identity() -> String {
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| MANAGER.into());
    let mut random = [0; 8];
    // Without randomness the keys could not have been made either.
    getrandom::fill(&mut random).expect("the system has randomness");
    format!("{host}_{}", hex::encode(random))
}

struct Candidate {
    cluster: Cluster,
    namespace: String,
    election: Election,
    shared: Arc<Shared>,
    /// Whether the last call failed. Only the first of several is a warning: a standby makes two a second.
    failing: AtomicBool,
}

impl Candidate {
    async fn run(mut self) {
        let mut stop = self.shared.stop.subscribe();
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => {}
            () = self.take_part() => {}
        }
        self.publish(None);
        if let Some(lease) = self.election.release(Timestamp::now()) {
            let released = tokio::time::timeout(TIMING.call, self.cluster.replace(&lease)).await;
            if matches!(released, Ok(Ok(_))) {
                tracing::info!("the lease is released");
            } else {
                tracing::warn!("the lease could not be released; another replica takes over when it expires");
            }
        }
    }

    async fn take_part(&mut self) {
        let mut holder = None;
        let mut renewal = None;
        let mut ready = self.shared.ready.subscribe();
        loop {
            let ask = self.election.ask(Instant::now(), Timestamp::now());
            self.publish(renewal);
            if self.election.holder() != holder.as_deref() {
                holder = self.election.holder().map(str::to_owned);
                tracing::info!(holder, "the lease has a new holder");
            }
            match ask {
                Ask::Rest(until) => tokio::time::sleep_until(until.into()).await,
                Ask::Read => {
                    let read = self.in_time(self.cluster.get(Some(&self.namespace), MANAGER)).await;
                    self.election.read(read, Instant::now());
                }
                Ask::Write(_) if !*ready.borrow() => {
                    // The sender lives as long as `self`. A lease that moved meanwhile refuses what was to be written.
                    let _ = ready.wait_for(|ready| *ready).await;
                }
                Ask::Write(lease) => {
                    let begun = Renewal { at: Instant::now(), wall: SystemTime::now() };
                    let written = self.in_time(self.write(&lease)).await;
                    renewal = written.as_ref().map_or(renewal, |_| Some(begun));
                    self.election.wrote(begun.at, written, Instant::now());
                }
            }
        }
    }

    async fn write(&self, lease: &Lease) -> Result<Lease, Error> {
        match lease.metadata.resource_version {
            Some(_) => self.cluster.replace(lease).await,
            None => self.cluster.create(lease).await,
        }
    }

    /// Gives a call no longer than until we would have to give up, so that giving up is never late.
    async fn in_time<T>(&self, call: impl Future<Output = Result<T, Error>>) -> Result<T, Failed> {
        let now = Instant::now();
        let left = self.election.held_until(now).map_or(TIMING.call, |until| until - now);
        let failed = match tokio::time::timeout(left.min(TIMING.call), call).await {
            Ok(Err(error)) if !matches!(error, Error::Conflict(_) | Error::NotFound) => error,
            Err(_) => Error::TimedOut,
            Ok(answered) => {
                self.failing.store(false, Ordering::Relaxed);
                return answered.map_err(|_| Failed::Moved);
            }
        };
        if self.failing.swap(true, Ordering::Relaxed) {
            tracing::debug!(error = %failed, "the lease still cannot be read or written");
        } else {
            tracing::warn!(error = %failed, "the lease could not be read or written");
        }
        Err(Failed::Unknown)
    }

    fn publish(&self, renewal: Option<Renewal>) {
        let renewal = renewal.filter(|_| self.election.held_until(Instant::now()).is_some());
        *self.shared.renewal.lock().expect("no code panics while it holds the lock") = renewal;
        let leads = renewal.is_some();
        self.shared.term.send_if_modified(|term| {
            term.number += u64::from(leads && !term.leads);
            std::mem::replace(&mut term.leads, leads) != leads
        });
    }
}
