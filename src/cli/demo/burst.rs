//! Many events at once, with the daemon killed among them.
//!
//! The books are kept here, on the submitters' side: what was answered 202, and under which id. A
//! submission without an answer promises nothing, and is sent again with the same idempotency key.

use std::cell::Cell;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::ensure;
use tokio::sync::Notify;

use crate::cli::demo::acts::Show;
use crate::cli::demo::endpoints::Endpoint;
use crate::cli::demo::process::Daemon;
use crate::cli::key_options::Signature;
use crate::model::view::Accepted;

/// Events of the burst.
pub(super) const EVENTS: u64 = 400;
/// Programs that submit at once.
pub(super) const SUBMITTERS: usize = 8;
/// The daemon is killed when so many events are acknowledged.
const KILL_AFTER: usize = 200;

/// The submitters' books.
#[derive(Default)]
pub(super) struct Burst {
    /// The next event that nobody has submitted yet.
    next: Cell<u64>,
    /// The webhook-id of each acknowledged event.
    acknowledged: RefCell<BTreeMap<u64, String>>,
    /// Submitted, but not answered.
    unanswered: RefCell<BTreeSet<u64>>,
    enough: Notify,
}

/// Counts of deliveries: events times endpoints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Promised by a 202.
    pub(super) acknowledged: usize,
    /// Of those, arrived.
    pub(super) delivered: usize,
    /// Arrivals that repeat an earlier one of the same endpoint.
    pub(super) duplicates: usize,
}

impl Burst {
    /// Submits from all sides until the daemon, killed in the middle, answers no more.
    ///
    /// # Errors
    /// If it cannot be killed, or ends by itself.
    pub(super) async fn until_killed(&self, show: &Show<'_>, daemon: Daemon) -> anyhow::Result<()> {
        let submit = || Box::pin(self.submit_on(show));
        let killing = async {
            self.enough.notified().await;
            daemon.kill().await
        };
        let (killed, ..) = tokio::join!(
            killing,
            submit(),
            submit(),
            submit(),
            submit(),
            submit(),
            submit(),
            submit(),
            submit(),
        );
        let acknowledged = self.acknowledged.borrow().len();
        ensure!(acknowledged >= KILL_AFTER, "the daemon took only {acknowledged} events");
        killed
    }

    /// One submitter: goes on until there is no answer.
    async fn submit_on(&self, show: &Show<'_>) {
        while let Some(number) = self.take() {
            self.unanswered.borrow_mut().insert(number);
            let Ok(accepted) = submit(show, number).await else {
                // without this, a daemon that takes too few would be waited for
                return self.enough.notify_one();
            };
            self.acknowledge(number, &accepted);
        }
    }

    /// Submits again what had no answer, then the rest. Returns how many the daemon knew already.
    ///
    /// # Errors
    /// If the daemon takes one not.
    pub(super) async fn finish(&self, show: &Show<'_>) -> anyhow::Result<usize> {
        let mut known = 0;
        let again = self.unanswered.borrow().clone();
        for number in again {
            let accepted = submit(show, number).await?;
            known += usize::from(accepted.duplicate);
            self.acknowledge(number, &accepted);
        }
        while let Some(number) = self.take() {
            let accepted = submit(show, number).await?;
            self.acknowledge(number, &accepted);
        }
        Ok(known)
    }

    /// How many events are acknowledged, and how many have no answer.
    pub(super) fn halfway(&self) -> (usize, usize) {
        (self.acknowledged.borrow().len(), self.unanswered.borrow().len())
    }

    /// Compares the books with what arrived.
    ///
    /// # Errors
    /// If a signature was bad.
    pub(super) fn tally(&self, endpoints: &[Arc<Endpoint>]) -> anyhow::Result<Tally> {
        let acknowledged = self.acknowledged.borrow();
        let mut tally = Tally::default();
        for endpoint in endpoints {
            let arrivals = endpoint.arrivals();
            let good = arrivals.iter().all(|arrival| arrival.signature == Signature::Good);
            ensure!(good, "a signature was bad");
            let arrived: BTreeSet<&str> = arrivals.iter().map(|a| a.id.as_str()).collect();
            tally.acknowledged += acknowledged.len();
            let came = |id: &&String| arrived.contains(id.as_str());
            tally.delivered += acknowledged.values().filter(came).count();
            tally.duplicates += arrivals.len() - arrived.len();
        }
        Ok(tally)
    }

    fn take(&self) -> Option<u64> {
        let number = self.next.get();
        self.next.set(number + 1);
        (number < EVENTS).then_some(number)
    }

    fn acknowledge(&self, number: u64, accepted: &Accepted) {
        self.unanswered.borrow_mut().remove(&number);
        let mut acknowledged = self.acknowledged.borrow_mut();
        acknowledged.insert(number, accepted.id.to_string());
        if acknowledged.len() == KILL_AFTER {
            self.enough.notify_one();
        }
    }
}

async fn submit(show: &Show<'_>, number: u64) -> anyhow::Result<Accepted> {
    let key = format!("stock-{number}");
    let body = format!("{{\"item\": {number}}}").into();
    show.submit("stock.changed", "application/json", body, Some(&key)).await
}
