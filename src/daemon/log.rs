//! Where log lines go, and how they look.
//!
//! A log line is an event with fields: `event` is its stable name (`delivery.dead`), the others are
//! `event_id delivery_id attempt endpoint outcome status duration_ms next_at source request_id`.
//! In the journal they are fields of their own (`journalctl -u postrider POSTRIDER_ENDPOINT=crm`)
//! and a line for people, elsewhere a JSON object a line on stderr, and on a terminal text for
//! people.
//!
//! Invariant: payloads, secrets, signatures and queries of URLs are in no line, at no level.

use std::ffi::OsStr;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::Path;

use rustix::fs::fstat;
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::Registry;
use tracing_subscriber::fmt;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

use crate::admin::LogCounter;
use crate::config::value::LogFormat;
use crate::daemon::journal;
use crate::daemon::journal::Journal;

/// Libraries speak up from warnings on; the configured filter comes after and may say otherwise.
pub const LIBRARY_LEVELS: &str = "sled=warn,rustls=warn,h2=warn,hyper=warn";
/// What the journal puts before the names of our fields.
pub const JOURNAL_FIELD_PREFIX: &str = "POSTRIDER";

/// Why there are no logs.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter cannot be read.
    #[error("not a log filter: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// The journal was asked for and does not answer.
    #[error("cannot reach the journal: {0}")]
    Journal(#[source] std::io::Error),
    /// Logs were set up before.
    #[error("logs are already set up")]
    Taken,
    /// What wrote them is gone.
    #[error("logs are no longer written")]
    Gone,
}

/// Changes the filter while the daemon runs.
#[derive(Clone, Debug)]
pub struct LogHandle(reload::Handle<EnvFilter, Registry>);

impl LogHandle {
    /// From now on, what `level` lets through is logged.
    ///
    /// # Errors
    /// [`LogError::Filter`] if it cannot be read, and the old filter stays; [`LogError::Gone`]
    /// after the end of all logs.
    pub fn set_level(&self, level: &str) -> Result<(), LogError> {
        let filter = filter(level)?;
        self.0.reload(filter).map_err(|_| LogError::Gone)
    }
}

/// Sets up the logs of this process, once. What is logged is counted by `counter`.
///
/// # Errors
/// [`LogError`] if the filter cannot be read, the journal was asked for and is not there, or logs
/// were set up before.
pub fn init(level: &str, format: LogFormat, counter: LogCounter) -> Result<LogHandle, LogError> {
    let (subscriber, handle) = subscriber(level, format, counter)?;
    subscriber.try_init().map_err(|_| LogError::Taken)?;
    Ok(handle)
}

