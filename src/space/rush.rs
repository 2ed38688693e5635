//! Spaces give way while many syncs have their secrets still to come: after an installation, or a change of many entries.
//!
//! A namespace is its space's by what the specs say, so what a space writes tells of it and makes nothing wait, while each
//! write of it takes a place from a Secret that flows wait for.

use std::{sync::Mutex, time::Duration};

use tokio::time::Instant;

use crate::operator::Context;

/// So many syncs are a crowd: more than are looked at together.
const CROWD: usize = 64;

/// How long spaces give way to one crowd. A store that answers slowly is not to keep them for long from what they tell.
const LONGEST: Duration = Duration::from_secs(30);

/// When to see again whether the crowd has passed.
const AGAIN: Duration = Duration::from_millis(100);

/// Since when there has been a crowd.
#[derive(Debug, Default)]
pub struct Rush(Mutex<Option<Instant>>);

impl Rush {
    /// Whether to give way, where so many syncs wait.
    fn is_on(&self, waiting: usize, now: Instant) -> bool {
        let mut since = self.0.lock().expect("no code panics while it holds the lock");
        if waiting < CROWD {
            *since = None;
            return false;
        }
        now.duration_since(*since.get_or_insert(now)) < LONGEST
    }
}

/// Waits until it is the spaces' turn.
pub async fn give_way(ctx: &Context) {
    while ctx.rush.is_on(ctx.queues.syncs.depth() + ctx.turnstile.depth(), Instant::now()) {
        tokio::time::sleep(AGAIN).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_goes_first_but_not_for_ever() {
        let (rush, start) = (Rush::default(), Instant::now());
        let is_on = |waiting, second| rush.is_on(waiting, start + Duration::from_secs(second));
        assert!(!is_on(CROWD - 1, 0));
        assert!(is_on(CROWD, 1) && is_on(2000, 30));
        assert!(!is_on(2000, 31), "after half a minute it has had its time");
        assert!(!is_on(2000, 90), "and has it only once");
        assert!(!is_on(0, 91) && is_on(2000, 92), "another crowd has its own");
    }
}
