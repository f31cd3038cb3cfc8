//! What the courier is told: by the configuration, and by the daemon that gives it a clock and
//! somewhere to run things.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::model::Time;

/// Reads the time. The daemon owns the clock; tests turn it by hand.
pub type Clock = Arc<dyn Fn() -> Time + Send + Sync>;

/// What holds for all targets.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The value of `user-agent`.
    pub user_agent: String,
    /// Whether HTTP/2 is offered, by ALPN, on https.
    pub http2: bool,
    /// How long an unused connection is kept.
    pub pool_idle_timeout: Duration,
    /// How long addresses of a name are used again.
    pub dns_cache_ttl: Duration,
    /// Whose certificates are trusted.
    pub roots: Roots,
    /// PEM files with further trusted certificates.
    pub extra_roots: Vec<PathBuf>,
    /// The oldest TLS version that is spoken.
    pub tls_min: TlsVersion,
}

/// Where trusted certificates come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Roots {
    /// The system's, such as `/etc/ssl/certs`.
    System,
    /// This PEM file, and nothing else.
    File(PathBuf),
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2.
    V1_2,
    /// TLS 1.3.
    V1_3,
}

/// What one attempt may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Until a name is resolved.
    pub dns_timeout: Duration,
    /// Until a TCP connection stands, all addresses of a name together.
    pub connect_timeout: Duration,
    /// Until a TLS session stands.
    pub tls_timeout: Duration,
    /// From the request being sent to the head of the response.
    pub response_timeout: Duration,
    /// For everything, the body of the response included.
    pub attempt_timeout: Duration,
    /// How many bytes of a response body are read before the connection is closed.
    pub max_response: usize,
    /// How many bytes of a response body are kept where it was not a success.
    pub capture_response: usize,
}

/// What may be called at all.
#[derive(Clone, Debug, Default)]
pub struct EgressRules {
    /// Whether `http://` is refused.
    pub https_only: bool,
    /// Whether addresses that are not public are refused.
    pub block_private: bool,
    /// Networks that pass although they are not public.
    pub allow: Vec<IpNet>,
    /// Networks that never pass, whatever else says so.
    pub deny: Vec<IpNet>,
    /// Ports that may be called; empty: any.
    pub ports: Vec<u16>,
    /// Which kind of address is used.
    pub ip_family: IpFamily,
    /// Where postrider itself listens: never called, since that would be a loop.
    pub own: Vec<SocketAddr>,
}

/// Which kind of address is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IpFamily {
    /// IPv4 first.
    #[default]
    PreferV4,
    /// IPv6 first.
    PreferV6,
    /// Only IPv4.
    V4,
    /// Only IPv6.
    V6,
}

/// Something that runs beside an attempt.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs what has to go on beside an attempt: connections and name look-ups. Each of them ends by
/// itself once nobody needs it.
#[derive(Clone)]
pub struct Spawner(Arc<dyn Fn(Task) + Send + Sync>);

impl Spawner {
    /// From a function that starts a future, such as `tokio::spawn`.
    pub fn new(run: impl Fn(Task) + Send + Sync + 'static) -> Spawner {
        Spawner(Arc::new(run))
    }

    pub(crate) fn run(&self, future: impl Future<Output = ()> + Send + 'static) {
        (self.0)(Box::pin(future));
    }
}

impl<F> hyper::rt::Executor<F> for Spawner
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        self.run(future);
    }
}
