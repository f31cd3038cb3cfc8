//! A real store and a real engine, with a hub between them that makes no attempts.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use arc_swap::ArcSwap;
use tokio::sync::Semaphore;
use tokio::sync::mpsc;
use tokio::sync::oneshot;

use crate::admin::Metrics;
use crate::admin::backend::Actor;
use crate::admin::backend::Window;
use crate::config;
use crate::daemon::backend::Office;
use crate::daemon::backend::replay;
use crate::daemon::book;
use crate::daemon::clock::Clock;
use crate::daemon::couriers;
use crate::daemon::roster::Roster;
use crate::daemon::shared::Counters;
use crate::daemon::shared::FEEDS_MAX;
use crate::daemon::shared::Message;
use crate::daemon::shared::READS_MAX;
use crate::daemon::shared::Rules;
use crate::daemon::shared::Shared;
use crate::daemon::shared::Sight;
use crate::engine::Effect;
use crate::engine::Engine;
use crate::engine::Input;
use crate::engine::Limits;
use crate::engine::Recovered;
use crate::engine::Reply;
use crate::model::*;
use crate::store::open::Durability;
use crate::store::open::Options;
use crate::store::open::open;
use crate::store::read::Reader;
use crate::store::writer::Commit;
use crate::store::writer::Writer;

pub(super) const START: Time = Time::from_secs(1_795_000_000);

/// Reading one certificate is quicker than reading all those of the system.
const AUTHORITY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/authority.pem");

pub(super) struct World {
    pub(super) home: tempfile::TempDir,
    pub(super) office: Office,
    pub(super) reloads: Arc<AtomicUsize>,
}

/// The configuration file: two endpoints, and what else is said.
pub(super) fn config_text(more: &str) -> String {
    let endpoint = |name: &str| {
        format!(
            "[[endpoint]]\nname = \"{name}\"\nurl = \"https://{name}.example/in?key=hidden\"\n\
             types = [\"order.*\"]\n"
        )
    };
    let endpoints = [endpoint("billing"), endpoint("crm")].concat();
    format!("[tls]\nroots = \"{AUTHORITY}\"\n{more}{endpoints}")
}

pub(super) fn actor() -> Actor {
    Actor("uid:0".into())
}

pub(super) fn first(limit: usize) -> Window {
    Window { limit, after: None }
}

pub(super) fn id(n: u64) -> EventId {
    EventId::v7(Time::from_millis(START.as_millis() + n), 0, n)
}

pub(super) fn delivery(n: u64, endpoint: u32) -> DeliveryId {
    DeliveryId::new(id(n), EndpointNo(endpoint))
}

fn admit(n: u64, targets: &[u32], started: &[u32]) -> Record {
    let nos = |numbers: &[u32]| numbers.iter().copied().map(EndpointNo).collect::<Vec<_>>();
    let event = Event {
        id: id(n),
        event_type: if n.is_multiple_of(2) { "order.paid" } else { "order.created" }
            .parse()
            .unwrap(),
        accepted_at: id(n).time(),
        source: "uid:1000".into(),
        content_type: "text/plain".into(),
        body: format!("body of {n}").into(),
        attributes: Box::default(),
        targets: nos(targets),
        orders: Vec::new(),
        dedupes: Vec::new(),
        held: Vec::new(),
    };
    let (event, started) = (Arc::new(event), nos(started));
    Record::Admit(Box::new(Admit { event, started, key: None, keys_since: Time::ZERO }))
}

fn step(n: u64, endpoint: u32, outcome: Outcome, next: Next) -> Record {
    let kind = StepKind::Attempt(Attempt::without_response(outcome));
    let at = Time::from_secs(START.as_secs() + 60 + n);
    Record::Step {
        delivery: delivery(n, endpoint),
        step: Box::new(Step { at, kind, next }),
        parks: false,
    }
}

