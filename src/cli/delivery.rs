//! `postrider delivery`: events on their way, and the log of each.

use std::process::ExitCode;

use clap::Args;
use clap::Subcommand;
use serde_json::json;

use crate::cli::bulk;
use crate::cli::bulk::Wish;
use crate::cli::client::Client;
use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::cli::list;
use crate::cli::list::Paging;
use crate::cli::list::Params;
use crate::cli::output::Context;
use crate::cli::steps;
use crate::cli::text::When;
use crate::model::HoldView;
use crate::model::ReplayAction;
use crate::model::view::DeliveryView;
use crate::model::view::Page;

/// List, show, retry, cancel, hold and release deliveries
#[derive(Clone, Debug, Args)]
pub(super) struct DeliveryArgs {
    #[command(subcommand)]
    command: DeliveryCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum DeliveryCommand {
    List(List),
    /// Show a delivery, each attempt, and what comes next
    Show(One),
    /// Send deliveries again, now
    Retry(Several),
    /// End waiting deliveries
    Cancel(Many),
    /// Put waiting deliveries aside: they are not sent until they are released
    Hold(Hold),
    /// Let deliveries go that were put aside, and lift the standing hold of the same --type
    Release(Many),
    /// List standing holds
    Holds,
}

/// List deliveries, newest first
#[derive(Clone, Debug, Args)]
struct List {
    /// Only in this state: queued, sending, waiting, held, delivered, dead or cancelled
    #[arg(long)]
    state: Option<String>,

    /// Only to this endpoint
    #[arg(long, value_name = "NAME")]
    endpoint: Option<String>,

    /// Only of types that match, such as order.* or order.**
    #[arg(long = "type", value_name = "GLOB")]
    types: Option<String>,

    /// Only with this outcome of the last attempt, such as http_5xx
    #[arg(long)]
    outcome: Option<String>,

    /// Only of events accepted since: 15m, 2026-11-21 or RFC 3339
    #[arg(long, value_name = "TIME", value_parser = When::parse)]
    since: Option<When>,

    /// Only of events accepted before
    #[arg(long, value_name = "TIME", value_parser = When::parse)]
    until: Option<When>,

    #[command(flatten)]
    paging: Paging,
}

#[derive(Clone, Debug, Args)]
struct One {
    /// Its id, or the first 8 characters of it or more
    #[arg(value_name = "DELIVERY")]
    id: String,
}

#[derive(Clone, Debug, Args)]
struct Several {
    /// Their ids, or the first 8 characters or more of each
    #[arg(value_name = "DELIVERY", required = true)]
    ids: Vec<String>,
}

#[derive(Clone, Debug, Args)]
struct Hold {
    /// Also what comes in from now on, until it is released with the same --type (and --endpoint)
    #[arg(
        long,
        requires = "types",
        conflicts_with_all = ["ids", "since", "until", "state", "all"]
    )]
    standing: bool,

    #[command(flatten)]
    many: Many,
}

#[derive(Clone, Debug, Args)]
struct Many {
    /// Their ids, or the first 8 characters or more of each
    #[arg(
        value_name = "DELIVERY",
        conflicts_with_all = ["endpoint", "types", "since", "until", "state", "all"]
    )]
    ids: Vec<String>,

    /// Instead of ids: only those in this state, such as waiting or held
    #[arg(long)]
    state: Option<String>,

    /// Instead of ids and filters: all that can be
    #[arg(long)]
    all: bool,

    #[command(flatten)]
    filter: bulk::Filter,
}

impl DeliveryArgs {
    pub(super) fn run(&self, context: &Context) -> anyhow::Result<ExitCode> {
        let client = Client::admin(&context.options.socket, context.options.timeout)?;
        match &self.command {
            DeliveryCommand::List(args) => args.run(context, &client)?,
            DeliveryCommand::Show(args) => {
                let path = list::path_of("deliveries", &args.id, "")?;
                let delivery: DeliveryView = client.get(path)?;
                let id = delivery.id.to_string();
                context.one(&delivery, &id, || steps::page(context, &delivery))?;
            }
            DeliveryCommand::Retry(args) => args.command(context, &client, "/retry")?,
            DeliveryCommand::Cancel(args) if !args.ids.is_empty() && args.filter.is_plain() => {
                let several = Several { ids: args.ids.clone() };
                several.command(context, &client, "/cancel")?;
            }
            DeliveryCommand::Cancel(args) => {
                return args.run(context, &client, ReplayAction::Cancel, false);
            }
            DeliveryCommand::Hold(Hold { standing, many }) => {
                return many.run(context, &client, ReplayAction::Hold, *standing);
            }
            DeliveryCommand::Release(args) => {
                return args.run(context, &client, ReplayAction::Release, false);
            }
            DeliveryCommand::Holds => {
                let page: Page<HoldView> = client.get("/v1/holds")?;
                context.list(&page.data, &page)?;
            }
        }
        Ok(Exit::Done.into())
    }
}

impl List {
    fn run(&self, context: &Context, client: &Client) -> anyhow::Result<()> {
        let now = context.now();
        let params = Params::default()
            .with("state", self.state.as_ref())
            .with("endpoint", self.endpoint.as_ref())
            .with("type", self.types.as_ref())
            .with("outcome", self.outcome.as_ref())
            .between(self.since.map(|t| t.resolve(now)), self.until.map(|t| t.resolve(now)));
        list::show::<DeliveryView>(context, client, "/v1/deliveries", &params, &self.paging)
    }
}

impl Many {
    /// Has it done by the daemon.
    fn run(
        &self,
        context: &Context,
        client: &Client,
        action: ReplayAction,
        standing: bool,
    ) -> anyhow::Result<ExitCode> {
        if self.ids.is_empty() && self.state.is_none() && self.filter.is_empty() && !self.all {
            let message = "say which: their ids, a filter such as --endpoint, or --all";
            return Err(Failure::new(Exit::Usage, message).into());
        }
        let mut ids = Vec::new();
        for id in &self.ids {
            let known: DeliveryView = client.get(list::path_of("deliveries", id, "")?)?;
            ids.push(known.id.to_string());
        }
        let (state, filter) = (self.state.as_deref(), &self.filter);
        Wish { action, state, ids, filter, standing }.run(context)
    }
}

impl Several {
    /// Does it to one after the other; the first refusal ends it.
    fn command(&self, context: &Context, client: &Client, verb: &str) -> anyhow::Result<()> {
        for id in &self.ids {
            let path = list::path_of("deliveries", id, verb)?;
            let delivery: DeliveryView = client.post(path, &json!({}))?;
            let line = || format!("{} to {}: {}", delivery.id, delivery.endpoint, delivery.state);
            context.one(&delivery, &delivery.id.to_string(), line)?;
        }
        Ok(())
    }
}
