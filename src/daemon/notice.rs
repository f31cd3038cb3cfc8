//! What the engine publishes, as metrics and log events.

use std::time::Duration;

use crate::admin::Metrics;
use crate::admin::metrics::EndpointSeries;
use crate::admin::metrics::Lookup;
use crate::daemon::shared::Shared;
use crate::engine::Notice;
use crate::engine::ReplayNotice;
use crate::model::Attempt;
use crate::model::Damage;
use crate::model::DeadReason;
use crate::model::DeliveryId;
use crate::model::DeliveryState;
use crate::model::EndpointNo;
use crate::model::EventId;
use crate::model::Next;
use crate::model::Pruned;
use crate::model::ReplayCounts;
use crate::model::ReplayState;
use crate::model::StandingHold;

/// Counts and logs what happened.
pub(crate) fn publish(shared: &Shared, notice: &Notice) {
    let metrics = &shared.metrics;
    match notice {
        Notice::Accepted { event, keyed } => {
            shared.counters.accepted.inc();
            let rules = shared.rules.load();
            rules.sources.series(&event.source).event_accepted(event.event_type.as_str());
            if *keyed {
                metrics.key_looked_up(Lookup::New);
            }
            for page in event.targets.iter().filter_map(|no| rules.book.page(*no)) {
                metrics.delivery_created(&page.series);
            }
            tracing::debug!(
                event = "event.accepted", event_id = %event.id,
                source = rules.sources.name(&event.source), deliveries = event.targets.len(),
            );
        }
        Notice::Duplicate { first, same } => {
            shared.counters.duplicates.inc();
            metrics.key_looked_up(if *same { Lookup::Replayed } else { Lookup::Conflict });
            tracing::debug!(event = "idempotency.replayed", event_id = %first, same);
        }
        Notice::AttemptFinished { delivery, number, attempt, next } => {
            attempt_finished(shared, *delivery, *number, attempt, *next);
        }
        Notice::Interrupted { count } => {
            tracing::warn!(
                event = "delivery.interrupted",
                count,
                "the last process ended during these attempts; they are made again",
            );
        }
        Notice::Died { delivery, reason } => died(shared, *delivery, *reason),
        Notice::LeftOut { delivery, of } => left_out(shared, *delivery, *of),
        Notice::EndpointDisabled { endpoint, reason } => {
            let endpoint = counted(shared, *endpoint, Metrics::endpoint_disabled);
            tracing::warn!(event = "endpoint.disabled", endpoint, reason);
        }
        Notice::BreakerOpened { endpoint, open } => {
            let endpoint = counted(shared, *endpoint, Metrics::breaker_opened);
            let (failures, outcome) = (open.failures, open.outcome.as_str());
            let until = open.until;
            tracing::warn!(event = "breaker.opened", endpoint, failures, outcome, %until);
        }
        Notice::EndpointRecovered { endpoint, open } => {
            let endpoint = counted(shared, *endpoint, Metrics::breaker_closed);
            let down_for_ms = shared.clock.now().since(open.since).as_millis();
            let failures = open.failures;
            tracing::info!(event = "endpoint.recovered", endpoint, failures, down_for_ms);
        }
        Notice::Pruned(gone) => metrics.store_pruned(*gone),
        Notice::Damaged(Damage { event, what }) => {
            metrics.store_read_failed();
            tracing::warn!(event = "gc.damaged", event_id = %event, what);
        }
        Notice::Swept { gone, took } => swept(*gone, *took),
        Notice::Hold { hold, lifted_by } => held(shared, hold, lifted_by.as_deref()),
        Notice::Replay(notice) => replayed(shared, notice),
        Notice::Disagreement { delivery, doing: "start" } => {
            tracing::debug!(event = "delivery.moved", delivery_id = %delivery);
        }
        Notice::Disagreement { delivery, doing } => {
            tracing::error!(
                event = "store.error", delivery_id = %delivery, op = doing,
                "the store holds this delivery elsewhere; this is a bug in postrider",
            );
        }
    }
}

fn swept(gone: Pruned, took: Duration) {
    let Pruned { events, payloads, keys, damaged } = gone;
    let took_ms = took.as_millis();
    tracing::debug!(event = "gc.swept", events, payloads, keys, damaged, took_ms);
}

