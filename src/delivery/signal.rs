//! The reload signal: what is to be told to one pod, and when. Pure.
//!
//! The kubelet refreshes a pod's volume at once when the pod's own annotations change, but only once a second. So a
//! signal is an annotation, written after the Secret; signals that come close together are gathered; and one that is not
//! acknowledged is sent again under another attempt, backing off. All that must be remembered stands on the pod.

use std::{fmt, str::FromStr, time::Duration};

use super::pod::PodView;

/// A second annotation update within it would wait for the kubelet's next relist.
const GATHER: Duration = Duration::from_secs(1);

/// How long each attempt waits for its acknowledgement. Eight attempts in 9 minutes; given up after 10.
const PATIENCE: [Duration; 8] = {
    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }
    [ms(1_500), ms(4_000), ms(10_000), ms(25_000), ms(60_000), ms(140_000), ms(300_000), ms(60_000)]
};

/// A runtime that never acknowledged anything most likely cannot: one signal and one retry refresh its files. Nobody hears
/// of it, so the retry waits until people who change several things in a row are done: it takes the kubelet's one fast
/// refresh a second from a change that comes right after it.
const SILENCE: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(4)];

/// The annotation `spacesync.dev/signal`: which attempt, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// 1 to 8, anew with each revision.
    pub number: usize,
    /// When, in milliseconds since 1970.
    pub at: i64,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.at)
    }
}

impl FromStr for Attempt {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (number, at) = text.split_once('/').ok_or(())?;
        let attempt = Self { number: number.parse().map_err(|_| ())?, at: at.parse().map_err(|_| ())? };
        if (1..=PATIENCE.len()).contains(&attempt.number) { Ok(attempt) } else { Err(()) }
    }
}

/// What is to be done about one pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing: it does not count, or has loaded the revision.
    Rest,
    /// It is to know the Flow App's version, and nothing besides.
    TellVersion,
    /// The signal, for the first time or again.
    Signal {
        /// Which attempt.
        attempt: usize,
    },
    /// Look again then.
    Wait(Duration),
    /// It was told as often as it is, and does not acknowledge.
    GaveUp,
}

/// What is to be done so that this pod loads this revision.
pub fn step(pod: &PodView, revision: &str, version: &str, now: jiff::Timestamp) -> Step {
    if !pod.counts() {
        return Step::Rest;
    }
    let last = last_attempt(pod, now);
    let since = last.map(|last| elapsed(last, now));
    if pod.revision.as_deref() != Some(revision) {
        return match since {
            Some(since) if since < GATHER => Step::Wait(GATHER.saturating_sub(since)),
            _ => Step::Signal { attempt: 1 },
        };
    }
    if version_step(pod, version) == Step::TellVersion {
        return Step::TellVersion;
    }
    if has_loaded(pod, revision) {
        return Step::Rest;
    }
    match (last, since) {
        (Some(last), Some(since)) => again(pod, last.number, since),
        // The annotation was removed or garbled: nobody knows how often it was told.
        _ => Step::Signal { attempt: 1 },
    }
}

/// What is to be done so that this pod knows this version. Once: nothing comes back that one could wait for.
pub fn version_step(pod: &PodView, version: &str) -> Step {
    let knows = pod.flow_app_version.as_deref() == Some(version);
    if pod.counts() && !knows { Step::TellVersion } else { Step::Rest }
}

/// Whether the runtime has acknowledged exactly this revision.
pub fn has_loaded(pod: &PodView, revision: &str) -> bool {
    pod.loaded.as_ref().is_some_and(|ack| ack.loaded && ack.revision == revision)
}

fn again(pod: &PodView, attempt: usize, since: Duration) -> Step {
    let patience: &[Duration] = if pod.loaded.is_none() { &SILENCE } else { &PATIENCE };
    match patience.get(attempt - 1) {
        Some(patience) if since < *patience => Step::Wait(patience.saturating_sub(since)),
        Some(_) if attempt < patience.len() => Step::Signal { attempt: attempt + 1 },
        _ => Step::GaveUp,
    }
}

/// The last attempt, unless it cannot be read or lies so far in the future that no clock of ours wrote it.
fn last_attempt(pod: &PodView, now: jiff::Timestamp) -> Option<Attempt> {
    let attempt: Attempt = pod.signal.as_deref()?.parse().ok()?;
    (attempt.at.saturating_sub(now.as_millisecond()) <= 1_000).then_some(attempt)
}

