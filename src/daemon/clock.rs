//! The wall clock, read in one place.

use std::time::SystemTime;

use crate::model::Time;

/// Now, by the system's wall clock; a clock before 1970 reads as 1970.
#[expect(clippy::disallowed_methods, reason = "this is the place that reads the clock")]
pub fn now() -> Time {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Time::ZERO + since_epoch
}
