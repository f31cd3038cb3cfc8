//! postrider: durable webhook delivery for one machine.

// -- core: no I/O, no clock, no global randomness, no tokio
pub mod model;
pub mod policy;
pub mod engine;
// -- shell: each module talks to one piece of the world, and not to another
pub mod config;
pub mod store;
pub mod courier;
pub mod intake;
pub mod admin;
// -- hub
pub mod daemon;
pub mod cli;
