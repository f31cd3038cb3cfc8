//! Cursors: where a listing goes on, as an opaque text.
//!
//! Format: base64url without padding of one version byte, the CRC-32 of the filters (big-endian)
//! and the backend's position. A cursor is stable under inserts, since the position is a key. It is
//! not authenticated: whoever may use it may read the whole list anyway, and the backend checks
//! the position. The checksum catches the honest mistake of using it with other filters.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::admin::backend::POSITION_BYTES_MAX;
use crate::admin::backend::Position;

const VERSION: u8 = 1;
const HEAD_BYTES: usize = 5;

/// The cursor for this position of a list with these filters.
pub(crate) fn write(filters: u32, position: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(HEAD_BYTES + position.len());
    bytes.push(VERSION);
    bytes.extend_from_slice(&filters.to_be_bytes());
    bytes.extend_from_slice(position);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The position in a cursor; `None` if it is not one of ours or was made for other filters.
pub(crate) fn read(filters: u32, cursor: &str) -> Option<Position> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let (head, position) = bytes.split_at_checked(HEAD_BYTES)?;
    let (version, checksum) = head.split_first()?;
    let fits = *version == VERSION
        && checksum == filters.to_be_bytes()
        && position.len() <= POSITION_BYTES_MAX;
    fits.then(|| position.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_back_only_with_its_filters() {
        let cursor = write(7, b"here");
        assert_eq!(read(7, &cursor), Some(b"here".to_vec()));
        assert_eq!(read(8, &cursor), None);
    }

    #[test]
    fn what_is_not_a_cursor_is_refused() {
        for text in ["", "AQ", "%%%", "AgAAAAdoZXJl"] {
            assert_eq!(read(7, text), None, "{text:?}");
        }
        let long = write(7, &[0; POSITION_BYTES_MAX + 1]);
        assert_eq!(read(7, &long), None);
    }
}
