//! What people want: deliveries sent again or ended, endpoints held or let go, a new configuration.

use std::collections::BTreeSet;

use crate::engine::Draining;
use crate::engine::Engine;
use crate::engine::Pending;
use crate::engine::flight::CancelBy;
use crate::engine::flight::Phase;
use crate::engine::words::Caller;
use crate::engine::words::Command;
use crate::engine::words::Effect;
use crate::engine::words::LaneEnd;
use crate::engine::words::Reply;
use crate::model::DeliveryId;
use crate::model::DeliveryState;
use crate::model::Due;
use crate::model::Endpoint;
use crate::model::EndpointEntry;
use crate::model::EndpointNo;
use crate::model::EndpointState;
use crate::model::Held;
use crate::model::LaneCounts;
use crate::model::Next;
use crate::model::Receipt;
use crate::model::Record;
use crate::model::Step;
use crate::model::StepKind;
use crate::model::Time;
use crate::model::WaitReason;

/// Deliveries that one commit of a sweep ends.
const SWEEP_ROWS: u16 = 100;

/// A command whose commit is under way. Of deliveries to be sent again, it is known whether the
/// writer was asked.
#[derive(Debug)]
pub(crate) enum Order {
    Retry { caller: Caller, deliveries: Vec<(DeliveryId, bool)> },
    Cancel { caller: Caller, delivery: DeliveryId },
    State { caller: Caller, endpoint: EndpointNo, state: EndpointState },
    Configure { caller: Caller, endpoints: Vec<Endpoint>, entries: Vec<EndpointEntry> },
    Sweep(Sweep),
    Remove { caller: Caller },
}

/// The end of a lane, a commit at a time.
#[derive(Debug)]
pub(crate) struct Sweep {
    caller: Caller,
    actor: String,
    entry: Box<EndpointEntry>,
    end: LaneEnd,
}

impl Engine {
    pub(crate) fn command(
        &mut self,
        now: Time,
        caller: Caller,
        actor: String,
        command: Command,
        out: &mut Vec<Effect>,
    ) {
        match command {
            Command::Retry(deliveries) => {
                self.retry(now, caller, &actor, deliveries, out);
            }
            Command::Cancel(delivery) => self.cancel(now, caller, actor, delivery, out),
            Command::Pause { endpoint, reason } => {
                let held = Held { since: now, actor, reason };
                self.change(caller, endpoint, out, |state| state.paused = Some(held));
            }
            Command::Resume(endpoint) => {
                self.change(caller, endpoint, out, |state| state.paused = None);
            }
            Command::Enable(endpoint) => {
                self.change(caller, endpoint, out, |state| state.disabled = None);
            }
            Command::Configure { endpoints, entries } => {
                let records = entries.iter().cloned().map(Box::new).map(Record::Endpoint).collect();
                let order = Order::Configure { caller, endpoints, entries };
                self.commit(records, Pending::Order(order), out);
            }
            Command::Remove { entry, end } => {
                let sweep = Sweep { caller, actor, entry, end };
                if self.close(now, &sweep, out) {
                    self.sweep(now, sweep, out);
                } else {
                    out.push(Effect::Reply { caller, reply: Reply::NoSuchEndpoint });
                }
            }
            Command::Drain => {
                self.draining = Draining::Asked;
                let ready: Vec<_> = self.lanes.keys().copied().collect();
                ready.into_iter().for_each(|no| self.ring_in(no));
                out.push(Effect::Reply { caller, reply: Reply::Done });
            }
            Command::Undrain => {
                self.draining = Draining::No;
                let lanes: Vec<_> = self.lanes.keys().copied().collect();
                lanes.into_iter().for_each(|no| self.ring_in(no));
                out.push(Effect::Reply { caller, reply: Reply::Done });
            }
        }
    }

