//! Opens the store that the configuration names, with patience for a predecessor.

use std::time::Duration;

use crate::config::Config;
use crate::config::value;
use crate::daemon::clock::Clock;
use crate::store::open::Durability;
use crate::store::open::OpenError;
use crate::store::open::Opened;
use crate::store::open::Options;
use crate::store::open::open;

/// How often a store in use is tried again. A process that was killed holds it until the kernel
/// has taken its memory back: up to a second, and its successor may be started before that.
const LOCKED_TRIES_MAX: u32 = 20;
/// How long to wait between two tries.
const LOCKED_WAIT: Duration = Duration::from_millis(100);

/// Opens the store.
///
/// # Errors
/// [`OpenError`]; [`OpenError::Locked`] only if it stays so for two seconds.
pub(crate) fn open_store(config: &Config, clock: &Clock) -> Result<Opened, OpenError> {
    let began = clock.now();
    let opened = open_patiently(&options(config, clock), pause)?;
    say_opened(&opened, clock.now().since(began));
    Ok(opened)
}

fn open_patiently(options: &Options, mut wait: impl FnMut(Duration)) -> Result<Opened, OpenError> {
    let mut tries = 0;
    loop {
        match open(options) {
            Err(OpenError::Locked(path)) if tries < LOCKED_TRIES_MAX => {
                if tries == 0 {
                    let patience = LOCKED_WAIT * LOCKED_TRIES_MAX;
                    tracing::warn!(
                        event = "store.locked",
                        path = %path.display(),
                        "in use by another process: waiting for it for {patience:?} at most",
                    );
                }
                tries += 1;
                wait(LOCKED_WAIT);
            }
            result => return result,
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "there is no runtime yet that could wait")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

fn options(config: &Config, clock: &Clock) -> Options {
    let storage = &config.storage;
    Options {
        path: storage.path.clone(),
        durability: match storage.durability {
            value::Durability::Fsync => Durability::Fsync,
            value::Durability::Process => Durability::Process,
        },
        cache_bytes: storage.cache.get(),
        min_free_bytes: storage.min_free_disk.get(),
        ballast_bytes: storage.ballast.get(),
        now: clock.now(),
    }
}

fn say_opened(opened: &Opened, took: Duration) {
    let pending: u64 = opened.recovered.lanes.iter().map(|(_, c)| c.pending()).sum();
    let recovered_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let clean = opened.recovered.clean;
    tracing::info!(event = "store.opened", recovered_ms, pending, clean);
    if let Some(redated) = opened.recovered.redated {
        tracing::warn!(
            event = "clock.set_back",
            ahead_s = redated.ahead.as_secs(),
            deliveries = redated.deliveries,
            "the last event was admitted at a time that has not come yet: what was dated by that \
             clock is dated again",
        );
    }
    if opened.durability == Durability::Process {
        tracing::warn!(
            event = "store.not_synced",
            "storage.durability is \"process\": a 202 does not survive the loss of power",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Time;

    fn options(home: &std::path::Path) -> Options {
        Options {
            path: home.join("store"),
            durability: Durability::Process,
            cache_bytes: 1 << 20,
            min_free_bytes: 0,
            ballast_bytes: 0,
            now: Time::ZERO,
        }
    }

    #[test]
    fn a_store_in_use_is_waited_for() {
        let home = tempfile::tempdir().unwrap();
        let options = options(home.path());
        let mut predecessor = Some(open(&options).unwrap());
        let mut waits = 0;
        let opened = open_patiently(&options, |time| {
            waits += 1;
            if waits == 3 {
                predecessor = None;
            }
            // its lock goes when its last thread has let go of it
            if waits >= 3 {
                pause(time);
            }
        });
        opened.unwrap();
        assert!(waits >= 3, "{waits}");
    }

    #[test]
    fn a_store_that_stays_in_use_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let options = options(home.path());
        let _other = open(&options).unwrap();
        let mut waited = Duration::ZERO;
        let error = open_patiently(&options, |time| waited += time).unwrap_err();
        assert!(matches!(error, OpenError::Locked(_)), "{error}");
        assert_eq!(waited, Duration::from_secs(2));
    }
}
