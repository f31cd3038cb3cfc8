//! What no single key can tell: how settings go together.

use std::collections::BTreeMap;

use http::HeaderValue;

use crate::config::Config;
use crate::config::fault::Code;
use crate::config::fault::Draft;
use crate::config::fault::shown;
use crate::config::reader::Reader;
use crate::config::schema::Misfit;
use crate::config::schema::MisfitKind;
use crate::config::sections::Breaker;
use crate::config::sections::Retry;
use crate::config::sources::SourceConfig;
use crate::config::value::HttpListener;
use crate::config::value::RetryPlan;

/// Steps of a retry schedule at most.
pub const SCHEDULE_STEPS_MAX: usize = 100;
/// The longest single delay of a retry schedule.
const STEP_MAX: crate::config::value::Dur = crate::config::value::Dur::days(30);
/// What the service unit allows for a stop; `TimeoutStopSec` in `systemd/postrider.service`.
pub const STOP_TIMEOUT: crate::config::value::Dur = crate::config::value::Dur::secs(40);

/// A key or a table that does not belong where it stands.
pub(crate) fn misfit(misfit: &Misfit) -> Draft {
    let path = misfit.path.join(".");
    let name = shown(&path);
    match &misfit.kind {
        MisfitKind::UnknownKey(help) => {
            let title = format!("unknown key `{name}`");
            let draft = Draft::error(Code::UnknownKey, &path, title, "not a known key".to_owned());
            let draft = draft.at_key();
            match help {
                Some(help) => draft.help(help.clone()),
                None => draft,
            }
        }
        MisfitKind::NotATable => {
            let label = "expected a table".to_owned();
            Draft::invalid(Code::Type, &path, label)
        }
        MisfitKind::NotAList => {
            let label = "expected a list of tables".to_owned();
            let draft = Draft::invalid(Code::Type, &path, label).at_key();
            draft.help(format!("write [[{name}]] with two brackets"))
        }
    }
}

/// The checks of everything but endpoints and sources.
pub(crate) fn sections(reader: &mut Reader<'_>, config: &Config) {
    listen(reader, config);
    storage(reader, config);
    ingest(reader, config);
    retention(reader, config);
    delivery(reader, config);
    reader.inside("retry", |reader| retry(reader, &config.retry));
    reader.inside("breaker", |reader| breaker(reader, &config.breaker));
    egress(reader, config);
    tls(reader, config);
    if tracing_subscriber::EnvFilter::try_new(&config.log.level).is_err() {
        let label =
            "expected a level such as \"info\", or a filter such as \"info,postrider=debug\"";
        reader.refuse(Code::Value, "log.level", label);
    }
}

/// The checks of one plan of retries, that of `[retry]` or an endpoint's own.
pub(crate) fn retry(reader: &mut Reader<'_>, retry: &Retry) {
    if retry.schedule.len() > SCHEDULE_STEPS_MAX {
        let label = format!("expected at most {SCHEDULE_STEPS_MAX} delays");
        reader.refuse(Code::Range, "schedule", label);
    }
    for (index, step) in retry.schedule.iter().enumerate() {
        if *step > STEP_MAX {
            let label = format!("must be at most {STEP_MAX}, found {step}");
            reader.refuse(Code::Range, &format!("schedule.{index}"), label);
        }
    }
    if reader.raw("schedule").is_some() && !retry.schedule.is_sorted() {
        let (path, title) = (reader.path("schedule"), "the delays do not grow".to_owned());
        let label = "a later delay is shorter than the one before".to_owned();
        reader.note(Draft::warning(Code::Value, &path, title, label));
    }
    for (key, statuses) in [("give_up_on", &retry.give_up_on), ("disable_on", &retry.disable_on)] {
        for (index, status) in statuses.iter().enumerate() {
            if !(300..=599).contains(status) {
                let label = format!("expected a status from 300 to 599, found {status}");
                reader.refuse(Code::Range, &format!("{key}.{index}"), label);
            }
        }
    }
    if retry.policy == RetryPlan::Exponential && retry.max < retry.base {
        let label = format!("`max` ({}) is shorter than `base` ({})", retry.max, retry.base);
        conflict(reader, "max", "base", label);
    }
}

