//! The binary: arguments in, exit code out.

use std::process::ExitCode;
use std::time::Duration;
use std::time::SystemTime;

use postrider::cli;
use postrider::model::Time;

fn main() -> ExitCode {
    cli::run(std::env::args_os(), wall_clock)
}

#[expect(clippy::disallowed_methods, reason = "a client command has no daemon to ask for the time")]
fn wall_clock() -> Time {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Time::ZERO + since_epoch.unwrap_or(Duration::ZERO)
}
