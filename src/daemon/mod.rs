//! The hub: the only module that spawns, reads the clock and hears signals.

pub mod clock;
pub mod log;
mod backend;
mod book;
mod couriers;
mod shared;
