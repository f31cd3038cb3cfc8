//! What must hold of each attempt as to flow control: rates, pauses and breakers.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use postrider::model::Attempt;
use postrider::model::BreakerPolicy;
use postrider::model::DeadReason;
use postrider::model::DedupePolicy;
use postrider::model::DeliveryId;
use postrider::model::Endpoint;
use postrider::model::EndpointNo;
use postrider::model::Event;
use postrider::model::Flow;
use postrider::model::Next;
use postrider::model::OnFailure;
use postrider::model::OrderPolicy;
use postrider::model::Outcome;
use postrider::model::Rate;
use postrider::model::Schedule;
use postrider::model::Step;
use postrider::model::StepKind;
use postrider::model::Targets;
use postrider::model::Time;
use postrider::model::WaitReason;
use postrider::policy::signs;
use postrider::policy::signs::Sign;

use crate::reports::SILENT_AFTER;
use crate::world::World;

/// A commit of the simulated writer takes less.
const COMMIT_MAX: Duration = Duration::from_millis(100);

/// What is remembered to judge attempts by.
#[derive(Default)]
pub struct Watch {
    /// When attempts began, as far as a rate's span goes back.
    dials: BTreeMap<EndpointNo, VecDeque<Time>>,
    /// Until when an endpoint has asked this process for silence.
    asked: BTreeMap<EndpointNo, Time>,
    /// Failures in a row that this process has been told of, and when they
    /// were enough to open the breaker.
    failures: BTreeMap<EndpointNo, (u16, Time)>,
}

impl Watch {
    /// What an endpoint asked for is not on disk.
    pub fn process_died(&mut self) {
        self.asked.clear();
        self.failures.clear();
    }

    /// A person wants an endpoint called, whatever it has answered.
    pub fn enabled(&mut self, no: EndpointNo) {
        self.failures.remove(&no);
    }
}

pub fn rules(rng: &mut Rng) -> Arc<Flow> {
    let rate = Rate {
        count: rng.u32(4..40),
        per: Duration::from_secs(rng.u64(1..8)),
        burst: rng.u32(1..4),
    };
    let breaker = BreakerPolicy {
        failures: rng.u16(2..12),
        open_for: Duration::from_secs(rng.u64(1..30)),
        open_max: Duration::from_secs(120),
        disable_after: rng.bool().then_some(Duration::from_secs(200)),
    };
    Arc::new(Flow {
        rate: (rng.u32(0..4) == 0).then_some(rate),
        breaker: (rng.u32(0..3) > 0).then_some(breaker),
        order: (rng.u32(0..3) == 0).then(|| order(rng)),
        dedupe: (rng.u32(0..5) == 0).then(|| dedupe(rng)),
        targets: Targets {
            late_after: Some(Duration::from_secs(20)),
            latency: (rng.u32(0..3) == 0).then_some(Duration::from_secs(5)),
            error_percent: (rng.u32(0..3) > 0).then_some(50),
            silent_after: (rng.u32(0..3) == 0).then_some(SILENT_AFTER),
        },
    })
}

fn order(rng: &mut Rng) -> OrderPolicy {
    let on_failure = [OnFailure::Block, OnFailure::Park, OnFailure::Skip];
    OrderPolicy {
        key: Some("/key".to_owned()),
        on_failure: on_failure[rng.usize(..on_failure.len())],
        deadline: rng.bool().then_some(Duration::from_secs(100)),
        version: rng.bool().then(|| "/version".to_owned()),
    }
}

fn dedupe(rng: &mut Rng) -> DedupePolicy {
    let window = Duration::from_secs(rng.u64(1..60));
    DedupePolicy { key: (rng.u32(0..8) > 0).then(|| "/same".to_owned()), window }
}

