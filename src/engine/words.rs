//! What goes into the engine and what comes out of it.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::prune::Retention;
use crate::engine::replay::words::NewReplay;
use crate::engine::replay::words::ReplayNotice;
use crate::engine::replay::words::ReplayPage;
use crate::engine::replay::words::Scan;
use crate::engine::report::Report;
use crate::model::Attempt;
use crate::model::Class;
use crate::model::Damage;
use crate::model::DeadReason;
use crate::model::DeliveryId;
use crate::model::DeliveryState;
use crate::model::Due;
use crate::model::Endpoint;
use crate::model::EndpointEntry;
use crate::model::EndpointNo;
use crate::model::EndpointState;
use crate::model::Event;
use crate::model::EventId;
use crate::model::Next;
use crate::model::Opened;
use crate::model::Progress;
use crate::model::Pruned;
use crate::model::Receipt;
use crate::model::Record;
use crate::model::Replay;
use crate::model::ReplayId;
use crate::model::Source;
use crate::model::StandingHold;
use crate::model::Submission;
use crate::model::Time;

/// Names a caller that waits for a [`Reply`]; given by the hub.
pub type Caller = u64;
/// Names a commit until its receipts come back; given by the engine.
pub type Ticket = u64;

/// What the engine is told.
#[derive(Debug)]
pub enum Input {
    /// Somebody hands in events.
    Submit {
        /// Who waits for the answer.
        caller: Caller,
        /// Since when: the request had been read.
        since: Time,
        /// In order.
        submissions: Vec<Submission>,
        /// What happens when some of them are refused.
        mode: SubmitMode,
    },
    /// A commit is safe.
    Committed {
        /// Which.
        ticket: Ticket,
        /// One for each of its records.
        receipts: Vec<Receipt>,
    },
    /// What [`Effect::Load`] asked for.
    Loaded {
        /// Whose.
        lane: EndpointNo,
        /// Which queue.
        class: Class,
        /// In order.
        rows: Vec<(Due, Progress)>,
        /// Whether the queue ends with them.
        end: bool,
    },
    /// An attempt that [`Effect::Dial`] asked for has ended.
    Finished {
        /// Which.
        delivery: DeliveryId,
        /// What came of it.
        attempt: Box<Attempt>,
        /// When it began.
        began: Time,
    },
    /// What [`Effect::Scan`] asked for.
    Scanned {
        /// For which replay.
        replay: ReplayId,
        /// What was found; `None` if it could not be read. Then it is asked for again.
        page: Option<ReplayPage>,
    },
    /// A person wants something.
    Command {
        /// Who waits for the answer.
        caller: Caller,
        /// Who it is, for the log.
        actor: String,
        /// What.
        command: Command,
    },
    /// The disk is low, or no longer.
    DiskLow(bool),
    /// Something has happened outside the engine that may be told as an operational event.
    Report(Report),
}

/// What happens when some of several submissions are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubmitMode {
    /// All or none is admitted.
    Whole,
    /// Those that can be are admitted.
    Partial,
}

/// What a person can want.
#[derive(Clone, Debug)]
pub enum Command {
    /// Send this delivery again, now.
    Retry(Vec<DeliveryId>),
    /// End this delivery.
    Cancel(DeliveryId),
    /// Hold an endpoint's deliveries back.
    Pause {
        /// Whose.
        endpoint: EndpointNo,
        /// Why.
        reason: String,
    },
    /// Let a paused endpoint's deliveries go.
    Resume(EndpointNo),
    /// Let a disabled endpoint's deliveries go.
    Enable(EndpointNo),
    /// These are the endpoints from now on; deliveries of others are held.
    Configure {
        /// All of them.
        endpoints: Vec<Endpoint>,
        /// Entries to write first.
        entries: Vec<EndpointEntry>,
    },
    /// End all deliveries of an endpoint, then write the entry, which removes it.
    Remove {
        /// Says when it was removed.
        entry: Box<EndpointEntry>,
        /// How its deliveries end: `Cancelled` or `Dead`.
        next: Next,
    },
    /// Do something to many deliveries.
    Replay(Box<NewReplay>),
    /// End that.
    CancelReplay(ReplayId),
    /// Admit nothing more, let running attempts end.
    Drain,
    /// Undo a drain.
    Undrain,
    /// These are the sources that have names from now on.
    Sources(Vec<Source>),
    /// Things are kept for so long from now on.
    Retain(Retention),
}

/// What the engine wants done.
#[derive(Debug)]
pub enum Effect {
    /// Make these records safe, then tell.
    Commit {
        /// Its name.
        ticket: Ticket,
        /// In order.
        records: Vec<Record>,
    },
    /// Answer a caller.
    Reply {
        /// Whom.
        caller: Caller,
        /// What.
        reply: Reply,
    },
    /// Read the next rows of a lane's queue.
    Load {
        /// Whose.
        lane: EndpointNo,
        /// Which queue.
        class: Class,
        /// The rows after this one; `None` from the beginning.
        after: Option<Due>,
        /// At most so many.
        limit: usize,
    },
    /// Read the next rows of a replay's list.
    Scan(Box<Scan>),
    /// Make an attempt.
    Dial(Dial),
    /// End an attempt that is under way.
    Abort(DeliveryId),
    /// For logs and metrics.
    Publish(Notice),
    /// Nothing is under way any more, after [`Command::Drain`].
    Drained,
}

