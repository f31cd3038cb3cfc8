//! What Twilio signs: the fields of a form, and a URL whose port may be there or not.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

use url::Url;
use url::form_urlencoded;

use crate::policy::hex::unhex;
use crate::policy::scheme::check::Fault;
use crate::policy::scheme::request::Request;

const FORM: &[u8] = b"application/x-www-form-urlencoded";
const CONTENT_TYPE: &str = "content-type";

/// The fields of the form that the body is: the names in order, each followed by its values in
/// order, each value once. Another body has no fields, and is not covered by them.
pub(super) fn fields(request: &Request<'_>) -> Result<Vec<u8>, Fault> {
    let is_form = request.header(CONTENT_TYPE).is_ok_and(|value| {
        let media_type = value.split(|byte| *byte == b';').next().unwrap_or_default();
        media_type.trim_ascii().eq_ignore_ascii_case(FORM)
    });
    if !is_form && !request.body().is_empty() {
        return Err(Fault::Uncovered("the body"));
    }
    let mut fields: BTreeMap<Cow<'_, str>, BTreeSet<Cow<'_, str>>> = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(request.body()) {
        fields.entry(name).or_default().insert(value);
    }
    let mut joined = Vec::new();
    for (name, values) in &fields {
        for value in values {
            joined.extend_from_slice(name.as_bytes());
            joined.extend_from_slice(value.as_bytes());
        }
    }
    Ok(joined)
}

/// The URL as it is, with its port, said or implied, and without it; each once.
pub(super) fn with_any_port(url: &str) -> Vec<String> {
    let mut urls = vec![url.to_owned()];
    // cut by hand, since a parsed URL would come back written another way
    let Some((scheme, rest)) = url.split_once("://") else { return urls };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let parsed = Url::parse(url).ok();
    let port = parsed.as_ref().and_then(Url::port_or_known_default);
    let bare = match authority.rsplit_once(':') {
        Some((host, digits)) if digits.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    urls.push(format!("{scheme}://{bare}{path}"));
    urls.extend(port.map(|port| format!("{scheme}://{bare}:{port}{path}")));
    urls.sort_unstable();
    urls.dedup();
    urls
}

/// Checks the body against its SHA-256 in the query of the URL, where that says one.
pub(super) fn check_body_hash(request: &Request<'_>, parameter: &str) -> Result<bool, Fault> {
    let query = request.url().split_once('?').map_or("", |(_, query)| query);
    let mut said = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == parameter);
    let Some((_, said)) = said.next() else { return Ok(false) };
    let said = unhex(said.as_bytes());
    let hash = ring::digest::digest(&ring::digest::SHA256, request.body());
    if said.as_deref() == Some(hash.as_ref()) { Ok(true) } else { Err(Fault::Digest) }
}
