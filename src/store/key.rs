//! Keys: a table's byte, then the table's own key in big-endian pieces, so that the order of bytes
//! is the order of things.
//!
//! All keys are short, and a page holds dozens of them: they live inline, without an allocation.

use std::borrow::Borrow;
use std::fmt;

/// The longest key in bytes, its table's byte included.
pub const KEY_BYTES_MAX: usize = 31;

/// A key of a logical entry, or of the page that holds it: at most [`KEY_BYTES_MAX`] bytes.
#[derive(Clone, Copy)]
pub struct Key {
    len: u8,
    bytes: [u8; KEY_BYTES_MAX],
}

impl Key {
    /// Joins the pieces of a key.
    ///
    /// # Panics
    /// If they are longer than [`KEY_BYTES_MAX`] together. The lengths of all keys are fixed by
    /// the layout, so this is a fault of the program and not of its input.
    pub fn of(pieces: &[&[u8]]) -> Key {
        let mut key = Key { len: 0, bytes: [0; KEY_BYTES_MAX] };
        for piece in pieces {
            key = key.joined(piece);
        }
        key
    }

    /// A key of these bytes, if it is not too long.
    pub fn from_slice(bytes: &[u8]) -> Option<Key> {
        (bytes.len() <= KEY_BYTES_MAX).then(|| Key::of(&[bytes]))
    }

    /// This key with a piece after it.
    ///
    /// # Panics
    /// As [`Key::of`].
    #[must_use]
    pub fn joined(mut self, piece: &[u8]) -> Key {
        let from = usize::from(self.len);
        let room = self.bytes.get_mut(from..from + piece.len());
        let room = room.unwrap_or_else(|| panic!("a key longer than {KEY_BYTES_MAX} bytes"));
        room.copy_from_slice(piece);
        self.len = u8::try_from(from + piece.len()).unwrap_or(u8::MAX);
        self
    }

    /// Its bytes.
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.split_at(usize::from(self.len)).0
    }

    /// The key of its first `len` bytes.
    #[must_use]
    pub fn prefix(&self, len: usize) -> Key {
        let slice = self.as_slice();
        Key::of(&[slice.get(..len).unwrap_or(slice)])
    }

    /// How many bytes it has in common with the beginning of `other`.
    pub fn shared(&self, other: &Key) -> usize {
        let pairs = self.as_slice().iter().zip(other.as_slice());
        pairs.take_while(|(mine, theirs)| mine == theirs).count()
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Key) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Key) -> std::cmp::Ordering {
        self.as_slice().cmp(other.as_slice())
    }
}

impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        self.as_slice()
    }
}

impl AsRef<[u8]> for Key {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_slice().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_keys_is_the_order_of_their_bytes() {
        let short = Key::of(&[b"a"]);
        let long = Key::of(&[b"a", &[0]]);
        assert!(short < long && long < Key::of(&[b"b"]));
        assert_eq!(long.prefix(1), short);
        assert_eq!(long.shared(&short), 1);
        assert_eq!(Key::from_slice(&[0; 32]), None);
        assert_eq!(long.to_string(), "6100");
    }
}
