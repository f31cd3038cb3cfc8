//! Receivers that break off, lie, or do not speak HTTP.

use postrider::model::Attempt;
use postrider::model::Outcome;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::receiver::Receiver;
use crate::receiver::drain;
use crate::receiver::hear;
use crate::receiver::reset;
use crate::world::World;

/// What comes of an answer after which the connection ends properly.
async fn after(answer: impl Into<Vec<u8>>) -> Attempt {
    let receiver = Receiver::answering(answer).await;
    World::new().call(&receiver.url()).await
}

/// What comes of an answer after which the connection is reset.
async fn after_reset(answer: &'static [u8]) -> Attempt {
    let receiver = Receiver::plain(move |_, mut stream| async move {
        hear(&mut stream).await;
        stream.write_all(answer).await.unwrap();
        reset(stream);
    })
    .await;
    World::new().call(&receiver.url()).await
}

#[tokio::test]
async fn nobody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let attempt = World::new().call(&format!("http://{address}/")).await;
    assert_eq!((attempt.outcome, attempt.status), (Outcome::ConnectRefused, None));
    assert_eq!(attempt.remote, None);
    assert!(attempt.detail.unwrap().contains(&address.to_string()));
}

#[tokio::test]
async fn it_closes_or_resets_without_reading() {
    let closing = Receiver::plain(|_, stream| async move { drop(stream) }).await;
    let resetting = Receiver::plain(|_, stream| async move { reset(stream) }).await;
    for receiver in [closing, resetting] {
        let attempt = World::new().call(&receiver.url()).await;
        assert_eq!(attempt.outcome, Outcome::ConnectionReset, "{:?}", attempt.detail);
        assert_eq!(receiver.connections(), 1, "a request that may have arrived is not repeated");
    }
}

#[tokio::test]
async fn it_breaks_off_before_the_head_is_complete() {
    for part in ["", "HTTP/1.1 200 OK\r\ncontent-le"] {
        assert_eq!(after(part).await.outcome, Outcome::ConnectionReset, "{part:?}");
        assert_eq!(after_reset(part.as_bytes()).await.outcome, Outcome::ConnectionReset);
    }
}

#[tokio::test]
async fn it_breaks_off_in_the_middle_of_a_body() {
    let lie = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort";
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n20\r\nshort";
    for answer in [lie, chunked] {
        let attempt = after(answer).await;
        assert_eq!(attempt.outcome, Outcome::ConnectionReset, "{:?}", attempt.detail);
        assert_eq!(attempt.status, Some(200));
        assert_eq!(&*attempt.response.unwrap().body, b"short");
        assert_eq!(after_reset(answer.as_bytes()).await.outcome, Outcome::ConnectionReset);
    }
}

#[tokio::test]
async fn of_a_failure_the_status_is_enough() {
    let answer = b"HTTP/1.1 410 Gone\r\ncontent-length: 100\r\n\r\ngone";
    let attempt = after_reset(answer).await;
    assert_eq!((attempt.outcome, attempt.status), (Outcome::Http410, Some(410)));
}

#[tokio::test]
async fn it_does_not_speak_http() {
    let answers: [&[u8]; 8] = [
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"<html>HTTP/0.9 needs no head</html>\r\n\r\n",
        b"\x00\x01\x02\x03\xff\xfe\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/3.7 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nno colon in sight\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
    ];
    for answer in answers {
        let attempt = after(answer).await;
        let shown = String::from_utf8_lossy(answer);
        assert_eq!(attempt.outcome, Outcome::ProtocolError, "{shown}: {:?}", attempt.detail);
        assert!(attempt.detail.is_some());
    }
}

#[tokio::test]
async fn its_head_is_too_large() {
    let long = format!("HTTP/1.1 200 OK\r\nx-long: {}\r\n\r\n", "a".repeat(1_000_000));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x-many: 1\r\n".repeat(101));
    for answer in [long, many] {
        let attempt = after(answer).await;
        assert_eq!(attempt.outcome, Outcome::ProtocolError, "{:?}", attempt.detail);
    }
}

#[tokio::test]
async fn nothing_is_left_behind() {
    let world = World::new();
    let receiver = Receiver::plain(|number, mut stream| async move {
        hear(&mut stream).await;
        let answer: &[u8] = match number {
            0 => b"",
            1 => b"nonsense\r\n\r\n",
            _ => b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort",
        };
        stream.write_all(answer).await.unwrap();
        stream.shutdown().await.unwrap();
        drain(&mut stream).await;
    })
    .await;
    for _ in 0..3 {
        assert_ne!(world.call(&receiver.url()).await.outcome, Outcome::Ok);
    }
    world.connections_left(0).await;
    assert_eq!(world.courier.idle_connections(), 0);
}
