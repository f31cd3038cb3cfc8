//! The endpoints as the shell knows them: names, numbers, definitions, targets.
//!
//! A number is bound to its name in the store for ever. What stands in the configuration or was
//! made over the API can be called; an endpoint that only the store still knows keeps its
//! deliveries, held back, until it is defined again or removed.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::admin::Metrics;
use crate::admin::metrics::EndpointSeries;
use crate::config::Config;
use crate::config::EndpointConfig;
use crate::config::value;
use crate::courier::EgressRules;
use crate::courier::IpFamily;
use crate::courier::Limits;
use crate::courier::Target;
use crate::courier::TargetError;
use crate::courier::TargetSpec;
use crate::model::Endpoint;
use crate::model::EndpointEntry;
use crate::model::EndpointNo;
use crate::model::EndpointState;
use crate::model::Held;
use crate::model::Time;
use crate::policy::keys::SigningKey;

/// Where an endpoint is defined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// In the configuration file.
    Config,
    /// Over the API.
    Api,
    /// Nowhere any more.
    Retired,
}

impl Origin {
    /// Its word.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Origin::Config => "config",
            Origin::Api => "api",
            Origin::Retired => "retired",
        }
    }
}

/// An endpoint in the book.
#[derive(Clone)]
pub(crate) struct Page {
    /// Its number.
    pub(crate) no: EndpointNo,
    /// Its name.
    pub(crate) name: Arc<str>,
    /// Where it is defined.
    pub(crate) origin: Origin,
    /// Its definition, unless it is retired.
    pub(crate) definition: Option<Arc<EndpointConfig>>,
    /// What the courier calls, unless it is retired.
    pub(crate) target: Option<Arc<Target>>,
    /// Its metrics.
    pub(crate) series: EndpointSeries,
}

/// All endpoints that are not removed, and the names of those that are.
#[derive(Clone, Default)]
pub(crate) struct Book {
    pages: BTreeMap<EndpointNo, Page>,
    names: BTreeMap<Arc<str>, EndpointNo>,
    removed: BTreeMap<EndpointNo, Arc<str>>,
}

/// Why an endpoint cannot be called.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BindError {
    /// Its description is no target.
    #[error("endpoint {0}: {1}")]
    Target(Arc<str>, TargetError),
    /// A secret of it is none.
    #[error("endpoint {0}: secret {1}: {2}")]
    Secret(Arc<str>, usize, crate::policy::keys::KeyError),
    /// Its definition in the store cannot be read.
    #[error("endpoint {0}: its stored definition is not valid: {1}")]
    Stored(String, String),
    /// Two definitions have one name.
    #[error("endpoint {0} was made over the API and stands in the configuration as well")]
    Twice(String),
}

/// A book with what it takes to put it in force.
pub(crate) struct Binding {
    /// The book.
    pub(crate) book: Book,
    /// What the engine has to know of those that can be called.
    pub(crate) endpoints: Vec<Endpoint>,
    /// Entries that the store lacks.
    pub(crate) entries: Vec<EndpointEntry>,
}

impl Book {
    /// An endpoint by its number.
    pub(crate) fn page(&self, no: EndpointNo) -> Option<&Page> {
        self.pages.get(&no)
    }

    /// An endpoint by its name.
    pub(crate) fn by_name(&self, name: &str) -> Option<&Page> {
        self.names.get(name).and_then(|no| self.pages.get(no))
    }

    /// All of them, by number.
    pub(crate) fn pages(&self) -> impl Iterator<Item = &Page> {
        self.pages.values()
    }

    /// The name of an endpoint. One that was removed has its number behind it (`crm#2`), because
    /// another may have the name by now.
    pub(crate) fn name(&self, no: EndpointNo) -> String {
        if let Some(page) = self.pages.get(&no) {
            return page.name.to_string();
        }
        let name = self.removed.get(&no).map(Arc::as_ref).unwrap_or_default();
        format!("{name}#{}", no.0)
    }

    /// The endpoint that a text as [`Book::name`] gives it stands for.
    pub(crate) fn number(&self, text: &str) -> Option<EndpointNo> {
        if let Some(no) = self.names.get(text) {
            return Some(*no);
        }
        let (_, number) = text.rsplit_once('#')?;
        let no = EndpointNo(number.parse().ok()?);
        (self.name(no) == text).then_some(no)
    }

    /// Takes an endpoint out.
    #[must_use]
    pub(crate) fn without(&self, no: EndpointNo) -> Book {
        let mut book = self.clone();
        if let Some(page) = book.pages.remove(&no) {
            book.names.remove(&page.name);
            book.removed.insert(no, page.name);
        }
        book
    }
}

