//! What the hub, the servers and the API share.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use arc_swap::ArcSwap;
use tokio::sync::Semaphore;
use tokio::sync::mpsc;
use tokio::sync::oneshot;

use crate::admin::Metrics;
use crate::config::Config;
use crate::courier::Courier;
use crate::daemon::book::Book;
use crate::daemon::clock::Clock;
use crate::daemon::roster::Roster;
use crate::engine::Admitted;
use crate::engine::Command;
use crate::engine::Refusal;
use crate::engine::ReplayPage;
use crate::engine::Reply;
use crate::engine::Report;
use crate::engine::SubmitMode;
use crate::model::Attempt;
use crate::model::Class;
use crate::model::DeliveryId;
use crate::model::Due;
use crate::model::EndpointNo;
use crate::model::EndpointState;
use crate::model::LaneCounts;
use crate::model::Progress;
use crate::model::Replay;
use crate::model::ReplayId;
use crate::model::StandingHold;
use crate::model::Submission;
use crate::model::Time;
use crate::policy::pulse::Beats;
use crate::store::packed::ReadError;
use crate::store::read::Reader;
use crate::store::read::Readers;
use crate::store::space::Space;
use crate::store::writer::Receipts;

/// Reads of the store at once, for the API.
pub(crate) const READS_MAX: usize = 4;
/// Reads of the store at once that deliveries need.
pub(crate) const FEEDS_MAX: usize = 32;

/// What reaches the hub.
pub(crate) enum Message {
    /// Somebody submits events.
    Submit {
        since: Time,
        submissions: Vec<Submission>,
        mode: SubmitMode,
        answer: oneshot::Sender<Vec<Result<Admitted, Refusal>>>,
    },
    /// Somebody wants something.
    Command { actor: String, command: Command, answer: oneshot::Sender<Reply> },
    /// Somebody looks.
    Look(oneshot::Sender<Sight>),
    /// The writer has made commits safe.
    Committed(Receipts),
    /// A queue was read.
    Loaded { lane: EndpointNo, class: Class, rows: Vec<(Due, Progress)>, end: bool },
    /// Rows for a replay were read.
    Scanned { replay: ReplayId, page: Option<ReplayPage> },
    /// An attempt has ended.
    Finished { delivery: DeliveryId, attempt: Box<Attempt>, began: Time },
    /// The disk is low, or no longer.
    DiskLow(bool),
    /// Something has happened that may be told as an operational event.
    Report(Report),
    /// End now.
    Stop,
}

/// What the engine looks like at a moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sight {
    /// Each endpoint with its state, what stands in its lane, and deliveries under way.
    pub(crate) lanes: Vec<(EndpointNo, EndpointState, LaneCounts, usize)>,
    /// Attempts at once that each endpoint has borne, and its last minutes.
    pub(crate) fares: BTreeMap<EndpointNo, (usize, Beats)>,
    /// Deliveries on their way from a queue to the end of their attempt.
    pub(crate) flights: usize,
    /// Since when the longest-waiting due delivery of an active endpoint has been due.
    pub(crate) oldest_due: Option<Time>,
    /// Since when the oldest commit under way has been so.
    pub(crate) committing_since: Option<Time>,
    /// Whether new events are refused.
    pub(crate) draining: bool,
    /// Each source that has a name, by identity, and when it was heard of last.
    pub(crate) sources: Vec<(Arc<str>, Option<Time>)>,
    /// The replays that run.
    pub(crate) replays: Vec<Replay>,
    /// The holds that stand.
    pub(crate) holds: Vec<StandingHold>,
}

impl Sight {
    /// The state of an endpoint.
    pub(crate) fn state(&self, no: EndpointNo) -> Option<&EndpointState> {
        self.lanes.iter().find(|(lane, ..)| *lane == no).map(|(_, state, ..)| state)
    }
}

