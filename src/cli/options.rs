//! Options that every command takes.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use anstream::AutoStream;
use clap::ValueEnum;

/// The longest that a command may be told to wait.
const TIMEOUT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// How results are written to stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people: aligned columns, relative times.
    Table,
    /// For people: all columns, absolute times in UTC.
    Wide,
    /// One JSON document, as the API answers.
    Json,
    /// One JSON document per row and line.
    Jsonl,
    /// For programs: tab-separated rows without a header.
    Plain,
    /// Only ids or names, one per line.
    Id,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The global options.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
pub struct Options {
    /// table, wide, json, jsonl, plain or id [default: table on a terminal, plain otherwise]
    #[arg(
        short,
        long,
        global = true,
        value_name = "FORMAT",
        hide_possible_values = true,
        conflicts_with = "json"
    )]
    pub output: Option<Format>,

    /// Same as --output json
    #[arg(long, global = true)]
    pub json: bool,

    /// Configuration file
    #[arg(
        short,
        long,
        global = true,
        value_name = "FILE",
        env = "POSTRIDER_CONFIG",
        hide_env_values = true,
        default_value = "/etc/postrider/config.toml"
    )]
    pub config: PathBuf,

    /// Admin socket of the daemon
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "POSTRIDER_SOCKET",
        hide_env_values = true,
        default_value = "/run/postrider/admin.sock"
    )]
    pub socket: PathBuf,

    /// Give up after this long
    #[arg(
        long,
        global = true,
        value_name = "DURATION",
        default_value = "10s",
        value_parser = timeout
    )]
    pub timeout: Duration,

    /// Print only errors and results
    #[arg(short, long, global = true)]
    pub quiet: bool,

    /// Use colour: auto (NO_COLOR is honoured), always or never
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        hide_possible_values = true,
        default_value = "auto"
    )]
    pub color: Colour,

    /// Do not ask for confirmation
    #[arg(short, long, global = true)]
    pub yes: bool,

    /// Never ask, fail instead
    #[arg(long, global = true)]
    pub no_input: bool,
}

impl Options {
    /// How results are written, here and now.
    pub fn format(&self) -> Format {
        match self.output {
            _ if self.json => Format::Json,
            Some(format) => format,
            None if std::io::stdout().is_terminal() => Format::Table,
            None => Format::Plain,
        }
    }

    /// Whether results are coloured, here and now.
    pub fn coloured(&self) -> bool {
        match self.color {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => AutoStream::choice(&std::io::stdout()) != anstream::ColorChoice::Never,
        }
    }

    /// Whether a person is there to answer a question.
    pub fn may_ask(&self) -> bool {
        !self.no_input && std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
    }
}

fn timeout(text: &str) -> Result<Duration, String> {
    let timeout = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if timeout.is_zero() || timeout > TIMEOUT_MAX {
        return Err("must be more than 0 and at most 24h".into());
    }
    Ok(timeout)
}
