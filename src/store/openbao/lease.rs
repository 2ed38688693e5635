//! How long a token is good, and when to see to the next. Pure: no client, no clock.

use std::time::Duration;

use tokio::time::Instant;

/// A renewal that came to nothing is not tried again before this.
const AGAIN: Duration = Duration::from_secs(5);

/// Longer than anybody waits, and far from where instants end.
const LONGEST: u64 = 365 * 24 * 60 * 60;

/// How long a token is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lease {
    ends: Instant,
    due: Instant,
    renewable: bool,
    /// What the login gave.
    whole: Duration,
}

/// What to do about a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing yet.
    Nothing,
    /// It is to be renewed.
    Renewal,
    /// Another one is to be had, by a login.
    Login,
}

impl Lease {
    /// Of a token that was just made or looked at; `None` for one that never ends.
    pub(super) fn new(now: Instant, seconds: u64, renewable: bool) -> Option<Self> {
        let whole = Duration::from_secs(seconds.min(LONGEST));
        (seconds > 0).then(|| Self { ends: now + whole, due: now + whole * 2 / 3, renewable, whole })
    }

    /// After a renewal. One that gives much less than the login did has come near the longest that the token may live,
    /// where it gives nothing in the end: then another token is due.
    pub(super) fn renewed(&self, now: Instant, seconds: u64, renewable: bool) -> Self {
        let given = Duration::from_secs(seconds.min(LONGEST));
        if given * 3 <= self.whole {
            return Self { due: now, renewable: false, ends: self.ends.max(now + given), ..self.clone() };
        }
        Self { ends: now + given, due: now + given * 2 / 3, renewable, whole: self.whole }
    }

    /// After a renewal that came to nothing.
    pub(super) fn postponed(&self, now: Instant) -> Self {
        let rest = self.ends.saturating_duration_since(now);
        Self { due: now + AGAIN.max(rest / 3), ..self.clone() }
    }

    pub(super) fn has_ended(&self, now: Instant) -> bool {
        self.ends <= now
    }

    pub(super) fn due(&self, now: Instant) -> Due {
        match () {
            () if now < self.due && now < self.ends => Due::Nothing,
            () if self.renewable && now < self.ends => Due::Renewal,
            () => Due::Login,
        }
    }

    /// How long until something is due.
    pub(super) fn rest(&self, now: Instant) -> Duration {
        self.due.min(self.ends).saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn a_token_is_renewed_when_two_thirds_of_its_time_have_passed() {
        let start = Instant::now();
        let lease = Lease::new(start, 90, true).unwrap();
        let due = |seconds| lease.due(after(start, seconds));
        assert_eq!(
            [due(0), due(59), due(60), due(89), due(90)],
            [Due::Nothing, Due::Nothing, Due::Renewal, Due::Renewal, Due::Login]
        );
        assert_eq!((lease.rest(start), lease.rest(after(start, 80))), (Duration::from_mins(1), Duration::ZERO));
        assert!(!lease.has_ended(after(start, 89)) && lease.has_ended(after(start, 90)));
    }

    #[test]
    fn a_token_that_cannot_be_renewed_is_replaced_before_it_ends() {
        let start = Instant::now();
        let lease = Lease::new(start, 90, false).unwrap();
        assert_eq!([lease.due(after(start, 59)), lease.due(after(start, 60))], [Due::Nothing, Due::Login]);
    }

    #[test]
    fn a_token_near_its_longest_life_is_replaced_instead_of_renewed_ever_more_often() {
        let start = Instant::now();
        let lease = Lease::new(start, 90, true).unwrap();
        let long = lease.renewed(after(start, 60), 90, true);
        assert_eq!([long.due(after(start, 119)), long.due(after(start, 120))], [Due::Nothing, Due::Renewal]);
        for seconds in [30, 1, 0] {
            let short = long.renewed(after(start, 120), seconds, true);
            assert_eq!(short.due(after(start, 120)), Due::Login);
            assert!(!short.has_ended(after(start, 149)), "it is used until there is another");
        }
    }

    #[test]
    fn a_failed_renewal_is_tried_again_a_few_times_before_the_end() {
        let start = Instant::now();
        let lease = Lease::new(start, 90, true).unwrap().postponed(after(start, 60));
        assert_eq!([lease.due(after(start, 69)), lease.due(after(start, 70))], [Due::Nothing, Due::Renewal]);
        assert_eq!(lease.postponed(after(start, 88)).due(after(start, 89)), Due::Nothing);
        assert_eq!(lease.postponed(after(start, 88)).due(after(start, 90)), Due::Login);
    }

    #[test]
    fn whatever_a_server_gives_is_reckoned_with() {
        let start = Instant::now();
        let lease = Lease::new(start, u64::MAX, true).unwrap().renewed(start, u64::MAX, true);
        assert_eq!(lease.due(after(start, 1_000_000)), Due::Nothing);
    }

    #[test]
    fn a_token_without_an_end_needs_nothing() {
        assert_eq!(Lease::new(Instant::now(), 0, false), None);
    }
}
