//! The daemon on a disk that loses what is not synced, and on one whose calls fail.
//!
//! The disk is a file system of ours (FUSE, in memory). When its power goes, it keeps of every file
//! and directory what was synced, and of the rest what chance has put there: pieces of writes out
//! of order, the last one torn, lengths, names. Nothing that was acknowledged may be lost by that,
//! no commit be there by half, and the next start must go by itself. What is acknowledged under
//! `storage.durability = "process"` must be lost, or the disk is too kind. The other way round, one
//! call fails, once or from then on, at every place of a small history: it is said, nothing hangs,
//! and afterwards nothing that was acknowledged is lost.
//!
//! `LOSSY_ROUNDS` says how often the power goes (20), `LOSSY_FAULTS` how many of the failing calls
//! are tried (12; all of them if there are fewer), `LOSSY_SEED` repeats the random choices of an
//! earlier run (not its timing). It takes root and /dev/fuse.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "what helpers of a test cannot do fails the test; one that is skipped says so"
)]

#[expect(dead_code, reason = "only a part of it is needed here")]
#[path = "../harness/mod.rs"]
mod harness;
#[expect(dead_code, reason = "only a part of it is needed here")]
#[path = "../harness/measure.rs"]
mod measure;
#[path = "../harness/pledge.rs"]
mod pledge;

mod cuts;
mod disk;
mod faults;
mod file;
mod mount;
mod place;

use crate::cuts::Verdict;
use crate::harness::client;
use crate::measure::number;

const ROUNDS: u64 = 20;
const FAULTS: usize = 12;

/// The seed of this run; `None` where it cannot run.
fn seed(what: &str) -> Option<u64> {
    let fuse = std::fs::File::options().read(true).write(true).open("/dev/fuse");
    if let Err(error) = fuse {
        println!("skipped: /dev/fuse: {error}");
        return None;
    }
    if !rustix::process::geteuid().is_root() {
        println!("skipped: to mount takes root");
        return None;
    }
    let seed = number("LOSSY_SEED").unwrap_or_else(|| fastrand::u64(..1 << 32));
    println!("{what}: LOSSY_SEED={seed}");
    Some(seed)
}

#[test]
fn what_is_acknowledged_outlives_what_was_not_synced() {
    let Some(seed) = seed("with the filter") else { return };
    let rounds = number("LOSSY_ROUNDS").unwrap_or(ROUNDS);
    let (verdict, tally) = cuts::run("fsync", rounds, seed);
    println!("{tally}");
    assert!(matches!(verdict, Verdict::Whole), "{verdict}");
    assert!(rounds < ROUNDS || tally.is_hard(), "the load was too tame");
}

#[test]
fn without_the_filter_it_does_not() {
    let Some(seed) = seed("without the filter") else { return };
    let (verdict, tally) = cuts::run("process", ROUNDS, seed);
    println!("{tally}: {verdict}");
    let lost = !matches!(verdict, Verdict::Whole) && tally.acknowledged > 0;
    assert!(lost, "nothing was lost: the disk is too kind");
}

#[test]
fn a_call_that_fails_loses_nothing() {
    let Some(seed) = seed("failing calls") else { return };
    println!("{}", faults::run(number("LOSSY_FAULTS").unwrap_or(FAULTS), seed));
}
