//! What the tests of this module share.

use std::collections::BTreeMap;

use crate::store::batches::Batches;
use crate::store::checkpoint::Checkpoint;
use crate::store::journal::Files;
use crate::store::journal::Journal;
use crate::store::journal::Mark;
use crate::store::layout::Tally;
use crate::store::packed::Packed;

/// A journal that nobody will read.
pub(super) fn journal() -> Journal {
    let file = || tempfile::tempfile().unwrap();
    let files = Files::begin([file(), file()]).unwrap();
    Journal::new(files, Mark::default(), false)
}

/// Nothing staged, over a database that is empty, or of which nobody asks what it counts.
pub(super) fn batches(db: &sled::Db) -> Batches {
    let (packed, checkpoint) = (Packed::new((**db).clone()), Checkpoint::new(db.clone()));
    Batches::new(packed, journal(), checkpoint, BTreeMap::new(), Tally::default())
}
