//! HTTP message signatures (RFC 9421) over a `Content-Digest` (RFC 9530).
//!
//! Of the RFC, what webhooks use: one or more signatures, each over method, URL and body at least,
//! with the time of its making. What is signed (section 2.5) has a line for each component that the
//! signature covers, and one for its parameters.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest;

use crate::model::Time;
use crate::policy::scheme::Hash;
use crate::policy::scheme::Kind;
use crate::policy::scheme::check::Fault;
use crate::policy::scheme::check::Proof;
use crate::policy::scheme::check::check_age;
use crate::policy::scheme::check::fits_any;
use crate::policy::scheme::key::Key;
use crate::policy::scheme::request::Request;

const INPUT: &str = "signature-input";
const SIGNATURE: &str = "signature";
const DIGEST: &str = "content-digest";
/// What a signature must cover: without any of these it could be put on another request.
const COVERED: [&str; 3] = ["@method", "@target-uri", DIGEST];
/// Signatures that are looked at.
const SIGNATURES_MAX: usize = 4;

/// One signature, as `Signature-Input` describes it.
struct Input<'a> {
    label: &'a str,
    /// The list of components with its parameters, as it is written.
    whole: &'a str,
    components: Vec<&'a str>,
    created_s: Option<u64>,
    expires_s: Option<u64>,
    algorithm: Option<&'a str>,
}

/// Checks digest and signatures: one that is made with one of the keys is enough.
pub(super) fn verify<'k>(
    kind: Kind,
    keys: &'k [Key],
    request: &Request<'_>,
    now: Time,
    tolerance_s: Option<u64>,
) -> Result<Proof<'k>, Fault> {
    let text = |name: &str| {
        let value = request.header(name)?;
        std::str::from_utf8(value).map_err(|_| Fault::Malformed(name.to_owned()))
    };
    let (said, signatures) = (text(INPUT)?, text(SIGNATURE)?);
    check_digest(text(DIGEST)?, request.body())?;
    let malformed = || Fault::Malformed(INPUT.to_owned());
    let mut why = Fault::NoMatch;
    for member in members(said).take(SIGNATURES_MAX) {
        let input = read(member).ok_or_else(malformed)?;
        let offered = members(signatures).find_map(|member| bytes_of(member, input.label));
        let offered = offered.ok_or_else(|| Fault::Malformed(SIGNATURE.to_owned()))?;
        match check(kind, keys, request, &input, offered, (now, tolerance_s)) {
            Ok(proof) => return Ok(proof),
            Err(fault) => why = fault,
        }
    }
    Err(why)
}

fn check<'k>(
    kind: Kind,
    keys: &'k [Key],
    request: &Request<'_>,
    input: &Input<'_>,
    offered: Vec<u8>,
    (now, tolerance_s): (Time, Option<u64>),
) -> Result<Proof<'k>, Fault> {
    let own = if kind == Kind::MessageHmac { "hmac-sha256" } else { "ed25519" };
    if input.algorithm.is_some_and(|algorithm| algorithm != own) {
        return Err(Fault::Algorithm);
    }
    if let Some(missing) = COVERED.iter().find(|name| !input.components.contains(name)) {
        return Err(Fault::Uncovered(missing));
    }
    if let Some(tolerance_s) = tolerance_s {
        let created_s = input.created_s.ok_or_else(|| Fault::Malformed(INPUT.to_owned()))?;
        check_age(created_s, now.as_secs(), tolerance_s)?;
    }
    if let Some(expires_s) = input.expires_s.filter(|expires_s| *expires_s < now.as_secs()) {
        return Err(Fault::Stale(now.as_secs() - expires_s));
    }
    let (signed, offered) = (base(request, input)?, [offered]);
    let fits = |key: &&Key| fits_any(kind, Hash::Sha256, key, &signed, &offered);
    let key = keys.iter().find(fits).ok_or(Fault::NoMatch)?;
    Ok(Proof::of(key, signed))
}

/// The signature base (section 2.5).
fn base(request: &Request<'_>, input: &Input<'_>) -> Result<Vec<u8>, Fault> {
    let (scheme, rest) = request.url().split_once("://").unwrap_or_default();
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(end);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut base = Vec::new();
    for name in &input.components {
        let value = match *name {
            "@method" => request.method().as_bytes(),
            "@target-uri" => request.url().as_bytes(),
            "@authority" => authority.as_bytes(),
            "@scheme" => scheme.as_bytes(),
            "@path" => path.as_bytes(),
            "@request-target" => target.as_bytes(),
            "@query" => query.as_bytes(),
            derived if derived.starts_with('@') => return Err(Fault::Malformed(INPUT.to_owned())),
            // its name is the sender's: it is not repeated in the log
            header => request.header(header).map_err(|_| Fault::Malformed(INPUT.to_owned()))?,
        };
        base.extend_from_slice(format!("\"{name}\": ").as_bytes());
        base.extend_from_slice(if *name == "@query" { b"?" } else { b"" });
        base.extend_from_slice(value);
        base.push(b'\n');
    }
    base.extend_from_slice(b"\"@signature-params\": ");
    base.extend_from_slice(input.whole.as_bytes());
    Ok(base)
}

/// One of the hashes is SHA-256 or SHA-512, and all such are the body's.
fn check_digest(said: &str, body: &[u8]) -> Result<(), Fault> {
    let mut known = 0;
    for (name, algorithm) in [("sha-256", &digest::SHA256), ("sha-512", &digest::SHA512)] {
        for hash in members(said).filter_map(|member| bytes_of(member, name)) {
            known += 1;
            if digest::digest(algorithm, body).as_ref() != hash {
                return Err(Fault::Digest);
            }
        }
    }
    if known == 0 { Err(Fault::Malformed(DIGEST.to_owned())) } else { Ok(()) }
}

/// The members of a dictionary (RFC 9651): what commas part that stand in no list or string.
fn members(text: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut depth) = (false, 0_u32);
    text.split(move |c| {
        match c {
            '"' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth = depth.saturating_sub(1),
            ',' => return !quoted && depth == 0,
            _ => {}
        }
        false
    })
    .map(str::trim)
}

/// The byte sequence of a member of this name.
fn bytes_of(member: &str, name: &str) -> Option<Vec<u8>> {
    let (key, value) = member.split_once('=')?;
    let encoded = value.strip_prefix(':')?.strip_suffix(':')?;
    if key == name { STANDARD.decode(encoded).ok() } else { None }
}

/// `label=("component" ...);created=1;alg="..."`
fn read(member: &str) -> Option<Input<'_>> {
    let (label, whole) = member.split_once('=')?;
    let (list, parameters) = whole.strip_prefix('(')?.split_once(')')?;
    let mut components = Vec::new();
    for item in list.split_ascii_whitespace() {
        components.push(unquoted(item)?);
    }
    let mut input =
        Input { label, whole, components, created_s: None, expires_s: None, algorithm: None };
    for parameter in parameters.split(';').filter(|parameter| !parameter.trim().is_empty()) {
        let (name, value) = parameter.trim().split_once('=')?;
        match name {
            "created" => input.created_s = Some(value.parse().ok()?),
            "expires" => input.expires_s = Some(value.parse().ok()?),
            "alg" => input.algorithm = Some(unquoted(value)?),
            _ => {}
        }
    }
    Some(input)
}

/// What stands between quotation marks; nothing in there may have to be escaped.
fn unquoted(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    (!inner.contains(['"', '\\'])).then_some(inner)
}
