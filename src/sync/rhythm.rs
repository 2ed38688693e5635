//! When a store is looked at, and for which entries. Pure: no client, no clock, so that a day of ten thousand syncs takes
//! seconds to run (`day.rs`).
//!
//! Where one request tells all heads, they are looked at together. Where each costs a request, every entry has its own
//! instant in the minute, and keeps it: nothing, neither a restart nor a store that comes back, moves them together.

use std::time::Duration;

use jiff::Timestamp;

use super::schedule::{self, Phase};
use crate::resources::AutoSync;

/// A store that failed as a whole is asked again after 2 s, then after twice as long, up to the minute of the schedule.
pub const FIRST_RETRY: Duration = Duration::from_secs(2);
const LAST_RETRY: Duration = Duration::from_mins(1);

/// Where heads come one by one, instants closer together than this are looked at together.
const GRAIN: Duration = Duration::from_millis(500);

/// So many heads may be asked for together where each costs a request; more are spread over a minute.
const FEW: usize = 200;

const MINUTE: i64 = 60_000;

/// How one entry wants to be looked at: where it is due, and the schedules of the syncs that read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Where in its interval the entry is due.
    pub phase: Phase,
    /// Of each sync that is not suspended.
    pub schedules: Vec<AutoSync>,
}

/// The wishes of all entries of a store, found by their instants of the minute.
#[derive(Debug, Default)]
pub struct Wishes {
    all: Vec<Wish>,
    /// Where in the minute each lies, in order.
    instants: Vec<(i64, usize)>,
}

impl FromIterator<Wish> for Wishes {
    fn from_iter<T: IntoIterator<Item = Wish>>(wishes: T) -> Self {
        let all: Vec<_> = wishes.into_iter().collect();
        let mut instants: Vec<_> = all.iter().enumerate().map(|(at, wish)| (wish.phase.in_minute(), at)).collect();
        instants.sort_unstable();
        Self { all, instants }
    }
}

impl Wishes {
    /// Those that a sync which is not suspended reads.
    fn awake(&self) -> impl Iterator<Item = usize> + '_ {
        self.all.iter().enumerate().filter(|(_, wish)| !wish.schedules.is_empty()).map(|(at, _)| at)
    }

    /// Those whose instant of the minute may lie after `from` and not after `to`: whatever is due then is among them.
    fn between(&self, from: Timestamp, to: Timestamp) -> impl Iterator<Item = usize> + '_ {
        let start = self.instants.partition_point(|(at, _)| *at <= in_minute(from));
        let end = self.instants.partition_point(|(at, _)| *at <= in_minute(to));
        let (first, second) = if to.as_millisecond() - from.as_millisecond() >= MINUTE {
            (0..self.instants.len(), 0..0)
        } else if in_minute(from) <= in_minute(to) {
            (start..end, 0..0)
        } else {
            (start..self.instants.len(), 0..end)
        };
        self.instants[first].iter().chain(&self.instants[second]).map(|(_, at)| *at)
    }

    /// How long until the next instant of any.
    fn until_next(&self, now: Timestamp) -> Option<Duration> {
        let now = in_minute(now);
        let next = self.instants.get(self.instants.partition_point(|(at, _)| *at <= now));
        let (at, _) = next.or(self.instants.first())?;
        let wait = if next.is_some() { at - now } else { at + MINUTE - now };
        Some(Duration::from_millis(u64::try_from(wait).unwrap_or_default()))
    }
}

fn in_minute(at: Timestamp) -> i64 {
    at.as_millisecond().rem_euclid(MINUTE)
}

/// The rhythm of one store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rhythm {
    /// The last look.
    looked: Option<Timestamp>,
    /// Until then each entry is looked at once, at its instant of the minute, whatever its schedule: nobody looked for a
    /// while, and something may have been due.
    catching_up: Option<Timestamp>,
    /// Looks in a row at which the store as a whole gave no answer.
    failures: u32,
}

