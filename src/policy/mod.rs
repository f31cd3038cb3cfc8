//! Rules as functions: no state, no clock, no chance of their own. What they need to know comes as
//! an argument, so that the same question always has the same answer.

pub mod backoff;
pub mod breaker;
pub mod courtesy;
pub mod dedupe;
pub mod ebb;
pub mod header;
pub mod hex;
pub mod keys;
pub mod order;
pub mod payload;
pub mod pulse;
pub mod rate;
pub mod retention;
pub mod retry_after;
pub mod routing;
pub mod scheme;
pub mod sign;
pub mod signs;
pub mod verdict;
pub mod verify;
pub mod window;