impl World {
    /// Of each key, the first event goes out, and the first one after its window, and so on; the
    /// others say which one they are duplicates of. Nothing else is left out.
    pub fn check_duplicates(&mut self) {
        let mut left_out = 0;
        let mut again = 0;
        for ((no, _), events) in self.disk.of_each_key() {
            let endpoint = self.endpoints.iter().find(|e| e.no.0 == no).unwrap();
            let window = endpoint.flow.dedupe.as_ref().unwrap().window;
            let mut last: Option<&Event> = None;
            for event in events {
                let delivery = DeliveryId::new(event.id, endpoint.no);
                let lasts = |last: &&Event| event.accepted_at < last.accepted_at + window;
                let of = self.disk.left_out(delivery);
                let expected = last.filter(lasts).map(|last| last.id);
                assert_eq!(of, expected, "seed {}: {delivery} within {window:?}", self.seed);
                left_out += usize::from(of.is_some());
                let first = self.disk.steps.get(&delivery).and_then(|steps| steps.first());
                let stale = Next::Dead { reason: DeadReason::Stale };
                if of.is_none() && first.is_none_or(|step| step.next != stale) {
                    again += usize::from(last.is_some());
                    last = Some(event);
                }
            }
        }
        let by_rule = |step: &&Step| matches!(step.kind, StepKind::Duplicate { .. });
        let all = self.disk.steps.values().flatten().filter(by_rule).count();
        assert_eq!(all, left_out, "seed {}: left out, but no duplicate", self.seed);
        if left_out > 0 {
            self.marks.hit("left out as a duplicate");
        }
        if again > 0 {
            self.marks.hit("no duplicate any more");
        }
    }

    /// An attempt begins: all earlier ones of its key have ended, and none of these waits for a
    /// person.
    pub fn check_order(&mut self, delivery: DeliveryId) {
        let (seed, no) = (self.seed, delivery.endpoint);
        let key = |event: &Event| {
            event.orders.iter().find(|order| order.endpoint == no).map(|order| order.key)
        };
        let Some(own) = key(&self.disk.events[&delivery.event]) else { return };
        let endpoint = self.endpoints.iter().find(|e| e.no == no).unwrap();
        let parks = endpoint.flow.order.as_ref().unwrap().on_failure == OnFailure::Park;
        for (id, event) in &self.disk.events {
            let other = DeliveryId::new(*id, no);
            if *id == delivery.event || key(event) != Some(own) {
                continue;
            }
            let busy = self.underway.deliveries.contains_key(&other);
            assert!(!busy, "seed {seed}: {other} and {delivery} of one key at once");
            // what a person sends again has lost its place
            if *id > delivery.event || self.sent_again.contains(&other) {
                continue;
            }
            let steps = self.disk.steps.get(&other);
            let last = steps.and_then(|steps| steps.last()).map(|step| step.next);
            let over = match last {
                Some(Next::Delivered | Next::Cancelled) => true,
                Some(Next::Dead { reason }) => {
                    !parks || matches!(reason, DeadReason::Stale | DeadReason::Expired)
                }
                Some(Next::Wait { .. }) | None => false,
            };
            assert!(over, "seed {seed}: {delivery} overtakes {other}: {last:?}");
            self.marks.hit("in the order of a key");
        }
    }

    /// An attempt begins: its rate, the pause that was asked for, and the breaker allow it.
    pub fn check_flow(&mut self, delivery: DeliveryId) {
        let (seed, now, no) = (self.seed, self.now, delivery.endpoint);
        let endpoint = self.endpoints.iter().find(|e| e.no == no).unwrap();
        if let Some(rate) = &endpoint.flow.rate {
            let dials = self.watch.dials.entry(no).or_default();
            dials.push_back(now);
            while dials.front().is_some_and(|at| now.since(*at) >= rate.per) {
                dials.pop_front();
            }
            let most = (rate.count + rate.burst - 1) as usize;
            assert!(dials.len() <= most, "seed {seed}: {} in {:?}", dials.len(), rate.per);
            if dials.len() == most {
                self.marks.hit("rate used in full");
            }
        }
        let asked = self.watch.asked.get(&no).copied().unwrap_or(Time::ZERO);
        assert!(asked <= now, "seed {seed}: dialled though the endpoint asked for a pause");
        if let (Some(policy), Some((failures, since))) =
            (&endpoint.flow.breaker, self.watch.failures.get(&no))
        {
            let open = *since + COMMIT_MAX..*since + policy.open_for;
            let calm = *failures < policy.failures || !open.contains(&now);
            assert!(calm, "seed {seed}: dialled after {failures} failures in a row");
        }
        let open = self.told.get(&no).and_then(|entry| entry.state.open);
        if let Some(open) = open.filter(|_| endpoint.flow.breaker.is_some()) {
            assert!(
                open.until <= now,
                "seed {seed}: {delivery} at {now:?}, and the breaker: {open:?}"
            );
            let under_way = self.underway.by_endpoint.get(&no).copied().unwrap_or(0);
            assert!(under_way <= 1, "seed {seed}: more than one tried while the breaker is open");
        }
    }

