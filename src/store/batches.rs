//! Atomic batches: what records change is staged here and leaves in as few batches as the limit
//! allows, never with a record's atomic unit cut in two.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use bytes::Bytes;

use crate::model::EndpointNo;
use crate::model::LaneCounts;
use crate::store::layout;
use crate::store::layout::Tally;
use crate::store::packed::Packed;
use crate::store::packed::ReadError;

/// Page operations in one batch, at most. From about 800 on, the underlying store keeps memory
/// for each of them for the life of the process.
pub const OPERATIONS_MAX: usize = 400;

/// Page operations of what is kept and counted.
const TALLY_OPERATIONS: usize = 2;

/// Page operations of an atomic unit, at most; counts of lanes and of what is kept come besides.
pub const UNIT_OPERATIONS_MAX: usize = OPERATIONS_MAX - 20;

/// Lanes whose counts fit into one page, at least.
pub const LANES_PER_PAGE: usize = 60;

/// Why a commit failed. Nothing is acknowledged after it: the writer must be given up, and what
/// was acknowledged before is found again when the store is next opened.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CommitError {
    /// The disk is full.
    #[error("the disk is full: {0}")]
    Full(String),
    /// Writing or syncing failed.
    #[error("the store cannot be written: {0}")]
    Io(String),
    /// A record depends on something stored that cannot be read.
    #[error(transparent)]
    Unreadable(#[from] ReadError),
}

impl From<sled::Error> for CommitError {
    fn from(error: sled::Error) -> CommitError {
        match &error {
            sled::Error::Io(io) if io.kind() == std::io::ErrorKind::StorageFull => {
                CommitError::Full(error.to_string())
            }
            _ => CommitError::Io(error.to_string()),
        }
    }
}

/// What is staged, and the counts of all lanes.
#[derive(Debug)]
pub struct Batches {
    /// The map that records change.
    pub packed: Packed,
    lanes: BTreeMap<EndpointNo, LaneCounts>,
    touched: BTreeSet<EndpointNo>,
    tally: Tally,
    tally_touched: bool,
}

impl Batches {
    /// Nothing staged, over a map in which the lanes have these counts, and which holds this much.
    pub fn new(packed: Packed, lanes: BTreeMap<EndpointNo, LaneCounts>, tally: Tally) -> Batches {
        Batches { packed, lanes, touched: BTreeSet::new(), tally, tally_touched: false }
    }

    /// Makes room for an atomic unit of at most `bound` page operations: what is staged leaves
    /// first if both do not fit into one batch.
    ///
    /// # Errors
    /// [`CommitError`] if the batch cannot be written.
    pub fn room(&mut self, bound: usize) -> Result<(), CommitError> {
        debug_assert!(bound <= UNIT_OPERATIONS_MAX, "a unit of {bound} operations");
        if self.fits(bound) { Ok(()) } else { self.emit() }
    }

    /// Whether `bound` more page operations fit into the batch.
    pub fn fits(&self, bound: usize) -> bool {
        let lanes = self.touched.len().min(self.lanes.len() / LANES_PER_PAGE + 1);
        self.packed.operations() + lanes + TALLY_OPERATIONS + bound <= OPERATIONS_MAX
    }

    /// What is kept, and how far the sweeps have come.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Changes what is kept, or how far the sweeps have come. It is written with what is staged.
    pub fn tally_mut(&mut self) -> &mut Tally {
        self.tally_touched = true;
        &mut self.tally
    }

    /// Changes the counts of a lane.
    pub fn count(&mut self, endpoint: EndpointNo, change: impl FnOnce(&mut LaneCounts)) {
        change(self.lanes.entry(endpoint).or_default());
        self.touched.insert(endpoint);
    }

    /// Hands what is staged to the underlying store, as one batch. It is not synced by that.
    ///
    /// # Errors
    /// [`CommitError`] if it cannot be written.
    pub fn emit(&mut self) -> Result<(), CommitError> {
        for endpoint in std::mem::take(&mut self.touched) {
            let counts = self.lanes.get(&endpoint).copied().unwrap_or_default();
            let value = Bytes::from(layout::encode(&counts));
            self.packed.insert(&layout::LANES, layout::lane_key(endpoint), value)?;
        }
        if std::mem::take(&mut self.tally_touched) {
            let value = Bytes::from(layout::encode(&self.tally));
            self.packed.insert(&layout::META, layout::tally_key(), value)?;
        }
        debug_assert!(self.packed.operations() <= OPERATIONS_MAX, "a batch is bounded");
        Ok(self.packed.emit()?)
    }
}
