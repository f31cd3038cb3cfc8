//! The store through its public interface: commits in, receipts and reads out, across reopening.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that fails here has failed; clippy exempts only the test functions themselves"
)]

mod damage;
mod fold;
mod golden;
mod journal;
mod large;
mod opening;
mod order;
mod retention;
mod set_back;
#[expect(dead_code, unreachable_pub, reason = "the simulator needs more of it")]
#[path = "../sim/outbox.rs"]
mod outbox;
#[expect(dead_code, unreachable_pub, reason = "the simulator needs more of it")]
#[path = "../sim/pruned.rs"]
mod pruned;
mod replay;
mod support;
mod twice;
#[expect(dead_code, unreachable_pub, reason = "the simulator needs more of it")]
#[path = "../sim/arrivals.rs"]
mod arrivals;
