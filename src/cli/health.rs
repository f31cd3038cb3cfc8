//! `postrider health`: for monitoring.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use clap::ValueEnum;
use serde_json::json;

use crate::cli::client::Client;
use crate::cli::exit::Exit;
use crate::cli::output::Context;
use crate::cli::text;
use crate::model::view::StatusView;

/// Exit 0 if healthy; for monitoring
#[derive(Clone, Debug, Args)]
pub(super) struct HealthArgs {
    /// text, json or nagios (a plugin's line and exit code)
    #[arg(long, value_enum, hide_possible_values = true, default_value = "text")]
    format: HealthFormat,

    /// Unhealthy if a delivery has been due for longer
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "60s",
        value_parser = humantime::parse_duration
    )]
    max_due: Duration,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum HealthFormat {
    Text,
    Json,
    Nagios,
}

/// What was found, in the words and order of the monitoring plugins' exit codes 0, 1 and 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Health {
    Ok,
    Warning,
    Critical,
}

impl Health {
    const fn word(self) -> &'static str {
        match self {
            Health::Ok => "OK",
            Health::Warning => "WARNING",
            Health::Critical => "CRITICAL",
        }
    }
}

impl HealthArgs {
    pub(super) fn run(&self, context: &Context) -> anyhow::Result<ExitCode> {
        let status = Client::admin(&context.options.socket, context.options.timeout)
            .and_then(|client| client.get::<StatusView>("/v1/status"));
        let (health, facts) = match &status {
            Ok(status) => judge(status, self.max_due),
            Err(error) => (Health::Critical, vec![format!("{error:#}")]),
        };
        let text = if facts.is_empty() { "all is well".into() } else { facts.join("; ") };
        let exit = if health == Health::Critical { Exit::Unhealthy } else { Exit::Done };
        match self.format {
            HealthFormat::Text => {
                context.raw(format!("{}: {text}\n", health.word()).as_bytes())?;
                Ok(exit.into())
            }
            HealthFormat::Json => {
                let document = json!({ "health": health.word(), "facts": facts });
                context.raw(format!("{document}\n").as_bytes())?;
                Ok(exit.into())
            }
            HealthFormat::Nagios => {
                let figures = status.as_ref().map(figures).unwrap_or_default();
                context.raw(format!("{} - {text}{figures}\n", health.word()).as_bytes())?;
                Ok(ExitCode::from(health as u8))
            }
        }
    }
}

/// Warnings are for people who look once a day; critical is what loses time or events.
fn judge(status: &StatusView, max_due: Duration) -> (Health, Vec<String>) {
    let mut health = Health::Ok;
    let mut facts = Vec::new();
    let mut note = |found: Health, fact: String| {
        health = health.max(found);
        facts.push(fact);
    };
    let due = Duration::from_millis(status.oldest_due_ms);
    if due > max_due {
        note(Health::Critical, format!("oldest due {}", text::span(due)));
    }
    if status.state != "running" {
        note(Health::Warning, text::clean(&status.state));
    }
    for endpoint in status.endpoints.iter().filter(|endpoint| !endpoint.state.is_up()) {
        note(Health::Warning, format!("{} is {}", endpoint.name, endpoint.status));
    }
    if status.durability != "fsync" {
        note(Health::Warning, "a 202 does not survive a power cut".into());
    }
    (health, facts)
}

fn figures(status: &StatusView) -> String {
    format!(
        " | queued={} waiting={} dead={} oldest_due={}ms disk_free={}B",
        status.queued, status.waiting, status.dead, status.oldest_due_ms, status.disk_free_bytes
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_for_too_long_is_critical() {
        let fine = StatusView {
            state: "running".into(),
            durability: "fsync".into(),
            oldest_due_ms: 400,
            ..StatusView::default()
        };
        let max = Duration::from_secs(60);
        assert_eq!(judge(&fine, max), (Health::Ok, Vec::new()));
        let late = StatusView { oldest_due_ms: 61_000, ..fine.clone() };
        assert_eq!(judge(&late, max), (Health::Critical, vec!["oldest due 1m 1s".into()]));
        let draining = StatusView { state: "draining".into(), ..late };
        assert_eq!(judge(&draining, max).0, Health::Critical);
        let weak = StatusView { durability: "process".into(), ..fine };
        assert_eq!(judge(&weak, max).0, Health::Warning);
    }
}
