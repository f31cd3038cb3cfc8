//! What stands in queues: the rows that are in memory, and how many there are on disk.

use std::sync::Arc;

use crate::engine::Engine;
use crate::engine::lane::Row;
use crate::engine::lane::SHELF_ROWS_MAX;
use crate::engine::lane::SHELF_ROWS_MIN;
use crate::engine::lane::Shelf;
use crate::model::Class;
use crate::model::Due;
use crate::model::EndpointNo;
use crate::model::Event;
use crate::model::Progress;

impl Engine {
    /// A row that was just written to a queue.
    pub(crate) fn queue(
        &mut self,
        no: EndpointNo,
        due: Due,
        progress: Progress,
        event: Option<Arc<Event>>,
    ) {
        if due.is_on_hold() {
            self.count(no, due.class, 1);
            return;
        }
        let rows_max = self.shelf_rows_max();
        let room = self.limits.body_bytes_max.saturating_sub(self.body_bytes);
        let event = event.filter(|event| event.body.len() <= room);
        self.body_bytes += event.as_ref().map_or(0, |event| event.body.len());
        let row = Row { progress, event };
        let displaced = self.on_shelf(no, due.class, |shelf| shelf.push(due, row, rows_max));
        if let Some(displaced) = displaced.flatten() {
            self.forget(&displaced);
        }
        self.count(no, due.class, 1);
        self.ring_in(no);
    }

    /// A delivery that waited behind another one of its key stands in its queue now.
    pub(crate) fn promoted(&mut self, no: EndpointNo, due: Due, progress: Progress) {
        self.count_behind(no, -1);
        self.queue(no, due, progress, None);
    }

    /// More or fewer deliveries wait behind others of their key.
    pub(crate) fn count_behind(&mut self, no: EndpointNo, by: i64) {
        self.waiting += by;
        if let Some(lane) = self.lanes.get_mut(&no) {
            lane.behind += by;
        }
    }

    /// A queue on disk has grown or shrunk.
    pub(crate) fn count(&mut self, no: EndpointNo, class: Class, by: i64) {
        self.waiting += by;
        if let Some(lane) = self.lanes.get_mut(&no) {
            lane.count(class, by);
        }
    }

    /// Changes a shelf, and keeps count of the rows in memory.
    pub(crate) fn on_shelf<T>(
        &mut self,
        no: EndpointNo,
        class: Class,
        change: impl FnOnce(&mut Shelf) -> T,
    ) -> Option<T> {
        let shelf = self.lanes.get_mut(&no)?.shelf(class);
        let before = shelf.len();
        let answer = change(shelf);
        self.rows = self.rows + shelf.len() - before;
        Some(answer)
    }

    /// The payload of a row that left memory no longer counts.
    pub(crate) fn forget(&mut self, row: &Row) {
        let bytes = row.event.as_ref().map_or(0, |event| event.body.len());
        self.body_bytes = self.body_bytes.saturating_sub(bytes);
    }

    /// Rows that one shelf may hold, given how many there are in all.
    pub(crate) fn shelf_rows_max(&self) -> usize {
        if self.rows < self.limits.rows_max { SHELF_ROWS_MAX } else { SHELF_ROWS_MIN }
    }
}
