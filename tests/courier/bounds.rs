//! Receivers that hold back, or send without end.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use postrider::model::Outcome;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use crate::receiver::Receiver;
use crate::receiver::drain;
use crate::receiver::hear;
use crate::world::World;
use crate::world::limited;

const SHORT: Duration = Duration::from_millis(100);

/// Sends these bytes after the request, then nothing, and keeps the connection open.
async fn hanging_after(answer: &'static [u8]) -> Receiver {
    Receiver::plain(move |_, mut stream| async move {
        hear(&mut stream).await;
        stream.write_all(answer).await.unwrap();
        drain(&mut stream).await;
    })
    .await
}

/// Sends `head`, then `again` for ever; counts the bytes that went out.
async fn endless(head: &'static str, again: &'static [u8]) -> (Receiver, Arc<AtomicUsize>) {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let receiver = Receiver::plain(move |_, mut stream| {
        let count = Arc::clone(&count);
        async move {
            hear(&mut stream).await;
            stream.write_all(head.as_bytes()).await.unwrap();
            while stream.write_all(again).await.is_ok() {
                count.fetch_add(again.len(), Ordering::SeqCst);
            }
        }
    })
    .await;
    (receiver, sent)
}

#[tokio::test]
async fn no_connection_comes_about() {
    // A queue of one that is full: the system lets further connections wait unanswered.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let _first = TcpStream::connect(address).await.unwrap();
    let target = limited(&format!("http://{address}/"), |limits| limits.connect_timeout = SHORT);
    let attempt = World::new().attempt(target).await;
    assert_eq!(attempt.outcome, Outcome::TimeoutConnect, "{:?}", attempt.detail);
}

#[tokio::test]
async fn no_head_comes() {
    for part in [&b""[..], b"HTTP/1.1 200 OK\r\nx: "] {
        let receiver = hanging_after(part).await;
        let target = limited(&receiver.url(), |limits| limits.response_timeout = SHORT);
        let world = World::new();
        let attempt = world.attempt(target).await;
        assert_eq!((attempt.outcome, attempt.status), (Outcome::TimeoutResponse, None));
        world.connections_left(0).await;
    }
}

#[tokio::test]
async fn informational_answers_without_end_are_no_head() {
    let (receiver, _) = endless("", b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n").await;
    let target = limited(&receiver.url(), |limits| limits.response_timeout = SHORT);
    let world = World::new();
    assert_eq!(world.attempt(target).await.outcome, Outcome::TimeoutResponse);
    world.connections_left(0).await;
}

#[tokio::test]
async fn everything_together_takes_too_long() {
    let receiver = hanging_after(b"").await;
    let target = limited(&receiver.url(), |limits| limits.attempt_timeout = SHORT);
    let attempt = World::new().attempt(target).await;
    assert_eq!(attempt.outcome, Outcome::TimeoutTotal);
    assert_eq!(attempt.remote, Some(receiver.address.to_string()), "it tells how far it came");
}

#[tokio::test]
async fn a_body_that_does_not_end_in_time_is_no_success() {
    let receiver = hanging_after(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nslow").await;
    let target = limited(&receiver.url(), |limits| limits.attempt_timeout = SHORT);
    let world = World::new();
    let attempt = world.attempt(target).await;
    assert_eq!((attempt.outcome, attempt.status), (Outcome::TimeoutTotal, Some(200)));
    assert_eq!(&*attempt.response.unwrap().body, b"slow");
    world.connections_left(0).await;
    assert_eq!(world.courier.idle_connections(), 0);
}

#[tokio::test]
async fn a_body_that_trickles_is_bounded_by_time_alone() {
    let (receiver, _) = endless("HTTP/1.1 200 OK\r\ncontent-length: 536870912\r\n\r\n", b"x").await;
    let target = limited(&receiver.url(), |limits| {
        limits.attempt_timeout = SHORT;
        limits.max_response = usize::MAX;
    });
    let world = World::new();
    let attempt = world.attempt(target).await;
    assert_eq!((attempt.outcome, attempt.status), (Outcome::TimeoutTotal, Some(200)));
    world.connections_left(0).await;
}

#[tokio::test]
async fn of_a_failure_the_status_is_enough_in_time_too() {
    let receiver = hanging_after(b"HTTP/1.1 429 Slow\r\nretry-after: 9\r\n\r\n").await;
    let target = limited(&receiver.url(), |limits| limits.attempt_timeout = SHORT);
    let attempt = World::new().attempt(target).await;
    assert_eq!((attempt.outcome, attempt.status), (Outcome::Http429, Some(429)));
    assert!(attempt.retry_after.is_some());
}

#[tokio::test]
async fn a_body_without_end_is_cut_and_changes_nothing() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 536870912\r\n\r\n";
    let (receiver, sent) = endless(head, &[b'x'; 16 * 1024]).await;
    let world = World::new();
    let attempt = world.call(&receiver.url()).await;
    assert_eq!((attempt.outcome, attempt.response), (Outcome::Ok, None));
    world.connections_left(0).await;
    // What the system's buffers took may be a few MiB; all of it would be 512.
    assert!(sent.load(Ordering::SeqCst) < 32 * 1024 * 1024, "{sent:?}");
}

#[tokio::test]
async fn only_the_beginning_of_an_answer_is_kept() {
    let head = "HTTP/1.1 500 Oh\r\ntransfer-encoding: chunked\r\n\r\n";
    let (receiver, _) = endless(head, b"a\r\nsorrysorry\r\n").await;
    let attempt = World::new().call(&receiver.url()).await;
    assert_eq!(attempt.outcome, Outcome::Http5xx);
    let body = attempt.response.unwrap().body;
    assert_eq!(body.len(), 4096);
    assert!(body.starts_with(b"sorrysorry"));
}

#[tokio::test]
async fn the_limit_itself_is_not_beyond_it() {
    for (length, connections) in [(1000, 1), (1001, 2)] {
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
        let answer: Arc<str> = format!("{answer}{}", "x".repeat(length)).into();
        let receiver = Receiver::plain(move |_, stream| {
            let answer = Arc::clone(&answer);
            async move { crate::receiver::keep_answering(stream, answer.as_bytes()).await }
        })
        .await;
        let world = World::new();
        for _ in 0..2 {
            let target = limited(&receiver.url(), |limits| limits.max_response = 1000);
            assert_eq!(world.attempt(target).await.outcome, Outcome::Ok);
        }
        assert_eq!(receiver.connections(), connections, "{length} bytes");
    }
}

#[tokio::test]
async fn dropping_an_attempt_ends_it() {
    let (tell, told) = oneshot::channel();
    let tell = Arc::new(std::sync::Mutex::new(Some(tell)));
    let receiver = Receiver::plain(move |_, mut stream| {
        let tell = Arc::clone(&tell);
        async move {
            hear(&mut stream).await;
            tell.lock().unwrap().take().unwrap().send(()).unwrap();
            drain(&mut stream).await;
        }
    })
    .await;
    let (world, url) = (World::new(), receiver.url());
    tokio::select! {
        attempt = world.call(&url) => panic!("{attempt:?}"),
        heard = told => heard.unwrap(),
    }
    world.connections_left(0).await;
}
