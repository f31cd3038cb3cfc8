//! What people and programs are shown: the JSON of the API, read by the CLI as it is written by
//! the daemon. Field names are the API's; they only ever grow.

use serde::Deserialize;
use serde::Serialize;

use crate::model::attempt::Step;
use crate::model::endpoint::EndpointState;
use crate::model::event::Attributes;
use crate::model::hold::HoldView;
use crate::model::id::DeliveryId;
use crate::model::id::EventId;
use crate::model::record::DeliveryState;
use crate::model::record::LaneCounts;
use crate::model::replay::view::ReplayView;
use crate::model::retention::Kept;
use crate::model::time::Time;

/// The answer to a submission: the event and its deliveries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// The event; of a duplicate, the first one.
    pub id: EventId,
    /// Its type.
    #[serde(rename = "type")]
    pub event_type: String,
    /// When it was admitted.
    pub accepted_at: Time,
    /// Its deliveries.
    pub deliveries: Vec<AcceptedDelivery>,
    /// Whether the idempotency key was known.
    pub duplicate: bool,
}

/// One delivery of an accepted event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptedDelivery {
    /// Its id.
    pub id: DeliveryId,
    /// The endpoint's name.
    pub endpoint: String,
}

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The rows.
    pub data: Vec<T>,
    /// Where the next page begins; `None` at the end.
    pub next_cursor: Option<String>,
}

/// An event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventView {
    /// Its id.
    pub id: EventId,
    /// Its type.
    #[serde(rename = "type")]
    pub event_type: String,
    /// When it was admitted.
    pub accepted_at: Time,
    /// Who submitted it: the name of the source, where it has one.
    pub source: String,
    /// The stable identity of the source, such as `uid:1000`.
    #[serde(default)]
    pub source_id: String,
    /// The media type of its payload.
    pub content_type: String,
    /// The length of its payload.
    pub payload_bytes: u64,
    /// Since when its payload is no longer kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload_gone_at: Option<Time>,
    /// What else the submitter said.
    #[serde(flatten)]
    pub attributes: Attributes,
    /// Its deliveries, without their steps.
    pub deliveries: Vec<DeliveryView>,
}

/// A delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryView {
    /// Its id.
    pub id: DeliveryId,
    /// Its event.
    pub event_id: EventId,
    /// The event's type, where the event is still kept.
    pub event_type: Option<String>,
    /// Since when the event's payload is no longer kept; it cannot be sent again then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload_gone_at: Option<Time>,
    /// The endpoint's name.
    pub endpoint: String,
    /// Its state.
    pub state: DeliveryState,
    /// Attempts so far.
    pub attempts: u16,
    /// When it will be tried next, if it waits.
    pub next_at: Option<Time>,
    /// Why then; why it is held; why it is dead.
    pub reason: Option<String>,
    /// The outcome of its last attempt.
    pub last_outcome: Option<String>,
    /// The event that went out in its place, where it was left out as a duplicate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duplicate_of: Option<EventId>,
    /// Its log, where one delivery is shown; empty in lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
}

/// An endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointView {
    /// Its name.
    pub name: String,
    /// Its number in the store.
    pub number: u32,
    /// Where it is called (without query and user information).
    pub url: String,
    /// The types it gets.
    pub types: Vec<String>,
    /// `active`, `open` (its breaker is), `paused` or `disabled`.
    pub status: String,
    /// Since when and why, if not active.
    pub state: EndpointState,
    /// `closed`, `open` (since when, and when a delivery is tried, stands in the state), or `off`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub breaker: String,
    /// How many attempts may be made in which time, such as `50/s`; none: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<String>,
    /// How many of them may come at once after a pause, where there is a rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<u32>,
    /// Where it is defined: `config` or `api`.
    pub origin: String,
    /// Attempts under way.
    pub in_flight: u32,
    /// Attempts at once that it is given now: its window.
    #[serde(default)]
    pub window: u32,
    /// Its last five minutes.
    #[serde(default)]
    pub recent: RecentView,
    /// What stands in its lane.
    #[serde(flatten)]
    pub counts: LaneCounts,
}

/// The last five minutes of an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecentView {
    /// Attempts that have ended.
    pub attempts: u32,
    /// Those of them that failed.
    pub failures: u32,
    /// Deliveries that were accepted.
    pub delivered: u32,
    /// Those of them that took longer than the endpoint's target, if it has one.
    pub slow: u32,
}

/// What the daemon is doing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StatusView {
    /// The version of the binary.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// When it started.
    pub started_at: Time,
    /// `running` or `draining`.
    pub state: String,
    /// What a 202 stands for: `fsync` or `process`.
    pub durability: String,
    /// Events admitted since the start.
    pub accepted: u64,
    /// Submissions that repeated an earlier one.
    pub duplicates: u64,
    /// Submissions refused.
    pub rejected: u64,
    /// Deliveries on disk that were never tried.
    pub queued: u64,
    /// Deliveries that wait for a time.
    pub waiting: u64,
    /// Attempts under way.
    pub sending: u64,
    /// Deliveries given up.
    pub dead: u64,
    /// How long the oldest due delivery of an active endpoint has been due, in milliseconds.
    pub oldest_due_ms: u64,
    /// Deliveries that ended well since the start.
    pub delivered: u64,
    /// Attempts since the start.
    pub attempts: u64,
    /// Free bytes on the store's file system.
    pub disk_free_bytes: u64,
    /// Bytes that the store's files take.
    pub store_bytes: u64,
    /// Events that are kept, and bytes of their payloads.
    #[serde(default)]
    pub kept: Kept,
    /// The replays that run.
    #[serde(default)]
    pub replays: Vec<ReplayView>,
    /// The standing holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<HoldView>,
    /// The endpoints.
    pub endpoints: Vec<EndpointView>,
}

/// An endpoint that was just made.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatedEndpoint {
    /// The endpoint.
    #[serde(flatten)]
    pub endpoint: EndpointView,
    /// Its signing secret (`whsec_...`), shown this once, where postrider made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

impl std::fmt::Debug for CreatedEndpoint {
    /// Without the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CreatedEndpoint").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// What a reload changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadView {
    /// What is different now: keys of the configuration, `endpoint.NAME` and `source.NAME`.
    pub changed: Vec<String>,
    /// Keys whose new value counts only after a restart.
    pub needs_restart: Vec<String>,
}

/// Whether events are taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntakeView {
    /// `running` or `draining`.
    pub state: String,
    /// Attempts still under way.
    pub sending: u64,
}

/// An error answer: `application/problem+json` (RFC 9457).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// `urn:postrider:problem:` and the code.
    #[serde(rename = "type")]
    pub problem_type: String,
    /// The code in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// A stable word for programs.
    pub code: String,
    /// What is wrong here, and what to do.
    pub detail: String,
    /// Whether the same request may succeed later.
    pub retryable: bool,
    /// The id of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The event that an idempotency key belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<EventId>,
    /// Each fault, where there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Fault>,
}

/// One fault of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Where, as a JSON pointer (or `/3` for the fourth item of a batch).
    pub pointer: String,
    /// A stable word for programs.
    pub code: String,
    /// What is wrong.
    pub detail: String,
}
