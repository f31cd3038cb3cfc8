//! `postrider send`: submitting events over the ingest socket.

mod batch;
mod single;
mod wait;

use std::fs::File;
use std::io;
use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;

use crate::cli::client::Client;
use crate::cli::output::Context;
use crate::model::EventType;
use crate::model::IdempotencyKey;

/// Submit an event, or many as NDJSON
#[derive(Clone, Debug, Args)]
pub(super) struct SendArgs {
    /// The event's type, such as order.created
    #[arg(value_name = "TYPE", required_unless_present = "from")]
    event_type: Option<EventType>,

    /// The payload: @FILE, - for stdin, or the text itself
    #[arg(long, value_name = "DATA", required_unless_present = "from")]
    data: Option<String>,

    /// Sending it again with the same key makes no second event
    #[arg(long, value_name = "KEY")]
    key: Option<IdempotencyKey>,

    /// The payload's media type [default: application/json if it is JSON, else
    /// application/octet-stream]
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,

    /// Only to this endpoint, whatever its types (repeat for several)
    #[arg(long = "endpoint", value_name = "NAME")]
    endpoints: Vec<String>,

    /// A label to search by (repeat for several)
    #[arg(long = "tag", value_name = "NAME=VALUE", value_parser = tag)]
    tags: Vec<(String, String)>,

    /// Events of one key go out in order, where the endpoint asks for it
    #[arg(long, value_name = "KEY")]
    ordering_key: Option<String>,

    /// Whose event it is
    #[arg(long)]
    tenant: Option<String>,

    /// Deliver it this much later
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    delay: Option<Duration>,

    /// Wait until it is delivered everywhere, or --timeout (exit 7) or an end without success
    /// (exit 8)
    #[arg(long)]
    wait: bool,

    /// Submit each line of this file, or - for stdin: one event as JSON per line
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = [
            "event_type", "data", "key", "content_type", "endpoints", "tags", "ordering_key",
            "tenant", "delay", "wait",
        ]
    )]
    from: Option<PathBuf>,

    /// With --from: accept what is valid of a batch instead of refusing all of it
    #[arg(long, requires = "from")]
    partial: bool,

    /// Ingest socket of the daemon
    #[arg(
        long,
        value_name = "PATH",
        env = "POSTRIDER_INGEST_SOCKET",
        hide_env_values = true,
        default_value = "/run/postrider/ingest.sock"
    )]
    ingest_socket: PathBuf,
}

fn tag(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

impl SendArgs {
    pub(super) fn run(&self, context: &Context) -> anyhow::Result<ExitCode> {
        let client = Client::ingest(&self.ingest_socket, context.options.timeout)?;
        match (&self.from, &self.event_type, &self.data) {
            (Some(file), ..) => batch::run(context, &client, open(file)?, self.partial),
            (None, Some(event_type), Some(data)) => {
                single::run(context, &client, self, event_type, data)
            }
            // the parser asks for them
            (None, ..) => anyhow::bail!("TYPE and --data are required"),
        }
    }
}

/// A file, or stdin for `-`.
fn open(file: &PathBuf) -> anyhow::Result<Box<dyn Read>> {
    if file.as_os_str() == "-" {
        return Ok(Box::new(io::stdin().lock()));
    }
    let opened = File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(Box::new(opened))
}
