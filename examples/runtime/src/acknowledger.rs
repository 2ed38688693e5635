//! Says the newest acknowledgement until it has arrived. Flows never wait for it.

use std::{
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use crate::{
    api::{self, Failure},
    state::Ack,
};

const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// A thread with a slot for one acknowledgement: a newer one takes the older one's place.
pub struct Acknowledger {
    slot: Arc<(Mutex<Slot>, Condvar)>,
}

#[derive(Default)]
struct Slot {
    ack: Option<Ack>,
    /// Something has changed since the last attempt began.
    news: bool,
}

impl Acknowledger {
    /// Reads where to say it from `mount`.
    pub fn start(mount: PathBuf) -> Self {
        let slot = Arc::new((Mutex::new(Slot::default()), Condvar::new()));
        let own = slot.clone();
        thread::spawn(move || run(&own, |ack| api::acknowledge(&mount, ack)));
        Self { slot }
    }

    /// To be said instead of whatever was to be said.
    pub fn say(&self, ack: Ack) {
        let mut slot = lock(&self.slot.0);
        *slot = Slot { ack: Some(ack), news: true };
        self.slot.1.notify_one();
    }

    /// Where something is still to be said: try now.
    pub fn hurry(&self) {
        lock(&self.slot.0).news = true;
        self.slot.1.notify_one();
    }
}

fn run((slot, changed): &(Mutex<Slot>, Condvar), post: impl Fn(&Ack) -> Result<(), Failure>) {
    let mut failures = 0;
    let mut tried: Option<Ack> = None;
    loop {
        let ack = {
            let idle = |slot: &mut Slot| slot.ack.is_none();
            let mut slot = changed.wait_while(lock(slot), idle).unwrap_or_else(PoisonError::into_inner);
            slot.news = false;
            slot.ack.clone().expect("not idle")
        };
        if tried.as_ref() != Some(&ack) {
            failures = 0;
        }
        let began = Instant::now();
        let outcome = post(&ack);
        let mut slot = lock(slot);
        match &outcome {
            Ok(()) => {
                eprintln!("acknowledged {} in {} ms", ack.revision, began.elapsed().as_millis());
                if slot.ack.as_ref() == Some(&ack) {
                    slot.ack = None;
                }
            }
            Err(failure) => {
                let wait = wait(failures, failure, fastrand::f64());
                if failures == 0 {
                    eprintln!("cannot acknowledge {}: {failure:?}; trying again", ack.revision);
                }
                failures += 1;
                drop(changed.wait_timeout_while(slot, wait, |slot| !slot.news));
            }
        }
        tried = Some(ack);
    }
}

/// How long to wait after so many failures. `random` is in 0..1: many pods lose the same operator at once, and are not to
/// come back at once.
fn wait(failures: u32, failure: &Failure, random: f64) -> Duration {
    let longest = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(failures)).min(LONGEST_WAIT);
    let wait = longest.mul_f64(0.5 + random / 2.0);
    match failure {
        Failure::Refused { retry_after: Some(after), .. } => wait.max((*after).min(LONGEST_WAIT)),
        _ => wait,
    }
}

fn lock(slot: &Mutex<Slot>) -> MutexGuard<'_, Slot> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::{api::tests::Server, snapshot::tests::Mount};

    fn ack(revision: &str) -> Ack {
        Ack { revision: revision.to_owned(), error: None }
    }

    #[test]
    fn waits_grow_to_a_bound_and_are_never_all_alike() {
        let gone = Failure::Unreachable(String::new());
        assert_eq!(wait(0, &gone, 1.0), FIRST_WAIT);
        assert_eq!(wait(0, &gone, 0.0), FIRST_WAIT / 2);
        assert_eq!(wait(3, &gone, 1.0), FIRST_WAIT * 8);
        assert_eq!(wait(1000, &gone, 1.0), LONGEST_WAIT);
    }

    #[test]
    fn who_is_told_when_to_come_back_comes_back_then_but_not_in_an_hour() {
        let refused = |after| Failure::Refused { status: 429, retry_after: Some(Duration::from_secs(after)) };
        assert_eq!(wait(0, &refused(7), 0.0), Duration::from_secs(7));
        assert_eq!(wait(0, &refused(3600), 0.0), LONGEST_WAIT);
    }

    #[test]
    fn the_newest_is_said_in_place_of_one_that_did_not_arrive() {
        let (tried, attempts) = mpsc::channel();
        let slot = Arc::new((Mutex::new(Slot::default()), Condvar::new()));
        let own = slot.clone();
        let post = move |ack: &Ack| {
            tried.send(ack.revision.clone()).expect("the test listens");
            if ack.revision == "1-a" { Err(Failure::NotToldYet("url")) } else { Ok(()) }
        };
        thread::spawn(move || run(&own, post));
        let acknowledger = Acknowledger { slot };
        acknowledger.say(ack("1-a"));
        assert_eq!(attempts.recv().as_deref(), Ok("1-a"));
        acknowledger.say(ack("2-b"));
        while attempts.recv().as_deref() != Ok("2-b") {}
        let rest = attempts.recv_timeout(FIRST_WAIT * 3);
        assert_eq!(rest, Err(mpsc::RecvTimeoutError::Timeout), "it is said once");
    }

    #[test]
    fn an_operator_that_comes_back_is_told_what_it_missed() {
        let (server, mount) = (Server::start(vec![503, 503, 204]), Mount::new());
        server.tell(&mount, "token");
        let acknowledger = Acknowledger::start(mount.path().to_owned());
        acknowledger.say(ack("7-f"));
        for _ in 0..3 {
            assert!(server.request().contains("\"revision\":\"7-f\""));
        }
    }
}
