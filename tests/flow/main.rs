//! Flow control as its users meet it: the real binary, real sockets, receivers that behave badly.
//!
//! - `neighbours`: endpoints that hang, refuse, reset, fail or drip do not hurt a healthy one.
//! - `backlog`: what is parked for a dead endpoint costs no memory, no speed and no time to start,
//!   and is delivered when the endpoint is back.
//! - `order`: deliveries of one key arrive in the order of submission, through failures and kills.
//! - `rate`: a rate is not exceeded in any second. Ignored, since it takes a while.
//!
//! The short forms run with every test; they bound what a busy machine can bear. The long forms
//! hold the figures:
//!
//! ```sh
//! FLOW_SECS=10 FLOW_ROUNDS=3 FLOW_PARKED=1000000 FLOW_KILLS=20 FLOW_SEED=1 \
//!     cargo test --release --test flow -- --include-ignored --test-threads 1 --nocapture
//! ```
//!
//! - `FLOW_SECS`: seconds of each measurement (5); with it, the time to start is held to its bound.
//! - `FLOW_ROUNDS`: how often each is measured (3); the median counts.
//! - `FLOW_PARKED`: the backlog (20000; 500000 where figures are compared).
//! - `FLOW_PACE`: events a second while latency is measured (100).
//! - `FLOW_KILLS`: how often the daemon is killed while order is watched (3).
//! - `FLOW_EVENTS`: events of each key (40).
//! - `FLOW_SEED` repeats the random choices of an earlier run, not its timing.
//! - `POSTRIDER_BIN` names the binary if it is not the one that cargo built.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "what helpers of a test cannot do fails the test; a measurement says what it saw"
)]

#[expect(dead_code, reason = "only a part of it is needed here")]
#[path = "../harness/mod.rs"]
mod harness;
#[path = "../harness/measure.rs"]
mod measure;

mod backlog;
mod bad;
mod load;
mod neighbours;
mod order;
mod rate;
mod sink;

use measure::number;

/// The seed of this run's random choices, which it says.
fn seed() -> u64 {
    let seed = number("FLOW_SEED").unwrap_or_else(|| fastrand::u32(..));
    println!("FLOW_SEED={seed}");
    u64::from(seed)
}
