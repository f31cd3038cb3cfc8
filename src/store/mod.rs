//! The durable outbox: what the engine decides, remembered atomically and durably.
//!
//! Underneath is sled, one tree, changed by one [`writer`] and read by any number of [`read`]ers.
//! Memory there grows with the number of keys, so the entries of our tables ([`layout`]) are packed
//! into [`page`]s ([`packed`], and [`scan`] for readers). [`fold`] says what each record does to
//! the tables, [`batches`] how that is cut into atomic batches.
//!
//! What was changed is safe once it stands in the [`journal`]; the underlying store gets it later,
//! many commits at a time, and is synced now and then.
//!
//! Invariants:
//! - Nothing is answered before it is synced, and there is one place that syncs.
//! - Every record is one atomic unit; no batch holds more than [`batches::OPERATIONS_MAX`] pages.
//! - No value is longer than [`page::PAGE_BYTES_MAX`]: the underlying store writes longer ones
//!   without ever syncing them.
//! - A write reaches the disk ([`sync`]), or the store says that it does not.
//! - Opening costs nothing that depends on the backlog, and deletes nothing.

pub mod key;
pub mod page;
pub mod packed;
pub mod scan;
pub mod layout;
pub mod large;
pub mod journal;
pub mod batches;
pub mod fold;
mod checkpoint;
mod shown;
pub mod writer;
pub mod read;
mod lists;
mod replays;
pub mod sync;
pub mod space;
pub mod open;

pub use batches::CommitError;
pub use checkpoint::Checkpoint;
pub use layout::EventHead;
pub use lists::DeadRow;
pub use open::Durability;
pub use open::OpenError;
pub use open::Opened;
pub use open::Options;
pub use open::Recovered;
pub use open::open;
pub use packed::ReadError;
pub use read::DeliveryRecord;
pub use read::Reader;
pub use read::Readers;
pub use space::Space;
pub use writer::Commit;
pub use writer::Receipts;
pub use writer::Writer;

#[cfg(test)]
mod tests;
