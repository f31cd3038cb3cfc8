use super::*;
use crate::store::key::Key;

type Replayed = Result<Mark, JournalError<std::convert::Infallible>>;

/// A journal in a directory, what was written to it, and which of that was synced.
struct World {
    home: tempfile::TempDir,
    journal: Journal,
}

fn changes(key: u64, bytes: usize) -> Changes {
    let mut changes = Changes::default();
    let byte = u8::try_from(key % 251).unwrap();
    changes.put(&key_of(key), &vec![byte; bytes]);
    changes.remove(&key_of(key.wrapping_sub(1)));
    changes
}

fn key_of(key: u64) -> Key {
    Key::of(&[&[7], &key.to_be_bytes()])
}

impl World {
    fn new(syncs: bool) -> World {
        let home = tempfile::tempdir().unwrap();
        let journal = Journal::new(create(home.path()).unwrap(), Mark::default(), syncs);
        World { home, journal }
    }

    fn append(&mut self, bytes: usize) {
        let number = self.journal.last().number + 1;
        self.journal.append(&changes(number, bytes)).unwrap();
        assert_eq!(self.journal.last().number, number);
    }

    fn append_synced(&mut self, frames: usize) {
        for _ in 0..frames {
            self.append(100);
            self.journal.sync().unwrap();
        }
    }

    fn files(&self) -> Files {
        open(self.home.path()).unwrap().unwrap()
    }

    /// The numbers of the frames that are read, and what the reading ended with.
    fn replay(&self, after: Mark) -> (Vec<u64>, Replayed) {
        let mut numbers = Vec::new();
        let result = replay(&self.files(), after, |mark, read| {
            let read: Vec<_> = read.collect();
            let [Change::Put(key, value), Change::Remove(other)] = &read[..] else {
                panic!("{read:?}")
            };
            assert_eq!((*key, *other), (key_of(mark.number), key_of(mark.number - 1)));
            assert!(value.iter().all(|byte| u64::from(*byte) == mark.number % 251), "{mark:?}");
            numbers.push(mark.number);
            Ok(())
        });
        (numbers, result)
    }

    fn read(&self, after: Mark) -> (Vec<u64>, Mark) {
        let (numbers, result) = self.replay(after);
        (numbers, result.unwrap())
    }

    /// Writes over what stands at this place of the file of this turn.
    fn overwrite(&self, turn: u64, at: u64, bytes: &[u8]) {
        self.files().of(turn).write_all_at(bytes, at).unwrap();
    }

    /// As at the next start.
    fn begin_again(&mut self, last: Mark) {
        self.journal = Journal::new(self.files(), last, true);
    }
}

fn mark(turn: u64, number: u64) -> Mark {
    Mark { turn, number }
}

/// The length of a frame that [`World::append_synced`] writes.
const FRAME_BYTES: u64 = 48 + (3 + 9 + 100) + (3 + 9) + 4;

#[test]
fn what_was_appended_is_read_again_behind_the_mark() {
    let mut world = World::new(true);
    assert_eq!(world.read(Mark::default()), (vec![], mark(0, 0)));
    for bytes in [0, 1, 2, 3, 4, 5, 6, 7, 6_800] {
        world.append(bytes);
    }
    world.journal.append(&Changes::default()).unwrap();
    world.journal.sync().unwrap();
    assert_eq!(world.read(Mark::default()), ((1..=9).collect(), mark(1, 9)));
    assert_eq!(world.read(mark(1, 7)), (vec![8, 9], mark(1, 9)));
    assert_eq!(world.read(mark(1, 9)), (vec![], mark(1, 9)));
    assert_eq!(world.read(mark(1, 12)), (vec![], mark(1, 12)), "the store can be ahead of it");
}

#[test]
fn turns_follow_each_other_and_old_ones_are_not_read() {
    let mut world = World::new(true);
    let mut known = Mark::default();
    for turn in 1..7 {
        world.append_synced(10);
        let last = turn * 10;
        assert_eq!(world.read(known), ((known.number + 1..=last).collect(), mark(turn, last)));
        // the store is one turn behind
        known = mark(turn, last - 5);
        world.journal.turn().unwrap();
        assert_eq!(world.read(known), ((last - 4..=last).collect(), mark(turn, last)));
    }
    assert_eq!(world.journal.last(), mark(7, 60));
    world.append_synced(3);
    assert_eq!(world.read(known), ((56..=63).collect(), mark(7, 63)));
}

#[test]
fn a_file_is_full_from_a_length_on() {
    let mut world = World::new(true);
    let mut frames = 0;
    while !world.journal.is_full() {
        world.append(6_800);
        frames += 1;
    }
    assert!(FILE_BYTES / 6_900 < frames && frames < FILE_BYTES / 6_800);
    world.journal.sync().unwrap();
    let length = world.files().of(1).metadata().unwrap().len();
    assert!((FILE_BYTES..FILE_BYTES + 7_000).contains(&length), "{length}");
    world.journal.turn().unwrap();
    assert!(!world.journal.is_full());
    assert_eq!(world.read(Mark::default()).0.len(), usize::try_from(frames).unwrap());
}

