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

/// The whole value of an entry that a reader has found.
///
/// # Errors
/// [`ReadError`] if a piece of it cannot be read.
pub fn joined(tree: &sled::Tree, key: &Key, raw: Bytes) -> Result<Bytes, ReadError> {
    join(key, raw, |piece| scan::get(tree, &PIECES, piece))
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
