//! Admission: limits, routing, and the commit that makes an event and its deliveries safe.

use std::sync::Arc;

use crate::engine::Draining;
use crate::engine::Engine;
use crate::engine::Pending;
use crate::engine::batch;
use crate::engine::flight::Flight;
use crate::engine::flight::Phase;
use crate::engine::words::Admitted;
use crate::engine::words::Caller;
use crate::engine::words::Effect;
use crate::engine::words::Notice;
use crate::engine::words::Refusal;
use crate::engine::words::Reply;
use crate::engine::words::SubmitMode;
use crate::model::Admit;
use crate::model::DeadReason;
use crate::model::Dedupe;
use crate::model::DeliveryId;
use crate::model::Due;
use crate::model::EndpointNo;
use crate::model::Event;
use crate::model::EventId;
use crate::model::IdempotencyKey;
use crate::model::KeyRef;
use crate::model::Order;
use crate::model::Progress;
use crate::model::Receipt;
use crate::model::Record;
use crate::model::Submission;
use crate::model::Time;
use crate::policy::dedupe;
use crate::policy::ebb;
use crate::policy::order;
use crate::policy::payload::Payload;
use crate::policy::payload::hash;

/// Submissions whose commit is under way.
#[derive(Debug)]
pub(crate) struct Admission {
    /// Who waits for the answer; nobody, if postrider itself submitted.
    pub(crate) caller: Option<Caller>,
    pub(crate) items: Vec<Item>,
    /// Whether a guard stands before them.
    pub(crate) guarded: bool,
    /// Since when somebody waits.
    pub(crate) since: Time,
}

#[derive(Debug)]
pub(crate) enum Item {
    /// Stands in the commit, in this order.
    Written {
        event: Arc<Event>,
        started: Vec<EndpointNo>,
        keyed: bool,
    },
    Refused(Refusal),
}

impl Engine {
    pub(crate) fn submit(
        &mut self,
        now: Time,
        (caller, since): (Caller, Time),
        submissions: Vec<Submission>,
        mode: SubmitMode,
        out: &mut Vec<Effect>,
    ) {
        let mut promised = 0;
        let routed: Vec<_> = submissions
            .into_iter()
            .map(|submission| {
                let targets = self.route(now, &submission, promised)?;
                promised += u64::try_from(targets.len()).unwrap_or(u64::MAX);
                Ok((submission, targets))
            })
            .collect();
        if mode == SubmitMode::Whole && routed.iter().any(Result::is_err) {
            let refused = routed
                .into_iter()
                .map(|item| Err(item.err().unwrap_or(Refusal::WithOthers)))
                .collect();
            out.push(Effect::Reply { caller, reply: Reply::Submitted(refused) });
            return;
        }
        let mut records = Vec::with_capacity(routed.len());
        let items: Vec<_> = routed
            .into_iter()
            .map(|item| match item {
                Ok((submission, targets)) => self.write(now, submission, targets, &mut records),
                Err(refusal) => Item::Refused(refusal),
            })
            .collect();
        self.promised += promised;
        let guard = batch::guard(&records).filter(|_| mode == SubmitMode::Whole);
        let admission = Admission { caller: Some(caller), items, guarded: guard.is_some(), since };
        records.splice(..0, guard);
        if records.is_empty() {
            self.admitted(now, admission, Vec::new(), out);
        } else {
            self.commit(records, Pending::Admission(admission), out);
        }
    }

    /// Where a submission goes, or why it is refused; `promised` deliveries more than are counted
    /// belong to the same request.
    fn route(
        &self,
        now: Time,
        submission: &Submission,
        promised: u64,
    ) -> Result<Vec<EndpointNo>, Refusal> {
        if self.draining != Draining::No {
            return Err(Refusal::Draining);
        }
        if self.disk_low {
            return Err(Refusal::DiskLow);
        }
        let furthest = now + self.limits.delay_max;
        if deliver_at(now, submission).is_some_and(|at| at > furthest) {
            return Err(Refusal::TooFarAhead);
        }
        let targets = match &submission.endpoints {
            Some(names) => self.named(names)?,
            None => self.routes.takers(&submission.event_type),
        };
        if targets.is_empty() && self.limits.refuse_unmatched {
            return Err(Refusal::NoEndpointMatches);
        }
        if targets.len() > self.limits.targets_max {
            return Err(Refusal::TooManyTargets);
        }
        let wanted = promised.saturating_add(u64::try_from(targets.len()).unwrap_or(u64::MAX));
        let wanted = self.pending().saturating_add(wanted);
        match wanted.checked_sub(self.limits.pending_max) {
            None | Some(0) => Ok(targets),
            Some(excess) => {
                let next_try = self.timers.first().map(|(at, _)| at.since(now));
                let wait = ebb::wait(excess, self.ebb.pace(now), next_try);
                Err(Refusal::QueueFull { wait })
            }
        }
    }

