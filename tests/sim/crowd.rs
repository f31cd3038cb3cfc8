//! Crowds: up to 500 endpoints of which many hang, fail, flap or throttle. No healthy one starves:
//! each of its deliveries is dialled within the time that one attempt may take, for each round of
//! places that the busy lanes fill.

use std::time::Duration;

use fastrand::Rng;
use postrider::engine::Dial;
use postrider::engine::Limits;
use postrider::model::Time;

use crate::START;
use crate::bugs::Bug;
use crate::receivers::Mood;
use crate::run_until;
use crate::world::Happening;
use crate::world::World;

/// Seeds that once failed.
pub const KEPT: [u64; 1] = [29];
/// How long a crowd is watched.
const WATCHED: Duration = Duration::from_secs(90);
/// The longest that an attempt takes here: a receiver that hangs.
const ATTEMPT_MAX: Duration = Duration::from_secs(20);
/// Commits, reads of queues, and attempts of the lane itself.
const SLACK: Duration = Duration::from_secs(2);

/// What is known of a crowd.
pub struct Crowd {
    endpoints: usize,
    /// Events a second, over all endpoints.
    per_second: u64,
    /// From then on all endpoints are known: what hangs takes nothing from a healthy one.
    known_from: Option<Time>,
    /// First attempts at healthy endpoints, and the latest of them.
    pub dials: u64,
    pub latest: Duration,
}

impl World {
    /// A client of a crowd: one event for one endpoint.
    pub fn crowd_client(&mut self) {
        let Some(crowd) = &self.crowd else { return };
        let wait = Duration::from_micros(self.rng.u64(0..2_000_000 / crowd.per_second));
        self.schedule(wait, Happening::Client);
        let mut wish = self.new_wish();
        let to = &self.endpoints[self.rng.usize(..self.endpoints.len())].name;
        wish.submission.endpoints = Some(vec![to.to_string()]);
        wish.submission.delay = None;
        self.ask(vec![wish], postrider::engine::SubmitMode::Whole);
    }

    /// A first attempt begins: at a healthy endpoint it is not late.
    pub fn check_lateness(&mut self, dial: &Dial) {
        let index = dial.delivery.endpoint.0 as usize - 1;
        let healthy = self.receivers.moods[index] == Mood::Healthy;
        let free = self.endpoints[index].flow.rate.is_none();
        let Some(crowd) = &mut self.crowd else { return };
        if !healthy || !free || dial.attempt > 1 {
            return;
        }
        let late = self.now.since(dial.due);
        let rounds = crowd.endpoints.div_ceil(self.limits.attempts_max);
        let known = crowd.known_from.is_some_and(|from| self.now > from);
        let rounds = if known { 0 } else { u32::try_from(rounds).unwrap() };
        let bound = ATTEMPT_MAX * rounds + SLACK;
        assert!(late <= bound, "seed {}: {late:?} late, bound {bound:?}", self.seed);
        crowd.dials += 1;
        crowd.latest = crowd.latest.max(late);
    }
}

/// Watches a crowd.
pub fn watch(seed: u64, bug: Bug) -> Crowd {
    let mut rng = Rng::with_seed(seed ^ 0xC20);
    let size = [1, 5, 50, 200, 500][rng.usize(..5)];
    let count = rng.u32(1..=size);
    let mut world = crate::world_of(seed, bug, count, &mut rng);
    world.limits = Limits {
        attempts_max: if rng.bool() { 256 } else { 64 },
        pending_max: 1_000_000,
        ..Limits::default()
    };
    world.calm = true;
    for (mood, endpoint) in world.receivers.moods.iter_mut().zip(&mut world.endpoints) {
        endpoint.types = vec!["nothing".parse().unwrap()];
        std::sync::Arc::make_mut(&mut endpoint.flow).order = None;
        // what an endpoint is sent, it can bear: its own backlog is not what is watched
        endpoint.max_in_flight += 8;
        *mood = match rng.u32(0..6) {
            0..=1 => Mood::Healthy,
            2 => Mood::Hanging,
            3 => Mood::Dead,
            4 => Mood::Flaky(rng.f64()),
            _ => Mood::Throttling(rng.u64(1..30)),
        };
    }
    let endpoints = world.endpoints.len();
    let per_second = rng.u64(1..60);
    world.crowd =
        Some(Crowd { endpoints, per_second, known_from: None, dials: 0, latest: Duration::ZERO });
    seen(world)
}

fn seen(mut world: World) -> Crowd {
    world.start_process();
    world.schedule(Duration::ZERO, Happening::Client);
    run_until(&mut world, START + WATCHED);
    world.crowd.take().unwrap()
}

/// Twenty endpoints that hang, which nothing opens a breaker for, one that is well, and places for
/// eight.
pub fn watch_hangers(seed: u64) -> Crowd {
    let mut rng = Rng::with_seed(seed);
    let mut world = crate::world_of(seed, Bug::None, 21, &mut rng);
    world.limits = Limits { attempts_max: 8, pending_max: 1_000_000, ..Limits::default() };
    world.calm = true;
    world.receivers.moods.fill(Mood::Hanging);
    world.receivers.moods[rng.usize(..21)] = Mood::Healthy;
    for endpoint in &mut world.endpoints {
        endpoint.types = vec!["nothing".parse().unwrap()];
        endpoint.flow = std::sync::Arc::default();
    }
    world.crowd = Some(Crowd {
        endpoints: 21,
        per_second: 20,
        known_from: Some(START + 3 * ATTEMPT_MAX + SLACK),
        dials: 0,
        latest: Duration::ZERO,
    });
    seen(world)
}
