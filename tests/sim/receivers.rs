//! The endpoints of the simulated world: how each answers, and what each has received.

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;
use postrider::model::Attempt;
use postrider::model::DeliveryId;
use postrider::model::Outcome;
use postrider::model::Time;

/// How an endpoint answers just now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mood {
    Healthy,
    /// Fails this share of the time.
    Flaky(f64),
    /// Nobody listens.
    Dead,
    /// Takes the request and never answers.
    Hanging,
    /// 429 with a `Retry-After` of so many seconds.
    Throttling(u64),
    /// 410.
    Gone,
}

impl Mood {
    pub fn any(rng: &mut Rng) -> Mood {
        match rng.u32(0..20) {
            0..=6 => Mood::Healthy,
            7..=11 => Mood::Flaky(rng.f64()),
            12..=14 => Mood::Dead,
            15..=16 => Mood::Hanging,
            17..=18 => Mood::Throttling(rng.u64(1..300)),
            _ => Mood::Gone,
        }
    }

    /// How long an attempt takes and what comes of it.
    pub fn answer(self, now: Time, rng: &mut Rng) -> (Duration, Attempt) {
        let quick = Duration::from_micros(rng.u64(200..50_000));
        let of_status = |status: u16| Attempt {
            status: Some(status),
            ..Attempt::without_response(Outcome::of_status(status))
        };
        match self {
            Mood::Healthy => (quick, of_status(200)),
            Mood::Flaky(share) if rng.f64() < share => {
                (quick, of_status(*rng.choice([500, 503, 404, 301].iter()).unwrap()))
            }
            Mood::Flaky(_) => (quick * 20, of_status(204)),
            Mood::Dead => (quick, Attempt::without_response(Outcome::ConnectRefused)),
            Mood::Hanging => {
                (Duration::from_secs(20), Attempt::without_response(Outcome::TimeoutResponse))
            }
            Mood::Throttling(secs) => {
                let retry_after = Some(now + quick + Duration::from_secs(secs));
                (quick, Attempt { retry_after, ..of_status(429) })
            }
            Mood::Gone => (quick, of_status(410)),
        }
    }
}

/// What the endpoints saw of one delivery.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Attempts that arrived.
    pub attempts: u32,
    /// Attempts that were answered with success.
    pub successes: u32,
    /// The number that the last attempt carried.
    pub last_number: u16,
}

/// What every endpoint saw.
#[derive(Default)]
pub struct Receivers {
    pub moods: Vec<Mood>,
    pub seen: BTreeMap<DeliveryId, Seen>,
}
