//! Ranges of a table that are gone over, and taken away, whatever of them is damaged.

use crate::model::EventId;
use crate::store::batches::Batches;
use crate::store::batches::CommitError;
use crate::store::key::Key;
use crate::store::layout;
use crate::store::layout::PIECES;
use crate::store::packed::Hole;
use crate::store::packed::ReadError;
use crate::store::packed::Sight;
use crate::store::packed::Table;

/// The events from one to another, this one not included: one, or all that may be in a page.
#[derive(Clone, Copy)]
pub(super) struct Span {
    from: EventId,
    to: EventId,
}

impl Span {
    /// One event.
    pub(super) fn of(event: EventId) -> Span {
        Span { from: event, to: event.successor() }
    }

    /// Some events, that one at the end not included.
    pub(super) fn between(from: EventId, to: EventId) -> Span {
        Span { from, to }
    }

    fn range(self, table: &'static Table) -> Range {
        let key = |event: EventId| table.key(&[&event.to_bytes()]);
        Range { table, event: self.from, low: key(self.from), high: key(self.to) }
    }

    /// Their bodies.
    pub(super) fn bodies(self) -> Range {
        self.range(&layout::BODIES)
    }

    /// The steps of all their deliveries.
    pub(super) fn steps(self) -> Range {
        self.range(&layout::STEPS)
    }

    /// Those that are in flight.
    pub(super) fn flights(self) -> Range {
        self.range(&layout::FLIGHT)
    }

    /// Their heads.
    pub(super) fn heads(self) -> Range {
        self.range(&layout::EVENTS)
    }
}

/// The keys from one to another, that one not included, of one lane of a table.
pub(super) struct Range {
    table: &'static Table,
    /// What is named where something is damaged.
    event: EventId,
    pub(super) low: Key,
    high: Key,
}

impl Range {
    /// The pieces of the values in this range.
    pub(super) fn pieces(&self) -> Range {
        let key = |whole: &Key| PIECES.key(&[whole.as_slice()]);
        Range { table: &PIECES, event: self.event, low: key(&self.low), high: key(&self.high) }
    }

    /// What stands first from `from` on. Behind a hole, it goes on where [`Range::pass`] says.
    pub(super) fn see(&self, batches: &mut Batches, from: &Key) -> Result<Sight, ReadError> {
        if *from >= self.high {
            return Ok(Sight::Nothing);
        }
        let sight = batches.packed.see_from(self.table, from)?;
        let first = match &sight {
            Sight::Nothing => return Ok(sight),
            Sight::Entry(key, _) => key,
            Sight::Hole(hole) => &hole.base,
        };
        Ok(if *first < self.high { sight } else { Sight::Nothing })
    }

    /// Notes a hole, and says where it ends.
    pub(super) fn pass(&self, batches: &mut Batches, hole: Hole) -> Key {
        batches.pass_by(self.event, &ReadError::Page { key: hole.base, fault: hole.fault });
        // behind the range, if nothing of it can be behind the hole
        hole.upper.unwrap_or(self.high)
    }

    /// Takes all of it away, in as many batches as it takes; a unit that has its room already makes
    /// none. A page that cannot be read goes if nothing else can be in it.
    pub(super) fn clear(&self, batches: &mut Batches) -> Result<(), CommitError> {
        let mut from = self.low;
        loop {
            match self.see(batches, &from)? {
                Sight::Nothing => return Ok(()),
                Sight::Entry(key, _) => {
                    batches.room(1)?;
                    batches.packed.remove(self.table, &key)?;
                    from = key;
                }
                Sight::Hole(hole) => {
                    from = self.pass(batches, hole);
                    self.drop_hole(batches, hole)?;
                }
            }
        }
    }

    /// Takes a hole away, if it is all within the range.
    pub(super) fn drop_hole(&self, batches: &mut Batches, hole: Hole) -> Result<(), CommitError> {
        let within = hole.upper.is_some_and(|upper| upper <= self.high);
        if hole.base >= self.low && within {
            batches.room(1)?;
            batches.packed.discard(self.table, hole.base)?;
        }
        Ok(())
    }

    /// How many bytes the values have that can be read.
    pub(super) fn bytes(&self, batches: &mut Batches) -> Result<u64, ReadError> {
        let (mut from, mut sum) = (self.low, 0_u64);
        loop {
            match self.see(batches, &from)? {
                Sight::Nothing => return Ok(sum),
                Sight::Entry(key, raw) => {
                    sum = sum.saturating_add(u64::try_from(raw.len()).unwrap_or(u64::MAX));
                    from = key.joined(&[0]);
                }
                Sight::Hole(hole) => from = self.pass(batches, hole),
            }
        }
    }

    /// Whether there is anything in it.
    pub(super) fn is_empty(&self, batches: &mut Batches) -> Result<bool, ReadError> {
        Ok(self.see(batches, &self.low)? == Sight::Nothing)
    }
}
