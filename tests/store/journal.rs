//! What the journal holds is found again by whoever opens a copy of the files, as they stand when
//! the process dies: the database has not got it yet.

use std::path::Path;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::Sender;
use std::sync::mpsc::channel;
use std::thread::JoinHandle;

use bytes::Bytes;
use postrider::model::*;
use postrider::store::CommitError;
use postrider::store::journal;
use postrider::store::layout;
use postrider::store::open::OpenError;
use postrider::store::open::Opened;
use postrider::store::open::Options;
use postrider::store::packed::Packed;
use postrider::store::read::Readers;
use postrider::store::writer::Commit;
use postrider::store::writer::Receipts;

use crate::support::*;

/// A writer in its own thread, as the daemon has it.
struct Running {
    commits: Sender<Commit>,
    receipts: Receiver<Receipts>,
    writer: JoinHandle<Result<(), CommitError>>,
    readers: Readers,
}

impl Running {
    fn over(opened: Opened) -> Running {
        let Opened { writer, readers, .. } = opened;
        let (commits, inbox) = channel();
        let (done, receipts) = channel();
        let run = move || writer.run(&inbox, |receipts| drop(done.send(receipts)));
        Running { commits, receipts, writer: std::thread::spawn(run), readers }
    }

    /// Hands a record over and waits until it is safe.
    fn one(&self, record: Record) -> Receipt {
        self.commits.send(Commit { ticket: 1, records: vec![record] }).unwrap();
        let mut receipts = self.receipts.recv().unwrap();
        receipts.pop().unwrap().1.pop().unwrap()
    }

    fn close(self) {
        drop(self.commits);
        self.writer.join().unwrap().unwrap();
    }
}

fn body(n: u64) -> Bytes {
    let bytes = usize::try_from(n * 7_919 % 90_000).unwrap();
    Bytes::from(vec![u8::try_from(n % 251).unwrap(); bytes])
}

/// The files as they stand now.
fn copied(from: &Options) -> (tempfile::TempDir, Options) {
    let home = tempfile::tempdir().unwrap();
    let to = options(&home.path().join("store"));
    let mut names = vec![Path::new("outbox").to_owned()];
    std::fs::create_dir(&to.path).unwrap();
    while let Some(name) = names.pop() {
        let (source, target) = (from.path.join(&name), to.path.join(&name));
        if source.is_dir() {
            std::fs::create_dir(&target).unwrap();
            let entries = std::fs::read_dir(&source).unwrap();
            names.extend(entries.map(|entry| name.join(entry.unwrap().file_name())));
        } else {
            std::fs::copy(&source, &target).unwrap();
        }
    }
    (home, to)
}

fn database(path: &Path) -> sled::Db {
    loop {
        match sled::Config::new().path(path).flush_every_ms(None).open() {
            Ok(db) => return db,
            Err(_) => std::thread::yield_now(),
        }
    }
}

/// The turns that were begun, by the database.
fn turns(options: &Options) -> u64 {
    let db = database(&options.path.join("outbox"));
    let key = layout::mark_key();
    let raw = Packed::new((*db).clone()).get(&layout::META, &key).unwrap().unwrap();
    layout::decode::<journal::Mark>(&key, &raw).unwrap().turn
}

#[test]
fn whatever_was_answered_is_there_when_the_process_dies() {
    let mut store = Store::new();
    let options = store.options();
    let running = Running::over(store.opened.take().unwrap());
    for n in 1..=600 {
        let admit = admit(event(n, body(n), &[3, 4]), &[3]);
        assert_eq!(running.one(admit), Receipt::Applied);
        assert_eq!(running.one(attempt(n, 3, Outcome::Ok, Next::Delivered)), Receipt::Applied);
        if n % 150 != 0 {
            continue;
        }
        let (_home, copy) = copied(&options);
        let opened = open_when_free(&copy).unwrap();
        assert!(!opened.recovered.clean);
        assert_eq!(opened.recovered.in_flight, []);
        let counts = LaneCounts { fresh: n, ..LaneCounts::default() };
        assert!(opened.recovered.lanes.contains(&(EndpointNo(4), counts)), "after {n}");
        let reader = opened.readers.reader().unwrap();
        for n in 1..=n {
            assert_eq!(reader.event(id(n)).unwrap().unwrap().body, body(n), "event {n}");
            let delivered = reader.delivery(delivery(n, 3)).unwrap();
            assert_eq!(delivered.state, DeliveryState::Delivered, "event {n}");
        }
    }
    running.close();
    drop(open_when_free(&options).unwrap());
    let turns = turns(&copied(&options).1);
    assert!(turns > 3, "only {turns} turns: too little was written to fill the files");
}

