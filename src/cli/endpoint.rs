//! `postrider endpoint`: where events go.

use std::process::ExitCode;

use clap::Args;
use clap::Subcommand;
use http::Method;
use serde_json::json;

use crate::cli::client::Call;
use crate::cli::client::Client;
use crate::cli::endpoint_add::Add;
use crate::cli::endpoint_drain::Drain;
use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::cli::list;
use crate::cli::output::Context;
use crate::cli::output::Tone;
use crate::cli::text;
use crate::model::Attempt;
use crate::model::Outcome;
use crate::model::view::EndpointView;
use crate::model::view::Page;

/// List, show, add, remove, pause, drain, resume, enable and test endpoints
#[derive(Clone, Debug, Args)]
pub(super) struct EndpointArgs {
    #[command(subcommand)]
    command: EndpointCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum EndpointCommand {
    /// List endpoints
    List,
    /// Show an endpoint
    Show(Name),
    Add(Add),
    Remove(Remove),
    Pause(Pause),
    Drain(Drain),
    /// Let a paused endpoint's deliveries go
    Resume(Name),
    /// Let a disabled endpoint's deliveries go, and close its breaker
    Enable(Name),
    Test(Test),
}

#[derive(Clone, Debug, Args)]
struct Name {
    /// The endpoint's name
    #[arg(value_name = "ENDPOINT")]
    name: String,
}

/// Remove an endpoint; its number and name are never used again
#[derive(Clone, Debug, Args)]
struct Remove {
    /// The endpoint's name
    #[arg(value_name = "ENDPOINT")]
    name: String,

    /// End its waiting deliveries as cancelled, not as dead
    #[arg(long)]
    cancel: bool,
}

/// Hold an endpoint's deliveries back
#[derive(Clone, Debug, Args)]
struct Pause {
    /// The endpoint's name
    #[arg(value_name = "ENDPOINT")]
    name: String,

    /// Why, for those who wonder
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: String,
}

/// Call an endpoint once with a sample: not queued, not counted
#[derive(Clone, Debug, Args)]
struct Test {
    /// The endpoint's name
    #[arg(value_name = "ENDPOINT")]
    name: String,

    /// The sample's type
    #[arg(long = "type", value_name = "TYPE", default_value = "postrider.ping")]
    event_type: String,

