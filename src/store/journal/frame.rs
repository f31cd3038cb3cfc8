//! Frames: the changes of a commit, or of a part of one, with what it takes to know them again.
//!
//! ```text
//! salt of the journal (16) | length of the changes (4) | turn (8) | number (8) | synced (8)
//! | CRC-32 (4) | changes | zeros up to a multiple of 8
//! numbers: little-endian; CRC-32: of all before it, and of the changes
//! ```
//!
//! Payloads stand in frames as they were submitted. Whoever submits does not know the salt, which
//! is random, and so no payload can pass for a frame.

use crate::store::journal::Mark;

/// What the frames of a journal begin with.
pub(super) type Salt = [u8; 16];

/// The length of what stands before the changes, in bytes.
pub(super) const HEAD_BYTES: usize = 48;
/// Frames begin at multiples of this, in bytes.
pub(super) const ALIGNMENT: usize = 8;
/// Changes of one frame, in bytes, at most. More than a batch can hold.
pub(super) const CHANGES_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What a frame says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// Which it is.
    pub(super) mark: Mark,
    /// The number of the last frame that was on disk when this one was written; 0 where nobody
    /// cares.
    pub(super) synced: u64,
}

/// A frame's head, as it was read; its changes have to be checked yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) frame: Frame,
    /// The length of its changes in bytes.
    pub(super) changes_bytes: usize,
    crc: u32,
}

impl Frame {
    /// Adds the whole frame to `out`. There must be no more than [`CHANGES_BYTES_MAX`] of changes.
    pub(super) fn encode(self, salt: &Salt, changes: &[u8], out: &mut Vec<u8>) {
        let from = out.len();
        out.extend_from_slice(salt);
        out.extend_from_slice(&u32::try_from(changes.len()).unwrap_or(u32::MAX).to_le_bytes());
        for number in [self.mark.turn, self.mark.number, self.synced] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        let crc = checksum(out.split_at(from).1, changes);
        out.extend_from_slice(&crc.to_le_bytes());
        out.extend_from_slice(changes);
        out.resize(from + whole_bytes(changes.len()), 0);
    }
}

impl Head {
    /// Reads a head, if it is one.
    pub(super) fn decode(salt: &Salt, raw: &[u8; HEAD_BYTES]) -> Option<Head> {
        let rest = raw.strip_prefix(salt)?;
        let (length, rest) = rest.split_first_chunk()?;
        let (turn, rest) = rest.split_first_chunk()?;
        let (number, rest) = rest.split_first_chunk()?;
        let (synced, rest) = rest.split_first_chunk()?;
        let (crc, _) = rest.split_first_chunk()?;
        let changes_bytes = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let mark = Mark { turn: u64::from_le_bytes(*turn), number: u64::from_le_bytes(*number) };
        let frame = Frame { mark, synced: u64::from_le_bytes(*synced) };
        let fits = changes_bytes <= CHANGES_BYTES_MAX;
        fits.then_some(Head { frame, changes_bytes, crc: u32::from_le_bytes(*crc) })
    }

    /// Whether these are its changes.
    pub(super) fn is_whole(&self, raw: &[u8; HEAD_BYTES], changes: &[u8]) -> bool {
        let (covered, _) = raw.split_at(HEAD_BYTES - 4);
        changes.len() == self.changes_bytes && checksum(covered, changes) == self.crc
    }

    /// The length of the frame in bytes.
    pub(super) fn whole_bytes(&self) -> usize {
        whole_bytes(self.changes_bytes)
    }
}

fn whole_bytes(changes_bytes: usize) -> usize {
    (HEAD_BYTES + changes_bytes).next_multiple_of(ALIGNMENT)
}

fn checksum(covered: &[u8], changes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(covered);
    hasher.update(changes);
    hasher.finalize()
}
