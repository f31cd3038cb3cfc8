//! The words in which the engine tells the store what to remember: a commit is a list of records,
//! each atomic by itself, each answered by a receipt once it is safe.
//!
//! The store's writer is the only one that sees every record in order, so it is the judge of what
//! depends on order: whether an idempotency key is new, and whether a delivery still is where the
//! engine believes it to be. It never guesses: what does not fit is answered, not applied.

use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;

use crate::model::attempt::Next;
use crate::model::attempt::Step;
use crate::model::attempt::WaitReason;
use crate::model::endpoint::EndpointState;
use crate::model::event::Event;
use crate::model::hold::StandingHold;
use crate::model::id::DeliveryId;
use crate::model::id::EndpointNo;
use crate::model::id::EventId;
use crate::model::id::ReplayId;
use crate::model::replay::ReplayStep;
use crate::model::retention::Damage;
use crate::model::retention::Look;
use crate::model::retention::Prune;
use crate::model::retention::Pruned;
use crate::model::time::Time;

/// The two queues of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Class {
    /// Never tried, due since its admission: in the order of events.
    Fresh,
    /// Due at a time: retries, delayed events, what a person sent again.
    Timed,
}

/// Where a waiting delivery stands in its lane. Its order is the order of sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Due {
    /// Which queue.
    pub class: Class,
    /// Not before; [`Time::ZERO`] for fresh ones.
    pub at: Time,
    /// The event.
    pub event: EventId,
}

impl Due {
    /// The place of a fresh delivery.
    pub const fn fresh(event: EventId) -> Due {
        Due { class: Class::Fresh, at: Time::ZERO, event }
    }

    /// Whether nobody takes it from there until a person says so: what is on hold stands at the
    /// end of its queue, behind everything that will ever be due.
    pub fn is_on_hold(&self) -> bool {
        self.at == Time::MAX
    }

    /// The place of a delivery that is due at a time.
    pub const fn timed(at: Time, event: EventId) -> Due {
        Due { class: Class::Timed, at, event }
    }
}

/// What has to be known of a delivery's past to go on with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Steps in its log.
    pub steps: u16,
    /// Attempts among them.
    pub attempts: u16,
    /// Attempts that are no steps of its retry plan: those before it began (anew, when a person
    /// asked), and those made while the breaker was open.
    pub plan_from: u16,
    /// How many of its attempts in a row were cut short by the death of the process.
    pub interrupted: u16,
    /// Whether a person has asked for it to be sent again: then it does not get too old.
    pub requested: bool,
    /// The key that it is ordered by, if it is.
    pub order: Option<OrderKey>,
    /// When it was first due, where that was not at its admission: it was to be delivered later,
    /// or somebody or something has put a pause in between.
    pub since: Option<Time>,
}

impl Progress {
    /// The progress of a delivery that is taken from there.
    #[must_use]
    pub fn taken_from(mut self, due: Due) -> Progress {
        if self.steps == 0 && due.class == Class::Timed {
            self.since = Some(due.at);
        }
        self
    }

    /// The progress after this step.
    #[must_use]
    pub fn after(mut self, step: &Step) -> Progress {
        use crate::model::attempt::Outcome;
        use crate::model::attempt::StepKind;
        self.steps = self.steps.saturating_add(1);
        match &step.kind {
            StepKind::Attempt(attempt) => {
                self.attempts = self.attempts.saturating_add(1);
                let cut_short = attempt.outcome == Outcome::Interrupted;
                if matches!(step.next, Next::Wait { why: WaitReason::Breaker, .. }) {
                    self.plan_from = self.plan_from.saturating_add(1);
                }
                self.interrupted = if cut_short { self.interrupted.saturating_add(1) } else { 0 };
            }
            StepKind::Command { .. } if step.next.is_on_hold() || step.next.is_released() => {}
            StepKind::Command { .. } => {
                self.plan_from = self.attempts;
                self.interrupted = 0;
                self.requested = matches!(step.next, Next::Wait { .. });
            }
            StepKind::Rule | StepKind::Duplicate { .. } => {}
        }
        let paused = !matches!(step.kind, StepKind::Attempt(_)) && !step.next.is_on_hold();
        if let (true, Next::Wait { due, .. }) = (paused, step.next) {
            self.since = Some(due);
        }
        self
    }
}

