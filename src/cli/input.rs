//! Reading a payload from a file or from standard input.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;

/// The largest payload or request file, in bytes.
pub const INPUT_BYTES_MAX: u64 = 64 << 20;

/// Why there is no input.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which file; `-` is standard input.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// There is too much of it.
    #[error("{} has more than {INPUT_BYTES_MAX} bytes", path.display())]
    TooLong {
        /// Which file; `-` is standard input.
        path: PathBuf,
    },
}

/// All bytes of the file; of standard input if it is `-`.
///
/// # Errors
/// [`InputError`] if they cannot be read or are too many.
pub fn read(path: &Path) -> Result<Vec<u8>, InputError> {
    let fault = |source| InputError::Read { path: path.to_owned(), source };
    let source: Box<dyn Read> = if path == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(File::open(path).map_err(fault)?)
    };
    let mut bytes = Vec::new();
    source.take(INPUT_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(fault)?;
    if u64::try_from(bytes.len()).is_ok_and(|len| len > INPUT_BYTES_MAX) {
        return Err(InputError::TooLong { path: path.to_owned() });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_as_they_are_and_a_missing_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("payload");
        std::fs::write(&path, b"\xff\x00\r\n").unwrap();
        assert_eq!(read(&path).unwrap(), b"\xff\x00\r\n");
        let missing = dir.path().join("missing");
        let error = read(&missing).unwrap_err().to_string();
        assert!(error.contains(&missing.display().to_string()), "{error}");
    }
}