    /// Deliveries to an endpoint that is removed, or about to be, are not asked for: nobody would
    /// take them out of its queue again.
    fn retry(
        &mut self,
        now: Time,
        caller: Caller,
        actor: &str,
        deliveries: Vec<DeliveryId>,
        out: &mut Vec<Effect>,
    ) {
        let stands = |delivery: &DeliveryId| {
            let lane = self.lanes.get(&delivery.endpoint);
            lane.is_some_and(|lane| lane.removed.is_none())
        };
        let deliveries: Vec<_> = deliveries.into_iter().map(|one| (one, stands(&one))).collect();
        let next = Next::Wait { due: now, why: WaitReason::Requested };
        let asked = deliveries.iter().filter(|(_, asked)| *asked);
        let records = asked.map(|(one, _)| order(*one, now, actor.to_owned(), next)).collect();
        self.commit(records, Pending::Order(Order::Retry { caller, deliveries }), out);
    }

    fn cancel(
        &mut self,
        now: Time,
        caller: Caller,
        actor: String,
        delivery: DeliveryId,
        out: &mut Vec<Effect>,
    ) {
        let by = CancelBy { caller, actor };
        let busy = Reply::Cancelled(Err(DeliveryState::Sending));
        let Some(flight) = self.flights.get_mut(delivery) else {
            let records = vec![order(delivery, now, by.actor, Next::Cancelled)];
            self.commit(records, Pending::Order(Order::Cancel { caller, delivery }), out);
            return;
        };
        if flight.cancel.is_some() {
            out.push(Effect::Reply { caller, reply: busy });
            return;
        }
        match flight.phase {
            Phase::Ready => {
                if let Some(lane) = self.lanes.get_mut(&delivery.endpoint) {
                    lane.ready.retain(|ready| *ready != delivery);
                }
                self.cancel_ready(now, delivery, by, out);
            }
            Phase::Dialling => {
                flight.cancel = Some(by);
                out.push(Effect::Abort(delivery));
            }
            // a moment later it stands elsewhere: the caller may ask again
            Phase::Starting | Phase::Settling => out.push(Effect::Reply { caller, reply: busy }),
        }
    }

    fn change(
        &mut self,
        caller: Caller,
        endpoint: EndpointNo,
        out: &mut Vec<Effect>,
        change: impl FnOnce(&mut EndpointState),
    ) {
        let Some(entry) = self.entries.get(&endpoint).filter(|entry| entry.removed.is_none())
        else {
            out.push(Effect::Reply { caller, reply: Reply::NoSuchEndpoint });
            return;
        };
        let mut entry = entry.clone();
        change(&mut entry.state);
        let state = entry.state.clone();
        let order = Order::State { caller, endpoint, state };
        self.commit(vec![Record::Endpoint(Box::new(entry))], Pending::Order(order), out);
    }

    /// From now on nothing new comes into a lane, and nothing goes out. Answers whether there is
    /// such a lane.
    fn close(&mut self, now: Time, sweep: &Sweep, out: &mut Vec<Effect>) -> bool {
        let no = sweep.entry.no;
        let Some(lane) = self.lanes.get_mut(&no) else { return false };
        lane.removed = Some(sweep.end);
        lane.endpoint.types.clear();
        self.names.remove(&lane.endpoint.name);
        let reason = "the endpoint is being removed".to_owned();
        let mut state = lane.endpoint.state.clone();
        state.disabled = Some(Held { since: now, actor: sweep.actor.clone(), reason });
        self.set_state(now, no, state, out);
        true
    }

    fn sweep(&mut self, now: Time, sweep: Sweep, out: &mut Vec<Effect>) {
        let kind = StepKind::Command { actor: sweep.actor.clone() };
        let step = Box::new(Step { at: now, kind, next: sweep.end.next() });
        let endpoint = sweep.entry.no;
        let records = vec![Record::Sweep { endpoint, step, limit: SWEEP_ROWS }];
        self.commit(records, Pending::Order(Order::Sweep(sweep)), out);
    }

