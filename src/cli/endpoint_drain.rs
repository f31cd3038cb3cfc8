//! `postrider endpoint drain`: an endpoint is paused, and left alone by what is under way.

use std::time::Duration;

use clap::Args;
use http::Method;
use serde_json::json;
use tokio::time::MissedTickBehavior;
use tokio::time::interval;
use tokio::time::timeout;

use crate::cli::client::Call;
use crate::cli::client::Client;
use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::cli::list;
use crate::cli::output::Context;
use crate::cli::text;
use crate::model::view::EndpointView;

/// How often the daemon is asked.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// Pause an endpoint, and wait until nothing is under way to it
///
/// Waits for --timeout at most. Either way the endpoint stays paused: `postrider endpoint resume`
/// lets its deliveries go on.
#[derive(Clone, Debug, Args)]
pub(super) struct Drain {
    /// The endpoint's name
    #[arg(value_name = "ENDPOINT")]
    name: String,

    /// Why, for those who wonder
    #[arg(long, default_value = "drained")]
    reason: String,
}

impl Drain {
    pub(super) fn run(&self, context: &Context, client: &Client) -> anyhow::Result<()> {
        let path = list::path_of("endpoints", &self.name, "/pause")?;
        let paused = client.post(path, &json!({ "reason": self.reason }))?;
        let (view, in_time) =
            client.block_on(self.watch(client, paused, context.options.timeout))?;
        if !in_time {
            let message = format!(
                "{}: {} in flight still; it stays paused. postrider endpoint resume {}",
                view.name, view.in_flight, view.name
            );
            return Err(Failure::new(Exit::TimedOut, message).into());
        }
        let waiting = text::count(view.counts.pending());
        let line = || format!("{}: nothing in flight, {waiting} waiting", view.name);
        context.one(&view, &self.name, line)
    }

    /// Asks until nothing is in flight, and tells whether that was in time.
    async fn watch(
        &self,
        client: &Client,
        mut last: EndpointView,
        limit: Duration,
    ) -> anyhow::Result<(EndpointView, bool)> {
        let path = list::path_of("endpoints", &self.name, "")?;
        let mut ticks = interval(ASK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let watching = async {
            while last.in_flight > 0 {
                ticks.tick().await;
                last = client.call(Call::new(Method::GET, path.as_str())).await?.json()?;
            }
            anyhow::Ok(())
        };
        let in_time = match timeout(limit, watching).await {
            Ok(watched) => watched.map(|()| true)?,
            Err(_) => false,
        };
        Ok((last, in_time))
    }
}
