//! The event that a provider's request is: its type, its identity, and what is sent on with it.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::header;
use http::request::Parts;
use ring::digest;

use crate::intake::raw::content_type;
use crate::intake::webhook::Provider;
use crate::model::EventType;
use crate::model::IdempotencyKey;
use crate::model::Submission;
use crate::model::event::Attributes;
use crate::model::event::EVENT_TYPE_BYTES_MAX;
use crate::policy::hex::hex;
use crate::policy::scheme::Kind;
use crate::policy::scheme::Place;
use crate::policy::scheme::Request;

/// The type of what says none, or none that can be one.
const NO_TYPE: &str = "received";
/// The longest id that is taken as it is, in bytes.
const ID_BYTES_MAX: usize = 200;
/// Tells the query with which the provider called; what it signed may include it.
const QUERY: &str = "postrider-query";
/// Headers that are of the connection (RFC 9110, section 7.6.1) or of one request alone, that are
/// set anew for each attempt, that change what a receiver does, or that are secrets.
const NOT_SENT_ON: [&str; 25] = [
    "accept",
    "accept-encoding",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-callback-token",
    "x-gitlab-token",
    "x-http-method-override",
    "x-original-url",
    "x-real-ip",
    "x-rewrite-url",
    "x-webhook-token",
];
/// What the names of those begin with that a proxy in between has set, and of our own.
const NOT_SENT_ON_PREFIXES: [&str; 2] = ["x-forwarded-", "postrider-"];
/// What the names of signatures begin with that could hide ours. They are sent on where the scheme
/// has them.
const SIGNATURE_PREFIXES: [&str; 2] = ["webhook-", "svix-"];

/// The submission that a request is which has proved itself.
pub(super) fn submission(
    provider: &Provider,
    request: &Request<'_>,
    head: &Parts,
    body: Bytes,
) -> Submission {
    let mut headers = sent_on(provider, &head.headers);
    if let Some(query) = head.uri.query() {
        headers.push((QUERY.to_owned(), query.to_owned()));
    }
    let attributes = Attributes { headers, ..Attributes::default() };
    Submission {
        source: provider.identity.clone(),
        event_type: event_type(&provider.type_prefix, &said_type(provider, request)),
        content_type: content_type(&head.headers),
        body,
        attributes: Box::new(attributes),
        delay: None,
        ahead: Duration::ZERO,
        endpoints: None,
        idempotency_key: None,
    }
}

/// What the provider calls the event.
fn said_type(provider: &Provider, request: &Request<'_>) -> String {
    let fixed = provider.fixed_type.clone();
    fixed.or_else(|| request.first_of(&provider.event_type)).unwrap_or_default()
}

/// What the provider calls the event, made a type: `orders/create` becomes `orders.create`, and
/// what no type may hold becomes `_`.
fn event_type(prefix: &str, said: &str) -> EventType {
    let legal = |c: char| match c {
        '/' | ':' => '.',
        c if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') => c,
        _ => '_',
    };
    let text: String = said.chars().map(legal).collect();
    let segments: Vec<_> = text.split('.').filter(|segment| !segment.is_empty()).collect();
    let room = EVENT_TYPE_BYTES_MAX.saturating_sub(prefix.len());
    let mut text = segments.join(".");
    text.truncate(room);
    let text = text.trim_end_matches('.');
    let whole = format!("{prefix}{}", if text.is_empty() { NO_TYPE } else { text });
    whole.parse().unwrap_or_else(|_| EventType::received())
}

/// What the request is known by: the provider's id of the event, else its body.
pub(super) fn key(provider: &Provider, request: &Request<'_>) -> Option<IdempotencyKey> {
    let text = match request.first_of(provider.scheme.known_by()) {
        Some(id) if id.len() <= ID_BYTES_MAX && id.bytes().all(|byte| byte.is_ascii_graphic()) => {
            format!("id:{id}")
        }
        Some(id) => format!("id-sha256:{}", hash(id.as_bytes())),
        None if provider.scheme.known_with_type => {
            let said = said_type(provider, request);
            format!("body-sha256:{}", hash(&[said.as_bytes(), b"\n", request.body()].concat()))
        }
        None => format!("body-sha256:{}", hash(request.body())),
    };
    text.parse().ok()
}

fn hash(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

/// The headers that are sent on: all of them but what is not the provider's, and the secret itself.
fn sent_on(provider: &Provider, headers: &HeaderMap) -> Vec<(String, String)> {
    let proof = match &provider.scheme.signature.at {
        Place::Header(name) => name.as_str(),
        Place::Json(_) => "",
    };
    let is_secret = matches!(provider.scheme.kind, Kind::Token | Kind::Bearer | Kind::Basic);
    let foreign = |name: &str| {
        SIGNATURE_PREFIXES.iter().any(|own| name.starts_with(own) && !proof.starts_with(own))
    };
    // "Connection" names others that end with it
    let connection = headers.get_all(header::CONNECTION).iter();
    let named: Vec<_> = connection
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let stays = |name: &str| {
        NOT_SENT_ON.contains(&name)
            || NOT_SENT_ON_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
            || is_secret && name.eq_ignore_ascii_case(proof)
            || foreign(name)
            || named.iter().any(|other| other == name)
    };
    let headers = headers.iter().filter(|(name, _)| !stays(name.as_str()));
    // a value that is not text cannot be shown, and no provider sends one
    let pair = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
    };
    headers.filter_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_providers_call_events_becomes_a_type() {
        let cases = [
            ("orders/create", "shop.orders.create"),
            ("Push Hook", "shop.Push_Hook"),
            ("repo:push", "shop.repo.push"),
            ("a..b.", "shop.a.b"),
            ("", "shop.received"),
            ("...", "shop.received"),
            ("\u{20ac}", "shop._"),
        ];
        for (said, expected) in cases {
            assert_eq!(event_type("shop.", said).as_str(), expected, "{said:?}");
        }
        let long = event_type("shop.", &"x".repeat(500));
        assert_eq!(long.as_str().len(), EVENT_TYPE_BYTES_MAX);
        assert_eq!(event_type("", "postrider.queue.late").as_str(), "postrider.queue.late");
    }
}
