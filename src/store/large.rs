//! Values that are too long for one entry: cut into pieces under keys of their own.
//!
//! The entry itself then holds the byte 0 (no version byte of any value) and the number of pieces.

use bytes::Bytes;

use crate::store::key::Key;
use crate::store::layout::CHUNK_BYTES_MAX;
use crate::store::layout::PIECES;
use crate::store::layout::piece_key;
use crate::store::packed::Packed;
use crate::store::packed::ReadError;
use crate::store::packed::Table;
use crate::store::scan;

const IN_PIECES: u8 = 0;
/// How often a reader reads what changes meanwhile, at most.
const READS_MAX: usize = 8;

/// How many page operations it takes, at most, to write a value of this length.
pub fn operations_max(value_bytes: usize) -> usize {
    2 + if value_bytes > CHUNK_BYTES_MAX { value_bytes.div_ceil(CHUNK_BYTES_MAX) + 2 } else { 0 }
}

/// Stages a value of any length. What stood there before must not have been longer than one entry.
///
/// # Errors
/// [`ReadError`] if a page that it belongs to cannot be read.
pub fn put(packed: &mut Packed, table: &Table, key: Key, raw: Vec<u8>) -> Result<(), ReadError> {
    if raw.len() <= CHUNK_BYTES_MAX {
        return packed.insert(table, key, Bytes::from(raw));
    }
    let raw = Bytes::from(raw);
    let mut pieces: u16 = 0;
    for from in (0..raw.len()).step_by(CHUNK_BYTES_MAX) {
        let piece = raw.slice(from..raw.len().min(from + CHUNK_BYTES_MAX));
        packed.insert(&PIECES, piece_key(&key, pieces), piece)?;
        pieces = pieces.checked_add(1).ok_or(ReadError::Entry { key, fault: "it is too long" })?;
    }
    let [high, low] = pieces.to_be_bytes();
    packed.insert(table, key, Bytes::copy_from_slice(&[IN_PIECES, high, low]))
}

/// Stages a value of any length in place of one of any length.
///
/// # Errors
/// As [`put`].
pub fn replace(
    packed: &mut Packed,
    table: &Table,
    key: Key,
    raw: Vec<u8>,
) -> Result<(), ReadError> {
    let old = packed.get(table, &key)?.map_or(0, |raw| pieces(&raw));
    remove_pieces(packed, &key, old)?;
    put(packed, table, key, raw)
}

/// Takes a value of any length out.
///
/// # Errors
/// As [`put`].
pub fn remove(packed: &mut Packed, table: &Table, key: &Key) -> Result<(), ReadError> {
    let old = packed.remove(table, key)?.map_or(0, |raw| pieces(&raw));
    remove_pieces(packed, key, old)
}

/// How many pieces the value of an entry has besides the entry itself.
pub fn pieces(raw: &[u8]) -> u16 {
    pieces_of(raw).unwrap_or(0)
}

fn remove_pieces(packed: &mut Packed, key: &Key, pieces: u16) -> Result<(), ReadError> {
    for piece in 0..pieces {
        packed.remove(&PIECES, &piece_key(key, piece))?;
    }
    Ok(())
}

/// The value that the writer sees.
///
/// # Errors
/// [`ReadError`] if it, or a piece of it, cannot be read.
pub fn get(packed: &mut Packed, table: &Table, key: &Key) -> Result<Option<Bytes>, ReadError> {
    match packed.get(table, key)? {
        Some(raw) => joined_by_writer(packed, key, raw).map(Some),
        None => Ok(None),
    }
}

/// The whole value of an entry that the writer has found.
///
/// # Errors
/// [`ReadError`] if a piece of it cannot be read.
pub fn joined_by_writer(packed: &mut Packed, key: &Key, raw: Bytes) -> Result<Bytes, ReadError> {
    join(key, raw, |piece| packed.get(&PIECES, piece))
}

