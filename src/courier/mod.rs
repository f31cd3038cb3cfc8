//! One attempt: from an event and a target to an outcome.
//!
//! ```text
//! attempt -> names (resolve, cache) -> guard (every address) -> pool | dial (tcp, tls)
//!         -> request (sign) -> exchange (send, read a bounded answer) -> conclude (Attempt)
//! ```
//!
//! Invariants:
//! 1. No byte goes to an address that [`guard`] has not passed in this very attempt, whether the
//!    connection is new or pooled, and whether the host is a name or a literal.
//! 2. A request is put on the wire at most once for each attempt. Only a pooled connection that
//!    was closed before it took the request is replaced, which the receiver cannot have seen.
//! 3. Everything an endpoint can send or hold back is bounded in bytes and in time.
//! 4. Redirects are not followed, the environment names no proxy, nothing is decompressed.
//! 5. A failure is data: [`Courier::attempt`] always answers, and decides nothing.

pub mod conclude;
pub mod dial;
pub mod exchange;
pub mod failure;
pub mod guard;
pub mod link;
pub mod pool;
pub mod push;
pub mod request;
pub mod resolve;
pub mod settings;
pub mod special;
pub mod target;
pub mod tls;

pub use push::{Courier, Handles, Job};
pub use resolve::{Resolve, SystemResolver};
pub use settings::{Clock, EgressRules, IpFamily, Limits, Roots, Settings, Spawner, TlsVersion};
pub use target::{Target, TargetError, TargetSpec};
pub use tls::SetupError;