/// What deliveries of one endpoint are ordered by: the first eight bytes of the SHA-256 of the key
/// that was submitted or stands in the payload. Two keys that are the same here share an order,
/// which harms nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OrderKey(pub u64);

/// How a delivery is ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// At this endpoint.
    pub endpoint: EndpointNo,
    /// Among those of this key.
    pub key: OrderKey,
    /// The version of what it tells, if it has one.
    pub version: Option<u64>,
}

impl Order {
    /// How the delivery to an endpoint is ordered, if it is; `orders` are those of an event.
    pub fn at(orders: &[Order], endpoint: EndpointNo) -> Option<&Order> {
        orders.iter().find(|order| order.endpoint == endpoint)
    }
}

/// An idempotency key as the store knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRef {
    /// Hash of source and key.
    pub hash: [u8; 16],
    /// Hash of everything that makes a request the same request.
    pub fingerprint: [u8; 16],
}

/// A new event with all its deliveries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admit {
    /// The event; its `targets` are its deliveries.
    pub event: Arc<Event>,
    /// The targets that will be dialled as soon as this is safe: they stand in flight at once and
    /// in no queue. In ascending order.
    pub started: Vec<EndpointNo>,
    /// Makes it a duplicate if the store knows the key from an event since `keys_since`.
    pub key: Option<KeyRef>,
    /// Keys of events older than this are forgotten.
    pub keys_since: Time,
}

/// A change that the store makes atomically.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A new event. Answer: `Applied`, `Seated` if some of its deliveries do not stand in their
    /// lanes, or `Duplicate`.
    Admit(Box<Admit>),
    /// Comes before the events of a batch that is admitted as a whole. Answer: `Applied`, or
    /// `Conflict`; then the rest of its commit is `Stale`.
    Guard {
        /// Their idempotency keys, in order.
        keys: Vec<KeyRef>,
        /// Keys of events older than this are forgotten.
        since: Time,
    },
    /// A waiting delivery is about to be dialled: from its queue into flight. Answer: `Applied`,
    /// or `Stale` if it does not stand there.
    Start {
        /// Which.
        delivery: DeliveryId,
        /// Where it stands.
        from: Due,
    },
    /// A delivery in flight has ended an attempt: out of flight, into what follows. Answer:
    /// `Applied`, `Promoted` if another one of its key comes after it, or `Stale` if it is not in
    /// flight.
    Step {
        /// Which.
        delivery: DeliveryId,
        /// What happened and what follows.
        step: Box<Step>,
        /// Dead, it keeps its place, so that what comes after it waits for a person.
        parks: bool,
    },
    /// A person wants a dead, cancelled, delivered or waiting delivery sent again, or a waiting
    /// one cancelled. Answer: `Moved`, `Refused` if its state does not allow
    /// it, or `PayloadGone`.
    Command {
        /// Which.
        delivery: DeliveryId,
        /// When.
        at: Time,
        /// Who.
        actor: String,
        /// What: `Wait` sends again, `Cancelled` ends it.
        next: Next,
    },
    /// Ends at most `limit` waiting deliveries of an endpoint. Answer: `Swept`.
    Sweep {
        /// Whose.
        endpoint: EndpointNo,
        /// The step that each of them gets: `Cancelled` or `Dead`.
        step: Box<Step>,
        /// How many in this commit.
        limit: u16,
    },
    /// An endpoint's entry is written or changed. Answer: `Applied`.
    Endpoint(Box<EndpointEntry>),
    /// Takes away what has been kept for long enough. Answer: `Pruned`.
    Prune(Box<Prune>),
    /// What comes in is put aside from now on, where this hold covers it. Answer: `Applied`.
    Hold(Box<StandingHold>),
    /// A hold stands no longer. Answer: `Applied`.
    Lift(ReplayId),
    /// A replay begins, goes on by some deliveries, or ends. Answer: `Replayed`.
    Replay(Box<ReplayStep>),
}

/// What the store knows of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointEntry {
    /// Its number.
    pub no: EndpointNo,
    /// Its name, for ever bound to the number.
    pub name: String,
    /// Whether it may be called.
    pub state: EndpointState,
    /// Its definition as JSON, if it was made over the API; `None` if it stands in the
    /// configuration file.
    pub definition: Option<String>,
    /// When it was removed. The number stays taken.
    pub removed: Option<Time>,
}

