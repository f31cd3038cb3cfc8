//! A new configuration while it runs.

use std::process::Command;
use std::process::Output;

use rustix::process::Signal;

use crate::harness::client::Request;
use crate::harness::daemon::Home;
use crate::harness::daemon::binary;
use crate::harness::receiver::Receiver;

fn reload(home: &Home) -> Output {
    let mut command = Command::new(binary());
    command.env_clear().env("POSTRIDER_SOCKET", home.path("admin.sock"));
    command.args(["reload", "--wait"]).output().unwrap()
}

fn append(home: &Home, text: &str) {
    let path = home.path("config.toml");
    let before = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, before + text).unwrap();
}

fn endpoint(name: &str, receiver: &Receiver) -> String {
    format!("[[endpoint]]\nname = \"{name}\"\nurl = \"{}\"\n", receiver.url())
}

#[test]
fn an_endpoint_is_added_and_taken_away() {
    let (first, second) = (Receiver::start(), Receiver::start());
    let home = Home::new().endpoint("first", &first, "");
    let daemon = home.start();
    append(&home, &endpoint("second", &second));
    let output = reload(&home);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && said.contains("endpoint.second"), "{said}");
    let order = Request::post("/v1/events/order.created", "{}");
    let id = daemon.submit(&order).id();
    assert_eq!(second.arrivals(1)[0].id(), id);
    home.write_config();
    assert!(reload(&home).status.success());
    assert_eq!(daemon.submit(&order).json()["deliveries"].as_array().unwrap().len(), 1);
}

#[test]
fn a_signal_is_as_good() {
    let (first, second) = (Receiver::start(), Receiver::start());
    let home = Home::new().endpoint("first", &first, "");
    let daemon = home.start();
    append(&home, &endpoint("second", &second));
    daemon.signal(Signal::HUP);
    let line = daemon.logged("config.reloaded");
    assert!(line.contains("endpoint.second"), "{line}");
    let id = daemon.submit(&Request::post("/v1/events/order.created", "{}")).id();
    assert_eq!(second.arrivals(1)[0].id(), id);
}

#[test]
fn a_broken_file_is_refused_with_its_place_and_the_old_one_stays() {
    let (first, second) = (Receiver::start(), Receiver::start());
    let home = Home::new().endpoint("first", &first, "");
    let daemon = home.start();
    append(&home, &format!("{}max_in_fligth = 3\n", endpoint("second", &second)));
    let text = std::fs::read_to_string(home.path("config.toml")).unwrap();
    let line = 1 + text.lines().position(|line| line.starts_with("max_in_fligth")).unwrap();
    let place = format!("{}:{line}:1", home.path("config.toml").display());
    let output = reload(&home);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(said.contains(&place) && said.contains("max_in_flight"), "{place}: {said}");
    let logged = daemon.logged("config.rejected");
    let fields = format!("\"line\":\"{line}\",\"column\":\"1\"");
    assert!(logged.contains(&fields), "{fields}: {logged}");
    daemon.signal(Signal::HUP);
    daemon.until("the signal is refused too", || {
        daemon.log().matches("config.rejected").count() == 2
    });
    let answer = daemon.submit(&Request::post("/v1/events/order.created", "{}")).json();
    assert_eq!(answer["deliveries"].as_array().unwrap().len(), 1);
    assert_eq!(first.arrivals(1).len(), 1);
    assert_eq!(daemon.ask(&Request::new("GET", "/v1/endpoints/second")).status, 404);
}

#[test]
fn what_waits_goes_to_the_new_address() {
    let (old, new) = (Receiver::start(), Receiver::start());
    old.always(503);
    let home = Home::new().endpoint("billing", &old, "");
    let daemon = home.start();
    let id = daemon.submit(&Request::post("/v1/events/order.created", "{}")).id();
    old.arrivals(1);
    let path = home.path("config.toml");
    let text = std::fs::read_to_string(&path).unwrap().replace(&old.url(), &new.url());
    std::fs::write(&path, text).unwrap();
    assert!(reload(&home).status.success());
    assert_eq!(new.arrivals(1)[0].id(), id);
}
