//! From a configuration to a running daemon, and down again.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::time::Duration;

use arc_swap::ArcSwap;
use sd_notify::NotifyState;
use tokio::signal::unix::Signal;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::sync::Semaphore;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::sync::watch;

use crate::admin::Actor;
use crate::admin::Backend;
use crate::admin::BackendError;
use crate::admin::Metrics;
use crate::config;
use crate::config::Config;
use crate::config::ConfigErrors;
use crate::config::Loaded;
use crate::config::value;
use crate::courier::Courier;
use crate::daemon::backend::Office;
use crate::daemon::book;
use crate::daemon::clock::Clock;
use crate::daemon::couriers;
use crate::daemon::desk::IngestDesk;
use crate::daemon::disk::Disk;
use crate::daemon::hub::Hub;
use crate::daemon::log;
use crate::daemon::log::LogHandle;
use crate::daemon::opening;
use crate::daemon::roster;
use crate::daemon::roster::Roster;
use crate::daemon::serving;
use crate::daemon::shared::Counters;
use crate::daemon::shared::FEEDS_MAX;
use crate::daemon::shared::Message;
use crate::daemon::shared::READS_MAX;
use crate::daemon::shared::Rules;
use crate::daemon::shared::Shared;
use crate::daemon::sockets::SocketError;
use crate::daemon::sockets::Sockets;
use crate::daemon::watch as rounds;
use crate::engine::Command;
use crate::engine::Engine;
use crate::engine::Limits;
use crate::engine::Recovered;
use crate::engine::Retention;
use crate::intake::Intake;
use crate::model::EndpointEntry;
use crate::model::Horizons;
use crate::model::Record;
use crate::store::batches::CommitError;
use crate::store::open::Durability;
use crate::store::open::OpenError;
use crate::store::open::Opened;
use crate::store::writer::Commit;
use crate::store::writer::Writer;

/// Threads for reads of the store and of names, at most.
const BLOCKING_THREADS_MAX: usize = 64;
/// How long connections may take to end after the last attempt has.
const HANG_UP: Duration = Duration::from_secs(1);

