//! The packed ordered map: logical entries in pages, pages in the underlying store; the writer's
//! side.
//!
//! A table is cut into lanes (ranges of keys with a common beginning, [`Table::lane_bytes`]), and
//! each lane into pages. A page stands under its lower bound and holds every entry from there to
//! the next page's bound; the first page of a lane stands under the lane's own beginning, so that
//! each key has exactly one page to be in. Pages are split and never joined: an entry never moves
//! to a page with a lower bound, so a reader that goes from page to page upwards misses nothing.
//!
//! Changes are staged in memory, noted for the journal, and leave as one batch with
//! [`Packed::emit`]. The writer is the only one that changes anything, so pages that it has touched
//! lately stay decoded in a bounded cache and the hot path reads nothing back.
//!
//! Invariants: the cache holds every changed page; a cached page knows its upper bound exactly;
//! a page is never longer than [`PAGE_BYTES_MAX`].

mod holes;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ops::Bound;

use bytes::Bytes;

use crate::store::journal::Changes;
use crate::store::key::Key;
use crate::store::page::PAGE_BYTES_MAX;
use crate::store::page::Page;
use crate::store::page::PageFault;

pub use holes::Hole;
pub use holes::Sight;

/// Pages that the writer keeps decoded, at most (besides those of the batch under way).
pub const CACHED_PAGES_MAX: usize = 512;

/// A logical table.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// The first byte of all its keys.
    pub byte: u8,
    /// How many bytes at the beginning of a key name its lane; the table's byte is the first.
    pub lane_bytes: usize,
    /// A page that grows longer than this is split, in bytes.
    pub split_bytes: usize,
    /// At the end of a lane, a page longer than this is left as it is and a new one begun, where
    /// it would have to be written again for the entry to be added; in bytes.
    pub rewrite_bytes: usize,
}

impl Table {
    /// A key of this table.
    pub fn key(&self, pieces: &[&[u8]]) -> Key {
        pieces.iter().fold(Key::of(&[&[self.byte]]), |key, piece| key.joined(piece))
    }

    fn lane(&self, key: &Key) -> Key {
        key.prefix(self.lane_bytes)
    }
}

/// Why an entry cannot be read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReadError {
    /// The underlying store failed.
    #[error("the store cannot be read: {0}")]
    Io(String),
    /// What stands there is damaged.
    #[error("the page under key {key} cannot be read: {fault}")]
    Page {
        /// The page's key.
        key: Key,
        /// What is wrong with it.
        fault: PageFault,
    },
    /// An entry is not as it should be.
    #[error("the entry under key {key} cannot be read: {fault}")]
    Entry {
        /// The entry's key.
        key: Key,
        /// What is wrong with it.
        fault: &'static str,
    },
}

impl From<sled::Error> for ReadError {
    fn from(error: sled::Error) -> ReadError {
        ReadError::Io(error.to_string())
    }
}

#[derive(Debug)]
struct Cached {
    page: Page,
    /// The bound of the next page in the lane; `None` at its end.
    upper: Option<Key>,
    /// When it was last used, in uses of the cache.
    used: u64,
}

/// The writer's view of the packed map.
#[derive(Debug)]
pub struct Packed {
    tree: sled::Tree,
    cache: BTreeMap<Key, Cached>,
    changed: BTreeSet<Key>,
    /// What was changed since the journal got it last.
    noted: Changes,
    uses: u64,
}

impl Packed {
    /// The map over this tree. There must be one only.
    pub fn new(tree: sled::Tree) -> Packed {
        let (cache, changed) = (BTreeMap::new(), BTreeSet::new());
        Packed { tree, cache, changed, noted: Changes::default(), uses: 0 }
    }

    /// The value of a key.
    ///
    /// # Errors
    /// [`ReadError`] if its page cannot be read.
    pub fn get(&mut self, table: &Table, key: &Key) -> Result<Option<Bytes>, ReadError> {
        Ok(self.page_of(table, key)?.and_then(|cached| cached.page.get(key).cloned()))
    }

    /// Puts an entry in, in place of one of the same key.
    ///
    /// # Errors
    /// [`ReadError`] if its page cannot be read; nothing is changed then.
    pub fn insert(&mut self, table: &Table, key: Key, value: Bytes) -> Result<(), ReadError> {
        self.put(table, key, value.clone())?;
        self.noted.put(&key, &value);
        Ok(())
    }

    /// Takes an entry out.
    ///
    /// # Errors
    /// [`ReadError`] if its page cannot be read; nothing is changed then.
    pub fn remove(&mut self, table: &Table, key: &Key) -> Result<Option<Bytes>, ReadError> {
        let removed = self.take(table, key)?;
        if removed.is_some() {
            self.noted.remove(key);
        }
        Ok(removed)
    }

