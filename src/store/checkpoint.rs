//! Checkpoints: the underlying store is synced beside the writer, so that a file of the journal can
//! be written anew.

use std::sync::mpsc::Receiver;
use std::sync::mpsc::channel;

use crate::store::batches::CommitError;

/// Syncs a database, in a thread of its own, one time after the other.
#[derive(Debug)]
pub(super) struct Checkpoints {
    db: sled::Db,
    under_way: Option<Receiver<Result<(), sled::Error>>>,
}

impl Checkpoints {
    /// Of this database.
    pub(super) fn new(db: sled::Db) -> Checkpoints {
        Checkpoints { db, under_way: None }
    }

    /// Begins to sync what was written by now. The one before must have ended.
    ///
    /// # Errors
    /// [`CommitError`] if there is no thread to do it.
    pub(super) fn begin(&mut self) -> Result<(), CommitError> {
        let (done, wait) = channel();
        let db = self.db.clone();
        // detached: it ends with its flush, and whoever waits for it hears of that
        std::thread::Builder::new().name("checkpoint".to_owned()).spawn(move || {
            let result = db.flush().map(drop);
            drop(db);
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
        match under_way.recv() {
            Ok(result) => Ok(result?),
            Err(_) => Err(CommitError::Io("the thread that syncs has ended".to_owned())),
        }
    }
}
