//! One event: its payload as the body, everything else as headers.

use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::header;
use serde::de::IgnoredAny;

use crate::cli::client::Call;
use crate::cli::client::Client;
use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::cli::output::Context;
use crate::cli::send::SendArgs;
use crate::cli::send::open;
use crate::cli::send::wait;
use crate::cli::text;
use crate::model::EventType;
use crate::model::view::Accepted;

/// The longest payload that is read, in bytes. The daemon's own limit is smaller.
const PAYLOAD_BYTES_MAX: u64 = 64 * 1024 * 1024;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const DELAY: HeaderName = HeaderName::from_static("postrider-delay");
const ENDPOINTS: HeaderName = HeaderName::from_static("postrider-endpoint");
const ORDERING_KEY: HeaderName = HeaderName::from_static("postrider-ordering-key");
const TENANT: HeaderName = HeaderName::from_static("postrider-tenant");

pub(super) fn run(
    context: &Context,
    client: &Client,
    args: &SendArgs,
    event_type: &EventType,
    data: &str,
) -> anyhow::Result<ExitCode> {
    let payload = payload(data)?;
    let call = Call {
        method: Method::POST,
        target: format!("/v1/events/{event_type}"),
        headers: headers(args, &payload)?,
        body: payload.into(),
    };
    let accepted: Accepted = client.block_on(client.call(call))?.json()?;
    if args.wait {
        return wait::run(context, client, &accepted);
    }
    context.one(&accepted, &accepted.id.to_string(), || line(&accepted))?;
    Ok(Exit::Done.into())
}

/// What is said of an accepted event.
pub(super) fn line(accepted: &Accepted) -> String {
    let known = if accepted.duplicate { "   known already" } else { "" };
    let number = u64::try_from(accepted.deliveries.len()).unwrap_or(u64::MAX);
    let deliveries = match number {
        0 => "no endpoint takes it".to_owned(),
        _ => text::things(number, "delivery", "deliveries"),
    };
    format!("accepted {}   {deliveries}{known}", accepted.id)
}

fn payload(data: &str) -> anyhow::Result<Vec<u8>> {
    let mut source = match data.strip_prefix('@') {
        Some(file) => open(&PathBuf::from(file))?,
        None if data == "-" => open(&PathBuf::from(data))?,
        None => return Ok(data.as_bytes().to_vec()),
    };
    let mut bytes = Vec::new();
    let limited = source.by_ref().take(PAYLOAD_BYTES_MAX).read_to_end(&mut bytes);
    limited.with_context(|| format!("cannot read {data}"))?;
    if source.read(&mut [0])? > 0 {
        let message = format!("{data} has more than {PAYLOAD_BYTES_MAX} bytes");
        return Err(Failure::new(Exit::Usage, message).into());
    }
    Ok(bytes)
}

fn headers(args: &SendArgs, payload: &[u8]) -> anyhow::Result<Vec<(HeaderName, HeaderValue)>> {
    let mut headers = vec![(header::CONTENT_TYPE, content_type(args, payload)?)];
    let delay = args.delay.map(|delay| format!("{}ms", delay.as_millis()));
    let endpoints = (!args.endpoints.is_empty()).then(|| args.endpoints.join(","));
    let texts = [
        (IDEMPOTENCY_KEY, args.key.as_ref().map(|key| key.as_str().to_owned())),
        (DELAY, delay),
        (ENDPOINTS, endpoints),
        (ORDERING_KEY, args.ordering_key.clone()),
        (TENANT, args.tenant.clone()),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            let value = value(&text)?;
            headers.push((name, value));
        }
    }
    for (name, text) in &args.tags {
        let header = HeaderName::try_from(format!("postrider-tag-{name}"));
        let header = header.map_err(|_| usage(format!("{name:?} cannot be the name of a tag")))?;
        headers.push((header, value(text)?));
    }
    Ok(headers)
}

fn content_type(args: &SendArgs, payload: &[u8]) -> anyhow::Result<HeaderValue> {
    if let Some(content_type) = &args.content_type {
        return value(content_type);
    }
    let json = serde_json::from_slice::<IgnoredAny>(payload).is_ok();
    let guess = if json { "application/json" } else { "application/octet-stream" };
    Ok(HeaderValue::from_static(guess))
}

fn value(text: &str) -> anyhow::Result<HeaderValue> {
    let value = HeaderValue::try_from(text);
    value.map_err(|_| usage(format!("{text:?} has a character that HTTP does not allow")))
}

fn usage(message: String) -> anyhow::Error {
    Failure::new(Exit::Usage, message).into()
}
