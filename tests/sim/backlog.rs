//! A backlog beside live traffic, on a machine that is busy: each delivery under way makes commits
//! take longer. The backlog leaves live traffic its due, and takes all where there is none.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use postrider::engine::Effect;
use postrider::engine::Engine;
use postrider::engine::Input;
use postrider::engine::Limits;
use postrider::engine::Recovered;
use postrider::engine::SubmitMode;
use postrider::engine::Ticket;
use postrider::model::Attempt;
use postrider::model::Attributes;
use postrider::model::Class;
use postrider::model::DeliveryId;
use postrider::model::Due;
use postrider::model::EndpointNo;
use postrider::model::EventId;
use postrider::model::LaneCounts;
use postrider::model::Outcome;
use postrider::model::Progress;
use postrider::model::Receipt;
use postrider::model::Record;
use postrider::model::Submission;
use postrider::model::Time;

use crate::START;
use crate::bugs::Bug;

/// A commit on an idle machine, and what each delivery under way adds to it.
const COMMIT: Duration = Duration::from_millis(1);
const COMMIT_SHARE: Duration = Duration::from_micros(100);
/// An attempt.
const ATTEMPT: Duration = Duration::from_millis(2);
/// Events of the backlog, which wait since an hour.
const BACKLOG: u32 = 200_000;
const BACK: EndpointNo = EndpointNo(2);

/// What happens later.
enum Later {
    Client,
    Safe(Ticket, Vec<Receipt>),
    Answered(DeliveryId, Time),
}

struct Machine {
    engine: Engine,
    now: Time,
    later: BTreeMap<(Time, u64), Later>,
    /// Distinguishes what happens at the same time.
    order: u64,
    rows: BTreeSet<Due>,
    under_way: u32,
    delivered: u64,
    live_commits: Vec<Duration>,
}

/// What was seen.
struct Seen {
    /// The median commit of live traffic.
    median: Duration,
    /// Deliveries of the backlog.
    per_second: u64,
}

#[test]
fn a_backlog_leaves_live_traffic_its_due() {
    let alone = watch(8, false, 10);
    let beside = watch(8, true, 30);
    assert!(beside.median <= 2 * alone.median, "{:?}, and {:?} alone", beside.median, alone.median);
    assert!(beside.per_second >= 500, "it is worked off at {}/s", beside.per_second);
    let free = watch(0, true, 5);
    assert!(free.per_second >= 2 * beside.per_second, "without live traffic: {}", free.per_second);
}

/// Runs so long, with so many clients, each of which submits as soon as it has its answer.
fn watch(clients: u32, backlog: bool, secs: u64) -> Seen {
    let mut machine = Machine::new(backlog);
    for n in 0..clients {
        machine.after(Duration::from_micros(u64::from(n) * 150), Later::Client);
    }
    machine.run(START + Duration::from_secs(secs));
    machine.live_commits.sort();
    let median = machine.live_commits.get(machine.live_commits.len() / 2);
    Seen { median: median.copied().unwrap_or_default(), per_second: machine.delivered / secs }
}

impl Machine {
    fn new(backlog: bool) -> Machine {
        let mut rng = fastrand::Rng::with_seed(1);
        let mut endpoints = crate::world_of(1, Bug::None, 2, &mut rng).endpoints;
        for (endpoint, pattern) in endpoints.iter_mut().zip(["live", "back"]) {
            endpoint.types = vec![pattern.parse().unwrap()];
            endpoint.max_in_flight = 64;
            endpoint.flow = Arc::default();
            Arc::make_mut(&mut endpoint.retry).max_age = None;
        }
        let hour_ago = START.minus(Duration::from_secs(3_600));
        let waiting = if backlog { BACKLOG } else { 0 };
        let events = (0..u64::from(waiting))
            .map(|n| Due::fresh(EventId::v7(hour_ago + Duration::from_micros(n * 1_000), 0, n)));
        let counts = LaneCounts { fresh: u64::from(waiting), ..LaneCounts::default() };
        let recovered = Recovered { lanes: vec![(BACK, counts)], ..Recovered::default() };
        Machine {
            engine: Engine::new(Limits::default(), 1, endpoints, &recovered),
            now: START,
            later: BTreeMap::new(),
            order: 0,
            rows: events.collect(),
            under_way: 0,
            delivered: 0,
            live_commits: Vec::new(),
        }
    }

