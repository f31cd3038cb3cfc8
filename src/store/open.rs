//! Opening: from a directory to a [`Reader`], a [`Writer`] and what has to go on.
//!
//! ```text
//! <path>/            0700
//!   outbox/          the database and its journal, and in `format` what it is, so that a later
//!                    version's is not touched, and one that lost everything not taken for a new
//!                    one
//!   ballast          see `space`
//!   outbox.damaged-* databases that could not be opened: moved aside, never deleted
//!   outbox.unfinished-* those that were cut off while they were made: nothing was acknowledged
//! ```
//!
//! The cost is that of the underlying store's own recovery and of reading the journal, and besides
//! proportional to endpoints and deliveries in flight, never to the backlog.

mod home;
mod redo;

use std::io;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use crate::model::DeliveryId;
use crate::model::EndpointEntry;
use crate::model::EndpointNo;
use crate::model::EventId;
use crate::model::LaneCounts;
use crate::model::Progress;
use crate::model::Replay;
use crate::model::StandingHold;
use crate::model::Time;
use crate::store::batches::Batches;
use crate::store::batches::CommitError;
use crate::store::checkpoint::Checkpoint;
use crate::store::fold;
use crate::store::fold::Redated;
use crate::store::layout;
use crate::store::packed::Packed;
use crate::store::packed::ReadError;
use crate::store::read::Reader;
use crate::store::read::Readers;
use crate::store::read::let_go;
use crate::store::space::Space;
use crate::store::sync;
use crate::store::sync::SyncError;
use crate::store::writer::Writer;

/// What an acknowledgement stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// It survives the loss of power.
    Fsync,
    /// It survives the death of the process, not that of the machine.
    Process,
}

/// How to open a store.
#[derive(Clone, Debug)]
pub struct Options {
    /// The directory. It is made if only its last part is missing.
    pub path: PathBuf,
    /// What an acknowledgement stands for.
    pub durability: Durability,
    /// Pages that the underlying store keeps in memory, in bytes as they are on disk.
    pub cache_bytes: u64,
    /// Below this many free bytes the disk is low.
    pub min_free_bytes: u64,
    /// The length of the ballast in bytes.
    pub ballast_bytes: u64,
    /// Says whether the clock has been set back; names a database that has to be moved aside.
    pub now: Time,
}

/// An open store.
#[derive(Debug)]
pub struct Opened {
    /// For any number of readers.
    pub readers: Readers,
    /// For the one thread that writes.
    pub writer: Writer,
    /// The disk.
    pub space: Space,
    /// What an acknowledgement stands for.
    pub durability: Durability,
    /// What has to go on.
    pub recovered: Recovered,
}

/// What the last process left behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Deliveries that were in flight.
    pub in_flight: Vec<(DeliveryId, Progress)>,
    /// How much stands in each lane.
    pub lanes: Vec<(EndpointNo, LaneCounts)>,
    /// All endpoints there ever were.
    pub endpoints: Vec<EndpointEntry>,
    /// The event that was admitted last.
    pub last_event: Option<EventId>,
    /// All replays that are remembered, the oldest first.
    pub replays: Vec<Replay>,
    /// The holds that stand.
    pub holds: Vec<StandingHold>,
    /// What was dated again, if the clock has been set back since the last event.
    pub redated: Option<Redated>,
    /// Whether the last process ended in order; also true of a new store, unless its first start
    /// was cut off.
    pub clean: bool,
}

