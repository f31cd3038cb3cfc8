//! `postrider reload`, `drain` and `version`.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use crate::cli::client::Client;
use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::cli::output::Context;
use crate::model::view::IntakeView;
use crate::model::view::ReloadView;

/// Apply the configuration file; waits, and prints why it was refused
#[derive(Clone, Debug, Args)]
pub(super) struct ReloadArgs {
    /// Wait until it is applied; it always does, and unit files say so
    #[arg(long)]
    wait: bool,
}

impl ReloadArgs {
    pub(super) fn run(&self, context: &Context) -> anyhow::Result<ExitCode> {
        let client = Client::admin(&context.options.socket, context.options.timeout)?;
        let reloaded = client.post("/v1/admin/reload", &json!({})).map_err(refused)?;
        context.one(&reloaded, "reloaded", || changes(&reloaded))?;
        Ok(Exit::Done.into())
    }
}

/// What the daemon refuses here is its configuration file, not the command.
fn refused(error: anyhow::Error) -> anyhow::Error {
    match error.downcast::<Failure>() {
        Ok(failure) if failure.exit == Exit::Usage => {
            let message = format!("the old configuration stays: {}", failure.message);
            Failure::new(Exit::ConfigInvalid, message).into()
        }
        Ok(failure) => failure.into(),
        Err(error) => error,
    }
}

fn changes(reloaded: &ReloadView) -> String {
    let mut text = match reloaded.changed.as_slice() {
        [] => "reloaded, nothing changed".to_owned(),
        changed => format!("reloaded: {}", changed.join(", ")),
    };
    if !reloaded.needs_restart.is_empty() {
        text.push_str(&format!("\nonly after a restart: {}", reloaded.needs_restart.join(", ")));
    }
    text
}

/// Stop taking events and starting attempts
#[derive(Clone, Debug, Args)]
pub(super) struct DrainArgs {
    /// Go on instead
    #[arg(long)]
    resume: bool,
}

impl DrainArgs {
    pub(super) fn run(&self, context: &Context) -> anyhow::Result<ExitCode> {
        let client = Client::admin(&context.options.socket, context.options.timeout)?;
        let path = if self.resume { "/v1/admin/resume" } else { "/v1/admin/drain" };
        let view: IntakeView = client.post(path, &json!({}))?;
        let line = || format!("{}, {} attempts under way", view.state, view.sending);
        context.one(&view, &view.state, line)?;
        Ok(Exit::Done.into())
    }
}

/// Show the version
#[derive(Clone, Debug, Args)]
pub(super) struct VersionArgs {}

impl VersionArgs {
    pub(super) fn run(&self, context: &Context) -> anyhow::Result<ExitCode> {
        let version = env!("CARGO_PKG_VERSION");
        let document = json!({ "version": version });
        context.one(&document, version, || format!("postrider {version}"))?;
        Ok(Exit::Done.into())
    }
}
