//! Rules as functions: no state, no clock, no chance of their own.

pub mod keys;
pub mod sign;
pub mod verify;
pub mod retry_after;
