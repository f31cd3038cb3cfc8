//! Where events come from: sources that have names.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::model::time::Time;

/// A source as the engine knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// What its events keep of it, such as `uid:1000`.
    pub identity: Arc<str>,
    /// What people call it.
    pub name: Arc<str>,
    /// Without an event for so long, it is silent. `None`: it never is.
    pub silent_after: Option<Duration>,
}

/// A source as people and programs are shown it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceView {
    /// Its name.
    pub name: String,
    /// Its stable identity, which its events keep and its idempotency keys belong to.
    pub id: String,
    /// The user that it runs as, as it is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unix_user: Option<String>,
    /// Where its webhooks come in, if it is a provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The types that it may submit.
    pub types: Vec<String>,
    /// Its largest payload.
    pub max_payload_bytes: u64,
    /// How fast it may submit, such as `500/s`; none: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<String>,
    /// How many events may come at once, where there is a rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<u32>,
    /// Without an event for so many seconds, it is silent; none: it never is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent_after_s: Option<u64>,
    /// Where it is defined: `file:line`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defined_in: Option<String>,
    /// When an event came in last, since the start.
    pub last_event_at: Option<Time>,
    /// Events admitted since the start.
    pub accepted: u64,
    /// Events refused since the start; of a request that cannot be read, one.
    pub refused: u64,
}