/// Why the daemon did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The configuration is not valid.
    #[error("the configuration is not valid")]
    Config(ConfigErrors),
    /// An endpoint cannot be called as it is described.
    #[error("{0}")]
    Endpoint(String),
    /// Logs cannot be set up.
    #[error(transparent)]
    Log(#[from] log::LogError),
    /// The store does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store failed: nothing is acknowledged any more.
    #[error("the store failed, and postrider ends so that nothing is acknowledged in vain: {0}")]
    Store(CommitError),
    /// A part of the daemon ended without being told to; this is a bug in postrider.
    #[error("the {0} ended by itself; this is a bug in postrider")]
    Ended(&'static str),
    /// A socket cannot be opened.
    #[error("{0}")]
    Socket(String),
    /// The operating system refuses something that is needed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl From<SocketError> for RunError {
    fn from(error: SocketError) -> RunError {
        RunError::Socket(error.to_string())
    }
}

/// Runs the daemon with this configuration file until it is told to stop.
///
/// # Errors
/// [`RunError`].
pub fn run(config_path: PathBuf) -> Result<(), RunError> {
    let clock = Arc::new(Clock::start());
    let loaded = config::load(&config_path, std::env::vars()).map_err(RunError::Config)?;
    let metrics = Arc::new(Metrics::new(&[]));
    metrics.config_loaded(clock.now());
    let log = &loaded.config.log;
    let log = log::init(&log.level, log.format, metrics.log_counter())?;
    say_starting(&loaded, &config_path);
    // the store first: its filter has to be in force before there is a second thread
    let mut opened = opening::open_store(&loaded.config, &clock)?;
    let sockets = Sockets::open(&loaded.config.listen)?;
    let entries = opened.recovered.endpoints.clone();
    let binding = book::bind(&loaded.config, &entries, &metrics, clock.now())
        .map_err(|error| RunError::Endpoint(error.to_string()))?;
    write_entries(&mut opened.writer, &binding.entries)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .build()?;
    let Opened { readers, writer, space, durability, recovered } = opened;
    let recovered = Recovered {
        in_flight: recovered.in_flight,
        lanes: recovered.lanes,
        entries: entries.into_iter().chain(binding.entries).collect(),
        last_event: recovered.last_event,
        replays: recovered.replays,
        holds: recovered.holds,
    };
    let config = Arc::new(loaded.config);
    let seed = fastrand::u64(..);
    let mut engine = Engine::new(limits(&config), seed, binding.endpoints, &recovered);
    engine.know_sources(clock.now(), roster::sources(&config));
    let _inside = runtime.enter();
    let courier = couriers::courier(&config, &clock)
        .map_err(|error| RunError::Endpoint(error.to_string()))?;
    say_trust(&courier);
    let (hub, inbox) = mpsc::unbounded_channel();
    let intake = Arc::new(OnceLock::new());
    let sources = Arc::new(Roster::new(&config, &metrics));
    let rules = Rules { config, book: binding.book, sources, courier: Arc::new(courier) };
    let shared = Arc::new(Shared {
        started_at: clock.now(),
        clock,
        metrics,
        counters: Counters::default(),
        rules: ArcSwap::from_pointee(rules),
        config_path,
        on_reload: on_reload(log, Arc::clone(&intake)),
        changing: tokio::sync::Mutex::new(()),
        readers,
        reads: Arc::new(Semaphore::new(READS_MAX)),
        feeds: Arc::new(Semaphore::new(FEEDS_MAX)),
        space,
        durability: match durability {
            Durability::Fsync => "fsync",
            Durability::Process => "process",
        },
        hub,
        chance: Mutex::new(fastrand::Rng::with_seed(seed)),
    });
    let last = shared.readers.clone();
    let result = runtime.block_on(live(shared, engine, inbox, writer, sockets, &intake));
    drop(intake);
    runtime.shutdown_timeout(HANG_UP);
    result.and(last.let_go().map_err(RunError::Store))
}

/// Whether every endpoint of a configuration could be called as it is described.
///
/// # Errors
/// [`RunError::Endpoint`] for the first that could not.
pub fn check(config: &Config) -> Result<(), RunError> {
    let rules = book::egress_rules(config);
    for definition in &config.endpoints {
        book::target(definition, &rules, config)
            .map_err(|error| RunError::Endpoint(error.to_string()))?;
    }
    Ok(())
}

fn say_starting(loaded: &Loaded, path: &std::path::Path) {
    let version = env!("CARGO_PKG_VERSION");
    tracing::info!(event = "daemon.starting", version, config = %path.display());
    for warning in &loaded.warnings {
        tracing::warn!(event = "config.warning", key = warning.key, "{}", warning.message);
    }
}

fn say_trust(courier: &Courier) {
    if courier.trusted_certificates() == 0 {
        tracing::warn!(
            event = "tls.no_roots",
            "no certificate authority is trusted: no https endpoint can be called",
        );
    }
}

/// What else takes a new configuration on.
fn on_reload(
    log: LogHandle,
    intake: Arc<OnceLock<Arc<Intake<IngestDesk>>>>,
) -> Box<dyn Fn(&Config) + Send + Sync> {
    Box::new(move |config| {
        if let Err(error) = log.set_level(&config.log.level) {
            tracing::warn!(event = "config.warning", %error, "log.level stays as it was");
        }
        if let Some(intake) = intake.get() {
            intake.configure(serving::intake_settings(config));
        }
    })
}

fn limits(config: &Config) -> Limits {
    let attempts_max = usize::try_from(config.delivery.max_in_flight).unwrap_or(usize::MAX);
    let defaults = Limits::default();
    Limits {
        pending_max: config.ingest.max_pending,
        attempts_max,
        flights_max: defaults.flights_max.max(attempts_max.saturating_mul(4)),
        delay_max: config.ingest.max_delay.get(),
        retention: retention(config),
        report_window: config.alerts.dedupe.get(),
        refuse_unmatched: config.ingest.unmatched == value::Unmatched::Reject,
        ..defaults
    }
}

/// How long things are kept, by the configuration.
pub(crate) fn retention(config: &Config) -> Retention {
    let kept = &config.retention;
    let horizons = Horizons {
        keys: config.ingest.idempotency_window.get(),
        delivered_payload: kept.delivered_payload.get(),
        dead_payload: kept.dead_payload.get(),
        events: kept.events.get(),
        payload_bytes_max: Some(kept.payload_max.get()).filter(|max| *max > 0),
    };
    Retention { horizons, sweep_every: kept.sweep_every.get() }
}

fn write_entries(writer: &mut Writer, entries: &[EndpointEntry]) -> Result<(), RunError> {
    for some in entries.chunks(100) {
        let records = some.iter().cloned().map(Box::new).map(Record::Endpoint).collect();
        writer.commit(&[Commit { ticket: 0, records }]).map_err(RunError::Store)?;
    }
    Ok(())
}

/// The daemon's life, from the first message to the last.
async fn live(
    shared: Arc<Shared>,
    engine: Engine,
    inbox: mpsc::UnboundedReceiver<Message>,
    writer: Writer,
    sockets: Sockets,
    intake: &OnceLock<Arc<Intake<IngestDesk>>>,
) -> Result<(), RunError> {
    let mut signals = Signals::new()?;
    let mut hangup = signal(SignalKind::hangup())?;
    let alarm = writer.alarm();
    let (commits, waiting) = std::sync::mpsc::channel();
    let (ended, mut writer_ended) = oneshot::channel();
    let disk = Arc::new(Disk::new(shared.space.clone(), shared.hub.clone()));
    // what is said here reaches the hub before the first submission does
    disk.round();
    let (to_hub, written_to) = (shared.hub.clone(), Arc::clone(&disk));
    let thread = std::thread::Builder::new().name("writer".to_owned()).spawn(move || {
        let done = |receipts| {
            written_to.written();
            // the hub may be gone: then nobody waits for these receipts
            drop(to_hub.send(Message::Committed(receipts)));
        };
        let _ = ended.send(writer.run(&waiting, done));
    })?;
    let (drained, mut is_drained) = watch::channel(false);
    let hub = Hub::new(engine, Arc::clone(&shared), inbox, commits, drained);
    let mut hub = tokio::spawn(hub.run());
    let (stop, stopped) = watch::channel(false);
    let office = Arc::new(Office { shared: Arc::clone(&shared), census: Arc::default() });
    let servers = serving::start(&shared, &office, sockets, &stopped, intake)?;
    let watching = tokio::spawn(rounds::run(Arc::clone(&shared), disk, alarm.clone()));
    let _ = sd_notify::notify(&[NotifyState::Ready]);
    tracing::info!(event = "daemon.ready");
    let failed = loop {
        tokio::select! {
            result = &mut writer_ended => break Some(writer_failed(&shared, result)),
            _ = &mut hub => break Some(RunError::Ended("hub")),
            () = signals.stop() => break None,
            _ = hangup.recv() => reload(&office).await,
        }
    };
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
    if failed.is_none() && !hub.is_finished() {
        drain(&shared, &mut signals, &mut is_drained).await;
    }
    let abandoned = shared.look().await.map_or(0, |sight| sight.flights);
    stop.send_replace(true);
    let _ = tokio::time::timeout(HANG_UP, servers).await;
    watching.abort();
    let _ = shared.hub.send(Message::Stop);
    if !hub.is_finished() {
        let _ = hub.await;
    }
    // the hub has let go of the writer, which ends when all is written
    rounds::end_of(tokio::task::spawn_blocking(move || thread.join()), &alarm).await;
    // a hub that ended by itself lost its writer: what befell that is the reason
    let reason = match writer_ended.try_recv() {
        Ok(Err(error)) => Some(RunError::Store(error)),
        _ => failed,
    };
    tracing::info!(event = "daemon.stopped", in_flight_abandoned = abandoned);
    reason.map_or(Ok(()), Err)
}

fn writer_failed(
    shared: &Shared,
    result: Result<Result<(), CommitError>, oneshot::error::RecvError>,
) -> RunError {
    shared.metrics.store_write_failed();
    match result {
        Ok(Err(error)) => {
            tracing::error!(event = "store.error", op = "commit", %error, "it ends");
            RunError::Store(error)
        }
        // it ends well only after the hub, so this is a panic
        Ok(Ok(())) | Err(_) => {
            tracing::error!(event = "task.panicked", task = "writer", "no more is acknowledged");
            RunError::Ended("writer")
        }
    }
}

/// Reloads because of a signal. The outcome is in the log; a service manager that sent the signal
/// waits to be told of the beginning and of the end (`Type=notify-reload`).
async fn reload(office: &Office) {
    if let Ok(moment) = NotifyState::monotonic_usec_now() {
        let _ = sd_notify::notify(&[NotifyState::Reloading, moment]);
    }
    let status = match office.reload(Actor("signal".into())).await {
        Ok(_) => "configuration reloaded".to_owned(),
        Err(BackendError::Invalid(faults)) => {
            let first = faults.first().map(|fault| format!(" {}: {}", fault.pointer, fault.detail));
            format!("configuration refused, the old one stays:{}", first.unwrap_or_default())
        }
        Err(error) => format!("configuration refused, the old one stays: {error}"),
    };
    // one line is all that there is room for
    let status = status.lines().next().unwrap_or_default();
    let _ = sd_notify::notify(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Lets attempts under way end, for as long as is allowed, or until told again to stop.
async fn drain(shared: &Shared, signals: &mut Signals, drained: &mut watch::Receiver<bool>) {
    tracing::info!(event = "daemon.draining");
    let limit = shared.rules.load().config.delivery.drain_timeout.get();
    let draining = async {
        shared.command("signal", Command::Drain).await;
        let _ = drained.wait_for(|drained| *drained).await;
    };
    tokio::select! {
        _ = tokio::time::timeout(limit, draining) => {}
        () = signals.stop() => tracing::warn!(event = "daemon.hurried", "told twice to stop"),
    }
}

/// The signals that end the daemon.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