/// Counts a change of an endpoint, and gives its name.
fn counted(shared: &Shared, no: EndpointNo, count: fn(&Metrics, &EndpointSeries)) -> String {
    let rules = shared.rules.load();
    if let Some(page) = rules.book.page(no) {
        count(&shared.metrics, &page.series);
    }
    rules.book.name(no)
}

fn attempt_finished(
    shared: &Shared,
    delivery: DeliveryId,
    number: u16,
    attempt: &Attempt,
    next: Next,
) {
    let rules = shared.rules.load();
    let Some(page) = rules.book.page(delivery.endpoint) else { return };
    let metrics = &shared.metrics;
    shared.counters.attempts.inc();
    let now = shared.clock.now();
    metrics.attempt_finished(&page.series, attempt, now);
    let age = now.since(delivery.event.time());
    let outcome = attempt.outcome.as_str();
    let duration_ms = attempt.phases.total_us / 1_000;
    tracing::debug!(
        event = "attempt.finished", delivery_id = %delivery, endpoint = %page.name,
        attempt = number, outcome, status = attempt.status, duration_ms,
    );
    let finished = |state| metrics.delivery_finished(&page.series, state, number, age);
    match next {
        Next::Delivered => {
            shared.counters.delivered.inc();
            finished(DeliveryState::Delivered);
        }
        Next::Cancelled => finished(DeliveryState::Cancelled),
        Next::Wait { due, why } => {
            metrics.retry_scheduled(why);
            tracing::debug!(
                event = "retry.scheduled", delivery_id = %delivery, endpoint = %page.name,
                next_at = %due, reason = why.as_str(),
            );
        }
        Next::Dead { reason } => {
            finished(DeliveryState::Dead);
            tracing::warn!(
                event = "delivery.dead", delivery_id = %delivery, endpoint = %page.name,
                attempts = number, outcome, reason = reason.as_str(),
            );
        }
    }
}

fn died(shared: &Shared, delivery: DeliveryId, reason: DeadReason) {
    let rules = shared.rules.load();
    let Some(page) = rules.book.page(delivery.endpoint) else { return };
    let age = shared.clock.now().since(delivery.event.time());
    shared.metrics.delivery_finished(&page.series, DeliveryState::Dead, 0, age);
    tracing::warn!(
        event = "delivery.dead", delivery_id = %delivery, endpoint = %page.name,
        reason = reason.as_str(),
    );
}

fn left_out(shared: &Shared, delivery: DeliveryId, of: EventId) {
    let rules = shared.rules.load();
    let Some(page) = rules.book.page(delivery.endpoint) else { return };
    shared.metrics.delivery_left_out(&page.series);
    let age = shared.clock.now().since(delivery.event.time());
    shared.metrics.delivery_finished(&page.series, DeliveryState::Cancelled, 0, age);
    tracing::debug!(
        event = "delivery.duplicate", delivery_id = %delivery, endpoint = %page.name,
        event_id = %of,
    );
}

fn held(shared: &Shared, hold: &StandingHold, lifted_by: Option<&str>) {
    let rules = shared.rules.load();
    let endpoint = hold.endpoint.map(|no| rules.book.name(no));
    let event = if lifted_by.is_some() { "hold.lifted" } else { "hold.stands" };
    let (id, types, actor) = (hold.id, &hold.types, lifted_by.unwrap_or(&hold.actor));
    tracing::info!(target: "postrider::audit", event, %id, %types, endpoint, actor);
}

/// A replay's beginning and end are lines of the audit log, also where it ends by itself.
fn replayed(shared: &Shared, notice: &ReplayNotice) {
    match notice {
        ReplayNotice::Started(replay) => {
            let (id, actor, matched) = (replay.id, &replay.actor, replay.counts.matched);
            let action = replay.action.as_str();
            tracing::info!(
                target: "postrider::audit", event = "replay.started", %id, action, actor, matched,
            );
        }
        ReplayNotice::Stepped(count) => shared.metrics.replayed(*count),
        ReplayNotice::Ended(replay) => {
            let event = match replay.state {
                ReplayState::Cancelled => "replay.cancelled",
                ReplayState::Done | ReplayState::Running => "replay.finished",
            };
            let ReplayCounts { matched, submitted, expired, skipped } = replay.counts;
            let actor = replay.ended_by.as_ref().unwrap_or(&replay.actor);
            tracing::info!(
                target: "postrider::audit", event, id = %replay.id, actor, matched, submitted,
                expired, skipped,
            );
        }
    }
}
