//! One endpoint: its definition, from a file or over the API, checked whole.
//!
//! The two forms share names, checks and messages. What is stored of an endpoint that was made
//! over the API is the definition as it was given, so that a change of `[retry]` or `[delivery]`
//! reaches it, too.

pub(in crate::config) mod fields;
pub(in crate::config) mod flow;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use figment::Figment;
use figment::providers::Serialized;
use ipnet::IpNet;
use url::Url;

use crate::config::Config;
use crate::config::checks;
use crate::config::fault::Code;
use crate::config::fault::Draft;
use crate::config::fault::Level;
use crate::config::header::Headers;
use crate::config::reader::Reader;
use crate::config::schema;
use crate::config::schema::Shape;
use crate::config::secret::Secret;
use crate::config::sections::Breaker;
use crate::config::sections::Retry;
use crate::config::sections::Targets;
use crate::config::value::Cidr;
use crate::model::Endpoint;
use crate::model::EndpointNo;
use crate::model::EndpointState;
use crate::model::Flow;
use crate::model::RetryPolicy;
use crate::model::TypeGlob;
use crate::model::view::Fault;

pub use flow::BURST_MAX;

/// The longest name of an endpoint, in characters.
pub const NAME_CHARS_MAX: usize = 63;
/// The longest URL, in bytes.
pub const URL_BYTES_MAX: usize = 2048;
/// The longest description, in bytes.
pub const DESCRIPTION_BYTES_MAX: usize = 1024;
/// Patterns of one endpoint at most.
pub const TYPES_MAX: usize = 256;
/// Secrets of one endpoint at most: the current one, and those that are being retired.
pub const SECRETS_MAX: usize = 8;
/// Attempts at once of an endpoint that does not say.
pub const MAX_IN_FLIGHT_DEFAULT: u32 = 64;
/// The most attempts at once of one endpoint.
pub const MAX_IN_FLIGHT_MAX: u32 = 4096;

/// Where the definition of an endpoint over the API stands while it is read.
const API_PATH: &str = "endpoint.0";

/// An endpoint that can be called as it stands here.
#[derive(Clone, PartialEq)]
pub struct EndpointConfig {
    /// Its name, unique: `[a-z0-9-]`, at most [`NAME_CHARS_MAX`].
    pub name: Arc<str>,
    /// Where it is called: https, or http where that is allowed; no user, no fragment.
    pub url: Url,
    /// What it is for.
    pub description: Option<String>,
    /// Events of these types go to it.
    pub types: Vec<TypeGlob>,
    /// What its requests are signed with, the current one first; none: they are not signed.
    pub secrets: Vec<Secret>,
    /// Headers that it is sent besides ours. Values of sensitive ones are marked so.
    pub headers: Headers,
    /// What it is told of the payload's media type, in place of what the submitter said.
    pub content_type: Option<String>,
    /// Attempts at once, at most.
    pub max_in_flight: u32,
    /// Whether its deliveries are held back until someone resumes it.
    pub paused: bool,
    /// Ranges of addresses that it may have although they are private, besides `egress.allow`.
    pub allow: Vec<IpNet>,
    /// Whether its URL must be https.
    pub https_only: bool,
    /// For a connection.
    pub connect_timeout: Duration,
    /// From the request being sent to the response head.
    pub response_timeout: Duration,
    /// For the whole attempt.
    pub attempt_timeout: Duration,
    /// When a failed delivery is tried again: `[retry]` with its own keys laid over.
    pub retry: Arc<RetryPolicy>,
    /// How much it is asked to bear, and in what order.
    pub flow: Arc<Flow>,
    pub(crate) definition: Definition,
}

/// What was given, with literal secrets in it.
#[derive(Clone, PartialEq)]
pub(crate) struct Definition(pub(crate) serde_json::Value);

impl fmt::Debug for EndpointConfig {
    /// Name and host are all that is said: path, query and headers may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = f.debug_struct("EndpointConfig");
        fields.field("name", &self.name).field("host", &self.url.host_str());
        fields.finish_non_exhaustive()
    }
}

impl EndpointConfig {
    /// Its keys.
    pub const SHAPE: Shape = Shape::Table(&[
        ("name", Shape::Value),
        ("url", Shape::Value),
        ("description", Shape::Value),
        ("types", Shape::Value),
        ("secret", Shape::Value),
        ("secrets", Shape::Value),
        ("headers", Shape::Map),
        ("content_type", Shape::Value),
        ("max_in_flight", Shape::Value),
        ("paused", Shape::Value),
        ("allow", Shape::Value),
        ("https_only", Shape::Value),
        ("connect_timeout", Shape::Value),
        ("response_timeout", Shape::Value),
        ("attempt_timeout", Shape::Value),
        ("retry", Retry::SHAPE),
        ("breaker", Breaker::SHAPE),
        ("targets", Targets::SHAPE),
        ("rate", Shape::Value),
        ("burst", Shape::Value),
        ("ordering", Shape::Value),
        ("ordering_key", Shape::Value),
        ("on_failure", Shape::Value),
        ("order_deadline", Shape::Value),
        ("order_version", Shape::Value),
        ("dedupe_window", Shape::Value),
        ("dedupe_key", Shape::Value),
    ]);

