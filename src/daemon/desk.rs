//! The hub, as the intake sees it.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::admin::Backend;
use crate::admin::BackendError;
use crate::admin::metrics::IngestResult;
use crate::admin::metrics::ListenerSeries;
use crate::daemon::backend::Office;
use crate::daemon::shared::Message;
use crate::daemon::shared::Shared;
use crate::engine::Admitted;
use crate::engine::Refusal;
use crate::engine::SubmitMode;
use crate::intake::Desk;
use crate::intake::Outcome;
use crate::intake::Own;
use crate::model::EndpointNo;
use crate::model::EventId;
use crate::model::Submission;
use crate::model::Time;

/// The hub behind the ingest socket.
pub(crate) struct IngestDesk {
    pub(crate) shared: Arc<Shared>,
    pub(crate) office: Arc<Office>,
    pub(crate) series: ListenerSeries,
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

    fn request_id(&self) -> String {
        self.shared.request_id()
    }

    fn refused(&self, source: &str, code: &str, events: usize) {
        let rules = self.shared.rules.load();
        let events = u64::try_from(events).unwrap_or(u64::MAX);
        rules.sources.series(source).events_refused(code.parse().ok(), events);
    }

    fn answered(&self, outcome: &Outcome, payload_bytes: usize, began: Time) {
        let result = match outcome {
            Outcome::Taken => IngestResult::Accepted,
            Outcome::Replayed => IngestResult::Duplicate,
            Outcome::Refused(code) => code.parse().map_or(IngestResult::Error, IngestResult::of),
        };
        self.series.request_answered(result, self.shared.clock.now().since(began));
        self.series.payload_read(u32::try_from(payload_bytes).unwrap_or(u32::MAX));
    }
}
