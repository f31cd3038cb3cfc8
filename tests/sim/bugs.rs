//! Faults planted on the border of the engine, each of which the suite must catch: a suite that
//! misses one would miss its like in the engine or the store.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::panic::set_hook;
use std::panic::take_hook;
use std::sync::Arc;
use std::sync::Once;
use std::time::Duration;

use fastrand::Rng;
use postrider::engine::Limits;
use postrider::engine::Retention;
use postrider::model::Admit;
use postrider::model::Attempt;
use postrider::model::Due;
use postrider::model::Endpoint;
use postrider::model::Next;
use postrider::model::Progress;
use postrider::model::Receipt;
use postrider::model::Record;
use postrider::model::ReplayStep;
use postrider::model::WaitReason;

use crate::PEACE;
use crate::outbox::Outbox;

/// A planted fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    None,
    /// A commit is called safe before it is.
    AnswersBeforeTheFlush,
    /// An idempotency key is not looked up.
    ForgetsKeys,
    /// What goes straight into flight is not written as such.
    ForgetsFlights,
    /// Now and then an outcome is forgotten: the step is answered, not written.
    ForgetsSteps,
    /// A retry comes at once instead of at its time.
    RetriesAtOnce,
    /// Reading a queue skips its first row.
    SkipsARow,
    /// A delivery that waits is dropped when it is sent again.
    LosesWhatIsSentAgain,
    /// A start is granted though the delivery has moved on.
    GrantsStaleStarts,
    /// An exhausted delivery is called delivered.
    CallsDeadDelivered,
    /// The rate of an endpoint is not kept.
    IgnoresRates,
    /// An endpoint that fails is dialled on and on.
    IgnoresBreakers,
    /// The pause that an endpoint asks for puts off one delivery, not the others.
    IgnoresPauses,
    /// What is tried while the breaker is open is a step of the plan.
    PlansProbes,
    /// The order of a key is not kept.
    IgnoresOrder,
    /// What is dead does not keep its place, though it should.
    ForgetsToPark,
    /// What comes after a delivery that has ended is not let go.
    ForgetsToPromote,
    /// The same thing is told again and again.
    RepeatsItself,
    /// A source is called silent though it has submitted of late.
    CallsSourcesSilent,
    /// Payloads go by the age of their event, pending or not.
    DropsPendingPayloads,
    /// Dead deliveries that go are counted on.
    CountsTheGone,
    /// Nothing is ever looked through for what may go.
    NeverSweeps,
    /// Of what a replay does, its new place and its counts are not written.
    ForgetsWhereReplaysAre,
    /// Now and then, a replay passes a delivery over.
    LeavesOutOfReplays,
    /// What a replay sends again is due at once.
    IgnoresRatesOfReplays,
    /// What is put on hold is due all the same.
    DialsWhatIsOnHold,
    /// Which event went out for all of its key is forgotten.
    ForgetsWhatWentOut,
    /// What was a duplicate once is one for ever.
    NeverSendsTheSameAgain,
    /// That a hold stands is not written.
    ForgetsHolds,
    /// That a hold is lifted is not written.
    ForgetsToLift,
    /// What a hold puts aside on arrival is due all the same.
    DialsWhatIsHeldOnArrival,
    /// Fewer attempts at once than there may be: only a crowd shows it.
    FewerPlaces,
}

impl Bug {
    pub const ALL: &[Bug] = &[
        Bug::AnswersBeforeTheFlush,
        Bug::ForgetsKeys,
        Bug::ForgetsFlights,
        Bug::ForgetsSteps,
        Bug::RetriesAtOnce,
        Bug::SkipsARow,
        Bug::LosesWhatIsSentAgain,
        Bug::GrantsStaleStarts,
        Bug::CallsDeadDelivered,
        Bug::IgnoresRates,
        Bug::IgnoresBreakers,
        Bug::IgnoresPauses,
        Bug::PlansProbes,
        Bug::IgnoresOrder,
        Bug::ForgetsToPark,
        Bug::ForgetsToPromote,
        Bug::RepeatsItself,
        Bug::CallsSourcesSilent,
        Bug::DropsPendingPayloads,
        Bug::CountsTheGone,
        Bug::NeverSweeps,
        Bug::ForgetsWhereReplaysAre,
        Bug::LeavesOutOfReplays,
        Bug::IgnoresRatesOfReplays,
        Bug::DialsWhatIsOnHold,
        Bug::ForgetsWhatWentOut,
        Bug::NeverSendsTheSameAgain,
        Bug::ForgetsHolds,
        Bug::ForgetsToLift,
        Bug::DialsWhatIsHeldOnArrival,
    ];

