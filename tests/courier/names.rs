//! Names, and addresses that must not be called.

use std::sync::Arc;
use std::time::Duration;

use postrider::courier::IpFamily;
use postrider::courier::Target;
use postrider::model::Outcome;

use crate::receiver::Receiver;
use crate::receiver::keep_answering;
use crate::world::World;
use crate::world::limited;
use crate::world::rules;
use crate::world::spec;
use crate::world::target;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

async fn keeping() -> Receiver {
    Receiver::plain(|_, stream| keep_answering(stream, ANSWER)).await
}

fn named(name: &str, receiver: &Receiver) -> String {
    format!("http://{name}:{}/", receiver.address.port())
}

#[tokio::test]
async fn literal_addresses_are_judged_like_any_other() {
    let receiver = keeping().await;
    let port = receiver.address.port();
    let world = World::new();
    for host in ["127.0.0.2", "2130706434", "0x7f.2", "[::ffff:127.0.0.2]", "[::1]", "0.0.0.0"] {
        let attempt = world.call(&format!("http://{host}:{port}/")).await;
        assert_eq!(attempt.outcome, Outcome::BlockedAddress, "{host}");
        assert!(attempt.detail.unwrap().contains("must not be called"));
    }
    assert_eq!(receiver.connections(), 0);
    // The allowed one passes in every spelling.
    for host in ["127.0.0.1", "2130706433", "[::ffff:127.0.0.1]"] {
        let attempt = world.call(&format!("http://{host}:{port}/")).await;
        assert_eq!(attempt.outcome, Outcome::Ok, "{host}");
    }
}

#[tokio::test]
async fn a_name_that_is_bound_to_another_address_is_judged_again() {
    let receiver = keeping().await;
    let world = World::new();
    // 127.0.0.1 is allowed here and stands for a public address.
    world.names.set("rebind.example.org", &[&["127.0.0.1"], &["127.0.0.2"]]);
    let url = named("rebind.example.org", &receiver);
    assert_eq!(world.call(&url).await.outcome, Outcome::Ok);
    assert_eq!(world.call(&url).await.outcome, Outcome::Ok, "the first answer is still good");
    world.pass(Duration::from_secs(31));
    let attempt = world.call(&url).await;
    assert_eq!(attempt.outcome, Outcome::BlockedAddress);
    assert!(attempt.detail.unwrap().contains("127.0.0.2"));
    assert_eq!((receiver.connections(), attempt.remote), (1, None), "not even the open connection");
}

#[tokio::test]
async fn a_name_that_moved_is_followed_although_a_connection_is_open() {
    let receiver = keeping().await;
    let world = World::new();
    world.names.set("moved.example.org", &[&["127.0.0.1"], &["127.0.0.3"]]);
    let call = || {
        let mut spec = spec(&named("moved.example.org", &receiver));
        spec.allow.push("127.0.0.3/32".parse().unwrap());
        world.attempt(Arc::new(Target::new(spec, &rules()).unwrap()))
    };
    assert_eq!(call().await.outcome, Outcome::Ok);
    world.pass(Duration::from_secs(31));
    assert_eq!(call().await.outcome, Outcome::ConnectRefused, "nobody listens at the new place");
}

#[tokio::test]
async fn an_open_connection_is_bound_by_the_rules_of_the_target_that_wants_it() {
    let receiver = keeping().await;
    let world = World::new();
    assert_eq!(world.call(&receiver.url()).await.outcome, Outcome::Ok);
    let mut strict = rules();
    strict.deny.push("127.0.0.0/8".parse().unwrap());
    let target = Target::new(spec(&receiver.url()), &strict).unwrap();
    assert_eq!(world.attempt(Arc::new(target)).await.outcome, Outcome::BlockedAddress);
}

#[tokio::test]
async fn one_bad_address_spoils_the_whole_answer() {
    let receiver = keeping().await;
    let world = World::new();
    world.names.set("mixed.example.org", &[&["127.0.0.1", "10.0.0.1", "::1"]]);
    let attempt = world.call(&named("mixed.example.org", &receiver)).await;
    assert_eq!(attempt.outcome, Outcome::BlockedAddress);
    let detail = attempt.detail.unwrap();
    assert!(detail.contains("10.0.0.1") && detail.contains("refused with it"), "{detail}");
    assert_eq!(receiver.connections(), 0);
}

#[tokio::test]
async fn a_name_that_does_not_resolve_or_hangs() {
    let world = World::new();
    let attempt = world.call("http://missing.example.org/").await;
    assert_eq!(attempt.outcome, Outcome::DnsError);
    assert!(attempt.phases.dns_us > 0);
    world.names.set("hangs.example.org", &[]);
    let target = limited("http://hangs.example.org/", |limits| {
        limits.dns_timeout = Duration::from_millis(50);
    });
    assert_eq!(world.attempt(target).await.outcome, Outcome::TimeoutDns);
}

#[tokio::test]
async fn the_next_address_is_tried_where_one_does_not_answer() {
    let receiver = keeping().await;
    let world = World::new();
    world.names.set("two.example.org", &[&["127.0.0.3", "127.0.0.1"]]);
    let mut spec = spec(&named("two.example.org", &receiver));
    spec.allow.push("127.0.0.3/32".parse().unwrap());
    let target = Arc::new(Target::new(spec, &rules()).unwrap());
    let attempt = world.attempt(target).await;
    assert_eq!(attempt.outcome, Outcome::Ok);
    assert_eq!(attempt.remote, Some(receiver.address.to_string()));
}

#[tokio::test]
async fn the_kind_of_address_can_be_chosen() {
    let receiver = keeping().await;
    let world = World::new();
    world.names.set("both.example.org", &[&["127.0.0.1", "2606:4700::1"]]);
    let url = named("both.example.org", &receiver);
    let mut rules = rules();
    rules.ip_family = IpFamily::V4;
    let four = Arc::new(Target::new(spec(&url), &rules).unwrap());
    assert_eq!(world.attempt(four).await.outcome, Outcome::Ok);

    world.names.set("four.example.org", &[&["127.0.0.1"]]);
    rules.ip_family = IpFamily::V6;
    let spec = spec(&named("four.example.org", &receiver));
    let six = Arc::new(Target::new(spec, &rules).unwrap());
    let attempt = world.attempt(six).await;
    assert_eq!(attempt.outcome, Outcome::DnsError);
    assert!(attempt.detail.unwrap().contains("ip_family"));
}

#[tokio::test]
async fn the_host_header_keeps_the_name() {
    let world = World::new();
    world.names.set("shop.example.org", &[&["127.0.0.1"]]);
    let receiver = Receiver::plain(|_, mut stream| async move {
        let heard = crate::receiver::hear(&mut stream).await.unwrap();
        let named = heard.headers["host"].starts_with("shop.example.org:");
        let status = if named { "200 OK" } else { "421 Misdirected" };
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        tokio::io::AsyncWriteExt::write_all(&mut stream, answer.as_bytes()).await.unwrap();
    })
    .await;
    let attempt = world.attempt(target(&named("shop.example.org", &receiver))).await;
    assert_eq!(attempt.outcome, Outcome::Ok);
}