    fn named(&self, names: &[String]) -> Result<Vec<EndpointNo>, Refusal> {
        let mut targets = Vec::with_capacity(names.len());
        for name in names {
            let no = self.number(name).ok_or_else(|| Refusal::UnknownEndpoint(name.clone()))?;
            targets.push(no);
        }
        targets.sort_unstable();
        targets.dedup();
        Ok(targets)
    }

    /// Makes the event and its record. Lanes with room take it into flight with this very commit.
    pub(crate) fn write(
        &mut self,
        now: Time,
        submission: Submission,
        targets: Vec<EndpointNo>,
        records: &mut Vec<Record>,
    ) -> Item {
        let key = submission.idempotency_key.as_ref().map(|key| key_ref(&submission, key));
        let operational = submission.event_type.is_operational();
        let id = self.mint.next(now, operational, &mut self.rng);
        let deliver_at = deliver_at(now, &submission);
        let delayed = deliver_at.is_some_and(|at| at > now);
        let (orders, dedupes) = self.keys(&submission, &targets);
        let held = self.held(&submission.event_type, &targets);
        let mut attributes = submission.attributes;
        attributes.deliver_at = deliver_at;
        let event = Arc::new(Event {
            id,
            event_type: submission.event_type,
            accepted_at: now,
            source: submission.source,
            content_type: submission.content_type,
            body: submission.body,
            attributes,
            targets,
            orders,
            dedupes,
            held,
        });
        self.heard_of(now, &event);
        self.heard_from(now, &event);
        let mut started = Vec::new();
        for no in event.targets.iter().copied().filter(|_| !delayed) {
            // only the store knows whether another one of its key is under way, or has gone out
            let keyed =
                Order::at(&event.orders, no).is_some() || Dedupe::at(&event.dedupes, no).is_some();
            let held = event.held.binary_search(&no).is_ok();
            if !keyed && !held && self.has_room(now, no) {
                let flight = Flight {
                    phase: Phase::Starting,
                    progress: Progress::default(),
                    due: now,
                    backlog: false,
                    event: Some(Arc::clone(&event)),
                    cancel: None,
                    moved_to: None,
                };
                self.take_off(now, DeliveryId::new(id, no), flight);
                started.push(no);
            }
        }
        records.push(Record::Admit(Box::new(Admit {
            event: Arc::clone(&event),
            started: started.clone(),
            key,
            keys_since: now.minus(self.limits.retention.horizons.keys),
        })));
        Item::Written { event, started, keyed: key.is_some() }
    }

    /// The commit is safe: answers, and lets go what may go.
    pub(crate) fn admitted(
        &mut self,
        now: Time,
        admission: Admission,
        receipts: Vec<Receipt>,
        out: &mut Vec<Effect>,
    ) {
        if !receipts.is_empty() {
            self.live_commit(admission.since, now);
        }
        let mut receipts = receipts.into_iter();
        if admission.guarded
            && let Some(Receipt::Conflict { index, first }) = receipts.next()
        {
            self.batch_refused(admission, usize::from(index), first, out);
            return;
        }
        let mut answers = Vec::with_capacity(admission.items.len());
        for item in admission.items {
            let (event, started, keyed) = match item {
                Item::Refused(refusal) => {
                    answers.push(Err(refusal));
                    continue;
                }
                Item::Written { event, started, keyed } => (event, started, keyed),
            };
            let promised = u64::try_from(event.targets.len()).unwrap_or(u64::MAX);
            self.promised = self.promised.saturating_sub(promised);
            match receipts.next() {
                Some(Receipt::Duplicate { first, targets, accepted_at, same }) => {
                    for no in &started {
                        self.land(DeliveryId::new(event.id, *no), out);
                    }
                    out.push(Effect::Publish(Notice::Duplicate { first, same }));
                    answers.push(if same {
                        Ok(Admitted { event: first, accepted_at, targets, duplicate: true })
                    } else {
                        Err(Refusal::KeyReused(first))
                    });
                }
                receipt => {
                    let elsewhere = self.seated(now, event.id, receipt, out);
                    self.let_go(now, &event, &started, &elsewhere);
                    answers.push(Ok(Admitted {
                        event: event.id,
                        accepted_at: event.accepted_at,
                        targets: event.targets.clone(),
                        duplicate: false,
                    }));
                    out.push(Effect::Publish(Notice::Accepted { event, keyed }));
                }
            }
        }
        if let Some(caller) = admission.caller {
            out.push(Effect::Reply { caller, reply: Reply::Submitted(answers) });
        }
    }