/// What a sweep has passed by, and taken out, does not come back under what was written since.
#[test]
fn a_damaged_page_that_was_taken_out_stays_out() {
    let mut store = Store::new();
    store.commit((1..=300).map(|n| simple(n, &[], &[])).collect());
    let options = store.options();
    store.opened = None;
    let outbox = options.path.join("outbox");
    let db = database(&outbox);
    let page = db.scan_prefix([layout::EVENTS.byte]).keys().next().unwrap().unwrap();
    db.insert(page, "no page").unwrap();
    db.flush().unwrap();
    drop(db);
    let running = Running::over(open_when_free(&options).unwrap());
    let (mut ahead, mut more) = (None, true);
    let mut found = 0;
    while more {
        let now = Time::from_secs(START.as_secs() + 100_000);
        let prune = Prune { now, horizons: HORIZONS, limit: 100, ahead };
        let receipt = running.one(Record::Prune(Box::new(prune)));
        let Receipt::Pruned { gone, more: left, ahead: next, .. } = receipt else { unreachable!() };
        found += gone.damaged;
        (more, ahead) = (left, next);
    }
    assert!(found > 0);
    assert_eq!(running.one(simple(1, &[], &[])), Receipt::Applied);
    let (_home, copy) = copied(&options);
    let opened = open_when_free(&copy).unwrap();
    let reader = opened.readers.reader().unwrap();
    assert_eq!(reader.event(id(1)).unwrap().unwrap().id, id(1));
}

#[test]
fn a_reader_sees_what_was_answered_before_it_came() {
    let mut store = Store::new();
    let running = Running::over(store.opened.take().unwrap());
    for n in 1..=500 {
        running.one(simple(n, &[3], &[]));
        let reader = running.readers.reader().unwrap();
        assert_eq!(reader.event(id(n)).unwrap().unwrap().id, id(n));
    }
    let readers = running.readers.clone();
    running.close();
    assert!(readers.reader().is_ok(), "everything was handed over before the end");
}

/// A store of which the process has died, with something that only the journal holds.
fn left() -> (tempfile::TempDir, Options) {
    let mut store = Store::new();
    let options = store.options();
    let running = Running::over(store.opened.take().unwrap());
    for n in 1..=20 {
        running.one(simple(n, &[3], &[]));
    }
    copied(&options)
}

fn moved_aside(options: &Options) -> String {
    match open_when_free(options) {
        Err(OpenError::Damaged { moved_to, why }) => {
            assert!(moved_to.join("db").exists());
            why
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_journal_that_is_damaged_or_gone_is_noticed() {
    let (_home, options) = left();
    let file = options.path.join("outbox").join(journal::FILES[1]);
    let mut raw = std::fs::read(&file).unwrap();
    raw[4096 + 1_000] ^= 1;
    std::fs::write(&file, raw).unwrap();
    let why = moved_aside(&options);
    assert!(why.starts_with("the journal is damaged: frame "), "{why}");

    for name in journal::FILES {
        let (_home, options) = left();
        std::fs::remove_file(options.path.join("outbox").join(name)).unwrap();
        assert_eq!(moved_aside(&options), "its journal is missing, or not whole");
    }
}

#[test]
fn a_store_that_was_left_in_order_needs_no_journal() {
    let mut store = Store::new();
    store.one(simple(1, &[3], &[]));
    let options = store.options();
    let Opened { writer, readers, .. } = store.opened.take().unwrap();
    writer.close().unwrap();
    drop(readers);
    drop(open_when_free(&options).unwrap().writer.close());
    for name in journal::FILES {
        std::fs::remove_file(options.path.join("outbox").join(name)).unwrap();
    }
    let opened = open_when_free(&options).unwrap();
    assert!(opened.recovered.clean);
    assert_eq!(opened.recovered.last_event, Some(id(1)));
}

/// Format 1 had no journal, and no mark of it.
#[test]
fn a_store_of_format_1_is_taken_over() {
    let mut store = Store::new();
    store.commit((1..=20).map(|n| simple(n, &[3], &[])).collect());
    let options = store.options();
    store.opened = None;
    drop(open_when_free(&options).unwrap());
    let outbox = options.path.join("outbox");
    for name in journal::FILES {
        std::fs::remove_file(outbox.join(name)).unwrap();
    }
    let db = database(&outbox);
    let mut packed = Packed::new((*db).clone());
    packed.remove(&layout::META, &layout::mark_key()).unwrap();
    let key = layout::format_key();
    packed.insert(&layout::META, key, layout::encode(&1_u32).into()).unwrap();
    packed.emit().unwrap();
    db.flush().unwrap();
    drop((packed, db));
    std::fs::write(outbox.join("format"), "1\n").unwrap();
    let opened = open_when_free(&options).unwrap();
    assert_eq!(opened.recovered.last_event, Some(id(20)));
    drop(opened);
    let db = database(&outbox);
    let raw = Packed::new((*db).clone()).get(&layout::META, &key).unwrap();
    assert_eq!(layout::decode::<u32>(&key, &raw.unwrap()).unwrap(), layout::FORMAT);
    assert_eq!(std::fs::read_to_string(outbox.join("format")).unwrap(), "2\n");
}
