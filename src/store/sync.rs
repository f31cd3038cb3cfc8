//! Makes the underlying store's writes reach the disk.
//!
//! On Linux it writes its log with `sync_file_range`, which commits neither the file's metadata nor
//! the disk's own cache: a power cut takes what was acknowledged. Where that call is answered with
//! `ENOSYS`, it falls back, by its own code, to `fsync` for every log write. So the process forbids
//! itself the call with a seccomp filter, before the store is opened. The filter is inherited by
//! programs that the process starts, and allows everything else.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use seccompiler::BpfProgram;
use seccompiler::SeccompAction;
use seccompiler::SeccompFilter;
use seccompiler::TargetArch;

/// The number of `sync_file_range` (Linux, `asm/unistd.h`).
#[cfg(target_arch = "x86_64")]
const SYNC_FILE_RANGE: i64 = 277;
/// The number of `sync_file_range` (Linux, `asm-generic/unistd.h`).
#[cfg(not(target_arch = "x86_64"))]
const SYNC_FILE_RANGE: i64 = 84;

/// Why writes cannot be made to reach the disk.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SyncError {
    /// The filter cannot be made for this machine.
    #[error("no system call filter for this machine: {0}")]
    Machine(String),
    /// The kernel, or the sandbox that the process runs in, refuses it.
    #[error("the system call filter was refused: {0}")]
    Refused(String),
    /// It was accepted, but is not seen to be in force.
    #[error("the system call filter is not in force: {0}")]
    NotInForce(String),
}

/// From now on, in every thread of this process, `sync_file_range` answers `ENOSYS`. Called again,
/// it gives the first answer.
///
/// # Errors
/// [`SyncError`] if that is not so. What is "stable" then survives the death of the process, but
/// not that of the machine.
pub fn install() -> Result<(), SyncError> {
    static INSTALLED: OnceLock<Result<(), SyncError>> = OnceLock::new();
    INSTALLED.get_or_init(install_once).clone()
}

fn install_once() -> Result<(), SyncError> {
    let program = program()?;
    let before = filters_of_this_thread();
    seccompiler::apply_filter_all_threads(&program)
        .map_err(|error| SyncError::Refused(error.to_string()))?;
    verify(before)
}

fn program() -> Result<BpfProgram, SyncError> {
    let machine = |error: &dyn std::fmt::Display| SyncError::Machine(error.to_string());
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(|error| machine(&error))?;
    let errno = rustix::io::Errno::NOSYS.raw_os_error().unsigned_abs();
    let always = Vec::new();
    let filter = SeccompFilter::new(
        BTreeMap::from([(SYNC_FILE_RANGE, always)]),
        SeccompAction::Allow,
        SeccompAction::Errno(errno),
        arch,
    );
    filter.and_then(BpfProgram::try_from).map_err(|error| machine(&error))
}

/// That this thread has one filter more than before, and every other thread has one at all.
fn verify(before: u32) -> Result<(), SyncError> {
    let missing = |what: String| Err(SyncError::NotInForce(what));
    let threads = match std::fs::read_dir("/proc/self/task") {
        Ok(threads) => threads,
        Err(error) => return missing(format!("/proc/self/task cannot be read: {error}")),
    };
    for thread in threads.flatten() {
        // A thread that has ended meanwhile has no status any more.
        let Ok(status) = std::fs::read_to_string(thread.path().join("status")) else { continue };
        if field(&status, "Seccomp:") != Some(2) {
            return missing(format!("thread {} has none", thread.file_name().display()));
        }
    }
    let own = std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    match field(&own, "Seccomp_filters:") {
        // Kernels before 5.9 do not count them.
        None if field(&own, "Seccomp:") == Some(2) => Ok(()),
        Some(now) if now > before => Ok(()),
        _ => missing("the kernel does not count it".to_owned()),
    }
}

fn filters_of_this_thread() -> u32 {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    field(&status, "Seccomp_filters:").unwrap_or(0)
}

fn field(status: &str, name: &str) -> Option<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_is_in_force_in_every_thread() {
        let (start, wait) = std::sync::mpsc::channel::<()>();
        let (tell, told) = std::sync::mpsc::channel();
        let other = std::thread::spawn(move || {
            let _ = wait.recv();
            let _ = tell.send(filters_of_this_thread());
        });
        install().unwrap();
        install().unwrap();
        start.send(()).unwrap();
        assert!(told.recv().unwrap() >= 1);
        other.join().unwrap();
    }

    #[test]
    fn a_missing_filter_is_noticed() {
        assert!(verify(u32::MAX).is_err());
    }
}
