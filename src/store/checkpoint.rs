//! Checkpoints: the underlying store is synced, so that the journal need not be kept. This is the
//! one place that asks for it.

use std::thread::JoinHandle;

use crate::store::batches::CommitError;

/// Syncs the underlying store.
#[derive(Clone, Debug)]
pub struct Checkpoint(sled::Db);

impl Checkpoint {
    /// Of this database.
    pub(super) fn new(db: sled::Db) -> Checkpoint {
        Checkpoint(db)
    }

    /// Syncs what was written by now. Blocks for as long as the disk takes.
    ///
    /// The underlying store writes in threads of its own. Where one of them fails, it keeps the
    /// error, but does not always wake whoever waits for that write: a disk that fails once and
    /// then works again leaves the writer waiting for ever. This finds the error, if it is there
    /// before this waits too, and wakes all who wait.
    ///
    /// # Errors
    /// [`CommitError`], which the writer ends with too.
    pub fn make(&self) -> Result<(), CommitError> {
        self.0.flush()?;
        Ok(())
    }
}

/// One checkpoint after the other, beside the writer's commits.
///
/// While the underlying store syncs, it can be read, but not written: whoever tries to is in the
/// way of readers, and of another sync that would find an error. So the writer hands nothing over
/// meanwhile.
#[derive(Debug, Default)]
pub(super) struct Checkpoints {
    under_way: Option<JoinHandle<Result<(), CommitError>>>,
}

impl Checkpoints {
    /// Begins one in a thread of its own. The one before must have ended.
    ///
    /// # Errors
    /// [`CommitError`] if there is no thread to do it.
    pub(super) fn begin(&mut self, checkpoint: Checkpoint) -> Result<(), CommitError> {
        let thread = std::thread::Builder::new().name("checkpoint".to_owned());
        self.under_way = Some(thread.spawn(move || checkpoint.make())?);
        Ok(())
    }

    /// Whether one is under way.
    pub(super) fn is_under_way(&self) -> bool {
        self.under_way.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Waits for the one that was begun last, if nobody has yet.
    ///
    /// # Errors
    /// [`CommitError`] if it failed.
    pub(super) fn wait(&mut self) -> Result<(), CommitError> {
        let Some(thread) = self.under_way.take() else { return Ok(()) };
        let panicked = |_| CommitError::Io("the thread that syncs has panicked".to_owned());
        thread.join().map_err(panicked)?
    }
}