/// Binds the endpoints of the configuration and those in the store to their numbers.
///
/// # Errors
/// [`BindError`]; nothing has changed.
pub(crate) fn bind(
    config: &Config,
    entries: &[EndpointEntry],
    metrics: &Metrics,
    now: Time,
) -> Result<Binding, BindError> {
    let rules = egress_rules(config);
    let mut next = entries.iter().map(|entry| entry.no.0 + 1).max().unwrap_or(1);
    let mut live: BTreeMap<&str, &EndpointEntry> = BTreeMap::new();
    live.extend(entries.iter().filter(|e| e.removed.is_none()).map(|e| (e.name.as_str(), e)));
    let mut binding = Binding { book: Book::default(), endpoints: Vec::new(), entries: Vec::new() };
    let removed = entries.iter().filter(|entry| entry.removed.is_some());
    binding.book.removed = removed.map(|entry| (entry.no, entry.name.as_str().into())).collect();
    for definition in &config.endpoints {
        let known = live.remove(&*definition.name);
        if known.is_some_and(|entry| entry.definition.is_some()) {
            return Err(BindError::Twice(definition.name.to_string()));
        }
        let entry = known.cloned().unwrap_or_else(|| {
            let no = EndpointNo(next);
            next += 1;
            let entry = first_entry(definition, no, now);
            binding.entries.push(entry.clone());
            entry
        });
        binding.add(
            &entry,
            Origin::Config,
            Arc::new(definition.clone()),
            (&rules, config),
            metrics,
        )?;
    }
    for entry in live.into_values() {
        match &entry.definition {
            Some(json) => {
                let definition = stored(entry, json, config)?;
                binding.add(entry, Origin::Api, Arc::new(definition), (&rules, config), metrics)?;
            }
            None => binding.retire(entry, metrics),
        }
    }
    Ok(binding)
}

impl Binding {
    fn add(
        &mut self,
        entry: &EndpointEntry,
        origin: Origin,
        definition: Arc<EndpointConfig>,
        (rules, config): (&EgressRules, &Config),
        metrics: &Metrics,
    ) -> Result<(), BindError> {
        let target = Arc::new(target(&definition, rules, config)?);
        self.endpoints.push(definition.rules(entry.no, entry.state.clone()));
        self.put(Page {
            no: entry.no,
            name: Arc::clone(&definition.name),
            origin,
            series: metrics.endpoint(&definition.name),
            definition: Some(definition),
            target: Some(target),
        });
        Ok(())
    }

    fn retire(&mut self, entry: &EndpointEntry, metrics: &Metrics) {
        let name: Arc<str> = entry.name.as_str().into();
        let series = metrics.endpoint(&name);
        let (definition, target) = (None, None);
        self.put(Page { no: entry.no, name, origin: Origin::Retired, definition, target, series });
    }

    fn put(&mut self, page: Page) {
        self.book.names.insert(Arc::clone(&page.name), page.no);
        self.book.pages.insert(page.no, page);
    }
}

fn first_entry(definition: &EndpointConfig, no: EndpointNo, now: Time) -> EndpointEntry {
    let paused = definition.paused.then(|| Held {
        since: now,
        actor: "config".to_owned(),
        reason: "paused = true when it was first seen".to_owned(),
    });
    EndpointEntry {
        no,
        name: definition.name.to_string(),
        state: EndpointState { paused, ..EndpointState::default() },
        definition: None,
        removed: None,
    }
}

fn stored(entry: &EndpointEntry, json: &str, config: &Config) -> Result<EndpointConfig, BindError> {
    let wrong = |why: String| BindError::Stored(entry.name.clone(), why);
    let value = serde_json::from_str(json).map_err(|error| wrong(error.to_string()))?;
    EndpointConfig::from_json(&value, config).map_err(|faults| {
        let first = faults.first();
        wrong(first.map(|f| format!("{}: {}", f.pointer, f.detail)).unwrap_or_default())
    })
}

/// What may be called at all, by the configuration.
pub(crate) fn egress_rules(config: &Config) -> EgressRules {
    let egress = &config.egress;
    EgressRules {
        https_only: egress.https_only,
        block_private: egress.block_private,
        allow: egress.allow.iter().map(|cidr| cidr.get()).collect(),
        deny: egress.deny.iter().map(|cidr| cidr.get()).collect(),
        ports: egress.ports.clone(),
        ip_family: match egress.ip_family {
            value::IpFamily::PreferV4 => IpFamily::PreferV4,
            value::IpFamily::PreferV6 => IpFamily::PreferV6,
            value::IpFamily::V4 => IpFamily::V4,
            value::IpFamily::V6 => IpFamily::V6,
        },
        own: Vec::new(),
    }
}

/// What the courier calls for this endpoint.
///
/// # Errors
/// [`BindError`] if it cannot be called as it is described.
pub(crate) fn target(
    definition: &EndpointConfig,
    rules: &EgressRules,
    config: &Config,
) -> Result<Target, BindError> {
    let name = &definition.name;
    let keys = definition.secrets.iter().enumerate().map(|(index, secret)| {
        SigningKey::parse(secret.expose())
            .map_err(|error| BindError::Secret(Arc::clone(name), index, error))
    });
    let headers = definition.headers.iter().map(|(name, value)| {
        (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    });
    let delivery = &config.delivery;
    let spec = TargetSpec {
        url: definition.url.to_string(),
        headers: headers.collect(),
        content_type: definition.content_type.clone(),
        keys: keys.collect::<Result<_, _>>()?,
        signature_prefix: "webhook-".to_owned(),
        limits: Limits {
            dns_timeout: delivery.dns_timeout.get(),
            connect_timeout: definition.connect_timeout,
            tls_timeout: delivery.tls_timeout.get(),
            response_timeout: definition.response_timeout,
            attempt_timeout: definition.attempt_timeout,
            max_response: delivery.max_response.in_memory(),
            capture_response: delivery.capture_response.in_memory(),
        },
        allow: definition.allow.clone(),
    };
    let rules = EgressRules { https_only: definition.https_only, ..rules.clone() };
    Target::new(spec, &rules).map_err(|error| BindError::Target(Arc::clone(name), error))
}