    /// What the engine has to know of it.
    pub fn rules(&self, no: EndpointNo, state: EndpointState) -> Endpoint {
        Endpoint {
            no,
            name: Arc::clone(&self.name),
            types: self.types.clone(),
            max_in_flight: self.max_in_flight,
            retry: Arc::clone(&self.retry),
            flow: Arc::clone(&self.flow),
            state,
        }
    }

    /// Reads the definition of one endpoint as the API takes it: an object with the keys of
    /// `[[endpoint]]`, on top of the same `[retry]`, `[delivery]` and `[egress]`.
    ///
    /// # Errors
    /// Every fault that was found, each with a JSON pointer into the definition.
    pub fn from_json(
        definition: &serde_json::Value,
        config: &Config,
    ) -> Result<EndpointConfig, Vec<Fault>> {
        let figment = Figment::from(Serialized::default(API_PATH, definition));
        let root = figment.find_value("").map_err(|error| not_an_object(&error.to_string()))?;
        let mut reader = Reader::new(&root, &[]);
        if let Some(table) = root.as_dict() {
            for misfit in schema::misfits(table, &Config::SHAPE) {
                reader.note(checks::misfit(&misfit));
            }
        }
        let endpoint = reader.inside(API_PATH, |reader| EndpointConfig::read(reader, config));
        let errors = reader.findings.iter().filter(|draft| draft.level == Level::Error);
        let faults: Vec<Fault> = errors.map(fault).collect();
        match endpoint {
            Some(endpoint) if faults.is_empty() => Ok(endpoint),
            _ => Err(faults),
        }
    }

    /// The definition as it was given, for the store: never to be shown, it may hold a literal
    /// secret. [`EndpointConfig::from_json`] reads it back.
    pub fn to_json(&self) -> &serde_json::Value {
        &self.definition.0
    }

    /// Reads the endpoint that the reader stands at. Faults are noted; nothing is returned where
    /// an endpoint could not even be told from another.
    pub(crate) fn read(reader: &mut Reader<'_>, config: &Config) -> Option<EndpointConfig> {
        let https_only = reader.value("https_only").unwrap_or(config.egress.https_only);
        let name = fields::name(reader, "an endpoint");
        let url = fields::url(reader, https_only);
        let max_in_flight = reader.bounded("max_in_flight", 1, MAX_IN_FLIGHT_MAX);
        let allow: Vec<Cidr> = reader.value("allow").unwrap_or_default();
        let paused = reader.value("paused").unwrap_or(false);
        let description = fields::description(reader);
        let types = fields::types(reader);
        let secrets = fields::secrets(reader, config);
        let headers = fields::headers(reader);
        let content_type = fields::content_type(reader);
        let timeouts = fields::Timeouts::read(reader, config);
        let retry = reader.inside("retry", |reader| {
            let retry = Retry::read(reader, &config.retry);
            checks::retry(reader, &retry);
            retry
        });
        let flow = flow::flow(reader, config);
        Some(EndpointConfig {
            name: name?.into(),
            url: url?,
            description,
            types,
            secrets,
            headers,
            content_type,
            max_in_flight: max_in_flight.unwrap_or(MAX_IN_FLIGHT_DEFAULT),
            paused,
            allow: allow.into_iter().map(Cidr::get).collect(),
            https_only,
            connect_timeout: timeouts.connect.get(),
            response_timeout: timeouts.response.get(),
            attempt_timeout: timeouts.attempt.get(),
            retry: Arc::new(retry.policy()),
            flow: Arc::new(flow),
            definition: Definition(fields::definition(reader)),
        })
    }
}

/// A draft as the API shows it: with a pointer into the definition.
fn fault(draft: &Draft) -> Fault {
    let path = draft.path.strip_prefix(API_PATH).unwrap_or_default();
    let help = draft.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
    let sentence = if draft.label.is_empty() { &draft.title } else { &draft.label };
    Fault {
        pointer: path.replace('.', "/"),
        code: draft.code.as_str().to_owned(),
        detail: format!("{sentence}{help}"),
    }
}

fn not_an_object(reason: &str) -> Vec<Fault> {
    let (code, detail) = (Code::Type.as_str().to_owned(), format!("not a JSON object: {reason}"));
    vec![Fault { pointer: String::new(), code, detail }]
}

#[cfg(test)]
mod tests;
