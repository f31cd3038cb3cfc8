//! The one writer: commits in, receipts out, once they are safe.
//!
//! Everything that waits goes into one group: applied in order, written to the journal, synced
//! once, answered. Nothing is added to the wait: while one group is being synced, the next one
//! gathers by itself. What was answered is handed to the underlying store later, many groups at a
//! time: when much has gathered, when a reader waits for it, or when nothing comes in.
//!
//! After a failed write or sync nobody knows what is on disk, so the writer is poisoned: it
//! answers the same error for ever, and nothing is acknowledged any more.

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use bytes::Bytes;

use crate::model::Receipt;
use crate::model::Record;
use crate::store::batches::Batches;
use crate::store::batches::CommitError;
use crate::store::batches::OPERATIONS_MAX;
use crate::store::checkpoint::Checkpoint;
use crate::store::fold;
use crate::store::layout;
use crate::store::shown::Shown;

/// Records in a group, beyond which no further commit is taken into it.
pub const GROUP_RECORDS_MAX: usize = 1_024;
/// Bytes of bodies in a group, beyond which no further commit is taken into it.
pub const GROUP_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Page operations that gather before they are handed over, where nobody waits for them.
const GATHERED_MAX: usize = OPERATIONS_MAX * 3 / 4;
/// How long nothing comes in before they are handed over.
const IDLE: Duration = Duration::from_millis(2);

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
    batches: Batches,
    shown: Arc<Shown>,
    failed: Option<CommitError>,
}

impl Writer {
    /// The writer of this database. There must be one only.
    pub(super) fn new(batches: Batches, shown: Arc<Shown>) -> Writer {
        Writer { batches, shown, failed: None }
    }

    /// Makes a group of commits safe: when this answers, they are on disk, and can be read.
    ///
    /// # Errors
    /// [`CommitError`], now and on every later call: nothing of this group may be acknowledged.
    pub fn commit(&mut self, group: &[Commit]) -> Result<Receipts, CommitError> {
        let receipts = self.make_safe(group)?;
        self.show()?;
        Ok(receipts)
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
        while let Some(first) = self.next(inbox)? {
            let mut size = Size::default();
            size.add(&first);
            let mut group = vec![first];
            while size.has_room() {
                let Ok(next) = inbox.try_recv() else { break };
                size.add(&next);
                group.push(next);
            }
            done(self.make_safe(&group)?);
            if self.is_pressing() {
                self.show()?;
            }
        }
        self.close()
    }

    /// Whether what was made safe should be handed over at once: somebody waits for it, or there is
    /// much of it, and the underlying store can take it.
    fn is_pressing(&mut self) -> bool {
        let much = self.batches.packed.operations() > GATHERED_MAX;
        self.shown.is_waited_for()
            || self.batches.journal().is_full()
            || (much && !self.batches.is_syncing())
    }

    /// The next commit, once there is one; nothing if none will come. What was made safe does not
    /// wait for it.
    fn next(&mut self, inbox: &Receiver<Commit>) -> Result<Option<Commit>, CommitError> {
        while self.shown.is_behind() {
            match inbox.recv_timeout(IDLE) {
                Ok(first) => return Ok(Some(first)),
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
                Err(RecvTimeoutError::Timeout) => {
                    if self.shown.is_waited_for() || !self.batches.is_syncing() {
                        self.show()?;
                    }
                }
            }
        }
        Ok(inbox.recv().ok())
    }

    fn make_safe(&mut self, group: &[Commit]) -> Result<Receipts, CommitError> {
        self.guarded(|batches| {
            let mut answers = Vec::with_capacity(group.len());
            for commit in group {
                answers.push((commit.ticket, fold::apply_all(batches, &commit.records)?));
            }
            Ok(answers)
        })
    }

    /// Does `work`, and makes what it staged safe.
    pub(super) fn guarded<T>(
        &mut self,
        work: impl FnOnce(&mut Batches) -> Result<T, CommitError>,
    ) -> Result<T, CommitError> {
        self.unless_failed(|writer| {
            let answer = work(&mut writer.batches)?;
            writer.batches.note()?;
            writer.batches.journal().sync()?;
            writer.shown.is_safe(writer.batches.journal().last().number);
            Ok(answer)
        })
    }

    /// Hands everything to the underlying store, where it can be read.
    fn show(&mut self) -> Result<(), CommitError> {
        self.unless_failed(|writer| {
            writer.batches.emit()?;
            writer.shown.is_shown(writer.batches.journal().last().number);
            Ok(())
        })
    }

    /// Hands everything to the underlying store, and syncs that.
    pub(super) fn settle(&mut self) -> Result<(), CommitError> {
        self.show()?;
        self.unless_failed(|writer| writer.batches.sync())
    }

    /// Whatever fails, fails for good.
    fn unless_failed<T>(
        &mut self,
        work: impl FnOnce(&mut Writer) -> Result<T, CommitError>,
    ) -> Result<T, CommitError> {
        if let Some(failed) = &self.failed {
            return Err(failed.clone());
        }
        let result = work(self);
        if let Err(error) = &result {
            self.failed = Some(error.clone());
        }
        result
    }

    /// Ends a wait of the writer that nothing else would end.
    pub fn alarm(&self) -> Checkpoint {
        self.batches.checkpoint()
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
        })?;
        self.settle()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shown.end();
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
