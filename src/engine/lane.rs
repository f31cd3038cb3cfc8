//! A lane: the queue of one endpoint, of which only the head is in memory.
//!
//! What waits stands on disk, all of it. A [`Shelf`] holds the first rows of one queue, in order;
//! it knows whether there may be more behind them, and asks for those before it runs dry. What
//! arrives out of the shelf's reach is left on the disk until its turn comes. So memory does not
//! grow with the backlog, and a row is never skipped: the shelf's invariant is that everything on
//! disk up to its last row is in it, in flight, or just being taken away.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::Arc;

use crate::engine::backlog::Backlogs;
use crate::engine::backlog::due_since;
use crate::engine::backlog::is_backlog;
use crate::engine::gate::Gate;
use crate::engine::words::Caller;
use crate::model::Class;
use crate::model::DeliveryId;
use crate::model::Due;
use crate::model::Endpoint;
use crate::model::EndpointEntry;
use crate::model::Event;
use crate::model::LaneCounts;
use crate::model::Next;
use crate::model::Progress;
use crate::model::Time;
use crate::policy::pulse::Pulse;

/// Rows that a shelf asks for at once.
pub(crate) const LOAD_ROWS: usize = 128;
/// Rows that a shelf holds at most, as long as there is room for them over all lanes.
pub(crate) const SHELF_ROWS_MAX: usize = 32 * LOAD_ROWS;
/// Rows that a shelf may hold even if memory is short.
pub(crate) const SHELF_ROWS_MIN: usize = 4;

/// A waiting delivery in memory.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) progress: Progress,
    pub(crate) event: Option<Arc<Event>>,
}

/// What lies behind the rows in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behind {
    Nothing,
    Something,
    /// Being read. The first row that came in meanwhile, which the reading may have missed.
    Reading {
        missed: Option<Due>,
    },
}

/// The head of one queue.
#[derive(Debug)]
pub(crate) struct Shelf {
    rows: BTreeMap<Due, Row>,
    behind: Behind,
}

impl Shelf {
    /// A shelf whose rows are all on disk, if there are any.
    pub(crate) fn of_disk(rows_on_disk: u64) -> Shelf {
        let behind = if rows_on_disk == 0 { Behind::Nothing } else { Behind::Something };
        Shelf { rows: BTreeMap::new(), behind }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.rows.is_empty() && self.behind == Behind::Nothing
    }

    /// When the first row is due, if it is known.
    pub(crate) fn first(&self) -> Option<Due> {
        self.head().map(|(due, _)| due)
    }

    /// The first row, if it is known.
    pub(crate) fn head(&self) -> Option<(Due, &Row)> {
        self.rows.first_key_value().map(|(due, row)| (*due, row))
    }

    /// Rows in memory.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// A row that was just written. Returns what fell out of memory for it.
    pub(crate) fn push(&mut self, due: Due, row: Row, rows_max: usize) -> Option<Row> {
        let within = self.rows.last_key_value().is_some_and(|(last, _)| due < *last);
        if !within && (self.behind != Behind::Nothing || self.rows.len() >= rows_max) {
            self.leave_on_disk(due);
            return Some(row);
        }
        let same = self.rows.insert(due, row);
        if same.is_some() || self.rows.len() <= rows_max {
            return same;
        }
        let (last, row) = self.rows.pop_last()?;
        self.leave_on_disk(last);
        Some(row)
    }

    fn leave_on_disk(&mut self, due: Due) {
        self.behind = match self.behind {
            Behind::Reading { missed } => {
                Behind::Reading { missed: Some(missed.map_or(due, |missed| missed.min(due))) }
            }
            _ => Behind::Something,
        };
    }

    /// Takes the first row.
    pub(crate) fn pop(&mut self) -> Option<(Due, Row)> {
        self.rows.pop_first()
    }

    /// Takes a row away that somebody moved.
    pub(crate) fn remove(&mut self, due: Due) -> Option<Row> {
        self.rows.remove(&due)
    }

    /// Where to go on reading, if it is time to: the outer `Option` says whether.
    ///
    /// It is when less than an eighth of what it may hold is left; a full shelf, however small,
    /// never asks.
    pub(crate) fn wants(&mut self, rows_max: usize) -> Option<Option<Due>> {
        let low = (rows_max / 8).max(1);
        if self.behind != Behind::Something || self.rows.len() >= low {
            return None;
        }
        self.behind = Behind::Reading { missed: None };
        Some(self.rows.last_key_value().map(|(due, _)| *due))
    }