/// The checks of one breaker, that of `[breaker]` or an endpoint's own.
pub(crate) fn breaker(reader: &mut Reader<'_>, breaker: &Breaker) {
    // where both are inherited, the fault is in [breaker] and is reported there
    let given_here = reader.raw("open_max").is_some() || reader.raw("open_for").is_some();
    if given_here && breaker.open_max < breaker.open_for {
        let (max, first) = (breaker.open_max, breaker.open_for);
        let label = format!("`open_max` ({max}) is shorter than `open_for` ({first})");
        conflict(reader, "open_max", "open_for", label);
    }
}

/// The checks of all endpoints together.
pub(crate) fn endpoints(reader: &mut Reader<'_>, config: &Config, names: &[(String, String)]) {
    let named = names.iter().map(|(key, name)| (key.as_str(), "name", name.as_str()));
    twice(reader, named, |name| format!("two endpoints are named \"{name}\""));
    for endpoint in &config.endpoints {
        if endpoint.max_in_flight > config.delivery.max_in_flight {
            let key = names.iter().find(|(_, name)| **name == *endpoint.name);
            let path = key.map(|(key, _)| format!("{key}.max_in_flight")).unwrap_or_default();
            let title = format!("\"{}\" will never send as much at once", endpoint.name);
            let most = config.delivery.max_in_flight;
            let label = format!("delivery.max_in_flight is {most}");
            reader.note(Draft::warning(Code::Conflict, &path, title, label));
        }
    }
}

/// The checks of all sources together.
pub(crate) fn sources(reader: &mut Reader<'_>, sources: &[(String, SourceConfig)]) {
    let named = sources.iter().map(|(key, source)| (key.as_str(), "name", &*source.name));
    twice(reader, named, |name| format!("two sources are named \"{name}\""));
    let of_users =
        sources.iter().filter_map(|(key, source)| Some((key.as_str(), "unix_user", source.uid()?)));
    twice(reader, of_users, |uid| format!("two sources are the user {uid}"));
    let of_paths = sources
        .iter()
        .filter_map(|(key, source)| Some((key.as_str(), "path", source.provider()?.path.as_str())));
    twice(reader, of_paths, |path| format!("two sources have the path {path}"));
}

/// What only one may have: each item with its key in the list, the key of the value, and the value.
fn twice<'a, T: Ord>(
    reader: &mut Reader<'_>,
    items: impl Iterator<Item = (&'a str, &'static str, T)>,
    title: impl Fn(&T) -> String,
) {
    let mut first: BTreeMap<T, &str> = BTreeMap::new();
    for (item, key, value) in items {
        if let Some(before) = first.get(&value) {
            let label = format!("the other one is {}", shown(before));
            let path = reader.path(&format!("{item}.{key}"));
            reader.note(Draft::error(Code::Duplicate, &path, title(&value), label));
        } else {
            first.insert(value, item);
        }
    }
}

/// Two keys do not go together: points at the first, unless only the other is set.
fn conflict(reader: &mut Reader<'_>, first: &str, other: &str, label: String) {
    let only_other = reader.raw(first).is_none() && reader.raw(other).is_some();
    reader.refuse(Code::Conflict, if only_other { other } else { first }, label);
}

fn listen(reader: &mut Reader<'_>, config: &Config) {
    let listen = &config.listen;
    if listen.ingest.path() == listen.admin.path() {
        let label = "the two sockets must have different paths";
        reader.refuse(Code::Conflict, "listen.admin", label);
    }
    for (key, mode) in
        [("listen.ingest_mode", listen.ingest_mode), ("listen.admin_mode", listen.admin_mode)]
    {
        if mode.is_open_to_all() {
            let title = "every user of this machine may connect".to_owned();
            let label = "the file's permissions are all that protects the socket".to_owned();
            reader.note(Draft::warning(Code::Unsafe, key, title, label));
        }
    }
}

/// Providers are served where `listen.http` says.
pub(crate) fn http(reader: &mut Reader<'_>, config: &Config) {
    let listen = &config.listen;
    match &listen.http {
        HttpListener::Tcp(address) if !address.ip().is_loopback() && !listen.http_insecure => {
            let label = "other machines could reach this, and it is not encrypted".to_owned();
            let help = "let a reverse proxy that speaks TLS stand in front, and listen on \
                        127.0.0.1 or on a unix socket; or set listen.http_insecure = true";
            reader.note(Draft::invalid(Code::Unsafe, "listen.http", label).help(help));
        }
        HttpListener::Unix(socket)
            if [&listen.ingest, &listen.admin].iter().any(|one| one.path() == socket.path()) =>
        {
            let label = "the sockets must have different paths";
            reader.refuse(Code::Conflict, "listen.http", label);
        }
        HttpListener::Off if config.sources.iter().any(|source| source.provider().is_some()) => {
            let title = "there are sources with a path, and nothing listens for them".to_owned();
            let label = "listen.http is \"off\"".to_owned();
            reader.note(Draft::warning(Code::Conflict, "source", title, label));
        }
        _ => {}
    }
}

