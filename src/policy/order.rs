//! What an event is ordered by at an endpoint: its key, and the version of what it tells.

use ring::digest;
use serde_json::Value;

use crate::model::Attributes;
use crate::model::EndpointNo;
use crate::model::Order;
use crate::model::OrderKey;
use crate::model::OrderPolicy;
use crate::policy::payload::Payload;

/// How an event is ordered at an endpoint. `None`: it has no key, and goes at any time.
pub fn order(
    policy: &OrderPolicy,
    endpoint: EndpointNo,
    attributes: &Attributes,
    payload: &mut Payload<'_>,
) -> Option<Order> {
    let submitted = attributes.ordering_key.clone();
    let key = submitted.or_else(|| payload.key_at(policy.key.as_deref()?))?;
    let version = policy.version.as_deref();
    let version = version.and_then(|pointer| payload.at(pointer)).and_then(Value::as_u64);
    Some(Order { endpoint, key: hash(&key), version })
}

fn hash(key: &str) -> OrderKey {
    let digest = digest::digest(&digest::SHA256, key.as_bytes());
    let first = digest.as_ref().iter().take(8);
    OrderKey(first.fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(policy: &OrderPolicy, submitted: Option<&str>, body: &str) -> Option<Order> {
        let ordering_key = submitted.map(str::to_owned);
        let attributes = Attributes { ordering_key, ..Attributes::default() };
        order(policy, EndpointNo(3), &attributes, &mut Payload::new(body.as_bytes()))
    }

    fn by(key: Option<&str>, version: Option<&str>) -> OrderPolicy {
        let text = |text: Option<&str>| text.map(str::to_owned);
        OrderPolicy { key: text(key), version: text(version), ..OrderPolicy::default() }
    }

    #[test]
    fn a_submitted_key_wins_over_the_payload() {
        let policy = by(Some("/data/customer"), None);
        let body = r#"{"data":{"customer":"a"}}"#;
        let (found, submitted) = (of(&policy, None, body), of(&policy, Some("b"), body));
        assert!(found.is_some() && submitted.is_some() && found != submitted);
        assert_eq!(found, of(&policy, Some("a"), "not JSON"));
    }

    #[test]
    fn without_a_key_there_is_no_order() {
        let policy = by(Some("/data/customer"), None);
        for body in ["", "<xml/>", "{}", r#"{"data":{"customer":null}}"#] {
            assert_eq!(of(&policy, None, body), None, "{body}");
        }
        assert_eq!(of(&by(None, None), None, r#"{"data":1}"#), None);
    }

    #[test]
    fn a_number_is_a_key_and_a_whole_number_a_version() {
        let policy = by(Some("/id"), Some("/v"));
        let order = of(&policy, None, r#"{"id":7,"v":12}"#).unwrap();
        assert_eq!(order.version, Some(12));
        assert_eq!(Some(order.key), of(&policy, Some("7"), "{}").map(|order| order.key));
        assert_eq!(of(&policy, None, r#"{"id":7,"v":"x"}"#).unwrap().version, None);
        // of what is stored: the first bytes of its SHA-256
        assert_eq!(order.key, OrderKey(0x7902_699b_e42c_8a8e));
    }
}
