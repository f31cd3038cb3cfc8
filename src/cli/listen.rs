//! `postrider listen`: a receiver for trying things out.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::cli::key_options::KeyOptions;
use crate::cli::key_options::SECRET_ENV;
use crate::cli::key_options::Signature;
use crate::cli::listen::line::Style;
use crate::cli::receiver;
use crate::cli::receiver::Note;
use crate::cli::receiver::Receiver;
use crate::cli::receiver::forward::ForwardTo;
use crate::cli::receiver::script::Scope;
use crate::cli::receiver::script::Script;
use crate::cli::receiver::script::Step;
use crate::daemon::clock;

pub(super) mod line;

/// Exit code: the requests that were waited for did not come in time.
const EXIT_TIMED_OUT: u8 = 7;

/// Receive webhooks here, verify their signatures, print or forward them
///
/// What does not verify is answered 401 and not forwarded, and the exit code is 1 in the end.
///
///   # print what comes
///   postrider listen --secret-file secret.txt
///   # hand it on to a program under development
///   postrider listen --secret-file secret.txt --forward-to http://localhost:3000/hook
///   # fail three times for every event, then accept
///   postrider listen --fail-each 503x3 --retry-after 7
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct ListenArgs {
    /// Where to listen; port 0 takes any free one.
    #[arg(default_value = "127.0.0.1:8400")]
    address: String,
    #[command(flatten)]
    keys: KeyOptions,
    /// Hand accepted requests on to this URL, and answer what it answers.
    #[arg(long, value_name = "URL")]
    forward_to: Option<ForwardTo>,
    /// Answer with a failure: 503 (always), 503x3 (three requests), dropx1; in the order given.
    #[arg(long, value_name = "STATUS[xN]")]
    fail: Vec<Step>,
    /// The same for each event by itself.
    #[arg(long, value_name = "STATUS[xN]", conflicts_with = "fail")]
    fail_each: Vec<Step>,
    /// Close every connection instead of answering.
    #[arg(long, conflicts_with_all = ["fail", "fail_each"])]
    drop: bool,
    /// Wait before every answer.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    delay: Option<Duration>,
    /// Send Retry-After with failures, in seconds.
    #[arg(long, value_name = "SECONDS")]
    retry_after: Option<u32>,
    /// Stop after this many requests; with --for, exit with 7 if fewer came.
    #[arg(long, value_name = "N")]
    max: Option<u64>,
    /// Stop after this time.
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration)]
    duration: Option<Duration>,
    /// Print one JSON object a line: at, id, type, attempt, content_type, bytes, sha256, signature.
    #[arg(long)]
    json: bool,
    /// Print bodies too (their beginning, unless --json).
    #[arg(long)]
    body: bool,
    /// Write the address that is listened on to this file, for scripts.
    #[arg(long, value_name = "FILE")]
    address_file: Option<PathBuf>,
}

/// Listens until it is stopped. Exits with 1 if a signature was bad, and with 7 if fewer requests
/// than `--max` came within `--for`.
///
/// # Errors
/// If the secrets cannot be used, or the address cannot be listened on.
pub fn run(args: ListenArgs) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(listen(args))
}

async fn listen(args: ListenArgs) -> anyhow::Result<ExitCode> {
    let environment = std::env::var(SECRET_ENV).ok();
    let keys = args.keys.verifying(environment, &mut std::io::stderr().lock())?;
    let listener = TcpListener::bind(&args.address)
        .await
        .with_context(|| format!("cannot listen on {}", args.address))?;
    announce(&args, &listener, keys.0.is_empty())?;
    let receiver = Receiver {
        keys,
        script: script(&args),
        forward_to: args.forward_to.clone(),
        clock: Arc::new(clock::now),
    };
    let (log, mut notes) = mpsc::channel(receiver::NOTES_PENDING_MAX);
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = receiver::serve(listener, receiver, log, async {
        let _either_way = stopped.await;
    });
    let mut tally = Tally::new(&args);
    let printing = async {
        let enough = async {
            while !tally.enough() && tally.next(&mut notes).await? {}
            anyhow::Ok(())
        };
        let ended = timeout(args.duration.unwrap_or(Duration::MAX), enough).await;
        drop(stop);
        if let Ok(result) = ended {
            result?;
        }
        while tally.next(&mut notes).await? {}
        anyhow::Ok(())
    };
    let ((), printed) = tokio::join!(serving, printing);
    printed.map(|()| tally.exit_code())
}

fn announce(args: &ListenArgs, listener: &TcpListener, unchecked: bool) -> anyhow::Result<()> {
    let address = listener.local_addr()?;
    if let Some(path) = &args.address_file {
        std::fs::write(path, format!("{address}\n"))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    let mut talk = std::io::stderr().lock();
    writeln!(talk, "Listening on http://{address} (stop with ^C)")?;
    if unchecked {
        writeln!(talk, "No secret given: signatures are not checked (--secret-file FILE)")?;
    }
    Ok(())
}

fn script(args: &ListenArgs) -> Script {
    let dropping = || Step { answer: receiver::script::Answer::Drop, times: None };
    let steps = if args.drop {
        vec![dropping()]
    } else {
        args.fail.iter().chain(&args.fail_each).copied().collect()
    };
    Script {
        steps,
        scope: if args.fail_each.is_empty() { Scope::InAll } else { Scope::PerEvent },
        delay: args.delay.unwrap_or_default(),
        retry_after: args.retry_after,
    }
}

/// Prints notes and counts what they mean for the exit code.
struct Tally<'a> {
    args: &'a ListenArgs,
    style: Style,
    answered: u64,
    bad: u64,
}

impl Tally<'_> {
    fn new(args: &ListenArgs) -> Tally<'_> {
        let style = if args.json { Style::Json } else { Style::Arrows };
        Tally { args, style, answered: 0, bad: 0 }
    }

    fn enough(&self) -> bool {
        self.args.max.is_some_and(|max| self.answered >= max)
    }

    /// Whether there was one more.
    async fn next(&mut self, notes: &mut mpsc::Receiver<Note>) -> anyhow::Result<bool> {
        let Some(note) = notes.recv().await else { return Ok(false) };
        match &note {
            Note::Arrived(arrival) => {
                self.bad += u64::from(matches!(arrival.signature, Signature::Bad(_)));
            }
            Note::Answered(_) => self.answered += 1,
        }
        let text = line::of(&note, self.style, self.args.body, self.args.forward_to.as_ref());
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()?;
        Ok(true)
    }

    fn exit_code(&self) -> ExitCode {
        if self.bad > 0 {
            return ExitCode::FAILURE;
        }
        let missing = self.args.max.is_some_and(|max| self.answered < max);
        if missing { ExitCode::from(EXIT_TIMED_OUT) } else { ExitCode::SUCCESS }
    }
}
