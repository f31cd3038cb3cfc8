//! Submitters: they repeat what was not answered, and remember what was.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use postrider::engine::Admitted;
use postrider::engine::Caller;
use postrider::engine::Input;
use postrider::engine::Refusal;
use postrider::engine::SubmitMode;
use postrider::model::Attributes;
use postrider::model::EventId;
use postrider::model::Submission;

use crate::reports::RARE;
use crate::world::Happening;
use crate::world::World;

/// What a client wants known.
#[derive(Clone)]
pub struct Wish {
    pub number: u64,
    pub keyed: bool,
    pub submission: Submission,
}

/// What the clients know.
#[derive(Default)]
pub struct Clients {
    pub next_number: u64,
    pub asked: BTreeMap<Caller, Vec<Wish>>,
    /// Not answered, to be asked again.
    pub again: Vec<Wish>,
    /// Answered 202, by the number of the wish.
    pub accepted: BTreeMap<u64, EventId>,
    pub stopped: bool,
}

impl Clients {
    /// Whoever waits for an answer will get none. With a key, one asks again.
    pub fn process_died(&mut self) {
        let lost = std::mem::take(&mut self.asked);
        let lost = lost.into_values().flatten();
        self.again.extend(lost.filter(|wish| wish.keyed && wish.number != u64::MAX));
    }
}

impl World {
    pub fn client(&mut self) {
        if self.crowd.is_some() {
            self.crowd_client();
            return;
        }
        let wait = Duration::from_micros(self.rng.u64(100..2_000_000));
        if !self.clients.stopped {
            self.schedule(wait, Happening::Client);
        }
        let count = if self.rng.u32(0..10) == 0 { self.rng.usize(2..8) } else { 1 };
        let mut wishes = Vec::new();
        for _ in 0..count {
            let again = !self.clients.again.is_empty() && self.rng.bool();
            if again {
                self.marks.hit("reply lost and asked again");
                let at = self.rng.usize(..self.clients.again.len());
                wishes.push(self.clients.again.swap_remove(at));
            } else if !self.clients.stopped {
                let wish = self.new_wish();
                wishes.push(wish);
            }
        }
        if wishes.is_empty() {
            return;
        }
        // now and then the same is asked twice at once
        if wishes.len() == 1 && wishes[0].keyed && self.rng.u32(0..8) == 0 {
            self.ask(wishes.clone(), SubmitMode::Whole);
        }
        if wishes[0].keyed && self.rng.u32(0..30) == 0 {
            self.ask_another_under_the_same_key(&wishes[0]);
        }
        let mode = if self.rng.bool() { SubmitMode::Whole } else { SubmitMode::Partial };
        self.ask(wishes, mode);
    }

    pub fn new_wish(&mut self) -> Wish {
        self.clients.next_number += 1;
        let number = self.clients.next_number;
        let kind = ["order.created", "order.paid", "user.gone", "nobody.wants"];
        let kind = kind[self.rng.usize(..kind.len())];
        let keyed = self.rng.u32(0..4) != 0;
        let name = &self.endpoints[self.rng.usize(..self.endpoints.len())].name;
        let one = (self.rng.u32(0..20) == 0).then(|| vec![name.to_string()]);
        let delay = (self.rng.u32(0..15) == 0).then(|| Duration::from_secs(self.rng.u64(1..200)));
        if delay.is_some() {
            self.marks.hit("delayed event");
        }
        let submission = Submission {
            source: if number.is_multiple_of(50) { RARE } else { "uid:1000" }.into(),
            event_type: kind.parse().unwrap(),
            content_type: "application/json".into(),
            body: self.body(number),
            attributes: Box::<Attributes>::default(),
            delay,
            ahead: Duration::ZERO,
            endpoints: one,
            idempotency_key: keyed.then(|| format!("k-{number}").parse().unwrap()),
        };
        Wish { number, keyed, submission }
    }

    fn body(&mut self, number: u64) -> Bytes {
        let (key, version) = (self.rng.u32(0..6), (number / 5).saturating_sub(self.rng.u64(0..2)));
        let same = self.rng.u32(0..15);
        let text = format!("\"n\":{number},\"key\":{key},\"version\":{version},\"same\":{same}");
        Bytes::from(format!("{{{text}}}"))
    }

    pub fn ask(&mut self, wishes: Vec<Wish>, mode: SubmitMode) {
        let caller = self.new_caller();
        let submissions = wishes.iter().map(|wish| wish.submission.clone()).collect();
        self.clients.asked.insert(caller, wishes);
        self.tell(Input::Submit { caller, since: self.now, submissions, mode });
    }

