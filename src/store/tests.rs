//! What the tests of this module share.

use crate::store::journal::Files;
use crate::store::journal::Journal;
use crate::store::journal::Mark;

/// A journal that nobody will read.
pub(super) fn journal() -> Journal {
    let file = || tempfile::tempfile().unwrap();
    let files = Files::begin([file(), file()]).unwrap();
    Journal::new(files, Mark::default(), false)
}
