//! What providers ask before they send events: whether this is the receiver that it should be.
//!
//! Each is answered only to who has the secret: after the request has proved itself, or, where it
//! is not signed (Meta), by comparing the token that it brings with one that is for nothing else.

use bytes::Bytes;
use http::HeaderValue;
use http::StatusCode;
use http::Uri;
use http::header;
use http_body_util::Full;
use serde_json::Value;
use serde_json::json;
use url::form_urlencoded;

use crate::intake::answer;
use crate::intake::answer::Answer;
use crate::intake::webhook::Provider;
use crate::model::problem::Code;
use crate::model::view::Problem;
use crate::policy::scheme::Handshake;
use crate::policy::scheme::Proof;
use crate::policy::scheme::Request;

/// What a request that has proved itself is answered at once, if it is no event.
pub(super) fn of(provider: &Provider, request: &Request<'_>, proof: &Proof<'_>) -> Option<Answer> {
    let handshake = provider.scheme.handshake?;
    let body: Value = serde_json::from_slice(request.body()).ok()?;
    let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str);
    match handshake {
        Handshake::Slack if text("/type") == Some("url_verification") => {
            Some(answer::json(StatusCode::OK, &json!({ "challenge": text("/challenge")? })))
        }
        Handshake::Zoom if text("/event") == Some("endpoint.url_validation") => {
            let plain = text("/payload/plainToken")?;
            let encrypted = proof.key.hmac_hex(plain.as_bytes());
            let answer = json!({ "plainToken": plain, "encryptedToken": encrypted });
            Some(answer::json(StatusCode::OK, &answer))
        }
        Handshake::Discord if body.get("event").is_none() => match body.get("type")?.as_u64()? {
            // an interaction's ping has an id, a webhook's has none
            1 if body.get("id").is_some() => {
                Some(answer::json(StatusCode::OK, &json!({ "type": 1 })))
            }
            0 => {
                let mut answer = Answer::new(Full::default());
                *answer.status_mut() = StatusCode::NO_CONTENT;
                Some(answer)
            }
            _ => None,
        },
        Handshake::Slack | Handshake::Zoom | Handshake::Discord | Handshake::Meta => None,
    }
}

/// Meta's: a GET with a token and a challenge. Nothing where the scheme has none.
pub(super) fn subscription(provider: &Provider, uri: &Uri) -> Option<Result<Answer, Problem>> {
    if provider.scheme.handshake != Some(Handshake::Meta) {
        return None;
    }
    let query = uri.query().unwrap_or_default();
    let value = |name: &str| {
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    };
    let token = value("hub.verify_token").unwrap_or_default();
    let subscribes = value("hub.mode").as_deref() == Some("subscribe");
    let challenge = value("hub.challenge").filter(|_| subscribes);
    let known = provider.verify_token.as_ref().is_some_and(|key| key.is(token.as_bytes()));
    Some(match challenge.filter(|_| known) {
        Some(challenge) => {
            let mut answer = Answer::new(Full::new(Bytes::from(challenge)));
            // never to be taken for a page
            let text = HeaderValue::from_static("text/plain; charset=utf-8");
            answer.headers_mut().insert(header::CONTENT_TYPE, text);
            let strict = HeaderValue::from_static("nosniff");
            answer.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, strict);
            Ok(answer)
        }
        None => Err(Problem::new(Code::Forbidden, "the subscription is not known here")),
    })
}
