//! What people want: deliveries sent again or ended, endpoints held or let go, a new configuration.

use crate::engine::Draining;
use crate::engine::Engine;
use crate::engine::Pending;
use crate::engine::flight::CancelBy;
use crate::engine::flight::Phase;
use crate::engine::lane::Removal;
use crate::engine::words::Caller;
use crate::engine::words::Command;
use crate::engine::words::Effect;
use crate::engine::words::Reply;
use crate::engine::words::Unmoved;
use crate::model::DeliveryId;
use crate::model::DeliveryState;
use crate::model::Due;
use crate::model::Endpoint;
use crate::model::EndpointEntry;
use crate::model::EndpointNo;
use crate::model::EndpointState;
use crate::model::Held;
use crate::model::Next;
use crate::model::Receipt;
use crate::model::Record;
use crate::model::Step;
use crate::model::StepKind;
use crate::model::Time;
use crate::model::WaitReason;

/// Deliveries that one commit of a sweep ends.
const SWEEP_ROWS: u16 = 100;

/// A command whose commit is under way.
#[derive(Debug)]
pub(crate) enum Order {
    /// Of each delivery, whether the writer was asked.
    Retry {
        caller: Caller,
        deliveries: Vec<DeliveryId>,
        asked: Vec<bool>,
    },
    Cancel {
        caller: Caller,
        delivery: DeliveryId,
    },
    State {
        caller: Caller,
        endpoint: EndpointNo,
        state: EndpointState,
    },
    Configure {
        caller: Caller,
        endpoints: Vec<Endpoint>,
        entries: Vec<EndpointEntry>,
    },
    Sweep {
        caller: Caller,
        entry: Box<EndpointEntry>,
        step: Box<Step>,
    },
    Remove {
        caller: Caller,
    },
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
                let next = Next::Wait { due: now, why: WaitReason::Requested };
                // nothing is ever sent to an endpoint that is removed
                let stays = |delivery: &DeliveryId| {
                    self.lanes.get(&delivery.endpoint).is_some_and(|lane| lane.removal.is_none())
                };
                let asked: Vec<_> = deliveries.iter().map(stays).collect();
                let records = deliveries
                    .iter()
                    .zip(&asked)
                    .filter(|(_, asked)| **asked)
                    .map(|(delivery, _)| order(*delivery, now, actor.clone(), next))
                    .collect();
                let order = Order::Retry { caller, deliveries, asked };
                self.commit(records, Pending::Order(order), out);
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
                if let Some(lane) = self.lanes.get_mut(&endpoint) {
                    lane.gate.failures = 0;
                }
                self.change(caller, endpoint, out, |state| {
                    (state.disabled, state.open) = (None, None);
                });
            }
            Command::Configure { endpoints, entries } => {
                let records = entries.iter().cloned().map(Box::new).map(Record::Endpoint).collect();
                let order = Order::Configure { caller, endpoints, entries };
                self.commit(records, Pending::Order(order), out);
            }
            Command::Remove { entry, next } => {
                let last = Some((caller, entry));
                self.remove(now, Removal { actor, next, last }, out);
            }
            Command::Replay(new) => self.begin_replay(now, caller, actor, *new, out),
            Command::CancelReplay(id) => self.cancel_replay(now, caller, actor, id, out),
            Command::Drain => {
                self.draining = Draining::Asked;
                let ready: Vec<_> = self.lanes.keys().copied().collect();
                ready.into_iter().for_each(|no| self.ring_in(no));
                out.push(Effect::Reply { caller, reply: Reply::Done });
            }
            Command::Sources(sources) => {
                self.know_sources(now, sources);
                out.push(Effect::Reply { caller, reply: Reply::Done });
            }
            Command::Retain(retention) => {
                self.retain(now, retention);
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

    fn cancel(
        &mut self,
        now: Time,
        caller: Caller,
        actor: String,
        delivery: DeliveryId,
        out: &mut Vec<Effect>,
    ) {
        let by = CancelBy { caller, actor };
        let busy = Reply::Cancelled(Err(Unmoved::State(DeliveryState::Sending)));
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
        let entry = self.entries.get_mut(&endpoint).filter(|entry| entry.removed.is_none());
        let Some(entry) = entry else {
            out.push(Effect::Reply { caller, reply: Reply::NoSuchEndpoint });
            return;
        };
        change(&mut entry.state);
        let entry = entry.clone();
        let state = entry.state.clone();
        let order = Order::State { caller, endpoint, state };
        self.commit(vec![Record::Endpoint(Box::new(entry))], Pending::Order(order), out);
    }

    /// From now on nothing new comes in, and nothing goes out. What is under way ends first.
    fn remove(&mut self, now: Time, removal: Removal, out: &mut Vec<Effect>) {
        let Some((caller, entry)) = &removal.last else { return };
        let (caller, no) = (*caller, entry.no);
        let lane = self.lanes.get_mut(&no).filter(|lane| lane.removal.is_none());
        let Some(lane) = lane else {
            out.push(Effect::Reply { caller, reply: Reply::NoSuchEndpoint });
            return;
        };
        lane.endpoint.types.clear();
        self.routes.set(no, &[]);
        self.names.remove(&lane.endpoint.name);
        let mut state = lane.endpoint.state.clone();
        let reason = "the endpoint is being removed".to_owned();
        state.disabled = Some(Held { since: now, actor: removal.actor.clone(), reason });
        lane.removal = Some(removal);
        out.extend(self.flights.dialling_to(no).map(Effect::Abort));
        self.set_state(now, no, state, out);
        self.remove_rest(no, out);
    }

    /// Ends what waits in a lane that is being removed, once nothing is in flight any more.
    pub(crate) fn remove_rest(&mut self, no: EndpointNo, out: &mut Vec<Effect>) {
        let Some(lane) = self.lanes.get_mut(&no).filter(|lane| lane.flights == 0) else { return };
        let Some(removal) = &mut lane.removal else { return };
        let Some((caller, entry)) = removal.last.take() else { return };
        let kind = StepKind::Command { actor: removal.actor.clone() };
        let at = entry.removed.unwrap_or_default();
        let step = Box::new(Step { at, kind, next: removal.next });
        self.sweep(caller, entry, step, out);
    }

    fn sweep(
        &mut self,
        caller: Caller,
        entry: Box<EndpointEntry>,
        step: Box<Step>,
        out: &mut Vec<Effect>,
    ) {
        let sweep = Record::Sweep { endpoint: entry.no, step: step.clone(), limit: SWEEP_ROWS };
        self.commit(vec![sweep], Pending::Order(Order::Sweep { caller, entry, step }), out);
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
            Order::Retry { caller, deliveries, asked } => {
                let mut receipts = receipts.into_iter();
                let answers = deliveries.into_iter().zip(asked);
                let answers = answers.map(|(delivery, asked)| {
                    let receipt = asked.then(|| receipts.next()).flatten();
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
            Order::Sweep { caller, entry, step } => {
                let (dues, behind) = match receipts.into_iter().next() {
                    Some(Receipt::Swept { dues, behind }) => (dues, behind),
                    _ => (Vec::new(), 0),
                };
                self.count_behind(entry.no, -i64::from(behind));
                let more = dues.len() + usize::from(behind) >= usize::from(SWEEP_ROWS);
                dues.into_iter().for_each(|due| self.take_away(entry.no, due));
                if more {
                    self.sweep(caller, entry, step, out);
                } else {
                    self.lift_all_of(now, entry.no, out);
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
    pub(crate) fn moved(&mut self, delivery: DeliveryId, receipt: Receipt) -> Result<(), Unmoved> {
        match receipt {
            Receipt::Moved { from, to, progress, promoted, behind } => {
                self.count_behind(delivery.endpoint, i64::from(behind));
                if let Some((due, progress)) = promoted {
                    self.promoted(delivery.endpoint, due, progress);
                }
                if let Some(from) = from {
                    self.take_away(delivery.endpoint, from);
                }
                let Some(flight) = self.flights.get_mut(delivery) else {
                    if let Some(to) = to {
                        self.queue(delivery.endpoint, to, progress, None);
                    }
                    return Ok(());
                };
                // its start will be found stale; until then, where it stands is not counted
                let before = flight.moved_to.take();
                flight.moved_to = to.map(|to| (to, progress));
                if let Some((due, _)) = before {
                    self.count(delivery.endpoint, due.class, 1);
                }
                Ok(())
            }
            Receipt::Refused(state) => Err(Unmoved::State(state)),
            Receipt::PayloadGone => Err(Unmoved::PayloadGone),
            _ => Err(Unmoved::State(DeliveryState::Unknown)),
        }
    }

    /// A row that is no longer on disk.
    fn take_away(&mut self, no: EndpointNo, due: Due) {
        let row = self.on_shelf(no, due.class, |shelf| shelf.remove(due)).flatten();
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
        if let Some(lane) = self.lanes.get_mut(&no) {
            let before = std::mem::replace(&mut lane.endpoint.state, state);
            let state = &lane.endpoint.state;
            let shut = before.open.is_some() || before.disabled.is_some();
            if shut && state.open.is_none() && state.disabled.is_none() {
                lane.gate.restart(now);
            }
            if !lane.endpoint.state.is_active() {
                self.put_back_ready(now, no, out);
            }
        }
        self.ring_in(no);
    }
}

fn order(delivery: DeliveryId, at: Time, actor: String, next: Next) -> Record {
    Record::Command { delivery, at, actor, next }
}
