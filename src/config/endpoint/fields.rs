//! The keys of an endpoint that are more than a value between two limits.

use std::path::Path;

use figment::value::Value;
use http::HeaderValue;
use url::Url;

use crate::config::Config;
use crate::config::endpoint::DESCRIPTION_BYTES_MAX;
use crate::config::endpoint::NAME_CHARS_MAX;
use crate::config::endpoint::SECRETS_MAX;
use crate::config::endpoint::TYPES_MAX;
use crate::config::endpoint::URL_BYTES_MAX;
use crate::config::fault::Code;
use crate::config::fault::Draft;
use crate::config::header;
use crate::config::header::Headers;
use crate::config::reader::Reader;
use crate::config::secret;
use crate::config::secret::Secret;
use crate::config::secret::SecretError;
use crate::config::secret::SecretRef;
use crate::config::value::Dur;
use crate::model::TypeGlob;
use crate::policy::header::HEADERS_MAX;

/// An endpoint's own timeouts, or those of `[delivery]`.
pub(super) struct Timeouts {
    pub(super) connect: Dur,
    pub(super) response: Dur,
    pub(super) attempt: Dur,
}

impl Timeouts {
    pub(super) fn read(reader: &mut Reader<'_>, config: &Config) -> Timeouts {
        let mut own = |key: &str| reader.bounded(key, Dur::millis(10), Dur::hours(1));
        let delivery = &config.delivery;
        let (connect, response) = (own("connect_timeout"), own("response_timeout"));
        let attempt = own("attempt_timeout");
        let both = (
            response.unwrap_or(delivery.response_timeout),
            attempt.unwrap_or(delivery.attempt_timeout),
        );
        // where both are inherited, the fault is in [delivery] and is reported there
        if (response.is_some() || attempt.is_some()) && both.1 < both.0 {
            let key = if attempt.is_some() { "attempt_timeout" } else { "response_timeout" };
            let label = format!(
                "the whole attempt ({}) must not be shorter than the wait for its response ({})",
                both.1, both.0
            );
            reader.refuse(Code::Conflict, key, label);
        }
        let connect = connect.unwrap_or(delivery.connect_timeout);
        Timeouts { connect, response: both.0, attempt: both.1 }
    }
}

/// The name of `what`, such as "an endpoint".
pub(in crate::config) fn name(reader: &mut Reader<'_>, what: &str) -> Option<String> {
    let name: String = required(reader, what, "name")?;
    let legal = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    if (1..=NAME_CHARS_MAX).contains(&name.len()) && name.bytes().all(legal) {
        return Some(name);
    }
    let label = format!("expected 1 to {NAME_CHARS_MAX} of the characters a-z, 0-9 and \"-\"");
    reader.refuse(Code::Value, "name", label);
    None
}

/// The URL. What it resolves to is judged at every attempt, not here.
pub(super) fn url(reader: &mut Reader<'_>, https_only: bool) -> Option<Url> {
    let text: String = required(reader, "an endpoint", "url")?;
    let mut refuse = |label: &str, help: &str| {
        let draft = Draft::invalid(Code::Url, &reader.path("url"), label.to_owned());
        reader.note(if help.is_empty() { draft } else { draft.help(help) });
    };
    let odd = |c: char| c.is_control() || c.is_whitespace() || c == '\\';
    if text.len() > URL_BYTES_MAX || text.contains(odd) {
        refuse("a URL has at most 2048 bytes and no spaces, backslashes or control characters", "");
        return None;
    }
    let Ok(url) = Url::parse(&text) else {
        refuse("not a URL", "write it in full, as in https://example.com/hooks");
        return None;
    };
    let mut good = true;
    let mut check = |wrong: bool, label: &str, help: &str| {
        if wrong {
            refuse(label, help);
            good = false;
        }
    };
    let plain = url.scheme() == "http";
    check(!plain && url.scheme() != "https", "only https:// can be called", "");
    let help = "https_only = false, here or in [egress], allows http:// URLs";
    check(plain && https_only, "must be https", help);
    check(url.host_str().is_none_or(str::is_empty), "has no host", "");
    let user = !url.username().is_empty() || url.password().is_some();
    check(user, "must not hold a user name or password", "put an authorization into `headers`");
    check(url.fragment().is_some(), "must not have a fragment (\"#...\")", "");
    good.then_some(url)
}

pub(in crate::config) fn description(reader: &mut Reader<'_>) -> Option<String> {
    let text: String = reader.value("description")?;
    if text.len() > DESCRIPTION_BYTES_MAX || text.chars().any(char::is_control) {
        let label = format!("expected one line of at most {DESCRIPTION_BYTES_MAX} bytes");
        reader.refuse(Code::Value, "description", label);
    }
    Some(text)
}

