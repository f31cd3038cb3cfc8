//! Replays as the API shows them. Field names only ever grow.

use serde::Deserialize;
use serde::Serialize;

use crate::model::event::TypeGlob;
use crate::model::id::DeliveryId;
use crate::model::id::ReplayId;
use crate::model::record::DeliveryState;
use crate::model::replay::ReplayAction;
use crate::model::replay::ReplayCounts;
use crate::model::replay::ReplayState;
use crate::model::time::Time;

/// Which deliveries, as people say it; each condition that is set must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilterView {
    /// In this state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<DeliveryState>,
    /// To the endpoint of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Of events of these types.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub types: Option<TypeGlob>,
    /// Of events admitted at this time or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// Of events admitted before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// Only these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<DeliveryId>,
}

/// A replay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayView {
    /// Its id.
    pub id: ReplayId,
    /// What is done to each delivery.
    pub action: ReplayAction,
    /// To which.
    pub filter: FilterView,
    /// How many in which time, such as `100/s`.
    pub rate: String,
    /// Who wants it.
    pub actor: String,
    /// Since when.
    pub created_at: Time,
    /// How far it is.
    pub state: ReplayState,
    /// Since when it runs no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Time>,
    /// Who has cancelled it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<String>,
    /// What it has come to.
    #[serde(flatten)]
    pub counts: ReplayCounts,
}

/// What a replay would find.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DryRunView {
    /// Deliveries that fit the filter.
    pub matched: u64,
    /// Those of them that would be left alone, since their event is no longer kept.
    pub expired: u64,
    /// Nothing was changed.
    pub dry_run: bool,
    /// Whether a standing hold would begin or end with it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub standing: bool,
}
