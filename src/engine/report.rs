//! What postrider tells of itself: operational events, delivered like any other.
//!
//! They go to endpoints that name their types, but never to the one that they are about, and what
//! becomes of their own deliveries is not told. So they cannot feed themselves. The same thing
//! about the same endpoint or source is told once in a window, with the count of what was left out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use serde_json::json;

use crate::engine::Draining;
use crate::engine::Engine;
use crate::engine::Pending;
use crate::engine::admit::Admission;
use crate::engine::words::Effect;
use crate::engine::words::Notice;
use crate::model::DeliveryId;
use crate::model::EndpointNo;
use crate::model::Next;
use crate::model::Submission;
use crate::model::Time;
use crate::model::TypeGlob;
use crate::model::event::OPERATIONAL_PREFIX;

/// Things told about that are remembered at most; beyond, what is oldest is forgotten.
const REMEMBERED_MAX: usize = 10_000;
/// Who submits them.
const SOURCE: &str = "postrider";

/// What something is told of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum About {
    /// The daemon as a whole.
    Postrider,
    /// An endpoint. It is not told of itself.
    Endpoint(EndpointNo),
    /// The source of this identity.
    Source(Arc<str>),
}

/// Something to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The type of the event, after `postrider.`.
    pub kind: &'static str,
    /// What it is about.
    pub about: About,
    /// The payload, as JSON.
    pub data: Value,
}

/// What was told lately.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// When, and how often it would have been told since.
    last: BTreeMap<(&'static str, About), (Time, u64)>,
    /// When it is looked next whether targets are kept; `None` while nobody wants to know.
    pub(crate) look: Option<Time>,
}

impl Told {
    /// Whether it is to be told now; then how often it was left out before.
    fn tell(&mut self, report: &Report, now: Time, window: Duration) -> Option<u64> {
        let key = (report.kind, report.about.clone());
        if let Some((last, left_out)) = self.last.get_mut(&key)
            && now < *last + window
        {
            *left_out += 1;
            return None;
        }
        let before = self.last.insert(key, (now, 0));
        if self.last.len() > REMEMBERED_MAX {
            let oldest =
                self.last.iter().min_by_key(|(_, (at, _))| *at).map(|(key, _)| key.clone());
            oldest.and_then(|key| self.last.remove(&key));
        }
        Some(before.map_or(0, |(_, left_out)| left_out))
    }
}

impl Engine {
    /// Publishes a notice, and tells those who want to know.
    pub(crate) fn announce(&mut self, now: Time, notice: Notice, out: &mut Vec<Effect>) {
        if let Some(report) = self.report_of(now, &notice) {
            self.report(now, report, out);
        }
        out.push(Effect::Publish(notice));
    }

    fn report_of(&self, now: Time, notice: &Notice) -> Option<Report> {
        let name = |no: EndpointNo| self.name(no).map_or("", |name| name);
        let about = |kind, no, data| Some(Report { kind, about: About::Endpoint(no), data });
        let dead = |delivery: DeliveryId, reason: &str, attempts: u16| {
            // what becomes of these is not told
            let data = json!({
                "endpoint": name(delivery.endpoint), "delivery": delivery.to_string(),
                "event": delivery.event.to_string(), "reason": reason, "attempts": attempts,
            });
            let own = delivery.event.is_operational();
            about("delivery.dead", delivery.endpoint, data).filter(|_| !own)
        };
        match notice {
            Notice::BreakerOpened { endpoint, open } => about(
                "endpoint.opened",
                *endpoint,
                json!({
                    "endpoint": name(*endpoint), "failures": open.failures, "outcome": open.outcome,
                    "until": open.until,
                }),
            ),
            Notice::EndpointRecovered { endpoint, open } => {
                let data = json!({
                    "endpoint": name(*endpoint), "failures": open.failures,
                    "down_for_s": now.since(open.since).as_secs(),
                });
                about("endpoint.recovered", *endpoint, data)
            }
            Notice::EndpointDisabled { endpoint, reason } => {
                let data = json!({ "endpoint": name(*endpoint), "reason": reason });
                about("endpoint.disabled", *endpoint, data)
            }
            Notice::Died { delivery, reason } => dead(*delivery, reason.as_str(), 0),
            Notice::AttemptFinished { delivery, number, next: Next::Dead { reason }, .. } => {
                dead(*delivery, reason.as_str(), *number)
            }
            _ => None,
        }
    }

    /// Submits an operational event, if anybody wants it and it was not told lately.
    pub(crate) fn report(&mut self, now: Time, report: Report, out: &mut Vec<Effect>) {
        let Ok(event_type) = format!("{OPERATIONAL_PREFIX}{}", report.kind).parse() else { return };
        let mut targets = self.routes.takers(&event_type);
        targets.retain(|no| About::Endpoint(*no) != report.about);
        let full = self.pending() >= self.limits.pending_max;
        if targets.is_empty() || full || self.draining != Draining::No {
            return;
        }
        let Some(left_out) = self.told.tell(&report, now, self.limits.report_window) else {
            return;
        };
        let mut data = report.data;
        if let Value::Object(fields) = &mut data {
            fields.insert("left_out".to_owned(), Value::from(left_out));
        }
        let body = json!({ "type": event_type, "timestamp": now, "data": data });
        let submission = Submission {
            source: SOURCE.into(),
            event_type,
            content_type: "application/json".into(),
            body: Bytes::from(body.to_string()),
            attributes: Box::default(),
            delay: None,
            ahead: Duration::ZERO,
            endpoints: None,
            idempotency_key: None,
        };
        self.promised += u64::try_from(targets.len()).unwrap_or(u64::MAX);
        let mut records = Vec::with_capacity(1);
        let items = vec![self.write(now, submission, targets, &mut records)];
        self.commit(
            records,
            Pending::Admission(Admission { caller: None, items, guarded: false, since: now }),
            out,
        );
    }

    /// An endpoint has new rules: if it names operational events, lanes are looked at.
    pub(crate) fn listens(&mut self, types: &[TypeGlob]) {
        if self.told.look.is_none() && types.iter().any(TypeGlob::is_operational) {
            self.told.look = Some(Time::ZERO);
        }
    }
}