/// The patterns; every event where none are given.
pub(in crate::config) fn types(reader: &mut Reader<'_>) -> Vec<TypeGlob> {
    let Some(Value::Array(_, items)) = reader.raw("types") else {
        let given: Option<Vec<TypeGlob>> = reader.value("types");
        return given.unwrap_or_else(|| "**".parse().into_iter().collect());
    };
    if items.is_empty() || items.len() > TYPES_MAX {
        let label = format!("expected 1 to {TYPES_MAX} patterns; \"**\" is every event");
        reader.refuse(Code::Value, "types", label);
    }
    let mut globs = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let Some(text) = item.as_str() else {
            reader.refuse(Code::Type, &format!("types.{index}"), "expected text in quotes");
            continue;
        };
        match text.parse() {
            Ok(glob) => globs.push(glob),
            Err(error) => reader.refuse(
                Code::Value,
                &format!("types.{index}"),
                format!("\"{text}\": {error}"),
            ),
        }
    }
    globs
}

/// `secret`, or each of `secrets`.
pub(super) fn secrets(reader: &mut Reader<'_>, config: &Config) -> Vec<Secret> {
    if reader.raw("secret").is_none() && reader.raw("secrets").is_none() {
        let path = reader.path("");
        let title = "requests to this endpoint will not be signed".to_owned();
        let warning = Draft::warning(Code::Unsafe, &path, title, "no `secret`".to_owned());
        reader.note(warning.help("make one with: postrider secret generate").at_key());
    }
    each_secret(reader, |value| config.vault.secret(value))
}

/// `secret`, or each of `secrets`, as `read` understands it.
pub(in crate::config) fn each_secret(
    reader: &mut Reader<'_>,
    read: impl Fn(&Value) -> Result<(Secret, Option<String>), SecretError>,
) -> Vec<Secret> {
    let found: Vec<(String, &Value)> = match (reader.raw("secret"), reader.raw("secrets")) {
        (Some(_), Some(_)) => {
            reader.refuse(Code::Conflict, "secret", "give either `secret` or `secrets`");
            Vec::new()
        }
        (Some(one), None) => vec![("secret".to_owned(), one)],
        (None, Some(Value::Array(_, many))) if (1..=SECRETS_MAX).contains(&many.len()) => {
            let numbered = many.iter().enumerate();
            numbered.map(|(index, one)| (format!("secrets.{index}"), one)).collect()
        }
        (None, Some(_)) => {
            let label = format!("expected a list of 1 to {SECRETS_MAX} secrets");
            reader.refuse(Code::Type, "secrets", label);
            Vec::new()
        }
        (None, None) => Vec::new(),
    };
    let mut secrets = Vec::new();
    for (key, value) in found {
        let path = reader.path(&key);
        match read(value) {
            Ok((secret, unsafe_place)) => {
                let literal =
                    reader.file_of(&path).filter(|_| secret.reference == SecretRef::Value);
                let open = literal.and_then(|file| secret::open_to_others(Path::new(file)));
                for place in [unsafe_place, open].into_iter().flatten() {
                    let title = "a secret is open to others".to_owned();
                    reader.note(Draft::warning(Code::Unsafe, &path, title, place));
                }
                secrets.push(secret);
            }
            Err(error) => {
                let draft = Draft::invalid(Code::Secret, &path, error.to_string());
                reader.note(match error.help() {
                    Some(help) => draft.help(help),
                    None => draft,
                });
            }
        }
    }
    secrets
}

pub(super) fn headers(reader: &mut Reader<'_>) -> Headers {
    let Some(value) = reader.raw("headers") else { return Headers::new() };
    let Some(table) = value.as_dict().filter(|table| table.len() <= HEADERS_MAX) else {
        let label = format!("expected a table of at most {HEADERS_MAX} headers");
        reader.refuse(Code::Type, "headers", label);
        return Headers::new();
    };
    header::headers(table, |name, error| {
        let path = reader.path(&format!("headers.{name}"));
        let title = format!("header `{name}` cannot be sent");
        reader.note(Draft::error(Code::Value, &path, title, error.to_string()).at_key());
    })
}

pub(super) fn content_type(reader: &mut Reader<'_>) -> Option<String> {
    let text: String = reader.value("content_type")?;
    let named =
        text.split_once('/').is_some_and(|(kind, rest)| !kind.is_empty() && !rest.is_empty());
    if !named || HeaderValue::from_str(&text).is_err() {
        let label = "expected a media type such as \"application/json\"";
        reader.refuse(Code::Value, "content_type", label);
    }
    Some(text)
}

/// The definition as it was given, as JSON.
pub(in crate::config) fn definition(reader: &Reader<'_>) -> serde_json::Value {
    reader.table().and_then(|table| serde_json::to_value(table).ok()).unwrap_or_default()
}

fn required<T: serde::de::DeserializeOwned>(
    reader: &mut Reader<'_>,
    what: &str,
    key: &str,
) -> Option<T> {
    if is_missing(reader, what, key) {
        return None;
    }
    reader.value(key)
}

/// Whether `what` lacks a key that it needs; that is noted.
pub(in crate::config) fn is_missing(reader: &mut Reader<'_>, what: &str, key: &str) -> bool {
    let missing = reader.raw(key).is_none();
    if missing {
        let path = reader.path("");
        let title = format!("{what} needs a {key}");
        let draft = Draft::error(Code::Missing, &path, title, format!("`{key}` is missing"));
        reader.note(draft.at_key());
    }
    missing
}
