//! The demo's daemon: this same binary as a child process, so that it can be killed.

use std::process::ExitStatus;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use anyhow::bail;
use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;
use tokio::process::Child;
use tokio::process::Command;
use tokio::time::interval;

use crate::cli::client::Call;
use crate::cli::client::Client;
use crate::cli::demo::home::Home;
use crate::model::view::StatusView;

/// How often the daemon is asked how it is.
const ASK_EVERY: Duration = Duration::from_millis(25);

/// A running daemon; it is killed when the value goes.
#[derive(Debug)]
pub(super) struct Daemon {
    child: Child,
    /// Its process.
    pub(super) pid: u32,
}

impl Daemon {
    /// Starts it, and waits until it answers.
    ///
    /// # Errors
    /// If it ends instead.
    pub(super) async fn start(home: &Home, admin: &Client) -> anyhow::Result<Daemon> {
        let binary = std::env::current_exe().context("cannot find this binary")?;
        let mut child = Command::new(&binary)
            .args(["run", "--config"])
            .arg(home.config())
            // a variable of this shell must not change the daemon's configuration
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(home.log()?)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot run {}", binary.display()))?;
        let pid = child.id().context("the daemon ended at once")?;
        let mut ticks = interval(ASK_EVERY);
        while status(admin).await.is_err() {
            ticks.tick().await;
            if let Some(status) = child.try_wait()? {
                bail!("the daemon did not start: {status}");
            }
        }
        Ok(Daemon { child, pid })
    }

    /// Kills it as `kill -9` does: it gets no chance to say or write anything.
    ///
    /// # Errors
    /// If it cannot be killed.
    pub(super) async fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill().await.context("cannot kill the daemon")
    }

    /// Asks it to stop, and waits until it has.
    ///
    /// # Errors
    /// If it is gone already.
    pub(super) async fn stop(mut self) -> anyhow::Result<ExitStatus> {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        kill_process(pid.context("no process")?, Signal::TERM)?;
        Ok(self.child.wait().await?)
    }
}

/// How the daemon is.
///
/// # Errors
/// If it does not answer.
pub(super) async fn status(admin: &Client) -> anyhow::Result<StatusView> {
    admin.call(Call::new(http::Method::GET, "/v1/status")).await?.json()
}

/// Waits until nothing is queued, waiting or being sent.
///
/// # Errors
/// If the daemon does not answer.
pub(super) async fn settled(admin: &Client) -> anyhow::Result<()> {
    let mut ticks = interval(ASK_EVERY);
    loop {
        ticks.tick().await;
        let status = status(admin).await?;
        if status.queued + status.waiting + status.sending == 0 {
            return Ok(());
        }
    }
}
