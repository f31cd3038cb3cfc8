//! How `postrider listen` prints what happened.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytesize::ByteSize;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::cli::key_options::Signature;
use crate::cli::receiver::Answered;
use crate::cli::receiver::Arrival;
use crate::cli::receiver::Note;
use crate::cli::receiver::forward::ForwardTo;
use crate::model::Time;
use crate::policy::hex::hex;

/// Bytes of a body that are shown to people; JSON has all of it.
const BODY_BYTES_SHOWN_MAX: usize = 4096;

/// For whom it is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Style {
    /// For people: `-->` is what came, `<--` what was answered.
    Arrows,
    /// For programs: one object for each request that came.
    Json,
}

/// The lines for a note, each with its end; nothing where the style has none.
pub(in crate::cli) fn of(
    note: &Note,
    style: Style,
    body: bool,
    forward: Option<&ForwardTo>,
) -> String {
    match (note, style) {
        (Note::Arrived(arrival), Style::Arrows) => arrow_in(arrival, body, &TimeZone::system()),
        (Note::Answered(answered), Style::Arrows) => {
            arrow_out(answered, forward, &TimeZone::system())
        }
        (Note::Arrived(arrival), Style::Json) => object(arrival, body),
        (Note::Answered(_), Style::Json) => String::new(),
    }
}

fn arrow_in(arrival: &Arrival, body: bool, zone: &TimeZone) -> String {
    let size = u64::try_from(arrival.body.len()).unwrap_or(u64::MAX);
    let mut line = format!(
        "{}  --> {} [{}] {} {} {}",
        local(arrival.at, zone),
        arrival.event_type,
        arrival.id,
        ByteSize(size).display().iec(),
        arrival.content_type,
        arrival.signature,
    );
    if let Some(attempt) = arrival.attempt.filter(|attempt| *attempt > 1) {
        // writing to a string cannot fail
        let _always = write!(line, " (attempt {attempt})");
    }
    line.push('\n');
    if body {
        let shown = arrival.body.get(..BODY_BYTES_SHOWN_MAX).unwrap_or(&arrival.body);
        for shown in String::from_utf8_lossy(shown).lines() {
            let printable: String =
                shown.chars().map(|c| if c.is_control() && c != '\t' { '?' } else { c }).collect();
            let _always = writeln!(line, "    {printable}");
        }
    }
    line
}

fn arrow_out(answered: &Answered, forward: Option<&ForwardTo>, zone: &TimeZone) -> String {
    let at = local(answered.at, zone);
    let status = answered.status.map_or_else(|| "dropped".to_owned(), |s| s.as_u16().to_string());
    let to = forward.map(|to| format!(" POST {to}")).unwrap_or_default();
    let why = answered.forward_error.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    let took = answered.took.as_millis();
    format!("{at}  <-- [{status}]{to} {took} ms [{}]{why}\n", answered.id)
}

/// A request as programs read it.
#[derive(Serialize)]
struct Object<'a> {
    at: Time,
    id: &'a str,
    #[serde(rename = "type")]
    event_type: &'a str,
    attempt: Option<u16>,
    content_type: &'a str,
    bytes: usize,
    sha256: String,
    signature: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

fn object(arrival: &Arrival, body: bool) -> String {
    let (signature, reason) = match arrival.signature {
        Signature::Unchecked => ("unchecked", None),
        Signature::Good => ("ok", None),
        Signature::Bad(error) => ("bad", Some(error.to_string())),
    };
    let shown = body.then_some(&arrival.body);
    let text = shown.and_then(|body| std::str::from_utf8(body).ok());
    let object = Object {
        at: arrival.at,
        id: &arrival.id,
        event_type: &arrival.event_type,
        attempt: arrival.attempt,
        content_type: &arrival.content_type,
        bytes: arrival.body.len(),
        sha256: sha256(&arrival.body),
        signature,
        reason,
        body: text,
        body_base64: shown.filter(|_| text.is_none()).map(|body| STANDARD.encode(body)),
    };
    // a struct of texts and numbers always has a JSON form
    serde_json::to_string(&object).unwrap_or_default() + "\n"
}

fn sha256(bytes: &[u8]) -> String {
    hex(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref())
}

/// As a clock on the wall shows it: `2026-11-21 10:15:02`.
fn local(at: Time, zone: &TimeZone) -> String {
    let secs = i64::try_from(at.as_secs()).unwrap_or(i64::MAX);
    let stamp = Timestamp::from_second(secs).unwrap_or(Timestamp::MAX);
    stamp.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use http::HeaderMap;
    use http::StatusCode;

    use super::*;
    use crate::policy::verify::VerifyError;

    fn arrival(attempt: u16, signature: Signature) -> Arrival {
        Arrival {
            at: "2026-11-21T10:15:02.114Z".parse().unwrap(),
            id: "evt_1".to_owned(),
            event_type: "order.created".to_owned(),
            attempt: Some(attempt),
            content_type: "application/json".to_owned(),
            headers: HeaderMap::new(),
            body: Bytes::from_static(b"{\"a\":\n1}"),
            signature,
        }
    }

    fn answered(status: Option<StatusCode>, forward_error: Option<&str>) -> Answered {
        Answered {
            at: "2026-11-21T10:15:02.126Z".parse().unwrap(),
            took: Duration::from_millis(12),
            id: "evt_1".to_owned(),
            status,
            forward_error: forward_error.map(str::to_owned),
        }
    }

    #[test]
    fn arrows_for_people() {
        let utc = &TimeZone::UTC;
        assert_eq!(
            arrow_in(&arrival(1, Signature::Good), false, utc),
            "2026-11-21 10:15:02  --> order.created [evt_1] 8 B application/json signature ok\n"
        );
        let text = arrow_in(&arrival(3, Signature::Bad(VerifyError::NoMatch)), true, utc);
        assert!(text.contains("SIGNATURE BAD: no signature matches"), "{text}");
        assert!(text.ends_with(" (attempt 3)\n    {\"a\":\n    1}\n"), "{text}");
        let line = arrow_out(&answered(None, None), None, utc);
        assert_eq!(line, "2026-11-21 10:15:02  <-- [dropped] 12 ms [evt_1]\n");
        let to: ForwardTo = "http://localhost:3000/hook".parse().unwrap();
        let failed = answered(Some(StatusCode::BAD_GATEWAY), Some("no answer"));
        assert_eq!(
            arrow_out(&failed, Some(&to), utc),
            "2026-11-21 10:15:02  <-- [502] POST http://localhost:3000/hook 12 ms [evt_1]: \
             no answer\n"
        );
    }

    #[test]
    fn an_object_for_programs() {
        let line = object(&arrival(2, Signature::Good), true);
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["id"], "evt_1");
        assert_eq!(value["attempt"], 2);
        assert_eq!(value["bytes"], 8);
        assert_eq!(value["signature"], "ok");
        assert_eq!(value["body"], "{\"a\":\n1}");
        assert_eq!(sha256(b""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }
}
