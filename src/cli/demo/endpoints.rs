//! The demo's endpoints: receivers in this process, each with a secret and a ledger of what came.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use ring::rand::SecureRandom;
use ring::rand::SystemRandom;
use secrecy::ExposeSecret;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use crate::cli::demo::home::Home;
use crate::cli::key_options::VerifyKeys;
use crate::cli::listen::line;
use crate::cli::listen::line::Style;
use crate::cli::receiver;
use crate::cli::receiver::Arrival;
use crate::cli::receiver::NOTES_PENDING_MAX;
use crate::cli::receiver::Note;
use crate::cli::receiver::Receiver;
use crate::cli::receiver::script::Answer;
use crate::cli::receiver::script::Script;
use crate::cli::receiver::script::Step;
use crate::model::Time;
use crate::policy::keys::VerifyingKey;
use crate::policy::keys::shared_key_text;

/// How long the endpoints of the burst think about a request ...
const THINKING: Duration = Duration::from_millis(15);
/// ... and how many attempts they get at once, so that a backlog builds up.
const MAX_IN_FLIGHT: u32 = 2;

/// One endpoint: how it is configured, and what came.
pub(super) struct Endpoint {
    name: &'static str,
    types: &'static str,
    port: u16,
    secret_file: PathBuf,
    ledger: Ledger,
}

/// All of them.
pub(super) struct Endpoints {
    /// Takes everything.
    pub(super) orders: Arc<Endpoint>,
    /// Fails three times, then recovers.
    pub(super) billing: Arc<Endpoint>,
    /// Two slow ones that get the same events.
    pub(super) slow: [Arc<Endpoint>; 2],
}

/// What happened at an endpoint, in order.
#[derive(Default)]
struct Ledger {
    notes: Mutex<Vec<Note>>,
    grown: Notify,
}

impl Endpoints {
    /// Opens them on free ports of this machine. The future serves them for as long as it is
    /// polled.
    ///
    /// # Errors
    /// If a port or a secret cannot be had.
    pub(super) async fn open(
        home: &Home,
        clock: fn() -> Time,
    ) -> anyhow::Result<(Endpoints, impl Future<Output = ()>)> {
        let failing = Step { answer: Answer::Status(503), times: Some(3) };
        let slow = || Script { delay: THINKING, ..Script::default() };
        let failing = Script::failing(vec![failing]);
        let (orders, a) = open(home, clock, "orders", "order.*", Script::default()).await?;
        let (billing, b) = open(home, clock, "billing", "invoice.*", failing).await?;
        let (warehouse, c) = open(home, clock, "warehouse", "stock.*", slow()).await?;
        let (search, d) = open(home, clock, "search", "stock.*", slow()).await?;
        let serving = async {
            tokio::join!(a, b, c, d);
        };
        Ok((Endpoints { orders, billing, slow: [warehouse, search] }, serving))
    }

    /// Their part of the configuration file.
    pub(super) fn sections(&self) -> String {
        let [warehouse, search] = &self.slow;
        let all = [&self.orders, &self.billing, warehouse, search];
        all.into_iter().map(|endpoint| endpoint.section()).collect()
    }
}

async fn open(
    home: &Home,
    clock: fn() -> Time,
    name: &'static str,
    types: &'static str,
    script: Script,
) -> anyhow::Result<(Arc<Endpoint>, impl Future<Output = ()> + use<>)> {
    let mut random = Zeroizing::new([0; 32]);
    let filled = SystemRandom::new().fill(random.as_mut_slice());
    filled.map_err(|_| anyhow::anyhow!("the system gives no random bytes"))?;
    let secret = shared_key_text(&random);
    let key = VerifyingKey::parse(secret.expose_secret())?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let endpoint = Arc::new(Endpoint {
        name,
        types,
        port: listener.local_addr()?.port(),
        secret_file: home.write_secret(name, secret.expose_secret())?,
        ledger: Ledger::default(),
    });
    let receiver =
        Receiver { keys: VerifyKeys(vec![key]), script, forward_to: None, clock: Arc::new(clock) };
    let (log, mut notes) = mpsc::channel(NOTES_PENDING_MAX);
    let kept = Arc::clone(&endpoint);
    let serving = async move {
        let keeping = async {
            while let Some(note) = notes.recv().await {
                kept.ledger.add(note);
            }
        };
        tokio::join!(receiver::serve(listener, receiver, log, std::future::pending()), keeping);
    };
    Ok((endpoint, serving))
}

impl Endpoint {
    fn section(&self) -> String {
        let Endpoint { name, types, port, secret_file, ledger: _ } = self;
        format!(
            "\n[[endpoint]]\nname   = \"{name}\"\nurl    = \"http://127.0.0.1:{port}/hook\"\n\
             types  = [\"{types}\"]\nsecret = {{ file = \"{}\" }}\n\
             max_in_flight = {MAX_IN_FLIGHT}\n",
            secret_file.display()
        )
    }

    /// The line of a note, counted from 0, as soon as there is one.
    pub(super) async fn line(&self, index: usize) -> String {
        self.ledger.until(|notes| notes.len() > index).await;
        let notes = self.ledger.notes.lock().unwrap_or_else(PoisonError::into_inner);
        notes.get(index).map(|note| line::of(note, Style::Arrows, false, None)).unwrap_or_default()
    }

    /// What came so far, in order.
    pub(super) fn arrivals(&self) -> Vec<Arrival> {
        let notes = self.ledger.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let arrival = |note: &Note| match note {
            Note::Arrived(arrival) => Some(arrival.clone()),
            Note::Answered(_) => None,
        };
        notes.iter().filter_map(arrival).collect()
    }
}

impl Ledger {
    fn add(&self, note: Note) {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).push(note);
        self.grown.notify_one();
    }

    async fn until(&self, enough: impl Fn(&[Note]) -> bool) {
        while !enough(&self.notes.lock().unwrap_or_else(PoisonError::into_inner)) {
            self.grown.notified().await;
        }
    }
}
