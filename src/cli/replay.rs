//! `postrider replay`: sending many deliveries again, and what becomes of that.

use std::process::ExitCode;

use clap::Args;
use clap::Subcommand;
use serde_json::json;

use crate::cli::bulk;
use crate::cli::bulk::watch;
use crate::cli::client::Client;
use crate::cli::exit::Exit;
use crate::cli::list;
use crate::cli::output::Context;
use crate::cli::text;
use crate::model::ReplayAction;
use crate::model::replay::view::ReplayView;
use crate::model::view::Page;

/// Send matching deliveries again
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
    /// End a replay before its time; what it has done stays done
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
    /// In this state: dead, cancelled or delivered
    #[arg(long, default_value = "dead")]
    state: String,

    #[command(flatten)]
    filter: bulk::Filter,
}

impl ReplayArgs {
    pub(super) fn run(&self, context: &Context) -> anyhow::Result<ExitCode> {
        let Some(command) = &self.command else { return self.order.run(context) };
        let client = Client::admin(&context.options.socket, context.options.timeout)?;
        match command {
            ReplayCommand::List => {
                let page: Page<ReplayView> = client.get("/v1/replays")?;
                context.list(&page.data, &page)?;
            }
            ReplayCommand::Show(one) => {
                let replay: ReplayView = client.get(list::path_of("replays", &one.id, "")?)?;
                context.one(&replay, &replay.id.to_string(), || page_of(context, &replay))?;
            }
            ReplayCommand::Cancel(one) => {
                let path = list::path_of("replays", &one.id, "/cancel")?;
                let replay: ReplayView = client.post(path, &json!({}))?;
                context.one(&replay, &replay.id.to_string(), || watch::line(&replay))?;
            }
        }
        Ok(Exit::Done.into())
    }
}

impl Order {
    fn run(&self, context: &Context) -> anyhow::Result<ExitCode> {
        let (action, state) = (ReplayAction::Replay, Some(self.state.as_str()));
        let (ids, filter, standing) = (Vec::new(), &self.filter, false);
        bulk::Wish { action, state, ids, filter, standing }.run(context)
    }
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
