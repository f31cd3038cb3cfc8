//! Sources that have names: what they may submit, how fast, and how they are shown.

use std::process::Command;

use crate::harness::client::Answer;
use crate::harness::client::Request;
use crate::harness::daemon::Daemon;
use crate::harness::daemon::Home;
use crate::harness::daemon::binary;
use crate::harness::receiver::Receiver;
use crate::metrics::samples;

/// The user that the tests run as, as a source of this name.
fn source(name: &str, more: &str) -> String {
    let uid = rustix::process::getuid().as_raw();
    format!("[[source]]\nname = \"{name}\"\nunix_user = {uid}\n{more}\n")
}

fn identity() -> String {
    format!("uid:{}", rustix::process::getuid().as_raw())
}

fn refusal(answer: &Answer) -> (u16, String, String) {
    let problem = answer.json();
    let text = |key: &str| problem[key].as_str().unwrap().to_owned();
    (answer.status, text("code"), text("detail"))
}

/// Runs a client command, which must succeed.
fn client(home: &Home, args: &[&str]) -> String {
    let mut command = Command::new(binary());
    command.env_clear().env("POSTRIDER_SOCKET", home.path("admin.sock"));
    let output = command.args(args).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Puts these sources in force, in place of others.
fn reload(home: &Home, sources: &str) -> String {
    let path = home.write_config();
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, _) = text.split_once("[[source]]").unwrap_or((&text, ""));
    std::fs::write(&path, format!("{before}{sources}")).unwrap();
    client(home, &["reload", "--wait"])
}

#[test]
fn what_a_source_may_not_submit_is_refused_and_counted() {
    let limits = "types = [\"order.*\"]\nmax_payload = \"100B\"\ndescription = \"The shop\"";
    let home = Home::new().more(&source("shop", limits));
    let daemon = home.start();
    let order = |body: String| daemon.submit(&Request::post("/v1/events/order.made", body));
    assert_eq!(order("x".repeat(100)).status, 202);
    let (status, code, detail) = refusal(&order("x".repeat(101)));
    assert_eq!((status, code.as_str()), (413, "payload-too-large"));
    assert!(detail.contains("100 bytes, the limit of max_payload of [[source]] \"shop\""));
    let envelope = format!("{{\"type\":\"order.made\",\"data\":\"{}\"}}", "x".repeat(99));
    assert_eq!(refusal(&daemon.submit(&Request::post("/v1/events", envelope))).0, 413);
    let (status, code, detail) =
        refusal(&daemon.submit(&Request::post("/v1/events/user.gone", "")));
    assert_eq!((status, code.as_str()), (403, "type-not-allowed"));
    let words = "shop may not submit user.gone: types of [[source]] \"shop\" allow order.*";
    assert_eq!(detail, words);

    let batch = "{\"type\":\"order.made\",\"data\":1}\n{\"type\":\"user.gone\",\"data\":1}\n";
    let whole = daemon.submit(&Request::post("/v1/events:batch", batch));
    let (status, code, detail) = refusal(&whole);
    assert_eq!((status, code.as_str()), (403, "type-not-allowed"));
    assert!(detail.starts_with("event 1: shop may not"), "{detail}");
    assert_eq!(whole.json()["errors"][0]["pointer"], "/1");
    let part = daemon.submit(&Request::post("/v1/events:batch?partial=1", batch));
    let statuses: Vec<_> = (0..2).map(|n| part.json()["results"][n]["status"].clone()).collect();
    assert_eq!((part.status, statuses), (207, vec![202.into(), 403.into()]));
    let mixed = format!("{batch}{{\"type\":\"a..b\",\"data\":1}}\n");
    assert_eq!(refusal(&daemon.submit(&Request::post("/v1/events:batch", mixed))).0, 422);

    let samples = samples(&daemon);
    let refused = |reason: &str| {
        samples[&format!("postrider_events_refused_total{{source=\"shop\",reason=\"{reason}\"}}")]
    };
    // of a batch that is refused as a whole, each event is
    assert_eq!(["too_large", "type_not_allowed", "other"].map(refused), [2.0, 4.0, 3.0]);
    assert_eq!(samples["postrider_events_accepted_total{source=\"shop\",type=\"_other\"}"], 2.0);
    assert_eq!(samples["postrider_events_accepted_total{source=\"local\",type=\"_other\"}"], 0.0);
    shown(&home, &daemon);
}