/// An attempt to be made.
#[derive(Debug)]
pub struct Dial {
    /// Which.
    pub delivery: DeliveryId,
    /// Its number, from 1.
    pub attempt: u16,
    /// The event, if it still is in memory.
    pub event: Option<Arc<Event>>,
    /// When it was due.
    pub due: Time,
}

/// The answer to a caller.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// To a submission: one answer for each event, in order.
    Submitted(Vec<Result<Admitted, Refusal>>),
    /// To [`Command::Retry`]: for each, what became of it.
    Retried(Vec<Result<(), Unmoved>>),
    /// To [`Command::Cancel`].
    Cancelled(Result<(), Unmoved>),
    /// To [`Command::Replay`] and [`Command::CancelReplay`]: the replay as it stands now.
    Replay(Box<Replay>),
    /// As many replays run as may at once.
    TooManyReplays,
    /// As many holds stand as may at once.
    TooManyHolds,
    /// No such replay runs.
    NoSuchReplay,
    /// Done.
    Done,
    /// There is no such endpoint.
    NoSuchEndpoint,
    /// The endpoint is in another state than the command needs.
    WrongState(EndpointState),
}

/// Why a delivery stays where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmoved {
    /// Its state does not allow it.
    State(DeliveryState),
    /// Its payload is no longer kept.
    PayloadGone,
}

/// An event that is safe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// Which; of a duplicate, the first one.
    pub event: EventId,
    /// When it was admitted.
    pub accepted_at: Time,
    /// Where it goes.
    pub targets: Vec<EndpointNo>,
    /// Whether its idempotency key was known.
    pub duplicate: bool,
}

/// Why a submission is not admitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// As many deliveries are pending as may be.
    QueueFull {
        /// How long it takes until there is room, as far as that can be told.
        wait: Duration,
    },
    /// The disk is nearly full.
    DiskLow,
    /// The daemon is about to stop.
    Draining,
    /// No endpoint takes events of this type, and `ingest.unmatched` is `reject`.
    NoEndpointMatches,
    /// There is no endpoint of this name.
    UnknownEndpoint(String),
    /// It is to be delivered later than `ingest.max_delay` allows.
    TooFarAhead,
    /// It goes to more endpoints than one event may.
    TooManyTargets,
    /// The idempotency key belongs to another request.
    KeyReused(EventId),
    /// Two different events of the same request have the same idempotency key.
    KeyTwice,
    /// Another event of the same request was refused, so this one was not admitted either.
    WithOthers,
}

/// What happened, for logs and metrics.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// An event is safe.
    Accepted {
        /// Which.
        event: Arc<Event>,
        /// Whether it came with an idempotency key.
        keyed: bool,
    },
    /// A submission repeated an earlier one.
    Duplicate {
        /// The first one.
        first: EventId,
        /// Whether it was the same request.
        same: bool,
    },
    /// An attempt is safe in the log.
    AttemptFinished {
        /// Which delivery.
        delivery: DeliveryId,
        /// Its number.
        number: u16,
        /// What came of it.
        attempt: Box<Attempt>,
        /// What follows.
        next: Next,
    },
    /// The process died during the attempts of these last time; they are tried again.
    Interrupted {
        /// How many.
        count: usize,
    },
    /// A delivery has ended without an attempt, by a rule.
    Died {
        /// Which.
        delivery: DeliveryId,
        /// Why.
        reason: DeadReason,
    },
    /// A delivery was left out on arrival: its endpoint has got an event of the same key lately.
    LeftOut {
        /// Which.
        delivery: DeliveryId,
        /// The event that went out instead.
        of: EventId,
    },
    /// An endpoint was disabled by its own answer, or since it has failed for too long.
    EndpointDisabled {
        /// Which.
        endpoint: EndpointNo,
        /// Why, in words.
        reason: String,
    },
    /// An endpoint has failed so often that it is left alone for a while.
    BreakerOpened {
        /// Which.
        endpoint: EndpointNo,
        /// How often it has failed, and when it is tried again.
        open: Opened,
    },
    /// An endpoint whose breaker was open works again.
    EndpointRecovered {
        /// Which.
        endpoint: EndpointNo,
        /// Since when it was open.
        open: Opened,
    },
    /// A step of a sweep has taken this away.
    Pruned(Pruned),
    /// A sweep could not read this.
    Damaged(Damage),
    /// A sweep has come to its end.
    Swept {
        /// What it has taken away.
        gone: Pruned,
        /// How long it took, pauses included.
        took: Duration,
    },
    /// A standing hold has begun, or was lifted.
    Hold {
        /// Which.
        hold: Box<StandingHold>,
        /// Who has lifted it.
        lifted_by: Option<String>,
    },
    /// Of a replay.
    Replay(ReplayNotice),
    /// A record did not fit what the store holds; it was not applied.
    Disagreement {
        /// Which delivery.
        delivery: DeliveryId,
        /// What was meant to be done.
        doing: &'static str,
    },
}
