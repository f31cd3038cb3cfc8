//! Whether endpoints keep their targets: late, slow, failing and silent ones are told, and silent
//! sources, where anybody wants to know.

use std::time::Duration;

use serde_json::json;

use crate::engine::Engine;
use crate::engine::lane::Lane;
use crate::engine::report::About;
use crate::engine::report::Report;
use crate::engine::words::Effect;
use crate::model::Attempt;
use crate::model::DeliveryId;
use crate::model::EndpointNo;
use crate::model::Event;
use crate::model::Outcome;
use crate::model::Progress;
use crate::model::Time;
use crate::model::TypeGlob;
use crate::policy::pulse;
use crate::policy::pulse::Beats;
use crate::policy::pulse::Miss;
use crate::policy::signs;
use crate::policy::signs::Sign;

/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_secs(10);

impl Engine {
    /// How each endpoint fares: attempts at once that it has borne, and its last minutes.
    pub fn fares(&self, now: Time) -> impl Iterator<Item = (EndpointNo, usize, Beats)> {
        let fare =
            move |(no, lane): (&EndpointNo, &Lane)| (*no, lane.own_window(), lane.pulse.beats(now));
        self.lanes.iter().map(fare)
    }

    /// A new event has come in.
    pub(crate) fn heard_of(&mut self, now: Time, event: &Event) {
        if event.event_type.is_operational() {
            return;
        }
        for no in &event.targets {
            if let Some(lane) = self.lanes.get_mut(no) {
                lane.last_event = now;
            }
        }
    }

    /// An attempt has ended of a delivery that was due then.
    pub(crate) fn feel_pulse(
        &mut self,
        now: Time,
        delivery: DeliveryId,
        attempt: &Attempt,
        before: Progress,
        due: Time,
    ) {
        let Some(lane) = self.lanes.get_mut(&delivery.endpoint) else { return };
        if signs::sign(attempt) == Sign::None {
            return;
        }
        // retries count from the beginning
        let first = if before.attempts == 0 { due } else { delivery.event.time() };
        let since = before.since.unwrap_or(first);
        let took = (attempt.outcome == Outcome::Ok).then(|| now.since(since));
        let targets = lane.endpoint.flow.targets;
        lane.pulse.beat(now, took, &targets);
    }

    /// Looks now and then whether targets are kept, as long as anybody wants to know.
    pub(crate) fn look_at_targets(&mut self, now: Time, out: &mut Vec<Effect>) {
        if self.told.look.is_none_or(|at| at > now) {
            return;
        }
        if !self.is_listened_to() {
            self.told.look = None;
            return;
        }
        self.told.look = Some(now + LOOK_EVERY);
        // silence begins when it is first listened for
        let new = self.lanes.values_mut().filter(|lane| lane.last_event == Time::ZERO);
        new.for_each(|lane| lane.last_event = now);
        let mut reports: Vec<_> = self.lanes.values().flat_map(|lane| missed(lane, now)).collect();
        reports.extend(self.silent_sources(now));
        reports.into_iter().for_each(|report| self.report(now, report, out));
    }

    /// Whether an endpoint names operational events.
    fn is_listened_to(&self) -> bool {
        let mut globs = self.lanes.values().flat_map(|lane| &lane.endpoint.types);
        globs.any(TypeGlob::is_operational)
    }
}

/// What an endpoint misses now.
fn missed(lane: &Lane, now: Time) -> Vec<Report> {
    let targets = &lane.endpoint.flow.targets;
    let name = &*lane.endpoint.name;
    let mut reports = Vec::new();
    let mut tell = |kind, data| {
        reports.push(Report { kind, about: About::Endpoint(lane.endpoint.no), data });
    };
    let beats = lane.pulse.beats(now);
    let span_s = pulse::SPAN.as_secs();
    for miss in beats.misses(targets) {
        let (kind, data) = match miss {
            Miss::Failing => (
                "endpoint.failing",
                json!({
                    "endpoint": name, "attempts": beats.attempts, "failures": beats.failures,
                    "in_s": span_s, "error_percent": targets.error_percent,
                }),
            ),
            Miss::Slow => (
                "endpoint.slow",
                json!({
                    "endpoint": name, "delivered": beats.delivered, "slow": beats.slow,
                    "in_s": span_s, "latency_ms": millis(targets.latency),
                }),
            ),
        };
        tell(kind, data);
    }
    let late = lane.oldest_due(now).filter(|_| lane.is_callable(now));
    if let (Some(since), Some(after)) = (late, targets.late_after)
        && now.since(since) > after
    {
        let data = json!({
            "endpoint": name, "due_since": since, "late_after_s": after.as_secs(),
        });
        tell("queue.late", data);
    }
    let is_silent = targets.silent_after.filter(|after| now.since(lane.last_event) > *after);
    if let Some(after) = is_silent.filter(|_| lane.endpoint.state.is_active()) {
        let data = json!({
            "endpoint": name, "since": lane.last_event, "silent_after_s": after.as_secs(),
        });
        tell("endpoint.silent", data);
    }
    reports
}

fn millis(span: Option<Duration>) -> Option<u64> {
    span.map(|span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}
