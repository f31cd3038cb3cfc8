//! `postrider endpoint add`: an endpoint's definition from the command line.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use serde_json::Map;
use serde_json::Value;

use crate::cli::client::Client;
use crate::cli::exit::Exit;
use crate::cli::exit::Failure;
use crate::cli::output::Context;
use crate::model::view::CreatedEndpoint;

/// Add an endpoint; it gets the events that are accepted from then on
#[derive(Clone, Debug, Args)]
pub(super) struct Add {
    /// Its name: lower-case letters, digits and hyphens
    #[arg(value_name = "ENDPOINT")]
    name: String,

    /// Where it is called
    #[arg(value_name = "URL")]
    url: String,

    /// The types that it gets, such as order.* (repeat for several) [default: all]
    #[arg(long = "type", value_name = "GLOB")]
    types: Vec<String>,

    /// Read its signing secret (whsec_...) from this file, instead of making one
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,

    /// Any other key that an endpoint may have; the value is JSON, or else text
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = setting)]
    settings: Vec<(String, Value)>,
}

/// A key and its value. Secrets do not belong on a command line, where everyone can read them.
fn setting(text: &str) -> Result<(String, Value), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    if ["secret", "name", "url"].contains(&key) {
        return Err(format!("{key} has its own place on the command line"));
    }
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
    Ok((key.to_owned(), value))
}

impl Add {
    pub(super) fn run(&self, context: &Context, client: &Client) -> anyhow::Result<()> {
        let definition = self.definition()?;
        let created: CreatedEndpoint = client.post("/v1/endpoints", &definition)?;
        context.one(&created, &self.name, || added(&created))
    }

    fn definition(&self) -> anyhow::Result<Map<String, Value>> {
        let mut definition = Map::new();
        definition.insert("name".into(), self.name.as_str().into());
        definition.insert("url".into(), self.url.as_str().into());
        if !self.types.is_empty() {
            definition.insert("types".into(), self.types.clone().into());
        }
        if let Some(file) = &self.secret_file {
            let secret = std::fs::read_to_string(file)
                .with_context(|| format!("cannot read {}", file.display()))?;
            definition.insert("secret".into(), secret.trim().into());
        }
        for (key, value) in &self.settings {
            if definition.insert(key.clone(), value.clone()).is_some() {
                return Err(Failure::new(Exit::Usage, format!("{key} is given twice")).into());
            }
        }
        Ok(definition)
    }
}

fn added(created: &CreatedEndpoint) -> String {
    let endpoint = &created.endpoint;
    let mut text = format!("added {} -> {}", endpoint.name, endpoint.url);
    if let Some(secret) = &created.secret {
        text.push_str(&format!("\nSecret, shown this once: {secret}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_json_or_text() {
        assert_eq!(setting("max_in_flight=8"), Ok(("max_in_flight".into(), 8.into())));
        assert_eq!(setting("rate=50/s"), Ok(("rate".into(), "50/s".into())));
        assert!(setting("secret=whsec_x").is_err());
        assert!(setting("paused").is_err());
    }

    #[test]
    fn a_key_counts_once() {
        let add = |settings: &[&str]| Add {
            name: "crm".into(),
            url: "https://crm.example.com".into(),
            types: vec!["order.*".into()],
            secret_file: None,
            settings: settings.iter().map(|text| setting(text).unwrap()).collect(),
        };
        let definition = add(&["paused=true"]).definition().unwrap();
        let expected = serde_json::json!({
            "name": "crm", "url": "https://crm.example.com", "types": ["order.*"], "paused": true
        });
        assert_eq!(Value::from(definition), expected);
        assert!(add(&["types=[]"]).definition().is_err());
    }
}