/// The whole value of an entry that a reader has found; nothing if it has gone meanwhile.
///
/// # Errors
/// [`ReadError`] if a piece of it cannot be read.
pub fn joined(
    tree: &sled::Tree,
    table: &Table,
    key: &Key,
    raw: Bytes,
) -> Result<Option<Bytes>, ReadError> {
    let again = || scan::get(tree, table, key);
    steady(key, raw, again, |piece| scan::get(tree, &PIECES, piece))
}

/// The writer may replace the pieces one reads, or take them away: what is read twice in a row as
/// the same was there between the two.
fn steady(
    key: &Key,
    raw: Bytes,
    mut again: impl FnMut() -> Result<Option<Bytes>, ReadError>,
    mut read: impl FnMut(&Key) -> Result<Option<Bytes>, ReadError>,
) -> Result<Option<Bytes>, ReadError> {
    let mut entry = Some(raw);
    let mut last = Err(ReadError::Entry { key: *key, fault: "it changes all the time" });
    for _ in 0..READS_MAX {
        let Some(raw) = entry else { return Ok(None) };
        if pieces_of(&raw).is_none() {
            return Ok(Some(raw));
        }
        let whole = join(key, raw, &mut read);
        match (&whole, &last) {
            (Ok(whole), Ok(last)) if whole == last => return Ok(Some(whole.clone())),
            (Err(ReadError::Io(_)), _) => return whole.map(Some),
            _ => last = whole,
        }
        entry = again()?;
    }
    last.map(Some)
}

fn pieces_of(raw: &[u8]) -> Option<u16> {
    match raw {
        &[IN_PIECES, high, low] => Some(u16::from_be_bytes([high, low])),
        _ => None,
    }
}

fn join(
    key: &Key,
    raw: Bytes,
    mut read: impl FnMut(&Key) -> Result<Option<Bytes>, ReadError>,
) -> Result<Bytes, ReadError> {
    let Some(pieces) = pieces_of(&raw) else { return Ok(raw) };
    let mut whole = Vec::with_capacity(usize::from(pieces) * CHUNK_BYTES_MAX);
    for piece in 0..pieces {
        let piece = piece_key(key, piece);
        let missing = ReadError::Entry { key: piece, fault: "it is missing" };
        whole.extend_from_slice(&read(&piece)?.ok_or(missing)?);
    }
    Ok(Bytes::from(whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"\x02event";
    const ENTRY: Bytes = Bytes::from_static(&[IN_PIECES, 0, 2]);

    /// Reads a value of two pieces that is replaced, or taken away, before this read of a piece.
    fn read(
        changes_before: usize,
        after: Option<&'static [u8]>,
    ) -> Result<Option<Bytes>, ReadError> {
        let reads = std::cell::Cell::new(0);
        let now = |old| if reads.get() > changes_before { after } else { Some(old) };
        let again = || Ok(now(b"").map(|_| ENTRY));
        let piece = |_: &Key| {
            reads.set(reads.get() + 1);
            Ok(now(b"old").map(Bytes::from_static))
        };
        steady(&Key::of(&[KEY]), ENTRY, again, piece)
    }

    #[test]
    fn a_reader_sees_a_value_before_or_after_it_changes() {
        for changes_before in 0..6 {
            let whole = read(changes_before, Some(b"new")).unwrap().unwrap();
            let expected = if changes_before < 4 { "newnew" } else { "oldold" };
            assert_eq!(whole, expected, "{changes_before}");
            let gone = read(changes_before, None).unwrap();
            assert_eq!(gone.is_none(), changes_before < 4, "{changes_before}");
        }
    }

    #[test]
    fn a_piece_that_is_missing_is_a_fault_where_the_entry_stays() {
        let piece = |_: &Key| Ok(None);
        let error = steady(&Key::of(&[KEY]), ENTRY, || Ok(Some(ENTRY)), piece).unwrap_err();
        assert!(matches!(error, ReadError::Entry { fault: "it is missing", .. }), "{error}");
    }
}
