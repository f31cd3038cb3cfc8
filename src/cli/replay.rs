//! `postrider replay`: sending many deliveries again, after a look at how many.

mod watch;

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use clap::Subcommand;
use serde_json::Value;
use serde_json::json;

use crate::cli::client::Client;
use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::cli::list;
use crate::cli::output::Context;
use crate::cli::text;
use crate::cli::text::When;
use crate::model::replay::view::DryRunView;
use crate::model::replay::view::ReplayView;
use crate::model::view::Page;

/// Deliveries that are sent again without a question or `--yes`, at most.
const UNASKED_MAX: u64 = 1_000;
/// Counting millions of deliveries takes its time, and `--timeout` is made for questions.
const COUNT_TIMEOUT_MIN: Duration = Duration::from_secs(10 * 60);

/// Send matching deliveries again
///
/// The daemon does it by itself, at a rate, and goes on after a restart.
#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct ReplayArgs {
    #[command(subcommand)]
    command: Option<ReplayCommand>,

    #[command(flatten)]
    order: Order,
}

#[derive(Clone, Debug, Subcommand)]
enum ReplayCommand {
    /// List replays, newest first
    List,
    /// Show how far a replay is
    Show(One),
    /// End a replay before its time; what it has sent again stays so
    Cancel(One),
}

#[derive(Clone, Debug, Args)]
struct One {
    /// Its id, or the first 8 characters of it or more
    #[arg(value_name = "REPLAY")]
    id: String,
}

#[derive(Clone, Debug, Args)]
struct Order {
    /// Only to this endpoint
    #[arg(long, value_name = "NAME")]
    endpoint: Option<String>,

    /// In this state: dead, cancelled or delivered
    #[arg(long, default_value = "dead")]
    state: String,

    /// Only of types that match, such as order.* or order.**
    #[arg(long = "type", value_name = "GLOB")]
    types: Option<String>,

    /// Only of events accepted since: 15m, 2026-11-21 or RFC 3339
    #[arg(long, value_name = "TIME", value_parser = When::parse)]
    since: Option<When>,

    /// Only of events accepted before
    #[arg(long, value_name = "TIME", value_parser = When::parse)]
    until: Option<When>,

    /// At most so many, such as 50/s or 600/m [default: 100/s]
    #[arg(long, value_name = "RATE")]
    rate: Option<String>,

    /// Only say how many
    #[arg(long)]
    dry_run: bool,

    /// Do not wait for its end
    #[arg(long)]
    detach: bool,
}

impl ReplayArgs {
    pub(super) fn run(&self, context: &Context) -> anyhow::Result<ExitCode> {
        let client = Client::admin(&context.options.socket, context.options.timeout)?;
        match &self.command {
            None => return self.order.run(context, client),
            Some(ReplayCommand::List) => {
                let page: Page<ReplayView> = client.get("/v1/replays")?;
                context.list(&page.data, &page)?;
            }
            Some(ReplayCommand::Show(one)) => {
                let replay: ReplayView = client.get(list::path_of("replays", &one.id, "")?)?;
                context.one(&replay, &replay.id.to_string(), || page_of(context, &replay))?;
            }
            Some(ReplayCommand::Cancel(one)) => {
                let path = list::path_of("replays", &one.id, "/cancel")?;
                let replay: ReplayView = client.post(path, &json!({}))?;
                context.one(&replay, &replay.id.to_string(), || watch::line(&replay))?;
            }
        }
        Ok(Exit::Done.into())
    }
}

impl Order {
    fn run(&self, context: &Context, client: Client) -> anyhow::Result<ExitCode> {
        let client = client.patient(COUNT_TIMEOUT_MIN);
        let filter = self.filter(context);
        let body = |dry_run: bool| json!({"filter": filter, "rate": self.rate, "dry_run": dry_run});
        let found: DryRunView = client.post("/v1/replays", &body(true))?;
        if found.matched == 0 {
            return Err(Failure::new(Exit::NotFound, "no delivery matches").into());
        }
        let would = would(&found);
        if self.dry_run {
            context.one(&found, &found.matched.to_string(), || would)?;
            return Ok(Exit::Done.into());
        }
        context.say(&would);
        if found.matched > UNASKED_MAX || context.options.may_ask() {
            context.approve("Proceed?")?;
        }
        let begun: ReplayView = client.post("/v1/replays", &body(false))?;
        if self.detach {
            context.one(&begun, &begun.id.to_string(), || begun.id.to_string())?;
            return Ok(Exit::Done.into());
        }
        watch::run(context, &client, begun)
    }

    fn filter(&self, context: &Context) -> Value {
        let now = context.now();
        json!({
            "endpoint": self.endpoint,
            "state": self.state,
            "type": self.types,
            "since": self.since.map(|time| time.resolve(now)),
            "until": self.until.map(|time| time.resolve(now)),
        })
    }
}

fn would(found: &DryRunView) -> String {
    let kept = found.matched.saturating_sub(found.expired);
    let mut text = format!("Would send {} again.", text::things(kept, "delivery", "deliveries"));
    if found.expired > 0 {
        text.push_str(&format!(" Of {} more the payload is gone.", text::count(found.expired)));
    }
    text
}

fn page_of(context: &Context, replay: &ReplayView) -> String {
    let now = context.now();
    let began = text::relative(now, replay.created_at);
    let mut lines = vec![
        watch::line(replay),
        format!("Began      {began}, by {}, at {}", text::clean(&replay.actor), replay.rate),
    ];
    if let Some(at) = replay.ended_at {
        let by = replay.ended_by.as_deref().map(|actor| format!(", by {}", text::clean(actor)));
        lines.push(format!("Ended      {}{}", text::relative(now, at), by.unwrap_or_default()));
    }
    lines.push(format!("Filter     {}", watch::filter(replay)));
    lines.join("\n")
}