impl Rhythm {
    /// The entries to look at now, by their place in `wishes`.
    pub fn due(&mut self, bulk: bool, wishes: &Wishes, now: Timestamp) -> Vec<usize> {
        if self.failures > 0 {
            return self.ask_again(bulk, wishes);
        }
        if self.was_away(now) {
            self.begin_anew();
        }
        let Some(looked) = self.looked else {
            if bulk || wishes.all.len() <= FEW {
                return wishes.awake().collect();
            }
            (self.looked, self.catching_up) = (Some(now), Some(now + LAST_RETRY));
            return Vec::new();
        };
        let catching_up = self.catching_up.filter(|until| looked < *until);
        let is_due = |at: &usize| {
            let Wish { phase, schedules } = &wishes.all[*at];
            let passed = |schedule, now| schedule::last_due(schedule, *phase, now).is_some_and(|at| at > looked);
            let missed =
                !schedules.is_empty() && catching_up.is_some_and(|until| passed(AutoSync::Every1m, now.min(until)));
            missed || schedules.iter().any(|schedule| passed(*schedule, now))
        };
        wishes.between(looked, now).filter(is_due).collect()
    }

    /// What came of a look: whether the store as a whole answered.
    pub fn looked(&mut self, answered: bool, bulk: bool, now: Timestamp) {
        match (answered, self.failures) {
            (false, _) => self.failures += 1,
            (true, 0) => self.looked = Some(now),
            // One entry was asked whether the store is back; the others were not.
            (true, _) if !bulk => self.begin_anew(),
            (true, _) => *self = Self { looked: Some(now), ..Self::default() },
        }
        if self.catching_up.is_some_and(|until| until <= now) {
            self.catching_up = None;
        }
    }

    /// Forgets what was: the store is another one, or was met away.
    pub fn begin_anew(&mut self) {
        *self = Self::default();
    }

    /// Whether the store gives no answer at present.
    pub fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// How long until the next look.
    pub fn wait(&self, bulk: bool, wishes: &Wishes, now: Timestamp) -> Duration {
        if self.failures > 0 {
            return FIRST_RETRY.saturating_mul(1 << (self.failures - 1).min(10)).min(LAST_RETRY);
        }
        if self.looked.is_none() && !wishes.all.is_empty() {
            return Duration::ZERO;
        }
        let grain = if bulk { Duration::from_millis(1) } else { GRAIN };
        // A sync that is new within the minute is found at the next instant after it.
        wishes.until_next(now).unwrap_or(Duration::from_secs(1)).clamp(grain, LAST_RETRY)
    }

    /// All where one request tells all; else another one each time, for one entry may have a trouble of its own.
    fn ask_again(&self, bulk: bool, wishes: &Wishes) -> Vec<usize> {
        let awake: Vec<_> = wishes.awake().collect();
        if bulk {
            return awake;
        }
        let at = usize::try_from(self.failures).unwrap_or_default().checked_rem(awake.len());
        at.map(|at| awake[at]).into_iter().collect()
    }

