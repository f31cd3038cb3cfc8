//! What it takes to call one endpoint, checked and made ready once, used for every attempt.
//!
//! A URL is taken only if there is one way to read it: what was written is checked as written,
//! then parsed as browsers do (WHATWG), and only the parsed host and port are ever used. So a host
//! such as `2130706433` or `0x7f.1` is the address 127.0.0.1 here and everywhere after.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Uri;
use ipnet::IpNet;
use rustls_pki_types::ServerName;
use url::Host;
use url::Position;
use url::Url;

use crate::courier::guard::Guard;
use crate::courier::settings::EgressRules;
use crate::courier::settings::IpFamily;
use crate::courier::settings::Limits;
use crate::policy::header::HEADER_VALUE_BYTES_MAX;
use crate::policy::header::HEADERS_MAX;
use crate::policy::header::is_reserved;
use crate::policy::keys::SigningKey;
use crate::policy::sign::SignatureHeaders;

/// The longest URL, in bytes.
pub const URL_BYTES_MAX: usize = 2048;

/// Last labels of names that only mean something inside a network.
const INTERNAL_SUFFIXES: [&str; 10] = [
    "localhost",
    "local",
    "internal",
    "lan",
    "home.arpa",
    "corp",
    "svc",
    "onion",
    "test",
    "invalid",
];

/// How an endpoint is described by the configuration. It has no `Debug`, because URL and headers
/// may hold secrets.
pub struct TargetSpec {
    /// Where it is.
    pub url: String,
    /// Headers to add, by name.
    pub headers: Vec<(String, String)>,
    /// A content type to send in place of the event's own.
    pub content_type: Option<String>,
    /// Keys to sign with, the current one first; none: unsigned.
    pub keys: Vec<SigningKey>,
    /// How the names of the three signature headers begin: `webhook-`.
    pub signature_prefix: String,
    /// What one attempt may take.
    pub limits: Limits,
    /// Networks that this endpoint may be at although they are not public.
    pub allow: Vec<IpNet>,
}

/// An endpoint that can be called.
pub struct Target {
    pub(super) key: Key,
    pub(super) server_name: ServerName<'static>,
    pub(super) host_header: HeaderValue,
    pub(super) path: Uri,
    pub(super) absolute: Uri,
    pub(super) headers: HeaderMap,
    pub(super) content_type: Option<HeaderValue>,
    pub(super) keys: Vec<SigningKey>,
    pub(super) names: SignatureNames,
    pub(super) limits: Limits,
    pub(super) guard: Guard,
    pub(super) ip_family: IpFamily,
}

/// What two connections must have in common to stand in for each other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) https: bool,
    pub(super) host: Callee,
    pub(super) port: u16,
}

/// Whom to call.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Callee {
    Name(Arc<str>),
    Address(IpAddr),
}

/// [`SignatureHeaders`], ready to be sent.
#[derive(Debug)]
pub(super) struct SignatureNames {
    pub(super) id: HeaderName,
    pub(super) timestamp: HeaderName,
    pub(super) signature: HeaderName,
}

/// Why a description is no target. Every one of them is put right by editing it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// It cannot be read as a URL, or in more than one way.
    #[error("the URL {0}")]
    Url(String),
    /// Its scheme is not allowed.
    #[error("the URL must begin with {0}")]
    Scheme(&'static str),
    /// Its port is not allowed.
    #[error("port {0} is not among the ports that may be called")]
    Port(u16),
    /// Its name only means something inside a network, and nothing there is allowed.
    #[error("the name {0:?} is internal: allow its network, or use a public name")]
    InternalName(String),
    /// A header cannot be sent.
    #[error("the header {0:?} {1}")]
    Header(String, &'static str),
    /// The content type cannot be sent.
    #[error("the content type is not a valid header value")]
    ContentType,
    /// The names of the signature headers are not valid.
    #[error("the prefix of the signature headers is not valid in a header name")]
    SignaturePrefix,
}

impl Target {
    /// Checks a description by the rules. Addresses are not judged here but at every attempt.
    ///
    /// # Errors
    /// [`TargetError`].
    pub fn new(spec: TargetSpec, rules: &EgressRules) -> Result<Target, TargetError> {
        check_written(&spec.url)?;
        let url = Url::parse(&spec.url).map_err(|error| TargetError::Url(format!(": {error}")))?;
        let https = check_scheme(&url, rules)?;
        let port = check_port(&url, rules)?;
        let guard = Guard::new(rules, &spec.allow);
        let host = check_host(&url, &guard)?;
        let unusable = || TargetError::Url("cannot be used in a request".to_owned());
        let authority = authority(&host, port, https);
        let path = &url[Position::BeforePath..Position::AfterQuery];
        let scheme = if https { "https" } else { "http" };
        let names = SignatureHeaders::with_prefix(&spec.signature_prefix);
        Ok(Target {
            server_name: server_name(&host).ok_or_else(unusable)?,
            key: Key { https, host, port },
            host_header: authority.parse().map_err(|_| unusable())?,
            path: path.parse().map_err(|_| unusable())?,
            absolute: format!("{scheme}://{authority}{path}").parse().map_err(|_| unusable())?,
            headers: headers(&spec.headers, &spec.signature_prefix)?,
            content_type: content_type(spec.content_type.as_deref())?,
            keys: spec.keys,
            names: signature_names(&names)?,
            limits: spec.limits,
            guard,
            ip_family: rules.ip_family,
        })
    }

    /// Its address without path and query, which may hold secrets.
    pub fn origin(&self) -> String {
        let scheme = if self.key.https { "https" } else { "http" };
        format!("{scheme}://{}", authority(&self.key.host, self.key.port, self.key.https))
    }

    /// Why it will never be called as things stand: its host is a literal address that must not
    /// be. Of names, nothing is known before they are resolved.
    pub fn blocked_literal(&self) -> Option<String> {
        let Callee::Address(address) = self.key.host else { return None };
        self.guard.check((address, self.key.port).into()).err().map(|blocked| blocked.to_string())
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target").field("origin", &self.origin()).finish_non_exhaustive()
    }
}

/// What must not be in the text of a URL, because readers of URLs disagree about it.
fn check_written(written: &str) -> Result<(), TargetError> {
    let wrong = |why: &str| Err(TargetError::Url(why.to_owned()));
    if written.len() > URL_BYTES_MAX {
        return Err(TargetError::Url(format!("is longer than {URL_BYTES_MAX} bytes")));
    }
    if written.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
        return wrong("holds a space, a control character or a backslash");
    }
    if written.contains('#') {
        return wrong("must not have a fragment");
    }
    let (_, rest) = written.split_once("://").unwrap_or_default();
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    if authority.is_empty() {
        return wrong("must be a scheme, \"://\" and a host");
    }
    if authority.contains('@') {
        return wrong("must not hold a user name or password: set an authorization header");
    }
    Ok(())
}

