//! Who may write, decided from what was seen of the lease. Knows no client and no clock.
//!
//! By the rules of client-go's leader election, for no published crate keeps them all:
//! - another's lease has expired when it did not change for its duration *on our own clock*; no two clocks are compared;
//! - each write carries the resourceVersion that was seen, so that of two who try one wins;
//! - a leader that could not renew by the deadline, counted from the *start* of its last renewal, gives up before
//!   anybody else may take over.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::core::ObjectMeta;

/// How long everything takes.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// For how long a lease that does not change is respected.
    pub lease: Duration,
    /// For how long its holder writes without having renewed it. Shorter: the difference is for writes on their way.
    pub renew_deadline: Duration,
    /// How often its holder renews it.
    pub retry: Duration,
    /// How often one that waits for another's lease looks at it. By client-go's rule the lease counts from when its last
    /// renewal was *seen*, so that one seen late is taken over late; this is how late. Of a standby's requests
    /// these alone come while nothing changes.
    pub watch: Duration,
    /// How long one call may take. Short enough for a second try before the deadline.
    pub call: Duration,
}

/// client-go's own defaults, but for `watch`: client-go looks as often as it renews, and takes over up to two
/// seconds late.
pub const TIMING: Timing = Timing {
    lease: Duration::from_secs(15),
    renew_deadline: Duration::from_secs(10),
    retry: Duration::from_secs(2),
    watch: Duration::from_millis(500),
    call: Duration::from_secs(4),
};

/// Why a read or write of the lease failed, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// The lease is not as it was seen.
    Moved,
    /// Nobody knows what came of it.
    Unknown,
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// Nothing until then.
    Rest(Instant),
    /// Read the lease.
    Read,
    /// Write the lease: create it where it has no resourceVersion.
    Write(Box<Lease>),
}

/// What a lease says of its holder. As long as this stays the same, nobody renewed it.
#[derive(Clone, Debug, Default, PartialEq)]
struct Term {
    /// Empty: nobody.
    holder: String,
    duration: Duration,
    acquired: Option<Timestamp>,
    renewed: Option<Timestamp>,
    transitions: i32,
}

impl Term {
    fn of(lease: &Lease, default: Duration) -> Self {
        let spec = lease.spec.clone().unwrap_or_default();
        let duration = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        Self {
            holder: spec.holder_identity.unwrap_or_default(),
            duration: duration.map_or(default, Duration::from_secs),
            acquired: spec.acquire_time.map(|MicroTime(at)| at),
            renewed: spec.renew_time.map(|MicroTime(at)| at),
            transitions: spec.lease_transitions.unwrap_or_default(),
        }
    }
}

/// The lease as it was last seen.
#[derive(Clone, Debug)]
struct Seen {
    /// `None`: there is none.
    lease: Option<Lease>,
    /// What it says, or said before somebody deleted it.
    term: Term,
    /// Since when it says so, or is gone, on our own clock.
    since: Instant,
}

/// What follows from what was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decision {
    Acquire,
    Renew,
    Wait(Instant),
}

fn decide(seen: &Seen, identity: &str, leads: bool, now: Instant) -> Decision {
    let expires = seen.since + seen.term.duration;
    match seen.term.holder.as_str() {
        holder if holder == identity && (leads || seen.lease.is_some()) => Decision::Renew,
        "" => Decision::Acquire,
        _ if now >= expires => Decision::Acquire,
        _ => Decision::Wait(expires),
    }
}

/// One replica's part in the election.
#[derive(Debug)]
pub struct Election {
    identity: String,
    name: ObjectMeta,
    timing: Timing,
    seen: Option<Seen>,
    /// What was seen may be out of date.
    stale: bool,
    /// A second conflict in one attempt means a crowd: then it is not tried again at once.
    conflicted: bool,
    next: Instant,
    /// The start of the last renewal that succeeded, while we lead.
    held_since: Option<Instant>,
}

impl Election {
    /// A replica that has seen nothing yet. `identity` is never used twice, also not by the same pod.
    pub fn new(identity: String, namespace: &str, name: &str, timing: Timing, now: Instant) -> Self {
        let name = ObjectMeta { namespace: Some(namespace.into()), name: Some(name.into()), ..ObjectMeta::default() };
        let (seen, stale, conflicted, held_since) = (None, true, false, None);
        Self { identity, name, timing, seen, stale, conflicted, next: now, held_since }
    }

    /// Whether this replica may write, and until when.
    pub fn held_until(&self, now: Instant) -> Option<Instant> {
        self.held_since.map(|since| since + self.timing.renew_deadline).filter(|until| now < *until)
    }

    /// Who holds the lease, as far as is known.
    pub fn holder(&self) -> Option<&str> {
        self.seen.as_ref().map(|seen| seen.term.holder.as_str()).filter(|holder| !holder.is_empty())
    }

