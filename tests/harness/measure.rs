//! What tests that measure share: how long and how much, from the environment, and what the kernel
//! says of a process.

use std::str::FromStr;

/// A number from the environment.
pub(crate) fn number<N: FromStr>(variable: &str) -> Option<N>
where
    N::Err: std::fmt::Debug,
{
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

/// A field of `/proc/PID/status`, such as `Threads:`, or `VmRSS:` in KiB.
pub(crate) fn status(pid: u32, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.split_ascii_whitespace().next().unwrap().parse().unwrap()
}

/// The memory that a process has, in bytes.
pub(crate) fn resident_bytes(pid: u32) -> u64 {
    status(pid, "VmRSS:") * 1024
}
