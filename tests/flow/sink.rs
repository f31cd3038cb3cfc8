//! A receiver for many: of each request it keeps only what order, time and number need.
//!
//! A payload is a JSON text that begins with the number of its stream (a key, or a measurement) and
//! its place therein.

use std::collections::HashMap;
use std::collections::HashSet;
use std::io;
use std::io::BufReader;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::mpsc;
use std::time::Duration;
use std::time::Instant;

use crate::harness::daemon::now;
use crate::harness::wire;

/// A request that was delivered.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// When it had arrived.
    pub(crate) at: Instant,
    /// When it was answered.
    pub(crate) answered: Instant,
    pub(crate) stream: u32,
    pub(crate) place: u32,
    pub(crate) delivery: String,
    pub(crate) status: u16,
}

/// How it answers.
#[derive(Clone, Debug)]
pub(crate) struct Manner {
    /// So many in a hundred get 500 instead of 200 ...
    pub(crate) failing_percent: u8,
    /// ... by this seed.
    pub(crate) seed: u64,
    /// So long it takes.
    pub(crate) takes: Duration,
}

impl Manner {
    /// Answers 200 at once.
    pub(crate) const WELL: Manner = Manner { failing_percent: 0, seed: 0, takes: Duration::ZERO };
}

/// A listening receiver.
#[derive(Clone, Debug)]
pub(crate) struct Sink {
    address: SocketAddr,
    takes: Duration,
    shared: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Debug)]
struct State {
    rng: fastrand::Rng,
    failing_percent: u8,
    seen: Vec<Seen>,
    /// Places that were answered with 200, by stream.
    done: HashMap<u32, HashSet<u32>>,
    /// Connections that were ever accepted, by their other end, and those that are open.
    peers: HashSet<SocketAddr>,
    open: usize,
}

/// The payload of a place in a stream.
pub(crate) fn payload(stream: u32, place: u32, bytes: usize) -> String {
    format!("\"{:<bytes$}\"", format!("{stream} {place} "))
}

impl Sink {
    pub(crate) fn start() -> Sink {
        Sink::with(&Manner::WELL)
    }

    pub(crate) fn with(manner: &Manner) -> Sink {
        Sink::on(TcpListener::bind("127.0.0.1:0").unwrap(), manner)
    }

    pub(crate) fn on(listener: TcpListener, manner: &Manner) -> Sink {
        let address = listener.local_addr().unwrap();
        let state = State {
            rng: fastrand::Rng::with_seed(manner.seed),
            failing_percent: manner.failing_percent,
            seen: Vec::new(),
            done: HashMap::new(),
            peers: HashSet::new(),
            open: 0,
        };
        let shared = Arc::new((Mutex::new(state), Condvar::new()));
        let sink = Sink { address, takes: manner.takes, shared };
        let all = sink.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                all.change(|state| {
                    state.open += 1;
                    state.peers.extend(stream.peer_addr());
                });
                let sink = all.clone();
                std::thread::spawn(move || {
                    // the daemon may be killed at any time
                    let _ = sink.serve(&stream);
                    sink.change(|state| state.open -= 1);
                });
            }
        });
        sink
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// Everything that has arrived.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state().seen.clone()
    }

    /// What has arrived of a stream.
    pub(crate) fn seen_of(&self, stream: u32) -> Vec<Seen> {
        self.state().seen.iter().filter(|seen| seen.stream == stream).cloned().collect()
    }

    /// Waits until so many places of a stream are done.
    pub(crate) fn wait_for(&self, stream: u32, count: usize, patience: Duration) {
        let of = |state: &State| state.done.get(&stream).map_or(0, HashSet::len);
        self.wait(&format!("{count} of stream {stream}"), patience, |state| of(state) >= count);
    }

    /// Waits until so many places are done, whatever their stream.
    pub(crate) fn wait_for_any(&self, count: usize, patience: Duration) {
        let of = |state: &State| state.done.values().map(HashSet::len).sum::<usize>();
        self.wait(&format!("{count} of all streams"), patience, |state| of(state) >= count);
    }

    /// After the daemon's end: waits until everything that it had sent is taken in.
    pub(crate) fn settle(&self, patience: Duration) {
        // connections are accepted in turn: what was there before this one is counted with it
        let marker = TcpStream::connect(self.address).unwrap().local_addr().unwrap();
        self.wait("the end of all connections", patience, |state| {
            state.open == 0 && state.peers.contains(&marker)
        });
    }

    fn wait(&self, what: &str, patience: Duration, holds: impl Fn(&State) -> bool) {
        let (_, changed) = &*self.shared;
        let waiting = changed.wait_timeout_while(self.state(), patience, |state| !holds(state));
        let (state, waited) = waiting.unwrap();
        assert!(!waited.timed_out(), "not in time: {what}; {} have arrived", state.seen.len());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.0.lock().unwrap()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.shared.1.notify_all();
    }

    fn serve(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let (_open, never) = mpsc::channel::<()>();
        let mut reader = BufReader::new(stream);
        while let Some(request) = wire::read(&mut reader)? {
            let at = now();
            if !self.takes.is_zero() {
                assert!(never.recv_timeout(self.takes).is_err(), "nothing is ever sent");
            }
            let status = self.note(at, &request);
            let mut stream = stream;
            write!(stream, "HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n")?;
        }
        Ok(())
    }

    /// Keeps what is to be kept, and decides what is answered.
    fn note(&self, at: Instant, request: &wire::Message) -> u16 {
        let text = String::from_utf8_lossy(&request.body);
        let mut numbers =
            text.trim_matches('"').split(' ').map(|number| number.parse::<u32>().unwrap());
        let (stream, place) = (numbers.next().unwrap(), numbers.next().unwrap());
        let delivery = request.headers["postrider-delivery-id"].clone();
        let mut status = 200;
        self.change(|state| {
            if state.rng.u8(..100) < state.failing_percent {
                status = 500;
            } else {
                state.done.entry(stream).or_default().insert(place);
            }
            state.seen.push(Seen { at, answered: now(), stream, place, delivery, status });
        });
        status
    }
}