    /// What was read, in order, and whether the queue ends with it.
    pub(crate) fn read(
        &mut self,
        rows: impl Iterator<Item = (Due, Progress)>,
        end: bool,
        rows_max: usize,
    ) {
        let mut cut = false;
        for (due, progress) in rows {
            if self.rows.len() >= rows_max {
                cut = true;
                break;
            }
            self.rows.entry(due).or_insert(Row { progress, event: None });
        }
        let missed = match self.behind {
            Behind::Reading { missed } => missed,
            _ => None,
        };
        if let Some(missed) = missed {
            // what stands after a row that the reading may have missed is read again with it
            self.rows.split_off(&missed);
        }
        let complete = end && missed.is_none() && !cut;
        self.behind = if complete { Behind::Nothing } else { Behind::Something };
    }
}

/// The queue of one endpoint and what is under way from it.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) endpoint: Endpoint,
    pub(crate) fresh: Shelf,
    pub(crate) timed: Shelf,
    /// Taken from the queue and safe as such; to be dialled as soon as the window allows.
    pub(crate) ready: VecDeque<DeliveryId>,
    /// Taken from the queue and not yet dialled to the end: being written, ready or dialling.
    pub(crate) started: usize,
    /// Attempts under way.
    pub(crate) dialling: usize,
    /// Whose turn it is when both queues have something due.
    pub(crate) turn: Class,
    /// Whether it stands in the ring of lanes that may have something to do.
    pub(crate) in_ring: bool,
    /// When it is to be looked at again.
    pub(crate) timer: Option<Time>,
    /// Fresh and timed deliveries on disk. Below zero for a moment, where a row is taken off the
    /// count that is about to be put back.
    waiting: [i64; 2],
    /// Deliveries on disk that wait behind another one of their key.
    pub(crate) behind: i64,
    /// Deliveries of it that are in flight, those whose step is being written included.
    pub(crate) flights: usize,
    /// Its endpoint is being removed.
    pub(crate) removal: Option<Removal>,
    /// What it may dial, and when.
    pub(crate) gate: Gate,
    /// How its endpoint has fared of late.
    pub(crate) pulse: Pulse,
    /// When the last event came in for it, or when the process began; zero before it is known.
    pub(crate) last_event: Time,
}

/// The end of a lane: nothing is tried again, and when nothing is in flight any more, what waits
/// is ended as well.
#[derive(Clone, Debug)]
pub(crate) struct Removal {
    pub(crate) actor: String,
    /// How its deliveries end.
    pub(crate) next: Next,
    /// What is to be done once nothing is in flight; taken then.
    pub(crate) last: Option<(Caller, Box<EndpointEntry>)>,
}

impl Lane {
    pub(crate) fn new(endpoint: Endpoint, counts: LaneCounts) -> Lane {
        Lane {
            endpoint,
            fresh: Shelf::of_disk(counts.fresh),
            timed: Shelf::of_disk(counts.timed),
            ready: VecDeque::new(),
            started: 0,
            dialling: 0,
            turn: Class::Fresh,
            in_ring: false,
            timer: None,
            waiting: [counts.fresh, counts.timed].map(|n| i64::try_from(n).unwrap_or(i64::MAX)),
            behind: i64::try_from(counts.behind).unwrap_or(i64::MAX),
            flights: 0,
            removal: None,
            gate: Gate::default(),
            pulse: Pulse::default(),
            last_event: Time::ZERO,
        }
    }

    pub(crate) fn shelf(&mut self, class: Class) -> &mut Shelf {
        match class {
            Class::Fresh => &mut self.fresh,
            Class::Timed => &mut self.timed,
        }
    }

    /// A queue on disk has grown or shrunk.
    pub(crate) fn count(&mut self, class: Class, by: i64) {
        let [fresh, timed] = &mut self.waiting;
        match class {
            Class::Fresh => *fresh += by,
            Class::Timed => *timed += by,
        }
    }

    /// What stands on disk. Dead ones are not known here.
    pub(crate) fn counts(&self) -> LaneCounts {
        let [fresh, timed] = self.waiting.map(|n| u64::try_from(n).unwrap_or(0));
        let behind = u64::try_from(self.behind).unwrap_or(0);
        LaneCounts { fresh, timed, dead: 0, behind }
    }

    /// Takes what is due next: the two queues in turn, so that neither a backlog of new events
    /// nor one of retries keeps the other waiting. What belongs to a backlog is left
    /// while those have to wait; an endpoint that fails is tried all the same.
    pub(crate) fn take_due(&mut self, now: Time, backlogs: &mut Backlogs) -> Option<(Due, Row)> {
        let fails = self.open().is_some();
        let mut may_go =
            |due: &Due| due.at <= now && (fails || !is_backlog(*due, now) || backlogs.may_go(now));
        let [fresh, timed] =
            [&self.fresh, &self.timed].map(|shelf| shelf.first().filter(&mut may_go));
        let class =
            match (fresh, timed) {
                (None, None) => return None,
                (Some(_), None) => Class::Fresh,
                (None, Some(_)) => Class::Timed,
                // an endpoint that fails is tried with the oldest
                (Some(fresh), Some(timed)) if self.open().is_some() => {
                    if fresh.event < timed.event { Class::Fresh } else { Class::Timed }
                }
                (Some(_), Some(_)) => self.turn,
            };
        self.turn = match class {
            Class::Fresh => Class::Timed,
            Class::Timed => Class::Fresh,
        };
        self.shelf(class).pop()
    }

