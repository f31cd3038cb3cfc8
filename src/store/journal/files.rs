//! The two files of a journal: made, found again.
//!
//! ```text
//! "postrider journal" | version (1) | zeros up to 24 | salt (16) | CRC-32 of all before it (4)
//! | zeros up to 4096 | frames
//! ```
//!
//! The head has a page of its own, and is never written again.
//!
//! ```text
//! (at 4096) frame | frame | ...
//! ```

use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use ring::rand::SecureRandom;
use ring::rand::SystemRandom;
use rustix::fs::FallocateFlags;

use crate::store::journal::frame::Salt;

/// From this length on, in bytes, a file is full. Its last frames may reach beyond.
pub const FILE_BYTES: u64 = 8 * 1024 * 1024;

/// The names of the files.
pub const FILES: [&str; 2] = ["journal.0", "journal.1"];

/// Where the first frame of a file begins.
pub(super) const FIRST_AT: u64 = 4096;

const MAGIC: &[u8; 24] = b"postrider journal\x01\0\0\0\0\0\0";
const HEAD_BYTES: usize = 44;

/// The files of a journal.
#[derive(Debug)]
pub struct Files {
    pub(super) files: [File; 2],
    pub(super) salt: Salt,
}

impl Files {
    /// The file that a turn stands in.
    pub(super) fn of(&self, turn: u64) -> &File {
        let [even, odd] = &self.files;
        if turn.is_multiple_of(2) { even } else { odd }
    }

    /// Writes what stands before the frames of files that are empty, with a salt of its own.
    ///
    /// # Errors
    /// What the file system answers.
    pub fn begin(files: [File; 2]) -> io::Result<Files> {
        let mut salt = Salt::default();
        let filled = SystemRandom::new().fill(&mut salt);
        filled.map_err(|_| io::Error::other("the system gives no random bytes"))?;
        let mut head = [MAGIC.as_slice(), &salt].concat();
        head.extend_from_slice(&crc32fast::hash(&head).to_le_bytes());
        for file in &files {
            file.write_all_at(&head, 0)?;
            file.sync_all()?;
        }
        Ok(Files { files, salt })
    }
}

/// Opens the files in this directory, if they are there, and whole.
///
/// # Errors
/// If one is there and cannot be opened.
pub fn open(directory: &Path) -> io::Result<Option<Files>> {
    let [even, odd] = FILES;
    let (even, odd) = (open_file(&directory.join(even))?, open_file(&directory.join(odd))?);
    let (Some((even, salt)), Some((odd, other))) = (even, odd) else { return Ok(None) };
    Ok((salt == other).then(|| Files { files: [even, odd], salt }))
}

/// Makes the files anew, empty, with room for what they will hold.
///
/// # Errors
/// What the file system answers.
pub fn create(directory: &Path) -> io::Result<Files> {
    let [even, odd] = FILES;
    let files = [create_file(&directory.join(even))?, create_file(&directory.join(odd))?];
    let files = Files::begin(files)?;
    File::open(directory)?.sync_all()?;
    Ok(files)
}

fn open_file(path: &Path) -> io::Result<Option<(File, Salt)>> {
    let file = match OpenOptions::new().read(true).write(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut head = [0; HEAD_BYTES];
    match file.read_exact_at(&mut head, 0) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let (covered, crc) = head.split_at(HEAD_BYTES - 4);
    let salt = covered.strip_prefix(MAGIC).and_then(|salt| Salt::try_from(salt).ok());
    let salt = salt.filter(|_| crc == crc32fast::hash(covered).to_le_bytes());
    Ok(salt.map(|salt| (file, salt)))
}

fn create_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(true).mode(0o600).open(path)?;
    match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, FILE_BYTES) {
        // Not every file system can: room is taken as it is needed there.
        Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => Ok(file),
        Err(error) => Err(error.into()),
    }
}
