//! The command line through the real binary: what it prints, where, and how it ends.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what helpers of a test cannot do fails the test"
)]

mod commands;
mod exit_codes;
mod help;
mod manual;
mod replay;
mod send;
mod simulate;
mod world;