    /// What was changed and the journal has not got yet.
    pub fn noted(&mut self) -> &mut Changes {
        &mut self.noted
    }

    /// As [`Packed::insert`], of what the journal need not be told.
    ///
    /// # Errors
    /// As [`Packed::insert`].
    pub fn put(&mut self, table: &Table, key: Key, value: Bytes) -> Result<(), ReadError> {
        let base = match self.locate(table, &key)? {
            Some(base) => base,
            None => self.begin_lane(table, &key)?,
        };
        let changed = self.changed.contains(&base);
        let Some(cached) = self.cache.get_mut(&base) else { return Ok(()) };
        let entries = cached.page.entries();
        let at_end = cached.upper.is_none() && entries.last().is_some_and(|(last, _)| *last < key);
        let full = cached.page.bytes() + key.as_slice().len() + value.len() > table.split_bytes;
        if at_end && (full || (!changed && cached.page.bytes() > table.rewrite_bytes)) {
            cached.upper = Some(key);
            let mut page = Page::new(key);
            page.insert(key, value);
            self.put_page(page, None);
            return Ok(());
        }
        cached.page.insert(key, value);
        self.changed.insert(base);
        self.split(table, base);
        Ok(())
    }

    /// As [`Packed::remove`], of what the journal need not be told.
    ///
    /// # Errors
    /// As [`Packed::remove`].
    pub fn take(&mut self, table: &Table, key: &Key) -> Result<Option<Bytes>, ReadError> {
        let Some(base) = self.locate(table, key)? else { return Ok(None) };
        let removed = self.cache.get_mut(&base).and_then(|cached| cached.page.remove(key));
        if removed.is_some() {
            self.changed.insert(base);
        }
        Ok(removed)
    }

    /// The first entry from `key` on, in the lane of `key`.
    ///
    /// # Errors
    /// [`ReadError`] if a page on the way cannot be read.
    pub fn first_from(
        &mut self,
        table: &Table,
        key: &Key,
    ) -> Result<Option<(Key, Bytes)>, ReadError> {
        let mut from = *key;
        if self.locate(table, &from)?.is_none() {
            let Some(base) = self.next_base(table, &from)? else { return Ok(None) };
            from = base;
        }
        loop {
            let Some(cached) = self.page_of(table, &from)? else { return Ok(None) };
            let index = cached.page.find(&from).unwrap_or_else(|index| index);
            if let Some(entry) = cached.page.entries().get(index) {
                return Ok(Some(entry.clone()));
            }
            let Some(upper) = cached.upper else { return Ok(None) };
            from = upper;
        }
    }

    /// The last entry before `key`, in the lane of `key`.
    ///
    /// # Errors
    /// [`ReadError`] if a page on the way cannot be read.
    pub fn last_before(
        &mut self,
        table: &Table,
        key: &Key,
    ) -> Result<Option<(Key, Bytes)>, ReadError> {
        let mut base = self.locate(table, key)?;
        while let Some(at) = base {
            if let Some(cached) = self.cache.get(&at) {
                let end = cached.page.find(key).unwrap_or_else(|index| index);
                let before = end.checked_sub(1).and_then(|last| cached.page.entries().get(last));
                if let Some(entry) = before {
                    return Ok(Some(entry.clone()));
                }
            }
            base = self.base_before(table, &at)?;
        }
        Ok(None)
    }

    /// How many pages are changed: what the next batch holds.
    pub fn operations(&self) -> usize {
        self.changed.len()
    }

    /// Hands every change to the underlying store, as one atomic batch.
    ///
    /// # Errors
    /// What the underlying store answers; it must not be used any more then.
    pub fn emit(&mut self) -> Result<(), sled::Error> {
        if self.changed.is_empty() {
            return Ok(());
        }
        let mut batch = sled::Batch::default();
        let changed = std::mem::take(&mut self.changed);
        for base in &changed {
            let Some(cached) = self.cache.get(base) else { continue };
            if cached.page.entries().is_empty() {
                batch.remove(base.as_slice());
                self.forget(base);
            } else {
                let raw = cached.page.encode();
                assert!(raw.len() <= PAGE_BYTES_MAX, "a page of {} bytes", raw.len());
                batch.insert(base.as_slice(), raw);
            }
        }
        self.tree.apply_batch(batch)?;
        self.evict();
        Ok(())
    }

    /// The page that holds `key`, if its lane has one.
    fn page_of(&mut self, table: &Table, key: &Key) -> Result<Option<&Cached>, ReadError> {
        let base = self.locate(table, key)?;
        Ok(base.and_then(|base| self.cache.get(&base)))
    }

