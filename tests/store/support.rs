//! A store in a directory of its own, and the nouns to feed it with.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use postrider::model::*;
use postrider::store::open::Durability;
use postrider::store::open::OpenError;
use postrider::store::open::Opened;
use postrider::store::open::Options;
use postrider::store::open::open;
use postrider::store::writer::Commit;

pub(crate) const START: Time = Time::from_secs(1_795_000_000);

/// How long things are kept where a test has nothing to say about it.
pub(crate) const HORIZONS: Horizons = Horizons {
    keys: Duration::from_secs(50),
    delivered_payload: Duration::from_secs(10),
    dead_payload: Duration::from_secs(30),
    events: Duration::from_secs(60),
    payload_bytes_max: None,
};

pub(crate) struct Store {
    pub(crate) home: tempfile::TempDir,
    pub(crate) opened: Option<Opened>,
}

pub(crate) fn options(path: &Path) -> Options {
    Options {
        path: path.to_owned(),
        durability: Durability::Fsync,
        cache_bytes: 8 * 1024 * 1024,
        min_free_bytes: 0,
        ballast_bytes: 0,
        now: START,
    }
}

/// Opens a store; one that this process has just closed is locked until sled's own threads have
/// let go of it.
pub(crate) fn open_when_free(options: &Options) -> Result<Opened, OpenError> {
    loop {
        match open(options) {
            Err(OpenError::Locked(_)) => std::thread::yield_now(),
            opened => return opened,
        }
    }
}

impl Store {
    pub(crate) fn new() -> Store {
        let home = tempfile::tempdir().unwrap();
        let opened = open(&options(&home.path().join("store"))).unwrap();
        Store { home, opened: Some(opened) }
    }

    pub(crate) fn opened(&mut self) -> &mut Opened {
        self.opened.as_mut().unwrap()
    }

    pub(crate) fn reader(&mut self) -> postrider::store::read::Reader {
        self.opened().readers.reader().unwrap()
    }

    pub(crate) fn options(&self) -> Options {
        options(&self.home.path().join("store"))
    }

    /// Leaves the store as the death of the process would, and opens it again.
    pub(crate) fn reopen(&mut self) {
        self.opened = None;
        self.opened = Some(open_when_free(&self.options()).unwrap());
    }

    /// Commits records as one group, each with a ticket of its own.
    pub(crate) fn commit(&mut self, records: Vec<Record>) -> Vec<Receipt> {
        let commits = records.into_iter().zip(7..);
        let commits = commits.map(|(record, ticket)| Commit { ticket, records: vec![record] });
        let group: Vec<_> = commits.collect();
        let answers = self.opened().writer.commit(&group).unwrap();
        let tickets: Vec<_> = answers.iter().map(|(ticket, _)| *ticket).collect();
        assert_eq!(tickets, (7..7 + group.len() as u64).collect::<Vec<_>>());
        answers.into_iter().map(|(_, mut receipts)| receipts.pop().unwrap()).collect()
    }

    pub(crate) fn one(&mut self, record: Record) -> Receipt {
        self.commit(vec![record]).pop().unwrap()
    }

    pub(crate) fn lane(&mut self, endpoint: u32) -> LaneCounts {
        let lanes = self.reader().lanes().unwrap();
        let found = lanes.iter().find(|(no, _)| no.0 == endpoint);
        found.map(|(_, counts)| *counts).unwrap_or_default()
    }
}

pub(crate) fn id(n: u64) -> EventId {
    EventId::v7(Time::from_millis(START.as_millis() + n), 0, n)
}

pub(crate) fn nos(numbers: &[u32]) -> Vec<EndpointNo> {
    numbers.iter().copied().map(EndpointNo).collect()
}

pub(crate) fn delivery(n: u64, endpoint: u32) -> DeliveryId {
    DeliveryId::new(id(n), EndpointNo(endpoint))
}

pub(crate) fn event(n: u64, body: Bytes, targets: &[u32]) -> Event {
    Event {
        id: id(n),
        event_type: "order.created".parse().unwrap(),
        accepted_at: id(n).time(),
        source: "uid:1000".into(),
        content_type: "application/json".into(),
        body,
        attributes: Box::default(),
        targets: nos(targets),
        orders: Vec::new(),
        dedupes: Vec::new(),
        held: Vec::new(),
    }
}

pub(crate) fn admit(event: Event, started: &[u32]) -> Record {
    let started = nos(started);
    let event = Arc::new(event);
    Record::Admit(Box::new(Admit { event, started, key: None, keys_since: Time::ZERO }))
}

pub(crate) fn simple(n: u64, targets: &[u32], started: &[u32]) -> Record {
    admit(event(n, Bytes::from(format!("body of {n}")), targets), started)
}

pub(crate) fn attempt(n: u64, endpoint: u32, outcome: Outcome, next: Next) -> Record {
    let kind = StepKind::Attempt(Attempt::without_response(outcome));
    let step = Box::new(Step { at: at(n), kind, next });
    Record::Step { delivery: delivery(n, endpoint), step, parks: false }
}

pub(crate) fn command(n: u64, endpoint: u32, next: Next) -> Record {
    Record::Command { delivery: delivery(n, endpoint), at: at(n), actor: "uid:0".into(), next }
}

/// The time of what happens to event `n`.
pub(crate) fn at(n: u64) -> Time {
    Time::from_millis(START.as_millis() + 60_000 + n)
}

pub(crate) fn wait(seconds: u64) -> Next {
    let due = Time::from_secs(START.as_secs() + seconds);
    Next::Wait { due, why: WaitReason::Schedule }
}

pub(crate) fn wait_due(n: u64, seconds: u64) -> Due {
    Due::timed(Time::from_secs(START.as_secs() + seconds), id(n))
}