/// What was counted since the start.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Events admitted.
    pub(crate) accepted: Counter,
    /// Submissions that repeated an earlier one.
    pub(crate) duplicates: Counter,
    /// Submissions refused.
    pub(crate) rejected: Counter,
    /// Deliveries that ended well.
    pub(crate) delivered: Counter,
    /// Attempts.
    pub(crate) attempts: Counter,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub(crate) fn inc(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How many.
    pub(crate) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What the configuration decides, exchanged as a whole on reload.
pub(crate) struct Rules {
    /// The settings.
    pub(crate) config: Arc<Config>,
    /// The endpoints.
    pub(crate) book: Book,
    /// The sources.
    pub(crate) sources: Arc<Roster>,
    /// Makes attempts by these settings.
    pub(crate) courier: Arc<Courier>,
}

impl Rules {
    /// The same with other endpoints.
    pub(crate) fn with_book(&self, book: Book) -> Rules {
        let (config, courier) = (Arc::clone(&self.config), Arc::clone(&self.courier));
        Rules { config, book, sources: Arc::clone(&self.sources), courier }
    }
}

/// What the hub, the servers and the API share.
pub(crate) struct Shared {
    /// The time of this process.
    pub(crate) clock: Arc<Clock>,
    /// When it began.
    pub(crate) started_at: Time,
    /// Metrics.
    pub(crate) metrics: Arc<Metrics>,
    /// What was counted since the start.
    pub(crate) counters: Counters,
    /// What the configuration decides.
    pub(crate) rules: ArcSwap<Rules>,
    /// The configuration file that they come from.
    pub(crate) config_path: PathBuf,
    /// Told of every configuration that was put in force, for settings that others keep.
    pub(crate) on_reload: Box<dyn Fn(&Config) + Send + Sync>,
    /// One change of the rules at a time.
    pub(crate) changing: tokio::sync::Mutex<()>,
    /// Read the store.
    pub(crate) readers: Readers,
    /// Bounds reads of the store.
    pub(crate) reads: Arc<Semaphore>,
    /// Bounds those that deliveries need.
    pub(crate) feeds: Arc<Semaphore>,
    /// The disk under the store.
    pub(crate) space: Space,
    /// What a 202 stands for: `fsync` or `process`.
    pub(crate) durability: &'static str,
    /// To the hub.
    pub(crate) hub: mpsc::UnboundedSender<Message>,
    /// Makes ids of requests.
    pub(crate) chance: Mutex<fastrand::Rng>,
}

impl Shared {
    /// Looks at the engine. `None` if the hub has ended.
    pub(crate) async fn look(&self) -> Option<Sight> {
        let (answer, sight) = oneshot::channel();
        self.hub.send(Message::Look(answer)).ok()?;
        sight.await.ok()
    }

    /// Gives the engine a command and waits until it is carried out and safe. `None` if the hub
    /// has ended.
    pub(crate) async fn command(&self, actor: &str, command: Command) -> Option<Reply> {
        let (answer, reply) = oneshot::channel();
        let actor = actor.to_owned();
        self.hub.send(Message::Command { actor, command, answer }).ok()?;
        reply.await.ok()
    }

    /// Reads the store away from the async workers, a few at a time. `None` if the runtime is
    /// shutting down, [`ReadError`] if the store cannot be read at all.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Reader) -> T + Send + 'static,
    ) -> Option<Result<T, ReadError>> {
        self.read_among(&self.reads, read).await
    }

    /// As [`Shared::read`], of what deliveries need.
    pub(crate) async fn feed<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Reader) -> Result<T, ReadError> + Send + 'static,
    ) -> Option<Result<T, ReadError>> {
        Some(self.read_among(&self.feeds, read).await?.and_then(|read| read))
    }

    async fn read_among<T: Send + 'static>(
        &self,
        permits: &Arc<Semaphore>,
        read: impl FnOnce(&Reader) -> T + Send + 'static,
    ) -> Option<Result<T, ReadError>> {
        let permit = Arc::clone(permits).acquire_owned().await.ok()?;
        let readers = self.readers.clone();
        let read = move || {
            // until it is done, whether or not somebody still waits for it
            let _permit = permit;
            Ok(read(&readers.reader()?))
        };
        tokio::task::spawn_blocking(read).await.ok()
    }

    /// An id for a request: its time and 64 random bits.
    pub(crate) fn request_id(&self) -> String {
        let random = self.chance.lock().unwrap_or_else(std::sync::PoisonError::into_inner).u64(..);
        format!("req_{:011x}{random:016x}", self.clock.now().as_millis())
    }
}
