//! What was submitted and acknowledged, and the check that the world agrees.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::harness::client::Answer;
use crate::harness::client::Request;
use crate::harness::receiver::Receiver;

/// Names and types of the endpoints, in the order of their receivers.
pub(crate) const ENDPOINTS: [(&str, &str); 3] =
    [("all", "[\"**\"]"), ("orders", "[\"order.*\"]"), ("flaky", "[\"order.paid\", \"ping\"]")];

/// Event types, and which endpoints they are routed to.
const TYPES: [(&str, &[usize]); 4] = [
    ("order.created", &[0, 1]),
    ("order.paid", &[0, 1, 2]),
    ("ping", &[0, 2]),
    ("user.made", &[0]),
];

/// Lengths of payloads, in bytes, at most: one fits a page of the store, the other takes several.
const SMALL_BYTES: usize = 400;
const LARGE_BYTES: usize = 30_000;

/// One client's events, in the order in which they were first submitted.
#[derive(Debug)]
pub(crate) struct Book {
    client: u64,
    rng: fastrand::Rng,
    entries: Vec<Entry>,
    /// Answers that said that the event was known, and that it was not.
    repeated: u64,
}

#[derive(Debug)]
struct Entry {
    key: String,
    kind: usize,
    bytes: usize,
    /// The event's id, once it was acknowledged.
    id: Option<String>,
}

impl Book {
    pub(crate) fn new(client: u64, seed: u64) -> Book {
        let rng = fastrand::Rng::with_seed(seed);
        Book { client, rng, entries: Vec::new(), repeated: 0 }
    }

    /// What to submit now: what was never answered, sometimes what was, else something new.
    pub(crate) fn next(&mut self) -> usize {
        let last = self.entries.len().checked_sub(1);
        match last {
            Some(last) if self.entries[last].id.is_none() => last,
            Some(last) if self.rng.u8(..10) == 0 => self.rng.usize(..=last),
            _ => {
                let kind = self.rng.usize(..TYPES.len());
                let large = self.rng.u8(..20) == 0;
                let bytes = self.rng.usize(..if large { LARGE_BYTES } else { SMALL_BYTES });
                let key = format!("c{}-{}", self.client, self.entries.len());
                self.entries.push(Entry { key, kind, bytes, id: None });
                self.entries.len() - 1
            }
        }
    }

    pub(crate) fn request(&self, at: usize) -> Request {
        let entry = &self.entries[at];
        let path = format!("/v1/events/{}", TYPES[entry.kind].0);
        Request::post(&path, entry.body()).key(&entry.key)
    }

    /// Notes an answer, which must agree with all before it.
    pub(crate) fn acknowledged(&mut self, at: usize, answer: &Answer) {
        let id = answer.id();
        let entry = &mut self.entries[at];
        if let Some(known) = &entry.id {
            assert_eq!(*known, id, "{} became another event", entry.key);
            assert_eq!(answer.json()["duplicate"], true, "{} was forgotten", entry.key);
        }
        self.repeated += u64::from(answer.json()["duplicate"] == true);
        entry.id = Some(id);
    }

    /// Submits everything once more, also what was never answered.
    pub(crate) fn settle(&mut self, mut send: impl FnMut(&Request) -> Answer) {
        for at in 0..self.entries.len() {
            let answer = send(&self.request(at));
            self.acknowledged(at, &answer);
        }
    }
}

impl Entry {
    fn body(&self) -> Vec<u8> {
        let mut body = format!("{}\n", self.key).into_bytes();
        body.extend(self.key.bytes().cycle().take(self.bytes));
        body
    }
}

/// Ids of events that have not arrived everywhere where they were routed to.
pub(crate) fn missing(books: &[Book], receivers: &[Receiver]) -> Vec<String> {
    let arrived: Vec<BTreeSet<String>> = receivers
        .iter()
        .map(|receiver| {
            let mut arrivals = receiver.so_far();
            arrivals.retain(|arrival| arrival.status == 200);
            arrivals.iter().map(|arrival| arrival.id().to_owned()).collect()
        })
        .collect();
    let entries = books.iter().flat_map(|book| &book.entries);
    let missing = entries.filter_map(|entry| {
        let id = entry.id.as_ref()?;
        let everywhere = TYPES[entry.kind].1.iter().all(|place| arrived[*place].contains(id));
        (!everywhere).then(|| id.clone())
    });
    missing.collect()
}

/// Everything that was acknowledged has arrived where it was routed to, as it was submitted, and
/// nothing else has. Gives the counts.
pub(crate) fn check(books: &[Book], receivers: &[Receiver]) -> String {
    let entries: BTreeMap<&str, &Entry> = books
        .iter()
        .flat_map(|book| &book.entries)
        .map(|entry| (entry.id.as_deref().unwrap(), entry))
        .collect();
    let events: usize = books.iter().map(|book| book.entries.len()).sum();
    assert_eq!(entries.len(), events, "two keys became one event");
    let (mut delivered, mut duplicated, mut failed) = (0, 0, 0);
    for (place, receiver) in receivers.iter().enumerate() {
        let name = ENDPOINTS[place].0;
        let mut got = BTreeSet::new();
        for arrival in receiver.so_far() {
            let entry = entries.get(arrival.id());
            let entry = entry.unwrap_or_else(|| panic!("{name}: unknown {}", arrival.id()));
            assert!(TYPES[entry.kind].1.contains(&place), "{name}: {entry:?}");
            assert_eq!(arrival.headers["postrider-event-type"], TYPES[entry.kind].0);
            assert!(arrival.body == entry.body(), "{name}: {entry:?}");
            match arrival.status {
                200 if got.insert(arrival.id().to_owned()) => delivered += 1,
                200 => duplicated += 1,
                _ => failed += 1,
            }
        }
        for (id, entry) in &entries {
            let wanted = TYPES[entry.kind].1.contains(&place);
            assert_eq!(wanted, got.contains(*id), "{name}: {id} {entry:?}");
        }
    }
    let repeated: u64 = books.iter().map(|book| book.repeated).sum();
    assert!(failed > 0 && repeated > 0, "the load was too tame");
    format!(
        "acknowledged {events} events ({repeated} submitted again), delivered {delivered}, \
         duplicated {duplicated}, refused at first {failed}"
    )
}
