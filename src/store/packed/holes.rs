//! Pages that cannot be read, for those that pass them by.

use bytes::Bytes;

use crate::store::key::Key;
use crate::store::packed::Packed;
use crate::store::packed::ReadError;
use crate::store::packed::Table;
use crate::store::page::Page;
use crate::store::page::PageFault;

/// A page that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hole {
    /// Where it begins; it may begin before what was asked for.
    pub base: Key,
    /// Where the next page of its lane begins; `None` if it is the last one.
    pub upper: Option<Key>,
    /// What is wrong with it.
    pub fault: PageFault,
}

/// What stands first in the rest of a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight {
    /// Nothing.
    Nothing,
    /// An entry.
    Entry(Key, Bytes),
    /// A page that cannot be read: whatever is in it.
    Hole(Hole),
}

impl Packed {
    /// What stands first from `key` on, in the lane of `key`, for those that pass damage by.
    ///
    /// # Errors
    /// [`ReadError`] as [`Packed::first_from`], but for a page that is damaged.
    pub fn see_from(&mut self, table: &Table, key: &Key) -> Result<Sight, ReadError> {
        match self.first_from(table, key) {
            Ok(Some((key, value))) => Ok(Sight::Entry(key, value)),
            Ok(None) => Ok(Sight::Nothing),
            Err(ReadError::Page { key: base, fault }) => {
                let upper = self.next_base(table, &base)?;
                Ok(Sight::Hole(Hole { base, upper, fault }))
            }
            Err(error) => Err(error),
        }
    }

    /// Takes a page out that cannot be read, with all that it holds.
    ///
    /// # Errors
    /// [`ReadError`] if the underlying store fails.
    pub fn discard(&mut self, table: &Table, base: Key) -> Result<(), ReadError> {
        self.leave_out(table, base)?;
        self.noted.discard(&base);
        Ok(())
    }

    /// As [`Packed::discard`], of what the journal need not be told.
    ///
    /// # Errors
    /// As [`Packed::discard`].
    pub fn leave_out(&mut self, table: &Table, base: Key) -> Result<(), ReadError> {
        match self.locate(table, &base) {
            // it was not split off yet when what is stored was written
            Ok(Some(covering)) if covering != base => self.cut(covering, base),
            Ok(_) | Err(ReadError::Page { .. }) => {}
            Err(error) => return Err(error),
        }
        let upper = self.next_base(table, &base)?;
        // an empty page leaves with the batch
        self.put_page(Page::new(base), upper);
        Ok(())
    }

    /// Takes the entries from `from` on out of a page that is in the cache.
    fn cut(&mut self, base: Key, from: Key) {
        if let Some(cached) = self.cache.get_mut(&base) {
            let at = cached.page.find(&from).unwrap_or_else(|at| at);
            drop(cached.page.split_off(at));
            cached.upper = Some(from);
            self.changed.insert(base);
        }
    }
}
