//! The signature vectors of a file, checked against `policy::{scheme, sign, verify}`.
//!
//! The file is named by `CONFORMANCE_VECTORS`; without it, the one beside this test is used. Any
//! file of the format `webhook-conformance-vectors/1` drops in: vectors of other schemes and kinds
//! are counted and skipped. Time is the vector's own `now`.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use postrider::model::Time;
use postrider::policy::keys::SigningKey;
use postrider::policy::keys::VerifyingKey;
use postrider::policy::scheme::Key;
use postrider::policy::scheme::Request;
use postrider::policy::scheme::Scheme;
use postrider::policy::scheme::named;
use postrider::policy::sign::SignatureHeaders;
use postrider::policy::sign::sign;
use postrider::policy::verify::Signed;
use postrider::policy::verify::verify;
use serde::Deserialize;

const DEFAULT_FILE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/signature-vectors.json");

#[derive(Deserialize)]
struct File {
    format: String,
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    id: String,
    kind: String,
    scheme: String,
    #[serde(default)]
    method: String,
    #[serde(default)]
    url: String,
    #[serde(default)]
    event_id: Option<String>,
    #[serde(default)]
    event_type: Option<String>,
    #[serde(default)]
    secrets: Vec<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body_base64: String,
    #[serde(default)]
    now: u64,
    #[serde(default)]
    tolerance_s: Option<u64>,
    #[serde(default)]
    expect: String,
    #[serde(default)]
    expect_headers: BTreeMap<String, String>,
}

/// The schemes that postrider signs by itself, by the prefix of their headers.
fn headers_of(scheme: &str) -> Option<SignatureHeaders> {
    match scheme {
        "standardwebhooks" | "standardwebhooks_ed25519" | "gitlab_signed" => {
            Some(SignatureHeaders::standard())
        }
        "svix" => Some(SignatureHeaders::with_prefix("svix-")),
        _ => None,
    }
}

fn header<'a>(headers: &'a BTreeMap<String, String>, name: &str) -> Option<&'a str> {
    let mut all = headers.iter();
    all.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

fn check_sign(vector: &Vector, names: &SignatureHeaders) -> Result<(), String> {
    let keys: Result<Vec<_>, _> = vector.secrets.iter().map(|s| SigningKey::parse(s)).collect();
    let keys = keys.map_err(|error| error.to_string())?;
    let body = STANDARD.decode(&vector.body_base64).map_err(|error| error.to_string())?;
    let expected = |name: &str| header(&vector.expect_headers, name).unwrap_or_default().to_owned();
    let at = expected(&names.timestamp).parse().map_err(|_| "no timestamp expected".to_owned())?;
    let signature = sign(&keys, &expected(&names.id), at, &body);
    if signature == expected(&names.signature) {
        Ok(())
    } else {
        Err(format!("signed {signature}, expected {}", expected(&names.signature)))
    }
}

/// As the sender's half of the same scheme is checked.
fn check_verify(vector: &Vector, names: &SignatureHeaders) -> Result<(), String> {
    let keys: Result<Vec<_>, _> = vector.secrets.iter().map(|s| VerifyingKey::parse(s)).collect();
    let keys = keys.map_err(|error| error.to_string())?;
    let body = STANDARD.decode(&vector.body_base64).map_err(|error| error.to_string())?;
    let value = |name: &str| header(&vector.headers, name).map(str::as_bytes);
    let signed = Signed {
        id: value(&names.id),
        timestamp: value(&names.timestamp),
        signature: value(&names.signature),
        body: &body,
    };
    judge(vector, &verify(&keys, &signed, vector.now, vector.tolerance_s))
}

/// As a source of this scheme checks what comes in.
fn check_scheme(vector: &Vector, scheme: &Scheme) -> Result<(), String> {
    let keys: Result<Vec<_>, _> = vector.secrets.iter().map(|s| Key::parse(scheme, s)).collect();
    let keys = keys.map_err(|error| error.to_string())?;
    let body = STANDARD.decode(&vector.body_base64).map_err(|error| error.to_string())?;
    let mut headers = HeaderMap::new();
    for (name, value) in &vector.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| error.to_string())?;
        let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|error| error.to_string())?;
        headers.append(name, value);
    }
    let request = Request::new(&vector.method, &vector.url, &headers, &body);
    let now = Time::from_secs(vector.now);
    let got = scheme.verify(&keys, &request, now, vector.tolerance_s).map(drop);
    judge(vector, &got)?;
    let found = (request.first_of(&scheme.event_id), request.first_of(&scheme.event_type));
    if got.is_ok() && vector.event_id.is_some() && found.0 != vector.event_id {
        return Err(format!("its id is {:?}, expected {:?}", found.0, vector.event_id));
    }
    if got.is_ok() && vector.event_type.is_some() && found.1 != vector.event_type {
        return Err(format!("its type is {:?}, expected {:?}", found.1, vector.event_type));
    }
    Ok(())
}

fn judge<E: std::fmt::Debug>(vector: &Vector, got: &Result<(), E>) -> Result<(), String> {
    let word = if got.is_ok() { "valid" } else { "invalid" };
    if word == vector.expect {
        Ok(())
    } else {
        Err(format!("got {got:?}, expected {}", vector.expect))
    }
}

#[test]
fn every_vector_of_a_supported_scheme_is_met() {
    let path = std::env::var("CONFORMANCE_VECTORS").unwrap_or_else(|_| DEFAULT_FILE.to_owned());
    let text = std::fs::read_to_string(&path).unwrap();
    let file: File = serde_json::from_str(&text).unwrap();
    assert_eq!(file.format, "webhook-conformance-vectors/1");

    let mut run: BTreeMap<(&str, &str), u32> = BTreeMap::new();
    let mut skipped: BTreeMap<(&str, &str), u32> = BTreeMap::new();
    let mut failures = Vec::new();
    for vector in &file.vectors {
        let kind = (vector.scheme.as_str(), vector.kind.as_str());
        let signing = headers_of(&vector.scheme);
        let result = match (signing, named(&vector.scheme), vector.kind.as_str()) {
            (Some(names), _, "sign") => check_sign(vector, &names),
            (Some(names), Some(scheme), "verify") => {
                check_verify(vector, &names).and_then(|()| check_scheme(vector, scheme))
            }
            (None, Some(scheme), "verify") => check_scheme(vector, scheme),
            _ => {
                *skipped.entry(kind).or_default() += 1;
                continue;
            }
        };
        *run.entry(kind).or_default() += 1;
        if let Err(why) = result {
            failures.push(format!("{}: {why}", vector.id));
        }
    }

    for (what, counts) in [("run", &run), ("skipped", &skipped)] {
        for ((scheme, kind), count) in counts {
            println!("{what}: {scheme} {kind} {count}");
        }
        println!("{what} in all: {}", counts.values().sum::<u32>());
    }
    assert!(!run.is_empty(), "no vector of a supported scheme in the file");
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
}
