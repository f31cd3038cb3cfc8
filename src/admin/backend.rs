//! What the management API needs of the daemon: one trait, implemented by the hub and, in tests,
//! by a few rows in memory. The API knows HTTP; the backend knows events, lanes and the store.
//!
//! A listing is read in slices. Where a slice ends is a [`Position`]: bytes that only the backend
//! reads, wrapped into a cursor by the API and handed back for the next slice. They come from a
//! caller, so the backend checks them ([`BackendError::BadPosition`]).

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;

use crate::model::Attempt;
use crate::model::Code;
use crate::model::DeliveryId;
use crate::model::DeliveryState;
use crate::model::EventId;
use crate::model::EventType;
use crate::model::HoldView;
use crate::model::Outcome;
use crate::model::Rate;
use crate::model::ReplayAction;
use crate::model::ReplayId;
use crate::model::ReplayState;
use crate::model::Time;
use crate::model::TypeGlob;
use crate::model::queue::QueueView;
use crate::model::replay::view::DryRunView;
use crate::model::replay::view::FilterView;
use crate::model::replay::view::ReplayView;
use crate::model::source::SourceView;
use crate::model::view::CreatedEndpoint;
use crate::model::view::DeliveryView;
use crate::model::view::EndpointView;
use crate::model::view::EventView;
use crate::model::view::Fault;
use crate::model::view::IntakeView;
use crate::model::view::ReloadView;
use crate::model::view::StatusView;

/// Who is calling, as steps and audit lines name it: `uid:0`, or a token's name. The listener puts
/// it into each request's extensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor(pub Arc<str>);

/// Where a slice of a list ends, in the backend's own bytes (at most [`POSITION_BYTES_MAX`]).
pub type Position = Vec<u8>;

/// The longest position, in bytes.
pub const POSITION_BYTES_MAX: usize = 64;

/// Part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice<T> {
    /// The rows, at most as many as were asked for.
    pub rows: Vec<T>,
    /// Where the next slice begins; `None` at the end of the list.
    pub next: Option<Position>,
}

/// Which part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Rows, at most.
    pub limit: usize,
    /// Where the slice before it ended; `None` at the beginning.
    pub after: Option<Position>,
}

/// Which events; each condition that is set must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Of these types.
    pub types: Option<TypeGlob>,
    /// From this source: its name or its identity.
    pub source: Option<String>,
    /// Of this tenant.
    pub tenant: Option<String>,
    /// With all of these tags.
    pub tags: Vec<(String, String)>,
    /// Admitted at this time or later.
    pub since: Option<Time>,
    /// Admitted before this time.
    pub until: Option<Time>,
    /// With one delivery at least in this state.
    pub has_state: Option<DeliveryState>,
}

/// Which deliveries; each condition that is set must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryFilter {
    /// In this state.
    pub state: Option<DeliveryState>,
    /// To the endpoint of this name.
    pub endpoint: Option<String>,
    /// Of events of these types.
    pub types: Option<TypeGlob>,
    /// Whose last attempt had this outcome.
    pub outcome: Option<Outcome>,
    /// Of events admitted at this time or later.
    pub since: Option<Time>,
    /// Of events admitted before this time.
    pub until: Option<Time>,
}

/// A replay that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayOrder {
    /// What is to be done.
    pub action: ReplayAction,
    /// To which deliveries.
    pub filter: FilterView,
    /// At which rate.
    pub rate: Rate,
    /// Whether what comes in is put on hold as well.
    pub standing: bool,
}

/// A payload with its media type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// As submitted.
    pub content_type: String,
    /// Byte for byte.
    pub body: Bytes,
}

/// What becomes of the waiting deliveries of an endpoint that is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leftovers {
    /// They end dead, with the removal as the reason, and stay listed.
    Keep,
    /// They end cancelled by the caller.
    Cancel,
}

/// An event that an endpoint is tried with, outside of all queues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Its type.
    pub event_type: EventType,
    /// Its payload: a JSON text.
    pub body: Bytes,
}

/// Why the backend did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    /// There is no such event, delivery, endpoint or source.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The event is known, its payload is no longer kept.
    #[error("the payload of this event is no longer kept")]
    PayloadExpired,
    /// The delivery's state does not allow it.
    #[error("the delivery is {0}")]
    WrongState(DeliveryState),
    /// The replay runs no more.
    #[error("the replay is {}", .0.as_str())]
    ReplayEnded(ReplayState),
    /// Another endpoint has this name, or had it.
    #[error("the name is taken")]
    NameTaken,
    /// The endpoint is defined in the configuration file.
    #[error("the endpoint is defined in the configuration file: change it there, then reload")]
    ManagedByConfig,
    /// What was sent has these faults; nothing was changed.
    #[error("the request is not valid")]
    Invalid(Vec<Fault>),
    /// The position is not one of this list.
    #[error("the cursor is not one of this list")]
    BadPosition,
    /// Not now: the code says why (`draining`, `starting`, `queue-full`, `disk-low` ...).
    #[error("{detail}")]
    Unavailable {
        /// Why.
        code: Code,
        /// What to do about it.
        detail: String,
    },
    /// The daemon's own fault; the text is shown to the caller.
    #[error("{0}")]
    Internal(String),
    /// The store cannot be read; the text is shown to the caller.
    #[error("the store cannot be read: {0}")]
    Unreadable(String),
}

/// What a method of [`Backend`] answers.
pub type Answer<T> = Result<T, BackendError>;

