//! A source that is a provider: the path that its webhooks are sent to, and how they prove
//! themselves.

use std::sync::Arc;
use std::time::Duration;

use figment::value::Value;
use serde::Deserialize;
use url::Url;

use crate::config::Config;
use crate::config::endpoint::fields;
use crate::config::endpoint::flow;
use crate::config::fault::Code;
use crate::config::fault::Draft;
use crate::config::reader::Reader;
use crate::config::secret::Secret;
use crate::config::value::Dur;
use crate::model::EventType;
use crate::policy::scheme;
use crate::policy::scheme::Handshake;
use crate::policy::scheme::Place;
use crate::policy::scheme::Scheme;

/// The longest path, in bytes.
const PATH_BYTES_MAX: usize = 255;

/// The longest prefix of types, in bytes: types have 128.
const PREFIX_BYTES_MAX: usize = 64;

/// The keys that only a provider has.
pub(super) const KEYS: [&str; 9] = [
    "path",
    "verify",
    "secret",
    "secrets",
    "tolerance",
    "external_url",
    "event_type",
    "type_prefix",
    "verify_token",
];

/// What there is to know of a provider.
#[derive(Clone, Debug)]
pub struct ProviderConfig {
    /// Where its webhooks come in, such as `/webhooks/stripe`.
    pub path: String,
    /// How they prove themselves.
    pub scheme: Arc<Scheme>,
    /// With what: the current secret, and others that still count.
    pub secrets: Vec<Secret>,
    /// How far the time of a request may be from now; `None`: that is not looked at.
    pub tolerance: Option<Duration>,
    /// The URL that the provider calls, where that differs from what a request says.
    pub external_url: Option<String>,
    /// Where the types of its events come from.
    pub event_type: TypeRule,
    /// What stands before the types of its events.
    pub type_prefix: String,
    /// What the provider brings when it asks first, where that is not signed.
    pub verify_token: Option<Secret>,
}

/// Where the type of an event comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TypeRule {
    /// It is always this.
    Fixed(String),
    /// From the first of these places at which one stands.
    Found(Vec<Place>),
}

/// `event_type` as it is written.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Fixed(String),
    Found(Place),
}

impl ProviderConfig {
    /// Reads the provider that the reader stands at, whose name is `name`.
    pub(super) fn read(
        reader: &mut Reader<'_>,
        config: &Config,
        name: &str,
    ) -> Option<ProviderConfig> {
        let path = path(reader);
        let scheme = scheme(reader)?;
        let secrets = fields::each_secret(reader, |value| config.vault.secret_of(&scheme, value));
        if reader.raw("secret").is_none() && reader.raw("secrets").is_none() {
            let draft = Draft::error(
                Code::Missing,
                &reader.path(""),
                "a source with a path needs a secret".to_owned(),
                "`secret` is missing".to_owned(),
            );
            let help = "what the provider shows as the webhook's signing secret or public key";
            reader.note(draft.at_key().help(help));
        }
        let tolerance = reader.bounded("tolerance", Dur::ZERO, Dur::days(1));
        if reader.raw("tolerance").is_some() && !scheme.has_time() {
            let label = "requests of this scheme bear no time that is signed";
            reader.refuse(Code::Conflict, "tolerance", label);
        }
        let verify_token = verify_token(reader, config, &scheme);
        let external_url = external_url(reader, &scheme);
        let type_prefix = type_prefix(reader, name);
        let event_type = event_type(reader, &scheme);
        Some(ProviderConfig {
            path: path?,
            secrets,
            tolerance: tolerance.map_or(scheme.tolerance(), Dur::unless_zero),
            external_url,
            event_type,
            type_prefix,
            verify_token,
            scheme: Arc::new(scheme),
        })
    }
}

fn path(reader: &mut Reader<'_>) -> Option<String> {
    let path: String = reader.value("path")?;
    let legal = |c: char| c.is_ascii_graphic() && !matches!(c, '?' | '#' | '%' | '\\' | '"');
    let plain = !path.contains("//") && !path.split('/').any(|part| part == "." || part == "..");
    if path.starts_with("/")
        && path.len() > 1
        && path.len() <= PATH_BYTES_MAX
        && path.chars().all(legal)
        && plain
    {
        return Some(path);
    }
    let label = format!("expected a path such as \"/webhooks/stripe\", of {PATH_BYTES_MAX} bytes");
    reader.refuse(Code::Value, "path", label);
    None
}

