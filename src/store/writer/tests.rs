use std::sync::mpsc::channel;

use super::*;
use crate::model::EndpointEntry;
use crate::model::EndpointNo;
use crate::model::EndpointState;
use crate::store::packed::ReadError;
use crate::store::read::Reader;
use crate::store::tests::batches;

fn database() -> (tempfile::TempDir, sled::Db) {
    let home = tempfile::tempdir().unwrap();
    let db = sled::Config::new().path(home.path()).flush_every_ms(None).open().unwrap();
    (home, db)
}

fn writer(db: &sled::Db) -> Writer {
    Writer::new(batches(db), Arc::default())
}

fn commit(ticket: u64, no: u32) -> Commit {
    let entry = EndpointEntry {
        no: EndpointNo(no),
        name: format!("endpoint-{no}"),
        state: EndpointState::default(),
        definition: None,
        removed: None,
    };
    Commit { ticket, records: vec![Record::Endpoint(Box::new(entry))] }
}

#[test]
fn what_waits_is_one_group_and_the_end_is_noted() {
    let (_home, db) = database();
    let (send, inbox) = channel();
    for ticket in 0..2_000 {
        send.send(commit(ticket, u32::try_from(ticket).unwrap())).unwrap();
    }
    drop(send);
    let mut groups = Vec::new();
    writer(&db).run(&inbox, |receipts| groups.push(receipts)).unwrap();
    assert_eq!(groups.iter().map(Vec::len).collect::<Vec<_>>(), [GROUP_RECORDS_MAX, 976]);
    let tickets: Vec<u64> = groups.into_iter().flatten().map(|(ticket, _)| ticket).collect();
    assert_eq!(tickets, (0..2_000).collect::<Vec<_>>());
    assert_eq!(Reader::new((*db).clone()).endpoints().unwrap().len(), 2_000);
    assert!(writer(&db).batches.packed.get(&layout::META, &layout::clean_key()).unwrap().is_some());
}

#[test]
fn a_writer_that_failed_acknowledges_nothing_any_more() {
    let (_home, db) = database();
    writer(&db).commit(&[commit(1, 1)]).unwrap();
    let page = layout::ENDPOINTS.key(&[]);
    let good = db.insert(page.as_slice(), &b"damaged"[..]).unwrap().unwrap();
    let mut writer = writer(&db);
    let first = writer.commit(&[commit(2, 2)]).unwrap_err();
    assert!(
        matches!(&first, CommitError::Unreadable(ReadError::Page { key, .. }) if *key == page),
        "{first}"
    );
    // Even when what it failed on is well again: nobody knows what it had staged.
    db.insert(page.as_slice(), good).unwrap();
    let second = writer.commit(&[commit(3, 3)]).unwrap_err();
    assert_eq!(second.to_string(), first.to_string());
    assert!(writer.close().is_err());
    assert_eq!(Reader::new((*db).clone()).endpoints().unwrap().len(), 1);
}

#[test]
fn a_group_is_bounded_in_bytes_too() {
    let mut size = Size::default();
    assert!(size.has_room());
    size.bytes = GROUP_BYTES_MAX;
    assert!(!size.has_room());
}
