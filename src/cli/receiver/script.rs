//! What a receiver answers: nothing but rules, so that a failing endpoint can be written down.
//!
//! A script is a list of steps, each for a number of requests; after the last one every request is
//! accepted. It counts either all requests or those of each event by itself: "every event fails
//! three times" and "the first three requests fail" are different outages.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::str::FromStr;
use std::time::Duration;

/// Events that a script counts by itself; beyond it the oldest is forgotten, and begins anew.
pub const EVENTS_REMEMBERED_MAX: usize = 65_536;

/// How one request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// As a working endpoint would: 200, or whatever the program behind it says.
    Accept,
    /// With this status.
    Status(u16),
    /// Not at all: the connection is closed.
    Drop,
}

/// The same answer for a number of requests: `503x3`, `drop`, `429x1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The answer.
    pub answer: Answer,
    /// For how many requests; `None` is for all that follow.
    pub times: Option<u64>,
}

/// Why a text is no [`Step`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a status from 200 to 599 or \"drop\", and how often: 503x3, drop, 429x1")]
pub struct StepError;

/// What the steps of a script count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// Requests.
    #[default]
    InAll,
    /// Requests with the same `webhook-id`.
    PerEvent,
}

/// How a receiver behaves; the default accepts everything at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// One after another.
    pub steps: Vec<Step>,
    /// What they count.
    pub scope: Scope,
    /// How long every answer takes.
    pub delay: Duration,
    /// `Retry-After` of answers that are no success, in seconds.
    pub retry_after: Option<u32>,
}

/// How far a script has come.
#[derive(Debug, Default)]
pub struct Progress {
    in_all: u64,
    per_event: HashMap<String, u64>,
    oldest_first: VecDeque<String>,
}

impl FromStr for Step {
    type Err = StepError;

    fn from_str(text: &str) -> Result<Step, StepError> {
        let (answer, times) = match text.split_once('x') {
            Some((answer, times)) => (answer, Some(times.parse().map_err(|_| StepError)?)),
            None => (text, None),
        };
        if answer == "drop" {
            return Ok(Step { answer: Answer::Drop, times });
        }
        match answer.parse() {
            Ok(status @ 200..=599) => Ok(Step { answer: Answer::Status(status), times }),
            _ => Err(StepError),
        }
    }
}

impl Script {
    /// Fails like this, counting all requests.
    pub fn failing(steps: Vec<Step>) -> Script {
        Script { steps, ..Script::default() }
    }

    /// The answer to the request that has `earlier` before it.
    pub fn answer_after(&self, earlier: u64) -> Answer {
        let mut end = 0_u64;
        for step in &self.steps {
            let Some(times) = step.times else { return step.answer };
            end = end.saturating_add(times);
            if earlier < end {
                return step.answer;
            }
        }
        Answer::Accept
    }
}

impl Progress {
    /// The answer to the next request, which carries this `webhook-id`.
    pub fn next(&mut self, script: &Script, event: Option<&str>) -> Answer {
        let earlier = match script.scope {
            Scope::InAll => count(&mut self.in_all),
            Scope::PerEvent => self.count_event(event.unwrap_or_default()),
        };
        script.answer_after(earlier)
    }

    fn count_event(&mut self, event: &str) -> u64 {
        if let Some(seen) = self.per_event.get_mut(event) {
            return count(seen);
        }
        if self.oldest_first.len() >= EVENTS_REMEMBERED_MAX
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.per_event.remove(&oldest);
        }
        self.oldest_first.push_back(event.to_owned());
        self.per_event.insert(event.to_owned(), 1);
        0
    }
}

/// Adds one and gives the number before.
fn count(seen: &mut u64) -> u64 {
    let earlier = *seen;
    *seen = seen.saturating_add(1);
    earlier
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(texts: &[&str]) -> Vec<Step> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn steps_follow_one_another_and_then_everything_is_accepted() {
        let script = Script::failing(steps(&["503x2", "dropx1"]));
        let answers: Vec<_> = (0..4).map(|n| script.answer_after(n)).collect();
        let failed = Answer::Status(503);
        assert_eq!(answers, [failed, failed, Answer::Drop, Answer::Accept]);
    }

    #[test]
    fn a_step_without_a_number_has_no_end() {
        let script = Script::failing(steps(&["429x1", "500"]));
        assert_eq!(script.answer_after(0), Answer::Status(429));
        assert_eq!(script.answer_after(u64::MAX), Answer::Status(500));
    }

    #[test]
    fn events_are_counted_by_themselves_where_asked() {
        let script = Script { scope: Scope::PerEvent, ..Script::failing(steps(&["500x1"])) };
        let mut progress = Progress::default();
        let mut next = |event| progress.next(&script, event);
        assert_eq!(next(Some("evt_a")), Answer::Status(500));
        assert_eq!(next(Some("evt_b")), Answer::Status(500));
        assert_eq!([next(Some("evt_a")), next(Some("evt_b"))], [Answer::Accept; 2]);
        assert_eq!(next(None), Answer::Status(500), "requests without an id are one event");
    }

    #[test]
    fn the_oldest_event_is_forgotten_at_the_limit() {
        let script = Script { scope: Scope::PerEvent, ..Script::failing(steps(&["500x1"])) };
        let mut progress = Progress::default();
        for n in 0..=EVENTS_REMEMBERED_MAX {
            progress.next(&script, Some(&format!("evt_{n}")));
        }
        assert_eq!(progress.per_event.len(), EVENTS_REMEMBERED_MAX);
        assert_eq!(progress.next(&script, Some("evt_0")), Answer::Status(500), "begins anew");
        assert_eq!(progress.next(&script, Some("evt_9")), Answer::Accept, "still known");
    }

    #[test]
    fn wrong_steps_are_refused() {
        for text in ["", "x3", "503x", "99", "100x2", "600", "503x-1", "dropx", "fail"] {
            assert_eq!(text.parse::<Step>(), Err(StepError), "{text:?}");
        }
    }
}
