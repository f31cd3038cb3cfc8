//! `postrider demo`: the promises, shown on this machine in a few seconds.
//!
//! A daemon of its own (this same binary) runs on a store in a temporary directory; receivers in
//! this process stand for endpoints. Nothing leaves the machine, and nothing is left behind unless
//! that is asked for. Every claim that is printed was checked first: a claim that does not hold
//! ends the demo with exit code 1.

mod acts;
mod burst;
mod endpoints;
mod home;
mod process;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use anyhow::bail;
use clap::Args;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::time::timeout;

use crate::cli::client::Client;
use crate::cli::demo::acts::Show;
use crate::cli::demo::endpoints::Endpoints;
use crate::cli::demo::home::Home;
use crate::cli::exit::Exit;
use crate::cli::output::Context;

/// How long all of it may take; it takes a quarter of that.
const DEMO_TIMEOUT: Duration = Duration::from_secs(50);
/// How long one answer of the daemon may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Lines of the daemon's log that are shown when something went wrong.
const LOG_LINES_SHOWN_MAX: usize = 12;

/// Show that it works, on this machine, in under a minute
///
///   # signed deliveries, retries, and a kill -9 that loses nothing
///   postrider demo
#[derive(Clone, Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct DemoArgs {
    /// Leave the directory with configuration, store and log
    #[arg(long)]
    keep: bool,
}

impl DemoArgs {
    /// Plays all acts.
    ///
    /// # Errors
    /// If a claim does not hold, or this machine does not allow what is needed.
    pub(super) fn run(&self, context: &Context) -> anyhow::Result<ExitCode> {
        let began = context.now();
        let mut home = Home::make()?;
        // clients before the runtime: each has a runtime of its own, that cannot end inside another
        let ingest = Client::ingest(&home.ingest_socket(), ANSWER_TIMEOUT)?;
        let admin = Client::admin(&home.admin_socket(), ANSWER_TIMEOUT)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let played = runtime.block_on(play(context, &home, &ingest, &admin));
        if let Err(error) = played {
            home.keep();
            let log = home.log_tail(LOG_LINES_SHOWN_MAX);
            let place = home.path().display();
            return Err(error.context(format!("the demo failed; all is left in {place}\n{log}")));
        }
        let took = context.now().since(began).as_secs_f64();
        if self.keep {
            home.keep();
        }
        context.raw(acts::epilogue(&home, took, self.keep).as_bytes())?;
        Ok(Exit::Done.into())
    }
}

/// Receivers serve for as long as the show goes on.
async fn play(
    context: &Context,
    home: &Home,
    ingest: &Client,
    admin: &Client,
) -> anyhow::Result<()> {
    let (endpoints, serving) = Endpoints::open(home, context.clock).await?;
    home.write_config(&endpoints.sections())?;
    let show = Show { context, home, ingest, admin, endpoints: &endpoints };
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        played = timeout(DEMO_TIMEOUT, show.play()) => played.with_context(|| {
            format!("it did not end within {} s", DEMO_TIMEOUT.as_secs())
        })?,
        () = serving => bail!("the receivers ended"),
        _ = interrupt.recv() => bail!("interrupted"),
        _ = terminate.recv() => bail!("told to stop"),
    }
}
