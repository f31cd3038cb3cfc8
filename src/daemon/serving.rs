//! What is served where: the intake on one socket, the management API on another, and providers'
//! webhooks on a third, if they come in.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::OnceLock;

use axum::body::Body;
use http::Request;
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tokio::net::UnixListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tower::ServiceExt;

use crate::admin;
use crate::admin::Actor;
use crate::config;
use crate::config::Config;
use crate::config::SourceConfig;
use crate::config::secret::Secret;
use crate::config::sources::TypeRule;
use crate::config::value;
use crate::daemon::backend::Office;
use crate::daemon::desk::IngestDesk;
use crate::daemon::serve;
use crate::daemon::serve::Limits;
use crate::daemon::serve::Uid;
use crate::daemon::shared::Shared;
use crate::daemon::sockets::HttpSocket;
use crate::daemon::sockets::Socket;
use crate::daemon::sockets::Sockets;
use crate::intake::Idempotency;
use crate::intake::Intake;
use crate::intake::Peer;
use crate::intake::Provider;
use crate::intake::Settings;
use crate::intake::SourceTerms;
use crate::intake::answer::Answer;
use crate::policy::scheme::Key;

/// Starts the servers. The future ends when all have.
///
/// # Errors
/// If a socket cannot be handed to the runtime.
pub(crate) fn start(
    shared: &Arc<Shared>,
    office: &Arc<Office>,
    sockets: Sockets,
    stop: &watch::Receiver<bool>,
    intake: &OnceLock<Arc<Intake<IngestDesk>>>,
) -> io::Result<impl Future<Output = ()> + use<>> {
    let limits = limits(&shared.rules.load().config);
    let Sockets { ingest, admin, http } = sockets;
    let ingest_listener = listener(&ingest)?;
    let admin_listener = listener(&admin)?;
    let intake = Arc::clone(intake.get_or_init(|| Arc::new(new_intake(shared, office))));
    let http = http.map(|http| serve_http(http, &intake, limits, stop)).transpose()?;
    let stop_ingest = stop.clone();
    let ingest = tokio::spawn(async move {
        serve_ingest(intake, ingest_listener, limits, stop_ingest).await;
        drop(ingest);
    });
    let admin = tokio::spawn({
        let (shared, office, stop) = (Arc::clone(shared), Arc::clone(office), stop.clone());
        async move {
            serve_admin(shared, office, admin_listener, limits, stop).await;
            drop(admin);
        }
    });
    Ok(async {
        let _ = tokio::join!(ingest, admin);
        if let Some(http) = http {
            let _ = http.await;
        }
    })
}

fn listener(socket: &Socket) -> io::Result<UnixListener> {
    UnixListener::from_std(socket.listener.try_clone()?)
}

fn limits(config: &Config) -> Limits {
    Limits {
        connections: usize::try_from(config.listen.max_connections).unwrap_or(usize::MAX),
        head_timeout: config.listen.header_read_timeout.get(),
    }
}

/// The intake's limits and habits, by the configuration.
pub(crate) fn intake_settings(config: &Config) -> Settings {
    let ingest = &config.ingest;
    Settings {
        payload_bytes_max: ingest.max_payload.in_memory(),
        batch_events_max: usize::try_from(ingest.max_batch).unwrap_or(usize::MAX),
        batch_bytes_max: ingest.max_batch_bytes.in_memory(),
        rate_max: ingest.rate_max(),
        sources: config.sources.iter().map(|one| (one.identity(), terms(one))).collect(),
        providers: config.sources.iter().filter_map(provider).collect(),
        hops_max: ingest.max_hops,
        json_only: ingest.require_json,
        idempotency: match ingest.idempotency {
            value::Idempotency::Required => Idempotency::Required,
            value::Idempotency::Optional => Idempotency::Optional,
            value::Idempotency::Off => Idempotency::Off,
        },
        body_timeout: config.listen.request_timeout.get(),
    }
}

fn terms(source: &SourceConfig) -> SourceTerms {
    SourceTerms {
        name: Arc::clone(&source.name),
        types: source.types.clone(),
        payload_bytes_max: source.max_payload.map(|size| size.in_memory()),
        rate: source.rate,
    }
}

