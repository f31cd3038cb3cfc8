//! The journal's own protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL): a datagram for each event, in
//! which every field stands by itself.
//!
//! `journalctl` shows people nothing but MESSAGE, and passes over what has none. So MESSAGE is the
//! whole event in one line: its name, its fields, and its text behind a colon. The fields are there
//! again, to search by, with [`JOURNAL_FIELD_PREFIX`] before their names.

use std::fmt::Debug;
use std::fmt::Write;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::path::PathBuf;

use tracing::Event;
use tracing::Level;
use tracing::Subscriber;
use tracing::field::Field;
use tracing::field::Visit;
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::daemon::log::JOURNAL_FIELD_PREFIX;

/// Where the journal listens.
pub(super) const SOCKET: &str = "/run/systemd/journal/socket";
/// Bytes of a value that are kept; with all its fields an event has to fit a datagram.
const VALUE_BYTES_MAX: usize = 4096;
/// Bytes of the line for people that are kept.
const LINE_BYTES_MAX: usize = 8192;

/// Writes events to the journal.
pub(super) struct Journal {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Journal {
    /// # Errors
    /// If nobody listens at this path.
    pub(super) fn at(path: &Path) -> io::Result<Journal> {
        // only to see whether it is there: a journal that is restarted may make its socket anew
        UnixDatagram::unbound()?.connect(path)?;
        Ok(Journal { socket: UnixDatagram::unbound()?, path: path.to_owned() })
    }
}

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut entry = Entry::default();
        event.record(&mut entry);
        let metadata = event.metadata();
        let datagram = entry.datagram(priority(*metadata.level()), metadata.target());
        // where the journal does not take it, there is nobody else to tell
        let _ = self.socket.send_to(&datagram, &self.path);
    }
}

/// The priorities of syslog(3).
fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "3",
        Level::WARN => "4",
        Level::INFO => "6",
        _ => "7",
    }
}

/// What an event says.
#[derive(Default)]
struct Entry {
    name: String,
    text: String,
    /// Names and values, in their order; without the two above.
    fields: Vec<(&'static str, String)>,
}

impl Entry {
    fn datagram(&self, priority: &str, target: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        put(&mut bytes, "MESSAGE", &self.line());
        put(&mut bytes, "PRIORITY", priority);
        put(&mut bytes, "SYSLOG_IDENTIFIER", "postrider");
        put(&mut bytes, "TARGET", target);
        if !self.name.is_empty() {
            put(&mut bytes, &field_name("event"), &self.name);
        }
        for (name, value) in &self.fields {
            put(&mut bytes, &field_name(name), value);
        }
        bytes
    }

    /// `delivery.dead endpoint=billing attempts=3: the text`
    fn line(&self) -> String {
        let mut line = self.name.clone();
        for (name, value) in &self.fields {
            let plain = |c: char| c.is_ascii_graphic() && c != '"' && c != '=';
            // writing to a string cannot fail
            let _always = if !value.is_empty() && value.chars().all(plain) {
                write!(line, " {name}={value}")
            } else {
                write!(line, " {name}={value:?}")
            };
        }
        if !self.text.is_empty() {
            let between = if line.is_empty() { "" } else { ": " };
            let _always = write!(line, "{between}{}", self.text);
        }
        let line = line.trim_start();
        line.get(..line.floor_char_boundary(LINE_BYTES_MAX)).unwrap_or_default().to_owned()
    }

    fn keep(&mut self, field: &Field, mut value: String) {
        value.truncate(value.floor_char_boundary(VALUE_BYTES_MAX));
        match field.name() {
            "event" => self.name = value,
            "message" => self.text = value,
            name => self.fields.push((name, value)),
        }
    }
}

impl Visit for Entry {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.keep(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.keep(field, format!("{value:?}"));
    }
}

/// Of capitals, digits and underscores, as the journal wants it.
fn field_name(name: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    format!("{JOURNAL_FIELD_PREFIX}_{}", name.chars().map(allowed).collect::<String>())
}

/// `NAME=value`, or with its length before it, so that a value cannot begin a field.
fn put(bytes: &mut Vec<u8>, name: &str, value: &str) {
    bytes.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        bytes.push(b'\n');
        let length = u64::try_from(value.len()).unwrap_or(u64::MAX);
        bytes.extend_from_slice(&length.to_le_bytes());
    } else {
        bytes.push(b'=');
    }
    bytes.extend_from_slice(value.as_bytes());
    bytes.push(b'\n');
}

#[cfg(test)]
mod tests;
