//! The keys of an endpoint that say how much it is asked to bear, and in what order.

use crate::config::Config;
use crate::config::checks;
use crate::config::fault::Code;
use crate::config::fault::Draft;
use crate::config::reader::Reader;
use crate::config::sections::Breaker;
use crate::config::sections::Targets;
use crate::config::value::Dur;
use crate::config::value::OnFailure;
use crate::config::value::Ordering;
use crate::config::value::Pace;
use crate::config::value::Pointer;
use crate::model;
use crate::model::DedupePolicy;
use crate::model::Flow;
use crate::model::OrderPolicy;
use crate::model::Rate;

/// The largest burst of a rate.
pub const BURST_MAX: u32 = 10_000;
/// The longest that an event may hold up the others of its key.
const DEADLINE_MAX: Dur = Dur::days(365);
/// The longest window of a dedupe: each key in it takes room on disk.
const DEDUPE_MAX: Dur = Dur::days(30);
/// Keys that mean something only where deliveries are ordered.
const ORDER_KEYS: [&str; 4] = ["ordering_key", "on_failure", "order_deadline", "order_version"];

/// The rules of flow control: `[breaker]` and `[targets]` with the endpoint's own keys laid over,
/// and what only an endpoint has.
pub(super) fn flow(reader: &mut Reader<'_>, config: &Config) -> Flow {
    let breaker = reader.inside("breaker", |reader| {
        let breaker = Breaker::read(reader, &config.breaker);
        checks::breaker(reader, &breaker);
        breaker
    });
    let targets = reader.inside("targets", |reader| Targets::read(reader, &config.targets));
    Flow {
        rate: rate(reader),
        breaker: breaker.policy(),
        order: order(reader),
        dedupe: dedupe(reader),
        targets: targets.expected(),
    }
}

fn rate(reader: &mut Reader<'_>) -> Option<Rate> {
    let burst = reader.bounded("burst", 1, BURST_MAX);
    if reader.raw("rate").is_none() && reader.raw("burst").is_some() {
        needless(reader, "burst", "rate = \"50/s\"");
    }
    let pace: Pace = reader.value("rate")?;
    Some(Rate { count: pace.count(), per: pace.per(), burst: burst.unwrap_or(1) })
}

fn order(reader: &mut Reader<'_>) -> Option<OrderPolicy> {
    let ordering: Option<Ordering> = reader.value("ordering");
    let key: Option<Pointer> = reader.value("ordering_key");
    let on_failure: Option<OnFailure> = reader.value("on_failure");
    let deadline = reader.bounded("order_deadline", Dur::ZERO, DEADLINE_MAX);
    let version: Option<Pointer> = reader.value("order_version");
    let unreadable = ordering.is_none() && reader.raw("ordering").is_some();
    if ordering != Some(Ordering::Key) {
        // an `ordering` that cannot be read is a fault of its own
        let idle = ORDER_KEYS.iter().filter(|key| !unreadable && reader.raw(key).is_some());
        for key in idle.collect::<Vec<_>>() {
            needless(reader, key, "ordering = \"key\"");
        }
        return None;
    }
    Some(OrderPolicy {
        key: key.map(Pointer::into_text),
        on_failure: on_failure.map(OnFailure::rule).unwrap_or_default(),
        deadline: deadline.and_then(Dur::unless_zero),
        version: version.map(Pointer::into_text),
    })
}

fn dedupe(reader: &mut Reader<'_>) -> Option<DedupePolicy> {
    let window = reader.bounded("dedupe_window", Dur::ZERO, DEDUPE_MAX);
    let key: Option<Pointer> = reader.value("dedupe_key");
    if reader.raw("dedupe_window").is_none() && reader.raw("dedupe_key").is_some() {
        needless(reader, "dedupe_key", "dedupe_window = \"15m\"");
    }
    let window = window.and_then(Dur::unless_zero)?;
    Some(DedupePolicy { key: key.map(Pointer::into_text), window })
}

/// A key that does nothing without another one.
pub(in crate::config) fn needless(reader: &mut Reader<'_>, key: &str, other: &str) {
    let path = reader.path(key);
    let title = format!("`{key}` does nothing here");
    let label = format!("it counts only with {other}");
    let draft = Draft::error(Code::Conflict, &path, title, label).at_key();
    reader.note(draft.help(format!("add {other}, or remove `{key}`")));
}

impl OnFailure {
    /// The rule that the word stands for.
    fn rule(self) -> model::OnFailure {
        match self {
            OnFailure::Block => model::OnFailure::Block,
            OnFailure::Park => model::OnFailure::Park,
            OnFailure::Skip => model::OnFailure::Skip,
        }
    }
}

#[cfg(test)]
mod tests;
