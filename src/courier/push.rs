//! One attempt to push an event to a URL, from beginning to end.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use http::Response;
use hyper::body::Incoming;
use rustls::ClientConfig;

use crate::courier::conclude::conclude;
use crate::courier::dial;
use crate::courier::exchange::After;
use crate::courier::exchange::Head;
use crate::courier::exchange::Trace;
use crate::courier::exchange::read_body;
use crate::courier::failure::Failure;
use crate::courier::failure::Phase;
use crate::courier::link::Doubt;
use crate::courier::link::Link;
use crate::courier::link::OpenCount;
use crate::courier::pool::Pool;
use crate::courier::request;
use crate::courier::request::Form;
use crate::courier::resolve::Names;
use crate::courier::resolve::Resolve;
use crate::courier::settings::Clock;
use crate::courier::settings::Settings;
use crate::courier::settings::Spawner;
use crate::courier::target::Target;
use crate::courier::tls;
use crate::courier::tls::SetupError;
use crate::model::Attempt;
use crate::model::DeliveryId;
use crate::model::Event;
use crate::model::Outcome;
use crate::model::Time;

/// What the daemon lends the courier.
pub struct Handles {
    /// Reads the time, which never runs backwards: for whatever is measured or kept for a while.
    pub clock: Clock,
    /// Reads what the system takes for the time now, which may run backwards: for what others
    /// compare with their own clocks.
    pub wall: Clock,
    /// Runs connections and name look-ups.
    pub spawner: Spawner,
    /// Resolves names.
    pub resolver: Arc<dyn Resolve>,
}

/// One attempt to be made.
#[derive(Clone)]
pub struct Job {
    /// Where to.
    pub target: Arc<Target>,
    /// Which delivery this is of.
    pub delivery: DeliveryId,
    /// What is delivered.
    pub event: Arc<Event>,
    /// The number of the attempt, from 1.
    pub attempt: u16,
}

/// Makes attempts. It keeps connections and the addresses of names from one to the next; a changed
/// configuration wants a new courier, and the old one's connections go with it.
pub struct Courier {
    clock: Clock,
    wall: Clock,
    spawner: Spawner,
    names: Names,
    pool: Pool,
    open: OpenCount,
    tls: Arc<ClientConfig>,
    trusted: usize,
    user_agent: HeaderValue,
}

impl Courier {
    /// Reads the trusted certificates and makes ready.
    ///
    /// # Errors
    /// [`SetupError`].
    pub fn new(settings: &Settings, handles: Handles) -> Result<Courier, SetupError> {
        let Handles { clock, wall, spawner, resolver } = handles;
        let (tls, trusted) = tls::client_config(settings, &wall)?;
        let ttl = settings.dns_cache_ttl;
        Ok(Courier {
            names: Names::new(resolver, spawner.clone(), Arc::clone(&clock), ttl),
            pool: Pool::new(settings.pool_idle_timeout),
            open: OpenCount::default(),
            user_agent: settings.user_agent.parse().map_err(|_| SetupError::UserAgent)?,
            clock,
            wall,
            spawner,
            tls,
            trusted,
        })
    }

    /// How many certificates are trusted; with none, no https endpoint can be called.
    pub fn trusted_certificates(&self) -> usize {
        self.trusted
    }

    /// How many connections are open, used ones included.
    pub fn open_connections(&self) -> usize {
        self.open.value()
    }

    /// How many connections wait to be used again.
    pub fn idle_connections(&self) -> usize {
        self.pool.len()
    }

    /// Closes connections that were unused for too long. To be called now and then.
    pub fn sweep(&self, now: Time) {
        self.pool.sweep(now);
    }

    /// Makes one attempt, within the time that the target allows. It never fails: what goes wrong
    /// is in the answer. Dropping the future ends the attempt.
    pub async fn attempt(&self, job: Job) -> Attempt {
        let began = (self.clock)();
        let timeout = job.target.limits.attempt_timeout;
        let mut trace = Trace::default();
        let run = Box::pin(self.run(&job, &mut trace));
        let result = tokio::time::timeout(timeout, run).await.unwrap_or_else(|_| {
            let detail = format!("not finished within {timeout:?}");
            Err(Failure::new(Outcome::TimeoutTotal, detail))
        });
        trace.phases.total_us = self.micros_since(began);
        conclude(trace, result)
    }

