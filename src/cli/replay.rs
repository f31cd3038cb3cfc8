//! `postrider replay`: sending many deliveries again, after a look at how many.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::Value;
use serde_json::json;

use crate::cli::client::Client;
use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::cli::output::Context;
use crate::cli::text;
use crate::cli::text::When;
use crate::model::view::ReplayView;

/// Deliveries that are sent again without a question or `--yes`, at most.
const UNASKED_MAX: u64 = 1_000;
/// Millions of deliveries take their time, and `--timeout` is made for questions.
const REPLAY_TIMEOUT_MIN: Duration = Duration::from_secs(60 * 60);

/// Send matching deliveries again
#[derive(Clone, Debug, Args)]
pub(super) struct ReplayArgs {
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

    /// Only say how many
    #[arg(long)]
    dry_run: bool,
}

impl ReplayArgs {
    pub(super) fn run(&self, context: &Context) -> anyhow::Result<ExitCode> {
        let client = Client::admin(&context.options.socket, context.options.timeout)?;
        let filter = self.filter(context);
        let body = |dry_run: bool| json!({ "filter": filter, "dry_run": dry_run });
        let found: ReplayView = client.post("/v1/replays", &body(true))?;
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
        let done: ReplayView =
            client.patient(REPLAY_TIMEOUT_MIN).post("/v1/replays", &body(false))?;
        let line = || format!("{} of {} sent again", text::count(done.submitted), done.matched);
        context.one(&done, &done.submitted.to_string(), line)?;
        Ok(Exit::Done.into())
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

fn would(found: &ReplayView) -> String {
    let kept = found.matched.saturating_sub(found.expired);
    let mut text = format!("Would send {} again.", text::things(kept, "delivery", "deliveries"));
    if found.expired > 0 {
        text.push_str(&format!(" Of {} more the payload is gone.", text::count(found.expired)));
    }
    text
}
