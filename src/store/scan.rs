//! The packed ordered map, the readers' side: any number of them beside the writer.
//!
//! Each page is read atomically. Between two pages the writer may go on: a scan upwards takes the
//! next page by its bound, misses nothing that was there when it began, because entries never move
//! to a lower page, and passes over what moved up from a page that it has read. A scan downwards
//! looks for the page that holds the greatest key below the last one seen, for the same reason.

use std::ops::Bound;

use bytes::Bytes;

use crate::store::key::Key;
use crate::store::packed::ReadError;
use crate::store::packed::Table;
use crate::store::packed::stored_key;
use crate::store::page::Page;

/// The value of a key.
///
/// # Errors
/// [`ReadError`] if its page cannot be read.
pub fn get(tree: &sled::Tree, table: &Table, key: &Key) -> Result<Option<Bytes>, ReadError> {
    let page = page_at_or_before(tree, key.prefix(table.lane_bytes), key)?;
    Ok(page.and_then(|page| page.get(key).cloned()))
}

/// Entries from `from` (included) up to `to` (included), in ascending order, at most `limit`.
///
/// # Errors
/// [`ReadError`] if a page on the way cannot be read.
pub fn ascending(
    tree: &sled::Tree,
    from: &Key,
    to: &Key,
    limit: usize,
) -> Result<Vec<(Key, Bytes)>, ReadError> {
    let mut found = Vec::new();
    let mut next = page_at_or_before(tree, from.prefix(1), from)?;
    let mut low = Bound::Included(*from);
    loop {
        let page = match next.take() {
            Some(page) => page,
            None => match read(tree.range::<Key, _>((low, Bound::Included(*to))).next())? {
                Some(page) => page,
                None => return Ok(found),
            },
        };
        let at = page.find(from).unwrap_or_else(|index| index);
        let entries = page.entries().iter().skip(at).take_while(|(key, _)| key <= to);
        // a page that was split since the one before it was read begins with entries of that
        let last = found.last().map(|(key, _): &(Key, Bytes)| *key);
        let entries = entries.skip_while(|(key, _)| last.is_some_and(|last| *key <= last));
        found.extend(entries.take(limit - found.len()).cloned());
        if found.len() >= limit || page.base() >= *to {
            return Ok(found);
        }
        low = Bound::Excluded(page.base());
    }
}

/// Entries below `below` down to `to` (included), in descending order, at most `limit`.
///
/// # Errors
/// [`ReadError`] if a page on the way cannot be read.
pub fn descending(
    tree: &sled::Tree,
    below: &Key,
    to: &Key,
    limit: usize,
) -> Result<Vec<(Key, Bytes)>, ReadError> {
    let mut found: Vec<(Key, Bytes)> = Vec::new();
    let mut below = *below;
    while found.len() < limit && below > *to {
        let Some(page) = page_before(tree, to.prefix(1), &below)? else { break };
        let end = page.find(&below).unwrap_or_else(|index| index);
        let entries = page.entries().iter().take(end).rev().take_while(|(key, _)| key >= to);
        found.extend(entries.take(limit - found.len()).cloned());
        // The page's bound: whatever else is wanted stands in pages below it.
        below = page.base();
    }
    Ok(found)
}

/// The page with the greatest bound from `low` to `key`.
fn page_at_or_before(tree: &sled::Tree, low: Key, key: &Key) -> Result<Option<Page>, ReadError> {
    read(tree.range(low..=*key).next_back())
}

/// The page with the greatest bound from `low` to just under `key`.
fn page_before(tree: &sled::Tree, low: Key, key: &Key) -> Result<Option<Page>, ReadError> {
    read(tree.range(low..*key).next_back())
}

fn read(
    stored: Option<Result<(sled::IVec, sled::IVec), sled::Error>>,
) -> Result<Option<Page>, ReadError> {
    let Some(stored) = stored else { return Ok(None) };
    let (base, raw) = stored?;
    let base = stored_key(&base)?;
    let page = Page::decode(base, &raw).map_err(|fault| ReadError::Page { key: base, fault })?;
    Ok(Some(page))
}
