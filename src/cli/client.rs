//! HTTP/1.1 over one of the daemon's unix sockets: one request, one connection, one answer, within
//! one time limit.

use std::future::Future;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::StatusCode;
use http_body_util::BodyExt;
use http_body_util::Full;
use http_body_util::Limited;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::runtime::Runtime;

use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::model::view::Problem;

/// The longest answer that is read, in bytes: a payload, or the results of a batch.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A socket of the daemon.
#[derive(Debug)]
pub struct Client {
    socket: PathBuf,
    timeout: Duration,
    runtime: Runtime,
    /// The group whose members may use the socket, for the message that says so.
    group: &'static str,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Call {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub target: String,
    /// Headers besides `Host`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub body: Bytes,
}

impl Call {
    /// A request without headers and body.
    pub fn new(method: Method, target: impl Into<String>) -> Call {
        Call { method, target: target.into(), headers: Vec::new(), body: Bytes::new() }
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// The answer, if it is not a refusal.
    ///
    /// # Errors
    /// The refusal as a [`Failure`].
    pub fn accepted(self) -> anyhow::Result<Answer> {
        if self.status.is_success() {
            return Ok(self);
        }
        Err(match self.problem() {
            Some(problem) => Failure::from(problem).into(),
            None => anyhow::anyhow!("the daemon answered {}", self.status),
        })
    }

    /// The problem that it is, if it is one.
    pub fn problem(&self) -> Option<Problem> {
        if self.status.is_success() { None } else { serde_json::from_slice(&self.body).ok() }
    }

    /// The body, which is JSON.
    ///
    /// # Errors
    /// If it is not, or of another shape: a daemon of another version.
    pub fn json<T: DeserializeOwned>(&self) -> anyhow::Result<T> {
        serde_json::from_slice(&self.body)
            .context("cannot read the daemon's answer: is it of another version?")
    }
}

impl Client {
    /// The daemon's admin socket.
    ///
    /// # Errors
    /// If the process may not have a reactor.
    pub fn admin(socket: &Path, timeout: Duration) -> anyhow::Result<Client> {
        Client::new(socket, timeout, "postrider-admin")
    }

    /// The daemon's ingest socket.
    ///
    /// # Errors
    /// If the process may not have a reactor.
    pub fn ingest(socket: &Path, timeout: Duration) -> anyhow::Result<Client> {
        Client::new(socket, timeout, "postrider-submit")
    }

    fn new(socket: &Path, timeout: Duration, group: &'static str) -> anyhow::Result<Client> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Client { socket: socket.to_owned(), timeout, runtime, group })
    }

    /// Reads something.
    ///
    /// # Errors
    /// A [`Failure`] with the exit code that fits.
    pub fn get<T: DeserializeOwned>(&self, target: impl Into<String>) -> anyhow::Result<T> {
        self.block_on(self.call(Call::new(Method::GET, target)))?.json()
    }

    /// Sends a command.
    ///
    /// # Errors
    /// A [`Failure`] with the exit code that fits.
    pub fn post<T: DeserializeOwned>(
        &self,
        target: impl Into<String>,
        body: &impl Serialize,
    ) -> anyhow::Result<T> {
        let json = HeaderValue::from_static("application/json");
        let call = Call {
            headers: vec![(http::header::CONTENT_TYPE, json)],
            body: serde_json::to_vec(body)?.into(),
            ..Call::new(Method::POST, target)
        };
        self.block_on(self.call(call))?.json()
    }

    /// The same socket for a command that may take this long, at least.
    #[must_use]
    pub fn patient(self, timeout_min: Duration) -> Client {
        Client { timeout: self.timeout.max(timeout_min), ..self }
    }

    /// Runs what was made of [`Client::call`].
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// One request and its answer, which is not a refusal.
    ///
    /// # Errors
    /// A [`Failure`] with the exit code that fits: the daemon cannot be reached, does not answer
    /// in time, or refuses.
    pub async fn call(&self, call: Call) -> anyhow::Result<Answer> {
        self.ask(call).await?.accepted()
    }

    /// One request and its answer, whatever it is.
    ///
    /// # Errors
    /// A [`Failure`]: the daemon cannot be reached, or does not answer in time.
    pub async fn ask(&self, call: Call) -> anyhow::Result<Answer> {
        let Ok(answer) = tokio::time::timeout(self.timeout, self.exchange(call)).await else {
            let message = format!(
                "no answer from the daemon at {} within {}",
                self.socket.display(),
                humantime::format_duration(self.timeout)
            );
            return Err(Failure::new(Exit::TimedOut, message).into());
        };
        answer
    }

    async fn exchange(&self, call: Call) -> anyhow::Result<Answer> {
        let stream = UnixStream::connect(&self.socket).await;
        let stream = stream.map_err(|error| self.unreachable(&error))?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let mut request = Request::builder().method(call.method).uri(call.target);
        request = request.header(http::header::HOST, "postrider");
        for (name, value) in call.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(call.body)).context("not a legal request")?;
        let exchange = async move {
            let (head, body) = sender.send_request(request).await?.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|error| anyhow::anyhow!("cannot read the answer: {error}"))?;
            Ok(Answer { status: head.status, headers: head.headers, body: body.to_bytes() })
        };
        // the connection has to be driven for the exchange to go on, and ends after it
        tokio::pin!(connection);
        tokio::pin!(exchange);
        tokio::select! {
            biased;
            answer = &mut exchange => answer,
            _ = &mut connection => exchange.await,
        }
    }

    fn unreachable(&self, error: &io::Error) -> Failure {
        let socket = self.socket.display();
        let group = self.group;
        if error.kind() == io::ErrorKind::PermissionDenied {
            let message = format!(
                "cannot reach the daemon at {socket}: permission denied. Are you in group \
                 {group}?  sudo usermod -aG {group} $USER"
            );
            return Failure::new(Exit::NotAllowed, message);
        }
        let why = match error.kind() {
            io::ErrorKind::NotFound => "no such file".to_owned(),
            io::ErrorKind::ConnectionRefused => "nobody listens".to_owned(),
            _ => error.to_string(),
        };
        let message = format!(
            "cannot reach the daemon at {socket}: {why}. Is it running?  systemctl status postrider"
        );
        Failure::new(Exit::Unreachable, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_not_use_the_socket_is_told_the_group() {
        let client = Client::ingest(Path::new("/run/x.sock"), Duration::from_secs(1)).unwrap();
        let failure = client.unreachable(&io::ErrorKind::PermissionDenied.into());
        assert_eq!(failure.exit, Exit::NotAllowed);
        let hint = "sudo usermod -aG postrider-submit $USER";
        assert!(failure.message.ends_with(hint), "{}", failure.message);
    }
}
