//! When a sync is due: instants that depend on a UID and the interval only, so that a herd is impossible by construction
//! and a restart keeps the phase.

use std::time::Duration;

use jiff::Timestamp;

use crate::{resources::AutoSync, store::book::Known};

const MINUTE: i64 = 60_000;

/// Where in its interval something is due, by the UID of a Space, or of the `SecretManager` where heads come in bulk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Phase(i64);

impl Phase {
    /// Spreads UIDs evenly (FNV-1a, 64 bits), to the millisecond over a day. Every interval divides the day, so the
    /// instants of a longer interval are some of those of a shorter one.
    pub fn of(uid: &str) -> Self {
        let hash =
            uid.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
        // The low bits of FNV are its weakest.
        Self(i64::try_from((hash >> 16) % 86_400_000).unwrap_or_default())
    }

    /// Where in the minute all its instants lie, in milliseconds.
    pub fn in_minute(self) -> i64 {
        self.0 % MINUTE
    }
}

/// How often a schedule looks, in milliseconds. Live is checked each minute; Manual never looks by itself.
fn interval(auto_sync: AutoSync) -> Option<i64> {
    match auto_sync {
        AutoSync::Live | AutoSync::Every1m => Some(MINUTE),
        AutoSync::Every30m => Some(30 * MINUTE),
        AutoSync::Every60m => Some(60 * MINUTE),
        AutoSync::Every12h => Some(12 * 60 * MINUTE),
        AutoSync::Every24h => Some(24 * 60 * MINUTE),
        AutoSync::Manual => None,
    }
}

/// The last instant at or before `now` at which the schedule looks.
pub fn last_due(auto_sync: AutoSync, phase: Phase, now: Timestamp) -> Option<Timestamp> {
    let interval = interval(auto_sync)?;
    let since = (now.as_millisecond() - phase.0).rem_euclid(interval);
    Timestamp::from_millisecond(now.as_millisecond() - since).ok()
}

/// The first instant after `now` at which the schedule looks.
pub fn next_due(auto_sync: AutoSync, phase: Phase, now: Timestamp) -> Option<Timestamp> {
    let last = last_due(auto_sync, phase, now)?;
    Timestamp::from_millisecond(last.as_millisecond() + interval(auto_sync)?).ok()
}

/// Whether a sync may act on what is known: a schedule acts on what was in the store at its last due instant, also when
/// nobody was there to look; Live acts on everything at once.
pub fn may_act(auto_sync: AutoSync, phase: Phase, known: &Known, now: Timestamp) -> bool {
    if auto_sync == AutoSync::Live {
        return true;
    }
    // Seen in the future: the clock was set back, and nobody knows any more what was due.
    if known.since > now {
        return last_due(auto_sync, phase, now).is_some();
    }
    let updated = known.head.as_ref().ok().and_then(|head| head.updated);
    let in_store_since = updated.map_or(known.since, |updated| updated.0.min(known.since));
    last_due(auto_sync, phase, now).is_some_and(|due| in_store_since <= due)
}

