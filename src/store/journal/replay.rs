//! Reading the journal: what the underlying store has not got, in order.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use bytes::Bytes;
use rustix::fs::SeekFrom;
use rustix::io::Errno;

use crate::store::journal::Change;
use crate::store::journal::Files;
use crate::store::journal::Mark;
use crate::store::journal::change;
use crate::store::journal::files::FIRST_AT;
use crate::store::journal::frame::ALIGNMENT;
use crate::store::journal::frame::HEAD_BYTES;
use crate::store::journal::frame::Head;
use crate::store::journal::frame::Salt;

/// How much is looked through at once for frames behind a damaged one, in bytes.
const WINDOW_BYTES: usize = 64 * 1024;

/// Why the journal cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError<E> {
    /// The file system failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// What was safe once is not there any more.
    #[error("the journal is damaged: frame {0} cannot be read")]
    Damaged(u64),
    /// What was read could not be done.
    #[error(transparent)]
    Apply(E),
}

/// Reads every frame behind `after`, in order, and hands on its changes. Answers the last frame
/// that there is, which is `after` if there is none, with the highest turn of which a frame is
/// left.
///
/// # Errors
/// [`JournalError`]; frames before that were handed on.
pub fn replay<E>(
    files: &Files,
    after: Mark,
    mut apply: impl FnMut(Mark, &mut dyn Iterator<Item = Change>) -> Result<(), E>,
) -> Result<Mark, JournalError<E>> {
    let [even, odd] = &files.files;
    let mut walks = [Walk::new(even, &files.salt)?, Walk::new(odd, &files.salt)?];
    walks.sort_by_key(|walk| walk.first);
    let mut last = after;
    let mut has_gap = false;
    for walk in &mut walks {
        // A turn before that of the mark holds nothing new.
        if walk.first.is_none_or(|first| first.turn < after.turn) {
            continue;
        }
        while let Some((mark, changes)) = walk.next()? {
            // If what is missing was safe once, that shows below.
            has_gap |= mark.number > last.number + 1;
            if has_gap || mark.number <= last.number {
                continue;
            }
            if change::read(changes.clone()).any(|change| change.is_none()) {
                return Err(JournalError::Damaged(mark.number));
            }
            apply(mark, &mut change::read(changes).flatten()).map_err(JournalError::Apply)?;
            last = mark;
        }
    }
    let mut highest = after.turn;
    let mut synced = 0;
    for walk in &walks {
        let behind = walk.look_behind()?;
        synced = synced.max(walk.synced).max(behind.synced);
        highest = highest.max(behind.turn).max(walk.last.map_or(0, |last| last.turn));
    }
    if synced > last.number {
        return Err(JournalError::Damaged(last.number + 1));
    }
    Ok(Mark { turn: highest, number: last.number })
}

/// A way through the frames of one file.
struct Walk<'a> {
    file: &'a File,
    salt: &'a Salt,
    /// The first frame of the file.
    first: Option<Mark>,
    /// The frame before the next one.
    last: Option<Mark>,
    /// The highest number that one of them says was synced.
    synced: u64,
    /// Where the next one should begin.
    at: u64,
}

impl<'a> Walk<'a> {
    fn new(file: &'a File, salt: &'a Salt) -> io::Result<Walk<'a>> {
        let first = frame_at(file, salt, FIRST_AT)?.map(|(head, _)| head.frame.mark);
        Ok(Walk { file, salt, first, last: None, synced: 0, at: FIRST_AT })
    }

    /// The next frame of the same turn, with its changes.
    fn next(&mut self) -> io::Result<Option<(Mark, Bytes)>> {
        let found = frame_at(self.file, self.salt, self.at)?;
        let Some((head, changes)) = found else { return Ok(None) };
        let mark = head.frame.mark;
        let follows = |last: Mark| mark == Mark { number: last.number + 1, ..last };
        if !self.last.is_none_or(follows) {
            return Ok(None);
        }
        self.at += u64::try_from(head.whole_bytes()).unwrap_or(u64::MAX);
        self.last = Some(mark);
        self.synced = self.synced.max(head.frame.synced);
        Ok(Some((mark, changes)))
    }

    /// What stands behind the last frame. It is older, or was being written when the power went,
    /// unless it says that something was safe which is not there.
    fn look_behind(&self) -> io::Result<Behind> {
        let mut behind = Behind { turn: 0, synced: 0 };
        let mut window = vec![0; WINDOW_BYTES];
        let mut from = self.at;
        loop {
            from = skip_hole(self.file, from)?;
            let read = read_at_most(self.file, &mut window, from)?;
            let steps = window.chunks_exact(ALIGNMENT).take(read.div_ceil(ALIGNMENT));
            let (begins, _) = self.salt.split_at(ALIGNMENT);
            for (at, bytes) in (from..).step_by(ALIGNMENT).zip(steps) {
                if bytes != begins {
                    continue;
                }
                let found = frame_at(self.file, self.salt, at)?;
                let Some((Head { frame, .. }, _)) = found else { continue };
                behind.synced = behind.synced.max(frame.synced);
                behind.turn = behind.turn.max(frame.mark.turn);
            }
            if read < window.len() {
                return Ok(behind);
            }
            from += u64::try_from(read).unwrap_or(u64::MAX);
        }
    }
}

/// What stands behind the last frame of a file.
struct Behind {
    /// The highest turn of it.
    turn: u64,
    /// The highest number that it says was synced.
    synced: u64,
}

/// The frame that begins at this place, with its changes, if a whole one does.
fn frame_at(file: &File, salt: &Salt, at: u64) -> io::Result<Option<(Head, Bytes)>> {
    let mut raw = [0; HEAD_BYTES];
    if read_at_most(file, &mut raw, at)? < HEAD_BYTES {
        return Ok(None);
    }
    let Some(head) = Head::decode(salt, &raw) else { return Ok(None) };
    let behind = at + u64::try_from(HEAD_BYTES).unwrap_or(u64::MAX);
    let left = file.metadata()?.len().saturating_sub(behind);
    if left < u64::try_from(head.changes_bytes).unwrap_or(u64::MAX) {
        return Ok(None);
    }
    let mut changes = vec![0; head.changes_bytes];
    file.read_exact_at(&mut changes, behind)?;
    let whole = head.is_whole(&raw, &changes);
    Ok(whole.then(|| (head, Bytes::from(changes))))
}

/// Where data begins, from this place on, as far as the file system can say; room that nothing was
/// written to is passed over.
fn skip_hole(file: &File, from: u64) -> io::Result<u64> {
    match rustix::fs::seek(file, SeekFrom::Data(from)) {
        Ok(data) => Ok(data.next_multiple_of(ALIGNMENT as u64).max(from)),
        Err(Errno::NXIO) => Ok(from.max(file.metadata()?.len())),
        Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(from),
        Err(error) => Err(error.into()),
    }
}

/// Reads as much as there is.
fn read_at_most(file: &File, into: &mut [u8], at: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < into.len() {
        let from = at + u64::try_from(filled).unwrap_or(u64::MAX);
        match file.read_at(into.split_at_mut(filled).1, from) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
