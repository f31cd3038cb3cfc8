//! The hub, as the intake sees it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use serde_json::json;
use tokio::sync::oneshot;

use crate::admin::Backend;
use crate::admin::BackendError;
use crate::admin::metrics::IngestResult;
use crate::admin::metrics::ListenerSeries;
use crate::daemon::backend::Office;
use crate::daemon::clock;
use crate::daemon::shared::Message;
use crate::daemon::shared::Shared;
use crate::engine::About;
use crate::engine::Admitted;
use crate::engine::Refusal;
use crate::engine::Report;
use crate::engine::SubmitMode;
use crate::intake::Desk;
use crate::intake::Listener;
use crate::intake::Outcome;
use crate::intake::Own;
use crate::model::EndpointNo;
use crate::model::EventId;
use crate::model::Submission;
use crate::model::Time;
use crate::policy::scheme::Fault;

/// What is odd about the requests of one source is said once in this time. What is refused is
/// counted always.
const SAID_EVERY: Duration = Duration::from_secs(1);

/// The hub behind the ingest socket.
pub(crate) struct IngestDesk {
    pub(crate) shared: Arc<Shared>,
    pub(crate) office: Arc<Office>,
    pub(crate) series: ListenerSeries,
    pub(crate) http_series: ListenerSeries,
    /// When each oddity of the requests of each source was last said.
    pub(crate) said: Mutex<HashMap<(Arc<str>, &'static str), Time>>,
}

impl IngestDesk {
    /// Whether this is said once more of a source: whoever knocks cannot fill the log.
    fn may_say(&self, what: &'static str, identity: &Arc<str>) -> bool {
        let now = self.shared.clock.now();
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (Arc::clone(identity), what);
        let lately = said.get(&key).is_some_and(|last| now.since(*last) < SAID_EVERY);
        if !lately {
            said.insert(key, now);
        }
        !lately
    }
}

impl Desk for IngestDesk {
    async fn submit(
        &self,
        mut submissions: Vec<Submission>,
        mode: SubmitMode,
    ) -> Option<Vec<Result<Admitted, Refusal>>> {
        let (answer, answered) = oneshot::channel();
        let since = self.shared.clock.now();
        for submission in &mut submissions {
            if submission.attributes.deliver_at.is_some() {
                submission.ahead = self.shared.clock.ahead();
            }
        }
        self.shared.hub.send(Message::Submit { since, submissions, mode, answer }).ok()?;
        answered.await.ok()
    }

    async fn own_event(&self, id: EventId, source: &str) -> Own {
        match self.office.event(id).await {
            Ok(event) if event.source_id == source => Own::Event(Box::new(event)),
            Ok(_) | Err(BackendError::NotFound(_)) => Own::None,
            Err(_) => Own::Failed,
        }
    }

    fn endpoint_name(&self, no: EndpointNo) -> String {
        self.shared.rules.load().book.name(no)
    }

    fn now(&self) -> Time {
        self.shared.clock.now()
    }

    fn wall(&self) -> Time {
        clock::now()
    }

    fn unverified(&self, name: &str, identity: &Arc<str>, fault: &Fault) {
        let reason = fault.as_str();
        if self.may_say("unverified", identity) {
            tracing::warn!(event = "source.unverified", source = name, reason, "{fault}");
            let data = json!({ "source": name, "source_id": &**identity, "reason": reason });
            let about = About::Source(Arc::clone(identity));
            let report = Report { kind: "source.verification_failed", about, data };
            // the hub may be gone: then nothing is told any more
            drop(self.shared.hub.send(Message::Report(report)));
        }
    }

    fn said_otherwise(&self, name: &str, identity: &Arc<str>, first: EventId) {
        if self.may_say("said_otherwise", identity) {
            tracing::warn!(
                event = "source.said_otherwise",
                source = name,
                event_id = %first,
                "a request bears the id of this event and says something else: the first counts",
            );
        }
    }

    fn request_id(&self) -> String {
        self.shared.request_id()
    }

    fn refused(&self, source: &str, code: &str, events: usize) {
        let rules = self.shared.rules.load();
        let events = u64::try_from(events).unwrap_or(u64::MAX);
        rules.sources.series(source).events_refused(code.parse().ok(), events);
    }

    fn answered(&self, at: Listener, outcome: &Outcome, payload_bytes: usize, began: Time) {
        let series = match at {
            Listener::Ingest => &self.series,
            Listener::Http => &self.http_series,
        };
        let result = match outcome {
            Outcome::Taken => IngestResult::Accepted,
            Outcome::Replayed => IngestResult::Duplicate,
            Outcome::Refused(code) => code.parse().map_or(IngestResult::Error, IngestResult::of),
        };
        series.request_answered(result, self.shared.clock.now().since(began));
        series.payload_read(u32::try_from(payload_bytes).unwrap_or(u32::MAX));
    }
}