    /// The limits as the engine is told of them.
    pub fn in_limits(self, limits: Limits) -> Limits {
        match self {
            Bug::FewerPlaces => Limits { attempts_max: 2, ..limits },
            Bug::NeverSweeps => {
                let retention = Retention { sweep_every: Duration::MAX / 4, ..limits.retention };
                Limits { retention, ..limits }
            }
            Bug::RepeatsItself => Limits { report_window: Duration::ZERO, ..limits },
            _ => limits,
        }
    }

    /// The endpoints as the engine is told of them.
    pub fn in_endpoints(self, endpoints: &mut [Endpoint]) {
        for endpoint in endpoints {
            let flow = Arc::make_mut(&mut endpoint.flow);
            match self {
                Bug::IgnoresRates => flow.rate = None,
                Bug::IgnoresBreakers => flow.breaker = None,
                _ => {}
            }
        }
    }

    /// How long a source may be without an event, as the engine is told.
    pub fn in_silence(self, after: Duration) -> Duration {
        if self == Bug::CallsSourcesSilent { after / 4 } else { after }
    }

    pub fn in_attempt(self, attempt: &mut Attempt) {
        if self == Bug::IgnoresPauses {
            attempt.retry_after = None;
        }
    }

    pub fn in_commit(self, records: &mut [Record], rng: &mut Rng) {
        for record in records {
            match record {
                Record::Admit(admit) if self == Bug::ForgetsKeys => admit.key = None,
                Record::Admit(admit) if self == Bug::NeverSendsTheSameAgain => {
                    let dedupes = &mut Arc::make_mut(&mut admit.event).dedupes;
                    dedupes.iter_mut().for_each(|dedupe| dedupe.window = PEACE);
                }
                Record::Replay(step) if self == Bug::LeavesOutOfReplays && rng.u32(0..4) == 0 => {
                    step.moves.pop();
                }
                Record::Replay(step) if self == Bug::IgnoresRatesOfReplays => {
                    let at = step.at;
                    step.moves.iter_mut().for_each(|each| each.due = at);
                }
                Record::Step { parks, .. } if self == Bug::ForgetsToPark => *parks = false,
                Record::Step { step, .. }
                    if self == Bug::CallsDeadDelivered
                        && matches!(step.next, Next::Dead { .. })
                        && rng.bool() =>
                {
                    step.next = Next::Delivered;
                }
                Record::Step { step, .. } if self == Bug::PlansProbes => {
                    if let Next::Wait { why, .. } = &mut step.next {
                        let probe = *why == WaitReason::Breaker;
                        *why = if probe { WaitReason::Schedule } else { *why };
                    }
                }
                Record::Step { step, .. } if self == Bug::RetriesAtOnce => {
                    if let Next::Wait { due, why: WaitReason::Schedule } = &mut step.next {
                        *due = step.at;
                    }
                }
                _ => {}
            }
        }
    }

    pub fn in_rows(self, rows: Vec<(Due, Progress)>) -> Vec<(Due, Progress)> {
        let skip = usize::from(self == Bug::SkipsARow);
        rows.into_iter().skip(skip).collect()
    }

    /// A commit; behind a guard that found a conflict, nothing is applied.
    pub fn apply_all(self, outbox: &mut Outbox, records: &[Record]) -> Vec<Receipt> {
        let mut receipts: Vec<Receipt> = Vec::new();
        for record in records {
            if self == Bug::ForgetsWhatWentOut {
                outbox.seen.clear();
            }
            let refused = matches!(receipts.first(), Some(Receipt::Conflict { .. }));
            receipts.push(if refused { Receipt::Stale } else { self.apply(outbox, record) });
        }
        receipts
    }

