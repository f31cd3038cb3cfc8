//! Subcommands.

pub mod input;
pub mod key_options;
pub mod raw_request;
pub mod receiver;
pub mod secret;
pub mod sign;
pub mod verify;
pub mod listen;
