//! From a name to addresses: bounded, cached, and each name asked for once at a time.
//!
//! The system's resolver cannot be cancelled: a dead name server holds a thread for many seconds.
//! So look-ups run beside the attempts, at most [`LOOKUPS_MAX`] at once, and an attempt that does
//! not want to wait any longer leaves its look-up to the others that do. Names that do not resolve
//! leave some of the look-ups to those that did the last time. Nothing here judges addresses; that
//! is done by `guard` for each attempt, cached answer or not.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::sync::watch;

use crate::courier::settings::Clock;
use crate::courier::settings::Spawner;
use crate::model::Time;

/// Look-ups under way at once.
pub const LOOKUPS_MAX: usize = 32;
/// Of these, so many only for names that had addresses when they were asked for last.
pub const LOOKUPS_KEPT: usize = 8;
/// Names remembered; the answers for further ones are used once and forgotten.
pub const NAMES_MAX: usize = 4096;
/// Addresses of one name that are looked at; further ones are never called.
pub const ADDRESSES_MAX: usize = 32;
/// How long a failed look-up is not repeated, in seconds.
pub const NEGATIVE_TTL_SECS: u64 = 5;

/// Addresses of a name, or why there are none.
pub type Answer = Result<Arc<[IpAddr]>, LookupError>;

/// A look-up under way.
pub type Lookup = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// Asks for the addresses of names.
pub trait Resolve: Send + Sync {
    /// All addresses of this name.
    fn resolve(&self, name: Arc<str>) -> Lookup;
}

/// The system's resolver: `/etc/hosts`, nsswitch, the name servers of `resolv.conf`.
#[derive(Clone, Copy, Debug)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, name: Arc<str>) -> Lookup {
        Box::pin(async move {
            let found = tokio::net::lookup_host((&*name, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// Why a name gave no addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// It does not exist, or the name service failed.
    #[error("the name does not resolve: {0}")]
    Failed(String),
    /// As many look-ups as may be are under way, and hang.
    #[error("too many name look-ups are under way already")]
    Overloaded,
    /// No answer in time; the look-up goes on.
    #[error("the name service did not answer in time")]
    Timeout,
}

/// The names that were asked for lately.
#[derive(Clone)]
pub struct Names {
    resolver: Arc<dyn Resolve>,
    spawner: Spawner,
    clock: Clock,
    ttl: Duration,
    permits: Arc<Semaphore>,
    kept: Arc<Semaphore>,
    entries: Arc<Mutex<HashMap<Arc<str>, Entry>>>,
}

enum Entry {
    Known { answer: Answer, until: Time },
    Flying(watch::Receiver<Option<Answer>>),
}

impl Names {
    /// Nothing known yet; answers are used again for `ttl`.
    pub fn new(resolver: Arc<dyn Resolve>, spawner: Spawner, clock: Clock, ttl: Duration) -> Names {
        let permits = Arc::new(Semaphore::new(LOOKUPS_MAX - LOOKUPS_KEPT));
        let kept = Arc::new(Semaphore::new(LOOKUPS_KEPT));
        Names { resolver, spawner, clock, ttl, permits, kept, entries: Arc::default() }
    }

    /// Whether a look-up of this name would be answered at once.
    pub fn knows(&self, name: &str) -> bool {
        let now = (self.clock)();
        let entries = lock(&self.entries);
        matches!(entries.get(name), Some(Entry::Known { until, .. }) if now < *until)
    }

    /// The addresses of a name, waiting at most `timeout` for them.
    ///
    /// # Errors
    /// [`LookupError`].
    pub async fn lookup(&self, name: &Arc<str>, timeout: Duration) -> Answer {
        let mut flight = match self.known_or_flying(name)? {
            Entry::Known { answer, .. } => return answer,
            Entry::Flying(flight) => flight,
        };
        let landed = tokio::time::timeout(timeout, flight.wait_for(Option::is_some)).await;
        match landed {
            Ok(Ok(answer)) => answer.clone().unwrap_or(Err(LookupError::Timeout)),
            Ok(Err(_)) => Err(LookupError::Failed("the look-up was abandoned".to_owned())),
            Err(_) => Err(LookupError::Timeout),
        }
    }

    fn known_or_flying(&self, name: &Arc<str>) -> Result<Entry, LookupError> {
        let now = (self.clock)();
        let mut entries = lock(&self.entries);
        match entries.get(name) {
            Some(Entry::Known { answer, until }) if now < *until => {
                return Ok(Entry::Known { answer: answer.clone(), until: *until });
            }
            Some(Entry::Flying(flight)) if flight.has_changed().is_ok() => {
                return Ok(Entry::Flying(flight.clone()));
            }
            _ => {}
        }
        let resolved = matches!(entries.get(name), Some(Entry::Known { answer: Ok(_), .. }));
        let mut permit = Arc::clone(&self.permits).try_acquire_owned();
        if permit.is_err() && resolved {
            permit = Arc::clone(&self.kept).try_acquire_owned();
        }
        let permit = permit.map_err(|_| LookupError::Overloaded)?;
        let (land, flight) = watch::channel(None);
        make_room(&mut entries, now);
        if entries.len() < NAMES_MAX || entries.contains_key(name) {
            entries.insert(Arc::clone(name), Entry::Flying(flight.clone()));
        }
        drop(entries);
        let (names, name) = (self.clone(), Arc::clone(name));
        self.spawner.run(async move {
            let result = names.resolver.resolve(Arc::clone(&name)).await;
            let answer = answer_of(result);
            names.remember(&name, &answer);
            land.send_replace(Some(answer));
            drop(permit);
        });
        Ok(Entry::Flying(flight))
    }

    fn remember(&self, name: &Arc<str>, answer: &Answer) {
        let ttl = match answer {
            Ok(_) => self.ttl,
            Err(_) => Duration::from_secs(NEGATIVE_TTL_SECS).min(self.ttl),
        };
        let until = (self.clock)() + ttl;
        if let Some(entry) = lock(&self.entries).get_mut(name) {
            *entry = Entry::Known { answer: answer.clone(), until };
        }
    }
}

fn answer_of(result: io::Result<Vec<IpAddr>>) -> Answer {
    match result {
        Ok(all) if all.is_empty() => Err(LookupError::Failed("it has no address".to_owned())),
        Ok(all) => Ok(all.into_iter().take(ADDRESSES_MAX).collect()),
        Err(error) => Err(LookupError::Failed(error.to_string())),
    }
}

/// Forgets answers that are out of date, but only once there is no more room.
fn make_room(entries: &mut HashMap<Arc<str>, Entry>, now: Time) {
    if entries.len() >= NAMES_MAX {
        entries.retain(|_, entry| match entry {
            Entry::Known { until, .. } => now < *until,
            Entry::Flying(_) => true,
        });
    }
}

/// The lock is held for map operations only, which leave no half-done state behind a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
