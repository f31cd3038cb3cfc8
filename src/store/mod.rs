//! The durable outbox: sled behind one writer.
