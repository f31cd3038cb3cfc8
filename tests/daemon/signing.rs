//! What receivers can verify, and what nobody gets to see.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use postrider::policy::keys::VerifyingKey;
use postrider::policy::verify::Signed;
use postrider::policy::verify::TOLERANCE_SECS;
use postrider::policy::verify::VerifyError;
use postrider::policy::verify::verify;

use crate::harness::client::Request;
use crate::harness::daemon::Home;
use crate::harness::daemon::binary;
use crate::harness::receiver::Arrival;
use crate::harness::receiver::Receiver;

/// A secret of one kind of byte.
pub(crate) fn secret(filling: u8) -> String {
    format!("whsec_{}", STANDARD.encode([filling; 32]))
}

/// What a receiver with this secret thinks of a request.
pub(crate) fn check(arrival: &Arrival, secret: &str) -> Result<(), VerifyError> {
    let header = |name: &str| arrival.headers.get(name).map(|value| value.as_bytes());
    let signed = Signed {
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp"),
        signature: header("webhook-signature"),
        body: &arrival.body,
    };
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    verify(&[VerifyingKey::parse(secret).unwrap()], &signed, now, Some(TOLERANCE_SECS))
}

#[test]
fn both_secrets_verify_while_one_is_being_replaced() {
    let receiver = Receiver::start();
    let (old, new, other) = (secret(1), secret(2), secret(3));
    let both = format!("secrets = [{{ value = \"{new}\" }}, {{ env = \"OLD_SECRET\" }}]");
    let home = Home::new().endpoint("billing", &receiver, &both).set("OLD_SECRET", &old);
    let daemon = home.start();
    let order = Request::post("/v1/events/order.created", [0, 159, 146, 150]);
    daemon.submit(&order);
    let arrival = receiver.arrivals(1).pop().unwrap();
    assert_eq!(check(&arrival, &old), Ok(()));
    assert_eq!(check(&arrival, &new), Ok(()));
    assert_eq!(check(&arrival, &other), Err(VerifyError::NoMatch));
    let changed = Arrival { body: b"other".to_vec(), ..arrival };
    assert_eq!(check(&changed, &new), Err(VerifyError::NoMatch));

    // the old one is no longer needed
    let path = home.path("config.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace(", { env = \"OLD_SECRET\" }", "")).unwrap();
    assert_eq!(daemon.ask(&Request::post("/v1/admin/reload", "")).status, 200);
    daemon.submit(&order);
    let arrival = receiver.arrivals(2).pop().unwrap();
    assert_eq!(check(&arrival, &new), Ok(()));
    assert_eq!(check(&arrival, &old), Err(VerifyError::NoMatch));
}

#[test]
fn secrets_stand_in_files_credentials_and_the_environment() {
    let receivers = [1, 2, 3].map(|_| Receiver::start());
    let home = Home::new();
    let directory = home.path("credentials");
    std::fs::create_dir(&directory).unwrap();
    std::fs::write(directory.join("shop"), secret(2)).unwrap();
    let file = home.path("secret");
    std::fs::write(&file, secret(1) + "\n").unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    let from_file = format!("secret = {{ file = \"{}\" }}", file.display());
    let home = home
        .endpoint("file", &receivers[0], &from_file)
        .endpoint("credential", &receivers[1], "secret = { credential = \"shop\" }")
        .endpoint("environment", &receivers[2], "secret = { env = \"SHOP_SECRET\" }")
        .set("CREDENTIALS_DIRECTORY", directory)
        .set("SHOP_SECRET", secret(3));
    let daemon = home.start();
    daemon.submit(&Request::post("/v1/events/order.created", "{}"));
    for (receiver, filling) in receivers.iter().zip(1..) {
        assert_eq!(check(&receiver.arrivals(1)[0], &secret(filling)), Ok(()), "{filling}");
    }
}

#[test]
fn an_endpoint_without_a_secret_is_not_signed() {
    let receiver = Receiver::start();
    let home = Home::new().endpoint("billing", &receiver, "");
    let daemon = home.start();
    daemon.submit(&Request::post("/v1/events/order.created", "{}"));
    let arrival = receiver.arrivals(1).pop().unwrap();
    assert_eq!(check(&arrival, &secret(1)), Err(VerifyError::Missing("signature")));
    assert!(daemon.log().contains("will not be signed"), "it is warned of");
}

/// Words that stand in the payload, in the query of the URL and in a header of the endpoint.
const CANARIES: [&str; 3] = ["canary-in-payload", "canary-in-query", "canary-in-header"];

#[test]
fn secrets_and_payloads_are_in_no_log_and_on_no_page() {
    let receiver = Receiver::start();
    for status in [500, 410] {
        receiver.then(status, "");
    }
    let key = secret(7);
    let more =
        format!("secret = {{ value = \"{key}\" }}\nheaders = {{ X-Key = \"{}\" }}", CANARIES[2]);
    let home =
        Home::new().endpoint("billing", &receiver, &more).set("POSTRIDER_LOG__LEVEL", "trace");
    let path = home.write_config();
    let url = format!("{}?token={}", receiver.url(), CANARIES[1]);
    let text = std::fs::read_to_string(&path).unwrap().replace(&receiver.url(), &url);
    std::fs::write(&path, text).unwrap();
    let daemon = home.spawn(home.command());
    daemon.logged("daemon.ready");
    let order = Request::post("/v1/events/order.created", CANARIES[0]).key("order-42");
    let id = daemon.submit(&order).id();
    daemon.submit(&Request::post("/v1/events/order.created", "{}").key("order-42"));
    daemon.submit(&Request::post("/v1/events", format!("{{\"data\":\"{}\"}}", CANARIES[0])));
    daemon.until("it is disabled", || daemon.show("/v1/endpoints/billing")["status"] == "disabled");
    let arrival = receiver.arrivals(2).pop().unwrap();
    assert_eq!(arrival.headers["x-key"], CANARIES[2]);
    let delivery = format!("/v1/deliveries/{}", arrival.headers["postrider-delivery-id"]);
    let event = format!("/v1/events/{id}");
    let pages = ["/v1/status", "/v1/endpoints", "/v1/events", "/v1/deliveries", "/metrics"];
    let mut seen = String::new();
    for page in pages.into_iter().chain([delivery.as_str(), event.as_str()]) {
        let answer = daemon.ask(&Request::new("GET", page));
        assert_eq!(answer.status, 200, "{page}");
        seen.push_str(&String::from_utf8(answer.body).unwrap());
    }
    let mut show = Command::new(binary());
    let shown = show.args(["config", "show", "--config"]).arg(&path).output().unwrap();
    assert!(shown.status.success());
    seen.push_str(&String::from_utf8(shown.stdout).unwrap());
    seen.push_str(&String::from_utf8(shown.stderr).unwrap());
    seen.push_str(&daemon.log());
    assert!(
        daemon.log().contains("attempt.finished") && seen.contains(&id),
        "there is much to see"
    );
    let signature = arrival.headers["webhook-signature"].trim_start_matches("v1,").to_owned();
    let hidden = [key.trim_start_matches("whsec_"), &signature].into_iter().chain(CANARIES);
    for word in hidden {
        let line = seen.lines().find(|line| line.contains(word));
        assert_eq!(line, None, "{word}");
    }
}
