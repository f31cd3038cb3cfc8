//! What holds of every event, however it came.

use http::HeaderMap;

use crate::intake::Idempotency;
use crate::intake::Settings;
use crate::intake::batch::Item;
use crate::intake::said::MALFORMED;
use crate::model::Code;
use crate::model::Submission;
use crate::model::event::OPERATIONAL_PREFIX;
use crate::model::view::Fault;
use crate::model::view::Problem;

/// Says how many relays a request has passed through; each attempt says one more than its event.
const HOPS: &str = "postrider-hops";

/// The relays that a request says it has passed through. One that has passed through more than
/// `hops_max` goes round in a circle, most likely, and is refused.
pub(super) fn hops(headers: &HeaderMap, hops_max: u8) -> Result<u8, Problem> {
    let Some(value) = headers.get(HOPS) else { return Ok(0) };
    let hops: Option<u64> = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    let Some(hops) = hops else {
        return Err(Problem::new(Code::Validation, "postrider-hops must be a whole number"));
    };
    match u8::try_from(hops) {
        Ok(hops) if hops <= hops_max => Ok(hops),
        _ => Err(Problem::new(
            Code::LoopDetected,
            format!(
                "this has passed through {hops} relays; ingest.max_hops allows {hops_max}. \
                 Look for endpoints that feed each other"
            ),
        )),
    }
}

/// What is no JSON is told apart from what is JSON and not an event.
fn not_valid(faults: Vec<Fault>) -> Problem {
    match faults.as_slice() {
        [only] if only.code == MALFORMED => Problem::new(Code::MalformedJson, &*only.detail),
        _ => Problem::invalid(faults),
    }
}

/// Rules that hold for every event, however it came.
pub(super) fn check(item: Item, settings: &Settings, hops: u8) -> Result<Submission, Box<Problem>> {
    let mut submission = item.map_err(|faults| Box::new(not_valid(faults)))?;
    let refuse = |code, detail: String| Err(Box::new(Problem::new(code, detail)));
    if submission.event_type.is_operational() {
        let detail = format!("types that begin with {OPERATIONAL_PREFIX:?} are postrider's own");
        return refuse(Code::Validation, detail);
    }
    if submission.body.len() > settings.payload_bytes_max {
        let bytes = settings.payload_bytes_max;
        return refuse(Code::PayloadTooLarge, format!("the payload has more than {bytes} bytes"));
    }
    if settings.json_only
        && serde_json::from_slice::<&serde_json::value::RawValue>(&submission.body).is_err()
    {
        let detail = "ingest.require_json is set, and the payload is not JSON";
        return refuse(Code::UnsupportedMediaType, detail.to_owned());
    }
    submission.attributes.hops = hops;
    match settings.idempotency {
        Idempotency::Off => submission.idempotency_key = None,
        Idempotency::Required if submission.idempotency_key.is_none() => {
            let detail = "send an Idempotency-Key: ingest.idempotency is \"required\"";
            return refuse(Code::IdempotencyKeyMissing, detail.to_owned());
        }
        Idempotency::Required | Idempotency::Optional => {}
    }
    Ok(submission)
}