/// A source as a provider, by its path.
fn provider(source: &SourceConfig) -> Option<(String, Provider)> {
    let provider = source.provider()?;
    let (fixed_type, event_type) = match &provider.event_type {
        TypeRule::Fixed(fixed) => (Some(fixed.clone()), Vec::new()),
        TypeRule::Found(places) => (None, places.clone()),
    };
    // the configuration has read each of them by the same scheme
    let key = |secret: &Secret| Key::parse(&provider.scheme, secret.expose()).ok();
    let provider = Provider {
        name: Arc::clone(&source.name),
        identity: source.identity(),
        scheme: Arc::clone(&provider.scheme),
        keys: provider.secrets.iter().filter_map(key).collect(),
        tolerance: provider.tolerance,
        external_url: provider.external_url.clone(),
        fixed_type,
        event_type,
        type_prefix: provider.type_prefix.clone(),
        verify_token: provider.verify_token.as_ref().and_then(key),
    };
    Some((source.provider()?.path.clone(), provider))
}

fn new_intake(shared: &Arc<Shared>, office: &Arc<Office>) -> Intake<IngestDesk> {
    let settings = intake_settings(&shared.rules.load().config);
    let desk = IngestDesk {
        shared: Arc::clone(shared),
        office: Arc::clone(office),
        series: shared.metrics.listener("ingest"),
        http_series: shared.metrics.listener("http"),
        said: Mutex::default(),
    };
    Intake::new(Arc::new(desk), settings)
}

/// Providers, or a reverse proxy that stands before them.
fn serve_http(
    http: HttpSocket,
    intake: &Arc<Intake<IngestDesk>>,
    limits: Limits,
    stop: &watch::Receiver<bool>,
) -> io::Result<JoinHandle<()>> {
    let (intake, stop) = (Arc::clone(intake), stop.clone());
    match http {
        HttpSocket::Tcp(listener) => {
            let listener = TcpListener::from_std(listener)?;
            let address = listener.local_addr()?;
            tracing::info!(event = "listener.ready", listener = "http", %address);
            let handler = move |_: SocketAddr, request| receive(Arc::clone(&intake), request);
            Ok(tokio::spawn(serve::serve(listener, limits, handler, stop)))
        }
        HttpSocket::Unix(socket) => {
            let listener = listener(&socket)?;
            let handler = move |_: Uid, request| receive(Arc::clone(&intake), request);
            Ok(tokio::spawn(async move {
                serve::serve(listener, limits, handler, stop).await;
                drop(socket);
            }))
        }
    }
}

/// Answers a webhook, whoever is at the other end: it has to prove itself.
async fn receive(intake: Arc<Intake<IngestDesk>>, request: Request<Incoming>) -> Answer {
    intake.receive(request).await
}

async fn serve_ingest(
    intake: Arc<Intake<IngestDesk>>,
    listener: UnixListener,
    limits: Limits,
    stop: watch::Receiver<bool>,
) {
    let handler = move |Uid(uid): Uid, request: Request<Incoming>| {
        let intake = Arc::clone(&intake);
        async move {
            let peer = Peer { source: config::sources::identity(uid) };
            intake.answer(&peer, request).await
        }
    };
    serve::serve(listener, limits, handler, stop).await;
}

async fn serve_admin(
    shared: Arc<Shared>,
    office: Arc<Office>,
    listener: UnixListener,
    limits: Limits,
    stop: watch::Receiver<bool>,
) {
    let ids = {
        let shared = Arc::clone(&shared);
        Arc::new(move || shared.request_id())
    };
    let router = admin::router(office, Arc::clone(&shared.metrics), ids);
    let handler = move |Uid(uid): Uid, request: Request<Incoming>| {
        let router = router.clone();
        async move {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(Actor(format!("uid:{uid}").into()));
            // a router cannot fail
            router.oneshot(request).await.unwrap_or_else(|never| match never {})
        }
    };
    serve::serve(listener, limits, handler, stop).await;
}
