//! The hub: the only module that spawns, reads the clock and hears signals.
//!
//! [`run`] brings the daemon up and down; `hub` is the loop around the engine; `backend` is the
//! daemon's side of the management API, `desk` its side of the intake; `book` binds endpoints to
//! their numbers and targets.

pub mod clock;
pub mod log;
pub mod run;
mod attempt;
mod backend;
mod book;
mod couriers;
mod desk;
mod disk;
mod hub;
mod journal;
mod notice;
mod opening;
mod roster;
mod serve;
mod serving;
mod shared;
mod sockets;
mod watch;