fn elapsed(attempt: Attempt, now: jiff::Timestamp) -> Duration {
    let ms = now.as_millisecond().saturating_sub(attempt.at);
    Duration::from_millis(u64::try_from(ms).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::sample::{R1, R2, acked, at_ms, failed, pod, told};

    const NOW: i64 = 1_000_000;

    fn now_step(pod: &PodView) -> Step {
        step(pod, R2, "5.3.0", at_ms(NOW))
    }

    fn new_pod() -> PodView {
        pod("p", "ingest")
    }

    /// Lives through the time after a new revision: when is the pod signalled, and how does it end?
    fn live(mut pod: PodView, mut on_signal: impl FnMut(&mut PodView, usize)) -> (Vec<(usize, i64)>, Step, i64) {
        let (mut at, mut signals) = (NOW, Vec::new());
        loop {
            match step(&pod, R2, "5.3.0", at_ms(at)) {
                Step::Signal { attempt } => {
                    signals.push((attempt, at - NOW));
                    pod = told(pod, R2, u32::try_from(attempt).unwrap(), at);
                    on_signal(&mut pod, attempt);
                }
                Step::Wait(wait) => {
                    assert!(!wait.is_zero(), "a wait of no time would spin");
                    at += i64::try_from(wait.as_millis()).unwrap();
                }
                end => return (signals, end, at - NOW),
            }
            assert!(signals.len() < 20 && at < NOW + 3_600_000, "it never ends: {signals:?}");
        }
    }

    #[test]
    fn a_new_revision_is_told_at_once() {
        let signal = Step::Signal { attempt: 1 };
        assert_eq!(now_step(&new_pod()), signal);
        assert_eq!(now_step(&told(acked(new_pod(), R1), R1, 1, NOW - 60_000)), signal);
        assert_eq!(now_step(&told(new_pod(), R1, 8, NOW - 60_000)), signal, "attempts count anew");
    }

    #[test]
    fn a_second_change_waits_until_the_second_of_the_first_is_over() {
        let table = [
            (NOW, Step::Wait(Duration::from_secs(1))),
            (NOW - 1, Step::Wait(Duration::from_millis(999))),
            (NOW - 999, Step::Wait(Duration::from_millis(1))),
            (NOW - 1_000, Step::Signal { attempt: 1 }),
            (NOW - 5_000, Step::Signal { attempt: 1 }),
        ];
        for (last, expected) in table {
            assert_eq!(now_step(&told(acked(new_pod(), R1), R1, 1, last)), expected, "{}", NOW - last);
        }
    }

    #[test]
    fn a_retry_uses_up_the_second_as_well() {
        assert_eq!(now_step(&told(acked(new_pod(), R1), R1, 3, NOW - 400)), Step::Wait(Duration::from_millis(600)));
    }

    #[test]
    fn a_pod_that_acknowledges_is_told_once() {
        let (signals, end, _) = live(acked(new_pod(), R1), |pod, _| *pod = acked(pod.clone(), R2));
        assert_eq!((signals, end), (vec![(1, 0)], Step::Rest));
    }

    #[test]
    fn a_pod_that_acknowledged_before_is_told_eight_times_in_nine_minutes_and_given_up_after_ten() {
        let (signals, end, after) = live(acked(new_pod(), R1), |_, _| {});
        let instants = [0, 1_500, 5_500, 15_500, 40_500, 100_500, 240_500, 540_500];
        assert_eq!(signals, (1..=8).zip(instants).collect::<Vec<_>>());
        assert_eq!((end, after), (Step::GaveUp, 600_500));
    }

    #[test]
    fn a_late_acknowledgement_ends_the_retries() {
        let ack_at_third = |pod: &mut PodView, attempt| {
            if attempt == 3 {
                *pod = acked(pod.clone(), R2);
            }
        };
        let (signals, end, _) = live(acked(new_pod(), R1), ack_at_third);
        assert_eq!((signals.len(), end), (3, Step::Rest));
        let gave_up = told(acked(new_pod(), R1), R2, 8, NOW - 61_000);
        assert_eq!(now_step(&gave_up), Step::GaveUp);
        assert_eq!(now_step(&acked(gave_up, R2)), Step::Rest, "also after it was given up");
    }

    #[test]
    fn a_runtime_that_never_acknowledged_gets_one_signal_and_one_retry() {
        assert_eq!(live(new_pod(), |_, _| {}), (vec![(1, 0), (2, 10_000)], Step::GaveUp, 14_000));
    }

    #[test]
    fn a_runtime_whose_first_word_is_of_an_older_revision_is_told_on() {
        let silent = told(new_pod(), R2, 2, NOW - 60_000);
        assert_eq!(now_step(&silent), Step::GaveUp);
        assert_eq!(now_step(&acked(silent, R1)), Step::Signal { attempt: 3 });
    }

    #[test]
    fn a_silent_runtimes_retry_is_not_in_the_way_of_a_change_that_comes_soon_after() {
        for gap in [1_000, 1_500, 2_500, 5_000, 9_999] {
            let told_before = told(new_pod(), R1, 1, NOW - gap);
            let same = step(&told_before, R1, "5.3.0", at_ms(NOW));
            assert!(matches!(same, Step::Wait(_)), "{gap}: {same:?}");
            assert_eq!(now_step(&told_before), Step::Signal { attempt: 1 }, "{gap}");
        }
    }

    #[test]
    fn a_runtime_that_could_not_load_the_revision_is_told_again_as_often_as_any_other() {
        let pod = told(failed(new_pod(), R2, "SnapshotIncomplete"), R2, 1, NOW - 1_500);
        assert_eq!(now_step(&pod), Step::Signal { attempt: 2 });
        let (signals, end, _) = live(failed(new_pod(), R2, "SnapshotIncomplete"), |_, _| {});
        assert_eq!((signals.len(), end), (8, Step::GaveUp));
        let mends_at_second = |pod: &mut PodView, attempt| {
            if attempt == 2 {
                *pod = acked(pod.clone(), R2);
            }
        };
        let (signals, end, _) = live(failed(new_pod(), R1, "SnapshotMalformed"), mends_at_second);
        assert_eq!((signals.len(), end), (2, Step::Rest));
    }

    #[test]
    fn a_pod_that_loaded_the_revision_by_itself_is_still_told_so_that_its_files_say_so() {
        let started_later = acked(new_pod(), R2);
        assert_eq!(now_step(&started_later), Step::Signal { attempt: 1 });
        assert_eq!(now_step(&told(started_later, R2, 1, NOW)), Step::Rest);
    }

    #[test]
    fn a_pod_that_does_not_run_is_not_told() {
        assert_eq!(now_step(&PodView { started: false, ..new_pod() }), Step::Rest);
        assert_eq!(now_step(&PodView { terminating: true, ..new_pod() }), Step::Rest);
    }

    #[test]
    fn another_version_of_the_flow_app_is_told_without_a_signal() {
        let pod = told(acked(new_pod(), R2), R2, 1, NOW - 60_000);
        assert_eq!(step(&pod, R2, "5.4.0", at_ms(NOW)), Step::TellVersion);
        assert_eq!(step(&pod, R2, "5.3.0", at_ms(NOW)), Step::Rest);
    }

    #[test]
    fn what_nobody_of_us_wrote_counts_as_never_told() {
        for garbled in ["", "1", "x/1", "0/1000000", "9/1000000", "-1/5", "1/9999999999999", "1/"] {
            let pod = PodView { signal: Some(garbled.into()), ..told(acked(new_pod(), R1), R2, 1, NOW) };
            assert_eq!(now_step(&pod), Step::Signal { attempt: 1 }, "{garbled:?}");
        }
    }

    #[test]
    fn a_clock_that_is_a_little_ahead_makes_nobody_wait_longer() {
        let ahead = told(acked(new_pod(), R1), R1, 1, NOW + 800);
        assert_eq!(now_step(&ahead), Step::Wait(GATHER));
        let ahead = told(acked(new_pod(), R1), R2, 1, NOW + 800);
        assert_eq!(now_step(&ahead), Step::Wait(PATIENCE[0]));
    }

    #[test]
    fn an_attempt_reads_back_as_it_was_written() {
        let attempt = Attempt { number: 3, at: 1_764_000_000_123 };
        assert_eq!(attempt.to_string(), "3/1764000000123");
        assert_eq!(attempt.to_string().parse(), Ok(attempt));
    }
}
