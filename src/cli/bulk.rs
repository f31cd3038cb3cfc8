//! One thing done to many deliveries: which they are, a look at how many, and the watch over it.
//!
//! The daemon does it by itself, as a replay; whoever stops watching does not stop it.

pub(super) mod watch;

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
use crate::model::ReplayAction;
use crate::model::replay::view::DryRunView;
use crate::model::replay::view::ReplayView;

/// Deliveries that it is done to without a question or `--yes`, at most.
const UNASKED_MAX: u64 = 1_000;
/// Counting millions of deliveries takes its time, and `--timeout` is made for questions.
const COUNT_TIMEOUT_MIN: Duration = Duration::from_secs(10 * 60);

/// Which deliveries, and how it is done.
#[derive(Clone, Debug, Args)]
pub(super) struct Filter {
    /// Only to this endpoint
    #[arg(long, value_name = "NAME")]
    endpoint: Option<String>,

    /// Only of types that match, such as order.* or order.**
    #[arg(long = "type", value_name = "GLOB")]
    types: Option<String>,

    /// Only of events accepted since: 15m, 2026-11-21 or RFC 3339
    #[arg(long, value_name = "TIME", value_parser = When::parse)]
    since: Option<When>,

    /// Only of events accepted before
    #[arg(long, value_name = "TIME", value_parser = When::parse)]
    until: Option<When>,

    /// At most so many, such as 50/s or 600/m; 1000/s is the most
    #[arg(long, value_name = "RATE")]
    rate: Option<String>,

    /// Only say how many
    #[arg(long)]
    dry_run: bool,

    /// Do not wait for its end
    #[arg(long)]
    detach: bool,
}

/// What is to be done.
pub(super) struct Wish<'a> {
    /// To each delivery.
    pub(super) action: ReplayAction,
    /// Only to those in this state.
    pub(super) state: Option<&'a str>,
    /// Only to these, if there are any.
    pub(super) ids: Vec<String>,
    /// Only to those that fit.
    pub(super) filter: &'a Filter,
    /// Also to what comes in.
    pub(super) standing: bool,
}

impl Filter {
    /// Whether it says nothing of which deliveries.
    pub(super) fn is_empty(&self) -> bool {
        self.endpoint.is_none()
            && self.types.is_none()
            && self.since.is_none()
            && self.until.is_none()
    }

    /// Whether it says nothing of how it is done.
    pub(super) fn is_plain(&self) -> bool {
        self.rate.is_none() && !self.dry_run && !self.detach
    }
}

impl Wish<'_> {
    pub(super) fn run(&self, context: &Context) -> anyhow::Result<ExitCode> {
        let options = &context.options;
        let client = Client::admin(&options.socket, options.timeout)?.patient(COUNT_TIMEOUT_MIN);
        let found: DryRunView = client.post("/v1/replays", &self.body(context, true))?;
        if found.matched == 0 && !found.standing {
            return Err(Failure::new(Exit::NotFound, "no delivery matches").into());
        }
        let would = would(self.action, &found);
        if self.filter.dry_run {
            context.one(&found, &found.matched.to_string(), || would)?;
            return Ok(Exit::Done.into());
        }
        context.say(&would);
        if found.matched > UNASKED_MAX || options.may_ask() {
            context.approve("Proceed?")?;
        }
        let begun: ReplayView = client.post("/v1/replays", &self.body(context, false))?;
        if found.standing {
            context.say(&self.stands());
        }
        if self.filter.detach {
            context.one(&begun, &begun.id.to_string(), || begun.id.to_string())?;
            return Ok(Exit::Done.into());
        }
        watch::run(context, &client, begun)
    }

    /// What a standing hold is from now on.
    fn stands(&self) -> String {
        let types = self.filter.types.as_deref().unwrap_or_default();
        let (to, endpoint) = match &self.filter.endpoint {
            Some(name) => (format!(" to {name}"), format!(" --endpoint {name}")),
            None => (String::new(), String::new()),
        };
        if self.action == ReplayAction::Hold {
            return format!(
                "What comes in of {types}{to} is put on hold from now on, until:\n  \
                 postrider delivery release --type '{types}'{endpoint}"
            );
        }
        format!("What comes in of {types}{to} is put on hold no longer.")
    }

    fn body(&self, context: &Context, dry_run: bool) -> Value {
        let (now, filter) = (context.now(), self.filter);
        json!({
            "action": self.action,
            "rate": filter.rate,
            "dry_run": dry_run,
            "standing": self.standing,
            "filter": {
                "endpoint": filter.endpoint,
                "state": self.state,
                "type": filter.types,
                "since": filter.since.map(|time| time.resolve(now)),
                "until": filter.until.map(|time| time.resolve(now)),
                "ids": self.ids,
            },
        })
    }
}

fn would(action: ReplayAction, found: &DryRunView) -> String {
    let kept = found.matched.saturating_sub(found.expired);
    let kept = text::things(kept, "delivery", "deliveries");
    let standing = found.standing;
    let mut text = match action {
        ReplayAction::Hold if standing => format!("Would put {kept} on hold, and what comes in."),
        ReplayAction::Release if standing => format!("Would release {kept}, and what comes in."),
        ReplayAction::Replay => format!("Would send {kept} again."),
        ReplayAction::Cancel => format!("Would cancel {kept}."),
        ReplayAction::Hold => format!("Would put {kept} on hold."),
        ReplayAction::Release => format!("Would release {kept}."),
    };
    if found.expired > 0 {
        text.push_str(&format!(" Of {} more the payload is gone.", text::count(found.expired)));
    }
    text
}
