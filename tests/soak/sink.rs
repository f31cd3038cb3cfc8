//! A receiver that remembers millions: of each place in a stream, one bit.
//!
//! A payload is a JSON text that begins with the place of its event in the stream.

use std::collections::HashMap;
use std::io;
use std::io::BufReader;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::time::Duration;
use std::time::Instant;

use crate::harness::daemon::now;
use crate::harness::wire;

/// One in so many attempts fails, at those that fail often.
const FAILS_ONE_IN: u64 = 4;
/// How long a slow one takes.
const SLOW: Duration = Duration::from_millis(20);
/// For how long one that goes down is up and down, in turn: 8 s and 3 s.
const PERIOD_SECS: u64 = 11;
const UP_SECS: u64 = 8;
/// Keys of an ordered stream.
pub(crate) const KEYS: u32 = 8;

/// How a receiver is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Takes everything.
    Well,
    /// Refuses some.
    FailsOften,
    /// Takes its time.
    Slow,
    /// Is down now and then.
    GoesDown,
    /// Refuses each one twice.
    FailsTwice,
}

/// Which places there are: one bit each.
#[derive(Debug, Default)]
pub(crate) struct Places {
    words: Vec<u64>,
    count: u64,
}

impl Places {
    /// Whether it is new.
    pub(crate) fn add(&mut self, place: u32) -> bool {
        let (word, bit) = (usize::try_from(place / 64).unwrap(), 1 << (place % 64));
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        let new = self.words[word] & bit == 0;
        self.words[word] |= bit;
        self.count += u64::from(new);
        new
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// How many of these are not in the others.
    pub(crate) fn beyond(&self, others: &Places) -> u64 {
        let other = others.words.iter().copied().chain(std::iter::repeat(0));
        let missing = self.words.iter().zip(other).map(|(own, other)| own & !other);
        missing.map(|word| u64::from(word.count_ones())).sum()
    }
}

/// A listening receiver.
#[derive(Clone, Debug)]
pub(crate) struct Sink {
    address: SocketAddr,
    manner: Manner,
    began: Instant,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) attempts: u64,
    /// Places that were accepted.
    pub(crate) taken: Places,
    /// Those that were accepted more than once, each time but the first.
    pub(crate) again: u64,
    /// How often places that are refused twice have come.
    refused: HashMap<u32, u8>,
    /// Of each key, the last place; and how often one came too early.
    last: [u32; KEYS as usize],
    pub(crate) out_of_order: u64,
}

impl Sink {
    pub(crate) fn start(manner: Manner) -> Sink {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let sink = Sink { address, manner, began: now(), state: Arc::default() };
        let all = sink.clone();
        wire::serve_each(listener, move |stream| all.serve(stream));
        sink
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn serve(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream);
        while let Some(request) = wire::read(&mut reader)? {
            if self.manner == Manner::Slow {
                crate::pause(SLOW);
            }
            let status = self.note(&request);
            let mut stream = stream;
            let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes())?;
        }
        Ok(())
    }

    fn note(&self, request: &wire::Message) -> u16 {
        let text = request.body.split(|byte| *byte == b' ').next().unwrap();
        let place = std::str::from_utf8(text).unwrap().trim_start_matches('"').parse().unwrap();
        let mut state = self.state();
        state.attempts += 1;
        let refuses = match self.manner {
            Manner::Well | Manner::Slow => false,
            Manner::FailsOften => state.attempts.is_multiple_of(FAILS_ONE_IN),
            Manner::GoesDown => self.began.elapsed().as_secs() % PERIOD_SECS >= UP_SECS,
            Manner::FailsTwice => state.refuses_twice(place),
        };
        if refuses {
            return if self.manner == Manner::GoesDown { 503 } else { 500 };
        }
        if !state.taken.add(place) {
            state.again += 1;
        } else {
            let key = usize::try_from(place % KEYS).unwrap();
            state.out_of_order += u64::from(place < state.last[key]);
            state.last[key] = place;
        }
        200
    }
}

impl State {
    fn refuses_twice(&mut self, place: u32) -> bool {
        let count = self.refused.entry(place).or_default();
        *count = count.saturating_add(1);
        *count <= 2
    }
}
