//! Connections that are used again, and those that must not be.

use std::io::Read;
use std::io::Write;
use std::time::Duration;

use postrider::model::Outcome;
use tokio::io::AsyncWriteExt;

use crate::receiver::Receiver;
use crate::receiver::drain;
use crate::receiver::hear;
use crate::receiver::keep_answering;
use crate::world::World;
use crate::world::event;
use crate::world::job;
use crate::world::target;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

async fn keeping() -> Receiver {
    Receiver::plain(|_, stream| keep_answering(stream, ANSWER)).await
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let receiver = keeping().await;
    let world = World::new();
    let first = world.call(&receiver.url()).await;
    let second = world.call(&receiver.url()).await;
    assert_eq!((first.outcome, second.outcome), (Outcome::Ok, Outcome::Ok));
    assert!(first.phases.connect_us > 0);
    let phases = second.phases;
    assert_eq!((phases.dns_us, phases.connect_us, phases.tls_us), (0, 0, 0));
    assert_eq!(second.remote, Some(receiver.address.to_string()));
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_is_replaced_within_the_attempt() {
    let receiver = Receiver::plain(|_, mut stream| async move {
        hear(&mut stream).await;
        stream.write_all(ANSWER).await.unwrap();
    })
    .await;
    let world = World::new();
    for _ in 0..3 {
        assert_eq!(world.call(&receiver.url()).await.outcome, Outcome::Ok);
        world.connections_left(0).await;
    }
    assert_eq!(receiver.connections(), 3);
}

/// The same, where the courier has had no chance yet to notice that the connection was closed.
#[tokio::test]
async fn a_connection_that_is_found_closed_is_replaced_within_the_attempt() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (tell, told) = std::sync::mpsc::channel();
    let receiver = std::thread::spawn(move || {
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().unwrap();
            let mut heard = Vec::new();
            while !heard.ends_with(br#"{"n":1}"#) {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                heard.push(byte[0]);
            }
            stream.write_all(ANSWER).unwrap();
            drop(stream);
            tell.send(()).unwrap();
        }
    });
    let world = World::new();
    assert_eq!(world.call(&url).await.outcome, Outcome::Ok);
    // This holds up the only thread of the runtime, so that nothing of the courier goes on.
    told.recv().unwrap();
    let attempt = world.call(&url).await;
    assert_eq!(attempt.outcome, Outcome::Ok, "{:?}", attempt.detail);
    receiver.join().unwrap();
}

#[tokio::test]
async fn a_connection_whose_last_request_was_not_read_to_its_end_is_not_used() {
    let receiver = Receiver::plain(|number, mut stream| async move {
        match number {
            0 => {
                tokio::io::AsyncReadExt::read_u8(&mut stream).await.unwrap();
                let refusal = b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n";
                stream.write_all(refusal).await.unwrap();
                std::future::pending().await
            }
            _ => keep_answering(stream, ANSWER).await,
        }
    })
    .await;
    let world = World::new();
    let mut large = event();
    large.body = vec![b'x'; 16 * 1024 * 1024].into();
    let first = world.courier.attempt(job(target(&receiver.url()), large)).await;
    assert_eq!(first.outcome, Outcome::Http4xx);
    let second = world.call(&receiver.url()).await;
    assert_eq!(second.outcome, Outcome::Ok, "{:?}", second.detail);
    assert_eq!(receiver.connections(), 2);
    // The first one would wait for its receiver for ever, had nobody ended it.
    world.connections_left(1).await;
}

#[tokio::test]
async fn a_request_that_may_have_been_read_is_never_sent_again() {
    let receiver = Receiver::plain(|_, mut stream| async move {
        hear(&mut stream).await;
        stream.write_all(ANSWER).await.unwrap();
        hear(&mut stream).await;
    })
    .await;
    let world = World::new();
    assert_eq!(world.call(&receiver.url()).await.outcome, Outcome::Ok);
    assert_eq!(world.call(&receiver.url()).await.outcome, Outcome::ConnectionReset);
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn a_receiver_that_wants_to_close_is_obeyed() {
    let close = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok";
    let receiver = Receiver::plain(|_, stream| keep_answering(stream, close)).await;
    let world = World::new();
    for _ in 0..2 {
        assert_eq!(world.call(&receiver.url()).await.outcome, Outcome::Ok);
    }
    assert_eq!(receiver.connections(), 2);
    world.connections_left(0).await;
}

#[tokio::test]
async fn an_answer_to_a_question_nobody_asked_spoils_the_connection() {
    let receiver = Receiver::plain(|_, mut stream| async move {
        hear(&mut stream).await;
        let forged = b"HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(&[ANSWER, forged].concat()).await.unwrap();
        drain(&mut stream).await;
    })
    .await;
    let world = World::new();
    for _ in 0..2 {
        assert_eq!(world.call(&receiver.url()).await.outcome, Outcome::Ok);
        world.connections_left(0).await;
    }
    assert_eq!(receiver.connections(), 2);
}

#[tokio::test]
async fn attempts_at_once_have_connections_of_their_own() {
    let receiver = keeping().await;
    let world = World::new();
    let url = receiver.url();
    let (a, b, c) = tokio::join!(world.call(&url), world.call(&url), world.call(&url));
    assert_eq!([a.outcome, b.outcome, c.outcome], [Outcome::Ok; 3]);
    assert_eq!((receiver.connections(), world.courier.idle_connections()), (3, 3));
    assert_eq!(world.call(&url).await.outcome, Outcome::Ok);
    assert_eq!(receiver.connections(), 3);
}

#[tokio::test]
async fn idle_connections_are_closed_in_time() {
    let receiver = keeping().await;
    let world = World::new();
    world.call(&receiver.url()).await;
    assert_eq!(world.courier.idle_connections(), 1);
    world.pass(Duration::from_secs(61));
    world.courier.sweep(world.now());
    assert_eq!(world.courier.idle_connections(), 0);
    world.connections_left(0).await;

    world.call(&receiver.url()).await;
    world.pass(Duration::from_secs(61));
    world.call(&receiver.url()).await;
    assert_eq!(receiver.connections(), 3, "too old, though nobody swept");
}

#[tokio::test]
async fn another_host_name_has_another_connection() {
    let receiver = keeping().await;
    let world = World::new();
    for name in ["one.example.org", "two.example.org"] {
        world.names.set(name, &[&["127.0.0.1"]]);
        let url = format!("http://{name}:{}/", receiver.address.port());
        assert_eq!(world.call(&url).await.outcome, Outcome::Ok);
    }
    assert_eq!(receiver.connections(), 2);
}
