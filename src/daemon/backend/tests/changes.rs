//! Changes of the rules: endpoints made and removed, the configuration read again.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use super::by_state;
use super::first;
use super::ids;
use super::listed;
use super::world::World;
use super::world::actor;
use super::world::config_text;
use super::world::delivery;
use crate::admin::backend::Backend;
use crate::admin::backend::BackendError;
use crate::admin::backend::DeliveryFilter;
use crate::admin::backend::Leftovers;
use crate::admin::backend::ReplayOrder;
use crate::admin::backend::Sample;
use crate::model::replay::REPLAY_RATE_DEFAULT;
use crate::model::replay::view::FilterView;
use crate::model::view::Fault;
use crate::model::*;

fn definition(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn faults<T: std::fmt::Debug>(answer: Result<T, BackendError>) -> Vec<Fault> {
    match answer {
        Err(BackendError::Invalid(faults)) => faults,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_new_endpoint_gets_a_secret_that_is_shown_once() {
    let World { office, home: _home, .. } = World::new();
    let wanted = definition(json!({
        "name": "shop", "url": "https://shop.example/in", "types": ["order.*"],
    }));
    let made = office.create_endpoint(wanted.clone(), actor()).await.unwrap();
    let secret = made.secret.unwrap();
    assert!(secret.starts_with("whsec_"));
    assert_eq!((made.endpoint.number, &*made.endpoint.origin), (4, "api"));
    assert_eq!(made.endpoint.status, "active");
    let entries = office.shared.readers.reader().unwrap().endpoints().unwrap();
    let entry = entries.iter().find(|entry| entry.name == "shop").unwrap();
    assert!(entry.definition.as_ref().unwrap().contains(&secret), "it is stored to sign with");
    assert!(!format!("{:?}", office.endpoint("shop".into()).await).contains(&secret));
    let again = office.create_endpoint(wanted, actor()).await;
    assert_eq!(again.unwrap_err(), BackendError::NameTaken);
    let own = definition(json!({
        "name": "own", "url": "https://own.example/", "types": ["**"],
        "secret": { "value": secret },
    }));
    assert_eq!(office.create_endpoint(own, actor()).await.unwrap().secret, None);
}

#[tokio::test]
async fn faults_of_a_definition_say_where_they_are_and_change_nothing() {
    let World { office, home: _home, .. } = World::new();
    let before = office.shared.rules.load_full();
    for (wrong, pointer) in [
        (json!({ "name": "a", "url": "https://a.example/", "colour": "red" }), "/colour"),
        (json!({ "name": "a", "url": "https://127.0.0.1/" }), "/url"),
        (json!({ "name": "a", "url": "https://a.example:22/" }), "/url"),
        (json!({ "name": "a", "url": "https://a.example/", "secret": "whsec_no" }), "/secret"),
    ] {
        let found = faults(office.create_endpoint(definition(wrong.clone()), actor()).await);
        assert_eq!(found.len(), 1, "{wrong}: {found:?}");
        assert_eq!(found[0].pointer, pointer, "{wrong}");
        assert!(!found[0].detail.contains("whsec_no"));
    }
    assert!(Arc::ptr_eq(&before, &office.shared.rules.load_full()));
    assert_eq!(office.shared.readers.reader().unwrap().endpoints().unwrap().len(), 3);
}

#[tokio::test]
async fn an_endpoint_that_was_retired_takes_up_its_lane_when_it_is_made_again() {
    let World { office, home: _home, .. } = World::new();
    let held = office.delivery(delivery(7, 3)).await.unwrap();
    assert_eq!(held.state, DeliveryState::Held);
    assert!(held.reason.unwrap().contains("no longer in the configuration"));
    for refused in [
        office.resume("old".into(), actor()).await.map(|_| ()),
        office.enable("old".into(), actor()).await.map(|_| ()),
        office
            .test(
                "old".into(),
                Sample { event_type: "a.b".parse().unwrap(), body: "{}".into() },
                actor(),
            )
            .await
            .map(|_| ()),
    ] {
        assert_eq!(faults(refused)[0].code, "retired");
    }
    let back = definition(json!({ "name": "old", "url": "https://old.example/", "types": ["**"] }));
    assert_eq!(office.create_endpoint(back, actor()).await.unwrap().endpoint.number, 3);
    assert_eq!(office.delivery(delivery(7, 3)).await.unwrap().state, DeliveryState::Queued);
}

#[tokio::test]
async fn deliveries_of_a_removed_endpoint_end_as_it_was_said() {
    let ends = [
        (Leftovers::Keep, DeliveryState::Dead, Some("endpoint_removed")),
        (Leftovers::Cancel, DeliveryState::Cancelled, None),
    ];
    let gone = || BackendError::NotFound("endpoint");
    for (leftovers, state, reason) in ends {
        let World { office, home: _home, .. } = World::new();
        office.remove_endpoint("old".into(), leftovers, actor()).await.unwrap();
        let ended = office.delivery(delivery(7, 3)).await.unwrap();
        assert_eq!((ended.state, ended.reason.as_deref()), (state, reason));
        assert_eq!(ended.endpoint, "old#3");
        let rows = listed(&office, by_state(state)).await;
        assert!(ids(&rows).contains(&delivery(7, 3)), "it stays listed");
        for (name, known) in [("old#3", true), ("old", false), ("new#3", false), ("#3", false)] {
            let endpoint = Some(name.to_owned());
            let rows = office.deliveries(DeliveryFilter { endpoint, ..by_state(state) }, first(9));
            let rows = rows.await.map(|slice| ids(&slice.rows));
            let expected = if known { Ok(vec![delivery(7, 3)]) } else { Err(gone()) };
            assert_eq!(rows, expected, "{name}");
        }
        let filter = FilterView { endpoint: Some("old#3".into()), ..FilterView::default() };
        let order = ReplayOrder {
            action: ReplayAction::Replay,
            filter: FilterView { state: Some(state), ..filter },
            rate: REPLAY_RATE_DEFAULT,
            standing: false,
        };
        assert_eq!(office.count_replay(order).await, Err(gone()));
        assert_eq!(office.endpoint("old".into()).await, Err(gone()));
        assert_eq!(office.retry(delivery(7, 3), actor()).await, Err(gone()));
        let entries = office.shared.readers.reader().unwrap().endpoints().unwrap();
        assert!(entries.iter().any(|entry| entry.name == "old" && entry.removed.is_some()));
    }
}

#[tokio::test]
async fn an_endpoint_of_the_configuration_is_removed_there() {
    let World { office, home: _home, .. } = World::new();
    let answer = office.remove_endpoint("crm".into(), Leftovers::Keep, actor()).await;
    assert_eq!(answer, Err(BackendError::ManagedByConfig));
    assert_eq!(office.delivery(delivery(5, 2)).await.unwrap().state, DeliveryState::Queued);
}

#[tokio::test]
async fn a_refused_configuration_changes_nothing_and_says_where_it_is_wrong() {
    let world = World::new();
    let office = &world.office;
    let before = office.shared.rules.load_full();
    world.write_config("[delivery]\nmax_in_flight = 0\n");
    let found = faults(office.reload(actor()).await);
    assert_eq!(found[0].pointer, format!("{}:2:17", world.config_path().display()));
    world.write_config("[tls]\nroots = \"/nowhere.pem\"\n");
    assert_eq!(faults(office.reload(actor()).await).len(), 1);
    std::fs::remove_file(world.config_path()).unwrap();
    assert_eq!(faults(office.reload(actor()).await)[0].code, "unreadable");
    assert!(Arc::ptr_eq(&before, &office.shared.rules.load_full()));
    assert_eq!(world.reloads.load(Ordering::Relaxed), 0);
    let text = office.shared.metrics.encode().unwrap();
    assert!(text.contains("postrider_config_reloads_total{result=\"refused\"} 3"));
    drop(world.home);
}

#[tokio::test]
async fn a_reload_tells_what_it_changed_and_what_waits_for_a_restart() {
    let world = World::new();
    let office = &world.office;
    let before = office.shared.rules.load_full();
    let with_old =
        "[[endpoint]]\nname = \"old\"\nurl = \"https://old.example/\"\ntypes = [\"**\"]\n";
    world.write_config(&config_text("[storage]\ncache = \"32MiB\"\n").replace("crm", "crn"));
    let view = office.reload(actor()).await.unwrap();
    assert_eq!(view.changed, ["endpoint.crn", "endpoint.crm"]);
    assert_eq!(view.needs_restart, ["storage.cache"]);
    let rules = office.shared.rules.load_full();
    assert!(Arc::ptr_eq(&before.courier, &rules.courier), "its connections may go on");
    assert_eq!(office.endpoint("crn".into()).await.unwrap().number, 4);
    let retired = office.endpoint("crm".into()).await.unwrap();
    assert_eq!((&*retired.origin, &*retired.status), ("retired", "disabled"));
    assert_eq!(office.delivery(delivery(5, 2)).await.unwrap().state, DeliveryState::Held);

    let more = "[delivery]\nhttp2 = false\nmax_in_flight = 9\n";
    world.write_config(&(config_text(more) + with_old));
    let view = office.reload(actor()).await.unwrap();
    assert_eq!(view.changed, ["delivery.http2", "endpoint.crm", "endpoint.old", "endpoint.crn"]);
    assert_eq!(view.needs_restart, ["delivery.max_in_flight"]);
    let after = office.shared.rules.load_full();
    assert!(!Arc::ptr_eq(&rules.courier, &after.courier), "its connections are of the old rules");
    assert_eq!(after.config.delivery.max_in_flight, 256, "as it is in force");
    assert_eq!(office.endpoint("old".into()).await.unwrap().number, 3, "as ever");
    assert_eq!(office.delivery(delivery(5, 2)).await.unwrap().state, DeliveryState::Queued);
    assert_eq!(world.reloads.load(Ordering::Relaxed), 2);
    let again = office.reload(actor()).await.unwrap();
    assert_eq!((again.changed.len(), again.needs_restart.len()), (0, 1));
    drop(world.home);
}