fn subscriber(
    level: &str,
    format: LogFormat,
    counter: LogCounter,
) -> Result<(Box<dyn Subscriber + Send + Sync>, LogHandle), LogError> {
    let (filter, handle) = reload::Layer::new(filter(level)?);
    let registry = tracing_subscriber::registry().with(filter).with(counter);
    let stream = std::env::var_os("JOURNAL_STREAM");
    let subscriber: Box<dyn Subscriber + Send + Sync> =
        match sink(format, stderr_is_journal(stream.as_deref()), stderr_is_terminal()) {
            Sink::Journal => {
                let journal = Journal::at(Path::new(journal::SOCKET)).map_err(LogError::Journal)?;
                Box::new(registry.with(journal))
            }
            Sink::Json => Box::new(registry.with(json(std::io::stderr))),
            Sink::Pretty => Box::new(registry.with(pretty())),
        };
    Ok((subscriber, LogHandle(handle)))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sink {
    Journal,
    Json,
    Pretty,
}

fn sink(format: LogFormat, journal: bool, terminal: bool) -> Sink {
    match format {
        LogFormat::Journald => Sink::Journal,
        LogFormat::Json => Sink::Json,
        LogFormat::Pretty => Sink::Pretty,
        LogFormat::Auto if journal => Sink::Journal,
        LogFormat::Auto if terminal => Sink::Pretty,
        LogFormat::Auto => Sink::Json,
    }
}

fn filter(level: &str) -> Result<EnvFilter, LogError> {
    Ok(EnvFilter::try_new(format!("{LIBRARY_LEVELS},{level}"))?)
}

fn stderr_is_terminal() -> bool {
    std::io::stderr().is_terminal()
}

/// Whether systemd has connected stderr to the journal. The variable alone is not enough: it is
/// inherited by what is started with other files in its place (`JOURNAL_STREAM` in
/// systemd.exec(5)).
fn stderr_is_journal(stream: Option<&OsStr>) -> bool {
    let Some(stream) = stream else { return false };
    fstat(std::io::stderr()).is_ok_and(|stat| {
        let named: OsString = format!("{}:{}", stat.st_dev, stat.st_ino).into();
        named == stream
    })
}

fn json<S, W>(writer: W) -> impl Layer<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    W: for<'writer> MakeWriter<'writer> + 'static,
{
    let layer = fmt::layer().json().flatten_event(true);
    layer.with_current_span(false).with_span_list(false).with_writer(writer)
}

fn pretty<S>() -> impl Layer<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let color = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let color = color && stderr_is_terminal();
    fmt::layer().with_ansi(color).with_target(false).with_writer(std::io::stderr)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;
    use std::sync::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Memory {
        fn lines(&self) -> Vec<serde_json::Value> {
            let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
        }
    }

    #[test]
    fn a_json_line_is_an_event_with_its_fields() {
        let memory = Memory::default();
        let writer = memory.clone();
        let registry = tracing_subscriber::registry()
            .with(filter("info").unwrap())
            .with(json(move || writer.clone()));
        tracing::subscriber::with_default(registry, || {
            tracing::warn!(event = "delivery.dead", endpoint = "a\nb", attempts = 3);
            tracing::debug!(event = "attempt.started");
            tracing::info!(target: "sled::tree", "chatter");
            tracing::warn!(target: "sled::tree", "trouble");
        });
        let lines = memory.lines();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert_eq!(lines[0]["event"], "delivery.dead");
        assert_eq!(lines[0]["endpoint"], "a\nb", "what others wrote cannot begin a line");
        assert_eq!(lines[0]["attempts"], 3);
        assert_eq!(lines[0]["level"], "WARN");
        assert_eq!(lines[1]["message"], "trouble");
    }

    #[test]
    fn the_level_can_be_changed_while_running() {
        let memory = Memory::default();
        let writer = memory.clone();
        let (layer, handle) = reload::Layer::new(filter("info").unwrap());
        let handle = LogHandle(handle);
        let registry =
            tracing_subscriber::registry().with(layer).with(json(move || writer.clone()));
        tracing::subscriber::with_default(registry, || {
            tracing::debug!(event = "before");
            handle.set_level("debug").unwrap();
            tracing::debug!(event = "after");
            assert!(matches!(handle.set_level("postrider=loud"), Err(LogError::Filter(_))));
            tracing::debug!(event = "still");
        });
        let lines = memory.lines();
        let events: Vec<_> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
        assert_eq!(events, ["after", "still"]);
    }

    #[test]
    fn what_is_logged_is_counted_and_nothing_else() {
        let metrics = crate::admin::Metrics::new(&[]);
        let (subscriber, _handle) =
            subscriber("info", LogFormat::Json, metrics.log_counter()).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(event = "counted");
            tracing::debug!(event = "not logged");
        });
        let text = metrics.encode().unwrap();
        let count = |level: &str| {
            let series = format!("postrider_log_messages_total{{level=\"{level}\"}} ");
            text.lines().find_map(|line| line.strip_prefix(&series)).unwrap().to_owned()
        };
        assert_eq!((count("info"), count("debug")), ("1".to_owned(), "0".to_owned()));
    }

    #[test]
    fn auto_is_the_journal_then_the_terminal_then_json() {
        assert_eq!(sink(LogFormat::Auto, true, true), Sink::Journal);
        assert_eq!(sink(LogFormat::Auto, false, true), Sink::Pretty);
        assert_eq!(sink(LogFormat::Auto, false, false), Sink::Json);
        assert_eq!(sink(LogFormat::Json, true, true), Sink::Json);
    }

    #[test]
    fn the_journal_is_recognized_by_its_file_not_by_the_variable() {
        let stat = fstat(std::io::stderr()).unwrap();
        let ours: OsString = format!("{}:{}", stat.st_dev, stat.st_ino).into();
        assert!(stderr_is_journal(Some(&ours)));
        assert!(!stderr_is_journal(Some(OsStr::new("8:1"))));
        assert!(!stderr_is_journal(None));
    }
}
