//! `postrider status`: what the daemon is doing, on one screen.

use std::fmt::Write;
use std::process::ExitCode;
use std::time::Duration;

use crate::cli::client::Client;
use crate::cli::exit::Exit;
use crate::cli::output::Context;
use crate::cli::output::Tone;
use crate::cli::text;
use crate::cli::text::DOT;
use crate::model::Held;
use crate::model::Time;
use crate::model::view::EndpointView;
use crate::model::view::StatusView;

/// Show what the daemon is doing: queue, endpoints, store
#[derive(Clone, Debug, clap::Args)]
pub(super) struct StatusArgs {}

impl StatusArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// If the daemon cannot be asked.
    pub(super) fn run(&self, context: &Context) -> anyhow::Result<ExitCode> {
        let client = Client::admin(&context.options.socket, context.options.timeout)?;
        let status: StatusView = client.get("/v1/status")?;
        let pid = status.pid.to_string();
        context.one(&status, &pid, || screen(context, &status))?;
        Ok(Exit::Done.into())
    }
}

fn screen(context: &Context, status: &StatusView) -> String {
    let mut lines = vec![headline(context, status), numbers(status)];
    if !status.endpoints.is_empty() {
        lines.push(endpoints(context, &status.endpoints));
    }
    lines.extend(warnings(context, status));
    lines.join("\n")
}

fn headline(context: &Context, status: &StatusView) -> String {
    let tone = if status.state == "running" { Tone::Good } else { Tone::Odd };
    let up = text::span(context.now().since(status.started_at));
    format!(
        "{} postrider {}  {} {up}   pid {}",
        context.paint(tone, "\u{25cf}"),
        status.version,
        context.paint(tone, &status.state),
        status.pid,
    )
}

fn numbers(status: &StatusView) -> String {
    let count = text::count;
    let mut text = String::new();
    let lines = [
        format!(
            "Ingest     accepted {}   duplicates {}   rejected {}   since its start",
            count(status.accepted),
            count(status.duplicates),
            count(status.rejected)
        ),
        format!(
            "Queue      {} queued {DOT} {} waiting {DOT} {} dead      oldest due {}",
            count(status.queued),
            count(status.waiting),
            count(status.dead),
            text::span(Duration::from_millis(status.oldest_due_ms))
        ),
        format!(
            "Sending    {} in flight   attempts {}   delivered {}   since its start",
            count(status.sending),
            count(status.attempts),
            count(status.delivered)
        ),
        format!(
            "Store      {}   {} events   payloads {}   disk free {}   durability {}",
            text::bytes(status.store_bytes),
            count(status.kept.events),
            text::bytes(status.kept.payload_bytes),
            text::bytes(status.disk_free_bytes),
            status.durability
        ),
    ];
    for line in lines {
        writeln!(text, "  {line}").unwrap_or_default();
    }
    text
}

fn endpoints(context: &Context, endpoints: &[EndpointView]) -> String {
    let width = endpoints.iter().map(|endpoint| endpoint.name.len()).max().unwrap_or(0).max(8);
    let header = format!("  {:<width$}  STATE         BACKLOG   SENDING      DEAD", "ENDPOINT");
    let mut lines = vec![context.paint(Tone::Strong, &header)];
    for endpoint in endpoints {
        let tone = match endpoint.status.as_str() {
            "active" => Tone::Good,
            "paused" | "open" => Tone::Odd,
            _ => Tone::Bad,
        };
        let from = held(endpoint).map(|held| held.since);
        let from = from.or(endpoint.state.open.as_ref().map(|open| open.since));
        let since = from.map(|from| since(context.now(), from)).unwrap_or_default();
        let state = format!("{:<12}", format!("{}{since}", endpoint.status));
        let backlog = text::count(endpoint.counts.pending());
        lines.push(format!(
            "  {:<width$}  {} {backlog:>8}  {:>8}  {:>8}",
            endpoint.name,
            context.paint(tone, &state),
            endpoint.in_flight,
            text::count(endpoint.counts.dead)
        ));
    }
    lines.join("\n") + "\n"
}

fn held(endpoint: &EndpointView) -> Option<&Held> {
    endpoint.state.disabled.as_ref().or(endpoint.state.paused.as_ref())
}

fn since(now: Time, from: Time) -> String {
    format!(" {}", text::short_span(now.since(from)))
}

fn warnings(context: &Context, status: &StatusView) -> Vec<String> {
    let mut lines = Vec::new();
    let mut warn = |text: String, command: String| {
        lines.push(format!("{} {text:<38} {command}", context.paint(Tone::Odd, "!")));
    };
    for endpoint in &status.endpoints {
        if let Some(held) = held(endpoint) {
            let reason = text::clean(&held.reason);
            let dot = if reason.is_empty() { "" } else { ": " };
            let text = format!("{} is {}{dot}{reason}.", endpoint.name, endpoint.status);
            warn(text, format!("postrider endpoint show {}", endpoint.name));
        } else if let Some(open) = &endpoint.state.open {
            let times = text::things(open.failures.into(), "time", "times");
            let (name, outcome) = (&endpoint.name, open.outcome);
            let text = format!("{name} has failed {times} in a row ({outcome}).");
            warn(text, format!("postrider endpoint show {name}"));
        }
    }
    if status.dead > 0 {
        let text = match status.dead {
            1 => "1 dead delivery.".to_owned(),
            dead => format!("{} dead deliveries.", text::count(dead)),
        };
        warn(text, "postrider delivery list --state dead".into());
    }
    for hold in &status.holds {
        let endpoint = hold.endpoint.as_deref().unwrap_or("all endpoints");
        let text = format!("{} to {} is put on hold.", hold.types, text::clean(endpoint));
        warn(text, "postrider delivery holds".into());
    }
    for replay in &status.replays {
        let counts = &replay.counts;
        let (done, all) = (text::count(counts.submitted), text::count(counts.matched));
        let endpoint = replay.filter.endpoint.as_deref().unwrap_or("all endpoints");
        let text = format!("A replay to {} runs: {done} of {all}.", text::clean(endpoint));
        warn(text, format!("postrider replay show {}", replay.id));
    }
    if status.durability != "fsync" {
        let text = "A 202 does not survive a power cut.".to_owned();
        warn(text, "storage.durability in the configuration".into());
    }
    lines
}