    async fn run(&self, job: &Job, trace: &mut Trace) -> Result<(), Failure> {
        let target = &*job.target;
        let began = (self.clock)();
        let must_ask = dial::must_ask(target, &self.names);
        let resolved = dial::addresses(target, &self.names).await;
        if must_ask {
            trace.phases.dns_us = self.micros_since(began);
        }
        let addresses = resolved?;
        let mut lease = Lease::of(self.link(target, &addresses, trace).await?);
        let response = self.exchange(job, &addresses, &mut lease, trace).await?;
        trace.head = Some(Head::of(&response, (self.clock)(), (self.wall)()));
        let after = read_body(response.into_body(), &target.limits, &mut trace.captured).await?;
        // A response that is cut costs a shared connection only the one stream.
        lease.doubt.lift();
        if after == After::Reusable || lease.link.is_h2() {
            self.pool.put(&target.key, lease.link, (self.clock)());
        }
        Ok(())
    }

    /// A connection from the pool, or a new one.
    async fn link(
        &self,
        target: &Target,
        addresses: &[IpAddr],
        trace: &mut Trace,
    ) -> Result<Link, Failure> {
        let link = match self.pool.take(&target.key, addresses, (self.clock)()) {
            Some(link) => link,
            // boxed: it is large, and most attempts have no need of it
            None => Box::pin(self.dial(target, addresses, trace)).await?,
        };
        trace.remote = Some(link.peer);
        Ok(link)
    }

    async fn dial(
        &self,
        target: &Target,
        addresses: &[IpAddr],
        trace: &mut Trace,
    ) -> Result<Link, Failure> {
        let began = (self.clock)();
        let connected = dial::tcp(target, addresses).await;
        trace.phases.connect_us = self.micros_since(began);
        let (stream, peer) = connected?;
        trace.remote = Some(peer);
        let link = if target.key.https {
            let began = (self.clock)();
            let session = dial::tls(target, &self.tls, stream).await;
            trace.phases.tls_us = self.micros_since(began);
            let session = session?;
            match session.get_ref().1.alpn_protocol() {
                Some(b"h2") => Link::h2(session, peer, &self.spawner, &self.open).await,
                _ => Link::h1(session, peer, &self.spawner, &self.open).await,
            }
        } else {
            Link::h1(stream, peer, &self.spawner, &self.open).await
        };
        link.map_err(|error| Failure::of(Phase::Exchange, &error))
    }

    /// Sends the request and waits for the head of the response.
    async fn exchange(
        &self,
        job: &Job,
        addresses: &[IpAddr],
        lease: &mut Lease,
        trace: &mut Trace,
    ) -> Result<Response<Incoming>, Failure> {
        loop {
            if lease.link.reused && !lease.link.is_ready().await {
                *lease = Lease::of(self.link(&job.target, addresses, trace).await?);
                continue;
            }
            let began = (self.clock)();
            let form = if lease.link.is_h2() { Form::H2 } else { Form::H1 };
            let request = request::build(job, &self.user_agent, (self.wall)(), form)
                .map_err(|error| Failure::new(Outcome::Internal, error.to_string()))?;
            let timeout = job.target.limits.response_timeout;
            let sent = tokio::time::timeout(timeout, lease.link.send(request)).await;
            trace.phases.wait_us = self.micros_since(began);
            match sent {
                Ok(Ok(response)) => return Ok(response),
                Ok(Err(error)) if lease.link.reused && error.message().is_some() => {
                    // Closed at the last moment, and nothing of the request was sent.
                    *lease = Lease::of(self.link(&job.target, addresses, trace).await?);
                }
                Ok(Err(error)) => return Err(Failure::of(Phase::Exchange, error.error())),
                Err(_) => return Err(no_head_within(timeout)),
            }
        }
    }

    fn micros_since(&self, began: Time) -> u32 {
        u32::try_from((self.clock)().since(began).as_micros()).unwrap_or(u32::MAX)
    }
}

fn no_head_within(timeout: Duration) -> Failure {
    let detail = format!("no response within {timeout:?} of the request being sent");
    Failure::new(Outcome::TimeoutResponse, detail)
}

/// The connection of an attempt under way.
struct Lease {
    link: Link,
    doubt: Doubt,
}

impl Lease {
    fn of(link: Link) -> Lease {
        Lease { doubt: link.doubt(), link }
    }
}