/// Six events to billing (1) and crm (2), one to old (3), which is defined nowhere any more:
///
/// | event | 1 | 2 | 3 |
/// |---|---|---|---|
/// | 1, 2 | dead | dead | |
/// | 3 | dead | waiting | |
/// | 4 | delivered | sending | |
/// | 5, 6 | queued | queued | |
/// | 7 | | | queued |
fn history() -> Vec<Record> {
    let dead = Next::Dead { reason: DeadReason::Exhausted };
    let due = Time::from_secs(START.as_secs() + 4_000_000_000);
    let mut records: Vec<_> = (1..=4).map(|n| admit(n, &[1, 2], &[1, 2])).collect();
    records.extend([(1, 1), (1, 2), (2, 1), (2, 2), (3, 1)].map(|(n, endpoint)| {
        let outcome = if n == 2 { Outcome::TimeoutResponse } else { Outcome::Http5xx };
        step(n, endpoint, outcome, dead)
    }));
    records.push(step(3, 2, Outcome::Http5xx, Next::Wait { due, why: WaitReason::Schedule }));
    records.push(step(4, 1, Outcome::Ok, Next::Delivered));
    records.extend([admit(5, &[1, 2], &[]), admit(6, &[1, 2], &[]), admit(7, &[3], &[])]);
    records
}

impl World {
    pub(super) fn new() -> World {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("config.toml");
        std::fs::write(&path, config_text("")).unwrap();
        let opened = open(&Options {
            path: home.path().join("store"),
            durability: Durability::Process,
            cache_bytes: 4 << 20,
            min_free_bytes: 0,
            ballast_bytes: 0,
            now: START,
        });
        let mut opened = opened.unwrap();
        let clock = Arc::new(Clock::start());
        let metrics = Arc::new(Metrics::new(&[]));
        let config = config::load(&path, std::iter::empty()).unwrap().config;
        let old = EndpointEntry {
            no: EndpointNo(3),
            name: "old".to_owned(),
            state: EndpointState::default(),
            definition: None,
            removed: None,
        };
        let first = book::bind(&config, &[], &metrics, START).unwrap();
        let mut records: Vec<_> =
            first.entries.into_iter().map(|entry| Record::Endpoint(Box::new(entry))).collect();
        records.push(Record::Endpoint(Box::new(old)));
        records.extend(history());
        opened.writer.commit(&[Commit { ticket: 1, records }]).unwrap();
        let entries = opened.readers.reader().unwrap().endpoints().unwrap();
        let bound = book::bind(&config, &entries, &metrics, START).unwrap();
        let recovered = Recovered {
            lanes: opened.readers.reader().unwrap().lanes().unwrap(),
            entries,
            last_event: Some(id(7)),
            ..Recovered::default()
        };
        // Nothing flies, so that what is queued stays so.
        let limits = Limits { flights_max: 0, ..Limits::default() };
        let engine = Engine::new(limits, 7, bound.endpoints, &recovered);
        let (hub, inbox) = mpsc::unbounded_channel();
        let courier = Arc::new(couriers::courier(&config, &clock).unwrap());
        let sources = Arc::new(Roster::new(&config, &metrics));
        let rules = Rules { config: Arc::new(config), book: bound.book, sources, courier };
        let reloads = Arc::new(AtomicUsize::new(0));
        let told = Arc::clone(&reloads);
        let reader = opened.readers.reader().unwrap();
        let known = Arc::new(OnceLock::new());
        let own = Hub::new(engine, opened.writer, reader, Arc::clone(&clock), Arc::clone(&known));
        tokio::spawn(own.run(inbox));
        let shared = Shared {
            started_at: clock.now(),
            clock,
            metrics,
            counters: Counters::default(),
            rules: ArcSwap::from_pointee(rules),
            config_path: path,
            on_reload: Box::new(move |_| {
                told.fetch_add(1, Ordering::Relaxed);
            }),
            changing: tokio::sync::Mutex::new(()),
            readers: opened.readers,
            reads: Arc::new(Semaphore::new(READS_MAX)),
            feeds: Arc::new(Semaphore::new(FEEDS_MAX)),
            space: opened.space,
            durability: "process",
            hub,
            chance: Mutex::new(fastrand::Rng::with_seed(7)),
        };
        let office = Office { shared: Arc::new(shared), census: Arc::default() };
        assert!(known.set(Arc::clone(&office.shared)).is_ok());
        World { home, office, reloads }
    }

