//! The nouns: what an event, an endpoint, a delivery and an attempt are, and how each is stored.
//!
//! Nothing here touches the world or decides anything. Stored encodings live beside the noun in
//! [`record`]; their bytes are held by golden files (`tests/golden/`), because what is on disk
//! outlives every release.

pub mod time;
pub mod id;
pub mod event;
pub mod dedupe;
pub mod flow;
pub mod attempt;
pub mod endpoint;
pub mod hold;
pub mod retention;
pub mod record;
pub mod replay;
pub mod view;
pub mod queue;
pub mod problem;
pub mod source;

pub use attempt::{
    Attempt, DeadReason, Excerpt, Next, Outcome, Phases, Step, StepKind, WaitReason,
};
pub use dedupe::{Dedupe, DedupeKey, DedupePolicy, Seen};
pub use endpoint::{Endpoint, EndpointState, Held, Opened, RetryPolicy, Schedule};
pub use event::{Attributes, Event, EventType, IdempotencyKey, Submission, TypeGlob};
pub use flow::{BreakerPolicy, Flow, OnFailure, OrderPolicy, Rate, Targets};
pub use hold::{HoldView, StandingHold};
pub use id::{DeliveryId, EndpointNo, EventId, IdError, ReplayId};
pub use problem::Code;
pub use record::{
    Admit, Class, DeliveryState, Due, EndpointEntry, KeyRef, LaneCounts, Order, OrderKey, Progress,
    Receipt, Record,
};
pub use replay::{
    Replay, ReplayAction, ReplayCounts, ReplayFilter, ReplayMove, ReplayState, ReplayStep,
};
pub use retention::{Damage, Horizons, Kept, Look, Prune, Pruned};
pub use source::Source;
pub use time::Time;
