//! A replay beside live traffic of the same endpoint: each gets half of what the endpoint bears, or
//! may get by its rate, so that live traffic is slowed down by a factor of 2 at most.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use postrider::engine::Command;
use postrider::engine::Limits;
use postrider::engine::NewReplay;
use postrider::model::Admit;
use postrider::model::Attempt;
use postrider::model::DeadReason;
use postrider::model::DeliveryId;
use postrider::model::DeliveryState;
use postrider::model::Endpoint;
use postrider::model::EndpointNo;
use postrider::model::Event;
use postrider::model::EventId;
use postrider::model::Flow;
use postrider::model::Next;
use postrider::model::Outcome;
use postrider::model::Rate;
use postrider::model::Receipt;
use postrider::model::Record;
use postrider::model::ReplayAction;
use postrider::model::ReplayFilter;
use postrider::model::RetryPolicy;
use postrider::model::Step;
use postrider::model::StepKind;
use postrider::model::Time;

use crate::START;
use crate::bugs::Bug;
use crate::receivers::Mood;
use crate::run_until;
use crate::world::World;

/// Deliveries that are new, and as many that are dead: more than there is time for.
const BACKLOG: u64 = 1_500;
const ENDPOINT: EndpointNo = EndpointNo(1);

#[test]
fn a_replay_takes_no_more_than_half_of_what_an_endpoint_bears() {
    for seed in 0..20 {
        let max_in_flight = u32::try_from(seed).unwrap() % 5 + 1;
        let busy = Busy { mood: Mood::Healthy, max_in_flight, rate: None, secs: 3 };
        let (live, replayed) = dials_beside_a_replay(seed, busy);
        assert!(live > 20 && replayed > 20, "seed {seed}: {live} and {replayed}");
        // a handful were under way before the replay began, or ended
        assert!(replayed <= live + 8, "seed {seed}: {live} live, {replayed} sent again");
    }
}

#[test]
fn a_slow_rate_serves_what_is_new_and_what_is_sent_again_in_turn() {
    for seed in 0..10 {
        let rate = Some(Rate { count: 1, per: Duration::from_secs(1), burst: 1 });
        let busy = Busy { mood: Mood::Healthy, max_in_flight: 64, rate, secs: 40 };
        let (live, replayed) = dials_beside_a_replay(seed, busy);
        assert!(live + replayed >= 36, "seed {seed}: {live} and {replayed} in 40 s");
        assert!(live.abs_diff(replayed) <= 4, "seed {seed}: {live} live, {replayed} sent again");
    }
}

#[test]
fn an_endpoint_that_takes_its_time_gets_its_rate_all_the_same() {
    for seed in 0..5 {
        let rate = Some(Rate { count: 50, per: Duration::from_secs(1), burst: 1 });
        let mood = Mood::Flaky(0.0);
        let busy = Busy { mood, max_in_flight: 64, rate, secs: 20 };
        let (live, replayed) = dials_beside_a_replay(seed, busy);
        // half a second each; the window grows for a while
        assert!(live + replayed >= 40 * 20, "seed {seed}: {live} and {replayed} in 20 s");
    }
}

/// An endpoint for which much waits, and more is sent again.
struct Busy {
    mood: Mood,
    max_in_flight: u32,
    rate: Option<Rate>,
    secs: u64,
}

/// How many new deliveries, and how many that are sent again, a busy endpoint gets in that time.
fn dials_beside_a_replay(seed: u64, busy: Busy) -> (u64, u64) {
    let Busy { mood, max_in_flight, rate, secs } = busy;
    let mut rng = Rng::with_seed(seed);
    let mut world = crate::world_of(seed, Bug::None, 1, &mut rng);
    world.limits = Limits::default();
    world.calm = true;
    world.receivers.moods[0] = mood;
    world.endpoints[0] = Endpoint {
        types: vec!["nothing".parse().unwrap()],
        max_in_flight,
        retry: Arc::new(RetryPolicy { max_age: None, ..(*world.endpoints[0].retry).clone() }),
        flow: Arc::new(Flow { rate, ..Flow::default() }),
        ..world.endpoints[0].clone()
    };
    (0..2 * BACKLOG).for_each(|n| stored(&mut world, n));
    world.applied = world.disk.clone();
    world.start_process();
    let state = Some(DeliveryState::Dead);
    let new = NewReplay {
        action: ReplayAction::Replay,
        filter: ReplayFilter { state, ..ReplayFilter::default() },
        standing: false,
        rate: Rate { count: 1_000, per: Duration::from_secs(1), burst: 1 },
        matched: BACKLOG,
    };
    world.command(Command::Replay(Box::new(new)));
    run_until(&mut world, START + Duration::from_secs(secs));
    let count = |range: std::ops::Range<u64>| {
        let dialled = range.filter(|n| world.receivers.seen.contains_key(&delivery(*n)));
        dialled.count() as u64
    };
    (count(BACKLOG..2 * BACKLOG), count(0..BACKLOG))
}

fn delivery(n: u64) -> DeliveryId {
    DeliveryId::new(
        EventId::v7(START.minus(Duration::from_millis(10_000 - n)), 0, n << 1),
        ENDPOINT,
    )
}

/// An event on disk: its delivery is dead, or has not been tried yet.
fn stored(world: &mut World, n: u64) {
    let id = delivery(n).event;
    let event = Event {
        id,
        event_type: "order.created".parse().unwrap(),
        accepted_at: id.time(),
        source: "uid:1000".into(),
        content_type: "application/json".into(),
        body: Bytes::from_static(b"{}"),
        attributes: Box::default(),
        targets: vec![ENDPOINT],
        orders: Vec::new(),
        dedupes: Vec::new(),
        held: Vec::new(),
    };
    let dead = n < BACKLOG;
    let started = if dead { vec![ENDPOINT] } else { Vec::new() };
    let (event, keys_since) = (Arc::new(event), Time::ZERO);
    let admit = Admit { event, started, key: None, keys_since };
    assert_eq!(world.disk.apply(&Record::Admit(Box::new(admit))), Receipt::Applied);
    if dead {
        let kind = StepKind::Attempt(Attempt::without_response(Outcome::Http4xx));
        let next = Next::Dead { reason: DeadReason::Refused };
        let step = Box::new(Step { at: id.time(), kind, next });
        world.disk.apply(&Record::Step { delivery: delivery(n), step, parks: false });
    }
}
