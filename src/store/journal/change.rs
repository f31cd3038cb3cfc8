//! Changes, as a frame holds them.
//!
//! ```text
//! put:     length of the key (1 byte) | length of the value (2 bytes, big-endian) | key | value
//! remove:  length of the key (1 byte) | 0xffff                                    | key
//! discard: length of the key (1 byte) | 0xfffe                                    | key
//! ```

use bytes::Bytes;

use crate::store::key::Key;
use crate::store::page::VALUE_BYTES_MAX;

const REMOVE: u16 = u16::MAX;
const DISCARD: u16 = u16::MAX - 1;
const _: () = assert!(VALUE_BYTES_MAX < DISCARD as usize, "a length is no mark");

/// What is kept allocated between two frames, in bytes, at most.
pub(super) const KEPT_BYTES_MAX: usize = 256 * 1024;

/// What was done to the map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// An entry was put in, or in place of another.
    Put(Key, Bytes),
    /// An entry was taken out.
    Remove(Key),
    /// A page that cannot be read was taken out, with all that it held.
    Discard(Key),
}

/// Changes in their order. A later one of the same key takes the place of an earlier one.
#[derive(Debug, Default)]
pub struct Changes(Vec<u8>);

impl Changes {
    /// An entry was put in, or in place of another.
    pub fn put(&mut self, key: &Key, value: &[u8]) {
        debug_assert!(value.len() <= VALUE_BYTES_MAX, "a value that no page can hold");
        self.head(key, u16::try_from(value.len()).unwrap_or(REMOVE));
        self.0.extend_from_slice(value);
    }

    /// An entry was taken out.
    pub fn remove(&mut self, key: &Key) {
        self.head(key, REMOVE);
    }

    /// A page was taken out.
    pub fn discard(&mut self, base: &Key) {
        self.head(base, DISCARD);
    }

    fn head(&mut self, key: &Key, value: u16) {
        let bytes = key.as_slice();
        self.0.push(u8::try_from(bytes.len()).unwrap_or(u8::MAX));
        self.0.extend_from_slice(&value.to_be_bytes());
        self.0.extend_from_slice(bytes);
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As they are written.
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }

    /// Forgets them all.
    pub fn clear(&mut self) {
        self.0.clear();
        self.0.shrink_to(KEPT_BYTES_MAX);
    }
}

/// The changes that were written as these bytes. An item is `None`, and the last one, where they
/// are not well formed.
pub(super) fn read(bytes: Bytes) -> impl Iterator<Item = Option<Change>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        if at >= bytes.len() {
            return None;
        }
        let read = read_one(&bytes, at);
        at = read.as_ref().map_or(bytes.len(), |(_, end)| *end);
        Some(read.map(|(change, _)| change))
    })
}

/// The change at this place, and where it ends.
fn read_one(bytes: &Bytes, at: usize) -> Option<(Change, usize)> {
    let [key_len, high, low]: [u8; 3] = bytes.get(at..at + 3)?.try_into().ok()?;
    let key_end = at + 3 + usize::from(key_len);
    let key = Key::from_slice(bytes.get(at + 3..key_end)?)?;
    match u16::from_be_bytes([high, low]) {
        REMOVE => Some((Change::Remove(key), key_end)),
        DISCARD => Some((Change::Discard(key), key_end)),
        value_len => {
            let end = key_end + usize::from(value_len);
            (end <= bytes.len()).then(|| (Change::Put(key, bytes.slice(key_end..end)), end))
        }
    }
}
