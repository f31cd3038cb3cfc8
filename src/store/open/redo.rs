//! What stands in the journal and not in the database yet is put there.

use bytes::Bytes;

use crate::store::batches::CommitError;
use crate::store::batches::OPERATIONS_MAX;
use crate::store::checkpoint::Checkpoint;
use crate::store::journal;
use crate::store::journal::Change;
use crate::store::journal::Files;
use crate::store::journal::Journal;
use crate::store::journal::JournalError;
use crate::store::journal::Mark;
use crate::store::layout;
use crate::store::open::Durability;
use crate::store::open::OpenError;
use crate::store::open::Options;
use crate::store::open::home;
use crate::store::packed::Packed;
use crate::store::packed::ReadError;

/// Page operations that gather while the journal is read.
const GATHERED_MAX: usize = OPERATIONS_MAX / 2;

/// Brings the database to where the journal is, and syncs it. Answers the journal, ready to go on.
pub(super) fn redo(options: &Options, db: &sled::Db) -> Result<Journal, OpenError> {
    let directory = options.path.join(home::DATABASE);
    let in_home = |error| home::explain(&directory, error);
    let syncs = options.durability == Durability::Fsync;
    let mut packed = Packed::new((**db).clone());
    let key = layout::mark_key();
    let mark = packed.get(&layout::META, &key)?.map(|raw| layout::decode::<Mark>(&key, &raw));
    let mark = mark.transpose()?;
    let Some(files) = journal::open(&directory).map_err(in_home)? else {
        // written by a version without a journal, new, or left in order
        let clean = packed.get(&layout::META, &layout::clean_key())?.is_some();
        if mark.is_some() && !clean {
            return Err(home::move_aside(options, "its journal is missing, or not whole"));
        }
        let files = journal::create(&directory).map_err(in_home)?;
        return Ok(Journal::new(files, mark.unwrap_or_default(), syncs));
    };
    let last = match replay(&files, mark.unwrap_or_default(), &mut packed) {
        Ok(last) => last,
        Err(JournalError::Io(error)) => return Err(in_home(error)),
        Err(JournalError::Apply(CommitError::Full(_))) => {
            return Err(OpenError::Full(options.path.clone()));
        }
        Err(JournalError::Apply(CommitError::Unreadable(error))) => {
            let why = format!("what the journal holds cannot be put there: {error}");
            return Err(home::move_aside(options, &why));
        }
        Err(JournalError::Apply(error)) => return Err(error.into()),
        Err(damaged @ JournalError::Damaged(_)) => {
            return Err(home::move_aside(options, &damaged.to_string()));
        }
    };
    Checkpoint::new(db.clone()).make()?;
    // the journal is written anew now: whatever an acknowledgement stands for from here on, those
    // before it were given in earnest
    home::sync(&options.path).map_err(in_home)?;
    Ok(Journal::new(files, last, syncs))
}

fn replay(
    files: &Files,
    mark: Mark,
    packed: &mut Packed,
) -> Result<Mark, JournalError<CommitError>> {
    let last = journal::replay(files, mark, |mark, changes| {
        for change in changes {
            apply(packed, change)?;
        }
        if packed.operations() > GATHERED_MAX { emit(packed, mark) } else { Ok(()) }
    })?;
    if packed.operations() > 0 {
        emit(packed, last).map_err(JournalError::Apply)?;
    }
    Ok(last)
}

fn apply(packed: &mut Packed, change: Change) -> Result<(), CommitError> {
    let (Change::Put(key, _) | Change::Remove(key) | Change::Discard(key)) = &change;
    let unknown =
        ReadError::Entry { key: *key, fault: "it is of no table that this version knows" };
    let table = layout::table_of(key).ok_or(unknown)?;
    match change {
        Change::Put(key, value) => packed.put(table, key, value)?,
        Change::Remove(key) => drop(packed.take(table, &key)?),
        Change::Discard(base) => packed.leave_out(table, base)?,
    }
    Ok(())
}

fn emit(packed: &mut Packed, mark: Mark) -> Result<(), CommitError> {
    let value = Bytes::from(layout::encode(&mark));
    packed.put(&layout::META, layout::mark_key(), value)?;
    Ok(packed.emit()?)
}