    /// A command's commit is safe.
    pub(crate) fn ordered(
        &mut self,
        now: Time,
        order: Order,
        receipts: Vec<Receipt>,
        out: &mut Vec<Effect>,
    ) {
        let (caller, reply) = match order {
            Order::Retry { caller, deliveries } => {
                let mut receipts = receipts.into_iter();
                let answers = deliveries.into_iter().map(|(delivery, asked)| {
                    let receipt = if asked { receipts.next() } else { None };
                    self.moved(delivery, receipt.unwrap_or(Receipt::Stale))
                });
                (caller, Reply::Retried(answers.collect()))
            }
            Order::Cancel { caller, delivery } => {
                let receipt = receipts.into_iter().next().unwrap_or(Receipt::Stale);
                (caller, Reply::Cancelled(self.moved(delivery, receipt)))
            }
            Order::State { caller, endpoint, state } => {
                self.set_state(now, endpoint, state, out);
                (caller, Reply::Done)
            }
            Order::Configure { caller, endpoints, entries } => {
                self.configure(now, endpoints, entries, out);
                (caller, Reply::Done)
            }
            Order::Sweep(sweep) => {
                let swept = match receipts.into_iter().next() {
                    Some(Receipt::Swept(dues)) => dues,
                    _ => Vec::new(),
                };
                let more = swept.len() >= usize::from(SWEEP_ROWS);
                swept.into_iter().for_each(|due| self.take_away(sweep.entry.no, due));
                if more {
                    self.sweep(now, sweep, out);
                } else {
                    let Sweep { caller, entry, .. } = sweep;
                    let records = vec![Record::Endpoint(entry.clone())];
                    self.entries.insert(entry.no, *entry);
                    self.commit(records, Pending::Order(Order::Remove { caller }), out);
                }
                return;
            }
            Order::Remove { caller } => (caller, Reply::Done),
        };
        out.push(Effect::Reply { caller, reply });
    }

    /// The writer has moved a delivery, or says why not.
    fn moved(&mut self, delivery: DeliveryId, receipt: Receipt) -> Result<(), DeliveryState> {
        match receipt {
            Receipt::Moved { from, to, progress } => {
                if let Some(from) = from {
                    self.take_away(delivery.endpoint, from);
                }
                if let Some(to) = to {
                    self.queue(delivery.endpoint, to, progress, None);
                }
                Ok(())
            }
            Receipt::Refused(state) => Err(state),
            _ => Err(DeliveryState::Unknown),
        }
    }

    /// A row that is no longer on disk.
    fn take_away(&mut self, no: EndpointNo, due: Due) {
        let Some(lane) = self.lanes.get_mut(&no) else { return };
        let row = lane.shelf(due.class).remove(due);
        self.count(no, due.class, -1);
        if let Some(row) = row {
            self.forget(&row);
        }
        self.ring_in(no);
    }

    pub(crate) fn set_state(
        &mut self,
        now: Time,
        no: EndpointNo,
        state: EndpointState,
        out: &mut Vec<Effect>,
    ) {
        if let Some(entry) = self.entries.get_mut(&no) {
            entry.state = state.clone();
        }
        if let Some(lane) = self.lanes.get_mut(&no) {
            lane.endpoint.state = state;
            if !lane.endpoint.state.is_active() {
                self.put_back_ready(now, no, out);
            }
        }
        self.ring_in(no);
    }

    /// These are the endpoints now. What waits for one that is gone is held until it comes back.
    fn configure(
        &mut self,
        now: Time,
        endpoints: Vec<Endpoint>,
        entries: Vec<EndpointEntry>,
        out: &mut Vec<Effect>,
    ) {
        self.entries.extend(entries.into_iter().map(|entry| (entry.no, entry)));
        let kept: BTreeSet<_> = endpoints.iter().map(|endpoint| endpoint.no).collect();
        for endpoint in endpoints {
            self.install(endpoint, LaneCounts::default());
        }
        let gone: Vec<_> = self.lanes.keys().copied().filter(|no| !kept.contains(no)).collect();
        for no in gone {
            if let Some(lane) = self.lanes.get_mut(&no) {
                lane.endpoint.types.clear();
                lane.endpoint.state.disabled = Some(retired(now));
                self.names.remove(&lane.endpoint.name);
            }
            self.put_back_ready(now, no, out);
        }
    }
}

/// Why deliveries of an endpoint are held that is defined nowhere any more.
pub fn retired(now: Time) -> Held {
    Held {
        since: now,
        actor: "postrider".to_owned(),
        reason: "no longer in the configuration".to_owned(),
    }
}

fn order(delivery: DeliveryId, at: Time, actor: String, next: Next) -> Record {
    Record::Command { delivery, at, actor, next }
}
