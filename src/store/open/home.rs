//! The store's directory: made, checked, noted, synced; a damaged database moved aside.

use std::fs;
use std::fs::DirBuilder;
use std::fs::File;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::path::PathBuf;

use crate::store::layout::FORMAT;
use crate::store::open::OpenError;
use crate::store::open::Options;

/// The database's directory within the store's.
pub(super) const DATABASE: &str = "outbox";
const NOTE: &str = "format";
const DAMAGED: &str = "outbox.damaged-";
const UNFINISHED: &str = "outbox.unfinished-";
/// How the underlying store names what it recovered last, and what of it is not whole yet.
const SNAPSHOT: (&str, &str) = ("snap.", ".generating");

/// Makes the directory if it is missing, and refuses one in which a damaged database waits for a
/// person's decision.
pub(super) fn prepare(path: &Path) -> Result<(), OpenError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            sync_directory(parent.unwrap_or(Path::new("."))).map_err(|error| explain(path, error))
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if !path.is_dir() {
                return Err(OpenError::NotADirectory(path.to_owned()));
            }
            refuse_damaged(path)
        }
        Err(error) => Err(explain(path, error)),
    }
}

/// A database that was moved aside must not be replaced by an empty one in silence.
fn refuse_damaged(path: &Path) -> Result<(), OpenError> {
    if path.join(DATABASE).exists() {
        return Ok(());
    }
    let entries = fs::read_dir(path).map_err(|error| explain(path, error))?;
    let damaged = entries.flatten().find(|entry| {
        let name = entry.file_name();
        name.to_str().is_some_and(|name| name.starts_with(DAMAGED))
    });
    match damaged {
        Some(entry) => Err(OpenError::Damaged {
            moved_to: entry.path(),
            why: "it was found so at an earlier start".to_owned(),
        }),
        None => Ok(()),
    }
}

/// The format of the database that was made here, if one was. Refuses a later one.
pub(super) fn noted_format(path: &Path) -> Result<Option<u32>, OpenError> {
    let note = path.join(DATABASE).join(NOTE);
    match fs::read_to_string(&note) {
        Ok(text) => {
            let wrong = || io::Error::new(io::ErrorKind::InvalidData, "not a format number");
            let found = text.trim().parse().map_err(|_| explain(&note, wrong()))?;
            refuse_newer(path, found)?;
            Ok(Some(found))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(explain(&note, error)),
    }
}

/// Refuses a format that this version does not know.
pub(super) fn refuse_newer(path: &Path, found: u32) -> Result<(), OpenError> {
    if found > FORMAT {
        return Err(OpenError::Newer { path: path.to_owned(), found, known: FORMAT });
    }
    Ok(())
}

/// Notes that there is a database, and its format.
pub(super) fn note_format(path: &Path) -> io::Result<()> {
    let database = path.join(DATABASE);
    let (new, note) = (database.join("format.new"), database.join(NOTE));
    fs::write(&new, format!("{FORMAT}\n"))?;
    File::open(&new)?.sync_all()?;
    fs::rename(&new, &note)?;
    sync_directory(&database)
}

/// Makes the names of the first files as safe as their contents.
pub(super) fn sync(path: &Path) -> io::Result<()> {
    let database = path.join(DATABASE);
    for name in ["conf", "db"] {
        File::open(database.join(name))?.sync_all()?;
    }
    sync_directory(&database)?;
    sync_directory(path)
}

/// Removes snapshots of which a crash left a part: the underlying store renames them when they are
/// whole, but would read the parts as well, and refuse the database for their sake.
pub(super) fn remove_torn_snapshots(path: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(path.join(DATABASE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let is_torn = |name: &str| name.starts_with(SNAPSHOT.0) && name.ends_with(SNAPSHOT.1);
        if name.to_str().is_some_and(is_torn) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Moves the database aside, for people to look at, and says so.
pub(super) fn move_aside(options: &Options, why: &str) -> OpenError {
    match rename(options, DAMAGED) {
        Ok(to) => OpenError::Damaged { moved_to: to, why: why.to_owned() },
        Err(error) => error,
    }
}

/// Moves a database aside that was cut off while it was made, so that it can be made anew.
pub(super) fn move_unfinished_aside(options: &Options) -> Result<(), OpenError> {
    rename(options, UNFINISHED).map(|_| ())
}

fn rename(options: &Options, prefix: &str) -> Result<PathBuf, OpenError> {
    let from = options.path.join(DATABASE);
    let to = options.path.join(format!("{prefix}{}", options.now.as_millis()));
    match fs::rename(&from, &to).and_then(|()| sync_directory(&options.path)) {
        Ok(()) => Ok(to),
        Err(error) => Err(OpenError::Io { path: from, error }),
    }
}

/// What a failure means for the person who started the daemon.
pub(super) fn explain(path: &Path, error: io::Error) -> OpenError {
    let path: PathBuf = path.to_owned();
    // The underlying store wraps a refused lock into an error of its own words.
    if error.kind() == io::ErrorKind::Other && error.to_string().contains("could not acquire lock")
    {
        return OpenError::Locked(path);
    }
    match error.kind() {
        io::ErrorKind::NotFound => OpenError::NoDirectory(path),
        io::ErrorKind::PermissionDenied => OpenError::Permission(path),
        io::ErrorKind::NotADirectory => OpenError::NotADirectory(path),
        io::ErrorKind::StorageFull => OpenError::Full(path),
        _ => OpenError::Io { path, error },
    }
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
