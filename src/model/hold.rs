//! Standing holds: what comes in of certain types is put aside on arrival, until a person lifts the
//! hold.

use serde::Deserialize;
use serde::Serialize;

use crate::model::event::TypeGlob;
use crate::model::id::EndpointNo;
use crate::model::id::ReplayId;
use crate::model::time::Time;

/// Standing holds at once, at most.
pub const HOLDS_MAX: usize = 100;

/// What is put aside on arrival.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandingHold {
    /// The replay that it came with, which puts aside what waits already.
    pub id: ReplayId,
    /// Events of these types.
    pub types: TypeGlob,
    /// At this endpoint; `None`: at all.
    pub endpoint: Option<EndpointNo>,
    /// Since when.
    pub since: Time,
    /// Who wants it.
    pub actor: String,
}

/// A standing hold as the API shows it. Field names only ever grow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldView {
    /// The replay that it came with.
    pub id: ReplayId,
    /// Events of these types are put aside.
    #[serde(rename = "type")]
    pub types: TypeGlob,
    /// At the endpoint of this name; none: at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Since when.
    pub since: Time,
    /// Who wants it.
    pub actor: String,
}
