use std::time::Duration;

use serde_json::json;

use super::*;
use crate::config::EndpointConfig;

fn of(keys: serde_json::Value, config: &Config) -> Flow {
    let mut definition = json!({ "name": "a", "url": "https://a.example/" });
    for (key, value) in keys.as_object().unwrap() {
        definition[key.as_str()] = value.clone();
    }
    let endpoint = EndpointConfig::from_json(&definition, config);
    endpoint.map(|endpoint| (*endpoint.flow).clone()).unwrap_or_else(|faults| panic!("{faults:?}"))
}

fn plain(keys: serde_json::Value) -> Flow {
    of(keys, &Config::default())
}

#[test]
fn an_endpoint_that_says_nothing_has_the_breaker_of_its_table_alone() {
    let flow = plain(json!({}));
    assert_eq!((flow.rate, flow.order), (None, None));
    assert_eq!(flow.breaker, Breaker::default().policy());
    let mut config = Config::default();
    config.breaker.failures = 3;
    let flow = of(json!({ "breaker": { "open_for": "5s" } }), &config);
    let breaker = flow.breaker.unwrap();
    assert_eq!((breaker.failures, breaker.open_for), (3, Duration::from_secs(5)));
    assert_eq!(of(json!({ "breaker": { "enabled": false } }), &config).breaker, None);
}

#[test]
fn a_rate_has_a_burst_of_one_if_none_is_given() {
    let rate = plain(json!({ "rate": "90/m" })).rate.unwrap();
    assert_eq!(rate, Rate { count: 90, per: Duration::from_secs(60), burst: 1 });
    let rate = plain(json!({ "rate": "5/h", "burst": 3 })).rate.unwrap();
    assert_eq!(rate, Rate { count: 5, per: Duration::from_secs(3_600), burst: 3 });
}

#[test]
fn duplicates_are_left_out_where_there_is_a_window() {
    let minute = Duration::from_secs(60);
    let of = |key: Option<&str>| Some(DedupePolicy { key: key.map(str::to_owned), window: minute });
    assert_eq!(plain(json!({ "dedupe_window": "0", "dedupe_key": "/a" })).dedupe, None);
    assert_eq!(plain(json!({ "dedupe_window": "1m" })).dedupe, of(None));
    let keys = json!({ "dedupe_window": "60s", "dedupe_key": "/data/id" });
    assert_eq!(plain(keys).dedupe, of(Some("/data/id")));
}

#[test]
fn order_is_by_key_and_blocks_if_nothing_else_is_said() {
    assert_eq!(plain(json!({ "ordering": "none" })).order, None);
    assert_eq!(plain(json!({ "ordering": "key" })).order, Some(OrderPolicy::default()));
    let keys = json!({
        "ordering": "key", "ordering_key": "/data/a~1b", "on_failure": "skip",
        "order_deadline": "2h", "order_version": "/v",
    });
    let expected = OrderPolicy {
        key: Some("/data/a~1b".to_owned()),
        on_failure: model::OnFailure::Skip,
        deadline: Some(Duration::from_secs(7_200)),
        version: Some("/v".to_owned()),
    };
    assert_eq!(plain(keys).order, Some(expected));
}
