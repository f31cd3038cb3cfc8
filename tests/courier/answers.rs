//! What a proper receiver hears, and what its answers mean.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use postrider::model::Outcome;
use postrider::model::Time;
use postrider::policy::header::is_reserved;
use postrider::policy::keys::VerifyingKey;
use postrider::policy::verify::Signed;
use postrider::policy::verify::verify;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

use crate::receiver::Heard;
use crate::receiver::Receiver;
use crate::receiver::drain;
use crate::receiver::hear;
use crate::world::NOW;
use crate::world::SECRET;
use crate::world::World;
use crate::world::event;
use crate::world::job;
use crate::world::target;

async fn listening() -> (Receiver, mpsc::UnboundedReceiver<Heard>) {
    let (tell, told) = mpsc::unbounded_channel();
    let receiver = Receiver::plain(move |_, mut stream| {
        let tell = tell.clone();
        async move {
            while let Some(heard) = hear(&mut stream).await {
                tell.send(heard).unwrap();
                stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
            }
        }
    })
    .await;
    (receiver, told)
}

#[tokio::test]
async fn the_request_is_the_one_that_is_promised() {
    let (receiver, mut told) = listening().await;
    let mut event = event();
    event.attributes.tenant = Some("Kopi \u{201c}Tiga\u{201d}".to_owned());
    event.attributes.correlation_id = Some("c-1".to_owned());
    event.attributes.occurred_at = Some(Time::from_secs(1_795_000_000));
    event.attributes.hops = 2;
    event.attributes.schema_version = Some("2".to_owned());
    event.attributes.traceparent = Some(format!("00-{:032x}-{:016x}-01", 7, 9));
    let world = World::new();
    let job = job(target(&receiver.url()), event.clone());
    let delivery = job.delivery;
    let attempt = world.courier.attempt(job).await;

    assert_eq!((attempt.outcome, attempt.status), (Outcome::Ok, Some(204)));
    assert_eq!(attempt.remote, Some(receiver.address.to_string()));
    assert_eq!((attempt.detail, attempt.response), (None, None));
    let phases = attempt.phases;
    assert!(phases.connect_us > 0 && phases.wait_us > 0 && phases.total_us > phases.wait_us);
    assert_eq!(phases.tls_us, 0);

    let heard = told.recv().await.unwrap();
    assert_eq!(heard.line, "POST /hook?a=b HTTP/1.1");
    assert_eq!(heard.body, event.body);
    let header = |name: &str| heard.headers.get(name).map_or("(missing)", String::as_str);
    assert_eq!(header("host"), receiver.address.to_string());
    assert_eq!(header("content-type"), "application/json");
    assert_eq!(header("user-agent"), "postrider/test");
    assert_eq!(header("webhook-id"), event.id.to_string());
    assert_eq!(header("webhook-timestamp"), NOW.as_secs().to_string());
    assert_eq!(header("postrider-event-type"), "order.created");
    assert_eq!(header("postrider-attempt"), "3");
    assert_eq!(header("postrider-delivery-id"), delivery.to_string());
    assert_eq!(header("postrider-tenant"), "Kopi%20%E2%80%9CTiga%E2%80%9D");
    assert_eq!(header("postrider-correlation-id"), "c-1");
    assert_eq!(header("postrider-occurred-at"), "2026-11-18T11:06:40.000Z");
    assert_eq!(header("postrider-sequence"), event.sequence().to_string());
    assert_eq!(header("postrider-hops"), "3", "one more than the event came with");
    assert_eq!(header("postrider-schema-version"), "2");
    assert_eq!(header("traceparent"), format!("00-{:032x}-{:016x}-01", 7, 9));
    assert_eq!(header("x-shop"), "seven");
    // what is ours cannot be added a second time by an endpoint's configuration
    let added: Vec<_> = heard.headers.keys().filter(|name| !is_reserved(name)).collect();
    assert_eq!(added, ["x-shop"]);
    let signed = Signed {
        id: Some(header("webhook-id").as_bytes()),
        timestamp: Some(header("webhook-timestamp").as_bytes()),
        signature: Some(header("webhook-signature").as_bytes()),
        body: &heard.body,
    };
    let key = VerifyingKey::parse(SECRET).unwrap();
    assert_eq!(verify(&[key], &signed, NOW.as_secs(), Some(1)), Ok(()));
}

#[tokio::test]
async fn signatures_follow_the_wall_clock_back() {
    let (receiver, mut told) = listening().await;
    let world = World::new();
    world.behind.store(7_200, Ordering::SeqCst);
    assert_eq!(world.call(&receiver.url()).await.outcome, Outcome::Ok);
    let heard = told.recv().await.unwrap();
    let said: u64 = heard.headers["webhook-timestamp"].parse().unwrap();
    assert_eq!(said, NOW.as_secs() - 7_200);
}

