//! An endpoint's other side: it remembers what arrives and answers by a script.

use std::collections::BTreeMap;
use std::collections::VecDeque;
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
use std::time::Duration;
use std::time::Instant;

use super::PATIENCE;
use super::daemon::now;
use super::wire;

/// A request that was delivered.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) at: Instant,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
    /// What it was answered.
    pub(crate) status: u16,
}

/// A listening receiver. It answers 200 to what the script says nothing of.
#[derive(Clone, Debug)]
pub(crate) struct Receiver {
    address: SocketAddr,
    shared: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Debug)]
struct State {
    arrivals: Vec<Arrival>,
    script: VecDeque<(u16, String)>,
    otherwise: u16,
    held: bool,
}

impl Arrival {
    /// The event's id.
    pub(crate) fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }
}

impl Receiver {
    pub(crate) fn start() -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (arrivals, script) = (Vec::new(), VecDeque::new());
        let state = State { arrivals, script, otherwise: 200, held: false };
        let receiver = Receiver { address, shared: Arc::new((Mutex::new(state), Condvar::new())) };
        let all = receiver.clone();
        wire::serve_each(listener, move |stream| all.serve(stream));
        receiver
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// From now on, whatever the script does not speak of is answered with this.
    pub(crate) fn always(&self, status: u16) {
        self.state().otherwise = status;
    }

    /// Waits until so many have arrived in all, and gives all that did.
    pub(crate) fn arrivals(&self, count: usize) -> Vec<Arrival> {
        let (_, changed) = &*self.shared;
        let waiting = changed
            .wait_timeout_while(self.state(), PATIENCE, |state| state.arrivals.len() < count);
        let arrivals = waiting.unwrap().0.arrivals.clone();
        assert!(arrivals.len() >= count, "{} of {count} arrived", arrivals.len());
        arrivals
    }

    /// What has arrived.
    pub(crate) fn so_far(&self) -> Vec<Arrival> {
        self.state().arrivals.clone()
    }

    /// Forgets what has arrived.
    pub(crate) fn forget(&self) {
        self.state().arrivals.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.0.lock().unwrap()
    }

    fn serve(&self, stream: &TcpStream) -> io::Result<()> {
        let mut reader = BufReader::new(stream);
        while let Some(request) = wire::read(&mut reader)? {
            let (status, headers) = self.note(request);
            let (_, changed) = &*self.shared;
            let free = changed.wait_while(self.state(), |state| state.held);
            drop(free.unwrap());
            let head = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n{headers}\r\n");
            let mut stream = stream;
            stream.write_all(head.as_bytes())?;
        }
        Ok(())
    }

    fn note(&self, request: wire::Message) -> (u16, String) {
        let mut state = self.state();
        let otherwise = (state.otherwise, String::new());
        let answer = state.script.pop_front().unwrap_or(otherwise);
        let (headers, body, status) = (request.headers, request.body, answer.0);
        state.arrivals.push(Arrival { at: now(), headers, body, status });
        self.shared.1.notify_all();
        answer
    }
}

/// Scripts.
impl Receiver {
    /// The next request is answered with this status and these header lines.
    pub(crate) fn then(&self, status: u16, headers: &str) {
        self.state().script.push_back((status, headers.to_owned()));
    }

    /// Requests are read, but not answered, until `release`.
    pub(crate) fn hold(&self) {
        self.state().held = true;
    }

    /// Answers what was held.
    pub(crate) fn release(&self) {
        self.state().held = false;
        self.shared.1.notify_all();
    }

    /// Whether another request arrives within this time.
    pub(crate) fn hears_more_within(&self, time: Duration) -> bool {
        let before = self.state().arrivals.len();
        let (_, changed) = &*self.shared;
        let waiting =
            changed.wait_timeout_while(self.state(), time, |state| state.arrivals.len() == before);
        waiting.unwrap().0.arrivals.len() > before
    }
}
