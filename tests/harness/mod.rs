//! What tests of the real binary share: a daemon on a directory of its own, a client that speaks
//! HTTP over its sockets, and receivers that remember what arrives. Nothing here sleeps: who waits
//! waits for an arrival, a log line or an answer, and gives up after [`PATIENCE`].

pub(crate) mod client;
pub(crate) mod daemon;
pub(crate) mod receiver;
pub(crate) mod wire;

use std::time::Duration;

/// How long something that must happen may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
