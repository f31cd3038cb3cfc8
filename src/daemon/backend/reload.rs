//! A new configuration while the daemon runs: put in force as a whole, or refused as a whole.

use std::path::Path;
use std::sync::Arc;

use crate::admin::backend::Actor;
use crate::admin::backend::Answer;
use crate::admin::backend::BackendError;
use crate::config;
use crate::config::Changes;
use crate::config::Config;
use crate::config::Finding;
use crate::config::Level;
use crate::daemon::backend::commands;
use crate::daemon::backend::counted;
use crate::daemon::backend::read;
use crate::daemon::backend::unreadable;
use crate::daemon::book;
use crate::daemon::book::Binding;
use crate::daemon::couriers;
use crate::daemon::roster;
use crate::daemon::roster::Roster;
use crate::daemon::run;
use crate::daemon::shared::Message;
use crate::daemon::shared::Rules;
use crate::daemon::shared::Shared;
use crate::engine::About;
use crate::engine::Command;
use crate::engine::Report;
use crate::model::view::Fault;
use crate::model::view::ReloadView;
use crate::store::read::Reader;

/// Reads the configuration file again and puts it in force.
pub(super) async fn reload(shared: &Shared, actor: &Actor) -> Answer<ReloadView> {
    let _changing = shared.changing.lock().await;
    let old = shared.rules.load_full();
    let (path, clock) = (shared.config_path.clone(), Arc::clone(&shared.clock));
    let (metrics, before) = (Arc::clone(&shared.metrics), Arc::clone(&old));
    let prepared = read(shared, move |reader| {
        let prepare = || {
            let (mut config, view) = loaded(&path, &before.config)?;
            keep_what_needs_a_restart(&before.config, &mut config);
            let courier = if same_courier(&before.config, &config) {
                Arc::clone(&before.courier)
            } else {
                Arc::new(couriers::courier(&config, &clock).map_err(|error| wrong(&path, &error))?)
            };
            let entries = entries(reader)?;
            let binding = book::bind(&config, &entries, &metrics, clock.now());
            let binding = binding.map_err(|error| wrong(&path, &error))?;
            Ok((config, courier, binding, view))
        };
        Ok(prepare())
    });
    let (config, courier, binding, view) = match counted(shared, prepared.await?) {
        Ok(prepared) => prepared,
        Err(error) => {
            shared.metrics.config_refused();
            warn(shared, &error, actor);
            return Err(error);
        }
    };
    let Binding { book, endpoints, entries } = binding;
    let config = Arc::new(config);
    // Endpoints are callable before the engine calls them.
    let sources = Arc::new(Roster::new(&config, &shared.metrics));
    let rules = Rules { config: Arc::clone(&config), book, sources, courier };
    shared.rules.store(Arc::new(rules));
    commands::done(shared, actor, Command::Configure { endpoints, entries }).await?;
    commands::done(shared, actor, Command::Sources(roster::sources(&config))).await?;
    commands::done(shared, actor, Command::Retain(run::retention(&config))).await?;
    (shared.on_reload)(&config);
    shared.metrics.config_applied(shared.clock.now());
    let (changed, needs_restart) = (view.changed.join(" "), view.needs_restart.join(" "));
    let actor = &*actor.0;
    tracing::info!(
        target: "postrider::audit", event = "config.reloaded", changed, needs_restart, actor,
    );
    Ok(view)
}

fn entries(reader: &Reader) -> Answer<Vec<crate::model::EndpointEntry>> {
    reader.endpoints().map_err(unreadable)
}

