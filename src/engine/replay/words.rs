//! What is said of replays.

use crate::model::DeliveryId;
use crate::model::Rate;
use crate::model::Replay;
use crate::model::ReplayAction;
use crate::model::ReplayFilter;
use crate::model::ReplayId;

/// A replay that is asked for.
#[derive(Clone, Debug)]
pub struct NewReplay {
    /// What is to be done.
    pub action: ReplayAction,
    /// To which deliveries.
    pub filter: ReplayFilter,
    /// At which rate.
    pub rate: Rate,
    /// Whether what comes in is put on hold as well, until it is released by the same filter.
    pub standing: bool,
    /// How many there are now.
    pub matched: u64,
}

/// Rows of a replay's list that are wanted.
#[derive(Clone, Debug)]
pub struct Scan {
    /// For which replay.
    pub replay: ReplayId,
    /// What is done to them.
    pub action: ReplayAction,
    /// Which are wanted.
    pub filter: ReplayFilter,
    /// Those behind this place; `None`: from the beginning.
    pub after: Option<Vec<u8>>,
    /// At most so many.
    pub limit: usize,
}

/// Rows of a replay's list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplayPage {
    /// Deliveries that fit, in the order of the list.
    pub rows: Vec<DeliveryId>,
    /// How many more would fit, but their event is no longer kept.
    pub expired: u64,
    /// Where the list goes on, in the reader's own bytes; `None` at its end.
    pub next: Option<Vec<u8>>,
}

/// What happened to a replay, for logs and metrics.
#[derive(Clone, Debug, PartialEq)]
pub enum ReplayNotice {
    /// It runs from now on.
    Started(Box<Replay>),
    /// It has done its thing to so many deliveries.
    Stepped(u64),
    /// It runs no more.
    Ended(Box<Replay>),
}
