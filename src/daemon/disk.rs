//! Watches the disk, so that events are refused before it is full.
//!
//! The disk is low below `storage.min_free_disk`, and as long as the ballast does not stand: what
//! that gave back is for sending what is stored. The hub is told before anything is served, after
//! every group of commits that takes the disk below its mark, and in every round. That there is
//! room again is said in rounds only, so that a disk at its mark does not change its mind with
//! every commit.

use std::io;
use std::sync::Mutex;
use std::sync::PoisonError;

use tokio::sync::mpsc;

use crate::daemon::shared::Message;
use crate::store::space::Space;

/// The disk, and what the hub was told about it last.
pub(crate) struct Disk {
    space: Space,
    hub: mpsc::UnboundedSender<Message>,
    low: Mutex<bool>,
}

impl Disk {
    /// Of a hub that thinks that there is room.
    pub(crate) fn new(space: Space, hub: mpsc::UnboundedSender<Message>) -> Disk {
        Disk { space, hub, low: Mutex::new(false) }
    }

    /// The look of every round: puts the ballast back if there is room for it, and tells the hub
    /// what has changed. Blocks for as long as the file system takes.
    pub(crate) fn round(&self) {
        if let Err(error) = self.space.put_ballast() {
            tracing::warn!(event = "store.error", op = "ballast", %error);
        }
        let mut low = self.lock();
        match self.space.is_low() {
            Ok(now) if now != *low => {
                *low = now;
                self.tell(now);
            }
            Ok(_) => {}
            Err(error) => unanswered(&error),
        }
    }

    /// The look after a group of commits: tells the hub if the disk has become low.
    pub(crate) fn written(&self) {
        let mut low = self.lock();
        if *low {
            return;
        }
        match self.space.is_low() {
            Ok(now) if now => {
                *low = true;
                self.tell(true);
            }
            Ok(_) => {}
            Err(error) => unanswered(&error),
        }
    }

    fn tell(&self, low: bool) {
        let free = self.space.free_bytes().unwrap_or_default();
        if low {
            tracing::warn!(event = "store.disk_low", free, "submissions are refused");
        } else {
            tracing::info!(event = "store.disk_ok", free, "submissions are taken again");
        }
        // a hub that has ended takes no submissions either
        let _ = self.hub.send(Message::DiskLow(low));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, bool> {
        self.low.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unanswered(error: &io::Error) {
    tracing::warn!(event = "store.error", op = "statvfs", %error);
}

#[cfg(test)]
mod tests {
    use super::*;

    const BALLAST: u64 = 64 * 1024;

    fn told(inbox: &mut mpsc::UnboundedReceiver<Message>) -> Option<bool> {
        inbox.try_recv().ok().map(|message| match message {
            Message::DiskLow(low) => low,
            _ => panic!("nothing else is said here"),
        })
    }

    #[test]
    fn a_disk_below_its_mark_is_told_of_once() {
        let home = tempfile::tempdir().unwrap();
        let (hub, mut inbox) = mpsc::unbounded_channel();
        let disk = Disk::new(Space::new(home.path(), u64::MAX, 0), hub);
        disk.written();
        assert_eq!(told(&mut inbox), Some(true));
        disk.written();
        disk.round();
        assert_eq!(told(&mut inbox), None);
    }

    #[test]
    fn events_are_taken_when_the_ballast_stands_again_and_a_round_has_seen_it() {
        let home = tempfile::tempdir().unwrap();
        let (hub, mut inbox) = mpsc::unbounded_channel();
        let disk = Disk::new(Space::new(home.path(), 0, BALLAST), hub);
        disk.written();
        assert_eq!(told(&mut inbox), Some(true), "the ballast is gone");
        assert!(disk.space.put_ballast().unwrap());
        disk.written();
        assert_eq!(told(&mut inbox), None, "a commit does not say that there is room");
        disk.round();
        assert_eq!(told(&mut inbox), Some(false));
    }

    #[test]
    fn a_round_puts_the_ballast_back() {
        let home = tempfile::tempdir().unwrap();
        let (hub, mut inbox) = mpsc::unbounded_channel();
        let disk = Disk::new(Space::new(home.path(), 0, BALLAST), hub);
        disk.round();
        assert_eq!(told(&mut inbox), None, "the hub thinks so already");
        assert!(disk.space.used_bytes().unwrap() >= BALLAST);
    }
}
