//! Deliveries in the store's own tables, merged over endpoints: dead ones, and those in lanes.
//!
//! Each endpoint (and queue) is a stream of its own, in the order of its table; the last row over
//! all of them comes first. Only a few rows of each stream are in memory.

use std::collections::BinaryHeap;
use std::collections::VecDeque;

use crate::daemon::backend::position::List;
use crate::daemon::backend::position::Spot;
use crate::model::Class;
use crate::model::Due;
use crate::model::EndpointNo;
use crate::store::packed::ReadError;
use crate::store::read::Reader;

/// Rows of one stream read at once.
const CHUNK_ROWS: usize = 64;

/// A table that is in the order of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    /// Dead deliveries.
    Dead,
    /// Waiting ones.
    Due(Class),
    /// Those of them that a person has put aside: the end of the timed ones.
    OnHold,
}

impl Table {
    /// The list that its positions are of.
    pub(super) fn list(self) -> List {
        match self {
            Table::Dead => List::Dead,
            Table::Due(_) | Table::OnHold => List::Due,
        }
    }

    fn class(self) -> Class {
        match self {
            Table::Dead => Class::Fresh,
            Table::Due(class) => class,
            Table::OnHold => Class::Timed,
        }
    }

    /// Rows of one endpoint before `before`, which is a row of this endpoint or of another.
    fn read(
        self,
        reader: &Reader,
        no: EndpointNo,
        before: Option<Spot>,
    ) -> Result<Vec<Spot>, ReadError> {
        let class = self.class();
        let before = match before {
            Some(spot) if spot.class < class => return Ok(Vec::new()),
            before => before.filter(|spot| spot.class == class),
        };
        // The row of the same time and event, but of a lower endpoint, comes after that spot.
        let before = before.map(|spot| {
            let below = no < spot.endpoint;
            (spot.at, if below { spot.event.successor() } else { spot.event })
        });
        let spot = |at, event| Spot { class, at, event, endpoint: no };
        Ok(match self {
            Table::Dead => {
                let rows = reader.dead(no, before, CHUNK_ROWS)?;
                rows.into_iter().map(|row| spot(row.at, row.event)).collect()
            }
            Table::Due(_) | Table::OnHold => {
                let before = before.map(|(at, event)| Due { class, at, event });
                let rows = reader.waiting(no, class, before, CHUNK_ROWS)?;
                let wanted = |due: &Due| self != Table::OnHold || due.is_on_hold();
                let dues = rows.into_iter().map(|(due, _)| due).take_while(wanted);
                dues.map(|due| spot(due.at, due.event)).collect()
            }
        })
    }
}

/// Several streams as one, the last row first.
pub(super) struct Merged<'a> {
    reader: &'a Reader,
    streams: Vec<Stream>,
    heads: BinaryHeap<(Spot, usize)>,
}

struct Stream {
    table: Table,
    no: EndpointNo,
    rows: VecDeque<Spot>,
    last: Option<Spot>,
}

impl<'a> Merged<'a> {
    /// The rows of these tables and endpoints before `before`.
    ///
    /// # Errors
    /// [`ReadError`] names what cannot be read.
    pub(super) fn new(
        reader: &'a Reader,
        sources: &[(Table, EndpointNo)],
        before: Option<Spot>,
    ) -> Result<Merged<'a>, ReadError> {
        let mut merged = Merged { reader, streams: Vec::new(), heads: BinaryHeap::new() };
        for (table, no) in sources {
            let (table, no) = (*table, *no);
            merged.streams.push(Stream { table, no, rows: VecDeque::new(), last: before });
            merged.advance(merged.streams.len() - 1)?;
        }
        Ok(merged)
    }

    /// The next row.
    ///
    /// # Errors
    /// [`ReadError`] names what cannot be read.
    pub(super) fn next(&mut self) -> Result<Option<Spot>, ReadError> {
        let Some((spot, index)) = self.heads.pop() else { return Ok(None) };
        self.advance(index)?;
        Ok(Some(spot))
    }

    /// Whether there are no more rows.
    pub(super) fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    fn advance(&mut self, index: usize) -> Result<(), ReadError> {
        let Some(stream) = self.streams.get_mut(index) else { return Ok(()) };
        if stream.rows.is_empty() {
            stream.rows = stream.table.read(self.reader, stream.no, stream.last)?.into();
        }
        if let Some(spot) = stream.rows.pop_front() {
            stream.last = Some(spot);
            self.heads.push((spot, index));
        }
        Ok(())
    }
}
