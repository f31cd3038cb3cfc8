//! Directories as they are found: new, ours, locked, wrong, damaged.

use std::os::unix::fs::PermissionsExt;

use postrider::model::*;
use postrider::store::layout;
use postrider::store::open::OpenError;
use postrider::store::open::Options;
use postrider::store::open::open;
use postrider::store::packed::Packed;

use crate::support::*;

#[test]
fn a_new_store_is_empty_private_and_clean() {
    let mut store = Store::new();
    let recovered = store.opened().recovered.clone();
    assert!(recovered.clean);
    assert_eq!(recovered.last_event, None);
    assert_eq!(recovered.in_flight, []);
    let mode = std::fs::metadata(store.options().path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    store.reader().ping().unwrap();
}

#[test]
fn an_orderly_end_is_told_from_another() {
    let mut store = Store::new();
    store.one(simple(4, &[3], &[3]));
    store.reopen();
    let recovered = &store.opened().recovered;
    assert!(!recovered.clean);
    assert_eq!(recovered.last_event, Some(id(4)));
    assert_eq!(recovered.in_flight, [(delivery(4, 3), Progress::default())]);
    store.opened.take().unwrap().writer.close().unwrap();
    store.reopen();
    assert!(store.opened().recovered.clean);
    store.reopen();
    assert!(!store.opened().recovered.clean, "the mark holds for one start");
}

#[test]
fn a_store_in_use_is_refused() {
    let store = Store::new();
    let error = open(&store.options()).unwrap_err();
    assert!(matches!(error, OpenError::Locked(_)), "{error}");
}

#[test]
fn wrong_directories_are_named() {
    let home = tempfile::tempdir().unwrap();
    let missing = options(&home.path().join("a/b"));
    let error = open(&missing).unwrap_err();
    assert!(matches!(&error, OpenError::NoDirectory(path) if *path == missing.path), "{error}");
    let file = home.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let error = open(&options(&file)).unwrap_err();
    assert!(matches!(error, OpenError::NotADirectory(_)), "{error}");
    let error = open(&options(&file.join("below"))).unwrap_err();
    assert!(matches!(error, OpenError::NotADirectory(_)), "{error}");
}

#[test]
fn databases_of_others_are_refused() {
    let home = tempfile::tempdir().unwrap();
    let foreign = sled::open(home.path().join("outbox")).unwrap();
    foreign.insert("key", "value").unwrap();
    foreign.flush().unwrap();
    drop(foreign);
    let error = open_when_free(&options(home.path())).unwrap_err();
    assert!(matches!(error, OpenError::Foreign(_)), "{error}");
}

#[test]
fn databases_of_later_versions_are_refused() {
    let newer = |error: OpenError| match error {
        OpenError::Newer { found, known, .. } => assert_eq!((found, known), (3, layout::FORMAT)),
        other => panic!("{other}"),
    };
    let home = tempfile::tempdir().unwrap();
    let db = sled::open(home.path().join("outbox")).unwrap();
    let mut packed = Packed::new((*db).clone());
    let format = layout::encode(&3_u32).into();
    packed.insert(&layout::META, layout::format_key(), format).unwrap();
    packed.emit().unwrap();
    db.flush().unwrap();
    drop((packed, db));
    newer(open_when_free(&options(home.path())).unwrap_err());
    std::fs::write(home.path().join("outbox/format"), "3\n").unwrap();
    std::fs::write(home.path().join("outbox/db"), "of a form not known today").unwrap();
    newer(open(&options(home.path())).unwrap_err());
}

#[test]
fn a_database_that_lost_everything_is_not_taken_for_a_new_one() {
    let mut store = Store::new();
    store.commit((0..50).map(|n| simple(n, &[3], &[])).collect());
    let options = store.options();
    store.opened = None;
    drop(open_when_free(&options).unwrap());
    for file in std::fs::read_dir(options.path.join("outbox")).unwrap() {
        let file = file.unwrap();
        let name = file.file_name().into_string().unwrap();
        if name.starts_with("snap") {
            std::fs::remove_file(file.path()).unwrap();
        }
    }
    std::fs::write(options.path.join("outbox/db"), [0; 4096]).unwrap();
    match open_when_free(&options) {
        Err(OpenError::Damaged { moved_to, .. }) => assert!(moved_to.join("db").exists()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_ballast_stands_once_the_store_is_open() {
    let home = tempfile::tempdir().unwrap();
    let options = Options { ballast_bytes: 1024 * 1024, ..options(&home.path().join("store")) };
    let opened = open(&options).unwrap();
    let ballast = std::fs::metadata(options.path.join("ballast")).unwrap();
    assert_eq!(ballast.len(), options.ballast_bytes);
    assert!(opened.space.used_bytes().unwrap() >= options.ballast_bytes);
}

#[test]
fn readers_may_be_shared_and_the_writer_moved() {
    fn shared<T: Clone + Send + Sync>(_: &T) {}
    fn moved<T: Send>(_: &T) {}
    let mut store = Store::new();
    shared(&store.opened().readers);
    moved(&store.opened().writer);
}

#[test]
fn a_damaged_database_is_moved_aside_and_never_replaced() {
    let mut store = Store::new();
    store.commit((0..50).map(|n| simple(n, &[3], &[])).collect());
    let options = store.options();
    drop(store.opened.take());
    let file = options.path.join("outbox/conf");
    // The other process's lock is gone once the database opens again.
    drop(open_when_free(&options).unwrap());
    std::fs::write(&file, "not what it was").unwrap();
    let moved = match open_when_free(&options) {
        Err(OpenError::Damaged { moved_to, .. }) => moved_to,
        other => panic!("{other:?}"),
    };
    assert!(moved.join("db").exists());
    match open(&options) {
        Err(OpenError::Damaged { moved_to, .. }) => assert_eq!(moved_to, moved),
        other => panic!("an empty store in its place: {other:?}"),
    }
    std::fs::remove_dir_all(&moved).unwrap();
    assert_eq!(open(&options).unwrap().recovered.last_event, None);
}

#[test]
fn a_snapshot_that_was_cut_off_is_passed_by() {
    let mut store = Store::new();
    store.one(simple(4, &[3], &[]));
    let options = store.options();
    store.opened = None;
    let torn = options.path.join("outbox/snap.7FFFFFFFFFFFFFFF.generating");
    std::fs::write(&torn, "half of it").unwrap();
    assert_eq!(open_when_free(&options).unwrap().recovered.last_event, Some(id(4)));
    assert!(!torn.exists());
}

#[test]
fn a_database_that_was_never_finished_is_made_anew() {
    let home = tempfile::tempdir().unwrap();
    let options = options(&home.path().join("store"));
    std::fs::create_dir_all(options.path.join("outbox")).unwrap();
    std::fs::write(options.path.join("outbox/conf"), "half of it").unwrap();
    assert_eq!(open(&options).unwrap().recovered.last_event, None);
    let kept = format!("outbox.unfinished-{}/conf", options.now.as_millis());
    assert_eq!(std::fs::read(options.path.join(kept)).unwrap(), b"half of it");
}
