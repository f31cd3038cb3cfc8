//! Where a daemon lives here: its configuration, its endpoints, and the disk of its store.

use std::path::PathBuf;

use rustix::process::Signal;

use crate::disk::Disk;
use crate::harness::daemon::Daemon;
use crate::harness::daemon::Home;
use crate::harness::receiver::Receiver;
use crate::mount::Mount;

/// Nothing is kept long that has ended, so that retention is always at work.
const SETTINGS: &str = "
[ingest]
idempotency_window = \"30m\"
[retention]
delivered_payload = \"1s\"
dead_payload = \"30m\"
events = \"30m\"
sweep_every = \"100ms\"
";

/// An endpoint that keeps refusing is tried all the time.
const REFUSED: &str = "types = [\"pledge.kept\"]
retry = { policy = \"exponential\", base = \"1s\", factor = 2.0, max = \"5s\", max_attempts = 1000 }
breaker = { open_for = \"1s\", open_max = \"2s\" }";

/// A daemon on a mounted disk. Fields are dropped in this order.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) daemon: Daemon,
    mount: Mount,
}

#[derive(Debug)]
pub(crate) struct Place {
    home: Home,
    mount_point: PathBuf,
    /// Has everything delivered.
    pub(crate) taken: Receiver,
    refused: Receiver,
}

impl Place {
    /// `durability` as in `storage.durability`.
    pub(crate) fn new(durability: &str) -> Place {
        let (taken, refused) = (Receiver::start(), Receiver::start());
        refused.always(503);
        let home = Home::new()
            .endpoint("kept", &taken, "types = [\"pledge.kept\"]\npaused = true")
            .endpoint("refused", &refused, REFUSED)
            .endpoint("taken", &taken, "types = [\"**\"]")
            .more(SETTINGS);
        let mount_point = home.path("disk");
        std::fs::create_dir(&mount_point).unwrap();
        let home = home
            .set("POSTRIDER_STORAGE__PATH", mount_point.join("store"))
            .set("POSTRIDER_STORAGE__DURABILITY", durability);
        home.write_config();
        Place { home, mount_point, taken, refused }
    }

    /// Starts a daemon on this disk, whether or not it will be ready.
    pub(crate) fn start(&self, disk: &Disk) -> Running {
        self.taken.forget();
        self.refused.forget();
        let mount = Mount::new(disk, &self.mount_point).unwrap();
        Running { daemon: self.home.spawn(self.home.command()), mount }
    }
}

impl Running {
    /// Waits until it is ready; `false` where it is not, in time or at all.
    pub(crate) fn is_ready(&self) -> bool {
        self.daemon.logged_or_ended("daemon.ready").is_some()
    }

    /// Stops it; gives its exit code, `None` where a signal ended it.
    pub(crate) fn stop(&mut self) -> Option<i32> {
        if !self.daemon.has_ended() {
            self.daemon.signal(Signal::TERM);
        }
        self.daemon.exit_code()
    }

    /// The power goes, if it has not gone: process and disk stop, and what was not synced is lost.
    pub(crate) fn cut(self, disk: &Disk) {
        disk.cut_power();
        self.daemon.kill();
        drop(self.mount);
        disk.lose_unsynced();
    }
}
