//! The adaptive window: how many attempts at once an endpoint is given.
//!
//! It starts small, doubles with each round of successes until the first strain, then grows by one
//! a round; each round with a strain halves it (additive increase, multiplicative decrease, as in
//! TCP's congestion control, RFC 5681). Answers that take much longer than they used to are a
//! milder strain. One round of attempts makes it smaller once, however many of them failed: that
//! is its hysteresis. It grows only while it is used in full, so it says what the endpoint has
//! borne, not what it might.

use std::time::Duration;

use crate::model::Time;

/// Attempts at once at the beginning.
const START: f64 = 4.0;
/// What is faster than this is never too slow.
const SLOW_MIN_US: f64 = 250_000.0;
/// Slower than usual by this factor is a strain.
const SLOW_FACTOR: f64 = 2.0;
/// What is left of the window after a strain.
const AFTER_STRAIN: f64 = 0.5;
/// What is left of it when answers get slow.
const AFTER_SLOWNESS: f64 = 0.8;
/// The weight of one answer in the recent latency.
const RECENT: f64 = 1.0 / 8.0;
/// The weight of one answer in the usual latency: so slowly does it become usual.
const USUAL: f64 = 1.0 / 256.0;

/// The window of one endpoint.
#[derive(Clone, Debug)]
pub struct Window {
    size: f64,
    /// Up to here it doubles with each round.
    threshold: f64,
    /// Attempts that began before this belong to a round that has made it smaller already.
    round: Time,
    /// Answers so far.
    answers: f64,
    /// Moving averages of what answers take, in microseconds; plain ones of the first few.
    recent_us: f64,
    usual_us: f64,
}

impl Default for Window {
    fn default() -> Window {
        Window {
            size: START,
            threshold: f64::INFINITY,
            round: Time::ZERO,
            answers: 0.0,
            recent_us: 0.0,
            usual_us: 0.0,
        }
    }
}

impl Window {
    /// Attempts at once now: from 1 to `max`.
    pub fn size(&self, max: usize) -> usize {
        // a float to an integer saturates, and the size is never negative
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "see above")]
        let whole = self.size as usize;
        whole.min(max).max(1)
    }

    /// An answer has come that was no strain. `full` says whether the window was used in full.
    pub fn answered(&mut self, began: Time, now: Time, full: bool, max: usize) {
        let took = now.since(began);
        self.learn(took);
        if self.is_slow() {
            self.shrink(AFTER_SLOWNESS, began, now);
        } else if full && began >= self.round {
            let step = if self.size < self.threshold { 1.0 } else { 1.0 / self.size };
            // `max` may have been lowered; the size follows when it grows again
            self.size = (self.size + step).min(bound(max)).max(1.0);
        }
    }

    /// An attempt that began then has put the endpoint under strain.
    pub fn strained(&mut self, began: Time, now: Time) {
        self.shrink(AFTER_STRAIN, began, now);
    }

    /// After a breaker has closed: from one attempt at a time, doubling.
    pub fn restart(&mut self, now: Time) {
        *self = Window { size: 1.0, round: now, ..Window::default() };
    }

    fn shrink(&mut self, to: f64, began: Time, now: Time) {
        if began < self.round {
            return;
        }
        self.round = now;
        self.size = (self.size * to).max(1.0);
        self.threshold = self.size;
    }

    fn learn(&mut self, took: Duration) {
        let took_us = took.as_secs_f64() * 1e6;
        self.answers += 1.0;
        let even = 1.0 / self.answers;
        self.recent_us += (took_us - self.recent_us) * RECENT.max(even);
        self.usual_us += (took_us - self.usual_us) * USUAL.max(even);
    }

    fn is_slow(&self) -> bool {
        self.recent_us > SLOW_MIN_US && self.recent_us > SLOW_FACTOR * self.usual_us
    }
}

