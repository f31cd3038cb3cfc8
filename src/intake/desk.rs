//! What the intake needs of the hub.

use std::future::Future;
use std::sync::Arc;

use crate::engine::Admitted;
use crate::engine::Refusal;
use crate::engine::SubmitMode;
use crate::model::EndpointNo;
use crate::model::EventId;
use crate::model::Submission;
use crate::model::Time;
use crate::model::view::EventView;
use crate::policy::scheme::Fault;

/// What a submitter may see of an event.
#[derive(Debug)]
pub enum Own {
    /// It is the caller's.
    Event(Box<EventView>),
    /// There is none of this id, or it is somebody else's: the difference is not told.
    None,
    /// It could not be read.
    Failed,
}

/// Where a request came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// At the socket of local programs.
    Ingest,
    /// Where providers' webhooks come in.
    Http,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Taken,
    /// It repeated an earlier one.
    Replayed,
    /// It was refused with this problem code.
    Refused(String),
}

/// The hub, as the intake sees it.
pub trait Desk: Send + Sync + 'static {
    /// Submits events; the answer comes when they are safe. `None` if the daemon ends before.
    fn submit(
        &self,
        submissions: Vec<Submission>,
        mode: SubmitMode,
    ) -> impl Future<Output = Option<Vec<Result<Admitted, Refusal>>>> + Send;

    /// The event, if `source` submitted it.
    fn own_event(&self, id: EventId, source: &str) -> impl Future<Output = Own> + Send;

    /// The name of an endpoint.
    fn endpoint_name(&self, no: EndpointNo) -> String;

    /// The time.
    fn now(&self) -> Time;

    /// The wall clock's time, which others' clocks are compared with.
    fn wall(&self) -> Time;

    /// A request of a provider has not proved itself.
    fn unverified(&self, name: &str, identity: &Arc<str>, fault: &Fault);

    /// A request of a provider has the id of an event that says something else.
    fn said_otherwise(&self, name: &str, identity: &Arc<str>, first: EventId);

    /// A new id for a request.
    fn request_id(&self) -> String;

    /// So many events of a source were refused with this problem code: for metrics.
    fn refused(&self, source: &str, code: &str, events: usize);

    /// A request was answered: for metrics.
    fn answered(&self, at: Listener, outcome: &Outcome, payload_bytes: usize, began: Time);
}
