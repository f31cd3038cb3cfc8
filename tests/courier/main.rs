//! The courier against receivers that misbehave in every way we know of, over real sockets.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that fails is meant to panic"
)]

mod receiver;
mod world;
mod authority;

mod answers;
mod bounds;
mod breaks;
mod h2;
mod names;
mod reuse;
mod secure;