fn bound(max: usize) -> f64 {
    f64::from(u32::try_from(max).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = 64;

    /// Rounds of attempts against an endpoint that bears so many at once and answers each in
    /// `took`; above that it answers 429. Returns the sizes round by round.
    fn rounds(window: &mut Window, bears: usize, took: Duration, count: usize) -> Vec<usize> {
        let mut now = Time::from_secs(1_000);
        let mut sizes = Vec::new();
        for _ in 0..count {
            let (size, began) = (window.size(MAX), now);
            now = now + took;
            for place in 0..size {
                if place < bears {
                    window.answered(began, now, true, MAX);
                } else {
                    window.strained(began, now);
                }
            }
            now = now + Duration::from_millis(1);
            sizes.push(window.size(MAX));
        }
        sizes
    }

    #[test]
    fn it_starts_small_and_reaches_its_limit_in_a_few_rounds() {
        let mut window = Window::default();
        assert_eq!(window.size(MAX), 4);
        let sizes = rounds(&mut window, MAX, Duration::from_millis(20), 6);
        assert_eq!(sizes.last(), Some(&MAX), "{sizes:?}");
    }

    #[test]
    fn it_converges_to_what_the_endpoint_bears() {
        for bears in [1, 3, 10, 40] {
            let mut window = Window::default();
            rounds(&mut window, bears, Duration::from_millis(20), 50);
            let sizes = rounds(&mut window, bears, Duration::from_millis(20), 100);
            let most = sizes.iter().max().copied().unwrap_or(0);
            let mean = sizes.iter().sum::<usize>() / sizes.len();
            assert!(most <= bears + 2, "{bears}: {sizes:?}");
            assert!(mean * 2 >= bears, "{bears}: mean {mean}");
        }
    }

    #[test]
    fn a_round_of_failures_counts_once() {
        let mut window = Window::default();
        rounds(&mut window, MAX, Duration::from_millis(20), 10);
        let (began, now) = (Time::from_secs(5_000), Time::from_secs(5_001));
        (0..MAX).for_each(|_| window.strained(began, now));
        assert_eq!(window.size(MAX), MAX / 2);
    }

    #[test]
    fn rising_latency_makes_it_smaller_and_is_usual_in_the_end() {
        let mut window = Window::default();
        rounds(&mut window, MAX, Duration::from_millis(100), 20);
        let slow = rounds(&mut window, MAX, Duration::from_secs(2), 10);
        assert!(slow.iter().any(|size| *size < MAX / 2), "{slow:?}");
        let later = rounds(&mut window, MAX, Duration::from_secs(2), 200);
        assert_eq!(later.last(), Some(&MAX), "{later:?}");
    }

    #[test]
    fn answers_that_take_now_long_and_now_short_are_not_slower_than_usual() {
        for seed in 0..20 {
            let (mut rng, mut window) = (fastrand::Rng::with_seed(seed), Window::default());
            let mut sizes = Vec::new();
            for _ in 0..30 {
                let took = Duration::from_millis(rng.u64(4..1_000));
                sizes.extend(rounds(&mut window, MAX, took, 1));
            }
            let mean = sizes.iter().sum::<usize>() / sizes.len();
            assert!(mean >= MAX / 2, "seed {seed}: {sizes:?}");
        }
    }

    #[test]
    fn fast_answers_are_never_too_slow() {
        let mut window = Window::default();
        rounds(&mut window, MAX, Duration::from_micros(100), 20);
        let sizes = rounds(&mut window, MAX, Duration::from_millis(200), 20);
        assert!(sizes.iter().all(|size| *size == MAX), "{sizes:?}");
    }

    #[test]
    fn an_unused_window_does_not_grow() {
        let mut window = Window::default();
        for second in 0..100 {
            let began = Time::from_secs(second);
            window.answered(began, began + Duration::from_millis(5), false, MAX);
        }
        assert_eq!(window.size(MAX), 4);
    }

    #[test]
    fn it_is_never_above_a_limit_that_was_lowered() {
        let mut window = Window::default();
        rounds(&mut window, MAX, Duration::from_millis(20), 10);
        assert_eq!(window.size(2), 2);
    }
}
