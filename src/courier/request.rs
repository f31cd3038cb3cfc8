//! The request that goes out: whose headers, in which form, signed when.

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::header::CONTENT_LENGTH;
use http::header::CONTENT_TYPE;
use http::header::HOST;
use http::header::USER_AGENT;

use crate::courier::link::RequestBody;
use crate::courier::push::Job;
use crate::courier::target::SignatureNames;
use crate::model::Time;
use crate::policy::sign::sign;

const EVENT_TYPE: HeaderName = HeaderName::from_static("postrider-event-type");
const ATTEMPT: HeaderName = HeaderName::from_static("postrider-attempt");
const DELIVERY_ID: HeaderName = HeaderName::from_static("postrider-delivery-id");
const SEQUENCE: HeaderName = HeaderName::from_static("postrider-sequence");
const HOPS: HeaderName = HeaderName::from_static("postrider-hops");
const OCCURRED_AT: HeaderName = HeaderName::from_static("postrider-occurred-at");
const CORRELATION_ID: HeaderName = HeaderName::from_static("postrider-correlation-id");
const TENANT: HeaderName = HeaderName::from_static("postrider-tenant");
const SCHEMA_VERSION: HeaderName = HeaderName::from_static("postrider-schema-version");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Which of the two forms a request has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// HTTP/1.1: the path, and a `host` header.
    H1,
    /// HTTP/2: the whole URL.
    H2,
}

/// The request of an attempt that is made now, by the wall clock: the receiver compares the time
/// with its own.
///
/// # Errors
/// Only if an id cannot be a header value, which its alphabet rules out.
pub fn build(
    job: &Job,
    user_agent: &HeaderValue,
    now: Time,
    form: Form,
) -> Result<Request<RequestBody>, http::Error> {
    let target = &job.target;
    let mut request = Request::new(RequestBody::new(job.event.body.clone()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = match form {
        Form::H1 => target.path.clone(),
        Form::H2 => target.absolute.clone(),
    };
    let headers = request.headers_mut();
    let from_provider = provider_headers(headers, job);
    if form == Form::H1 {
        headers.insert(HOST, target.host_header.clone());
    }
    headers.insert(CONTENT_TYPE, content_type(job));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(job.event.body.len()));
    headers.entry(USER_AGENT).or_insert_with(|| user_agent.clone());
    signature(headers, job, now, from_provider)?;
    headers.insert(EVENT_TYPE, HeaderValue::try_from(job.event.event_type.as_str())?);
    headers.insert(ATTEMPT, HeaderValue::from(job.attempt));
    headers.insert(DELIVERY_ID, HeaderValue::try_from(job.delivery.to_string())?);
    headers.insert(SEQUENCE, HeaderValue::from(job.event.sequence()));
    let hops = job.event.attributes.hops.saturating_add(1);
    headers.insert(HOPS, HeaderValue::from(u16::from(hops)));
    attributes(headers, job)?;
    // Ours stand already and none of these has one of their names (`Target::new`).
    headers.extend(target.headers.clone());
    Ok(request)
}

/// The event's own type, byte for byte, unless the endpoint wants another.
fn content_type(job: &Job) -> HeaderValue {
    if let Some(value) = &job.target.content_type {
        return value.clone();
    }
    let own = HeaderValue::from_bytes(job.event.content_type.as_bytes());
    own.unwrap_or_else(|_| HeaderValue::from_static("application/octet-stream"))
}

/// The headers of the webhook that the event was, as they came, so that its own signature can
/// still be checked. Answers whether there are any.
fn provider_headers(headers: &mut HeaderMap, job: &Job) -> bool {
    let own = &job.event.attributes.headers;
    for (name, value) in own {
        // they were headers when they came
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            headers.append(name, value);
        }
    }
    !own.is_empty()
}

/// Ours. Where the provider's has the same names, ours begin with `postrider-`.
fn signature(
    headers: &mut HeaderMap,
    job: &Job,
    now: Time,
    from_provider: bool,
) -> Result<(), http::Error> {
    let target = &job.target;
    let names = &target.names;
    let taken = from_provider
        && [&names.id, &names.timestamp, &names.signature]
            .iter()
            .any(|name| headers.contains_key(*name));
    let own = SignatureNames {
        id: HeaderName::from_static("postrider-id"),
        timestamp: HeaderName::from_static("postrider-timestamp"),
        signature: HeaderName::from_static("postrider-signature"),
    };
    let names = if taken { &own } else { names };
    let id = job.event.id.to_string();
    let list = sign(&target.keys, &id, now.as_secs(), &job.event.body);
    headers.insert(names.id.clone(), HeaderValue::try_from(id)?);
    headers.insert(names.timestamp.clone(), HeaderValue::from(now.as_secs()));
    if !list.is_empty() {
        headers.insert(names.signature.clone(), HeaderValue::try_from(list)?);
    }
    Ok(())
}

fn attributes(headers: &mut HeaderMap, job: &Job) -> Result<(), http::Error> {
    let attributes = &job.event.attributes;
    // the event's own time, where it has one
    let occurred_at = attributes.occurred_at.unwrap_or(job.event.accepted_at);
    headers.insert(OCCURRED_AT, HeaderValue::try_from(occurred_at.to_string())?);
    let named = [
        (CORRELATION_ID, &attributes.correlation_id),
        (TENANT, &attributes.tenant),
        (SCHEMA_VERSION, &attributes.schema_version),
        (TRACEPARENT, &attributes.traceparent),
    ];
    for (name, value) in named {
        if let Some(value) = value {
            headers.insert(name, HeaderValue::try_from(percent_encoded(value))?);
        }
    }
    Ok(())
}

/// What submitters write may hold anything; a header may not. The rule is that of the `CloudEvents`
/// HTTP binding: space, `"`, `%` and all but visible ASCII are encoded, byte by byte.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'"' | b'%' => encoded.push_str(&format!("%{byte:02X}")),
            0x21..=0x7E => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_header_cannot_hold_is_encoded() {
        assert_eq!(percent_encoded("a/b:c-1"), "a/b:c-1");
        assert_eq!(percent_encoded("a b\"c%\r\n"), "a%20b%22c%25%0D%0A");
        assert_eq!(percent_encoded("Euro \u{20ac}"), "Euro%20%E2%82%AC");
    }
}
