//! Clients that submit as fast as they are answered, until the daemon is gone.

use std::io;
use std::path::Path;
use std::sync::Condvar;
use std::sync::Mutex;

use crate::book::Book;
use crate::harness::PATIENCE;
use crate::harness::client::Answer;
use crate::harness::client::Connection;
use crate::harness::client::Request;

/// Counts acknowledgements of a round.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    acks: Mutex<u64>,
    changed: Condvar,
}

impl Gate {
    /// Waits for so many.
    pub(crate) fn wait_for(&self, count: u64) {
        let acks = self.acks.lock().unwrap();
        let waiting = self.changed.wait_timeout_while(acks, PATIENCE, |acks| *acks < count);
        assert!(!waiting.unwrap().1.timed_out(), "the daemon does not acknowledge");
    }

    fn count(&self) {
        *self.acks.lock().unwrap() += 1;
        self.changed.notify_all();
    }
}

/// A connection of one client.
#[derive(Debug)]
pub(crate) struct Line(io::Result<Connection>);

impl Line {
    pub(crate) fn open(socket: &Path) -> Line {
        Line(Connection::open(socket))
    }

    /// An error where the daemon is gone.
    pub(crate) fn send(&mut self, request: &Request) -> io::Result<Answer> {
        match &mut self.0 {
            Ok(connection) => connection.send(request),
            Err(error) => Err(error.kind().into()),
        }
    }
}

/// Submits what the book says until there is no answer any more.
pub(crate) fn submit(socket: &Path, book: &mut Book, gate: &Gate) {
    let mut line = Line::open(socket);
    loop {
        let at = book.next();
        match line.send(&book.request(at)) {
            Ok(answer) => {
                book.acknowledged(at, &answer);
                gate.count();
            }
            Err(_) => return,
        }
    }
}