fn storage(reader: &mut Reader<'_>, config: &Config) {
    if !config.storage.path.is_absolute() {
        reader.refuse(Code::Value, "storage.path", "expected an absolute path");
    }
}

fn ingest(reader: &mut Reader<'_>, config: &Config) {
    let ingest = &config.ingest;
    if ingest.max_batch_bytes < ingest.max_payload {
        let label = format!(
            "a batch ({}) must have room for the largest payload ({})",
            ingest.max_batch_bytes, ingest.max_payload
        );
        conflict(reader, "ingest.max_batch_bytes", "ingest.max_payload", label);
    }
}

fn retention(reader: &mut Reader<'_>, config: &Config) {
    let kept = &config.retention;
    if kept.events < config.ingest.idempotency_window {
        let label = format!(
            "an event ({}) must be kept for as long as its idempotency key ({})",
            kept.events, config.ingest.idempotency_window
        );
        conflict(reader, "retention.events", "ingest.idempotency_window", label);
    }
    if kept.events < kept.dead_payload {
        let label = format!(
            "an event ({}) must be kept for as long as its payload ({})",
            kept.events, kept.dead_payload
        );
        conflict(reader, "retention.events", "retention.dead_payload", label);
    }
    if kept.dead_payload < kept.delivered_payload {
        let label = format!(
            "the payload of a dead delivery ({}) must be kept for as long as any ({})",
            kept.dead_payload, kept.delivered_payload
        );
        conflict(reader, "retention.dead_payload", "retention.delivered_payload", label);
    }
}

fn delivery(reader: &mut Reader<'_>, config: &Config) {
    let delivery = &config.delivery;
    if delivery.attempt_timeout < delivery.response_timeout {
        let label = format!(
            "the whole attempt ({}) must not be shorter than the wait for its response ({})",
            delivery.attempt_timeout, delivery.response_timeout
        );
        conflict(reader, "delivery.attempt_timeout", "delivery.response_timeout", label);
    }
    if delivery.max_response < delivery.capture_response {
        let label = format!(
            "more would be stored of a response ({}) than is read of it ({})",
            delivery.capture_response, delivery.max_response
        );
        conflict(reader, "delivery.capture_response", "delivery.max_response", label);
    }
    if HeaderValue::from_str(&delivery.user_agent).is_err() || delivery.user_agent.is_empty() {
        reader.refuse(Code::Value, "delivery.user_agent", "not a legal header value");
    }
    if delivery.drain_timeout >= STOP_TIMEOUT {
        let title = "the service may be killed before it has drained".to_owned();
        let label = format!("systemd/postrider.service allows {STOP_TIMEOUT} for a stop");
        let path = "delivery.drain_timeout";
        let warning = Draft::warning(Code::Conflict, path, title, label);
        reader.note(warning.help("raise TimeoutStopSec= of the unit as well"));
    }
}

fn egress(reader: &mut Reader<'_>, config: &Config) {
    if !config.egress.block_private {
        let title = "endpoints may reach this machine and its network".to_owned();
        let label = "private and local addresses are not blocked".to_owned();
        let warning = Draft::warning(Code::Unsafe, "egress.block_private", title, label);
        reader.note(warning.help("list the ranges that are needed in `allow`"));
    }
    for (index, port) in config.egress.ports.iter().enumerate() {
        if *port == 0 {
            reader.refuse(Code::Range, &format!("egress.ports.{index}"), "no port has number 0");
        }
    }
}

fn tls(reader: &mut Reader<'_>, config: &Config) {
    for (index, path) in config.tls.extra_roots.iter().enumerate() {
        if !path.is_absolute() {
            let key = format!("tls.extra_roots.{index}");
            reader.refuse(Code::Value, &key, "expected an absolute path");
        }
    }
}