    /// Tells of deliveries that the store has put elsewhere than into their lanes; which these are.
    fn seated(
        &mut self,
        now: Time,
        event: EventId,
        receipt: Option<Receipt>,
        out: &mut Vec<Effect>,
    ) -> Vec<EndpointNo> {
        let Some(Receipt::Seated { behind, stale, duplicates }) = receipt else {
            return Vec::new();
        };
        behind.iter().for_each(|no| self.count_behind(*no, 1));
        for no in &stale {
            let delivery = DeliveryId::new(event, *no);
            self.announce(now, Notice::Died { delivery, reason: DeadReason::Stale }, out);
        }
        for (no, of) in &duplicates {
            let delivery = DeliveryId::new(event, *no);
            out.push(Effect::Publish(Notice::LeftOut { delivery, of: *of }));
        }
        let duplicates = duplicates.into_iter().map(|(no, _)| no);
        behind.into_iter().chain(stale).chain(duplicates).collect()
    }

    /// The keys of an event at those of its targets that want an order, or no duplicates.
    fn keys(&self, submission: &Submission, targets: &[EndpointNo]) -> (Vec<Order>, Vec<Dedupe>) {
        let mut payload = Payload::new(&submission.body);
        let (mut orders, mut dedupes) = (Vec::new(), Vec::new());
        for lane in targets.iter().filter_map(|no| self.lanes.get(no)) {
            let (no, flow) = (lane.endpoint.no, &lane.endpoint.flow);
            if let Some(policy) = &flow.order {
                orders.extend(order::order(policy, no, &submission.attributes, &mut payload));
            }
            if let Some(policy) = &flow.dedupe {
                dedupes.extend(dedupe::dedupe(policy, no, &submission.event_type, &mut payload));
            }
        }
        (orders, dedupes)
    }

    /// A safe event: started deliveries are ready, the others wait in their queues, but for those
    /// that the store has put elsewhere.
    fn let_go(
        &mut self,
        now: Time,
        event: &Arc<Event>,
        started: &[EndpointNo],
        elsewhere: &[EndpointNo],
    ) {
        let delayed = event.attributes.deliver_at.filter(|at| *at > event.accepted_at);
        for no in event.targets.iter().copied().filter(|no| !elsewhere.contains(no)) {
            if started.binary_search(&no).is_ok() {
                self.make_ready(DeliveryId::new(event.id, no));
            } else if event.held.binary_search(&no).is_ok() {
                self.queue(no, Due::timed(Time::MAX, event.id), Progress::default(), None);
            } else {
                let due = delayed.map_or(Due::fresh(event.id), |at| Due::timed(at, event.id));
                let soon = due.at <= now;
                let kept = soon.then(|| Arc::clone(event));
                let order = Order::at(&event.orders, no).map(|order| order.key);
                let progress = Progress { order, ..Progress::default() };
                self.queue(no, due, progress, kept);
            }
        }
    }
}

/// When a submission is to be delivered, if it says so.
fn deliver_at(now: Time, submission: &Submission) -> Option<Time> {
    let at = submission.attributes.deliver_at.map(|at| at + submission.ahead);
    at.or_else(|| submission.delay.map(|delay| now + delay))
}

/// What identifies an idempotency key and the request that it came with.
fn key_ref(submission: &Submission, key: &IdempotencyKey) -> KeyRef {
    let key_hash = hash(&[submission.source.as_bytes(), key.as_str().as_bytes()]);
    let attributes = &submission.attributes;
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let at = attributes.deliver_at.map_or(0, Time::as_micros).to_be_bytes();
    let delay = submission.delay.map_or(0, |delay| delay.as_millis()).to_be_bytes();
    let endpoints = submission.endpoints.as_ref().map(|names| names.join("\n")).unwrap_or_default();
    let fingerprint = hash(&[
        submission.event_type.as_str().as_bytes(),
        submission.content_type.as_bytes(),
        &submission.body,
        endpoints.as_bytes(),
        text(&attributes.ordering_key).as_bytes(),
        text(&attributes.tenant).as_bytes(),
        &at,
        &delay,
    ]);
    KeyRef { hash: key_hash, fingerprint }
}
