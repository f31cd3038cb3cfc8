use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::store::scan;

const LOG: Table =
    Table { byte: 1, lane_bytes: 2, split_bytes: PAGE_BYTES_MAX, rewrite_bytes: 900 };
const HASHES: Table = Table { byte: 2, lane_bytes: 1, split_bytes: 700, rewrite_bytes: 700 };

/// Opens a database; one that this process has just closed is locked until sled's own threads have
/// let go of it.
fn open(path: &std::path::Path) -> sled::Db {
    loop {
        match sled::Config::new().path(path).flush_every_ms(None).open() {
            Err(sled::Error::Io(error)) if error.to_string().contains("lock") => {
                std::thread::yield_now();
            }
            opened => return opened.unwrap(),
        }
    }
}

fn random_key(table: Table, lane: u8, name: u16) -> Key {
    table.key(&[&[lane], &name.to_be_bytes()])
}

#[derive(Clone, Debug)]
enum Change {
    Put { table: Table, key: Key, len: usize },
    Append { lane: u8, len: usize },
    Remove { table: Table, key: Key },
    RemoveFirst { table: Table, lane: u8, count: u8 },
    Emit,
    Reopen,
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let table = prop_oneof![Just(LOG), Just(HASHES)];
    let key = (table, 0_u8..3, 0_u16..400);
    let len = prop_oneof![8 => 0_usize..120, 1 => 0_usize..=VALUE_MAX];
    let one = prop_oneof![
        6 => (key.clone(), len.clone()).prop_map(|((table, lane, name), len)| Change::Put {
            table,
            key: random_key(table, lane, name),
            len,
        }),
        6 => (0_u8..3, len).prop_map(|(lane, len)| Change::Append { lane, len }),
        3 => key.clone().prop_map(|(table, lane, name)| Change::Remove {
            table,
            key: random_key(table, lane, name),
        }),
        1 => (key, 1_u8..40).prop_map(|((table, lane, _), count)| Change::RemoveFirst {
            table,
            lane,
            count,
        }),
        2 => Just(Change::Emit),
        1 => Just(Change::Reopen),
    ];
    proptest::collection::vec(one, 1..250)
}

const VALUE_MAX: usize = crate::store::page::VALUE_BYTES_MAX;

struct World {
    home: tempfile::TempDir,
    db: Option<sled::Db>,
    packed: Packed,
    model: BTreeMap<Key, Bytes>,
    appended: u16,
}

impl World {
    fn new() -> World {
        let home = tempfile::tempdir().unwrap();
        let db = open(home.path());
        let packed = Packed::new((*db).clone());
        World { home, db: Some(db), packed, model: BTreeMap::new(), appended: 1_000 }
    }

    fn put(&mut self, table: Table, key: Key, len: usize) {
        let value = Bytes::from(vec![u8::try_from(len % 251).unwrap(); len]);
        self.packed.insert(&table, key, value.clone()).unwrap();
        self.model.insert(key, value);
    }

    fn remove(&mut self, table: Table, key: Key) {
        let removed = self.packed.remove(&table, &key).unwrap();
        assert_eq!(removed, self.model.remove(&key));
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::Put { table, key, len } => self.put(table, key, len),
            Change::Append { lane, len } => {
                self.appended += 1;
                self.put(LOG, random_key(LOG, lane, self.appended), len);
            }
            Change::Remove { table, key } => self.remove(table, key),
            Change::RemoveFirst { table, lane, count } => self.remove_first(table, lane, count),
            Change::Emit => self.packed.emit().unwrap(),
            Change::Reopen => self.reopen(),
        }
    }

    fn remove_first(&mut self, table: Table, lane: u8, count: u8) {
        for _ in 0..count {
            let from = table.key(&[&[lane]]);
            let first = self.packed.first_from(&table, &from).unwrap();
            let in_lane = |key: &Key| key.as_slice().starts_with(&[table.byte, lane]);
            let expected = self.model.range(from..).next().filter(|(key, _)| in_lane(key));
            let first = first.filter(|(key, _)| in_lane(key));
            assert_eq!(first, expected.map(|(key, value)| (*key, value.clone())));
            let Some((key, _)) = first else { return };
            self.remove(table, key);
        }
    }

    fn reopen(&mut self) {
        self.packed.emit().unwrap();
        self.tree().flush().unwrap();
        let other = open(tempfile::tempdir().unwrap().path());
        self.packed = Packed::new((*other).clone());
        // The last handle: only now is the directory free to be opened again.
        self.db = None;
        let db = open(self.home.path());
        self.packed = Packed::new((*db).clone());
        self.db = Some(db);
    }

    /// The writer and a reader both see what the model holds.
    fn check(&mut self) {
        for table in [LOG, HASHES] {
            for lane in 0..3 {
                for name in [0, 50, 200, 399, 1_001, 2_000] {
                    let key = random_key(table, lane, name);
                    let expected = self.model.get(&key).cloned();
                    assert_eq!(self.packed.get(&table, &key).unwrap(), expected);
                    assert_eq!(scan::get(self.tree(), &table, &key).unwrap(), expected);
                    let lane_start = key.prefix(table.lane_bytes);
                    let before = self.model.range(lane_start..key).next_back();
                    let before = before.map(|(key, value)| (*key, value.clone()));
                    assert_eq!(self.packed.last_before(&table, &key).unwrap(), before);
                }
            }
            let (low, high) = (table.key(&[]), table.key(&[&[0xFF]]));
            let all: Vec<_> = self.model.range(low..high).map(|(k, v)| (*k, v.clone())).collect();
            assert_eq!(scan::ascending(self.tree(), &low, &high, usize::MAX).unwrap(), all);
            let from = random_key(table, 1, 60);
            let some: Vec<_> = all.iter().filter(|(k, _)| *k >= from).take(9).cloned().collect();
            assert_eq!(scan::ascending(self.tree(), &from, &high, 9).unwrap(), some);
            let mut all = all;
            all.reverse();
            assert_eq!(scan::descending(self.tree(), &high, &low, usize::MAX).unwrap(), all);
            let some: Vec<_> = all.into_iter().filter(|(k, _)| *k < from).take(9).collect();
            assert_eq!(scan::descending(self.tree(), &from, &low, 9).unwrap(), some);
        }
        for stored in self.tree().iter() {
            let (key, value) = stored.unwrap();
            assert!(value.len() <= 7_000, "{key:?}: {}", value.len());
        }
    }

    fn tree(&self) -> &sled::Tree {
        self.db.as_ref().unwrap()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_packed_map_is_an_ordered_map(changes in changes()) {
        let mut world = World::new();
        for change in changes {
            let check = matches!(change, Change::Reopen);
            world.apply(change);
            if check {
                world.check();
            }
        }
        world.packed.emit().unwrap();
        world.check();
    }
}

