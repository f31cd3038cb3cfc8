//! `postrider run`: the daemon.

use std::io::IsTerminal;
use std::process::ExitCode;

use crate::cli::exit::Exit;
use crate::cli::output;
use crate::cli::output::Context;
use crate::daemon::run;
use crate::daemon::run::RunError;

/// Run the daemon in the foreground (what the systemd unit starts)
///
///   postrider run --config config.toml
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct RunArgs {}

impl RunArgs {
    /// Runs until it is told to stop.
    ///
    /// # Errors
    /// None: what goes wrong is said here and is in the exit code.
    pub(super) fn run(&self, context: &Context) -> anyhow::Result<ExitCode> {
        Ok(match run::run(context.options.config.clone()) {
            Ok(()) => Exit::Done.into(),
            Err(RunError::Config(errors)) => {
                output::complain(&errors.render(std::io::stderr().is_terminal()));
                Exit::ConfigInvalid.into()
            }
            Err(error @ RunError::Endpoint(_)) => {
                output::complain(&format!("postrider: {error}"));
                Exit::ConfigInvalid.into()
            }
            Err(error @ (RunError::Open(_) | RunError::Store(_) | RunError::Ended(_))) => {
                output::complain(&format!("postrider: {error}"));
                Exit::StoreFailed.into()
            }
            Err(error) => {
                output::complain(&format!("postrider: {error}"));
                Exit::Failed.into()
            }
        })
    }
}
