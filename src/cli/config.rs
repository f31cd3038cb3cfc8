//! `postrider config`: the configuration file, checked and shown without a daemon.

use std::io::IsTerminal;
use std::io::Write;
use std::process::ExitCode;

use clap::Args;
use clap::Subcommand;

use crate::cli::exit::Exit;
use crate::cli::output;
use crate::cli::output::Context;
use crate::cli::text;
use crate::config;
use crate::config::Loaded;
use crate::daemon::run;

/// Check or show the configuration
///
///   postrider config check --config config.toml
///   postrider config show --origin
#[derive(Clone, Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct ConfigArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    /// Say everything that is wrong with it; exit with 78 if anything is
    Check,
    /// Show what holds: defaults, files and environment laid over each other
    Show {
        /// Say where each setting comes from
        #[arg(long)]
        origin: bool,
    },
}

/// Reads the configuration; what is wrong with it is said, and is how the command exits.
pub(super) fn load(context: &Context) -> Result<Loaded, Exit> {
    config::load(&context.options.config, std::env::vars()).map_err(|errors| {
        output::complain(&errors.render(std::io::stderr().is_terminal()));
        Exit::ConfigInvalid
    })
}

impl ConfigArgs {
    pub(super) fn run(&self, context: &Context) -> anyhow::Result<ExitCode> {
        let loaded = match load(context) {
            Ok(loaded) => loaded,
            Err(exit) => return Ok(exit.into()),
        };
        match &self.command {
            Command::Check => check(&loaded, context),
            Command::Show { origin } => {
                let text = config::show(&loaded, *origin);
                anstream::stdout().write_all(text.as_bytes())?;
                Ok(Exit::Done.into())
            }
        }
    }
}

fn check(loaded: &Loaded, context: &Context) -> anyhow::Result<ExitCode> {
    if let Err(error) = run::check(&loaded.config) {
        output::complain(&format!("postrider: {error}"));
        return Ok(Exit::ConfigInvalid.into());
    }
    let mut talk = anstream::stderr();
    if !loaded.warnings.is_empty() {
        let text = config::render::render(&loaded.warnings, std::io::stderr().is_terminal());
        writeln!(talk, "{}", text.trim_end())?;
    }
    if !context.options.quiet {
        let count = u64::try_from(loaded.config.endpoints.len()).unwrap_or(u64::MAX);
        let endpoints = text::things(count, "endpoint", "endpoints");
        writeln!(talk, "{}: valid, {endpoints}", context.options.config.display())?;
    }
    Ok(Exit::Done.into())
}
