//! Events, deliveries and endpoints as rows of a list.

use crate::cli::output::Row;
use crate::cli::text;
use crate::model::DeliveryState;
use crate::model::HoldView;
use crate::model::Time;
use crate::model::view::DeliveryView;
use crate::model::view::EndpointView;
use crate::model::view::EventView;

impl Row for EventView {
    const COLUMNS: &'static [&'static str] = &["EVENT", "ACCEPTED", "TYPE", "SIZE", "DELIVERIES"];
    const MORE: &'static [&'static str] = &["SOURCE", "CONTENT TYPE", "TENANT"];

    fn cells(&self, time: &dyn Fn(Time) -> String) -> Vec<String> {
        vec![
            self.id.to_string(),
            time(self.accepted_at),
            self.event_type.clone(),
            text::bytes(self.payload_bytes),
            states(&self.deliveries),
            self.source.clone(),
            self.content_type.clone(),
            self.attributes.tenant.clone().unwrap_or_else(|| text::NONE.into()),
        ]
    }

    fn id(&self) -> String {
        self.id.to_string()
    }
}

/// How many deliveries are in each state: `2 delivered, 1 dead`.
fn states(deliveries: &[DeliveryView]) -> String {
    let mut states: Vec<DeliveryState> = deliveries.iter().map(|d| d.state).collect();
    states.sort_unstable();
    let runs = states.chunk_by(|a, b| a == b);
    let texts = runs.filter_map(|run| run.first().map(|state| format!("{} {state}", run.len())));
    let text = texts.collect::<Vec<_>>().join(", ");
    if text.is_empty() { text::NONE.to_owned() } else { text }
}

impl Row for DeliveryView {
    const COLUMNS: &'static [&'static str] =
        &["DELIVERY", "ENDPOINT", "STATE", "ATTEMPTS", "LAST", "NEXT"];
    const MORE: &'static [&'static str] = &["REASON", "TYPE", "EVENT"];

    fn cells(&self, time: &dyn Fn(Time) -> String) -> Vec<String> {
        let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| text::NONE.into());
        vec![
            self.id.to_string(),
            self.endpoint.clone(),
            self.state.to_string(),
            self.attempts.to_string(),
            or_none(&self.last_outcome),
            self.next_at.map_or_else(|| text::NONE.into(), time),
            or_none(&self.reason),
            or_none(&self.event_type),
            self.event_id.to_string(),
        ]
    }

    fn id(&self) -> String {
        self.id.to_string()
    }
}

impl Row for HoldView {
    const COLUMNS: &'static [&'static str] = &["TYPE", "ENDPOINT", "SINCE", "BY"];
    const MORE: &'static [&'static str] = &["REPLAY"];

    fn cells(&self, time: &dyn Fn(Time) -> String) -> Vec<String> {
        vec![
            self.types.to_string(),
            self.endpoint.clone().unwrap_or_else(|| "all".into()),
            time(self.since),
            self.actor.clone(),
            self.id.to_string(),
        ]
    }

    fn id(&self) -> String {
        self.id.to_string()
    }
}

impl Row for EndpointView {
    const COLUMNS: &'static [&'static str] =
        &["ENDPOINT", "STATE", "BACKLOG", "SENDING", "DEAD", "URL"];
    const MORE: &'static [&'static str] = &["TYPES", "ORIGIN", "NUMBER", "RATE"];

    fn cells(&self, _time: &dyn Fn(Time) -> String) -> Vec<String> {
        vec![
            self.name.clone(),
            self.status.clone(),
            self.counts.pending().to_string(),
            self.in_flight.to_string(),
            self.counts.dead.to_string(),
            self.url.clone(),
            self.types.join(","),
            self.origin.clone(),
            self.number.to_string(),
            self.rate.clone().unwrap_or_else(|| text::NONE.into()),
        ]
    }

    fn id(&self) -> String {
        self.name.clone()
    }
}