/// The store's answer to one record, once it is safe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Receipt {
    /// Done.
    Applied,
    /// Done; of the deliveries that have a key, these do not stand in their lanes.
    Seated {
        /// They wait behind an earlier one of their key.
        behind: Vec<EndpointNo>,
        /// They are dead: a later version was admitted before them.
        stale: Vec<EndpointNo>,
        /// They are left out: an event of their key has gone out instead.
        duplicates: Vec<(EndpointNo, EventId)>,
    },
    /// Done; this delivery came after it, and stands in its lane now.
    Promoted {
        /// Where.
        due: Due,
        /// Its past.
        progress: Progress,
    },
    /// The idempotency key belongs to an earlier event; nothing was written.
    Duplicate {
        /// That event.
        first: EventId,
        /// Its deliveries.
        targets: Vec<EndpointNo>,
        /// When it was admitted.
        accepted_at: Time,
        /// Whether the request is the same as then.
        same: bool,
    },
    /// An idempotency key belongs to another request; nothing of the commit was written.
    Conflict {
        /// Which of the keys.
        index: u16,
        /// The event that it belongs to; `None` if that is of the same batch.
        first: Option<EventId>,
    },
    /// The delivery is not where the record said; nothing was written.
    Stale,
    /// The delivery went from one place to another.
    Moved {
        /// Where it stood, if it was waiting.
        from: Option<Due>,
        /// Where it stands, if it waits now.
        to: Option<Due>,
        /// Its past.
        progress: Progress,
        /// What came after it in the order of their key, and stands in its lane now.
        promoted: Option<(Due, Progress)>,
        /// By how much the number of deliveries has changed that wait behind another.
        behind: i8,
    },
    /// The delivery's state does not allow it; nothing was written.
    Refused(DeliveryState),
    /// It cannot be sent again, since its payload is no longer kept; nothing was written.
    PayloadGone,
    /// A step of a replay was made: of each of its deliveries, in order, `Moved`; `Refused` if its
    /// state is not the one that is looked for, or `Stale` if the replay has been there before.
    Replayed(Vec<Receipt>),
    /// Waiting deliveries were ended.
    Swept {
        /// Those that stood in the lane.
        dues: Vec<Due>,
        /// How many waited behind another.
        behind: u16,
    },
    /// What was kept for long enough is gone.
    Pruned {
        /// How much.
        gone: Pruned,
        /// Whether there is more to look at.
        more: bool,
        /// How far it was looked ahead of time; for the next step of this sweep.
        ahead: Option<Look>,
        /// What could not be read, the first of it.
        damaged: Vec<Damage>,
    },
}

/// The state of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// Never tried yet.
    Queued,
    /// Being tried now.
    Sending,
    /// Tried, and to be tried again at a time.
    Waiting,
    /// Waiting or queued, at an endpoint that is paused or disabled; or put aside by a person, or
    /// by a standing hold.
    Held,
    /// Done.
    Delivered,
    /// Given up.
    Dead,
    /// Ended by a person, or left out as a duplicate.
    Cancelled,
    /// There is no such delivery.
    Unknown,
}

impl DeliveryState {
    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            DeliveryState::Queued => "queued",
            DeliveryState::Sending => "sending",
            DeliveryState::Waiting => "waiting",
            DeliveryState::Held => "held",
            DeliveryState::Delivered => "delivered",
            DeliveryState::Dead => "dead",
            DeliveryState::Cancelled => "cancelled",
            DeliveryState::Unknown => "unknown",
        }
    }
}

impl std::fmt::Display for DeliveryState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How much stands in a lane, on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneCounts {
    /// Deliveries never tried.
    pub fresh: u64,
    /// Deliveries that wait for a time.
    pub timed: u64,
    /// Dead ones.
    pub dead: u64,
    /// Deliveries that wait behind an earlier one of their key.
    #[serde(default)]
    pub behind: u64,
}

impl LaneCounts {
    /// All that have not ended.
    pub fn pending(&self) -> u64 {
        self.fresh.saturating_add(self.timed).saturating_add(self.behind)
    }
}
