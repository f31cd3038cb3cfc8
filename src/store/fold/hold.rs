//! Standing holds, as they are kept. What they cover, the engine says with each event.

use bytes::Bytes;

use crate::model::Receipt;
use crate::model::ReplayId;
use crate::model::StandingHold;
use crate::store::batches::Batches;
use crate::store::batches::CommitError;
use crate::store::layout;
use crate::store::layout::CHUNK_BYTES_MAX;

/// Page operations of an entry that comes or goes, at most.
const ENTRY_OPERATIONS: usize = 2;

/// Stages a hold that stands from now on.
pub(super) fn stand(batches: &mut Batches, hold: &StandingHold) -> Result<Receipt, CommitError> {
    batches.room(ENTRY_OPERATIONS)?;
    let raw = layout::encode(hold);
    debug_assert!(raw.len() <= CHUNK_BYTES_MAX, "a pattern is bounded");
    batches.packed.insert(&layout::HOLDS, layout::hold_key(hold.id), Bytes::from(raw))?;
    Ok(Receipt::Applied)
}

/// Stages the end of one.
pub(super) fn lift(batches: &mut Batches, id: ReplayId) -> Result<Receipt, CommitError> {
    batches.room(ENTRY_OPERATIONS)?;
    batches.packed.remove(&layout::HOLDS, &layout::hold_key(id))?;
    Ok(Receipt::Applied)
}
