//! Atomic batches: what records change is staged here and leaves in as few batches as the limit
//! allows, never with a record's atomic unit cut in two.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use bytes::Bytes;

use crate::model::Damage;
use crate::model::EndpointNo;
use crate::model::EventId;
use crate::model::LaneCounts;
use crate::store::checkpoint::Checkpoint;
use crate::store::checkpoint::Checkpoints;
use crate::store::journal::Journal;
use crate::store::layout;
use crate::store::layout::Ahead;
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

/// Damaged entries and pages that are remembered until somebody asks for them, at most; further
/// ones are counted.
pub const DAMAGES_MAX: usize = 16;

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

impl From<std::io::Error> for CommitError {
    fn from(error: std::io::Error) -> CommitError {
        match error.kind() {
            std::io::ErrorKind::StorageFull => CommitError::Full(error.to_string()),
            _ => CommitError::Io(error.to_string()),
        }
    }
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
    journal: Journal,
    checkpoint: Checkpoint,
    checkpoints: Checkpoints,
    lanes: BTreeMap<EndpointNo, LaneCounts>,
    touched: BTreeSet<EndpointNo>,
    tally: Tally,
    tally_touched: bool,
    damages: Vec<Damage>,
    damages_beyond: u64,
}

impl Batches {
    /// Nothing staged, over a map in which the lanes have these counts, and which holds this much.
    pub fn new(
        packed: Packed,
        journal: Journal,
        checkpoint: Checkpoint,
        lanes: BTreeMap<EndpointNo, LaneCounts>,
        tally: Tally,
    ) -> Batches {
        Batches {
            packed,
            journal,
            checkpoint,
            checkpoints: Checkpoints::default(),
            lanes,
            touched: BTreeSet::new(),
            tally,
            tally_touched: false,
            damages: Vec::new(),
            damages_beyond: 0,
        }
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

    /// What was read of an event, or nothing if that is damaged, which is noted then.
    ///
    /// # Errors
    /// [`ReadError::Io`]: only damage is passed by.
    pub fn sound<T>(
        &mut self,
        event: EventId,
        read: Result<T, ReadError>,
    ) -> Result<Option<T>, ReadError> {
        match read {
            Ok(read) => Ok(Some(read)),
            Err(error @ ReadError::Io(_)) => Err(error),
            Err(error @ (ReadError::Page { .. } | ReadError::Entry { .. })) => {
                self.pass_by(event, &error);
                Ok(None)
            }
        }
    }

    /// Notes that something of an event is damaged, and passed by.
    pub fn pass_by(&mut self, event: EventId, error: &ReadError) {
        let damage = Damage { event, what: error.to_string() };
        if self.damages.contains(&damage) {
            return;
        }
        if self.damages.len() < DAMAGES_MAX {
            self.damages.push(damage);
        } else {
            self.damages_beyond += 1;
        }
    }

    /// What was damaged and passed by since this was last asked, the first of it and how much.
    pub fn take_damages(&mut self) -> (Vec<Damage>, u64) {
        let damages = std::mem::take(&mut self.damages);
        let more = std::mem::take(&mut self.damages_beyond);
        let count = u64::try_from(damages.len()).unwrap_or(u64::MAX);
        (damages, count.saturating_add(more))
    }

    /// The counts of a lane.
    pub fn lane(&self, endpoint: EndpointNo) -> LaneCounts {
        self.lanes.get(&endpoint).copied().unwrap_or_default()
    }

    /// A delivery of an event has ended well: this may help where too much is kept.
    pub fn ended(&mut self, event: EventId) {
        if self.tally.ahead != Ahead::default() && event < self.tally.payloads_from {
            self.tally_mut().ahead.ended += 1;
        }
    }

    /// Changes the counts of a lane.
    pub fn count(&mut self, endpoint: EndpointNo, change: impl FnOnce(&mut LaneCounts)) {
        change(self.lanes.entry(endpoint).or_default());
        self.touched.insert(endpoint);
    }

    /// The journal.
    pub fn journal(&mut self) -> &mut Journal {
        &mut self.journal
    }

    /// Whether the underlying store is being synced, and nothing can be handed to it.
    pub fn is_syncing(&self) -> bool {
        self.checkpoints.is_under_way()
    }

    /// What syncs the underlying store.
    pub fn checkpoint(&self) -> Checkpoint {
        self.checkpoint.clone()
    }

    /// Syncs what was handed to the underlying store.
    ///
    /// # Errors
    /// [`CommitError`] if that fails, or has failed meanwhile.
    pub fn sync(&mut self) -> Result<(), CommitError> {
        self.checkpoints.wait()?;
        self.checkpoint.make()
    }

    /// Hands what is staged to the underlying store, as one batch, once no checkpoint is under way.
    /// It is not synced by that; only where the journal's file is full, that begins, and the
    /// journal goes on in the other file: what that one holds was synced by the checkpoint before.
    ///
    /// # Errors
    /// [`CommitError`] if it cannot be written.
    pub fn emit(&mut self) -> Result<(), CommitError> {
        self.note()?;
        self.checkpoints.wait()?;
        if self.packed.operations() > 0 {
            let mark = Bytes::from(layout::encode(&self.journal.last()));
            self.packed.put(&layout::META, layout::mark_key(), mark)?;
            debug_assert!(self.packed.operations() <= OPERATIONS_MAX, "a batch is bounded");
            self.packed.emit()?;
        }
        if self.journal.is_full() {
            self.journal.turn()?;
            self.checkpoints.begin(self.checkpoint.clone())?;
        }
        Ok(())
    }

    /// Writes what was staged since it was called last to the journal, as one frame. It is not
    /// synced by that.
    ///
    /// # Errors
    /// [`CommitError`] if it cannot be written.
    pub fn note(&mut self) -> Result<(), CommitError> {
        for endpoint in std::mem::take(&mut self.touched) {
            let counts = self.lanes.get(&endpoint).copied().unwrap_or_default();
            let value = Bytes::from(layout::encode(&counts));
            self.packed.insert(&layout::LANES, layout::lane_key(endpoint), value)?;
        }
        if std::mem::take(&mut self.tally_touched) {
            let value = Bytes::from(layout::encode(&self.tally));
            self.packed.insert(&layout::META, layout::tally_key(), value)?;
        }
        self.journal.append(self.packed.noted())?;
        self.packed.noted().clear();
        Ok(())
    }
}