/// The daemon, as the management API sees it. Lists are newest first.
///
/// Each method fails with [`BackendError`]; one that changes something has done it, safely stored,
/// when it answers.
pub trait Backend: Send + Sync + 'static {
    /// Whether the daemon takes events.
    fn ready(&self) -> impl Future<Output = Answer<()>> + Send;

    /// What the daemon is doing.
    fn status(&self) -> impl Future<Output = Answer<StatusView>> + Send;

    /// What waits, by endpoint and age; counted a minute ago at most.
    fn queue(&self) -> impl Future<Output = Answer<QueueView>> + Send;

    /// A slice of the events.
    fn events(
        &self,
        filter: EventFilter,
        window: Window,
    ) -> impl Future<Output = Answer<Slice<EventView>>> + Send;

    /// One event with its deliveries.
    fn event(&self, id: EventId) -> impl Future<Output = Answer<EventView>> + Send;

    /// The first two events, at most, from `low` to `high`: an abbreviated id is one if it is one.
    fn events_between(
        &self,
        low: EventId,
        high: EventId,
    ) -> impl Future<Output = Answer<Vec<EventId>>> + Send;

    /// An event's payload.
    fn payload(&self, id: EventId) -> impl Future<Output = Answer<Payload>> + Send;

    /// A slice of the deliveries, without their steps.
    fn deliveries(
        &self,
        filter: DeliveryFilter,
        window: Window,
    ) -> impl Future<Output = Answer<Slice<DeliveryView>>> + Send;

    /// One delivery with its steps.
    fn delivery(&self, id: DeliveryId) -> impl Future<Output = Answer<DeliveryView>> + Send;

    /// The first two deliveries, at most, from `low` to `high`.
    fn deliveries_between(
        &self,
        low: DeliveryId,
        high: DeliveryId,
    ) -> impl Future<Output = Answer<Vec<DeliveryId>>> + Send;

    /// Sends a delivery again, now.
    fn retry(
        &self,
        id: DeliveryId,
        actor: Actor,
    ) -> impl Future<Output = Answer<DeliveryView>> + Send;

    /// Ends a waiting delivery.
    fn cancel(
        &self,
        id: DeliveryId,
        actor: Actor,
    ) -> impl Future<Output = Answer<DeliveryView>> + Send;

    /// All sources that have names, by name.
    fn sources(&self) -> impl Future<Output = Answer<Vec<SourceView>>> + Send;

    /// One of them.
    fn source(&self, name: String) -> impl Future<Output = Answer<SourceView>> + Send;

    /// All endpoints, by name.
    fn endpoints(&self) -> impl Future<Output = Answer<Vec<EndpointView>>> + Send;

    /// One endpoint.
    fn endpoint(&self, name: String) -> impl Future<Output = Answer<EndpointView>> + Send;

    /// Makes an endpoint of this definition: the keys of an `[[endpoint]]` table as JSON. Unknown
    /// keys and wrong values are faults.
    fn create_endpoint(
        &self,
        definition: serde_json::Map<String, serde_json::Value>,
        actor: Actor,
    ) -> impl Future<Output = Answer<CreatedEndpoint>> + Send;

    /// Removes an endpoint that was made over the API.
    fn remove_endpoint(
        &self,
        name: String,
        leftovers: Leftovers,
        actor: Actor,
    ) -> impl Future<Output = Answer<()>> + Send;

    /// Holds an endpoint's deliveries back. Pausing a paused one changes its reason.
    fn pause(
        &self,
        name: String,
        reason: String,
        actor: Actor,
    ) -> impl Future<Output = Answer<EndpointView>> + Send;

    /// Lets a paused endpoint's deliveries go. Resuming an active one changes nothing.
    fn resume(
        &self,
        name: String,
        actor: Actor,
    ) -> impl Future<Output = Answer<EndpointView>> + Send;

    /// Lets a disabled endpoint's deliveries go. Enabling an active one changes nothing.
    fn enable(
        &self,
        name: String,
        actor: Actor,
    ) -> impl Future<Output = Answer<EndpointView>> + Send;

    /// Calls an endpoint once with a sample: not queued, not counted, not stored.
    fn test(
        &self,
        name: String,
        sample: Sample,
        actor: Actor,
    ) -> impl Future<Output = Answer<Attempt>> + Send;

    /// Counts what [`Backend::replay`] would find.
    fn count_replay(&self, order: ReplayOrder) -> impl Future<Output = Answer<DryRunView>> + Send;

    /// Begins a replay, which goes on by itself.
    fn replay(
        &self,
        order: ReplayOrder,
        actor: Actor,
    ) -> impl Future<Output = Answer<ReplayView>> + Send;

    /// All replays that are remembered, the newest first.
    fn replays(&self) -> impl Future<Output = Answer<Vec<ReplayView>>> + Send;

    /// The holds that stand, the oldest first.
    fn holds(&self) -> impl Future<Output = Answer<Vec<HoldView>>> + Send;

    /// A replay.
    fn shown_replay(&self, id: ReplayId) -> impl Future<Output = Answer<ReplayView>> + Send;

    /// The first two replays, at most, whose ids are in this range (both ends included).
    fn replays_between(
        &self,
        low: ReplayId,
        high: ReplayId,
    ) -> impl Future<Output = Answer<Vec<ReplayId>>> + Send;

    /// Ends a replay before its next step.
    fn cancel_replay(
        &self,
        id: ReplayId,
        actor: Actor,
    ) -> impl Future<Output = Answer<ReplayView>> + Send;

    /// Reads the configuration again. A refused one is [`BackendError::Invalid`] with the faults
    /// (pointer: `file:line:column`), and the old one stays.
    fn reload(&self, actor: Actor) -> impl Future<Output = Answer<ReloadView>> + Send;

    /// Stops taking events and starting attempts.
    fn drain(&self, actor: Actor) -> impl Future<Output = Answer<IntakeView>> + Send;

    /// Undoes [`Backend::drain`].
    fn undrain(&self, actor: Actor) -> impl Future<Output = Answer<IntakeView>> + Send;
}
