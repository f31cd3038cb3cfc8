//! The binary: arguments in, exit code out.

use std::process::ExitCode;

use postrider::cli;
use postrider::daemon::clock;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run(std::env::args_os(), clock::now)
}