/// How the source of the test above is shown.
fn shown(home: &Home, daemon: &Daemon) {
    let shop = daemon.show("/v1/sources/shop");
    assert_eq!((&shop["accepted"], &shop["refused"]), (&2.into(), &9.into()));
    assert_eq!(shop["id"], identity());
    assert!(shop["last_event_at"].is_string(), "{shop}");
    let text = std::fs::read_to_string(home.path("config.toml")).unwrap();
    let line = 1 + text.lines().position(|line| line == "[[source]]").unwrap();
    let place = format!("{}:{line}", home.path("config.toml").display());
    assert_eq!(shop["defined_in"], place);
    assert_eq!(daemon.show("/v1/sources")["data"][0], shop);
    assert_eq!(daemon.ask(&Request::new("GET", "/v1/sources/other")).status, 404);
    let card = client(home, &["source", "show", "shop"]);
    let counts = "Events     2 accepted, 9 refused since the start";
    for line in ["Types      order.*", "About      The shop", counts, &place] {
        assert!(card.contains(line), "{line} is not in\n{card}");
    }
    let list = client(home, &["source", "list"]);
    assert!(list.starts_with("shop\t") && list.contains("\t2\t9\t"), "{list}");
}

#[test]
fn the_rate_of_a_source_wins_over_that_of_all() {
    let home = Home::new()
        .more(&source("shop", "rate = \"1/s\"\nburst = 5"))
        .set("POSTRIDER_INGEST__MAX_RATE", "1000");
    let daemon = home.start();
    let order = Request::post("/v1/events/order.made", "{}");
    assert_eq!([0; 5].map(|_| daemon.submit(&order).status), [202; 5]);
    let batch = "{\"type\":\"a.b\",\"data\":1}\n".repeat(20);
    // a batch is taken once there is room for one, and waited for afterwards
    let batch = Request::post("/v1/events:batch", &batch);
    daemon.until("a second has passed", || daemon.submit(&batch).status == 202);
    let answer = daemon.submit(&order);
    let (status, code, detail) = refusal(&answer);
    assert_eq!((status, code.as_str()), (429, "rate-limited"));
    let words =
        "shop sends more than the 1/s, 5 at once, that rate and burst of [[source]] \"shop\"";
    assert!(detail.starts_with(words), "{detail}");
    let told: u64 = answer.headers["retry-after"].parse().unwrap();
    assert!((15..=20).contains(&told), "{told}");
    let limited = "postrider_events_refused_total{source=\"shop\",reason=\"rate_limited\"}";
    assert!(samples(&daemon)[limited] >= 1.0);
    let shop = || daemon.show("/v1/sources/shop");
    assert_eq!((&shop()["rate"], &shop()["burst"]), (&"1/s".into(), &5.into()));
    assert!(reload(&home, &source("shop", "")).contains("source.shop"));
    assert_eq!(shop()["rate"], "1000/s", "as for all");
    assert!(reload(&home, "").contains("source.shop"), "the name is taken away");
    assert_eq!(daemon.submit(&order).status, 202, "and its rate with it");
    assert!(!samples(&daemon).contains_key(limited));
}

#[test]
fn a_name_is_shown_and_the_identity_stays() {
    let receiver = Receiver::start();
    let home = Home::new().endpoint("billing", &receiver, "");
    let daemon = home.start();
    let order = Request::post("/v1/events/order.made", "{}").key("order-1");
    let id = daemon.submit(&order).id();
    assert_eq!(daemon.show(&format!("/v1/events/{id}"))["source"], identity());
    for name in ["shop", "webshop"] {
        assert!(reload(&home, &source(name, "")).contains(&format!("source.{name}")));
        let again = daemon.submit(&order);
        assert_eq!(
            (again.id(), again.headers["idempotent-replayed"].as_str()),
            (id.clone(), "true")
        );
        let event = daemon.show(&format!("/v1/events/{id}"));
        let said = (event["source"].as_str().unwrap(), event["source_id"].as_str().unwrap());
        assert_eq!(said, (name, identity().as_str()));
        for filter in [name, &identity()] {
            let list = daemon.show(&format!("/v1/events?source={filter}"));
            assert_eq!(list["data"][0]["id"], id, "{filter}");
        }
        assert_eq!(daemon.show("/v1/events?source=other")["data"].as_array().unwrap().len(), 0);
        let mut own = crate::harness::client::Connection::open(daemon.ingest_socket()).unwrap();
        let own = own.send(&Request::new("GET", &format!("/v1/events/{id}"))).unwrap();
        assert_eq!((own.status, own.json()["source"].as_str()), (200, Some(name)));
    }
    assert_eq!(receiver.arrivals(1).len(), 1);
}

#[test]
fn a_source_with_no_such_user_is_refused_with_its_place() {
    let home = Home::new().more("[[source]]\nname = \"shop\"\nunix_user = \"no-such-user-here\"\n");
    home.write_config();
    let mut daemon = home.spawn(home.command());
    assert_eq!(daemon.exit_code(), Some(78));
    let said = daemon.log();
    assert!(said.contains("this machine has no user \"no-such-user-here\""), "{said}");
    assert!(said.contains("unix_user = \"no-such-user-here\"") && said.contains('^'), "{said}");
}