    fn after(&mut self, wait: Duration, what: Later) {
        self.order += 1;
        self.later.insert((self.now + wait, self.order), what);
    }

    fn run(&mut self, until: Time) {
        let mut effects = Vec::new();
        self.engine.wake(self.now, &mut effects);
        self.perform(effects);
        while self.now < until {
            let wake = self.engine.next_wake();
            let next = self.later.first_key_value().map(|((at, _), _)| *at);
            let Some(at) = [wake, next].into_iter().flatten().min() else { return };
            self.now = self.now.max(at);
            let mut effects = Vec::new();
            let happens = next.filter(|at| *at <= self.now).and_then(|_| self.later.pop_first());
            match happens {
                Some((_, what)) => {
                    let input = self.input(what);
                    self.engine.handle(self.now, input, &mut effects);
                }
                None => self.engine.wake(self.now, &mut effects),
            }
            self.perform(effects);
        }
    }

    fn input(&mut self, what: Later) -> Input {
        match what {
            Later::Client => {
                let mode = SubmitMode::Whole;
                Input::Submit { caller: 1, since: self.now, submissions: vec![submission()], mode }
            }
            Later::Safe(ticket, receipts) => Input::Committed { ticket, receipts },
            Later::Answered(delivery, began) => {
                self.under_way -= 1;
                self.delivered += u64::from(delivery.endpoint == BACK);
                let attempt = Attempt {
                    status: Some(200),
                    ..Attempt::without_response(Outcome::of_status(200))
                };
                Input::Finished { delivery, attempt: Box::new(attempt), began }
            }
        }
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Commit { ticket, records } => {
                    let took = COMMIT + COMMIT_SHARE * self.under_way;
                    if matches!(records.first(), Some(Record::Admit(_))) {
                        self.live_commits.push(took);
                    }
                    for record in &records {
                        if let Record::Start { delivery, from } = record
                            && delivery.endpoint == BACK
                        {
                            assert!(self.rows.remove(from), "{from:?} is started once");
                        }
                    }
                    self.after(took, Later::Safe(ticket, vec![Receipt::Applied; records.len()]));
                }
                Effect::Load { lane, class, after, limit } => {
                    let after = after.unwrap_or(Due::fresh(EventId::MIN));
                    let limit = if (lane, class) == (BACK, Class::Fresh) { limit } else { 0 };
                    let rows = self.rows.range((Bound::Excluded(after), Bound::Unbounded));
                    let rows = rows.take(limit).map(|due| (*due, Progress::default()));
                    let rows: Vec<_> = rows.collect();
                    let end = rows.len() < limit;
                    let mut effects = Vec::new();
                    let loaded = Input::Loaded { lane, class, rows, end };
                    self.engine.handle(self.now, loaded, &mut effects);
                    self.perform(effects);
                }
                Effect::Dial(dial) => {
                    self.under_way += 1;
                    self.after(ATTEMPT, Later::Answered(dial.delivery, self.now));
                }
                Effect::Reply { .. } => self.after(Duration::ZERO, Later::Client),
                Effect::Abort(_) | Effect::Publish(_) | Effect::Scan(_) | Effect::Drained => {}
            }
        }
    }
}

fn submission() -> Submission {
    Submission {
        source: "uid:1".into(),
        event_type: "live".parse().unwrap(),
        content_type: "application/json".into(),
        body: Bytes::from_static(b"{}"),
        attributes: Box::new(Attributes::default()),
        delay: None,
        ahead: Duration::ZERO,
        endpoints: None,
        idempotency_key: None,
    }
}
