//! Connections that wait for the next request.
//!
//! A connection is used again only for the same scheme, host and port, and only if its address is
//! among those that the guard has passed in the attempt that wants it: a name that moved, or rules
//! that changed, leave it unused until it is swept out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use crate::courier::link::Link;
use crate::courier::target::Key;
use crate::model::Time;

/// Idle connections to one host and port.
pub const IDLE_PER_HOST_MAX: usize = 64;
/// Idle connections in all.
pub const IDLE_MAX: usize = 1024;

pub(super) struct Pool {
    idle_timeout: Duration,
    hosts: Mutex<HashMap<Key, Vec<Idle>>>,
}

struct Idle {
    link: Link,
    since: Time,
}

impl Pool {
    pub(super) fn new(idle_timeout: Duration) -> Pool {
        Pool { idle_timeout, hosts: Mutex::default() }
    }

    /// A connection to one of these addresses, the most recently used one first.
    pub(super) fn take(&self, key: &Key, allowed: &[IpAddr], now: Time) -> Option<Link> {
        let mut hosts = self.lock();
        let idle = hosts.get_mut(key)?;
        idle.retain(|idle| self.is_fresh(idle, now));
        let fits = |idle: &Idle| allowed.contains(&idle.link.peer.ip().to_canonical());
        let place = idle.iter().rposition(fits);
        let link = place.and_then(|place| match idle.get_mut(place) {
            Some(Idle { link, since }) if link.is_h2() => {
                *since = now;
                link.share()
            }
            _ => Some(idle.remove(place).link),
        });
        if idle.is_empty() {
            hosts.remove(key);
        }
        link
    }

    /// Keeps a connection whose last response was read to its end.
    pub(super) fn put(&self, key: &Key, mut link: Link, now: Time) {
        if link.is_spent() {
            return;
        }
        link.reused = true;
        let mut hosts = self.lock();
        let total: usize = hosts.values().map(Vec::len).sum();
        if total >= IDLE_MAX {
            return;
        }
        let idle = hosts.entry(key.clone()).or_default();
        // One connection that requests share is enough.
        let shares = |idle: &Idle| idle.link.is_h2() && !idle.link.is_spent();
        let served = link.is_h2() && idle.iter().any(shares);
        if !served && idle.len() < IDLE_PER_HOST_MAX {
            idle.push(Idle { link, since: now });
        }
    }

    /// Closes what was unused for too long.
    pub(super) fn sweep(&self, now: Time) {
        self.lock().retain(|_, idle| {
            idle.retain(|idle| self.is_fresh(idle, now));
            !idle.is_empty()
        });
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.lock().values().map(Vec::len).sum()
    }

    fn is_fresh(&self, idle: &Idle, now: Time) -> bool {
        !idle.link.is_spent() && now < idle.since + self.idle_timeout
    }

    /// The lock is held for map operations only, which leave no half-done state behind a panic.
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Vec<Idle>>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
