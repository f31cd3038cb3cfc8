//! The two tables hold the same keys, and let go of them when their windows end.

use std::time::Duration;

use super::*;
use crate::model::DedupeKey;
use crate::model::EndpointNo;
use crate::store::scan;
use crate::store::tests::batches;

const START: Time = Time::from_secs(1_795_000_000);
const WINDOW: Duration = Duration::from_millis(10);

fn at(n: u64) -> Time {
    START + Duration::from_millis(n)
}

/// Remembers an event of this key that was admitted `n` milliseconds after the start.
fn see(batches: &mut Batches, n: u64, key: u8) {
    let dedupe = Dedupe { endpoint: EndpointNo(3), key: DedupeKey([key; 16]), window: WINDOW };
    let before = seen(batches, &dedupe).unwrap();
    remember(batches, before.as_ref(), EventId::v7(at(n), 0, n), &dedupe, at(n)).unwrap();
}

/// Entries of the two tables.
fn rows(batches: &mut Batches, db: &sled::Db) -> (usize, usize) {
    batches.emit().unwrap();
    let count = |table: &Table| {
        let (low, high) = (table.key(&[]), table.key(&[&[0xFF; 29]]));
        scan::ascending(db, &low, &high, usize::MAX).unwrap().len()
    };
    (count(&layout::SEEN), count(&layout::FADES))
}

#[test]
fn keys_go_when_their_windows_end_one_by_one() {
    let home = tempfile::tempdir().unwrap();
    let db = sled::Config::new().path(home.path()).flush_every_ms(None).open().unwrap();
    let mut batches = batches(&db);
    (1..=5).for_each(|n| see(&mut batches, n, u8::try_from(n).unwrap()));
    see(&mut batches, 11, 1);
    assert_eq!(rows(&mut batches, &db), (5, 5), "one window for each key");
    assert!(!forget_one(&mut batches, at(11)).unwrap(), "none has ended");
    assert!(forget_one(&mut batches, at(12)).unwrap(), "that of 2");
    assert!(!forget_one(&mut batches, at(12)).unwrap());
    assert_eq!(rows(&mut batches, &db), (4, 4));
    let forgotten = (0..9).filter(|_| forget_one(&mut batches, at(20)).unwrap()).count();
    assert_eq!((forgotten, rows(&mut batches, &db)), (3, (1, 1)), "the second one of 1 is left");
    assert!(forget_one(&mut batches, at(21)).unwrap());
    assert_eq!(rows(&mut batches, &db), (0, 0));
}
