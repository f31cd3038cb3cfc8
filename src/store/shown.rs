//! How far readers can see: what is safe in the journal, but not in the underlying store yet, is
//! not there for them. So one that comes waits until the writer has handed over what was safe by
//! then: which it does after the commits under way, where somebody waits, and before it sleeps.

use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

/// The numbers of the journal's frames that are safe, and of those that can be read.
#[derive(Debug, Default)]
pub(super) struct Shown {
    safe: AtomicU64,
    /// The highest number that a reader waits for.
    wanted: AtomicU64,
    shown: AtomicU64,
    ended: Mutex<bool>,
    changed: Condvar,
}

impl Shown {
    /// Everything up to this frame is safe, and may be spoken of.
    pub(super) fn is_safe(&self, number: u64) {
        self.safe.store(number, Ordering::Release);
    }

    /// Everything up to this frame can be read.
    pub(super) fn is_shown(&self, number: u64) {
        let _ended = self.lock();
        self.shown.store(number, Ordering::Release);
        self.changed.notify_all();
    }

    /// Whether something is safe that cannot be read yet.
    pub(super) fn is_behind(&self) -> bool {
        self.safe.load(Ordering::Acquire) > self.shown.load(Ordering::Acquire)
    }

    /// Nothing more will be shown.
    pub(super) fn end(&self) {
        *self.lock() = true;
        self.changed.notify_all();
    }

    /// Whether a reader waits for what cannot be read yet.
    pub(super) fn is_waited_for(&self) -> bool {
        self.wanted.load(Ordering::Acquire) > self.shown.load(Ordering::Acquire)
    }

    /// Waits until everything that is safe now can be read, for as long as the writer takes: if it
    /// is stuck, so is this. Whether it can; not where the writer has ended before.
    pub(super) fn wait(&self) -> bool {
        let needed = self.safe.load(Ordering::Acquire);
        let is_shown = || self.shown.load(Ordering::Acquire) >= needed;
        if is_shown() {
            return true;
        }
        self.wanted.fetch_max(needed, Ordering::AcqRel);
        let ended = self.lock();
        drop(self.changed.wait_while(ended, |ended| !*ended && !is_shown()));
        is_shown()
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_waits_for_what_was_safe_when_it_came() {
        let shown = Shown::default();
        assert!(shown.wait(), "there is nothing to wait for");
        shown.is_safe(2);
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| shown.wait());
            while !shown.is_waited_for() {
                std::thread::yield_now();
            }
            assert!(shown.is_behind());
            shown.is_safe(3);
            shown.is_shown(1);
            assert!(!reader.is_finished());
            shown.is_shown(2);
            assert!(reader.join().unwrap());
            let reader = scope.spawn(|| shown.wait());
            while !shown.is_waited_for() {
                std::thread::yield_now();
            }
            shown.end();
            assert!(!reader.join().unwrap(), "what the writer did not hand over cannot be read");
        });
    }
}
