//! Watching a replay until it has ended, and how replays are written.

use std::process::ExitCode;
use std::time::Duration;

use http::Method;
use tokio::time::MissedTickBehavior;
use tokio::time::interval;

use crate::cli::client::Call;
use crate::cli::client::Client;
use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::cli::output::Context;
use crate::cli::output::Row;
use crate::cli::text;
use crate::model::ReplayAction;
use crate::model::ReplayState;
use crate::model::Time;
use crate::model::replay::view::ReplayView;

/// How often the daemon is asked.
const ASK_EVERY: Duration = Duration::from_millis(250);

/// Says how far it is until it has ended. Whoever stops watching does not stop it.
pub(super) fn run(
    context: &Context,
    client: &Client,
    begun: ReplayView,
) -> anyhow::Result<ExitCode> {
    let id = begun.id;
    context.say(&format!("{id} runs at {} at most.", begun.rate));
    let ended = client.block_on(watch(context, client, begun))?;
    context.one(&ended, &id.to_string(), || line(&ended))?;
    if ended.state == ReplayState::Cancelled {
        return Err(Failure::new(Exit::Failed, "the replay was cancelled").into());
    }
    Ok(Exit::Done.into())
}

async fn watch(
    context: &Context,
    client: &Client,
    mut last: ReplayView,
) -> anyhow::Result<ReplayView> {
    let mut ticks = interval(ASK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while last.state == ReplayState::Running {
        context.progress(&line(&last));
        ticks.tick().await;
        let call = Call::new(Method::GET, format!("/v1/replays/{}", last.id));
        last = client.call(call).await?.json()?;
    }
    context.progress("");
    Ok(last)
}

/// How far it is, in a line.
pub(in crate::cli) fn line(replay: &ReplayView) -> String {
    let counts = &replay.counts;
    let (submitted, matched) = (text::count(counts.submitted), text::count(counts.matched));
    let (id, state) = (replay.id, replay.state.as_str());
    let done = match replay.action {
        ReplayAction::Replay => "sent again",
        ReplayAction::Cancel => "cancelled",
        ReplayAction::Hold => "put on hold",
        ReplayAction::Release => "released",
    };
    let mut line = format!("{id} {state}: {submitted} of {matched} {done}");
    for (count, what) in [(counts.expired, "without payload"), (counts.skipped, "skipped")] {
        if count > 0 {
            line.push_str(&format!(", {} {what}", text::count(count)));
        }
    }
    line
}

/// What it looks for, in words.
pub(in crate::cli) fn filter(replay: &ReplayView) -> String {
    let filter = &replay.filter;
    let parts = [
        filter.state.map(|state| state.to_string()),
        filter.endpoint.as_ref().map(|name| format!("to {}", text::clean(name))),
        filter.types.as_ref().map(|types| format!("of {types}")),
        filter.since.map(|at| format!("since {at}")),
        filter.until.map(|at| format!("until {at}")),
        (!filter.ids.is_empty()).then(|| text::things(filter.ids.len() as u64, "id", "ids")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

impl Row for ReplayView {
    const COLUMNS: &'static [&'static str] =
        &["REPLAY", "ACTION", "STATE", "BEGAN", "DONE", "OF", "SKIPPED", "FILTER"];
    const MORE: &'static [&'static str] = &["NO PAYLOAD", "RATE", "ACTOR"];

    fn cells(&self, time: &dyn Fn(Time) -> String) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.action.as_str().to_owned(),
            self.state.as_str().to_owned(),
            time(self.created_at),
            self.counts.submitted.to_string(),
            self.counts.matched.to_string(),
            self.counts.skipped.to_string(),
            filter(self),
            self.counts.expired.to_string(),
            self.rate.clone(),
            self.actor.clone(),
        ]
    }

    fn id(&self) -> String {
        self.id.to_string()
    }
}
