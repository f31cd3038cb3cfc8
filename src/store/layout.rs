//! What stands where: the tables, their keys, and how their values are written.
//!
//! Keys are big-endian and in order; a value is a version byte and postcard. Everything here is
//! pure and held by a golden file, because what is on disk outlives every release: a new kind of
//! value gets a new version byte, and the old one is read for ever.
//!
//! | table | key | value |
//! |---|---|---|
//! | meta | a word of one byte | [`FORMAT`], the clean mark, [`Intent`], [`Tally`], [`Mark`] |
//! | events | event | [`EventHead`] |
//! | bodies | event, chunk (u16) | at most [`CHUNK_BYTES_MAX`] bytes as they were submitted |
//! | due, fresh | endpoint, event | [`Progress`] |
//! | due, timed | endpoint, due time in us (u64), event | [`Progress`] |
//! | flight | event, endpoint | [`Progress`]: deliveries that are being dialled |
//! | steps | event, endpoint, n (u16) | [`Step`] |
//! | dead | endpoint, time of the last step in us (u64), event | reason and [`Progress`] |
//! | idempotency | hash of source and key (16 bytes) | event and fingerprint |
//! | lanes | endpoint | [`LaneCounts`] |
//! | endpoints | endpoint | [`EndpointEntry`] |
//! | order | endpoint, key hash (u64), zeros | the event whose delivery may go |
//! | order | endpoint, key hash (u64), event | [`Behind`]: it waits behind that one |
//! | versions | endpoint, key hash (u64) | the highest version admitted |
//! | expiry | time in us (u64), event | nothing: the event is to be looked at again then |
//! | replays | replay | [`Replay`] |
//! | seen | endpoint, key hash (16 bytes) | [`Seen`]: later ones of its key are left out |
//! | holds | replay | [`StandingHold`] |
//! | fades | time in us (u64), endpoint, key hash | nothing: what stands in *seen* ends then |
//! | pieces | a key of another table, piece (u16) | the rest of a value too long for one entry |
//!
//! [`EndpointEntry`]: crate::model::EndpointEntry
//! [`LaneCounts`]: crate::model::LaneCounts
//! [`Mark`]: crate::store::journal::Mark
//! [`Progress`]: crate::model::Progress
//! [`Replay`]: crate::model::Replay
//! [`Seen`]: crate::model::Seen
//! [`StandingHold`]: crate::model::StandingHold
//! [`Step`]: crate::model::Step

mod keys;
mod values;

pub use keys::*;
pub use values::*;

use crate::store::key::Key;
use crate::store::packed::Table;
use crate::store::page::PAGE_BYTES_MAX;

/// The format of the whole store. A store of a higher one is not opened. Since 2 there is the
/// journal.
pub const FORMAT: u32 = 2;

/// The longest chunk of a body, in bytes.
pub const CHUNK_BYTES_MAX: usize = 6_500;

// How long pages grow. They are written many commits at a time, so that longer ones cost no more
// bytes, and mean fewer keys underneath: less memory, less work, less time to start
// (`tests/layout.rs`; before compression, bytes are those of `Page::bytes`).

/// Of tables that are written in order.
const ORDERED_BYTES: usize = 6_000;
/// Of tables that are written anywhere: each entry writes its whole page again.
const SCATTERED_BYTES: usize = 2_048;
/// See [`Table::rewrite_bytes`].
const REWRITE_BYTES: usize = 1_024;

const fn table(byte: u8, lane_bytes: usize, split_bytes: usize) -> Table {
    assert!(split_bytes <= PAGE_BYTES_MAX, "a page that is not split must be legal");
    Table { byte, lane_bytes, split_bytes, rewrite_bytes: REWRITE_BYTES }
}

/// Facts about the store itself.
pub const META: Table = table(1, 1, SCATTERED_BYTES);
/// Events without their bodies.
pub const EVENTS: Table = table(2, 1, ORDERED_BYTES);
/// Bodies, in chunks.
pub const BODIES: Table = table(3, 1, ORDERED_BYTES);
/// Waiting deliveries that were never tried.
pub const DUE_FRESH: Table = table(4, 5, SCATTERED_BYTES);
/// Deliveries that wait for a time.
pub const DUE_TIMED: Table = table(5, 5, SCATTERED_BYTES);
/// Deliveries that are being dialled.
pub const FLIGHT: Table = table(6, 1, SCATTERED_BYTES);
/// The logs of deliveries.
pub const STEPS: Table = table(7, 1, SCATTERED_BYTES);
/// Dead deliveries.
pub const DEAD: Table = table(8, 5, SCATTERED_BYTES);
/// Idempotency keys.
pub const IDEMPOTENCY: Table = table(9, 1, SCATTERED_BYTES);
/// How much stands in each lane.
pub const LANES: Table = table(10, 1, SCATTERED_BYTES);
/// Endpoints: numbers, names, states.
pub const ENDPOINTS: Table = table(11, 1, SCATTERED_BYTES);
/// What is too long for one entry.
pub const PIECES: Table = table(12, 1, ORDERED_BYTES);
/// Deliveries that are ordered by a key: which of them may go, and which wait behind it.
pub const ORDER: Table = table(13, 5, SCATTERED_BYTES);
/// The highest version of a key that was admitted.
pub const VERSIONS: Table = table(14, 5, SCATTERED_BYTES);
/// Events that have been passed by and could not go yet.
pub const EXPIRY: Table = table(15, 1, SCATTERED_BYTES);
/// Replays, running and ended.
pub const REPLAYS: Table = table(16, 1, SCATTERED_BYTES);
/// Keys of which an event has gone out, and others are left out.
pub const SEEN: Table = table(17, 5, SCATTERED_BYTES);
/// When that ends.
pub const FADES: Table = table(18, 1, SCATTERED_BYTES);
/// Standing holds.
pub const HOLDS: Table = table(19, 1, SCATTERED_BYTES);
// Numbers from 20 on are for tables to come (quarantine, tokens).

/// All of them, in the order of their bytes.
const TABLES: [&Table; 19] = [
    &META,
    &EVENTS,
    &BODIES,
    &DUE_FRESH,
    &DUE_TIMED,
    &FLIGHT,
    &STEPS,
    &DEAD,
    &IDEMPOTENCY,
    &LANES,
    &ENDPOINTS,
    &PIECES,
    &ORDER,
    &VERSIONS,
    &EXPIRY,
    &REPLAYS,
    &SEEN,
    &FADES,
    &HOLDS,
];

/// The table that a key is of.
pub fn table_of(key: &Key) -> Option<&'static Table> {
    let byte = key.as_slice().first()?;
    TABLES.iter().find(|table| table.byte == *byte).copied()
}
