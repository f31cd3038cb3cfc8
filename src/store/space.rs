//! Room on the disk: how much is free, how much the store takes, and a ballast.
//!
//! A full disk cannot even be opened, so that what is stored could be sent and deleted. A
//! preallocated file, the ballast, stands beside the database: it is given up when the disk is
//! found full at opening, and put back when there is room again. Until then the disk is low: what
//! the ballast gave back is for what is stored, and not for new events.

use std::fs;
use std::fs::File;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use rustix::fs::FallocateFlags;

/// The ballast's length in bytes, where nothing else is asked for.
pub const BALLAST_BYTES: u64 = 64 * 1024 * 1024;

const BALLAST: &str = "ballast";

/// The disk that a store stands on.
#[derive(Clone, Debug)]
pub struct Space {
    home: PathBuf,
    min_free_bytes: u64,
    ballast_bytes: u64,
}

impl Space {
    /// The disk of the store in this directory, which is low below `min_free_bytes`.
    pub fn new(home: &Path, min_free_bytes: u64, ballast_bytes: u64) -> Space {
        Space { home: home.to_owned(), min_free_bytes, ballast_bytes }
    }

    /// Bytes that the process may still write.
    ///
    /// # Errors
    /// If the file system does not answer.
    pub fn free_bytes(&self) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(&self.home)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// Whether less is free than there should be, or the ballast is not there: nothing new is
    /// admitted then.
    ///
    /// # Errors
    /// If the file system does not answer.
    pub fn is_low(&self) -> io::Result<bool> {
        Ok(self.free_bytes()? < self.min_free_bytes || !self.ballast_stands())
    }

    /// Bytes that the store's files take on the disk, the ballast included.
    ///
    /// # Errors
    /// If a directory of the store cannot be read.
    pub fn used_bytes(&self) -> io::Result<u64> {
        used_below(&self.home)
    }

    /// Gives the ballast up, if there is less room than it takes. Answers whether it did.
    ///
    /// # Errors
    /// If the file cannot be removed.
    pub fn give_up_ballast(&self) -> io::Result<bool> {
        if self.free_bytes()? >= self.ballast_bytes {
            return Ok(false);
        }
        match fs::remove_file(self.home.join(BALLAST)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            removed => removed.map(|()| true),
        }
    }

    /// Puts the ballast back, if there is room for it and as much again. Answers whether it stands.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn put_ballast(&self) -> io::Result<bool> {
        if self.ballast_stands() {
            return Ok(true);
        }
        if self.free_bytes()? < self.ballast_bytes.saturating_mul(2) {
            return Ok(false);
        }
        let path = self.home.join(BALLAST);
        let file = File::create(&path)?;
        match allocate(&file, self.ballast_bytes) {
            Ok(()) => Ok(true),
            Err(error) => {
                fs::remove_file(&path)?;
                Err(error)
            }
        }
    }

    fn ballast_stands(&self) -> bool {
        let found = fs::metadata(self.home.join(BALLAST));
        found.map_or(0, |found| found.len()) == self.ballast_bytes
    }
}

fn allocate(mut file: &File, bytes: u64) -> io::Result<()> {
    if bytes == 0 {
        return Ok(());
    }
    match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, bytes) {
        // Not every file system can: zeros are written there.
        Err(rustix::io::Errno::OPNOTSUPP) => {
            io::copy(&mut io::Read::take(io::repeat(0), bytes), &mut file).map(|_| ())
        }
        done => Ok(done?),
    }
}

fn used_below(directory: &Path) -> io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut used = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        // A file that goes away meanwhile takes nothing.
        let Ok(found) = entry.metadata() else { continue };
        used += if found.is_dir() { used_below(&entry.path())? } else { found.blocks() * 512 };
    }
    Ok(used)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ballast_takes_room_and_gives_it_back() {
        let home = tempfile::tempdir().unwrap();
        let space = Space::new(home.path(), 0, 1024 * 1024);
        assert!(space.put_ballast().unwrap());
        assert!(space.put_ballast().unwrap(), "it stands already");
        assert!(space.used_bytes().unwrap() >= 1024 * 1024);
        assert!(!space.give_up_ballast().unwrap(), "there is room enough");
        let full = Space::new(home.path(), u64::MAX, u64::MAX);
        assert!(full.is_low().unwrap());
        assert!(!space.is_low().unwrap());
        assert!(full.give_up_ballast().unwrap());
        assert!(space.is_low().unwrap(), "without the ballast it is");
        assert!(!full.give_up_ballast().unwrap(), "it is gone already");
        assert!(!full.put_ballast().unwrap(), "there is no room for it");
        assert_eq!(space.used_bytes().unwrap(), 0);
    }
}
