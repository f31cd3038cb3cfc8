//! Rules as functions: no state, no clock, no chance of their own. What they need to know comes as
//! an argument, so that the same question always has the same answer.

pub mod backoff;
pub mod routing;
pub mod verdict;
