//! A replay: one thing is done to all deliveries that fit a filter, a few at a time, at a rate.
//!
//! It is a walk over a list. Each step does the thing to the next few deliveries and is one atomic
//! record together with the new place in the list and the new counts: so whatever the process does
//! in between, no delivery is left out, and none is met twice.

pub mod view;

use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::model::attempt::Next;
use crate::model::attempt::WaitReason;
use crate::model::event::TypeGlob;
use crate::model::flow::Rate;
use crate::model::id::DeliveryId;
use crate::model::id::EndpointNo;
use crate::model::id::ReplayId;
use crate::model::record::DeliveryState;
use crate::model::record::Receipt;
use crate::model::time::Time;

/// Replays that run at once, at most.
pub const REPLAYS_RUNNING_MAX: usize = 4;
/// Further ones that may run if they come with a standing hold, or lift one.
pub const REPLAYS_SPARE: usize = 16;
/// Replays that are remembered, running ones among them; the oldest is forgotten for a new one.
pub const REPLAYS_KEPT_MAX: usize = 100;
/// Deliveries of one step, at most: what fits into one atomic batch.
pub const REPLAY_STEP_MAX: usize = 20;
/// Deliveries that one replay may name, at most.
pub const REPLAY_IDS_MAX: usize = 100;
/// How many deliveries a replay sends where nobody says.
pub const REPLAY_RATE_DEFAULT: Rate = Rate { count: 100, per: Duration::from_secs(1), burst: 1 };
/// The shortest time from one delivery of a replay to the next: 1,000 a second, at most.
pub const REPLAY_GAP_MIN: Duration = Duration::from_millis(1);

/// What is done to each delivery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayAction {
    /// What has ended is sent again.
    #[default]
    Replay,
    /// What waits is ended; what is dead, too, if the filter says so.
    Cancel,
    /// What waits is put aside: it is not due until it is released. It may expire then.
    Hold,
    /// What was put aside is due again, at its turn, or when it would have been, if that is later.
    Release,
}

impl ReplayAction {
    /// How many deliveries it is done to where nobody says: what calls no endpoint is quicker.
    pub const fn rate_default(self) -> Rate {
        match self {
            ReplayAction::Replay | ReplayAction::Release => REPLAY_RATE_DEFAULT,
            ReplayAction::Cancel | ReplayAction::Hold => {
                Rate { count: 1_000, ..REPLAY_RATE_DEFAULT }
            }
        }
    }

    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            ReplayAction::Replay => "replay",
            ReplayAction::Cancel => "cancel",
            ReplayAction::Hold => "hold",
            ReplayAction::Release => "release",
        }
    }
}

/// Which deliveries; each condition that is set must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayFilter {
    /// In this state; `None`: in any that the action is for.
    pub state: Option<DeliveryState>,
    /// To this endpoint.
    pub endpoint: Option<EndpointNo>,
    /// Of events of these types.
    pub types: Option<TypeGlob>,
    /// Of events admitted at this time or later.
    pub since: Option<Time>,
    /// Of events admitted before this time.
    pub until: Option<Time>,
    /// Only these, at most [`REPLAY_IDS_MAX`]; none: all.
    pub ids: Vec<DeliveryId>,
}

impl ReplayFilter {
    /// Whether an action is for a delivery that is in this state, as the store knows it: there,
    /// only what a person has put aside is held. Who looks for what is held finds what waits at an
    /// endpoint that is held back, too.
    pub fn takes(&self, action: ReplayAction, state: DeliveryState) -> bool {
        use DeliveryState::{Cancelled, Dead, Delivered, Held, Queued, Waiting};
        let waits = matches!(state, Queued | Waiting);
        let wanted = match action {
            ReplayAction::Replay => matches!(state, Dead | Cancelled | Delivered),
            ReplayAction::Cancel => {
                waits || state == Held || state == Dead && self.state == Some(Dead)
            }
            ReplayAction::Hold => waits,
            ReplayAction::Release => state == Held,
        };
        wanted && self.state.is_none_or(|only| only == state || only == Held && waits)
    }
}

