//! The durable outbox: sled behind one writer.

pub mod key;
pub mod page;
pub mod packed;
pub mod scan;
pub mod layout;
pub mod large;
pub mod batches;
pub mod fold;
pub mod writer;
pub mod read;
pub mod sync;
pub mod space;
pub mod open;
