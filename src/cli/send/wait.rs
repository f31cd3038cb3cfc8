//! Watching an accepted event until each of its deliveries has ended.

use std::process::ExitCode;
use std::time::Duration;

use http::Method;
use tokio::time::MissedTickBehavior;
use tokio::time::interval;
use tokio::time::timeout;

use crate::cli::client::Call;
use crate::cli::client::Client;
use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::cli::options::Format;
use crate::cli::output::Context;
use crate::cli::output::Tone;
use crate::cli::send::single;
use crate::cli::text;
use crate::model::DeliveryState;
use crate::model::view::Accepted;
use crate::model::view::DeliveryView;
use crate::model::view::EventView;

/// How often the daemon is asked.
const ASK_EVERY: Duration = Duration::from_millis(100);

pub(super) fn run(
    context: &Context,
    client: &Client,
    accepted: &Accepted,
) -> anyhow::Result<ExitCode> {
    let people = !matches!(context.format, Format::Json | Format::Jsonl | Format::Id);
    if people {
        context.one(accepted, "", || single::line(accepted))?;
    }
    let (event, in_time) = client.block_on(watch(client, accepted, context.options.timeout))?;
    let id = event.id.to_string();
    if !people {
        context.one(&event, &id, String::new)?;
    } else if !event.deliveries.is_empty() {
        context.one(&event, &id, || lines(context, &event.deliveries))?;
    }
    judge(context, &event, in_time)
}

/// Asks until each delivery has ended, and tells whether that was in time.
async fn watch(
    client: &Client,
    accepted: &Accepted,
    limit: Duration,
) -> anyhow::Result<(EventView, bool)> {
    let mut last = ask(client, accepted).await?;
    let mut ticks = interval(ASK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let watching = async {
        while !last.deliveries.iter().all(ended) {
            ticks.tick().await;
            last = ask(client, accepted).await?;
        }
        anyhow::Ok(())
    };
    let in_time = match timeout(limit, watching).await {
        Ok(watched) => watched.map(|()| true)?,
        Err(_) => false,
    };
    Ok((last, in_time))
}

async fn ask(client: &Client, accepted: &Accepted) -> anyhow::Result<EventView> {
    let call = Call::new(Method::GET, format!("/v1/events/{}", accepted.id));
    client.call(call).await?.json()
}

fn ended(delivery: &DeliveryView) -> bool {
    use DeliveryState::{Cancelled, Dead, Delivered};
    matches!(delivery.state, Delivered | Dead | Cancelled)
}

fn lines(context: &Context, deliveries: &[DeliveryView]) -> String {
    let width = deliveries.iter().map(|delivery| delivery.endpoint.len()).max().unwrap_or(0);
    let line = |delivery: &DeliveryView| {
        let (tone, sign) = match delivery.state {
            DeliveryState::Delivered => (Tone::Good, "\u{2713}"),
            _ if delivery.duplicate_of.is_some() => (Tone::Odd, text::DOT),
            DeliveryState::Dead | DeliveryState::Cancelled => (Tone::Bad, "\u{2717}"),
            _ => (Tone::Odd, text::DOT),
        };
        let outcome = delivery.last_outcome.as_deref().map(text::clean);
        let outcome = outcome.map(|outcome| format!(" {outcome}")).unwrap_or_default();
        let of = delivery.duplicate_of.map(|of| format!(", a duplicate of {of}"));
        let of = of.unwrap_or_default();
        let next = delivery.next_at.map(|at| text::relative(context.now(), at));
        let next = next.map(|next| format!(", next attempt {next}")).unwrap_or_default();
        let (sign, endpoint) = (context.paint(tone, sign), &delivery.endpoint);
        format!("  {sign} {endpoint:<width$}   {}{outcome}{of}{next}", delivery.state)
    };
    deliveries.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn judge(context: &Context, event: &EventView, in_time: bool) -> anyhow::Result<ExitCode> {
    let all = event.deliveries.len();
    let unfinished = event.deliveries.iter().filter(|delivery| !ended(delivery)).count();
    // abbreviated it could be that of another event of the same second
    let id = event.id;
    if !in_time {
        let limit = humantime::format_duration(context.options.timeout);
        let message = format!(
            "{unfinished} of {all} deliveries not confirmed within {limit} (they go on). \
             postrider event show {id}"
        );
        return Err(Failure::new(Exit::TimedOut, message).into());
    }
    // what its endpoint has got already is no failure
    let well = |delivery: &&DeliveryView| {
        delivery.state == DeliveryState::Delivered || delivery.duplicate_of.is_some()
    };
    let failed = all - event.deliveries.iter().filter(well).count();
    if failed > 0 {
        let message = format!(
            "{failed} of {all} deliveries ended without success. postrider event show {id}"
        );
        return Err(Failure::new(Exit::Undelivered, message).into());
    }
    Ok(Exit::Done.into())
}