/// How long until the next due instant.
pub fn until_next(auto_sync: AutoSync, phase: Phase, now: Timestamp) -> Option<Duration> {
    let next = next_due(auto_sync, phase, now)?;
    Duration::try_from(next.duration_since(now)).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::{Head, StoreError};

    const ALL: [AutoSync; 7] = [
        AutoSync::Live,
        AutoSync::Every1m,
        AutoSync::Every30m,
        AutoSync::Every60m,
        AutoSync::Every12h,
        AutoSync::Every24h,
        AutoSync::Manual,
    ];

    fn ms(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(ms).unwrap()
    }

    fn known(updated: i64, since: i64) -> Known {
        Known { head: Ok(Head { updated: Some(ms(updated).into()), ..Head::default() }), since: ms(since) }
    }

    #[test]
    fn a_manual_sync_is_never_due() {
        assert_eq!(next_due(AutoSync::Manual, Phase(0), ms(0)), None);
        assert!(!may_act(AutoSync::Manual, Phase(0), &known(0, 0), ms(1_000_000)));
    }

    #[test]
    fn a_change_waits_for_the_next_due_instant() {
        let (half, phase) = (AutoSync::Every30m, Phase(5 * MINUTE));
        let changed = known(20 * MINUTE, 20 * MINUTE);
        assert!(!may_act(half, phase, &changed, ms(34 * MINUTE)));
        assert!(may_act(half, phase, &changed, ms(35 * MINUTE)));
    }

    #[test]
    fn a_due_instant_missed_while_down_is_made_up_for_at_start() {
        let (day, phase) = (AutoSync::Every24h, Phase(0));
        let start = ms(24 * 60 * MINUTE + 90 * MINUTE);
        // Changed before the due instant, first seen long after it.
        assert!(may_act(day, phase, &known(23 * 60 * MINUTE, start.as_millisecond()), start));
        // Changed after it: not due yet.
        assert!(!may_act(day, phase, &known(25 * 60 * MINUTE, start.as_millisecond()), start));
    }

    #[test]
    fn what_a_look_at_the_due_instant_saw_was_there_whatever_the_stores_clock_says() {
        let due = 30 * MINUTE;
        assert!(may_act(AutoSync::Every30m, Phase(0), &known(due + 5_000, due), ms(due + 100)));
    }

    #[test]
    fn a_clock_that_was_set_back_holds_no_change_up() {
        let since = 90 * MINUTE;
        assert!(may_act(AutoSync::Every30m, Phase(0), &known(since, since), ms(31 * MINUTE)));
        assert!(!may_act(AutoSync::Manual, Phase(0), &known(since, since), ms(31 * MINUTE)));
    }

    #[test]
    fn an_error_counts_from_when_it_was_first_seen() {
        let known = Known { head: Err(StoreError::Sealed), since: ms(10 * MINUTE) };
        assert!(!may_act(AutoSync::Every30m, Phase(0), &known, ms(29 * MINUTE)));
        assert!(may_act(AutoSync::Every30m, Phase(0), &known, ms(30 * MINUTE)));
        assert!(may_act(AutoSync::Live, Phase(0), &known, ms(10 * MINUTE)));
    }

    #[test]
    fn ten_thousand_uids_spread_over_the_minute() {
        let mut seconds = [0_u32; 60];
        for n in 0..10_000_u32 {
            let uid = format!("{:08x}-1b2c-4d5e-8f90-{:012x}", n.wrapping_mul(2_654_435_761), n);
            let at = Phase::of(&uid).0 % MINUTE;
            seconds[usize::try_from(at / 1000).unwrap()] += 1;
        }
        let (least, most) = (seconds.iter().min().unwrap(), seconds.iter().max().unwrap());
        assert!(*least > 100 && *most < 250, "{least}..{most} a second, of 167 on average");
    }

    proptest! {
        #[test]
        fn due_instants_do_not_depend_on_when_one_asks(uid in "[0-9a-f-]{36}", now in 0_i64..4_000_000_000_000, later in 0_i64..86_400_000) {
            for auto_sync in ALL {
                let phase = Phase::of(&uid);
                let Some(next) = next_due(auto_sync, phase, ms(now)) else { continue };
                prop_assert!(next > ms(now));
                prop_assert!(last_due(auto_sync, phase, ms(now)).unwrap() <= ms(now));
                if ms(now + later) < next {
                    prop_assert_eq!(next_due(auto_sync, phase, ms(now + later)), Some(next));
                }
                prop_assert_eq!(last_due(auto_sync, phase, next), Some(next));
            }
        }

        #[test]
        fn instants_of_a_longer_interval_are_instants_of_a_minute(uid in "[0-9a-f-]{36}", now in 0_i64..4_000_000_000_000) {
            for auto_sync in ALL {
                let phase = Phase::of(&uid);
                if let Some(due) = next_due(auto_sync, phase, ms(now)) {
                    prop_assert_eq!(last_due(AutoSync::Every1m, phase, due), Some(due));
                }
            }
        }
    }
}
