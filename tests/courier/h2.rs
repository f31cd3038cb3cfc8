//! HTTP/2, where the receiver chooses it.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use postrider::courier::Settings;
use postrider::model::Outcome;

use crate::authority::Authority;
use crate::authority::BOTH;
use crate::authority::NAME;
use crate::authority::acceptor;
use crate::authority::url;
use crate::receiver::Receiver;
use crate::receiver::keep_answering;
use crate::world::World;
use crate::world::event;
use crate::world::job;
use crate::world::limited;
use crate::world::target;

/// What a receiver does with its n-th request.
#[derive(Clone, Copy)]
enum Do {
    Answer,
    Reset,
    Hang,
    Long,
}

/// A receiver that does these things in turn, the last one from then on.
struct Script {
    receiver: Receiver,
    authority: Authority,
    heads: Arc<Mutex<Vec<http::request::Parts>>>,
}

async fn acting(script: &'static [Do]) -> Script {
    let authority = Authority::new();
    let heads: Arc<Mutex<Vec<http::request::Parts>>> = Arc::default();
    let (heard, count) = (Arc::clone(&heads), Arc::new(AtomicUsize::new(0)));
    let service = service_fn(move |request: http::Request<Incoming>| {
        heard.lock().unwrap().push(request.into_parts().0);
        let turn = count.fetch_add(1, Ordering::SeqCst).min(script.len() - 1);
        async move {
            match script[turn] {
                Do::Answer => Ok(http::Response::new(Full::new(Bytes::from_static(b"fine")))),
                Do::Long => Ok(http::Response::new(Full::new(vec![b'x'; 1_000_000].into()))),
                Do::Reset => Err("no"),
                Do::Hang => std::future::pending().await,
            }
        }
    });
    let acceptor = acceptor(authority.identity(|_| {}), BOTH, &["h2", "http/1.1"]);
    let receiver = Receiver::secure(acceptor, move |_, stream| {
        let service = service.clone();
        async move {
            let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            let _ = builder.serve_connection(TokioIo::new(stream), service).await;
        }
    })
    .await;
    Script { receiver, authority, heads }
}

#[tokio::test]
async fn requests_share_a_connection() {
    let script = acting(&[Do::Answer]).await;
    let (world, url) = (script.authority.world(), url(&script.receiver));
    let first = world.call(&url).await;
    assert_eq!(first.outcome, Outcome::Ok, "{:?}", first.detail);
    let (second, third) = tokio::join!(world.call(&url), world.call(&url));
    for attempt in [second, third] {
        assert_eq!(attempt.outcome, Outcome::Ok, "{:?}", attempt.detail);
        assert_eq!((attempt.phases.connect_us, attempt.phases.tls_us), (0, 0));
    }
    assert_eq!(script.receiver.connections(), 1);
    assert_eq!((world.courier.open_connections(), world.courier.idle_connections()), (1, 1));

    let heads = script.heads.lock().unwrap();
    let head = &heads[0];
    assert_eq!(head.version, http::Version::HTTP_2);
    assert_eq!(head.method, http::Method::POST);
    assert_eq!(head.uri, url.as_str());
    assert_eq!(head.headers["content-length"], "7");
    assert!(head.headers.contains_key("webhook-signature") && !head.headers.contains_key("host"));
}

#[tokio::test]
async fn it_is_not_offered_where_it_is_switched_off_and_not_needed_where_it_is_unknown() {
    let authority = Authority::new();
    let answer = b"HTTP/1.1 204 No Content\r\n\r\n";
    let acceptor = acceptor(authority.identity(|_| {}), BOTH, &["http/1.1"]);
    let old = Receiver::secure(acceptor, |_, stream| keep_answering(stream, answer)).await;
    assert_eq!(authority.world().call(&url(&old)).await.status, Some(204));

    // A server that speaks nothing but HTTP/2 finds no protocol in common.
    let script = acting(&[Do::Answer]).await;
    let settings = Settings { http2: false, ..script.authority.settings() };
    let world = World::with(&settings);
    world.names.set(NAME, &[&["127.0.0.1"]]);
    let attempt = world.call(&url(&script.receiver)).await;
    assert_ne!(attempt.outcome, Outcome::Ok);
    assert!(script.heads.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_stream_that_is_reset_fails_alone() {
    let script = acting(&[Do::Answer, Do::Reset, Do::Answer]).await;
    let (world, url) = (script.authority.world(), url(&script.receiver));
    let outcomes = [
        world.call(&url).await.outcome,
        world.call(&url).await.outcome,
        world.call(&url).await.outcome,
    ];
    assert_eq!(outcomes, [Outcome::Ok, Outcome::ConnectionReset, Outcome::Ok]);
    assert_eq!(script.heads.lock().unwrap().len(), 3, "nothing is sent twice");
}

#[tokio::test]
async fn a_connection_that_left_us_waiting_is_not_trusted_again() {
    let script = acting(&[Do::Answer, Do::Hang, Do::Answer]).await;
    let (world, url) = (script.authority.world(), url(&script.receiver));
    assert_eq!(world.call(&url).await.outcome, Outcome::Ok);
    let target = limited(&url, |limits| limits.response_timeout = Duration::from_millis(50));
    assert_eq!(world.attempt(target).await.outcome, Outcome::TimeoutResponse);
    assert_eq!(world.call(&url).await.outcome, Outcome::Ok);
    assert_eq!(script.receiver.connections(), 2);
    world.connections_left(1).await;
}

#[tokio::test]
async fn cutting_a_long_answer_costs_only_its_stream() {
    let script = acting(&[Do::Answer, Do::Long, Do::Answer]).await;
    let (world, url) = (script.authority.world(), url(&script.receiver));
    for _ in 0..3 {
        assert_eq!(world.call(&url).await.outcome, Outcome::Ok);
    }
    assert_eq!(script.receiver.connections(), 1);
}

#[tokio::test]
async fn a_large_request_may_be_answered_unread() {
    let script = acting(&[Do::Answer]).await;
    let (world, url) = (script.authority.world(), url(&script.receiver));
    for _ in 0..3 {
        let mut large = event();
        large.body = vec![b'x'; 4 * 1024 * 1024].into();
        let attempt = world.courier.attempt(job(target(&url), large)).await;
        assert_eq!(attempt.outcome, Outcome::Ok, "{:?}", attempt.detail);
    }
}
