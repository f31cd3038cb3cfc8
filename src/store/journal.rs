//! The journal: what was changed since the underlying store was synced last.
//!
//! A commit is safe once its changes stand here: one write and one sync, of no more than what has
//! changed. The underlying store gets them later, many commits at a time, and is synced where a
//! file of the journal is full, at a start, and at an orderly end. What it lost by then, or never
//! got, is read here when the store is next opened ([`replay()`]).
//!
//! There are two files (`journal/files.rs`), written in turn. Each holds frames one behind the
//! other (`journal/frame.rs`); what stands behind the last one is left from an earlier turn, or was
//! being written when the power went. A frame is atomic: all of its changes, or none. Invariants:
//! - Frames are numbered without a gap. The underlying store holds, with the changes themselves,
//!   the [`Mark`] of the last frame that they are of: later ones are missing there, all of them.
//! - A file is written anew only when the underlying store was synced with all that it holds.
//! - A new turn begins with each file and with each start, so that what stands behind the last
//!   frame can never be taken for a part of what is there now.
//! - Each frame says which frames were synced when it was written: one that is damaged, and was
//!   safe once, is told from one that never was. Of the frames of the last sync, nothing says that
//!   they were.

mod change;
mod files;
mod frame;
mod replay;

use std::io;
use std::os::unix::fs::FileExt;

use serde::Deserialize;
use serde::Serialize;

pub use change::Change;
pub use change::Changes;
pub use files::FILE_BYTES;
pub use files::FILES;
pub use files::Files;
pub use files::create;
pub use files::open;
pub use replay::JournalError;
pub use replay::replay;

use change::KEPT_BYTES_MAX;
use files::FIRST_AT;
use frame::CHANGES_BYTES_MAX;
use frame::Frame;

/// The longest file that is left as it is when a turn begins in it, in bytes.
const FILE_BYTES_KEPT_MAX: u64 = 2 * FILE_BYTES;

/// A frame by its turn and its number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Mark {
    /// In which turn it was written. The first one is 1.
    pub turn: u64,
    /// Its number. The first one is 1.
    pub number: u64,
}

/// The journal, as its one writer has it.
#[derive(Debug)]
pub struct Journal {
    files: Files,
    /// Whether it is to survive the loss of power.
    syncs: bool,
    /// The last frame.
    last: Mark,
    /// The number of the last frame that is known to be on disk.
    synced: u64,
    /// Where the next frame goes, in bytes from the beginning of the file of this turn.
    at: u64,
    buffer: Vec<u8>,
}

impl Journal {
    /// Goes on behind `last` with a new turn; `syncs` says whether it is to survive the loss of
    /// power. The underlying store must have been synced with everything up to `last`.
    pub fn new(files: Files, last: Mark, syncs: bool) -> Journal {
        let last = Mark { turn: last.turn + 1, number: last.number };
        Journal { files, syncs, last, synced: last.number, at: FIRST_AT, buffer: Vec::new() }
    }

    /// The last frame.
    pub fn last(&self) -> Mark {
        self.last
    }

    /// Writes changes as one frame, which is not synced by that. Without changes there is none.
    ///
    /// # Errors
    /// What the file system answers, or that the changes are too long; the journal must not be used
    /// any more then.
    pub fn append(&mut self, changes: &Changes) -> io::Result<()> {
        let changes = changes.as_slice();
        if changes.is_empty() {
            return Ok(());
        }
        if changes.len() > CHANGES_BYTES_MAX {
            return Err(io::Error::other("more changes at once than the journal takes"));
        }
        let mark = Mark { number: self.last.number + 1, ..self.last };
        let synced = if self.syncs { self.synced } else { 0 };
        self.buffer.clear();
        self.buffer.shrink_to(KEPT_BYTES_MAX);
        Frame { mark, synced }.encode(&self.files.salt, changes, &mut self.buffer);
        self.files.of(mark.turn).write_all_at(&self.buffer, self.at)?;
        self.at += u64::try_from(self.buffer.len()).unwrap_or(u64::MAX);
        self.last = mark;
        Ok(())
    }

    /// Makes every frame safe, as far as it is to be.
    ///
    /// # Errors
    /// What the file system answers; nobody knows then what is on disk.
    pub fn sync(&mut self) -> io::Result<()> {
        if self.syncs { self.sync_file() } else { Ok(()) }
    }

    fn sync_file(&mut self) -> io::Result<()> {
        if self.synced < self.last.number {
            rustix::fs::fdatasync(self.files.of(self.last.turn))?;
            self.synced = self.last.number;
        }
        Ok(())
    }

    /// Whether the file is full, and a new turn should begin.
    pub fn is_full(&self) -> bool {
        self.at >= FILE_BYTES
    }

    /// Begins a new turn in the other file. The underlying store must have been synced with all
    /// that is in there.
    ///
    /// # Errors
    /// As [`Journal::sync`]: frames of a turn are on disk before the next one begins.
    pub fn turn(&mut self) -> io::Result<()> {
        self.sync_file()?;
        self.last.turn += 1;
        self.at = FIRST_AT;
        let file = self.files.of(self.last.turn);
        if file.metadata()?.len() > FILE_BYTES_KEPT_MAX {
            file.set_len(FILE_BYTES)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