#[tokio::test]
async fn bodies_arrive_byte_for_byte() {
    let (receiver, mut told) = listening().await;
    let world = World::new();
    let every_byte: Vec<u8> = (0..=255).cycle().take(1024 * 1024).collect();
    for body in [Vec::new(), b"\xff\xfe not utf-8 \x00".to_vec(), every_byte] {
        let mut event = event();
        event.body = body.clone().into();
        let attempt = world.courier.attempt(job(target(&receiver.url()), event)).await;
        assert_eq!(attempt.outcome, Outcome::Ok);
        assert!(told.recv().await.unwrap().body == body, "{} bytes", body.len());
    }
}

#[tokio::test]
async fn a_status_decides() {
    let world = World::new();
    let cases = [
        ("200 OK", Outcome::Ok),
        ("302 Found", Outcome::Http3xx),
        ("400 Bad Request", Outcome::Http4xx),
        ("408 Request Timeout", Outcome::Http408),
        ("410 Gone", Outcome::Http410),
        ("429 Too Many Requests", Outcome::Http429),
        ("500 Internal Server Error", Outcome::Http5xx),
        ("999 Odd", Outcome::ProtocolError),
        ("101 Switching Protocols", Outcome::ProtocolError),
    ];
    for (status, outcome) in cases {
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        let receiver = Receiver::answering(answer).await;
        let attempt = world.call(&receiver.url()).await;
        assert_eq!(attempt.outcome, outcome, "{status}");
        let digits = status.split_once(' ').unwrap().0;
        assert_eq!(attempt.status.unwrap().to_string(), digits);
    }
}

#[tokio::test]
async fn a_redirect_is_told_but_not_followed() {
    let elsewhere = Receiver::answering("HTTP/1.1 200 OK\r\n\r\n").await;
    let answer = format!("HTTP/1.1 307 There\r\nlocation: {}\r\n\r\n", elsewhere.url());
    let receiver = Receiver::answering(answer).await;
    let attempt = World::new().call(&receiver.url()).await;
    assert_eq!(attempt.outcome, Outcome::Http3xx);
    assert!(attempt.detail.unwrap().contains(&elsewhere.url()));
    assert_eq!((receiver.connections(), elsewhere.connections()), (1, 0));
}

#[tokio::test]
async fn retry_after_becomes_a_time_and_the_answer_an_excerpt() {
    let answer = "HTTP/1.1 503 Busy\r\nretry-after: 120\r\ncontent-type: text/plain\r\n\
                  content-length: 11\r\n\r\ncome later.";
    let receiver = Receiver::answering(answer).await;
    let attempt = World::new().call(&receiver.url()).await;
    assert_eq!(attempt.outcome, Outcome::Http5xx);
    assert_eq!(attempt.retry_after.unwrap().as_secs(), NOW.as_secs() + 120);
    let excerpt = attempt.response.unwrap();
    assert_eq!(excerpt.content_type, "text/plain");
    assert_eq!(&*excerpt.body, b"come later.");
}

#[tokio::test]
async fn a_date_to_come_back_at_is_one_of_the_wall_clock() {
    // a minute after what the wall clock says, which is two hours behind
    let answer = "HTTP/1.1 503 Busy\r\nretry-after: Sat, 21 Nov 2026 08:16:02 GMT\r\n\
                  content-length: 0\r\n\r\n";
    let receiver = Receiver::answering(answer).await;
    let world = World::new();
    world.behind.store(7_200, Ordering::SeqCst);
    let attempt = world.call(&receiver.url()).await;
    let asked = attempt.retry_after.unwrap().since(NOW);
    assert!((59..=60).contains(&asked.as_secs()), "{asked:?}");
}

#[tokio::test]
async fn informational_answers_are_passed_over() {
    let answer = "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n\
                  HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let receiver = Receiver::answering(answer).await;
    let attempt = World::new().call(&receiver.url()).await;
    assert_eq!((attempt.outcome, attempt.status), (Outcome::Ok, Some(200)));
}

#[tokio::test]
async fn an_answer_may_come_before_the_whole_request_was_read() {
    let receiver = Receiver::plain(|_, mut stream| async move {
        stream.read_u8().await.unwrap();
        let refusal = b"HTTP/1.1 413 Too Large\r\nconnection: close\r\n\r\n";
        stream.write_all(refusal).await.unwrap();
        stream.shutdown().await.unwrap();
        drain(&mut stream).await;
    })
    .await;
    let mut event = event();
    event.body = vec![b'x'; 8 * 1024 * 1024].into();
    let attempt = World::new().courier.attempt(job(target(&receiver.url()), event)).await;
    assert_eq!(attempt.outcome, Outcome::Http4xx, "{:?}", attempt.detail);
}

#[tokio::test]
async fn attempts_can_run_on_any_thread() {
    let receiver = Receiver::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let (world, url) = (World::new(), receiver.url());
    let courier = Arc::new(world.courier);
    let attempts = (0..4).map(|_| {
        let (courier, job) = (Arc::clone(&courier), job(target(&url), event()));
        tokio::spawn(async move { courier.attempt(job).await })
    });
    for attempt in attempts.collect::<Vec<_>>() {
        assert_eq!(attempt.await.unwrap().outcome, Outcome::Ok);
    }
}