    /// Since when its longest-waiting due delivery has been due, as far as is known.
    pub(crate) fn oldest_due(&self, now: Time) -> Option<Time> {
        let heads = [self.fresh.first(), self.timed.first()];
        heads.into_iter().flatten().filter(|due| due.at <= now).map(due_since).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::EventId;

    fn due(n: u64) -> Due {
        Due::timed(Time::from_secs(n), EventId::MIN)
    }

    fn row() -> Row {
        Row { progress: Progress::default(), event: None }
    }

    fn read(shelf: &mut Shelf, rows: &[u64], end: bool) {
        let rows = rows.iter().map(|n| (due(*n), Progress::default()));
        shelf.read(rows, end, SHELF_ROWS_MAX);
    }

    #[test]
    fn a_short_queue_lives_in_memory() {
        let mut shelf = Shelf::of_disk(0);
        assert!(shelf.push(due(2), row(), 4).is_none());
        assert!(shelf.push(due(1), row(), 4).is_none());
        assert_eq!(shelf.wants(SHELF_ROWS_MAX), None, "nothing behind");
        assert_eq!(shelf.pop().map(|(due, _)| due), Some(due(1)));
    }

    #[test]
    fn what_does_not_fit_is_read_later() {
        let mut shelf = Shelf::of_disk(0);
        for n in 1..=3 {
            shelf.push(due(n), row(), 2);
        }
        assert_eq!(shelf.len(), 2);
        assert_eq!(
            shelf.wants(SHELF_ROWS_MAX),
            Some(Some(due(2))),
            "goes on after the last in memory"
        );
        assert_eq!(shelf.wants(SHELF_ROWS_MAX), None, "one reading at a time");
        read(&mut shelf, &[3], true);
        assert_eq!(shelf.len(), 3);
    }

    #[test]
    fn a_full_shelf_asks_for_nothing() {
        let mut shelf = Shelf::of_disk(0);
        for n in 1..=9 {
            shelf.push(due(n), row(), SHELF_ROWS_MIN);
        }
        for _ in 0..SHELF_ROWS_MIN {
            assert_eq!(shelf.wants(SHELF_ROWS_MIN), None);
            shelf.pop();
        }
        assert_eq!(shelf.wants(SHELF_ROWS_MIN), Some(None));
    }

    #[test]
    fn an_earlier_row_displaces_the_last() {
        let mut shelf = Shelf::of_disk(0);
        shelf.push(due(5), row(), 2);
        shelf.push(due(6), row(), 2);
        assert!(shelf.push(due(4), row(), 2).is_some());
        assert_eq!(shelf.pop().map(|(due, _)| due), Some(due(4)));
        assert_eq!(shelf.pop().map(|(due, _)| due), Some(due(5)));
        assert_eq!(shelf.wants(SHELF_ROWS_MAX), Some(None), "the displaced one is on disk");
    }

    #[test]
    fn what_arrives_during_a_reading_is_read_again() {
        let mut shelf = Shelf::of_disk(1);
        assert_eq!(shelf.wants(SHELF_ROWS_MAX), Some(None));
        shelf.push(due(9), row(), 4);
        read(&mut shelf, &[1], true);
        assert_eq!(shelf.wants(SHELF_ROWS_MAX), Some(Some(due(1))), "9 may have been missed");
        read(&mut shelf, &[9], true);
        assert_eq!(shelf.wants(SHELF_ROWS_MAX), None);
        assert_eq!(shelf.len(), 2);
    }

    #[test]
    fn an_earlier_row_that_a_reading_missed_is_not_skipped() {
        let mut shelf = Shelf::of_disk(1);
        assert_eq!(shelf.wants(SHELF_ROWS_MAX), Some(None));
        shelf.push(due(3), row(), 4);
        read(&mut shelf, &[1, 5], true);
        assert_eq!(shelf.wants(SHELF_ROWS_MAX), Some(Some(due(1))), "5 is read again, after 3");
        read(&mut shelf, &[3, 5], true);
        let order: Vec<_> = std::iter::from_fn(|| shelf.pop()).map(|(due, _)| due).collect();
        assert_eq!(order, [due(1), due(3), due(5)]);
    }
}