    /// What is to be done now. `wall` is written into the lease for people to read, nobody decides by it.
    pub fn ask(&mut self, now: Instant, wall: Timestamp) -> Ask {
        self.held_since = self.held_since.filter(|since| now < *since + self.timing.renew_deadline);
        if now < self.next {
            return self.rest(now);
        }
        let Some(seen) = self.seen.as_ref().filter(|_| !self.stale) else { return Ask::Read };
        match decide(seen, &self.identity, self.held_since.is_some(), now) {
            Decision::Wait(expires) => {
                self.later(expires.min(now + self.timing.watch));
                self.rest(now)
            }
            decision => Ask::Write(Box::new(self.renewed(seen, decision, wall))),
        }
    }

    fn rest(&self, now: Instant) -> Ask {
        Ask::Rest(self.held_until(now).map_or(self.next, |deadline| deadline.min(self.next)))
    }

    fn renewed(&self, seen: &Seen, decision: Decision, wall: Timestamp) -> Lease {
        let term = &seen.term;
        let (acquired, transitions) = match decision {
            Decision::Renew => (term.acquired.unwrap_or(wall), term.transitions),
            _ => (wall, if seen.lease.is_some() { term.transitions.saturating_add(1) } else { term.transitions }),
        };
        let term = Term {
            holder: self.identity.clone(),
            duration: self.timing.lease,
            acquired: Some(acquired),
            renewed: Some(wall),
            transitions,
        };
        self.lease(seen, term)
    }

    fn lease(&self, seen: &Seen, term: Term) -> Lease {
        let mut lease = seen.lease.clone().unwrap_or_default();
        if seen.lease.is_none() {
            lease.metadata = self.name.clone();
        }
        // An empty holder is written out: where nothing is said, the API server may keep what was.
        lease.spec = Some(LeaseSpec {
            holder_identity: Some(term.holder),
            lease_duration_seconds: i32::try_from(term.duration.as_secs()).ok(),
            acquire_time: term.acquired.map(MicroTime),
            renew_time: term.renewed.map(MicroTime),
            lease_transitions: Some(term.transitions),
            ..lease.spec.unwrap_or_default()
        });
        lease
    }

    /// The lease was read.
    pub fn read(&mut self, answer: Result<Option<Lease>, Failed>, now: Instant) {
        match answer {
            Ok(lease) => {
                self.stale = false;
                self.observe(lease, now);
            }
            Err(_) => self.later(now + self.pause()),
        }
    }

    fn observe(&mut self, lease: Option<Lease>, now: Instant) {
        let term = lease.as_ref().map(|lease| Term::of(lease, self.timing.lease));
        let before = self.seen.take();
        let seen = match (term, before) {
            // A label or annotation of the lease is no renewal.
            (Some(term), Some(before)) if term == before.term => Seen { lease, ..before },
            (None, Some(before)) if before.lease.is_none() => before,
            // A lease that was deleted is no resignation: its holder, perhaps one that we never saw, goes on for a while.
            (None, Some(before)) => Seen { lease, since: now, ..before },
            (term, _) => Seen { lease, term: term.unwrap_or_default(), since: now },
        };
        if seen.term.holder != self.identity {
            self.held_since = None;
        }
        self.seen = Some(seen);
    }

    /// The write that began at `start` was answered.
    pub fn wrote(&mut self, start: Instant, answer: Result<Lease, Failed>, now: Instant) {
        match answer {
            Ok(lease) => {
                self.observe(Some(lease), now);
                self.held_since = Some(start);
                self.later(start + self.timing.retry);
                self.stale = false;
            }
            Err(Failed::Moved) if !self.conflicted => (self.conflicted, self.stale) = (true, true),
            Err(_) => self.later(now + self.pause()),
        }
    }

    /// How long after an attempt that failed. Who waits for another's lease misses nothing of it meanwhile.
    fn pause(&self) -> Duration {
        if self.held_since.is_some() { self.timing.retry } else { self.timing.watch }
    }

    /// Ends this attempt.
    fn later(&mut self, next: Instant) {
        (self.next, self.stale, self.conflicted) = (next, true, false);
    }

    /// Gives up at once; the lease to write, so that another need not wait for it to expire.
    pub fn release(&mut self, wall: Timestamp) -> Option<Lease> {
        self.held_since = None;
        let seen = self.seen.as_ref().filter(|seen| seen.lease.is_some() && seen.term.holder == self.identity)?;
        let term = Term {
            holder: String::new(),
            duration: Duration::from_secs(1),
            acquired: Some(wall),
            renewed: Some(wall),
            transitions: seen.term.transitions,
        };
        Some(self.lease(seen, term))
    }
}