/// A name, or the keys of a scheme of one's own.
fn scheme(reader: &mut Reader<'_>) -> Option<Scheme> {
    if fields::is_missing(reader, "a source with a path", "verify") {
        return None;
    }
    let name = match reader.raw("verify")? {
        Value::Dict(_, table) if table.len() == 1 => table.get("scheme").and_then(Value::as_str),
        value => value.as_str(),
    };
    if let Some(name) = name {
        if let Some(scheme) = scheme::named(name) {
            return Some(scheme.clone());
        }
        let names: Vec<_> = scheme::names().collect();
        let draft = Draft::invalid(
            Code::Value,
            &reader.path("verify"),
            format!("there is no scheme named \"{name}\""),
        );
        let help = format!("known are {}; another can be described by a table", names.join(", "));
        reader.note(draft.help(help));
        return None;
    }
    let scheme: Scheme = reader.value("verify")?;
    if let Err(fault) = scheme.check() {
        reader.refuse(Code::Value, "verify", fault);
        return None;
    }
    Some(scheme)
}

/// The token of a provider that asks by a GET which is not signed.
fn verify_token(reader: &mut Reader<'_>, config: &Config, scheme: &Scheme) -> Option<Secret> {
    let value = reader.raw("verify_token")?;
    if scheme.handshake != Some(Handshake::Meta) {
        flow::needless(reader, "verify_token", "verify = \"meta\"");
        return None;
    }
    match config.vault.secret_of(scheme, value) {
        Ok((secret, _)) => Some(secret),
        Err(error) => {
            reader.refuse(Code::Secret, "verify_token", error.to_string());
            None
        }
    }
}

fn external_url(reader: &mut Reader<'_>, scheme: &Scheme) -> Option<String> {
    let Some(text): Option<String> = reader.value("external_url") else {
        if scheme.needs_url() {
            let draft = Draft::error(
                Code::Missing,
                &reader.path(""),
                "this provider signs the URL that it calls".to_owned(),
                "`external_url` is missing".to_owned(),
            );
            reader.note(
                draft
                    .at_key()
                    .help("write it as the provider has it; the query is that of each request"),
            );
        }
        return None;
    };
    let url = Url::parse(&text).ok();
    let good =
        url.is_some_and(|url| matches!(url.scheme(), "http" | "https") && url.host_str().is_some());
    if !good || text.contains('#') {
        let label = "expected a URL such as \"https://hooks.example.com/webhooks/twilio\"";
        reader.refuse(Code::Url, "external_url", label);
    }
    Some(text)
}

/// What an event type must begin with, so that no provider makes events that look like others'.
fn type_prefix(reader: &mut Reader<'_>, name: &str) -> String {
    let Some(prefix): Option<String> = reader.value("type_prefix") else {
        return format!("{name}.");
    };
    let first = format!("{prefix}x").parse::<EventType>();
    let named = prefix.ends_with('.') && prefix.len() <= PREFIX_BYTES_MAX;
    let own = first.as_ref().is_ok_and(EventType::is_operational);
    let legal = named && first.is_ok() && !own;
    if !prefix.is_empty() && !legal {
        let label = "expected \"\", or names with a full stop after each, as in \"shop.orders.\", \
                     of 64 bytes at most; \"postrider.\" is taken";
        reader.refuse(Code::Value, "type_prefix", label);
    }
    prefix
}

fn event_type(reader: &mut Reader<'_>, scheme: &Scheme) -> TypeRule {
    match reader.value("event_type") {
        None => TypeRule::Found(scheme.event_type.clone()),
        Some(Written::Found(place)) => TypeRule::Found(vec![place]),
        Some(Written::Fixed(text)) => {
            if let Err(error) = text.parse::<EventType>() {
                reader.refuse(Code::Value, "event_type", format!("\"{text}\": {error}"));
            }
            TypeRule::Fixed(text)
        }
    }
}
