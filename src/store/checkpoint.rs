//! Checkpoints: the underlying store is synced, so that the journal need not be kept. This is the
//! one place that does.

use std::sync::mpsc::Receiver;
use std::sync::mpsc::channel;

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
    /// then works again leaves the writer waiting for ever. This finds the error, and wakes it.
    ///
    /// # Errors
    /// [`CommitError`], which the writer ends with too.
    pub fn make(&self) -> Result<(), CommitError> {
        self.0.flush()?;
        Ok(())
    }
}

/// One checkpoint after the other, beside the writer.
#[derive(Debug)]
pub(super) struct Checkpoints {
    checkpoint: Checkpoint,
    under_way: Option<Receiver<Result<(), CommitError>>>,
}

impl Checkpoints {
    /// Of this database.
    pub(super) fn new(checkpoint: Checkpoint) -> Checkpoints {
        Checkpoints { checkpoint, under_way: None }
    }

    /// Begins one in a thread of its own. The one before must have ended.
    ///
    /// # Errors
    /// [`CommitError`] if there is no thread to do it.
    pub(super) fn begin(&mut self) -> Result<(), CommitError> {
        let (done, wait) = channel();
        let checkpoint = self.checkpoint.clone();
        // detached: it ends by itself, and whoever waits for it hears of that
        std::thread::Builder::new().name("checkpoint".to_owned()).spawn(move || {
            let result = checkpoint.make();
            drop(checkpoint);
            // the writer may be gone
            let _ = done.send(result);
        })?;
        self.under_way = Some(wait);
        Ok(())
    }

    /// Waits for the one that was begun last, if there is one.
    ///
    /// # Errors
    /// [`CommitError`] if it failed.
    pub(super) fn wait(&mut self) -> Result<(), CommitError> {
        let Some(under_way) = self.under_way.take() else { return Ok(()) };
        let ended = |_| CommitError::Io("the thread that syncs has ended".to_owned());
        under_way.recv().map_err(ended)?
    }

    /// Makes one now.
    ///
    /// # Errors
    /// [`CommitError`] if it, or the one before it, failed.
    pub(super) fn make(&mut self) -> Result<(), CommitError> {
        self.wait()?;
        self.checkpoint.make()
    }
}