fn check_scheme(url: &Url, rules: &EgressRules) -> Result<bool, TargetError> {
    match url.scheme() {
        "https" => Ok(true),
        "http" if !rules.https_only => Ok(false),
        "http" => Err(TargetError::Scheme("https:// (egress.https_only is set)")),
        _ => Err(TargetError::Scheme("https:// or http://")),
    }
}

fn check_port(url: &Url, rules: &EgressRules) -> Result<u16, TargetError> {
    let port = url.port_or_known_default().unwrap_or(0);
    let allowed = rules.ports.is_empty() || rules.ports.contains(&port);
    if port != 0 && allowed { Ok(port) } else { Err(TargetError::Port(port)) }
}

fn check_host(url: &Url, guard: &Guard) -> Result<Callee, TargetError> {
    let name = match url.host() {
        None => return Err(TargetError::Url("has no host".to_owned())),
        Some(Host::Ipv4(address)) => return Ok(Callee::Address(address.into())),
        Some(Host::Ipv6(address)) => return Ok(Callee::Address(address.into())),
        Some(Host::Domain(name)) => name.strip_suffix('.').unwrap_or(name),
    };
    let label_fits = |label: &str| (1..=63).contains(&label.len());
    if name.len() > 253 || !name.split('.').all(label_fits) {
        return Err(TargetError::Url("has a host name with an empty or too long part".to_owned()));
    }
    let ends_in = |suffix: &str| {
        name.strip_suffix(suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    let internal = !name.contains('.') || INTERNAL_SUFFIXES.iter().any(|suffix| ends_in(suffix));
    if internal && !guard.lets_private_pass() {
        return Err(TargetError::InternalName(name.to_owned()));
    }
    Ok(Callee::Name(name.into()))
}

fn authority(host: &Callee, port: u16, https: bool) -> String {
    let host = match host {
        Callee::Name(name) => name.to_string(),
        Callee::Address(IpAddr::V4(address)) => address.to_string(),
        Callee::Address(IpAddr::V6(address)) => format!("[{address}]"),
    };
    match (https, port) {
        (true, 443) | (false, 80) => host,
        _ => format!("{host}:{port}"),
    }
}

fn server_name(host: &Callee) -> Option<ServerName<'static>> {
    match host {
        Callee::Name(name) => ServerName::try_from(name.to_string()).ok(),
        Callee::Address(address) => Some(ServerName::from(*address)),
    }
}

fn headers(written: &[(String, String)], signature_prefix: &str) -> Result<HeaderMap, TargetError> {
    let wrong = |name: &str, why| TargetError::Header(name.to_owned(), why);
    if let Some((name, _)) = written.get(HEADERS_MAX) {
        return Err(wrong(name, "is one too many"));
    }
    let prefix = signature_prefix.to_ascii_lowercase();
    let mut headers = HeaderMap::with_capacity(written.len());
    for (name, value) in written {
        let key: HeaderName = name.parse().map_err(|_| wrong(name, "is not a valid name"))?;
        let signs = !prefix.is_empty() && key.as_str().starts_with(&prefix);
        if signs || is_reserved(key.as_str()) {
            return Err(wrong(name, "is set by postrider itself"));
        }
        if value.len() > HEADER_VALUE_BYTES_MAX {
            return Err(wrong(name, "has too long a value"));
        }
        let mut value: HeaderValue =
            value.parse().map_err(|_| wrong(name, "has a value that cannot be sent"))?;
        // It may be a credential: kept out of Debug and out of the HPACK table.
        value.set_sensitive(true);
        headers.append(key, value);
    }
    Ok(headers)
}

fn content_type(written: Option<&str>) -> Result<Option<HeaderValue>, TargetError> {
    written.map(|text| text.parse().map_err(|_| TargetError::ContentType)).transpose()
}

fn signature_names(names: &SignatureHeaders) -> Result<SignatureNames, TargetError> {
    let name = |text: &str| text.parse().map_err(|_| TargetError::SignaturePrefix);
    Ok(SignatureNames {
        id: name(&names.id)?,
        timestamp: name(&names.timestamp)?,
        signature: name(&names.signature)?,
    })
}

#[cfg(test)]
mod tests;