    /// An attempt has ended.
    pub fn watch_attempt(&mut self, no: EndpointNo, attempt: &Attempt) {
        let sign = signs::sign(attempt);
        let (before, since) = self.watch.failures.get(&no).copied().unwrap_or_default();
        let failures = match sign {
            Sign::None => before,
            _ if sign.is_failure() => before.saturating_add(1),
            _ => 0,
        };
        let endpoint = self.endpoints.iter().find(|e| e.no == no).unwrap();
        let enough = endpoint.flow.breaker.is_some_and(|policy| failures == policy.failures);
        let since = if enough { self.now } else { since };
        self.watch.failures.insert(no, (failures, since));
        let strained = matches!(attempt.outcome, Outcome::Http429 | Outcome::Http5xx);
        if let Some(asked) = attempt.retry_after.filter(|_| strained) {
            let until = asked.min(self.now + endpoint.retry.retry_after_max);
            let known = self.watch.asked.entry(no).or_default();
            *known = until.max(*known);
            self.marks.hit("lane paused by its endpoint");
        }
    }

    /// What is tried while the breaker is open is no step of the plan.
    pub fn check_probe(&self, delivery: DeliveryId, step: &Step) {
        let StepKind::Attempt(attempt) = &step.kind else { return };
        // what another attempt has decided just before need not be safe yet
        let state = self.decided.get(&delivery.endpoint);
        let Some(open) = state.and_then(|state| state.open) else { return };
        let endpoint = self.endpoints.iter().find(|e| e.no == delivery.endpoint).unwrap();
        let failed = signs::sign(attempt).is_failure();
        if !failed || endpoint.flow.breaker.is_none() || step.at < open.until {
            return;
        }
        let planned = match step.next {
            Next::Wait { why, .. } => why != WaitReason::Breaker,
            Next::Dead { reason } => reason == DeadReason::Exhausted,
            Next::Delivered | Next::Cancelled => false,
        };
        assert!(!planned, "seed {}: {delivery}: {:?}", self.seed, step.next);
    }

    /// A delivery that was given up had all the attempts of its plan, besides those that were made
    /// while the breaker was open.
    pub fn check_plan(&self, delivery: DeliveryId, steps: &[Step]) {
        let last = steps.last().unwrap();
        if last.next != (Next::Dead { reason: DeadReason::Exhausted }) {
            return;
        }
        // to be put aside and let go again is no new beginning
        let again = |step: &Step| !step.next.is_on_hold() && !step.next.is_released();
        let command = |step: &Step| matches!(step.kind, StepKind::Command { .. }) && again(step);
        let begins = steps.iter().rposition(command);
        let plan = &steps[begins.map_or(0, |at| at + 1)..];
        let counts = |step: &&Step| {
            matches!(step.kind, StepKind::Attempt(_))
                && !matches!(step.next, Next::Wait { why: WaitReason::Breaker, .. })
        };
        let made = plan.iter().filter(counts).count();
        let endpoint = self.endpoints.iter().find(|e| e.no == delivery.endpoint).unwrap();
        let planned = attempts(endpoint);
        assert!(made >= planned, "seed {}: {delivery}: {made} of {planned}", self.seed);
    }
}

fn attempts(endpoint: &Endpoint) -> usize {
    match &endpoint.retry.schedule {
        Schedule::Steps(steps) => steps.len() + 1,
        Schedule::Exponential { attempts, .. } => usize::from(*attempts),
    }
}
