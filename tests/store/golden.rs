//! The bytes on disk are those of the golden file, and are read back as what they were.
//!
//! A line is a name, a key and a value, in hex. From the first release on, a line is never changed:
//! what it holds stands on disks. A new form of a value gets a line of its own, and the old one
//! stays. Until then, `GOLDEN=write cargo test --test store golden` writes the file anew.

mod journal;

use std::fmt::Debug;
use std::fmt::Write;
use std::time::Duration;

use bytes::Bytes;
use postrider::model::*;
use postrider::store::journal::Mark;
use postrider::store::key::Key;
use postrider::store::layout;
use postrider::store::page::Page;
use serde::de::DeserializeOwned;

use crate::support::*;

const GOLDEN: &str = include_str!("../golden/store.hex");

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn bytes_of(hex: &str) -> Vec<u8> {
    let pairs = (0..hex.len()).step_by(2);
    pairs.map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn head() -> layout::EventHead {
    let mut event = event(1, Bytes::from_static(b"{}"), &[3, 300]);
    let text = |text: &str| Some(text.to_owned());
    let pair = |a: &str, b: &str| vec![(a.to_owned(), b.to_owned())];
    *event.attributes = Attributes {
        occurred_at: Some(START),
        deliver_at: Some(at(1)),
        ordering_key: text("customer-7"),
        tenant: text("acme"),
        correlation_id: text("c-1"),
        schema_version: text("2"),
        hops: 2,
        traceparent: text("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        tags: pair("area", "north"),
        metadata: pair("note", "fragile"),
        cloudevents: pair("subject", "order"),
        headers: vec![("x-topic".into(), "orders/create".into())],
    };
    let order = |no, key, version| Order { endpoint: EndpointNo(no), key: OrderKey(key), version };
    event.orders = vec![order(3, u64::MAX, Some(300)), order(300, 1, None)];
    event.dedupes = vec![Dedupe {
        endpoint: EndpointNo(300),
        key: DedupeKey([7; 16]),
        window: Duration::from_millis(900_500),
    }];
    event.held = vec![EndpointNo(3)];
    let payload_gone = Some(at(300));
    layout::EventHead { payload_gone, ..layout::EventHead::of(&event, Some([9; 16])) }
}

fn tally() -> layout::Tally {
    layout::Tally {
        kept: Kept { events: 300, payload_bytes: 70_000 },
        keys_from: id(1),
        payloads_from: id(2),
        events_from: id(3),
        rows_by: layout::RowsBy {
            delivered_payload: Duration::from_secs(300),
            dead_payload: Duration::from_millis(400_500),
            events: Duration::from_secs(500_000),
        },
        anew: true,
        ahead: layout::Ahead { looked: 300, ended: 200, in_vain: true },
    }
}

fn mark() -> Mark {
    Mark { turn: 300, number: 70_000 }
}

fn progress() -> Progress {
    let rest = Progress { interrupted: 1, requested: true, ..Progress::default() };
    Progress { steps: 300, attempts: 200, plan_from: 100, ..rest }
}

fn behind() -> layout::Behind {
    let progress = Progress { order: Some(OrderKey(1 << 40)), since: Some(at(300)), ..progress() };
    layout::Behind { progress, at: at(1) }
}

fn attempt() -> Step {
    let attempt = Attempt {
        outcome: Outcome::Http5xx,
        status: Some(503),
        remote: Some("192.0.2.1:443".to_owned()),
        phases: Phases {
            dns_us: 1,
            connect_us: 200,
            tls_us: 3_000,
            wait_us: 40_000,
            total_us: 50_000,
        },
        retry_after: Some(at(2)),
        detail: Some("busy".to_owned()),
        response: Some(Excerpt {
            content_type: "text/plain".to_owned(),
            body: Bytes::from_static(b"come back"),
        }),
    };
    let next = Next::Wait { due: at(2), why: WaitReason::RetryAfter };
    Step { at: at(1), kind: StepKind::Attempt(attempt), next }
}

fn command() -> Step {
    let kind = StepKind::Command { actor: "uid:0".to_owned() };
    Step { at: at(1), kind, next: Next::Cancelled }
}

fn rule() -> Step {
    Step {
        at: at(1),
        kind: StepKind::Rule,
        next: Next::Dead { reason: DeadReason::EndpointRemoved },
    }
}

fn duplicate() -> Step {
    Step { at: at(1), kind: StepKind::Duplicate { of: id(9) }, next: Next::Cancelled }
}

fn entry() -> EndpointEntry {
    let held = |reason: &str| {
        Some(Held { since: START, actor: "uid:0".to_owned(), reason: reason.to_owned() })
    };
    let open = Some(Opened {
        since: START,
        failures: 300,
        outcome: Outcome::TimeoutConnect,
        probes: 2,
        until: at(2),
    });
    EndpointEntry {
        no: EndpointNo(3),
        name: "crm".to_owned(),
        state: EndpointState { paused: held("maintenance"), disabled: held("410"), open },
        definition: Some("{}".to_owned()),
        removed: Some(at(3)),
    }
}

fn seen() -> Seen {
    Seen { event: id(1), admitted: at(1), until: at(1) }
}

fn hold() -> StandingHold {
    StandingHold {
        id: ReplayId::from_bytes(id(9).to_bytes()),
        types: "order.*".parse().unwrap(),
        endpoint: Some(EndpointNo(3)),
        since: at(1),
        actor: "uid:0".to_owned(),
    }
}

fn replay() -> Replay {
    Replay {
        id: ReplayId::from_bytes(id(9).to_bytes()),
        action: ReplayAction::Replay,
        filter: ReplayFilter {
            state: Some(DeliveryState::Dead),
            endpoint: Some(EndpointNo(3)),
            types: Some("order.*".parse().unwrap()),
            since: Some(START),
            until: Some(at(1)),
            ids: vec![delivery(1, 3)],
        },
        rate: Rate { count: 50, per: Duration::from_secs(1), burst: 1 },
        actor: "uid:0".to_owned(),
        created: at(1),
        state: ReplayState::Cancelled,
        ended: Some(at(2)),
        ended_by: Some("uid:1000".to_owned()),
        next: at(3),
        cursor: Some(vec![1, 2, 3]),
        counts: ReplayCounts { matched: 300, submitted: 200, expired: 2, skipped: 1 },
    }
}

/// A page of this many fresh deliveries; a few are not worth packing.
fn page(entries: u64) -> Page {
    let mut page = Page::new(layout::DUE_FRESH.key(&[&EndpointNo(3).to_bytes()]));
    for n in 1..=entries {
        let key = layout::due_key(EndpointNo(3), Due::fresh(id(n)));
        page.insert(key, Bytes::from(layout::encode(&Progress::default())));
    }
    page
}

/// The key and the value of a line.
fn line(name: &str) -> (Key, Vec<u8>) {
    let line = GOLDEN.lines().find(|line| line.split(' ').next() == Some(name)).unwrap();
    let mut fields = line.split(' ').skip(1).map(bytes_of);
    (Key::from_slice(&fields.next().unwrap()).unwrap(), fields.next().unwrap())
}

fn reads<T: DeserializeOwned + PartialEq + Debug>(name: &str, value: &T) {
    let (key, raw) = line(name);
    assert_eq!(layout::decode::<T>(&key, &raw).unwrap(), *value, "{name}");
}

/// Every kind of key and value, and what its value reads back as.
fn samples() -> Vec<(&'static str, Key, Vec<u8>)> {
    let delivery = delivery(1, 3);
    let dead = layout::DeadEntry { reason: DeadReason::Exhausted, progress: progress() };
    let known = layout::KeyEntry { event: id(1), fingerprint: [8; 16] };
    let lane = LaneCounts { fresh: 1, timed: 200, dead: 30_000, behind: 4 };
    let body_intent = layout::Intent::Body { event: id(1) };
    let rest_intent = layout::Intent::Rest { event: id(1) };
    let targets_intent = layout::Intent::Targets { event: id(1), next: 300 };
    vec![
        ("meta.format", layout::format_key(), layout::encode(&layout::FORMAT)),
        ("meta.clean", layout::clean_key(), vec![1]),
        ("meta.intent.body", layout::intent_key(), layout::encode(&body_intent)),
        ("meta.intent.targets", layout::intent_key(), layout::encode(&targets_intent)),
        ("meta.intent.rest", layout::intent_key(), layout::encode(&rest_intent)),
        ("meta.tally", layout::tally_key(), layout::encode(&tally())),
        ("meta.mark", layout::mark_key(), layout::encode(&mark())),
        ("event", layout::event_key(id(1)), layout::encode(&head())),
        ("body", layout::body_key(id(1), 258), b"{}".to_vec()),
        (
            "due.fresh",
            layout::due_key(EndpointNo(3), Due::fresh(id(1))),
            layout::encode(&Progress::default()),
        ),
        (
            "due.timed",
            layout::due_key(EndpointNo(3), Due::timed(at(1), id(1))),
            layout::encode(&progress()),
        ),
        ("flight", layout::flight_key(delivery), layout::encode(&progress())),
        ("step.attempt", layout::step_key(delivery, 0), layout::encode(&attempt())),
        ("step.command", layout::step_key(delivery, 258), layout::encode(&command())),
        ("step.rule", layout::step_key(delivery, 2), layout::encode(&rule())),
        ("step.duplicate", layout::step_key(delivery, 3), layout::encode(&duplicate())),
        ("dead", layout::dead_key(EndpointNo(3), at(1), id(1)), layout::encode(&dead)),
        (
            "order.first",
            layout::order_key(EndpointNo(3), OrderKey(1 << 40), None),
            layout::encode(&id(1)),
        ),
        (
            "order.behind",
            layout::order_key(EndpointNo(3), OrderKey(1 << 40), Some(id(2))),
            layout::encode(&behind()),
        ),
        (
            "version",
            layout::version_key(EndpointNo(3), OrderKey(1 << 40)),
            layout::encode(&300_u64),
        ),
        ("idempotency", layout::idempotency_key([9; 16]), layout::encode(&known)),
        ("lane", layout::lane_key(EndpointNo(3)), layout::encode(&lane)),
        ("endpoint", layout::endpoint_key(EndpointNo(3)), layout::encode(&entry())),
        ("expiry", layout::expiry_key((at(1), id(1))), layout::encode(&())),
        ("seen", layout::seen_key(EndpointNo(3), DedupeKey([7; 16])), layout::encode(&seen())),
        ("fades", layout::fades_key(at(1), EndpointNo(3), DedupeKey([7; 16])), layout::encode(&())),
        ("hold", layout::hold_key(hold().id), layout::encode(&hold())),
        ("replay", layout::replay_key(replay().id), layout::encode(&replay())),
        ("piece", layout::piece_key(&layout::event_key(id(1)), 258), b"rest".to_vec()),
        ("page", page(1).base(), page(1).encode()),
    ]
}

#[test]
fn bytes_on_disk_are_those_of_the_golden_file() {
    let lines = samples()
        .into_iter()
        .map(|(name, key, value)| format!("{name} {} {}\n", hex(key.as_slice()), hex(&value)));
    let written: String = lines.collect();
    if std::env::var_os("GOLDEN").is_some() {
        let packed = page(20);
        let (base, raw) = (packed.base(), packed.encode());
        let packed = format!("page.lz4 {} {}\n", hex(base.as_slice()), hex(&raw));
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/store.hex");
        let journal = format!("journal {} {}\n", hex(base.as_slice()), hex(&journal::file()));
        std::fs::write(file, format!("{written}{packed}{journal}")).unwrap();
        return;
    }
    // How exactly a page is packed is not ours to say; that it unpacks is, below. Each journal has
    // a salt of its own.
    let ours = GOLDEN.lines().filter(|line| !line.starts_with("page.lz4"));
    let ours = ours.filter(|line| !line.starts_with("journal "));
    assert_eq!(written.lines().collect::<Vec<_>>(), ours.collect::<Vec<_>>(), "now:\n{written}");
}

#[test]
fn golden_bytes_are_read_as_what_they_were() {
    reads("event", &head());
    reads("meta.tally", &tally());
    reads("meta.mark", &mark());
    reads("due.timed", &progress());
    reads("order.first", &id(1));
    reads("order.behind", &behind());
    reads("version", &300_u64);
    reads("step.attempt", &attempt());
    reads("step.command", &command());
    reads("step.rule", &rule());
    reads("step.duplicate", &duplicate());
    reads("seen", &seen());
    reads("hold", &hold());
    reads("endpoint", &entry());
    reads("replay", &replay());
    reads("lane", &LaneCounts { fresh: 1, timed: 200, dead: 30_000, behind: 4 });
    let due = Due::timed(at(1), id(1));
    assert_eq!(layout::due_of(&line("due.timed").0), Some(due));
    assert_eq!(layout::due_of(&line("due.fresh").0), Some(Due::fresh(id(1))));
    let order = OrderKey(1 << 40);
    assert_eq!(layout::order_of(&line("order.first").0), Some((order, None)));
    assert_eq!(layout::order_of(&line("order.behind").0), Some((order, Some(id(2)))));
    assert_eq!(layout::flight_of(&line("flight").0), Some(delivery(1, 3)));
    assert_eq!(layout::dead_of(&line("dead").0), Some((at(1), id(1))));
    assert_eq!(layout::lane_of(&line("lane").0), Some(EndpointNo(3)));
    assert_eq!(layout::expiry_of(&line("expiry").0), Some((at(1), id(1))));
    let fades = (at(1), EndpointNo(3), DedupeKey([7; 16]));
    assert_eq!(layout::fades_of(&line("fades").0), Some(fades));
    assert_eq!(layout::event_of(&line("event").0), Some(id(1)));
    for (name, entries) in [("page", 1), ("page.lz4", 20)] {
        let (base, raw) = line(name);
        assert_eq!(Page::decode(base, &raw).unwrap().entries(), page(entries).entries());
    }
}

#[test]
fn outcomes_keep_their_place_on_disk() {
    for (place, outcome) in Outcome::ALL.iter().enumerate() {
        assert_eq!(layout::encode(outcome), [1, u8::try_from(place).unwrap()], "{outcome}");
    }
    assert_eq!(Outcome::ALL.last(), Some(&Outcome::Nack), "a new one goes behind the last");
}

#[test]
fn values_of_another_format_are_refused() {
    let key = layout::format_key();
    let read = |raw: &[u8]| layout::decode::<u32>(&key, raw);
    assert_eq!(read(&[1, 1]).unwrap(), 1);
    for wrong in [&[][..], &[2, 1], &[1], &[1, 0xFF]] {
        let error = read(wrong).unwrap_err().to_string();
        assert!(error.contains(&key.to_string()), "{error}");
    }
}
