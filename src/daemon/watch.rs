//! What has to be looked at now and then: the disk, idle connections, and whether we are alive.

use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;

use crate::daemon::disk::Disk;
use crate::daemon::shared::Shared;
use crate::store::Checkpoint;
use crate::store::packed::ReadError;

/// How often the disk is looked at.
const ROUND: Duration = Duration::from_secs(5);

/// A commit, or a read, that takes longer than this may wait for one that has failed without
/// anybody noticing.
const COMMIT_SLOW: Duration = Duration::from_secs(5);

/// Looks after things until the hub is gone.
pub(crate) async fn run(shared: Arc<Shared>, disk: Arc<Disk>, alarm: Checkpoint) {
    let watchdog = watchdog_interval();
    let round = watchdog.map_or(ROUND, |interval| interval.min(ROUND));
    let mut said = String::new();
    let mut ticks = tokio::time::interval(round);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let disk = Arc::clone(&disk);
        let looked = tokio::task::spawn_blocking(move || disk.round());
        // a disk that does not answer is no reason not to look whether we are alive
        let looked = tokio::time::timeout(COMMIT_SLOW, looked).await;
        if matches!(looked, Ok(Err(_))) || !alive(&shared, &alarm, &mut said).await {
            return;
        }
        let rules = shared.rules.load_full();
        rules.courier.sweep(shared.clock.now());
    }
}

/// Waits for the writer's end, which may wait for a write that has failed.
pub(crate) async fn end_of<T>(mut writer: tokio::task::JoinHandle<T>, alarm: &Checkpoint) {
    while tokio::time::timeout(COMMIT_SLOW, &mut writer).await.is_err() {
        raise(alarm);
    }
}

/// Wakes whoever waits for a write that has failed. It has a thread of its own, and nobody waits
/// for it: begun before the failure, it is stuck as well; only one that is begun later finds it.
fn raise(alarm: &Checkpoint) {
    let alarm = alarm.clone();
    // an error is what the writer ends with, and is logged then
    let _ = std::thread::Builder::new().name("alarm".to_owned()).spawn(move || alarm.make());
}

/// Half of what systemd allows between two signs of life; `None` where it does not watch.
fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 2)
}

/// A sign of life, only after the hub has answered, the store was read, and no commit hangs.
/// Whether the hub is there.
async fn alive(shared: &Arc<Shared>, alarm: &Checkpoint, said: &mut String) -> bool {
    let Some(sight) = shared.look().await else { return false };
    let now = shared.clock.now();
    if sight.committing_since.is_some_and(|since| now.since(since) > COMMIT_SLOW) {
        tracing::warn!(event = "store.slow_commit", "a commit has taken more than {COMMIT_SLOW:?}");
        raise(alarm);
    }
    // a reader waits for the writer
    let ping = tokio::time::timeout(COMMIT_SLOW, shared.read(|reader| reader.ping()));
    let Ok(read) = ping.await else {
        tracing::warn!(event = "store.slow_read", "a read has taken more than {COMMIT_SLOW:?}");
        raise(alarm);
        return true;
    };
    let read = read.map(|read| read.and_then(|ping| ping));
    if let Some(Err(error)) = &read {
        shared.metrics.store_read_failed();
        tracing::error!(event = "store.error", op = "ping", %error);
    }
    let waiting: u64 = sight.lanes.iter().map(|(_, _, counts, _)| counts.pending()).sum();
    let held: Vec<_> = sight.lanes.iter().filter(|(_, state, ..)| !state.is_up()).collect();
    let mut status = format!("{} sending, {waiting} waiting", sight.flights);
    if let [(no, state, ..), ..] = held.as_slice() {
        let name = shared.rules.load().book.name(*no);
        status.push_str(&format!(", {name} {}", state.word()));
    }
    let states = signs(read.as_ref(), &status, said);
    if !states.is_empty() {
        // where nobody listens there is nobody to tell
        let _ = sd_notify::notify(&states);
        *said = status;
    }
    true
}

/// What the service manager is told: nothing unless the store was read; else that we live, and how
/// it goes where that is not what was said last.
fn signs<'a>(
    read: Option<&Result<(), ReadError>>,
    status: &'a str,
    said: &str,
) -> Vec<NotifyState<'a>> {
    let Some(Ok(())) = read else { return Vec::new() };
    let mut states = vec![NotifyState::Watchdog];
    if status != said {
        states.push(NotifyState::Status(status));
    }
    states
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::layout;

    #[test]
    fn there_is_no_sign_of_life_without_a_read_of_the_store() {
        let words = |read: Option<Result<(), ReadError>>, said: &str| -> Vec<String> {
            let states = signs(read.as_ref(), "0 sending", said);
            states.iter().map(ToString::to_string).collect()
        };
        assert_eq!(words(Some(Ok(())), ""), ["WATCHDOG=1", "STATUS=0 sending"]);
        assert_eq!(words(Some(Ok(())), "0 sending"), ["WATCHDOG=1"]);
        let (key, fault) = (layout::format_key(), "it is missing");
        let unreadable = Err(ReadError::Entry { key, fault });
        assert_eq!(words(Some(unreadable), ""), [""; 0], "the store does not answer");
        assert_eq!(words(None, ""), [""; 0], "nobody reads any more");
    }
}
