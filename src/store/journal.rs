//! The journal: what was changed since the underlying store was synced last.
//!
//! A commit is safe once its changes stand here: one write and one sync, of no more than what has
//! changed. The underlying store gets them later, many commits at a time, and is synced only where
//! a file of the journal is full. What it lost by then, or never got, is read here when the store
//! is next opened ([`replay`]).
//!
//! There are two files, written in turn. Each holds frames one behind the other ([`frame`]); what
//! stands behind the last one is left from an earlier turn, or was being written when the power
//! went. A frame is atomic: all of its changes, or none. Invariants:
//! - Frames are numbered without a gap. The underlying store holds, with the changes themselves,
//!   the [`Mark`] of the last frame that they are of: later ones are missing there, all of them.
//! - A file is written anew only when the underlying store was synced with all that it holds.
//! - A new turn begins with each file and with each start, so that what stands behind the last
//!   frame can never be taken for a part of what is there now.
//! - Each frame says which frames were synced when it was written: one that is damaged, and was
//!   safe once, is told from one that never was.

mod change;
mod frame;
mod replay;

use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::FallocateFlags;
use serde::Deserialize;
use serde::Serialize;

pub use change::Changes;
pub use replay::JournalError;
pub use replay::replay;

use frame::Frame;

/// From this length on, in bytes, a file is full. The last frame of it may reach beyond.
pub const FILE_BYTES: u64 = 8 * 1024 * 1024;

/// The names of the files.
pub const FILES: [&str; 2] = ["journal.0", "journal.1"];

/// A frame by its turn and its number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Mark {
    /// In which turn it was written. The first one is 1.
    pub turn: u64,
    /// Its number. The first one is 1.
    pub number: u64,
}

/// The two files.
pub type Files = [File; 2];

/// The journal, as its one writer has it.
#[derive(Debug)]
pub struct Journal {
    files: Files,
    /// Whether frames are synced at all.
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
    /// Goes on behind `last` with a new turn, in the file that a turn of that number is in; `syncs`
    /// says whether it is to survive the loss of power. The underlying store must have been synced
    /// with everything up to `last`.
    pub fn new(files: Files, last: Mark, syncs: bool) -> Journal {
        let last = Mark { turn: last.turn + 1, number: last.number };
        Journal { files, syncs, last, synced: last.number, at: 0, buffer: Vec::new() }
    }

    /// The last frame.
    pub fn last(&self) -> Mark {
        self.last
    }

    /// Writes changes as one frame, which is not synced by that. Without changes there is none.
    ///
    /// # Errors
    /// What the file system answers; the journal must not be used any more then.
    pub fn append(&mut self, changes: &Changes) -> io::Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        let mark = Mark { number: self.last.number + 1, ..self.last };
        self.buffer.clear();
        Frame { mark, synced: self.synced }.encode(changes.as_slice(), &mut self.buffer);
        self.file().write_all_at(&self.buffer, self.at)?;
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
            rustix::fs::fdatasync(self.file())?;
            self.synced = self.last.number;
        }
        Ok(())
    }

    /// The file of this turn.
    fn file(&self) -> &File {
        let [even, odd] = &self.files;
        if self.last.turn.is_multiple_of(2) { even } else { odd }
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
        self.at = 0;
        Ok(())
    }
}

/// Opens the files in this directory, if they are there.
///
/// # Errors
/// If one is there and cannot be opened.
pub fn open(directory: &Path) -> io::Result<Option<Files>> {
    let open = |name: &str| OpenOptions::new().read(true).write(true).open(directory.join(name));
    let [even, odd] = FILES;
    match (open(even), open(odd)) {
        (Ok(even), Ok(odd)) => Ok(Some([even, odd])),
        (Err(error), _) | (_, Err(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        (Err(error), _) | (_, Err(error)) => Err(error),
    }
}

/// Makes the files anew, empty, with room for what they will hold.
///
/// # Errors
/// What the file system answers.
pub fn create(directory: &Path) -> io::Result<Files> {
    let [even, odd] = FILES;
    let files = [create_file(&directory.join(even))?, create_file(&directory.join(odd))?];
    File::open(directory)?.sync_all()?;
    Ok(files)
}

fn create_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(true).mode(0o600).open(path)?;
    match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, FILE_BYTES) {
        // Not every file system can: room is taken as it is needed there.
        Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => {}
        Err(error) => return Err(error.into()),
    }
    file.sync_all()?;
    Ok(file)
}

#[cfg(test)]
mod tests;
