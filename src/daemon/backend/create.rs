//! New endpoints, made over the API.

use std::sync::Arc;

use ring::rand::SecureRandom as _;
use secrecy::ExposeSecret as _;
use secrecy::SecretString;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::admin::Metrics;
use crate::admin::backend::Actor;
use crate::admin::backend::Answer;
use crate::admin::backend::BackendError;
use crate::config::EndpointConfig;
use crate::daemon::backend::commands;
use crate::daemon::backend::endpoints;
use crate::daemon::backend::read;
use crate::daemon::backend::unreadable;
use crate::daemon::book;
use crate::daemon::book::BindError;
use crate::daemon::book::Binding;
use crate::daemon::book::Origin;
use crate::daemon::book::Page;
use crate::daemon::shared::Rules;
use crate::daemon::shared::Shared;
use crate::engine::Command;
use crate::model::EndpointEntry;
use crate::model::EndpointNo;
use crate::model::EndpointState;
use crate::model::Held;
use crate::model::Time;
use crate::model::view::CreatedEndpoint;
use crate::model::view::Fault;
use crate::policy::keys::shared_key_text;
use crate::store::read::Reader;

/// Endpoints in all, those of the configuration included.
const ENDPOINTS_MAX: usize = 10_000;

/// Makes an endpoint. One that is defined nowhere any more can be made again under its name, and
/// gets what waits for it.
pub(super) async fn create(
    shared: &Shared,
    mut definition: Map<String, Value>,
    actor: &Actor,
) -> Answer<CreatedEndpoint> {
    let _changing = shared.changing.lock().await;
    let secret = give_secret(&mut definition)?;
    let rules = shared.rules.load_full();
    let draft = Draft {
        definition: Value::Object(definition),
        actor: actor.clone(),
        rules: Arc::clone(&rules),
        metrics: Arc::clone(&shared.metrics),
        now: shared.clock.now(),
    };
    let (name, entry, binding) = read(shared, move |reader| draft.bind(reader)).await?;
    let Binding { book, endpoints, mut entries } = binding;
    entries.push(entry);
    // The page is there before the engine asks for it.
    shared.rules.store(Arc::new(rules.with_book(book)));
    commands::done(shared, actor, Command::Configure { endpoints, entries }).await?;
    let endpoint = endpoints::show(shared, &name).await?;
    let secret = secret.map(|secret| secret.expose_secret().to_owned());
    Ok(CreatedEndpoint { endpoint, secret })
}

/// Makes a secret for a definition that brings none.
fn give_secret(definition: &mut Map<String, Value>) -> Answer<Option<SecretString>> {
    if definition.contains_key("secret") || definition.contains_key("secrets") {
        return Ok(None);
    }
    let mut random = zeroize::Zeroizing::new([0_u8; 32]);
    let filled = ring::rand::SystemRandom::new().fill(random.as_mut());
    filled.map_err(|_| BackendError::Internal("the system gives no random bytes".to_owned()))?;
    let secret = shared_key_text(&random);
    definition.insert("secret".to_owned(), json!({ "value": secret.expose_secret() }));
    Ok(Some(secret))
}

/// An endpoint that is being made.
struct Draft {
    definition: Value,
    actor: Actor,
    rules: Arc<Rules>,
    metrics: Arc<Metrics>,
    now: Time,
}

impl Draft {
    /// Checks the definition and gives it a number: its name, its entry, and a book with it.
    fn bind(self, reader: &Reader) -> Answer<(Arc<str>, EndpointEntry, Binding)> {
        let config = &self.rules.config;
        let parsed = EndpointConfig::from_json(&self.definition, config);
        let parsed = parsed.map_err(BackendError::Invalid)?;
        let known = self.rules.book.by_name(&parsed.name);
        if known.is_some_and(|page| page.origin != Origin::Retired) {
            return Err(BackendError::NameTaken);
        }
        if known.is_none() && self.rules.book.pages().count() >= ENDPOINTS_MAX {
            let detail = format!("there are {ENDPOINTS_MAX} endpoints already");
            return Err(BackendError::Invalid(vec![Fault::new("", "range", detail)]));
        }
        let mut entries = reader.endpoints().map_err(unreadable)?;
        let entry = self.entry(&parsed, known, &entries);
        entries.retain(|other| other.no != entry.no);
        entries.push(entry.clone());
        let binding = book::bind(config, &entries, &self.metrics, self.now);
        let binding = binding.map_err(|error| refused(&parsed.name, error))?;
        let target = binding.book.page(entry.no).and_then(|page| page.target.as_ref());
        if let Some(why) = target.and_then(|target| target.blocked_literal()) {
            return Err(BackendError::Invalid(vec![Fault::new("/url", "blocked-address", why)]));
        }
        Ok((parsed.name, entry, binding))
    }

    fn entry(
        &self,
        parsed: &EndpointConfig,
        known: Option<&Page>,
        entries: &[EndpointEntry],
    ) -> EndpointEntry {
        let next = entries.iter().map(|entry| entry.no.0).max().unwrap_or(0) + 1;
        let no = known.map_or(EndpointNo(next), |page| page.no);
        let before = entries.iter().find(|entry| entry.no == no);
        let mut state: EndpointState = before.map(|entry| entry.state.clone()).unwrap_or_default();
        if parsed.paused && state.paused.is_none() {
            let (since, actor) = (self.now, self.actor.0.to_string());
            state.paused = Some(Held { since, actor, reason: "made with paused = true".into() });
        }
        EndpointEntry {
            no,
            name: parsed.name.to_string(),
            state,
            definition: Some(parsed.to_json().to_string()),
            removed: None,
        }
    }
}

/// A fault of the new endpoint is the caller's; any other is ours.
fn refused(name: &str, error: BindError) -> BackendError {
    let fault = |pointer: String, code: &str, detail: String| {
        BackendError::Invalid(vec![Fault::new(pointer, code, detail)])
    };
    match error {
        BindError::Target(of, why) if &*of == name => fault("/url".into(), "url", why.to_string()),
        BindError::Secret(of, _, why) if &*of == name => {
            fault("/secret".into(), "secret", why.to_string())
        }
        other => BackendError::Internal(other.to_string()),
    }
}
