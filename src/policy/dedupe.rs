//! What makes an event the same as another one, to an endpoint that wants the first only.

use crate::model::Dedupe;
use crate::model::DedupeKey;
use crate::model::DedupePolicy;
use crate::model::EndpointNo;
use crate::model::EventType;
use crate::policy::payload;
use crate::policy::payload::Payload;

/// How an event may be a duplicate at an endpoint. `None`: it has no key, and always goes out.
///
/// The type belongs to the key: `order.created` and `order.paid` of one order are two things.
pub fn dedupe(
    policy: &DedupePolicy,
    endpoint: EndpointNo,
    event_type: &EventType,
    payload: &mut Payload<'_>,
) -> Option<Dedupe> {
    let event_type = event_type.as_str().as_bytes();
    let key = match &policy.key {
        Some(pointer) => payload::hash(&[event_type, b"key", payload.key_at(pointer)?.as_bytes()]),
        None => payload::hash(&[event_type, b"payload", &payload.hash()]),
    };
    Some(Dedupe { endpoint, key: DedupeKey(key), window: policy.window })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn of(pointer: Option<&str>, event_type: &str, body: &str) -> Option<Dedupe> {
        let window = Duration::from_secs(900);
        let policy = DedupePolicy { key: pointer.map(str::to_owned), window };
        let event_type = event_type.parse().unwrap();
        dedupe(&policy, EndpointNo(3), &event_type, &mut Payload::new(body.as_bytes()))
    }

    #[test]
    fn the_same_is_the_same_key_of_the_same_type() {
        let (by, whole) = (Some("/data/id"), None);
        let seven = "{\"data\":{\"id\":7,\"n\":1}}";
        let again = "{\"data\":{\"id\":7,\"n\":2}}";
        let cases = [
            (by, "a.b", seven, "a.b", again, true),
            (by, "a.b", seven, "a.b", "{\"data\":{\"id\":\"7\"}}", true),
            (by, "a.b", seven, "a.b", "{\"data\":{\"id\":8}}", false),
            (by, "a.b", seven, "a.c", seven, false),
            (whole, "a.b", seven, "a.b", seven, true),
            (whole, "a.b", seven, "a.b", again, false),
            (whole, "a.b", seven, "a.c", seven, false),
            (whole, "a.b", "<x/>", "a.b", "<x/>", true),
            (whole, "a.b", "", "a.b", "", true),
            (whole, "a.b", "x", "a.bx", "", false),
        ];
        for (pointer, first, body, second, other, same) in cases {
            let (one, two) = (of(pointer, first, body), of(pointer, second, other));
            assert!(one.is_some() && two.is_some());
            assert_eq!(one == two, same, "{pointer:?}: {first} {body} and {second} {other}");
        }
    }

    #[test]
    fn a_payload_without_the_key_is_no_duplicate_of_anything() {
        for body in ["", "<x/>", "{}", "{\"data\":{\"id\":null}}", "{\"data\":{\"id\":[7]}}"] {
            assert_eq!(of(Some("/data/id"), "a.b", body), None, "{body}");
        }
    }
}
