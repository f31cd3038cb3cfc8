//! What holds of every event, however it came: the rules of all, and those of its source.

use std::fmt;

use http::HeaderMap;

use crate::config::value::pace;
use crate::intake::Idempotency;
use crate::intake::Settings;
use crate::intake::SourceTerms;
use crate::intake::batch::Item;
use crate::intake::said::MALFORMED;
use crate::model::Code;
use crate::model::Rate;
use crate::model::Submission;
use crate::model::event::OPERATIONAL_PREFIX;
use crate::model::view::Fault;
use crate::model::view::Problem;
use crate::policy::routing;

/// Says how many relays a request has passed through; each attempt says one more than its event.
const HOPS: &str = "postrider-hops";

/// What a request is held to.
pub(super) struct Terms<'a> {
    pub(super) settings: &'a Settings,
    source: Option<&'a SourceTerms>,
    hops: u8,
}

/// The largest payload of a source, shown as the key that says so.
#[derive(Clone, Copy)]
pub(super) struct PayloadMax<'a> {
    pub(super) bytes: usize,
    /// The source that has a limit of its own.
    of: Option<&'a str>,
}

impl fmt::Display for PayloadMax<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.of {
            Some(name) => write!(f, "max_payload of [[source]] {name:?}"),
            None => f.write_str("ingest.max_payload"),
        }
    }
}

impl<'a> Terms<'a> {
    /// For a request of this source with these headers. One that has passed through more relays
    /// than may be goes round in a circle, most likely, and is refused.
    pub(super) fn of(
        settings: &'a Settings,
        source: &str,
        headers: &HeaderMap,
    ) -> Result<Terms<'a>, Problem> {
        let hops = hops(headers, settings.hops_max)?;
        Ok(Terms { settings, source: settings.sources.get(source), hops })
    }

    /// The largest payload.
    pub(super) fn payload_max(&self) -> PayloadMax<'a> {
        let all = self.settings.payload_bytes_max;
        let own = self.source.and_then(|source| Some((source.payload_bytes_max?, &*source.name)));
        match own.filter(|(bytes, _)| *bytes < all) {
            Some((bytes, name)) => PayloadMax { bytes, of: Some(name) },
            None => PayloadMax { bytes: all, of: None },
        }
    }

    /// How fast the source may submit, if there is a limit.
    pub(super) fn rate(&self) -> Option<Rate> {
        let own = self.source.and_then(|source| source.rate);
        own.or(self.settings.rate_max)
    }

    /// Which limit the source of this identity exceeds when it is faster.
    pub(super) fn too_fast(&self, identity: &str, rate: &Rate) -> String {
        let name = self.source.map_or(identity, |source| &*source.name);
        if self.source.is_some_and(|source| source.rate.is_some()) {
            let (written, burst) = (pace::written(rate), rate.burst);
            return format!(
                "{name} sends more than the {written}, {burst} at once, that rate and burst of \
                 [[source]] {name:?} allow"
            );
        }
        let count = rate.count;
        format!("{name} sends more than the {count} events a second of ingest.max_rate")
    }

    /// Rules that hold for every event, however it came.
    pub(super) fn check(&self, item: Item) -> Result<Submission, Box<Problem>> {
        let settings = self.settings;
        let mut submission = item.map_err(|faults| Box::new(not_valid(faults)))?;
        let refuse = |code, detail: String| Err(Box::new(Problem::new(code, detail)));
        if submission.event_type.is_operational() {
            let detail =
                format!("types that begin with {OPERATIONAL_PREFIX:?} are postrider's own");
            return refuse(Code::Validation, detail);
        }
        if let Some(detail) = self.forbids(&submission) {
            return refuse(Code::TypeNotAllowed, detail);
        }
        let most = self.payload_max();
        if submission.body.len() > most.bytes {
            let bytes = most.bytes;
            let detail = format!("the payload has more than {bytes} bytes, the limit of {most}");
            return refuse(Code::PayloadTooLarge, detail);
        }
        if settings.json_only
            && serde_json::from_slice::<&serde_json::value::RawValue>(&submission.body).is_err()
        {
            let detail = "ingest.require_json is set, and the payload is not JSON";
            return refuse(Code::UnsupportedMediaType, detail.to_owned());
        }
        submission.attributes.hops = self.hops;
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

    /// Why the source may not submit this, if it may not.
    fn forbids(&self, submission: &Submission) -> Option<String> {
        let source = self.source?;
        let event_type = &submission.event_type;
        if source.types.iter().any(|glob| routing::covers(glob, event_type)) {
            return None;
        }
        let globs: Vec<_> = source.types.iter().map(ToString::to_string).collect();
        let (name, globs) = (&source.name, globs.join(", "));
        Some(format!(
            "{name} may not submit {event_type}: types of [[source]] {name:?} allow {globs}"
        ))
    }
}

/// The relays that a request says it has passed through.
fn hops(headers: &HeaderMap, hops_max: u8) -> Result<u8, Problem> {
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