    /// The configuration file, changed.
    pub(super) fn write_config(&self, text: &str) {
        std::fs::write(self.config_path(), text).unwrap();
    }

    pub(super) fn config_path(&self) -> &Path {
        &self.office.shared.config_path
    }
}

struct Hub {
    engine: Engine,
    writer: Writer,
    reader: Reader,
    clock: Arc<Clock>,
    callers: BTreeMap<u64, oneshot::Sender<Reply>>,
    effects: Vec<Effect>,
    shared: Arc<OnceLock<Arc<Shared>>>,
}

impl Hub {
    fn new(
        engine: Engine,
        writer: Writer,
        reader: Reader,
        clock: Arc<Clock>,
        shared: Arc<OnceLock<Arc<Shared>>>,
    ) -> Hub {
        let (callers, effects) = (BTreeMap::new(), Vec::new());
        Hub { engine, writer, reader, clock, callers, effects, shared }
    }

    async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Message>) {
        let mut caller = 0;
        self.engine.wake(self.clock.now(), &mut self.effects);
        self.carry_out();
        while let Some(message) = inbox.recv().await {
            match message {
                Message::Look(answer) => {
                    let _ = answer.send(self.sight());
                }
                Message::Command { actor, command, answer } => {
                    caller += 1;
                    self.callers.insert(caller, answer);
                    self.tell(Input::Command { caller, actor, command });
                    self.carry_out();
                }
                Message::Scanned { replay, page } => {
                    self.tell(Input::Scanned { replay, page });
                    self.carry_out();
                }
                _ => panic!("nobody says this here"),
            }
        }
    }

    fn sight(&self) -> Sight {
        let lanes = self.engine.lanes();
        let lanes = lanes.map(|(lane, counts, busy)| (lane.no, lane.state.clone(), counts, busy));
        Sight {
            lanes: lanes.collect(),
            fares: BTreeMap::new(),
            flights: self.engine.flights(),
            oldest_due: self.engine.oldest_due(self.clock.now()),
            committing_since: None,
            draining: self.engine.is_draining(),
            sources: self.engine.sources().map(|(id, at)| (Arc::clone(id), at)).collect(),
            replays: self.engine.replays().cloned().collect(),
            holds: self.engine.holds().to_vec(),
        }
    }

    fn tell(&mut self, input: Input) {
        self.engine.handle(self.clock.now(), input, &mut self.effects);
    }

    fn carry_out(&mut self) {
        let mut queue = VecDeque::from(std::mem::take(&mut self.effects));
        while let Some(effect) = queue.pop_front() {
            match effect {
                Effect::Commit { ticket, records } => {
                    for (ticket, receipts) in
                        self.writer.commit(&[Commit { ticket, records }]).unwrap()
                    {
                        self.tell(Input::Committed { ticket, receipts });
                    }
                }
                Effect::Load { lane, class, after, limit } => {
                    let rows = self.reader.load(lane, class, after, limit).unwrap();
                    let end = rows.len() < limit;
                    self.tell(Input::Loaded { lane, class, rows, end });
                }
                Effect::Reply { caller, reply } => {
                    let _ = self.callers.remove(&caller).unwrap().send(reply);
                }
                Effect::Scan(scan) => {
                    let shared = self.shared.get().unwrap();
                    tokio::spawn(replay::scan(Arc::clone(shared), *scan));
                }
                Effect::Dial(dial) => panic!("{} must not fly", dial.delivery),
                Effect::Abort(_) | Effect::Publish(_) | Effect::Drained => {}
            }
            queue.extend(self.effects.drain(..));
        }
    }
}