    fn apply(self, outbox: &mut Outbox, record: &Record) -> Receipt {
        match record {
            Record::Admit(admit) => self.admit(outbox, record, admit),
            Record::Hold(_) if self == Bug::ForgetsHolds => Receipt::Applied,
            Record::Lift(_) if self == Bug::ForgetsToLift => Receipt::Applied,
            Record::Prune(prune) if self == Bug::DropsPendingPayloads => {
                let old = prune.now.minus(prune.horizons.delivered_payload);
                outbox.bare.extend(outbox.events.keys().filter(|event| event.time() < old));
                outbox.apply(record)
            }
            Record::Prune(_) if self == Bug::CountsTheGone => {
                let dead = outbox.dead.clone();
                let receipt = outbox.apply(record);
                outbox.dead = dead;
                receipt
            }
            Record::Step { delivery, .. } if self == Bug::ForgetsSteps => {
                // one in eight, by the delivery, so that applying twice forgets twice
                if delivery.event.to_bytes()[15] % 8 == 0 {
                    return Receipt::Applied;
                }
                outbox.apply(record)
            }
            Record::Command { delivery, next: Next::Wait { .. }, .. }
                if self == Bug::LosesWhatIsSentAgain =>
            {
                let receipt = outbox.apply(record);
                if let Receipt::Moved { to: Some(to), .. } = &receipt {
                    outbox.due.entry(delivery.endpoint).or_default().remove(to);
                }
                receipt
            }
            Record::Replay(step) => self.replay(outbox, record, step),
            Record::Step { .. } if self == Bug::ForgetsToPromote => match outbox.apply(record) {
                Receipt::Promoted { due, progress } => {
                    outbox.due.values_mut().for_each(|queue| {
                        queue.retain(|at, found| *at != due || *found != progress);
                    });
                    Receipt::Applied
                }
                receipt => receipt,
            },
            Record::Start { delivery, .. } if self == Bug::GrantsStaleStarts => {
                match outbox.apply(record) {
                    Receipt::Stale => {
                        outbox.flight.insert(*delivery, Progress::default());
                        Receipt::Applied
                    }
                    receipt => receipt,
                }
            }
            _ => outbox.apply(record),
        }
    }

    fn admit(self, outbox: &mut Outbox, record: &Record, admit: &Admit) -> Receipt {
        match self {
            Bug::ForgetsFlights => {
                let receipt = outbox.apply(record);
                let started: BTreeSet<_> = admit.started.iter().collect();
                outbox.flight.retain(|delivery, _| {
                    delivery.event != admit.event.id || !started.contains(&delivery.endpoint)
                });
                receipt
            }
            Bug::DialsWhatIsHeldOnArrival => {
                let mut admit = Box::new(admit.clone());
                Arc::make_mut(&mut admit.event).held.clear();
                outbox.apply(&Record::Admit(admit))
            }
            Bug::IgnoresOrder => {
                let receipt = outbox.apply(record);
                let Receipt::Seated { stale, duplicates, .. } = receipt else { return receipt };
                // all of them may go at once
                let event = admit.event.id;
                for no in admit.event.targets.iter().filter(|no| !stale.contains(no)) {
                    let order = admit.event.orders.iter().find(|order| order.endpoint == *no);
                    let Some(key) = order.map(|order| order.key) else { continue };
                    if let Some((progress, due)) = outbox.behind.remove(&(*no, key, event)) {
                        outbox.due.entry(*no).or_default().insert(due, progress);
                    }
                }
                Receipt::Seated { behind: Vec::new(), stale, duplicates }
            }
            _ => outbox.apply(record),
        }
    }

    fn replay(self, outbox: &mut Outbox, record: &Record, step: &ReplayStep) -> Receipt {
        let before = outbox.replays.get(&step.replay.id).cloned();
        let mut receipt = outbox.apply(record);
        if self == Bug::ForgetsWhereReplaysAre
            && let Some(before) = before.filter(|_| step.replay.is_running())
        {
            outbox.replays.insert(before.id, before);
        }
        if self == Bug::DialsWhatIsOnHold
            && let Receipt::Replayed(receipts) = &mut receipt
        {
            for (each, receipt) in step.moves.iter().zip(receipts) {
                let queue = outbox.due.entry(each.delivery.endpoint).or_default();
                if let Receipt::Moved { to: Some(to), .. } = receipt
                    && to.is_on_hold()
                    && let Some(progress) = queue.remove(to)
                {
                    *to = Due::timed(step.at, to.event);
                    queue.insert(*to, progress);
                }
            }
        }
        receipt
    }
}

thread_local! {
    /// Whether this thread runs what is expected to fail.
    static EXPECTED: Cell<bool> = const { Cell::new(false) };
}

/// Whether a world with a planted fault fails. What it says then is not printed: that would bury
/// what nobody expected.
pub fn is_caught<T>(run: impl FnOnce() -> T) -> bool {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let loud = take_hook();
        set_hook(Box::new(move |panic| {
            if !EXPECTED.get() {
                loud(panic);
            }
        }));
    });
    EXPECTED.set(true);
    let caught = catch_unwind(AssertUnwindSafe(run)).is_err();
    EXPECTED.set(false);
    caught
}
