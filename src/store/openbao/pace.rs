//! A token bucket: so many requests a second, and a few at once after a pause.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep};

/// When the next request may go.
#[derive(Debug)]
pub(super) struct Pace {
    interval: Duration,
    /// How far ahead of the even pace requests may run: the burst.
    tolerance: Duration,
    /// When the next request would go if all went evenly.
    next: Mutex<Instant>,
}

impl Pace {
    pub(super) fn new(per_second: u32, burst: u32) -> Self {
        let interval = Duration::from_secs(1) / per_second.max(1);
        Self { interval, tolerance: interval * burst.saturating_sub(1), next: Mutex::new(Instant::now()) }
    }

    /// Returns when one more request may go. Those who wait go in the order in which they came.
    pub(super) async fn wait(&self) {
        let wait = self.take(Instant::now());
        if !wait.is_zero() {
            sleep(wait).await;
        }
    }

    fn take(&self, now: Instant) -> Duration {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = next.saturating_duration_since(now).saturating_sub(self.tolerance);
        *next = (*next).max(now) + self.interval;
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn seconds_for(pace: &Pace, requests: u32) -> f64 {
        let start = Instant::now();
        for _ in 0..requests {
            pace.wait().await;
        }
        (start.elapsed().as_secs_f64() * 100.0).round() / 100.0
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_goes_at_once_and_the_rest_evenly() {
        let pace = Pace::new(100, 16);
        assert!(seconds_for(&pace, 16).await < 0.01);
        assert!((seconds_for(&pace, 200).await - 2.0).abs() < 0.25);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_saves_up_no_more_than_the_burst() {
        let pace = Pace::new(10, 5);
        seconds_for(&pace, 5).await;
        sleep(Duration::from_mins(1)).await;
        assert!(seconds_for(&pace, 5).await < 0.01);
        assert!((seconds_for(&pace, 10).await - 1.0).abs() < 0.05);
    }

    #[tokio::test(start_paused = true)]
    async fn one_a_second_is_possible() {
        let pace = Pace::new(1, 1);
        assert!((seconds_for(&pace, 4).await - 3.0).abs() < 0.05);
    }
}