    fn ask_another_under_the_same_key(&mut self, wish: &Wish) {
        if !self.clients.accepted.contains_key(&wish.number) {
            return;
        }
        let mut other = wish.clone();
        other.submission.body = Bytes::from_static(b"another");
        // numbers from here on belong to no wish: nothing may come of it
        other.number = u64::MAX;
        if self.rng.bool() || self.clients.stopped {
            self.ask(vec![other], SubmitMode::Whole);
            return;
        }
        // with another event before it, which may have the same key
        let before = self.new_wish();
        if before.keyed && self.rng.bool() {
            // a key belongs to its source
            other.submission.source = Arc::clone(&before.submission.source);
            other.submission.idempotency_key.clone_from(&before.submission.idempotency_key);
            // a key is one of its source
            other.submission.source.clone_from(&before.submission.source);
        }
        let mode = if before.keyed { SubmitMode::Whole } else { SubmitMode::Partial };
        self.ask(vec![before, other], mode);
    }

    pub fn answered(&mut self, caller: Caller, answers: Vec<Result<Admitted, Refusal>>) {
        let Some(wishes) = self.clients.asked.remove(&caller) else {
            panic!("seed {}: an answer that nobody waits for", self.seed);
        };
        assert_eq!(wishes.len(), answers.len(), "one answer for each");
        let whole = answers.contains(&Err(Refusal::WithOthers));
        assert!(!whole || answers.iter().all(Result::is_err), "seed {}: in part", self.seed);
        for (wish, answer) in wishes.into_iter().zip(answers) {
            match answer {
                Ok(admitted) => self.accepted(&wish, &admitted),
                Err(refusal) => self.refused(wish, &refusal),
            }
        }
    }

    fn accepted(&mut self, wish: &Wish, admitted: &Admitted) {
        let seed = self.seed;
        assert_ne!(wish.number, u64::MAX, "seed {seed}: another request under a known key");
        let event = self.disk.events.get(&admitted.event);
        let event = event.unwrap_or_else(|| panic!("seed {seed}: answered before it was safe"));
        assert_eq!(event.body, wish.submission.body, "seed {seed}: another event's payload");
        assert_eq!(event.targets, admitted.targets, "seed {seed}");
        if event.targets.is_empty() {
            self.marks.hit("unmatched event kept");
        }
        if admitted.duplicate {
            self.marks.hit("duplicate key");
        }
        let first = *self.clients.accepted.entry(wish.number).or_insert(admitted.event);
        assert_eq!(first, admitted.event, "seed {seed}: one wish became two events");
        // a client that has lost its memory asks once more
        if wish.keyed && self.rng.u32(0..12) == 0 {
            self.clients.again.push(wish.clone());
        }
    }

    fn refused(&mut self, wish: Wish, refusal: &Refusal) {
        match refusal {
            Refusal::QueueFull { wait } => {
                assert!((1..=3_600).contains(&wait.as_secs()), "seed {}: {wait:?}", self.seed);
                self.marks.hit("queue full");
            }
            Refusal::WithOthers => self.marks.hit("batch refused as a whole"),
            Refusal::Draining => self.marks.hit("start refused while draining"),
            Refusal::KeyReused(first) => {
                self.marks.hit("key reused for another request");
                assert!(self.disk.events.contains_key(first));
                assert_eq!(wish.number, u64::MAX, "seed {}: its own key refused", self.seed);
                return;
            }
            Refusal::KeyTwice => {
                self.marks.hit("key twice in a batch");
                assert_eq!(wish.number, u64::MAX, "seed {}: its own key refused", self.seed);
                return;
            }
            Refusal::UnknownEndpoint(_) => return,
            other => panic!("seed {}: refused: {other:?}", self.seed),
        }
        if wish.number != u64::MAX {
            self.clients.again.push(wish);
        }
    }

    /// Each number of a wish that was accepted stands for one event, and each event for one.
    pub fn check_clients(&self) {
        let seed = self.seed;
        let events: BTreeSet<_> = self.clients.accepted.values().collect();
        assert_eq!(events.len(), self.clients.accepted.len(), "seed {seed}: two wishes, one event");
        let mut bodies = BTreeMap::new();
        let submitted = self.disk.events.values().filter(|event| !event.id.is_operational());
        for event in submitted {
            let number: u64 = String::from_utf8_lossy(&event.body)
                .strip_prefix("{\"n\":")
                .and_then(|rest| rest.split(',').next()?.parse().ok())
                .unwrap_or_else(|| panic!("seed {seed}: a payload that was refused is stored"));
            bodies.entry(number).or_insert_with(Vec::new).push(event.id);
        }
        for event in self.clients.accepted.values() {
            let gone = self.disk.gone.contains_key(event);
            let known = gone || self.disk.events.contains_key(event);
            assert!(known, "seed {seed}: acknowledged, then lost");
        }
        let keyed: BTreeSet<_> = self.disk.keys.values().map(|(id, _)| *id).collect();
        for (number, ids) in bodies {
            let keyed = ids.iter().any(|id| keyed.contains(id));
            assert!(ids.len() == 1 || !keyed, "seed {seed}: wish {number} is {ids:?}");
        }
    }
}
