//! Sending: attempts, their phases, what follows from them.

use std::borrow::Cow;
use std::time::Duration;

use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::admin::metrics::EndpointSeries;
use crate::admin::metrics::Metrics;
use crate::admin::metrics::label::CounterSet;
use crate::admin::metrics::label::Histograms;
use crate::admin::metrics::label::long_seconds;
use crate::admin::metrics::label::seconds;
use crate::admin::metrics::label::short_seconds;
use crate::admin::metrics::queue::set;
use crate::model::Attempt;
use crate::model::DeliveryState;
use crate::model::Outcome;
use crate::model::Time;
use crate::model::WaitReason;
use crate::policy::signs;
use crate::policy::signs::Sign;

#[derive(Debug)]
pub(super) struct Series {
    ok: Histogram,
    failed: Histogram,
    dns: Histogram,
    connect: Histogram,
    tls: Histogram,
    wait: Histogram,
    body: Histogram,
    lag: Histogram,
    delivered_first: Histogram,
    delivered_later: Histogram,
    retries: CounterSet,
}

impl Series {
    pub(super) fn register(registry: &mut Registry) -> Series {
        let attempts = Histograms::new_with_constructor(seconds);
        registry.register("attempt_duration_seconds", "Whole attempts", attempts.clone());
        let result = |word: &'static str| attempts.get_or_create_owned(&[("result", word.into())]);
        let phases = Histograms::new_with_constructor(seconds);
        registry.register("attempt_phase_duration_seconds", "Attempts by phase", phases.clone());
        let phase = |word: &'static str| phases.get_or_create_owned(&[("phase", word.into())]);
        let deliveries = Histograms::new_with_constructor(long_seconds);
        let help = "From the admission of an event to its delivery";
        registry.register("delivery_duration_seconds", help, deliveries.clone());
        let first = |word: &'static str| {
            deliveries.get_or_create_owned(&[("first_attempt", Cow::Borrowed(word))])
        };
        let lag = short_seconds();
        let help = "From the time that a delivery was due to the start of its attempt";
        registry.register("scheduler_lag_seconds", help, lag.clone());
        Series {
            ok: result("ok"),
            failed: result("failed"),
            dns: phase("dns"),
            connect: phase("connect"),
            tls: phase("tls"),
            wait: phase("wait"),
            body: phase("body"),
            lag,
            delivered_first: first("true"),
            delivered_later: first("false"),
            retries: CounterSet::register(
                registry,
                ("retries_scheduled", "Deliveries put off to a later attempt, by reason"),
                "reason",
                WaitReason::ALL.iter().map(|why| why.as_str()),
            ),
        }
    }

    fn observe_phases(&self, attempt: &Attempt) {
        let phases = &attempt.phases;
        let before_body = [
            (&self.dns, phases.dns_us),
            (&self.connect, phases.connect_us),
            (&self.tls, phases.tls_us),
            (&self.wait, phases.wait_us),
        ];
        let mut spent_us = 0_u32;
        // a phase that took no time did not take place: a connection from the pool, an address
        for (histogram, micros) in before_body.into_iter().filter(|(_, micros)| *micros > 0) {
            histogram.observe(seconds_of(micros));
            spent_us = spent_us.saturating_add(micros);
        }
        if attempt.status.is_some() {
            self.body.observe(seconds_of(phases.total_us.saturating_sub(spent_us)));
        }
    }
}

fn seconds_of(micros: u32) -> f64 {
    f64::from(micros) / 1e6
}

impl Metrics {
    /// An attempt begins, this long after it was due.
    pub fn attempt_started(&self, late: Duration) {
        self.attempts.lag.observe(late.as_secs_f64());
    }

    /// An attempt ended at this time.
    pub fn attempt_finished(&self, endpoint: &EndpointSeries, attempt: &Attempt, at: Time) {
        endpoint.attempts.inc(attempt.outcome as usize);
        match signs::sign(attempt) {
            Sign::None => {}
            sign if sign.is_failure() => _ = endpoint.failures.inc(),
            _ => _ = endpoint.failures.set(0),
        }
        let ok = attempt.outcome == Outcome::Ok;
        if ok {
            set(&endpoint.succeeded_at, at.as_secs());
        }
        let durations = if ok { &self.attempts.ok } else { &self.attempts.failed };
        durations.observe(seconds_of(attempt.phases.total_us));
        self.attempts.observe_phases(attempt);
    }

    /// The endpoint's breaker has opened.
    pub fn breaker_opened(&self, endpoint: &EndpointSeries) {
        endpoint.transitions.inc(0);
    }

    /// The endpoint works again: its breaker has closed.
    pub fn breaker_closed(&self, endpoint: &EndpointSeries) {
        endpoint.transitions.inc(1);
    }

    /// The endpoint was disabled, by its answer or since it has failed for too long.
    pub fn endpoint_disabled(&self, endpoint: &EndpointSeries) {
        endpoint.transitions.inc(2);
    }

    /// A delivery will be tried later.
    pub fn retry_scheduled(&self, why: WaitReason) {
        self.attempts.retries.inc(why as usize);
    }

    /// A delivery was made to this endpoint.
    pub fn delivery_created(&self, endpoint: &EndpointSeries) {
        endpoint.created.inc();
    }

    /// A delivery to this endpoint was left out as a duplicate.
    pub fn delivery_left_out(&self, endpoint: &EndpointSeries) {
        endpoint.deduplicated.inc();
    }

    /// A delivery ended `age` after its event was admitted, with its `attempts`-th attempt. States
    /// that are no end are not counted.
    pub fn delivery_finished(
        &self,
        endpoint: &EndpointSeries,
        state: DeliveryState,
        attempts: u16,
        age: Duration,
    ) {
        match state {
            DeliveryState::Delivered => {
                endpoint.finished.inc(0);
                let first = attempts <= 1;
                let series = &self.attempts;
                let ages = if first { &series.delivered_first } else { &series.delivered_later };
                ages.observe(age.as_secs_f64());
            }
            DeliveryState::Dead => endpoint.finished.inc(1),
            DeliveryState::Cancelled => endpoint.finished.inc(2),
            _ => {}
        }
    }
}