#[test]
fn appending_fills_pages_and_leaves_long_ones_alone() {
    let mut world = World::new();
    for name in 0..640_u16 {
        world.put(LOG, random_key(LOG, 0, name), 100);
    }
    world.packed.emit().unwrap();
    let pages = world.tree().len();
    assert!(pages <= 640 / 60, "{pages} pages");
    for name in 640..740 {
        world.put(LOG, random_key(LOG, 0, name), 100);
        assert_eq!(world.packed.operations(), 1, "one page for one more entry");
        world.packed.emit().unwrap();
    }
    assert!(world.tree().len() <= pages + 15, "{} pages", world.tree().len());
    world.check();
}

#[test]
fn a_damaged_page_is_named_and_others_are_read() {
    let mut world = World::new();
    for name in 0..200 {
        world.put(LOG, random_key(LOG, 0, name), 100);
        world.put(HASHES, random_key(HASHES, 0, name), 10);
    }
    world.packed.emit().unwrap();
    let bad = LOG.key(&[&[0]]);
    world.tree().insert(bad.as_slice(), &[1, 2, 3, 4, 5, 6, 7][..]).unwrap();
    let mut fresh = Packed::new(world.tree().clone());
    let error = fresh.get(&LOG, &random_key(LOG, 0, 1)).unwrap_err();
    assert!(matches!(error, ReadError::Page { key, .. } if key == bad), "{error}");
    assert!(error.to_string().contains(&bad.to_string()));
    assert!(scan::get(world.tree(), &LOG, &random_key(LOG, 0, 1)).is_err());
    let other = random_key(HASHES, 0, 1);
    assert_eq!(fresh.get(&HASHES, &other).unwrap(), world.model.get(&other).cloned());
}

#[test]
fn the_cache_is_bounded() {
    let mut world = World::new();
    for name in 0..3_000 {
        world.put(LOG, random_key(LOG, 0, name), 6_000);
        if name % 100 == 0 {
            world.packed.emit().unwrap();
            assert!(world.packed.cache.len() <= CACHED_PAGES_MAX);
        }
    }
}

#[test]
fn scans_beside_the_writer_miss_nothing_and_repeat_nothing() {
    let mut world = World::new();
    // Every second name stands before the scans begin; the others come in while they run.
    for name in (0..4_000).step_by(2) {
        world.put(HASHES, random_key(HASHES, 0, name), 20);
    }
    world.packed.emit().unwrap();
    let tree = world.tree().clone();
    let done = std::sync::atomic::AtomicBool::new(false);
    let (low, high) = (HASHES.key(&[]), HASHES.key(&[&[0xFF]]));
    let stood: Vec<Key> = world.model.keys().copied().collect();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut scans = 0;
            while scans < 3 || !done.load(std::sync::atomic::Ordering::Relaxed) {
                let mut up = scan::ascending(&tree, &low, &high, usize::MAX).unwrap();
                let mut down = scan::descending(&tree, &high, &low, usize::MAX).unwrap();
                assert!(up.is_sorted_by(|a, b| a.0 < b.0));
                assert!(down.is_sorted_by(|a, b| a.0 > b.0));
                for found in [&mut up, &mut down] {
                    found.retain(|(key, _)| stood.binary_search(key).is_ok());
                    assert_eq!(found.len(), stood.len());
                }
                scans += 1;
            }
        });
        for name in (1..4_000).step_by(2) {
            world.put(HASHES, random_key(HASHES, 0, name), 20);
            if name % 50 == 1 {
                world.packed.emit().unwrap();
            }
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        reader.join().unwrap();
    });
}
