//! The first thing after a start: what was under way when the process ended is written down as
//! interrupted, before any of it is dialled again. So a delivery that kills the process is counted
//! and, in the end, put aside.

use crate::engine::Engine;
use crate::engine::flight::Flight;
use crate::engine::flight::Phase;
use crate::engine::settle::Settlement;
use crate::engine::words::Effect;
use crate::engine::words::Notice;
use crate::model::Attempt;
use crate::model::DeadReason;
use crate::model::DeliveryId;
use crate::model::EndpointEntry;
use crate::model::EndpointNo;
use crate::model::EventId;
use crate::model::LaneCounts;
use crate::model::Next;
use crate::model::Outcome;
use crate::model::Progress;
use crate::model::Replay;
use crate::model::StandingHold;
use crate::model::Step;
use crate::model::StepKind;
use crate::model::Time;
use crate::policy::backoff;

/// Steps that one commit of recovery holds at most.
const STEPS_MAX: usize = 128;

/// What the engine knows when it starts: what the store recovered.
#[derive(Clone, Debug, Default)]
pub struct Recovered {
    /// Deliveries that were under way when the process ended.
    pub in_flight: Vec<(DeliveryId, Progress)>,
    /// What stands in each lane.
    pub lanes: Vec<(EndpointNo, LaneCounts)>,
    /// All endpoints that the store knows.
    pub entries: Vec<EndpointEntry>,
    /// The last event admitted.
    pub last_event: Option<EventId>,
    /// All replays that are remembered.
    pub replays: Vec<Replay>,
    /// The holds that stand.
    pub holds: Vec<StandingHold>,
}

impl Engine {
    /// Remembers what was found in flight, until the first [`Engine::wake`].
    pub(crate) fn found_in_flight(&mut self, found: &[(DeliveryId, Progress)]) {
        self.flights.interrupted = found.to_vec();
        for (delivery, progress) in found {
            let flight = Flight {
                phase: Phase::Settling,
                progress: *progress,
                due: delivery.event.time(),
                backlog: false,
                event: None,
                cancel: None,
                moved_to: None,
            };
            self.flights.insert(*delivery, flight);
            if let Some(lane) = self.lanes.get_mut(&delivery.endpoint) {
                lane.flights += 1;
            }
        }
    }

    /// Writes down what was found in flight.
    pub(crate) fn settle_interrupted(&mut self, now: Time, out: &mut Vec<Effect>) {
        if self.flights.interrupted.is_empty() {
            return;
        }
        let found = std::mem::take(&mut self.flights.interrupted);
        out.push(Effect::Publish(Notice::Interrupted { count: found.len() }));
        for some in found.chunks(STEPS_MAX) {
            let rng = &mut self.rng;
            let lanes = &self.lanes;
            let steps = some
                .iter()
                .map(|(delivery, before)| {
                    let next = if lanes.contains_key(&delivery.endpoint) {
                        backoff::after_interruption(*before, now, rng)
                    } else {
                        Next::Dead { reason: DeadReason::EndpointRemoved }
                    };
                    let kind = StepKind::Attempt(Attempt::without_response(Outcome::Interrupted));
                    Settlement::new(*delivery, Step { at: now, kind, next }, *before)
                })
                .collect();
            self.settle(steps, out);
        }
    }
}
