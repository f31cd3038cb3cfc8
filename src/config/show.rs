//! The settings as they are, and where each comes from: `config show`.
//!
//! What is shown is TOML that reads back as the same settings, except for secrets, sensitive
//! headers and the query of a URL.

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;

use serde_json::Value;

use crate::config::endpoint::EndpointConfig;
use crate::config::header::is_sensitive;
use crate::config::layer::Layer;
use crate::config::layer::Written;
use crate::config::load::Loaded;
use crate::config::schema::Shape;
use crate::config::sources::SourceConfig;

/// What stands in place of a secret.
pub const REDACTED: &str = "<redacted>";

/// Where a setting comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It is not set anywhere.
    Default,
    /// A line of a file.
    File {
        /// Its path.
        name: String,
        /// The line, counted from 1.
        line: usize,
    },
    /// An environment variable.
    Environment {
        /// Its name.
        variable: String,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File { name, line } => write!(f, "{name}:{line}"),
            Origin::Environment { variable } => write!(f, "env {variable}"),
        }
    }
}

/// Where each setting comes from, by dotted key.
#[derive(Clone, Debug, Default)]
pub struct Origins(BTreeMap<String, Vec<Origin>>);

impl Origins {
    /// From layers, the later ones winning.
    pub(crate) fn new(layers: &[Layer]) -> Origins {
        let mut origins: BTreeMap<String, Vec<Origin>> = BTreeMap::new();
        for layer in layers {
            match &layer.written {
                Written::File { name, text, spots } => {
                    for (path, spot) in spots {
                        let (line, _) = text.position(spot.key.start);
                        let origin = Origin::File { name: name.to_string(), line };
                        origins.entry(path.clone()).or_default().push(origin);
                    }
                }
                Written::Environment { variables } => {
                    for (path, variable) in variables {
                        let origin = Origin::Environment { variable: variable.clone() };
                        origins.entry(path.clone()).or_default().push(origin);
                    }
                }
            }
        }
        Origins(origins)
    }

    /// Where a setting comes from, such as `delivery.max_in_flight` or `endpoint.0.url`.
    pub fn of(&self, key: &str) -> &Origin {
        self.0.get(key).and_then(|list| list.last()).unwrap_or(&Origin::Default)
    }

    /// Where it is also set, to no effect; the latest first.
    pub fn shadowed(&self, key: &str) -> impl Iterator<Item = &Origin> {
        self.0.get(key).into_iter().flat_map(|list| list.iter().rev().skip(1))
    }
}

/// All settings as TOML, with where each comes from if wanted.
pub fn show(loaded: &Loaded, with_origins: bool) -> String {
    let mut page = Page { text: String::new(), origins: with_origins.then_some(&loaded.origins) };
    page.line("config_version", "config_version", &loaded.config.config_version.to_string());
    for (name, shape, values) in loaded.config.tables() {
        page.header(&format!("[{name}]"));
        let Shape::Table(keys) = shape else { continue };
        for (key, _) in *keys {
            let value = values.get(*key).map(toml).unwrap_or_default();
            page.line(key, &format!("{name}.{key}"), &value);
        }
    }
    for (index, endpoint) in loaded.config.endpoints.iter().enumerate() {
        page.header("[[endpoint]]");
        page.endpoint(endpoint, &format!("endpoint.{index}"));
    }
    for (index, source) in loaded.config.sources.iter().enumerate() {
        page.header("[[source]]");
        let Shape::Table(keys) = SourceConfig::SHAPE else { continue };
        for (key, _) in keys {
            if let Some(value) = source.definition.get(*key) {
                let shown = match *key {
                    "secret" | "verify_token" => redact_secret(value),
                    "secrets" => redact_secrets(value),
                    "external_url" => Value::from(redact_query(value.as_str().unwrap_or_default())),
                    _ => value.clone(),
                };
                page.line(key, &format!("source.{index}.{key}"), &toml(&shown));
            }
        }
    }
    page.text
}

struct Page<'a> {
    text: String,
    origins: Option<&'a Origins>,
}

impl Page<'_> {
    fn header(&mut self, header: &str) {
        self.text.push('\n');
        self.text.push_str(header);
        self.text.push('\n');
    }

    fn line(&mut self, key: &str, path: &str, value: &str) {
        self.text.push_str(&format!("{key} = {value}"));
        if let Some(origins) = self.origins {
            self.text.push_str(&format!("   # {}", origins.of(path)));
            let shadowed: Vec<String> = origins.shadowed(path).map(Origin::to_string).collect();
            if !shadowed.is_empty() {
                self.text.push_str(&format!(" (not {})", shadowed.join(", ")));
            }
        }
        self.text.push('\n');
    }

    /// What was written of an endpoint: what was not is as in the tables above.
    fn endpoint(&mut self, endpoint: &EndpointConfig, path: &str) {
        let Shape::Table(keys) = EndpointConfig::SHAPE else { return };
        for (key, _) in keys {
            let Some(value) = endpoint.definition.0.get(*key) else { continue };
            let shown = match *key {
                "url" => Value::from(redact_query(endpoint.url.as_str())),
                "secret" => redact_secret(value),
                "secrets" => redact_secrets(value),
                "headers" => redact_headers(value),
                _ => value.clone(),
            };
            self.line(key, &format!("{path}.{key}"), &toml(&shown));
        }
    }
}

fn redact_query(url: &str) -> String {
    match url.split_once('?') {
        Some((before, _)) => format!("{before}?{REDACTED}"),
        None => url.to_owned(),
    }
}

fn redact_secret(value: &Value) -> Value {
    match value.get("value") {
        Some(_) => serde_json::json!({ "value": REDACTED }),
        None => value.clone(),
    }
}

fn redact_secrets(value: &Value) -> Value {
    let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
    Value::from(items.iter().map(redact_secret).collect::<Vec<_>>())
}

fn redact_headers(value: &Value) -> Value {
    let entries = value.as_object().into_iter().flatten();
    let redacted = entries.map(|(name, value)| {
        let value = if is_sensitive(name) { Value::from(REDACTED) } else { value.clone() };
        (name.clone(), value)
    });
    Value::Object(redacted.collect())
}

/// A JSON value in the words of TOML, on one line.
fn toml(value: &Value) -> String {
    let mut text = String::new();
    match value {
        Value::Null => text.push_str("\"\""),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(toml).collect();
            let _ = write!(text, "[{}]", items.join(", "));
        }
        Value::Object(table) => {
            let items: Vec<String> = table
                .iter()
                .map(|(key, value)| format!("{} = {}", name(key), toml(value)))
                .collect();
            let _ = write!(text, "{{ {} }}", items.join(", "));
        }
        // numbers, truth values and texts are written alike, \u escapes included
        other => text.push_str(&other.to_string()),
    }
    text
}

fn name(key: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if !key.is_empty() && key.bytes().all(bare) {
        return key.to_owned();
    }
    Value::from(key).to_string()
}