/// Frames of one commit may reach the disk in any order, or not at all.
#[test]
fn what_was_never_safe_ends_the_journal_and_is_never_taken_for_what_follows() {
    for torn in (0..FRAME_BYTES - 4).step_by(11) {
        let mut world = World::new(true);
        world.append_synced(3);
        // not synced: the first of two is torn at this byte
        world.append(100);
        world.append(100);
        world.overwrite(1, FIRST_AT + 3 * FRAME_BYTES + torn, &[0xa5]);
        let (numbers, last) = world.read(Mark::default());
        assert_eq!(numbers, [1, 2, 3], "torn at {torn}");
        assert_eq!(last, mark(1, 3));
        // frames of the same length follow, where the fifth one stands
        world.begin_again(last);
        world.append_synced(1);
        assert_eq!(world.read(mark(1, 3)), (vec![4], mark(2, 4)));
        world.journal.turn().unwrap();
        world.append_synced(1);
        assert_eq!(world.read(mark(1, 3)), (vec![4, 5], mark(3, 5)));
    }
}

/// The first frame of a turn is torn, the second one is not: the turn was begun, and another must
/// not have its number.
#[test]
fn a_turn_that_was_cut_off_at_its_beginning_is_not_begun_again() {
    let mut world = World::new(true);
    world.append_synced(3);
    world.journal.turn().unwrap();
    world.append(100);
    world.append(100);
    world.overwrite(2, FIRST_AT, &[0x77, 0x77]);
    let (numbers, last) = world.read(Mark::default());
    assert_eq!((numbers, last), (vec![1, 2, 3], mark(2, 3)));
    world.begin_again(last);
    world.append_synced(1);
    assert_eq!(world.read(last), (vec![4], mark(3, 4)), "only what was written anew");
}

#[test]
fn a_frame_that_was_safe_and_cannot_be_read_is_not_passed_by() {
    for number in 1..=9_u64 {
        let mut world = World::new(true);
        world.append_synced(10);
        for byte in [0, 5, 12, 20, 30, 60] {
            world.overwrite(1, FIRST_AT + (number - 1) * FRAME_BYTES + byte, &[0x5a]);
        }
        let (numbers, result) = world.replay(Mark::default());
        assert_eq!(numbers, (1..number).collect::<Vec<_>>());
        let found = result.unwrap_err();
        assert!(matches!(found, JournalError::Damaged(lost) if lost == number), "{found}");
        // one that nobody needs any more does no harm
        assert!(world.replay(mark(1, number)).1.is_err() == (number < 9), "{number}");
    }
}

#[test]
fn a_frame_that_is_missing_between_two_turns_is_noticed() {
    let length = usize::try_from(5 * FRAME_BYTES).unwrap();
    for syncs in [true, false] {
        let mut world = World::new(syncs);
        world.append_synced(5);
        world.journal.turn().unwrap();
        world.append_synced(5);
        world.overwrite(1, FIRST_AT, &vec![0; length]);
        assert_eq!(world.read(mark(1, 5)), ((6..=10).collect(), mark(2, 10)));
        let (numbers, found) = world.replay(mark(1, 2));
        assert!(numbers.is_empty());
        match found {
            Err(JournalError::Damaged(3)) => assert!(syncs),
            found => assert!(!syncs && found.unwrap() == mark(2, 2), "nothing said it was safe"),
        }
    }
}

/// A payload can hold whatever its sender likes: also what other journals' frames look like.
#[test]
fn no_payload_passes_for_a_frame() {
    let mut world = World::new(true);
    let other = World::new(true);
    let mut forged = Vec::new();
    for _ in 0..40 {
        let frame = Frame { mark: mark(1 << 60, 1 << 50), synced: 1 << 50 };
        frame.encode(&other.files().salt, &[], &mut forged);
        forged.push(0);
    }
    let mut changes = Changes::default();
    changes.put(&key_of(1), &forged);
    changes.discard(&key_of(2));
    world.journal.append(&changes).unwrap();
    world.journal.sync().unwrap();
    let mut read = Vec::new();
    let last = replay(&world.files(), Mark::default(), |_, changes| {
        read.extend(changes);
        Ok::<(), std::convert::Infallible>(())
    });
    assert_eq!(last.unwrap(), mark(1, 1));
    assert_eq!(read, [Change::Put(key_of(1), forged.into()), Change::Discard(key_of(2))]);
    // the file is of an earlier turn now, and is looked through as a whole
    let found = world.replay(mark(2, 1));
    assert_eq!((found.0, found.1.unwrap()), (vec![], mark(2, 1)));
}

#[test]
fn changes_that_are_not_well_formed_are_damage() {
    let world = World::new(true);
    let raw = [31, 0, 9, 7];
    let mut whole = Vec::new();
    Frame { mark: mark(1, 1), synced: 0 }.encode(&world.files().salt, &raw, &mut whole);
    world.overwrite(1, FIRST_AT, &whole);
    assert!(matches!(world.replay(Mark::default()).1, Err(JournalError::Damaged(1))));
}

#[test]
fn files_are_made_with_room_and_found_again() {
    let home = tempfile::tempdir().unwrap();
    assert!(open(home.path()).unwrap().is_none());
    create(home.path()).unwrap();
    for name in FILES {
        let found = std::fs::metadata(home.path().join(name)).unwrap();
        assert_eq!(found.len(), FILE_BYTES);
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&found.permissions()) & 0o777, 0o600);
    }
    assert!(open(home.path()).unwrap().is_some());
    let other = tempfile::tempdir().unwrap();
    create(other.path()).unwrap();
    let second = |home: &tempfile::TempDir| home.path().join(FILES[1]);
    std::fs::copy(second(&other), second(&home)).unwrap();
    assert!(open(home.path()).unwrap().is_none(), "one of another journal");
    std::fs::write(second(&home), "half of i").unwrap();
    assert!(open(home.path()).unwrap().is_none(), "one that was never finished");
    std::fs::remove_file(second(&home)).unwrap();
    assert!(open(home.path()).unwrap().is_none(), "one alone");
}
