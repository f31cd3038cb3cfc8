//! What a courier needs around it, with a clock and names that the test controls.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use postrider::courier::Courier;
use postrider::courier::EgressRules;
use postrider::courier::Handles;
use postrider::courier::Job;
use postrider::courier::Limits;
use postrider::courier::Resolve;
use postrider::courier::Roots;
use postrider::courier::Settings;
use postrider::courier::Spawner;
use postrider::courier::Target;
use postrider::courier::TargetSpec;
use postrider::courier::TlsVersion;
use postrider::courier::resolve::Lookup;
use postrider::model::Attempt;
use postrider::model::DeliveryId;
use postrider::model::EndpointNo;
use postrider::model::Event;
use postrider::model::EventId;
use postrider::model::Time;
use postrider::policy::keys::SigningKey;

pub(crate) const NOW: Time = Time::from_secs(1_795_256_102);
pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A trusted certificate that no test has the key of; reading the system's takes longer.
const AUTHORITY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/authority.pem");

/// Long enough for anything that is not meant to time out.
const LONG: Duration = Duration::from_secs(20);

pub(crate) struct World {
    pub(crate) courier: Courier,
    pub(crate) clock: Arc<AtomicU64>,
    /// How far the wall clock is behind, in seconds.
    pub(crate) behind: Arc<AtomicU64>,
    pub(crate) names: Arc<Names>,
}

/// Answers in turn; the last one stays, and where there is none the answer never comes.
#[derive(Default)]
pub(crate) struct Names(Mutex<HashMap<String, VecDeque<Vec<IpAddr>>>>);

impl Names {
    pub(crate) fn set(&self, name: &str, answers: &[&[&str]]) {
        let answers = answers.iter().map(|one| one.iter().map(|a| a.parse().unwrap()).collect());
        self.0.lock().unwrap().insert(name.to_owned(), answers.collect());
    }
}

impl Resolve for Names {
    fn resolve(&self, name: Arc<str>) -> Lookup {
        let mut names = self.0.lock().unwrap();
        let Some(answers) = names.get_mut(&*name) else {
            return Box::pin(std::future::ready(Err(std::io::Error::other("no such name"))));
        };
        match answers.len() {
            0 => Box::pin(std::future::pending()),
            1 => Box::pin(std::future::ready(Ok(answers[0].clone()))),
            _ => Box::pin(std::future::ready(Ok(answers.pop_front().unwrap()))),
        }
    }
}

pub(crate) fn settings() -> Settings {
    Settings {
        user_agent: "postrider/test".to_owned(),
        http2: true,
        pool_idle_timeout: Duration::from_secs(60),
        dns_cache_ttl: Duration::from_secs(30),
        roots: Roots::File(AUTHORITY.into()),
        extra_roots: Vec::new(),
        tls_min: TlsVersion::V1_2,
    }
}

pub(crate) fn limits() -> Limits {
    Limits {
        dns_timeout: LONG,
        connect_timeout: LONG,
        tls_timeout: LONG,
        response_timeout: LONG,
        attempt_timeout: LONG,
        max_response: 64 * 1024,
        capture_response: 4096,
    }
}

/// Private addresses are blocked, but for 127.0.0.1.
pub(crate) fn rules() -> EgressRules {
    EgressRules {
        block_private: true,
        allow: vec!["127.0.0.1/32".parse().unwrap()],
        ..EgressRules::default()
    }
}

pub(crate) fn spec(url: &str) -> TargetSpec {
    TargetSpec {
        url: url.to_owned(),
        headers: vec![("X-Shop".to_owned(), "seven".to_owned())],
        content_type: None,
        keys: vec![SigningKey::parse(SECRET).unwrap()],
        signature_prefix: "webhook-".to_owned(),
        limits: limits(),
        allow: Vec::new(),
    }
}

pub(crate) fn target(url: &str) -> Arc<Target> {
    Arc::new(Target::new(spec(url), &rules()).unwrap())
}

/// A target with other limits.
pub(crate) fn limited(url: &str, change: impl FnOnce(&mut Limits)) -> Arc<Target> {
    let mut spec = spec(url);
    change(&mut spec.limits);
    Arc::new(Target::new(spec, &rules()).unwrap())
}

pub(crate) fn event() -> Event {
    let id = EventId::v7(NOW, 1, 2);
    Event {
        id,
        event_type: "order.created".parse().unwrap(),
        accepted_at: NOW,
        source: "uid:1000".into(),
        content_type: "application/json".into(),
        body: bytes::Bytes::from_static(br#"{"n":1}"#),
        attributes: Box::default(),
        targets: vec![EndpointNo(1)],
        orders: Vec::new(),
        dedupes: Vec::new(),
        held: Vec::new(),
    }
}

pub(crate) fn job(target: Arc<Target>, event: Event) -> Job {
    let delivery = DeliveryId::new(event.id, EndpointNo(1));
    Job { target, delivery, event: Arc::new(event), attempt: 3 }
}

impl World {
    pub(crate) fn new() -> World {
        World::with(&settings())
    }

    /// The clock goes on by a microsecond each time it is read, and otherwise as the test says.
    pub(crate) fn with(settings: &Settings) -> World {
        let clock = Arc::new(AtomicU64::new(NOW.as_micros()));
        let names = Arc::new(Names::default());
        let behind = Arc::new(AtomicU64::new(0));
        let (ticking, read, lag) = (Arc::clone(&clock), Arc::clone(&clock), Arc::clone(&behind));
        let handles = Handles {
            clock: Arc::new(move || Time::from_micros(ticking.fetch_add(1, Ordering::SeqCst))),
            wall: Arc::new(move || {
                let lag = Duration::from_secs(lag.load(Ordering::SeqCst));
                Time::from_micros(read.load(Ordering::SeqCst)).minus(lag)
            }),
            spawner: Spawner::new(|task| drop(tokio::spawn(task))),
            resolver: Arc::clone(&names) as Arc<dyn Resolve>,
        };
        World { courier: Courier::new(settings, handles).unwrap(), clock, behind, names }
    }

    pub(crate) fn now(&self) -> Time {
        Time::from_micros(self.clock.load(Ordering::SeqCst))
    }

    pub(crate) fn pass(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap();
        self.clock.fetch_add(micros, Ordering::SeqCst);
    }

    /// Waits until connections that nobody needs have ended.
    pub(crate) async fn connections_left(&self, count: usize) {
        let ended = async {
            while self.courier.open_connections() != count {
                tokio::task::yield_now().await;
            }
        };
        let ended = tokio::time::timeout(LONG, ended).await;
        assert!(ended.is_ok(), "{} connections are open", self.courier.open_connections());
    }

    pub(crate) async fn attempt(&self, target: Arc<Target>) -> Attempt {
        self.courier.attempt(job(target, event())).await
    }

    pub(crate) async fn call(&self, url: &str) -> Attempt {
        self.attempt(target(url)).await
    }
}