    /// The bound of the page that holds `key`, which is in the cache then.
    fn locate(&mut self, table: &Table, key: &Key) -> Result<Option<Key>, ReadError> {
        let lane = table.lane(key);
        self.uses += 1;
        if let Some((base, cached)) = self.cache.range_mut(lane..=*key).next_back()
            && cached.upper.is_none_or(|upper| *key < upper)
        {
            cached.used = self.uses;
            return Ok(Some(*base));
        }
        let Some(stored) = self.tree.range(lane..=*key).next_back() else { return Ok(None) };
        let (base, raw) = stored?;
        let base = stored_key(&base)?;
        debug_assert!(!self.cache.contains_key(&base), "a cached page knows its bounds");
        let page =
            Page::decode(base, &raw).map_err(|fault| ReadError::Page { key: base, fault })?;
        let upper = self.next_base(table, &base)?;
        self.cache.insert(base, Cached { page, upper, used: self.uses });
        Ok(Some(base))
    }

    /// The bound of the first page behind `key` in its lane.
    fn next_base(&self, table: &Table, key: &Key) -> Result<Option<Key>, ReadError> {
        let lane = table.lane(key);
        let behind = (Bound::Excluded(*key), Bound::Unbounded);
        let in_lane = |base: &Key| base.as_slice().starts_with(lane.as_slice());
        let cached = self.cache.range(behind).next().map(|(base, _)| *base).filter(in_lane);
        let stored = match self.tree.range::<Key, _>(behind).next() {
            Some(stored) => Some(stored_key(&stored?.0)?).filter(in_lane),
            None => None,
        };
        Ok(match (cached, stored) {
            (Some(cached), Some(stored)) => Some(cached.min(stored)),
            (cached, stored) => cached.or(stored),
        })
    }

    /// The bound of the page before that of `base` in its lane, which is in the cache then.
    fn base_before(&mut self, table: &Table, base: &Key) -> Result<Option<Key>, ReadError> {
        let lane = table.lane(base);
        let cached = self.cache.range(lane..*base).next_back().map(|(key, _)| *key);
        let stored = match self.tree.range(lane..*base).next_back() {
            Some(stored) => Some(stored_key(&stored?.0)?),
            None => None,
        };
        match cached.max(stored) {
            Some(before) => self.locate(table, &before),
            None => Ok(None),
        }
    }

    /// Puts an empty first page into the lane of `key`.
    fn begin_lane(&mut self, table: &Table, key: &Key) -> Result<Key, ReadError> {
        let upper = self.next_base(table, key)?;
        let base = table.lane(key);
        self.put_page(Page::new(base), upper);
        Ok(base)
    }

    /// Splits the page until all of its parts are within the table's limit.
    fn split(&mut self, table: &Table, base: Key) {
        let splittable = |page: &Page| page.bytes() > table.split_bytes && page.entries().len() > 1;
        let mut parts = [Some(base), None];
        while let Some(base) = parts.iter_mut().rev().find_map(Option::take) {
            let Some(cached) = self.cache.get_mut(&base) else { return };
            if !splittable(&cached.page) {
                continue;
            }
            let right = cached.page.split();
            let right_base = right.base();
            let upper = cached.upper.replace(right_base);
            parts = [Some(base), Some(right_base)];
            self.put_page(right, upper);
        }
    }

    fn put_page(&mut self, page: Page, upper: Option<Key>) {
        let base = page.base();
        self.changed.insert(base);
        self.cache.insert(base, Cached { page, upper, used: self.uses });
    }

    /// Takes an empty page out of the cache; the page before it now reaches over its range.
    fn forget(&mut self, base: &Key) {
        let upper = self.cache.remove(base).and_then(|cached| cached.upper);
        if let Some((_, before)) = self.cache.range_mut(..*base).next_back()
            && before.upper == Some(*base)
        {
            before.upper = upper;
        }
    }

    /// Lets go of the pages that were not used for longest, once there are too many.
    fn evict(&mut self) {
        if self.cache.len() <= CACHED_PAGES_MAX {
            return;
        }
        let mut uses: Vec<u64> = self.cache.values().map(|cached| cached.used).collect();
        let surplus = uses.len() - CACHED_PAGES_MAX / 2;
        let (_, limit, _) = uses.select_nth_unstable(surplus);
        let limit = *limit;
        self.cache.retain(|_, cached| cached.used >= limit);
    }
}

/// A key of the underlying store as a [`Key`].
///
/// # Errors
/// [`ReadError::Entry`] if it is longer than any key of ours.
pub fn stored_key(raw: &[u8]) -> Result<Key, ReadError> {
    let head = raw.get(..crate::store::key::KEY_BYTES_MAX).unwrap_or(raw);
    let long = || ReadError::Entry { key: Key::of(&[head]), fault: "its key is too long" };
    Key::from_slice(raw).ok_or_else(long)
}

#[cfg(test)]
mod tests;
