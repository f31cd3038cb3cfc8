//! What has to be looked at now and then: the disk, idle connections, and whether we are alive.

use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;

use crate::daemon::shared::Message;
use crate::daemon::shared::Shared;

/// How often the disk is looked at.
const ROUND: Duration = Duration::from_secs(5);

/// Looks after things until the hub is gone.
pub(crate) async fn run(shared: Arc<Shared>) {
    let watchdog = watchdog_interval();
    let round = watchdog.map_or(ROUND, |interval| interval.min(ROUND));
    let mut low = false;
    let mut said = String::new();
    let mut ticks = tokio::time::interval(round);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if !check_disk(&shared, &mut low).await || !alive(&shared, &mut said).await {
            return;
        }
        let rules = shared.rules.load_full();
        rules.courier.sweep(shared.clock.now());
    }
}

/// Half of what systemd allows between two signs of life; `None` where it does not watch.
fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 2)
}

/// Tells the hub when the disk becomes low or stops being so. Whether the hub is there.
async fn check_disk(shared: &Arc<Shared>, low: &mut bool) -> bool {
    let looking = Arc::clone(shared);
    let look = move || (looking.space.is_low(), looking.space.free_bytes());
    let Ok((is_low, free)) = tokio::task::spawn_blocking(look).await else { return false };
    let free = free.unwrap_or_default();
    match is_low {
        Ok(now) if now != *low => {
            *low = now;
            if now {
                tracing::warn!(event = "store.disk_low", free, "submissions are refused");
            } else {
                tracing::info!(event = "store.disk_ok", free, "submissions are taken again");
            }
            shared.hub.send(Message::DiskLow(now)).is_ok()
        }
        Ok(_) => true,
        Err(error) => {
            tracing::warn!(event = "store.error", op = "statvfs", %error);
            true
        }
    }
}

/// A sign of life, only after the hub has answered and the store was read. Whether the hub is
/// there.
async fn alive(shared: &Arc<Shared>, said: &mut String) -> bool {
    let Some(sight) = shared.look().await else { return false };
    if let Some(Err(error)) = shared.read(|reader| reader.ping()).await {
        tracing::error!(event = "store.error", op = "ping", %error);
        return true;
    }
    let waiting: u64 =
        sight.lanes.iter().map(|(_, _, counts, _)| counts.fresh + counts.timed).sum();
    let held: Vec<_> = sight.lanes.iter().filter(|(_, state, ..)| !state.is_active()).collect();
    let mut status = format!("{} sending, {waiting} waiting", sight.flights);
    if let [(no, state, ..), ..] = held.as_slice() {
        let name = shared.rules.load().book.name(*no);
        status.push_str(&format!(", {name} {}", state.word()));
    }
    let mut states = vec![NotifyState::Watchdog];
    if status != *said {
        states.push(NotifyState::Status(&status));
    }
    // where nobody listens there is nobody to tell
    let _ = sd_notify::notify(&states);
    *said = status;
    true
}
