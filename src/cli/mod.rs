//! The command line: one binary, the daemon and its clients.
//!
//! Client commands speak HTTP and JSON over the daemon's two unix sockets. Results go to stdout,
//! talk to stderr; what a command's end means is its exit code ([`Exit`]). A command is a struct of
//! arguments with a `run`; adding one is a line in `Command` and one in `dispatch`.

pub mod client;
pub mod exit;
pub mod input;
pub mod key_options;
pub mod listen;
pub mod options;
pub mod output;
pub mod raw_request;
pub mod receiver;
pub mod secret;
pub mod sign;
pub mod text;
pub mod verify;

mod bulk;
mod config;
mod control;
mod delivery;
mod demo;
mod endpoint;
mod endpoint_add;
mod endpoint_drain;
mod event;
mod health;
mod list;
mod manual;
mod queue;
mod replay;
mod rows;
mod run;
mod send;
mod simulate;
mod source;
mod status;
mod steps;

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use clap::CommandFactory;
use clap::Parser;
use clap::Subcommand;

pub use exit::Exit;
pub use exit::Failure;

use crate::model::Time;
use options::Colour;
use options::Options;
use output::Context;

const EXAMPLES: &str = "\
Examples:
  # submit an event and wait for it to be delivered
  echo '{\"id\":42}' | postrider send order.created --data - --wait
  # what is failing, and why
  postrider status
  postrider delivery list --state dead --since 24h
  # send it again
  postrider replay --endpoint billing --state dead --since 24h";

/// Durable webhook delivery for one machine
#[derive(Debug, Parser)]
#[command(name = "postrider", version, after_help = EXAMPLES, disable_help_subcommand = true)]
struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::RunArgs),
    Demo(demo::DemoArgs),
    Status(status::StatusArgs),
    Health(health::HealthArgs),
    Reload(control::ReloadArgs),
    Drain(control::DrainArgs),
    Send(send::SendArgs),
    Event(event::EventArgs),
    Delivery(delivery::DeliveryArgs),
    Queue(queue::QueueArgs),
    Replay(replay::ReplayArgs),
    Endpoint(endpoint::EndpointArgs),
    Source(source::SourceArgs),
    Listen(listen::ListenArgs),
    Sign(sign::SignArgs),
    Verify(verify::VerifyArgs),
    Secret(secret::SecretArgs),
    Simulate(simulate::SimulateArgs),
    Config(config::ConfigArgs),
    Completions(manual::CompletionsArgs),
    Man(manual::ManArgs),
    Version(control::VersionArgs),
}

fn dispatch(command: Command, context: &Context) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run(args) => args.run(context),
        Command::Demo(args) => args.run(context),
        Command::Status(args) => args.run(context),
        Command::Health(args) => args.run(context),
        Command::Reload(args) => args.run(context),
        Command::Drain(args) => args.run(context),
        Command::Send(args) => args.run(context),
        Command::Event(args) => args.run(context),
        Command::Delivery(args) => args.run(context),
        Command::Queue(args) => args.run(context),
        Command::Replay(args) => args.run(context),
        Command::Endpoint(args) => args.run(context),
        Command::Source(args) => args.run(context),
        Command::Listen(args) => listen::run(args),
        Command::Sign(args) => sign::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Secret(args) => secret::run(args),
        Command::Simulate(args) => args.run(context),
        Command::Config(args) => args.run(context),
        Command::Completions(args) => args.run(Cli::command(), context),
        Command::Man(args) => args.run(Cli::command(), context),
        Command::Version(args) => args.run(context),
    }
}

/// Runs a command line; `clock` tells the wall time. The answer is the exit code of the process.
pub fn run<I, T>(args: I, clock: fn() -> Time) -> ExitCode
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        // help and version are answers, not errors
        Err(error) => {
            let code = if error.use_stderr() { Exit::Usage } else { Exit::Done };
            return if error.print().is_ok() { code.into() } else { Exit::Failed.into() };
        }
    };
    if cli.options.color == Colour::Never {
        anstream::ColorChoice::Never.write_global();
    }
    let context = Context::new(cli.options, clock);
    dispatch(cli.command, &context).unwrap_or_else(|error| ended(&error))
}

/// Says why a command failed, and finds its exit code.
fn ended(error: &anyhow::Error) -> ExitCode {
    let closed = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    // whoever read our output has read enough: `postrider event list | head -1`
    if closed.into_iter().any(|error| error.kind() == io::ErrorKind::BrokenPipe) {
        return Exit::Done.into();
    }
    output::complain(&format!("postrider: {error:#}"));
    error.downcast_ref::<Failure>().map_or(Exit::Failed, |failure| failure.exit).into()
}