    /// The sample's payload
    #[arg(long, value_name = "JSON", default_value = "{}")]
    data: String,
}

impl EndpointArgs {
    pub(super) fn run(&self, context: &Context) -> anyhow::Result<ExitCode> {
        let client = Client::admin(&context.options.socket, context.options.timeout)?;
        match &self.command {
            EndpointCommand::List => {
                let page: Page<EndpointView> = client.get("/v1/endpoints")?;
                context.list(&page.data, &page)?;
            }
            EndpointCommand::Show(args) => {
                let view = client.get(list::path_of("endpoints", &args.name, "")?)?;
                context.one(&view, &args.name, || card(context, &view))?;
            }
            EndpointCommand::Add(args) => args.run(context, &client)?,
            EndpointCommand::Remove(args) => args.run(context, &client)?,
            EndpointCommand::Pause(args) => {
                let reason = json!({ "reason": args.reason });
                change(context, &client, &args.name, "/pause", &reason)?;
            }
            EndpointCommand::Drain(args) => args.run(context, &client)?,
            EndpointCommand::Resume(args) => {
                let view = change(context, &client, &args.name, "/resume", &json!({}))?;
                if view.state.disabled.is_some() {
                    context.say(&format!("It stays so: postrider endpoint enable {}", view.name));
                }
            }
            EndpointCommand::Enable(args) => {
                change(context, &client, &args.name, "/enable", &json!({}))?;
            }
            EndpointCommand::Test(args) => return args.run(context, &client),
        }
        Ok(Exit::Done.into())
    }
}

fn change(
    context: &Context,
    client: &Client,
    name: &str,
    verb: &str,
    body: &serde_json::Value,
) -> anyhow::Result<EndpointView> {
    let view: EndpointView = client.post(list::path_of("endpoints", name, verb)?, body)?;
    let line = || format!("{} is {}, {} waiting", view.name, view.status, backlog(&view));
    context.one(&view, name, line)?;
    Ok(view)
}

impl Remove {
    fn run(&self, context: &Context, client: &Client) -> anyhow::Result<()> {
        let path = list::path_of("endpoints", &self.name, "")?;
        let view: EndpointView = client.get(path.as_str())?;
        let end = if self.cancel { "cancelled" } else { "dead" };
        let waiting = backlog(&view);
        context.approve(&format!("Remove {}? Waiting: {waiting}, to end {end}.", self.name))?;
        let rest = if self.cancel { "?deliveries=cancel" } else { "?deliveries=keep" };
        let call = Call::new(Method::DELETE, path + rest);
        client.block_on(client.call(call))?;
        context.one(&view, &self.name, || format!("removed {}", self.name))
    }
}

impl Test {
    fn run(&self, context: &Context, client: &Client) -> anyhow::Result<ExitCode> {
        let data: serde_json::Value = serde_json::from_str(&self.data)
            .map_err(|error| Failure::new(Exit::Usage, format!("--data is not JSON: {error}")))?;
        let path = list::path_of("endpoints", &self.name, "/test")?;
        let body = json!({ "type": self.event_type, "data": data });
        let attempt: Attempt = client.post(path, &body)?;
        let outcome = attempt.outcome;
        context.one(&attempt, outcome.as_str(), || verdict(context, &self.name, &attempt))?;
        Ok(if outcome == Outcome::Ok { Exit::Done } else { Exit::Failed }.into())
    }
}

fn verdict(context: &Context, name: &str, attempt: &Attempt) -> String {
    let ok = attempt.outcome == Outcome::Ok;
    let (tone, sign) = if ok { (Tone::Good, "\u{2713}") } else { (Tone::Bad, "\u{2717}") };
    let status = attempt.status.map(|status| format!(" {status}")).unwrap_or_default();
    let took = text::micros(attempt.phases.total_us);
    let detail = attempt.detail.as_deref().map(text::clean);
    let detail = detail.map(|detail| format!(": {detail}")).unwrap_or_default();
    let sign = context.paint(tone, sign);
    format!("{sign} {name}   {}{status} in {took}{detail}", attempt.outcome)
}

/// Where it is defined.
fn origin(view: &EndpointView) -> &str {
    match view.origin.as_str() {
        "config" => "configuration file",
        "api" => "API",
        "retired" => "nowhere any more: its deliveries wait until it is defined again or removed",
        other => other,
    }
}

/// What stands in its lane.
fn backlog(view: &EndpointView) -> String {
    let waiting = view.counts.pending();
    text::things(waiting, "delivery", "deliveries")
}

/// Its breaker: of one that is open since when, after which failures, and what comes next.
fn breaker(context: &Context, view: &EndpointView) -> String {
    let Some(open) = &view.state.open else { return text::clean(&view.breaker) };
    let now = context.now();
    let (since, next) = (text::relative(now, open.since), text::relative(now, open.until));
    format!(
        "open since {since}: {}, the last {}; {} since, the next {next}",
        text::things(open.failures.into(), "failure in a row", "failures in a row"),
        open.outcome,
        text::things(open.probes.into(), "try", "tries"),
    )
}

/// An endpoint with what stands in its lane.
fn card(context: &Context, view: &EndpointView) -> String {
    let mut lines = vec![
        format!("Endpoint   {}   {}", view.name, view.status),
        format!("URL        {}", text::clean(&view.url)),
        format!("Types      {}", text::clean(&view.types.join(" "))),
        format!("Defined    {}", origin(view)),
        format!(
            "Lane       {} queued, {} waiting, {} sending, {} dead",
            text::count(view.counts.fresh),
            text::count(view.counts.timed.saturating_add(view.counts.behind)),
            view.in_flight,
            text::count(view.counts.dead)
        ),
    ];
    let recent = view.recent;
    lines.push(format!("Window     {} at once", view.window));
    if recent.attempts > 0 {
        let attempts = text::things(recent.attempts.into(), "attempt", "attempts");
        let (failures, slow) = (recent.failures, recent.slow);
        lines.push(format!("5 minutes  {attempts}, {failures} failed, {slow} slow"));
    }
    if let Some(rate) = &view.rate {
        let burst = view.burst.unwrap_or(1);
        lines.push(format!("Rate       {}, burst {burst}", text::clean(rate)));
    }
    if !view.breaker.is_empty() {
        lines.push(format!("Breaker    {}", breaker(context, view)));
    }
    let held = [("Paused", &view.state.paused), ("Disabled", &view.state.disabled)];
    for (word, held) in held {
        if let Some(held) = held {
            let since = text::relative(context.now(), held.since);
            let (actor, reason) = (text::clean(&held.actor), text::clean(&held.reason));
            lines.push(format!("{word:<10} {since} by {actor}   {reason}"));
        }
    }
    lines.join("\n")
}
