//! Pages: sorted entries packed into one value of the underlying store.
//!
//! Memory grows with the number of keys that the underlying store holds, so logical entries are
//! packed. A page:
//!
//! ```text
//! 1 | entry ... | CRC-32
//! 2 | length of the entries (2 bytes, big-endian) | entries as one LZ4 block | CRC-32
//! entry: bytes in common with the key before (1 byte; the first: with the page's own key)
//!        | length of the rest of the key (1 byte) | length of the value (2 bytes, big-endian)
//!        | the rest of the key | the value
//! CRC-32: of the page's key and all before, 4 bytes, little-endian
//! ```
//!
//! The second form is written where it is shorter: what is written decides how long a start takes,
//! and the entries of a page are much alike.
//!
//! A page is at most [`PAGE_BYTES_MAX`] long, because the underlying store never syncs what it
//! writes for larger values. A page that is not as described is an error and never a panic.

use bytes::Bytes;

use crate::store::key::Key;

/// The longest page, in bytes.
pub const PAGE_BYTES_MAX: usize = 6_900;
/// The longest value of an entry, in bytes: one with the longest key fits into a page.
pub const VALUE_BYTES_MAX: usize = 6_800;

const PLAIN: u8 = 1;
const LZ4: u8 = 2;
const CRC_BYTES: usize = 4;
const ENTRY_HEAD_BYTES: usize = 4;
const EMPTY_BYTES: usize = 1 + CRC_BYTES;

/// Why bytes are no page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PageFault {
    /// Its checksum does not fit: it was damaged, or stands under another key.
    #[error("its checksum does not match")]
    Checksum,
    /// It was written by a later version of postrider.
    #[error("its format, {0}, is not known to this version of postrider")]
    Version(u8),
    /// Its checksum fits, but what it holds is not as it should be.
    #[error("it is not well formed")]
    Form,
}

/// A page in memory: entries in ascending order of keys, and how long the page would be.
#[derive(Clone, Debug)]
pub struct Page {
    base: Key,
    entries: Vec<(Key, Bytes)>,
    bytes: usize,
}

impl Page {
    /// An empty page under this key.
    pub fn new(base: Key) -> Page {
        Page { base, entries: Vec::new(), bytes: EMPTY_BYTES }
    }

    /// Reads the page that stands under `base`.
    ///
    /// # Errors
    /// [`PageFault`] if it is none.
    pub fn decode(base: Key, raw: &[u8]) -> Result<Page, PageFault> {
        let body_len = raw.len().checked_sub(CRC_BYTES).ok_or(PageFault::Form)?;
        let (body, crc) = raw.split_at(body_len);
        if crc != checksum(&base, body).to_le_bytes() {
            return Err(PageFault::Checksum);
        }
        let body = match body.split_first() {
            Some((&PLAIN, entries)) => Bytes::copy_from_slice(entries),
            Some((&LZ4, block)) => Bytes::from(decompress(block).ok_or(PageFault::Form)?),
            Some((&other, _)) => return Err(PageFault::Version(other)),
            None => return Err(PageFault::Form),
        };
        let mut page = Page::new(base);
        let mut at = 0;
        while at < body.len() {
            let last = page.last_key();
            let (key, value, end) = decode_entry(&last, &body, at).ok_or(PageFault::Form)?;
            if key < last || (key == last && !page.entries.is_empty()) {
                return Err(PageFault::Form);
            }
            page.bytes += end - at;
            page.entries.push((key, value));
            at = end;
        }
        Ok(page)
    }

    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.bytes);
        out.push(PLAIN);
        let mut before = &self.base;
        for (key, value) in &self.entries {
            let shared = key.shared(before);
            let rest = key.as_slice().split_at(shared).1;
            debug_assert!(value.len() <= VALUE_BYTES_MAX, "a value that no page can hold");
            let value_len = u16::try_from(value.len()).unwrap_or(u16::MAX);
            out.push(u8::try_from(shared).unwrap_or(u8::MAX));
            out.push(u8::try_from(rest.len()).unwrap_or(u8::MAX));
            out.extend_from_slice(&value_len.to_be_bytes());
            out.extend_from_slice(rest);
            out.extend_from_slice(value);
            before = key;
        }
        debug_assert_eq!(out.len() + CRC_BYTES, self.bytes, "the length is kept up");
        let mut out = compress(&out).unwrap_or(out);
        out.extend_from_slice(&checksum(&self.base, &out).to_le_bytes());
        out
    }

    /// Its own key.
    pub fn base(&self) -> Key {
        self.base
    }

    /// How long [`Page::encode`]'s answer is at most: its length in the first form.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Its entries in order.
    pub fn entries(&self) -> &[(Key, Bytes)] {
        &self.entries
    }

    /// The value of a key.
    pub fn get(&self, key: &Key) -> Option<&Bytes> {
        let index = self.find(key).ok()?;
        self.entries.get(index).map(|(_, value)| value)
    }

    /// Where a key is, or where it would be.
    ///
    /// # Errors
    /// The place where it would be, if it is not there.
    pub fn find(&self, key: &Key) -> Result<usize, usize> {
        match self.entries.last() {
            Some((last, _)) if last < key => Err(self.entries.len()),
            _ => self.entries.binary_search_by(|(own, _)| own.cmp(key)),
        }
    }

    /// Puts an entry in, in place of one of the same key.
    pub fn insert(&mut self, key: Key, value: Bytes) {
        match self.find(&key) {
            Ok(index) => {
                if let Some((_, old)) = self.entries.get_mut(index) {
                    self.bytes = self.bytes + value.len() - old.len();
                    *old = value;
                }
            }
            Err(index) => {
                let old = self.key_bytes_at(index);
                self.entries.insert(index, (key, value));
                let new = self.key_bytes_at(index) + self.key_bytes_at(index + 1);
                let value_len = self.entries.get(index).map_or(0, |(_, value)| value.len());
                self.bytes = self.bytes + new + ENTRY_HEAD_BYTES + value_len - old;
            }
        }
    }

    /// Takes an entry out.
    pub fn remove(&mut self, key: &Key) -> Option<Bytes> {
        let index = self.find(key).ok()?;
        let old = self.key_bytes_at(index) + self.key_bytes_at(index + 1);
        let (_, value) = self.entries.remove(index);
        let new = self.key_bytes_at(index);
        self.bytes = self.bytes + new - old - ENTRY_HEAD_BYTES - value.len();
        Some(value)
    }

    /// Moves the upper half of its bytes to a page of its own. It must have two entries or more.
    #[must_use]
    pub fn split(&mut self) -> Page {
        let half = self.bytes / 2;
        let mut left = EMPTY_BYTES;
        let mut count = 0;
        for (index, (_, value)) in self.entries.iter().enumerate() {
            left += ENTRY_HEAD_BYTES + self.key_bytes_at(index) + value.len();
            if left > half && count > 0 {
                break;
            }
            count += 1;
        }
        self.split_off(count.min(self.entries.len().saturating_sub(1)))
    }

    /// Moves the entries from this place on to a page of their own, under the first one's key.
    #[must_use]
    pub fn split_off(&mut self, from: usize) -> Page {
        let entries = self.entries.split_off(from);
        let base = entries.first().map_or(self.base, |(key, _)| *key);
        let mut right = Page { base, entries, bytes: 0 };
        right.bytes = right.measure();
        self.bytes = self.measure();
        right
    }

    fn last_key(&self) -> Key {
        self.entries.last().map_or(self.base, |(key, _)| *key)
    }

    /// How many bytes of the key at this place are written; 0 behind the last one.
    fn key_bytes_at(&self, index: usize) -> usize {
        let Some((key, _)) = self.entries.get(index) else { return 0 };
        let before = match index.checked_sub(1) {
            Some(before) => self.entries.get(before).map_or(&self.base, |(key, _)| key),
            None => &self.base,
        };
        key.as_slice().len() - key.shared(before)
    }

    fn measure(&self) -> usize {
        let values: usize = self.entries.iter().map(|(_, value)| value.len()).sum();
        let keys: usize = (0..self.entries.len()).map(|index| self.key_bytes_at(index)).sum();
        EMPTY_BYTES + self.entries.len() * ENTRY_HEAD_BYTES + keys + values
    }
}

