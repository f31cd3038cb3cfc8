use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn key(text: &str) -> Key {
    Key::of(&[text.as_bytes()])
}

/// A page whose entries are much alike.
fn alike() -> Page {
    let mut page = Page::new(key("t"));
    for n in 0..50_u8 {
        page.insert(Key::of(&[b"t", &[n]]), Bytes::from_static(b"application/json"));
    }
    page
}

fn sample() -> Page {
    let mut page = Page::new(key("t"));
    for name in ["tab", "tac", "tabx", "tz"] {
        page.insert(key(name), Bytes::copy_from_slice(name.as_bytes()));
    }
    page
}

#[test]
fn a_page_reads_back_as_it_was_written() {
    let page = sample();
    let raw = page.encode();
    assert_eq!((raw[0], raw.len()), (PLAIN, page.bytes()));
    let read = Page::decode(key("t"), &raw).unwrap();
    assert_eq!(read.entries(), page.entries());
    assert_eq!(read.bytes(), page.bytes());
    assert_eq!(read.get(&key("tac")).unwrap(), "tac");
    assert_eq!(read.get(&key("ta")), None);
}

#[test]
fn a_page_of_like_entries_is_written_shorter() {
    let page = alike();
    let raw = page.encode();
    assert_eq!(raw[0], LZ4);
    assert!(raw.len() * 3 < page.bytes());
    let read = Page::decode(key("t"), &raw).unwrap();
    assert_eq!((read.entries(), read.bytes()), (page.entries(), page.bytes()));
}

#[test]
fn every_flipped_bit_and_every_cut_is_noticed() {
    for raw in [sample().encode(), alike().encode()] {
        for bit in 0..raw.len() * 8 {
            let mut bad = raw.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Page::decode(key("t"), &bad).is_err(), "bit {bit}");
        }
        for len in 0..raw.len() {
            assert!(Page::decode(key("t"), &raw[..len]).is_err(), "cut to {len}");
        }
    }
}

#[test]
fn a_page_under_another_key_is_noticed() {
    let raw = sample().encode();
    assert_eq!(Page::decode(key("s"), &raw).unwrap_err(), PageFault::Checksum);
}

#[test]
fn a_later_format_is_named() {
    let mut raw = sample().encode();
    raw.truncate(raw.len() - CRC_BYTES);
    raw[0] = 9;
    let crc = checksum(&key("t"), &raw);
    raw.extend_from_slice(&crc.to_le_bytes());
    assert_eq!(Page::decode(key("t"), &raw).unwrap_err(), PageFault::Version(9));
}

proptest! {
    #[test]
    fn bytes_that_are_no_page_are_refused_without_a_panic(
        form in PLAIN..=LZ4,
        body in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        // The checksum is made to fit, so that what comes behind it is met.
        let mut raw = vec![form];
        raw.extend_from_slice(&body);
        let crc = checksum(&key("t"), &raw);
        raw.extend_from_slice(&crc.to_le_bytes());
        if let Ok(page) = Page::decode(key("t"), &raw) {
            prop_assert!(page.entries().windows(2).all(|pair| pair[0].0 < pair[1].0));
        }
    }

    #[test]
    fn a_page_is_an_ordered_map_of_known_length(
        steps in proptest::collection::vec((any::<bool>(), 0_u8..40, 0_usize..60), 0..120),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut page = Page::new(key("t"));
        let mut model = BTreeMap::new();
        for (put, name, len) in steps {
            let name = Key::of(&[b"t", &name.to_be_bytes(), &[7; 3][..usize::from(name % 4)]]);
            if put {
                page.insert(name, Bytes::from(vec![1; len]));
                model.insert(name, Bytes::from(vec![1; len]));
            } else {
                prop_assert_eq!(page.remove(&name), model.remove(&name));
            }
            prop_assert_eq!(page.bytes(), page.measure());
        }
        let entries: Vec<_> = model.into_iter().collect();
        prop_assert_eq!(page.entries(), &entries[..]);
        let right = page.split_off(cut.index(entries.len() + 1));
        let read = Page::decode(key("t"), &page.encode()).unwrap();
        let joined = [read.entries(), right.entries()].concat();
        prop_assert_eq!(joined, entries);
        prop_assert!(right.encode().len() <= right.bytes());
        prop_assert_eq!(right.bytes(), right.measure());
    }
}
