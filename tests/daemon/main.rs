//! The daemon as a whole: the real binary, over real sockets, judged by what its callers see.
//!
//! The binary is the one that cargo built, or `POSTRIDER_BIN`.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what helpers of a test cannot do fails the test"
)]

#[path = "../harness/mod.rs"]
mod harness;

mod bytes;
mod commands;
mod duplicates;
mod flow;
mod holds;
mod idempotency;
mod limits;
mod metrics;
mod reload;
mod replay;
mod reports;
mod retention;
mod retry;
mod signing;
mod sources;
mod start;
mod stop;
mod systemd;
mod tools;
mod webhooks;