/// Why a store does not open, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory's parent is missing.
    #[error("{0}: no such directory: create it, or correct storage.path")]
    NoDirectory(PathBuf),
    /// Something else stands there.
    #[error("{0}: not a directory: correct storage.path")]
    NotADirectory(PathBuf),
    /// The process may not use it.
    #[error("{0}: permission denied: it must belong to the user that runs postrider")]
    Permission(PathBuf),
    /// Another process has it open.
    #[error("{0}: in use by another process: is postrider running already?")]
    Locked(PathBuf),
    /// It was written by a later version.
    #[error(
        "{path}: its format is {found}, and this version of postrider knows up to {known}: \
             use the version that wrote it"
    )]
    Newer {
        /// The directory.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The highest one that is known.
        known: u32,
    },
    /// It is a database, but none of ours.
    #[error("{0}: a database that postrider did not make: correct storage.path")]
    Foreign(PathBuf),
    /// It is damaged, and stands aside now. It stays so until a person decides.
    #[error(
        "the database was damaged and stands in {moved_to} now: {why}. Restore a backup, or \
             move that directory elsewhere to start with an empty store"
    )]
    Damaged {
        /// Where it stands.
        moved_to: PathBuf,
        /// What was found.
        why: String,
    },
    /// The disk is full, even without the ballast.
    #[error("{0}: the disk is full: make room and start again")]
    Full(PathBuf),
    /// Writes would not be certain to reach the disk.
    #[error(
        "{0}. Acknowledged events could be lost with the power; storage.durability = \
             \"process\" accepts that"
    )]
    NotSynced(#[from] SyncError),
    /// Any other failure of the file system.
    #[error("{path}: {error}")]
    Io {
        /// What was being used.
        path: PathBuf,
        /// What it answered.
        error: io::Error,
    },
    /// Something that has to be known at the start cannot be read.
    #[error(transparent)]
    Unreadable(#[from] ReadError),
    /// What the last process left unfinished cannot be finished.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// Opens the store, or makes a new one.
///
/// # Errors
/// [`OpenError`]; nothing was deleted, and nothing changed but what its text says.
pub fn open(options: &Options) -> Result<Opened, OpenError> {
    if options.durability == Durability::Fsync {
        sync::install()?;
    }
    home::prepare(&options.path)?;
    let noted = home::noted_format(&options.path)?;
    let space = Space::new(&options.path, options.min_free_bytes, options.ballast_bytes);
    let in_home = |error| home::explain(&options.path, error);
    space.give_up_ballast().map_err(in_home)?;
    home::remove_torn_snapshots(&options.path).map_err(in_home)?;
    let db = match open_database(options)? {
        Ok(db) => db,
        // the format is noted before anything is acknowledged
        Err(_) if noted.is_none() => {
            home::move_unfinished_aside(options)?;
            open_database(options)?.map_err(|why| home::move_aside(options, &why))?
        }
        Err(why) => return Err(home::move_aside(options, &why)),
    };
    begin(options, &db, noted, space).inspect_err(|_| {
        // why it does not open says more than that its last sync failed too
        let _ = let_go(db);
    })
}

/// What follows from what the database holds.
fn begin(
    options: &Options,
    db: &sled::Db,
    noted: Option<u32>,
    space: Space,
) -> Result<Opened, OpenError> {
    let in_home = |error| home::explain(&options.path, error);
    home::sync(&options.path).map_err(in_home)?;
    if !holds_store(db, &options.path)? && noted.is_some() {
        return Err(home::move_aside(options, "nothing was left of what it held"));
    }
    if noted.is_some_and(|noted| noted < layout::FORMAT) {
        // from now on, a version that knows no journal must not touch it
        home::note_format(&options.path).map_err(in_home)?;
    }
    let journal = redo::redo(options, db)?;
    let reader = Reader::new((**db).clone());
    let clean = db.is_empty() || reader.is_clean()?;
    let lanes = reader.lanes()?.into_iter().collect();
    let packed = Packed::new((**db).clone());
    let checkpoint = Checkpoint::new(db.clone());
    let batches = Batches::new(packed, journal, checkpoint, lanes, reader.tally()?);
    let shown = Arc::default();
    let mut writer = Writer::new(batches, Arc::clone(&shown));
    let mut redated = None;
    let begun = writer.guarded(|batches| {
        fold::resume(batches)?;
        redated = fold::redate(batches, || reader.endpoints(), options.now)?;
        batches.room(2)?;
        let format = Bytes::from(layout::encode(&layout::FORMAT));
        batches.packed.insert(&layout::META, layout::format_key(), format)?;
        batches.packed.remove(&layout::META, &layout::clean_key())?;
        Ok(())
    });
    match begun.and_then(|()| writer.settle()) {
        Err(CommitError::Full(_)) => return Err(OpenError::Full(options.path.clone())),
        begun => begun?,
    }
    if noted.is_none() {
        home::note_format(&options.path).map_err(in_home)?;
    }
    let recovered = Recovered { redated, ..recover(&reader, clean)? };
    let readers = Readers::new((**db).clone(), shown);
    // The ballast is for the next start; without it this one is as good.
    let _ = space.put_ballast();
    Ok(Opened { readers, writer, space, durability: options.durability, recovered })
}

/// The database, or why it is damaged.
fn open_database(options: &Options) -> Result<Result<sled::Db, String>, OpenError> {
    let path = options.path.join(home::DATABASE);
    let config =
        sled::Config::new().path(&path).cache_capacity(options.cache_bytes).flush_every_ms(None);
    match catch_unwind(AssertUnwindSafe(|| config.open())) {
        Ok(Ok(db)) => Ok(Ok(db)),
        Ok(Err(sled::Error::Io(error))) => Err(home::explain(&path, error)),
        Ok(Err(sled::Error::Unsupported(_))) => Err(OpenError::Foreign(path)),
        Ok(Err(error)) => Ok(Err(error.to_string())),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Ok(Err(text.unwrap_or("its recovery failed").to_owned()))
        }
    }
}

/// Whether a database holds a store of ours, or nothing at all.
fn holds_store(db: &sled::Db, path: &Path) -> Result<bool, OpenError> {
    if db.is_empty() {
        return Ok(false);
    }
    let key = layout::format_key();
    let raw = Packed::new((**db).clone()).get(&layout::META, &key)?;
    let raw = raw.ok_or_else(|| OpenError::Foreign(path.to_owned()))?;
    home::refuse_newer(path, layout::decode(&key, &raw)?)?;
    Ok(true)
}

fn recover(reader: &Reader, clean: bool) -> Result<Recovered, ReadError> {
    Ok(Recovered {
        in_flight: reader.in_flight()?,
        lanes: reader.lanes()?,
        endpoints: reader.endpoints()?,
        last_event: reader.last_event()?,
        replays: reader.replays()?,
        holds: reader.holds()?,
        redated: None,
        clean,
    })
}
