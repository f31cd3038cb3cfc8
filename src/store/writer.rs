//! The one writer: commits in, receipts out, once they are safe.
//!
//! Everything that waits goes into one group: applied in order, handed to the underlying store in
//! as few atomic batches as it takes, flushed once, answered. Nothing is added to the wait: while
//! one group is being flushed, the next one gathers by itself.
//!
//! After a failed write or flush nobody knows what is on disk, so the writer is poisoned: it
//! answers the same error for ever, and nothing is acknowledged any more.

use std::sync::mpsc::Receiver;

use bytes::Bytes;

use crate::model::Receipt;
use crate::model::Record;
use crate::store::batches::Batches;
use crate::store::batches::CommitError;
use crate::store::fold;
use crate::store::layout;

/// Records in a group, beyond which no further commit is taken into it.
pub const GROUP_RECORDS_MAX: usize = 1_024;
/// Bytes of bodies in a group, beyond which no further commit is taken into it.
pub const GROUP_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Records that are made safe together. Each is atomic by itself.
#[derive(Clone, Debug)]
pub struct Commit {
    /// Whose answer it is.
    pub ticket: u64,
    /// What to remember, in order.
    pub records: Vec<Record>,
}

/// The answers to a group of commits: each commit's ticket and a receipt for each of its records.
pub type Receipts = Vec<(u64, Vec<Receipt>)>;

/// The only one that changes the store.
#[derive(Debug)]
pub struct Writer {
    db: sled::Db,
    batches: Batches,
    failed: Option<CommitError>,
}

impl Writer {
    /// The writer of this database. There must be one only.
    pub(super) fn new(db: sled::Db, batches: Batches) -> Writer {
        Writer { db, batches, failed: None }
    }

    /// Makes a group of commits safe: when this answers, they are on disk.
    ///
    /// # Errors
    /// [`CommitError`], now and on every later call: nothing of this group may be acknowledged.
    pub fn commit(&mut self, group: &[Commit]) -> Result<Receipts, CommitError> {
        self.guarded(|batches| {
            let mut answers = Vec::with_capacity(group.len());
            for commit in group {
                answers.push((commit.ticket, fold::apply_all(batches, &commit.records)?));
            }
            Ok(answers)
        })
    }

    /// Commits everything that comes in, group by group, until the last sender is gone; then notes
    /// the orderly end. Blocks: it wants a thread of its own.
    ///
    /// # Errors
    /// The first [`CommitError`]; commits that are still waiting are not made.
    pub fn run(
        mut self,
        inbox: &Receiver<Commit>,
        mut done: impl FnMut(Receipts),
    ) -> Result<(), CommitError> {
        while let Ok(first) = inbox.recv() {
            let mut size = Size::default();
            size.add(&first);
            let mut group = vec![first];
            while size.has_room() {
                let Ok(next) = inbox.try_recv() else { break };
                size.add(&next);
                group.push(next);
            }
            done(self.commit(&group)?);
        }
        self.close()
    }

    /// Ends a wait of the writer that nothing else would end.
    pub fn alarm(&self) -> Alarm {
        Alarm(self.db.clone())
    }

    /// Notes that the store was left in order.
    ///
    /// # Errors
    /// [`CommitError`] if that cannot be written; nothing else is lost by it.
    pub fn close(mut self) -> Result<(), CommitError> {
        self.guarded(|batches| {
            batches.room(1)?;
            let mark = Bytes::from_static(&[1]);
            Ok(batches.packed.insert(&layout::META, layout::clean_key(), mark)?)
        })
    }

    /// Does `work`, hands over what it staged, and flushes: the only place that does. Whatever
    /// fails, fails for good.
    pub(super) fn guarded<T>(
        &mut self,
        work: impl FnOnce(&mut Batches) -> Result<T, CommitError>,
    ) -> Result<T, CommitError> {
        if let Some(failed) = &self.failed {
            return Err(failed.clone());
        }
        let result = work(&mut self.batches).and_then(|answer| {
            self.batches.emit()?;
            self.db.flush()?;
            Ok(answer)
        });
        if let Err(error) = &result {
            self.failed = Some(error.clone());
        }
        result
    }
}

/// Tells a writer that waits for a flush what became of it.
///
/// The underlying store writes in threads of its own. Where one of them fails, it keeps the error,
/// but does not always wake whoever waits for that write: a disk that fails once and then works
/// again leaves the writer waiting for ever. A flush by somebody else finds the error, and wakes.
#[derive(Clone, Debug)]
pub struct Alarm(sled::Db);

impl Alarm {
    /// Waits until what is written by now is safe, and wakes the writer if it never will be.
    /// Blocks for as long as the disk takes.
    ///
    /// # Errors
    /// [`CommitError`] that the writer ends with too.
    pub fn raise(&self) -> Result<(), CommitError> {
        self.0.flush()?;
        Ok(())
    }
}

#[derive(Default)]
struct Size {
    records: usize,
    bytes: usize,
}

impl Size {
    fn add(&mut self, commit: &Commit) {
        self.records += commit.records.len();
        for record in &commit.records {
            if let Record::Admit(admit) = record {
                self.bytes += admit.event.body.len();
            }
        }
    }

    fn has_room(&self) -> bool {
        self.records < GROUP_RECORDS_MAX && self.bytes < GROUP_BYTES_MAX
    }
}

#[cfg(test)]
mod tests;