/// How far a replay is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayState {
    /// It goes on by itself, also after a restart.
    #[default]
    Running,
    /// It has come to the end of its list.
    Done,
    /// A person has ended it.
    Cancelled,
}

impl ReplayState {
    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            ReplayState::Running => "running",
            ReplayState::Done => "done",
            ReplayState::Cancelled => "cancelled",
        }
    }
}

/// What a replay has come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayCounts {
    /// Deliveries that fitted the filter when it was asked for.
    pub matched: u64,
    /// Those that it was done to.
    pub submitted: u64,
    /// Those that were left alone, since their event is no longer kept.
    pub expired: u64,
    /// Those that were left alone, since they had gone on meanwhile, or their endpoint was gone.
    pub skipped: u64,
}

impl ReplayCounts {
    /// With what the writer answered for the deliveries of a step.
    #[must_use]
    pub fn with(mut self, receipts: &[Receipt]) -> ReplayCounts {
        for receipt in receipts {
            match receipt {
                Receipt::Moved { .. } => self.submitted += 1,
                // it was counted when the replay was there first
                Receipt::Stale => {}
                Receipt::PayloadGone => self.expired += 1,
                _ => self.skipped += 1,
            }
        }
        self
    }
}

/// A replay, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replay {
    /// Which.
    pub id: ReplayId,
    /// What is done.
    pub action: ReplayAction,
    /// To which deliveries.
    pub filter: ReplayFilter,
    /// How many in a span of time.
    pub rate: Rate,
    /// Who wants it.
    pub actor: String,
    /// Since when.
    pub created: Time,
    /// How far it is.
    pub state: ReplayState,
    /// Since when it runs no more.
    pub ended: Option<Time>,
    /// Who has ended it, if it was cancelled.
    pub ended_by: Option<String>,
    /// Before this, it does nothing to another delivery.
    pub next: Time,
    /// Where it goes on in its list, in the bytes of whoever reads the list; `None`: at the
    /// beginning.
    pub cursor: Option<Vec<u8>>,
    /// What it has come to.
    pub counts: ReplayCounts,
}

impl Replay {
    /// Whether it goes on.
    pub fn is_running(&self) -> bool {
        self.state == ReplayState::Running
    }

    /// Who changes a delivery's course, as its log names them. No two replays have the same name,
    /// so that the log says whether this one has been there.
    pub fn actor_of_steps(&self) -> String {
        format!("{} {}", self.actor, self.id)
    }

    /// Whether it is for a delivery that is in this state, as the store knows it.
    pub fn takes(&self, state: DeliveryState) -> bool {
        self.filter.takes(self.action, state)
    }

    /// What follows for a delivery whose turn is at this time.
    pub fn next_of(&self, due: Time) -> Next {
        match self.action {
            ReplayAction::Replay => Next::Wait { due, why: WaitReason::Requested },
            ReplayAction::Cancel => Next::Cancelled,
            ReplayAction::Hold => Next::Wait { due: Time::MAX, why: WaitReason::OnHold },
            ReplayAction::Release => Next::Wait { due, why: WaitReason::Released },
        }
    }
}

/// A delivery of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayMove {
    /// Which.
    pub delivery: DeliveryId,
    /// When its turn is.
    pub due: Time,
}

/// The replay is to stand as it is here, with what the writer counts of these deliveries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayStep {
    /// The replay behind the step.
    pub replay: Replay,
    /// When.
    pub at: Time,
    /// At most [`REPLAY_STEP_MAX`].
    pub moves: Vec<ReplayMove>,
}

impl ReplayStep {
    /// The replay as it stands once the writer has answered for its deliveries.
    pub fn counted(&self, receipts: &[Receipt]) -> Replay {
        Replay { counts: self.replay.counts.with(receipts), ..self.replay.clone() }
    }
}
