//! A replay beside live traffic of the same endpoint: it takes no more than half of what the
//! endpoint bears, so that live traffic is slowed down by a factor of 2 at most.

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

/// How many new deliveries, and how many that are sent again, a busy endpoint gets in three
/// seconds.
pub fn dials_beside_a_replay(seed: u64) -> (u64, u64) {
    let mut rng = Rng::with_seed(seed);
    let mut world = crate::world_of(seed, Bug::None, 1, &mut rng);
    world.limits = Limits::default();
    world.calm = true;
    world.receivers.moods[0] = Mood::Healthy;
    world.endpoints[0] = Endpoint {
        types: vec!["nothing".parse().unwrap()],
        max_in_flight: rng.u32(1..6),
        retry: Arc::new(RetryPolicy { max_age: None, ..(*world.endpoints[0].retry).clone() }),
        flow: Arc::new(Flow::default()),
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
    run_until(&mut world, START + Duration::from_secs(3));
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
