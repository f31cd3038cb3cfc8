//! `postrider event`: what was submitted.

use std::process::ExitCode;

use clap::Args;
use clap::Subcommand;
use http::Method;

use crate::cli::client::Call;
use crate::cli::client::Client;
use crate::cli::exit::Exit;
use crate::cli::list;
use crate::cli::list::Paging;
use crate::cli::list::Params;
use crate::cli::output::Context;
use crate::cli::output::Row;
use crate::cli::text;
use crate::cli::text::When;
use crate::model::Attributes;
use crate::model::view::EventView;

/// List and show events
#[derive(Clone, Debug, Args)]
pub(super) struct EventArgs {
    #[command(subcommand)]
    command: EventCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum EventCommand {
    List(List),
    Show(Show),
}

/// List events, newest first
#[derive(Clone, Debug, Args)]
struct List {
    /// Only types that match, such as order.* or order.**
    #[arg(long = "type", value_name = "GLOB")]
    types: Option<String>,

    /// Only from this source: its name or, such as uid:1000, its id
    #[arg(long)]
    source: Option<String>,

    /// Only of this tenant
    #[arg(long)]
    tenant: Option<String>,

    /// Only with this tag (repeat for several)
    #[arg(long = "tag", value_name = "NAME=VALUE")]
    tags: Vec<String>,

    /// Only with a delivery in this state
    #[arg(long)]
    state: Option<String>,

    /// Only accepted since: 15m, 2026-11-21 or RFC 3339
    #[arg(long, value_name = "TIME", value_parser = When::parse)]
    since: Option<When>,

    /// Only accepted before
    #[arg(long, value_name = "TIME", value_parser = When::parse)]
    until: Option<When>,

    #[command(flatten)]
    paging: Paging,
}

/// Show an event and its deliveries
#[derive(Clone, Debug, Args)]
struct Show {
    /// Its id, or the first 8 characters of it or more
    #[arg(value_name = "EVENT")]
    id: String,

    /// Write its payload, byte for byte, and nothing else
    #[arg(long)]
    payload: bool,
}

impl EventArgs {
    pub(super) fn run(&self, context: &Context) -> anyhow::Result<ExitCode> {
        let client = Client::admin(&context.options.socket, context.options.timeout)?;
        match &self.command {
            EventCommand::List(args) => args.run(context, &client)?,
            EventCommand::Show(args) if args.payload => {
                let path = list::path_of("events", &args.id, "/payload")?;
                let answer = client.block_on(client.call(Call::new(Method::GET, path)))?;
                context.raw(&answer.body)?;
            }
            EventCommand::Show(args) => {
                let event: EventView = client.get(list::path_of("events", &args.id, "")?)?;
                context.one(&event, &event.id.to_string(), || page(context, &event))?;
            }
        }
        Ok(Exit::Done.into())
    }
}

impl List {
    fn run(&self, context: &Context, client: &Client) -> anyhow::Result<()> {
        let now = context.now();
        let params = Params::default()
            .with("type", self.types.as_ref())
            .with("source", self.source.as_ref())
            .with("tenant", self.tenant.as_ref())
            .with_each("tag", &self.tags)
            .with("has_state", self.state.as_ref())
            .between(self.since.map(|t| t.resolve(now)), self.until.map(|t| t.resolve(now)));
        list::show::<EventView>(context, client, "/v1/events", &params, &self.paging)
    }
}

fn page(context: &Context, event: &EventView) -> String {
    let mut lines = vec![
        format!("Event      {}   {}", event.id, event.event_type),
        format!(
            "Accepted   {} ({})   from {}",
            event.accepted_at,
            text::relative(context.now(), event.accepted_at),
            text::clean(&event.source)
        ),
        format!(
            "Payload    {}, {}{}",
            text::bytes(event.payload_bytes),
            text::clean(&event.content_type),
            text::gone(event.payload_gone_at)
        ),
    ];
    lines.extend(said(&event.attributes));
    if event.deliveries.is_empty() {
        lines.push("Deliveries none: no endpoint took it".into());
        return lines.join("\n");
    }
    let now = context.now();
    let time = |time| text::relative(now, time);
    let rows = event.deliveries.iter().map(|delivery| {
        let cells = delivery.cells(&time);
        cells.iter().take(6).map(|cell| text::clean(cell)).collect()
    });
    let header = ["DELIVERY", "ENDPOINT", "STATE", "ATTEMPTS", "LAST", "NEXT"];
    lines.push(String::new());
    lines.push(context.grid(&header, rows.collect()));
    let left_out = event.deliveries.iter().filter_map(|d| Some((d.id, d.duplicate_of?)));
    lines.extend(left_out.map(|(id, of)| format!("{id} was left out as a duplicate of {of}")));
    lines.join("\n")
}

/// What else the submitter said, a line each.
fn said(attributes: &Attributes) -> Vec<String> {
    let times = [("Happened", attributes.occurred_at), ("Deliver", attributes.deliver_at)];
    let times = times.into_iter().filter_map(|(name, time)| Some((name, time?.to_string())));
    let texts = [
        ("Ordering", &attributes.ordering_key),
        ("Tenant", &attributes.tenant),
        ("Correlated", &attributes.correlation_id),
        ("Schema", &attributes.schema_version),
        ("Trace", &attributes.traceparent),
    ];
    let texts = texts.into_iter().filter_map(|(name, text)| Some((name, text.clone()?)));
    let named = [("Tag", &attributes.tags), ("Metadata", &attributes.metadata)];
    let named = named.into_iter().flat_map(|(label, pairs)| {
        pairs.iter().map(move |(name, value)| (label, format!("{name}={value}")))
    });
    let all = times.chain(texts).chain(named);
    all.map(|(name, text)| format!("{name:<10} {}", text::clean(&text))).collect()
}