/// The second form of a page in the first one, if it is shorter; both without the checksum.
fn compress(plain: &[u8]) -> Option<Vec<u8>> {
    let (_, entries) = plain.split_first()?;
    let [high, low] = u16::try_from(entries.len()).ok()?.to_be_bytes();
    let head = [LZ4, high, low];
    let mut out = vec![0; head.len() + lz4_flex::block::get_maximum_output_size(entries.len())];
    let (out_head, block) = out.split_at_mut(head.len());
    out_head.copy_from_slice(&head);
    let len = head.len() + lz4_flex::block::compress_into(entries, block).ok()?;
    out.truncate(len);
    (out.len() < plain.len()).then_some(out)
}

/// The entries of a page in the second form, from what follows its version.
fn decompress(packed: &[u8]) -> Option<Vec<u8>> {
    let (len, block) = packed.split_first_chunk()?;
    let len = usize::from(u16::from_be_bytes(*len));
    if len > PAGE_BYTES_MAX {
        return None;
    }
    let mut entries = vec![0; len];
    let written = lz4_flex::block::decompress_into(block, &mut entries).ok()?;
    (written == len).then_some(entries)
}

fn checksum(base: &Key, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(base.as_slice());
    hasher.update(body);
    hasher.finalize()
}

/// The entry at `at`, and where it ends.
fn decode_entry(before: &Key, body: &Bytes, at: usize) -> Option<(Key, Bytes, usize)> {
    let head: [u8; ENTRY_HEAD_BYTES] = body.get(at..at + ENTRY_HEAD_BYTES)?.try_into().ok()?;
    let [shared, rest_len, len_high, len_low] = head;
    let shared = before.as_slice().get(..usize::from(shared))?;
    let rest_end = at + ENTRY_HEAD_BYTES + usize::from(rest_len);
    let rest = body.get(at + ENTRY_HEAD_BYTES..rest_end)?;
    if shared.len() + rest.len() > crate::store::key::KEY_BYTES_MAX {
        return None;
    }
    let key = Key::of(&[shared, rest]);
    let end = rest_end + usize::from(u16::from_be_bytes([len_high, len_low]));
    (end <= body.len()).then(|| (key, body.slice(rest_end..end), end))
}

#[cfg(test)]
mod tests;
