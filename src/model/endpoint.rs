//! Where events go, as far as decisions need to know. How it is called (URL, secrets, headers) is
//! the courier's matter and stands in the configuration.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::model::attempt::Outcome;
use crate::model::event::TypeGlob;
use crate::model::flow::Flow;
use crate::model::id::EndpointNo;
use crate::model::time::Time;

/// When a failed delivery is tried again.
#[derive(Clone, Debug, PartialEq)]
pub struct RetryPolicy {
    /// The plan of delays.
    pub schedule: Schedule,
    /// Each delay is multiplied by a random number from `1 - jitter` to `1 + jitter`.
    pub jitter: f64,
    /// Whether `Retry-After` may put an attempt off.
    pub honor_retry_after: bool,
    /// The longest that `Retry-After` may ask for.
    pub retry_after_max: Duration,
    /// Statuses that end a delivery at once.
    pub give_up_on: Vec<u16>,
    /// Statuses that end a delivery at once and disable the endpoint as well.
    pub disable_on: Vec<u16>,
    /// A delivery older than this is dead, whatever the plan says. `None`: only the plan ends it.
    pub max_age: Option<Duration>,
}

impl RetryPolicy {
    /// Nothing is tried again.
    pub fn never() -> RetryPolicy {
        RetryPolicy {
            schedule: Schedule::Steps(Vec::new()),
            jitter: 0.0,
            honor_retry_after: false,
            retry_after_max: Duration::ZERO,
            give_up_on: Vec::new(),
            disable_on: Vec::new(),
            max_age: None,
        }
    }
}

/// A plan of delays: how long after the failure of attempt 1, 2, 3 ... the next one comes.
#[derive(Clone, Debug, PartialEq)]
pub enum Schedule {
    /// These, then dead.
    Steps(Vec<Duration>),
    /// `base`, then each `factor` times the one before, at most `max`, for `attempts` in all.
    Exponential {
        /// The first delay.
        base: Duration,
        /// Growth from one delay to the next.
        factor: f64,
        /// The longest delay.
        max: Duration,
        /// Attempts in all, the first one included.
        attempts: u16,
    },
}

/// An endpoint, as the engine sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    /// Its number in the store.
    pub no: EndpointNo,
    /// Its name.
    pub name: Arc<str>,
    /// Events of these types go to it.
    pub types: Vec<TypeGlob>,
    /// Attempts at once, at most.
    pub max_in_flight: u32,
    /// When a failed delivery is tried again.
    pub retry: Arc<RetryPolicy>,
    /// How much it is asked to bear, and in what order.
    pub flow: Arc<Flow>,
    /// Whether it may be called.
    pub state: EndpointState,
}

/// Whether an endpoint may be called; its deliveries are kept either way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointState {
    /// A person holds its deliveries back.
    pub paused: Option<Held>,
    /// postrider holds its deliveries back, since the endpoint says that it is gone or has failed
    /// for too long.
    pub disabled: Option<Held>,
    /// Its breaker is open: its deliveries wait, and one of them is tried from time to time.
    pub open: Option<Opened>,
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

/// An open breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// Since when.
    pub since: Time,
    /// Failures in a row until now.
    pub failures: u16,
    /// The last of them.
    pub outcome: Outcome,
    /// Deliveries that have been tried since.
    pub probes: u16,
    /// The next one is tried at this time.
    pub until: Time,
}

/// Since when and why deliveries are held back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Since when.
    pub since: Time,
    /// Who did it: `uid:0`, or `postrider`.
    pub actor: String,
    /// Why, in words.
    pub reason: String,
}

impl EndpointState {
    /// Whether deliveries go out, as far as people and the endpoint itself have a say.
    pub fn is_active(&self) -> bool {
        self.paused.is_none() && self.disabled.is_none()
    }

    /// Whether all its deliveries go out: nobody holds them back, and its breaker is closed.
    pub fn is_up(&self) -> bool {
        self.is_active() && self.open.is_none()
    }

    /// `active`, `open` (its breaker is), `paused` or `disabled`.
    pub fn word(&self) -> &'static str {
        match (&self.disabled, &self.paused, &self.open) {
            (Some(_), _, _) => "disabled",
            (None, Some(_), _) => "paused",
            (None, None, Some(_)) => "open",
            (None, None, None) => "active",
        }
    }
}
