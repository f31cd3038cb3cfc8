use serde_json::json;

use super::*;
use crate::model::Schedule;
use crate::policy::header::HEADER_VALUE_BYTES_MAX;
use crate::policy::header::HEADERS_MAX;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn read(definition: serde_json::Value) -> Result<EndpointConfig, Vec<(String, String)>> {
    EndpointConfig::from_json(&definition, &Config::default())
        .map_err(|faults| faults.into_iter().map(|fault| (fault.pointer, fault.code)).collect())
}

fn whole() -> serde_json::Value {
    json!({
        "name": "billing",
        "url": "https://billing.example.com/hooks?team=7",
        "description": "Invoices",
        "types": ["invoice.*", "order.paid"],
        "secret": { "value": SECRET },
        "headers": { "X-Tenant": "acme" },
        "content_type": "application/json",
        "max_in_flight": 3,
        "paused": true,
        "allow": ["10.1.0.0/16"],
        "response_timeout": "10s",
        "attempt_timeout": "15s",
        "retry": { "policy": "exponential", "max_attempts": 4, "max_age": "1d" },
    })
}

#[test]
fn a_definition_over_the_api_is_read_whole() {
    let endpoint = read(whole()).unwrap();
    assert_eq!(&*endpoint.name, "billing");
    assert_eq!(endpoint.secrets[0].expose(), SECRET);
    assert_eq!(endpoint.attempt_timeout, Duration::from_secs(15));
    assert_eq!(endpoint.connect_timeout, Duration::from_secs(5), "from [delivery]");
    assert_eq!(endpoint.headers[0].0, "x-tenant");
    let rules = endpoint.rules(EndpointNo(4), EndpointState::default());
    assert_eq!((rules.no, rules.max_in_flight), (EndpointNo(4), 3));
    assert!(matches!(rules.retry.schedule, Schedule::Exponential { attempts: 4, .. }));
    assert_eq!(rules.retry.max_age, Some(Duration::from_secs(86_400)));
    assert!((rules.retry.jitter - 0.2).abs() < f64::EPSILON, "from [retry]");
}

#[test]
fn what_is_stored_reads_back_the_same() {
    let endpoint = read(whole()).unwrap();
    assert_eq!(endpoint.to_json(), &whole());
    assert_eq!(read(endpoint.to_json().clone()).unwrap(), endpoint);
}

#[test]
fn a_change_of_the_tables_reaches_a_stored_definition() {
    let mut config = Config::default();
    config.retry.jitter = 0.5;
    let endpoint = EndpointConfig::from_json(&whole(), &config).unwrap();
    assert!((endpoint.retry.jitter - 0.5).abs() < f64::EPSILON);
}

#[test]
fn all_faults_are_named_with_a_pointer() {
    let faults = read(json!({
        "name": "Crm",
        "url": "http://crm.example.com",
        "types": ["a", "b..c"],
        "colour": "red",
        "secrets": [{ "value": SECRET }, { "value": "short" }],
        "max_in_flight": 0,
        "retry": { "jitter": 2, "schedule": ["1s", "soon"] },
    }));
    let mut found = faults.unwrap_err();
    found.sort();
    let expected = [
        ("/colour", "unknown-key"),
        ("/max_in_flight", "range"),
        ("/name", "value"),
        ("/retry/jitter", "range"),
        ("/retry/schedule/1", "value"),
        ("/secrets/1", "secret"),
        ("/types/1", "value"),
        ("/url", "url"),
    ];
    let expected: Vec<(String, String)> =
        expected.iter().map(|(at, code)| ((*at).to_owned(), (*code).to_owned())).collect();
    assert_eq!(found, expected);
}

#[test]
fn what_is_no_object_is_a_fault_and_null_is_absence() {
    for odd in [json!(3), json!("x"), json!([]), json!(null)] {
        assert!(read(odd).is_err());
    }
    let mut definition = whole();
    definition["description"] = json!(null);
    definition["retry"] = json!(null);
    assert_eq!(read(definition).unwrap().description, None);
}

#[test]
fn secrets_are_in_no_debug_output_and_no_fault() {
    let shown = format!("{:?}", read(whole()).unwrap());
    assert!(!shown.contains("MfKQ9"), "{shown}");
    let mut definition = whole();
    definition["secret"] = json!({ "value": "canary" });
    let config = Config::default();
    let faults = EndpointConfig::from_json(&definition, &config).unwrap_err();
    assert!(!format!("{faults:?}").contains("canary"));
    definition["secret"] = json!("canary");
    let faults = EndpointConfig::from_json(&definition, &config).unwrap_err();
    assert!(!format!("{faults:?}").contains("canary"));
}

#[test]
fn an_endpoint_may_allow_plain_http() {
    let definition = json!({ "name": "a", "url": "http://a.example/", "https_only": false });
    let endpoint = read(definition).unwrap();
    assert_eq!(endpoint.types.len(), 1);
    assert_eq!(endpoint.types[0].as_str(), "**", "every event where no types are given");
    assert_eq!(endpoint.secrets, vec![]);
}

#[test]
fn headers_are_as_many_and_as_long_as_can_be_sent() {
    let with = |headers: serde_json::Value| {
        let mut definition = whole();
        definition["headers"] = headers;
        read(definition).map(|endpoint| endpoint.headers.len())
    };
    let named = |count: usize| (0..count).map(|n| (format!("x-{n}"), json!("y"))).collect();
    let long = |bytes: usize| json!({ "x-long": "y".repeat(bytes) });
    assert_eq!(with(named(HEADERS_MAX)), Ok(HEADERS_MAX));
    assert_eq!(with(long(HEADER_VALUE_BYTES_MAX)), Ok(1));
    let refused = |pointer: &str, code: &str| Err(vec![(pointer.to_owned(), code.to_owned())]);
    assert_eq!(with(named(HEADERS_MAX + 1)), refused("/headers", "type"));
    assert_eq!(with(long(HEADER_VALUE_BYTES_MAX + 1)), refused("/headers/x-long", "value"));
    assert_eq!(with(json!({ "tracestate": "a=b" })), refused("/headers/tracestate", "value"));
}