/// The configuration as it is written now, and what is different in it.
fn loaded(path: &Path, old: &Config) -> Answer<(Config, ReloadView)> {
    // Variables that are no text cannot be ours.
    let env = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let loaded = config::load(path, env);
    let loaded = loaded.map_err(|errors| BackendError::Invalid(faults(errors.findings())))?;
    for warning in &loaded.warnings {
        let (file, line) = (warning.file.as_deref(), warning.line);
        tracing::warn!(event = "config.warning", file, line, key = warning.key, warning.message);
    }
    let changes = Changes::between(old, &loaded.config);
    let (kept, mut changed): (Vec<_>, Vec<_>) =
        changes.applied.into_iter().partition(|key| KEPT.contains(&key.as_str()));
    let endpoints = [changes.added, changes.changed, changes.removed].concat();
    changed.extend(endpoints.into_iter().map(|name| format!("endpoint.{name}")));
    changed.extend(changes.sources.into_iter().map(|name| format!("source.{name}")));
    let needs_restart = [changes.needs_restart, kept].concat();
    Ok((loaded.config, ReloadView { changed, needs_restart }))
}

/// Keys that the engine and the store are given once, when they start; besides those that the
/// configuration itself says are read at start.
const KEPT: [&str; 7] = [
    "alerts.dedupe",
    "delivery.max_in_flight",
    "ingest.idempotency_window",
    "ingest.max_delay",
    "ingest.max_pending",
    "ingest.unmatched",
    "storage.min_free_disk",
];

/// What is in force stays in the rules, so that they are true, and so that the next reload says
/// again what waits for a restart.
fn keep_what_needs_a_restart(old: &Config, new: &mut Config) {
    new.alerts = old.alerts.clone();
    new.listen = old.listen.clone();
    new.storage = old.storage.clone();
    new.log.format = old.log.format;
    new.delivery.max_in_flight = old.delivery.max_in_flight;
    new.ingest.idempotency_window = old.ingest.idempotency_window;
    new.ingest.max_delay = old.ingest.max_delay;
    new.ingest.max_pending = old.ingest.max_pending;
    new.ingest.unmatched = old.ingest.unmatched;
}

/// Whether connections that stand may be used under the new settings.
fn same_courier(old: &Config, new: &Config) -> bool {
    old.delivery == new.delivery && old.egress == new.egress && old.tls == new.tls
}

fn faults(findings: &[Finding]) -> Vec<Fault> {
    let errors = findings.iter().filter(|finding| finding.level == Level::Error);
    let fault = |finding: &Finding| {
        let help = finding.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
        let detail = format!("{}{help}", finding.message);
        Fault::new(place(finding), finding.code.as_str(), detail)
    };
    errors.map(fault).collect()
}

/// `file:line:column`, as far as it is known; of a variable its name.
fn place(finding: &Finding) -> String {
    let file = finding.file.clone().or_else(|| finding.variable.clone());
    let numbers = [finding.line, finding.column].into_iter().flatten();
    let parts = file.into_iter().chain(numbers.map(|number| number.to_string()));
    parts.collect::<Vec<_>>().join(":")
}

/// Well formed, but it cannot be put in force.
fn wrong(path: &Path, error: &impl ToString) -> BackendError {
    let pointer = path.display().to_string();
    BackendError::Invalid(vec![Fault::new(pointer, "unusable", error.to_string())])
}

fn warn(shared: &Shared, error: &BackendError, actor: &Actor) {
    let (errors, file, why) = match error {
        BackendError::Invalid(faults) => {
            let first = faults.first();
            let file = first.map(|fault| fault.pointer.clone()).unwrap_or_default();
            (faults.len(), file, first.map(|fault| fault.detail.clone()).unwrap_or_default())
        }
        other => (1, String::new(), other.to_string()),
    };
    let mut parts = file.splitn(3, ':');
    let (file, line, column) = (parts.next(), parts.next(), parts.next());
    let actor = &*actor.0;
    tracing::warn!(
        event = "config.rejected",
        errors,
        file,
        line,
        column,
        why,
        actor,
        "the old one stays",
    );
    let data = serde_json::json!({
        "errors": errors, "file": file, "line": line, "column": column, "why": why,
    });
    // fails only when the hub has ended
    let report = Report { kind: "config.rejected", about: About::Postrider, data };
    let _ = shared.hub.send(Message::Report(report));
}
