//! The journal's own golden bytes: each journal has a salt of its own, so that they are only read.

use bytes::Bytes;
use postrider::store::journal;
use postrider::store::journal::Change;
use postrider::store::journal::Changes;
use postrider::store::journal::Journal;
use postrider::store::journal::Mark;
use postrider::store::layout;

use super::line;
use crate::support::*;

/// The head of a file, and where its first frame stands, in bytes.
const HEAD_BYTES: usize = 44;
const FIRST_AT: usize = 4096;

/// A file of a journal with one frame of three changes, without what lies between them.
pub(super) fn file() -> Vec<u8> {
    let home = tempfile::tempdir().unwrap();
    let files = journal::create(home.path()).unwrap();
    let mut journal = Journal::new(files, Mark { turn: 299, number: 70_000 }, false);
    let mut changes = Changes::default();
    changes.put(&layout::body_key(id(1), 258), b"{}");
    changes.remove(&layout::flight_key(delivery(1, 3)));
    changes.discard(&layout::event_key(id(1)));
    journal.append(&changes).unwrap();
    let written = std::fs::read(home.path().join(journal::FILES[0])).unwrap();
    let (head, frames) = written.split_at(FIRST_AT);
    let end = frames.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    [&head[..HEAD_BYTES], &frames[..end.next_multiple_of(8)]].concat()
}

/// All changes of a journal with this file.
fn read_journal(raw: &[u8]) -> (Mark, Vec<Change>) {
    let home = tempfile::tempdir().unwrap();
    let [even, odd] = journal::FILES.map(|name| home.path().join(name));
    let (head, frame) = raw.split_at(HEAD_BYTES);
    let gap = vec![0; FIRST_AT - HEAD_BYTES];
    std::fs::write(even, [head, &gap, frame].concat()).unwrap();
    std::fs::write(odd, head).unwrap();
    let files = journal::open(home.path()).unwrap().unwrap();
    let mut all = Vec::new();
    let before = Mark { turn: 299, number: 70_000 };
    let read = journal::replay(&files, before, |_, changes| {
        all.extend(changes);
        Ok::<(), std::convert::Infallible>(())
    });
    (read.unwrap(), all)
}

#[test]
fn a_golden_journal_is_read_as_what_it_was() {
    for raw in [line("journal").1, file()] {
        let (mark, changes) = read_journal(&raw);
        assert_eq!(mark, Mark { turn: 300, number: 70_001 });
        let expected = [
            Change::Put(layout::body_key(id(1), 258), Bytes::from_static(b"{}")),
            Change::Remove(layout::flight_key(delivery(1, 3))),
            Change::Discard(layout::event_key(id(1))),
        ];
        assert_eq!(changes, expected);
    }
}