    /// Whether nobody looked for longer than the minute (the machine slept), or the clock was set back.
    fn was_away(&self, now: Timestamp) -> bool {
        // A look may take as long as its deadline, and the next comes after it.
        self.looked
            .is_some_and(|looked| now < looked || now.duration_since(looked) > 3 * jiff::SignedDuration::from_mins(1))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn ms(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(1_700_000_000_000 / MINUTE * MINUTE + ms).unwrap()
    }

    fn wishes(count: usize, schedule: AutoSync) -> Wishes {
        (0..count).map(|n| Wish { phase: Phase::of(&format!("uid-{n}")), schedules: vec![schedule] }).collect()
    }

    /// All looks from `from` to `to`: when, and for how many.
    fn looks(rhythm: &mut Rhythm, bulk: bool, wishes: &Wishes, from: i64, to: i64) -> Vec<(i64, Vec<usize>)> {
        let (mut now, mut looks) = (from, Vec::new());
        while now < to {
            let due = rhythm.due(bulk, wishes, ms(now));
            rhythm.looked(true, bulk, ms(now));
            if !due.is_empty() {
                looks.push((now, due));
            }
            now += i64::try_from(rhythm.wait(bulk, wishes, ms(now)).as_millis()).unwrap();
        }
        looks
    }

    fn count(looks: &[(i64, Vec<usize>)]) -> usize {
        looks.iter().map(|(_, due)| due.len()).sum()
    }

    /// How many different entries were looked at.
    fn different(looks: &[(i64, Vec<usize>)]) -> usize {
        looks.iter().flat_map(|(_, due)| due).collect::<BTreeSet<_>>().len()
    }

    #[test]
    fn the_first_look_is_at_all_where_they_are_few_or_cost_one_request() {
        for (bulk, many) in [(false, 200), (true, 10_000)] {
            let wishes = wishes(many, AutoSync::Every24h);
            assert_eq!(Rhythm::default().due(bulk, &wishes, ms(0)).len(), many);
        }
    }

    #[test]
    fn many_that_cost_a_request_each_are_first_looked_at_once_within_the_minute() {
        let wishes = wishes(6_000, AutoSync::Every24h);
        let looks = looks(&mut Rhythm::default(), false, &wishes, 0, MINUTE + 1_000);
        assert_eq!((count(&looks), different(&looks)), (6_000, 6_000), "each once");
        let most = looks.iter().map(|(_, due)| due.len()).max();
        assert!(most < Some(120), "{most:?} of 50 on average in half a second");
    }

    #[test]
    fn a_minute_looks_at_each_once() {
        let wishes = wishes(1_000, AutoSync::Live);
        let mut rhythm = Rhythm::default();
        looks(&mut rhythm, false, &wishes, 0, 2 * MINUTE);
        let minute = looks(&mut rhythm, false, &wishes, 2 * MINUTE, 3 * MINUTE);
        assert!((980..=1_020).contains(&count(&minute)), "{}", count(&minute));
    }

    #[test]
    fn suspended_and_manual_entries_are_left_alone_after_the_first_look() {
        let wish = |uid, schedules| Wish { phase: Phase::of(uid), schedules };
        let wishes = Wishes::from_iter([wish("a", vec![]), wish("b", vec![AutoSync::Manual])]);
        let looks = looks(&mut Rhythm::default(), false, &wishes, 0, 60 * MINUTE);
        assert_eq!(looks, [(0, vec![1])]);
    }

    #[test]
    fn a_store_that_is_away_is_asked_by_one_request_at_a_time_ever_more_seldom() {
        let wishes = wishes(5_000, AutoSync::Live);
        let (mut rhythm, mut now, mut waits) = (Rhythm::default(), 0, Vec::new());
        looks(&mut rhythm, false, &wishes, 0, MINUTE);
        rhythm.looked(false, false, ms(MINUTE));
        for _ in 0..8 {
            let wait = rhythm.wait(false, &wishes, ms(MINUTE + now));
            waits.push(wait.as_secs());
            now += i64::try_from(wait.as_millis()).unwrap();
            assert_eq!(rhythm.due(false, &wishes, ms(MINUTE + now)).len(), 1);
            rhythm.looked(false, false, ms(MINUTE + now));
        }
        assert_eq!(waits, [2, 4, 8, 16, 32, 60, 60, 60]);
    }

    #[test]
    fn another_entry_is_asked_each_time_whether_the_store_is_back() {
        let wishes = wishes(3, AutoSync::Live);
        let mut rhythm = Rhythm::default();
        let asked: Vec<_> = (0..3)
            .map(|_| {
                rhythm.looked(false, false, ms(0));
                rhythm.due(false, &wishes, ms(0))[0]
            })
            .collect();
        assert_eq!(asked, [1, 2, 0]);
    }

    #[test]
    fn a_store_that_comes_back_is_not_met_by_a_herd() {
        let wishes = wishes(6_000, AutoSync::Every60m);
        let mut rhythm = Rhythm { looked: Some(ms(0)), failures: 3, ..Rhythm::default() };
        assert_eq!(rhythm.due(false, &wishes, ms(1_000)).len(), 1);
        rhythm.looked(true, false, ms(1_000));
        let looks = looks(&mut rhythm, false, &wishes, 1_000, 62_000);
        assert_eq!(different(&looks), 6_000);
        assert!(looks.iter().all(|(_, due)| due.len() < 120));
    }

    #[test]
    fn a_clock_that_is_set_back_an_hour_costs_nobody_a_look() {
        let wishes = wishes(1_000, AutoSync::Every1m);
        let mut rhythm = Rhythm::default();
        looks(&mut rhythm, false, &wishes, 120 * MINUTE, 122 * MINUTE);
        let looks = looks(&mut rhythm, false, &wishes, 62 * MINUTE, 63 * MINUTE + 1_000);
        assert_eq!(different(&looks), 1_000);
    }

    #[test]
    fn after_a_long_sleep_what_was_due_meanwhile_is_looked_at_within_the_minute() {
        let wishes = wishes(1_000, AutoSync::Every12h);
        let mut rhythm = Rhythm::default();
        looks(&mut rhythm, false, &wishes, 0, 2 * MINUTE);
        let looks = looks(&mut rhythm, false, &wishes, 700 * MINUTE, 701 * MINUTE + 1_000);
        assert!((1_000..1_010).contains(&count(&looks)), "{}", count(&looks));
        assert!(looks.iter().all(|(_, due)| due.len() < 40));
    }
}
