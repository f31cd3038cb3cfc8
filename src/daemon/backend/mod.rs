//! The daemon's side of the management API: questions to the store and to the engine, answered as
//! views; commands carried to the engine; changes of the rules, one at a time.
//!
//! Invariants: the store is read off the async workers, and no request for a list looks at more
//! than [`SCANNED_MAX`] rows; a command is answered when it is safe; every change that was made is
//! a line of the audit log ([`audit`]); no answer and no line of a log has a secret in it, but for
//! the one that a new endpoint is given, once.

mod audit;
mod commands;
mod create;
mod deliveries;
mod endpoints;
mod events;
mod position;
mod queue;
mod reload;
mod replay;
mod sources;
mod status;
mod streams;
mod views;

use std::sync::Arc;

use crate::admin::backend::Actor;
use crate::admin::backend::Answer;
use crate::admin::backend::Backend;
use crate::admin::backend::BackendError;
use crate::admin::backend::DeliveryFilter;
use crate::admin::backend::EventFilter;
use crate::admin::backend::Leftovers;
use crate::admin::backend::Payload;
use crate::admin::backend::ReplayOrder;
use crate::admin::backend::Sample;
use crate::admin::backend::Slice;
use crate::admin::backend::Window;
use crate::daemon::shared::Shared;
use crate::engine::Command;
use crate::model::Attempt;
use crate::model::Code;
use crate::model::DeliveryId;
use crate::model::EventId;
use crate::model::HoldView;
use crate::model::ReplayId;
use crate::model::queue::QueueView;
use crate::model::replay::view::DryRunView;
use crate::model::replay::view::ReplayView;
use crate::model::source::SourceView;
use crate::model::view::CreatedEndpoint;
use crate::model::view::DeliveryView;
use crate::model::view::EndpointView;
use crate::model::view::EventView;
use crate::model::view::IntakeView;
use crate::model::view::ReloadView;
use crate::model::view::StatusView;
use crate::store::packed::ReadError;
use crate::store::read::Reader;

pub(crate) use queue::Census;
pub(crate) use replay::scan;

/// Rows that one request for a list looks at, at most: the page ends there, full or not.
const SCANNED_MAX: usize = 5_000;

/// The management API's view of the daemon.
#[derive(Clone)]
pub(crate) struct Office {
    /// What the daemon's parts share.
    pub(crate) shared: Arc<Shared>,
    /// What waited when it was counted last.
    pub(crate) census: Arc<Census>,
}

/// The hub has ended, or is about to.
fn stopping() -> BackendError {
    BackendError::Unavailable {
        code: Code::Draining,
        detail: "the daemon is stopping: ask again when it has started".to_owned(),
    }
}

/// The hub answered another question than the one it was asked.
fn misunderstood() -> BackendError {
    BackendError::Internal("the engine gave an answer to another question".to_owned())
}

fn unreadable(error: ReadError) -> BackendError {
    tracing::error!(event = "store.error", op = "read", %error, "the store cannot be read");
    BackendError::Unreadable(error.to_string())
}

/// Counts the answer if the store could not be read for it.
fn counted<T>(shared: &Shared, answer: Answer<T>) -> Answer<T> {
    if let Err(BackendError::Unreadable(_)) = &answer {
        shared.metrics.store_read_failed();
    }
    answer
}

/// Reads the store for an answer.
async fn read<T: Send + 'static>(
    shared: &Shared,
    read: impl FnOnce(&Reader) -> Answer<T> + Send + 'static,
) -> Answer<T> {
    let answer = shared.read(read).await.ok_or_else(stopping)?;
    counted(shared, answer.map_err(unreadable).and_then(|answer| answer))
}

impl Backend for Office {
    async fn ready(&self) -> Answer<()> {
        status::ready(&self.shared).await
    }

    async fn status(&self) -> Answer<StatusView> {
        status::status(&self.shared).await
    }

    async fn queue(&self) -> Answer<QueueView> {
        let (shared, census) = (Arc::clone(&self.shared), Arc::clone(&self.census));
        // a count goes on when its caller hangs up: it would be begun anew for the next one
        let count = tokio::spawn(async move { queue::view(&shared, &census).await });
        count.await.map_err(|error| BackendError::Internal(error.to_string()))?
    }

    async fn events(&self, filter: EventFilter, window: Window) -> Answer<Slice<EventView>> {
        events::list(&self.shared, filter, window).await
    }

    async fn event(&self, id: EventId) -> Answer<EventView> {
        events::show(&self.shared, id).await
    }

    async fn events_between(&self, low: EventId, high: EventId) -> Answer<Vec<EventId>> {
        events::between(&self.shared, low, high).await
    }

    async fn payload(&self, id: EventId) -> Answer<Payload> {
        events::payload(&self.shared, id).await
    }

    async fn deliveries(
        &self,
        filter: DeliveryFilter,
        window: Window,
    ) -> Answer<Slice<DeliveryView>> {
        deliveries::list(&self.shared, filter, window).await
    }

    async fn delivery(&self, id: DeliveryId) -> Answer<DeliveryView> {
        deliveries::show(&self.shared, id).await
    }

    async fn deliveries_between(
        &self,
        low: DeliveryId,
        high: DeliveryId,
    ) -> Answer<Vec<DeliveryId>> {
        deliveries::between(&self.shared, low, high).await
    }

    async fn retry(&self, id: DeliveryId, actor: Actor) -> Answer<DeliveryView> {
        let done = commands::retry(&self.shared, id, &actor).await;
        audit::delivery("delivery.retried", &actor, id, &done);
        done
    }

    async fn cancel(&self, id: DeliveryId, actor: Actor) -> Answer<DeliveryView> {
        let done = commands::cancel(&self.shared, id, &actor).await;
        audit::delivery("delivery.cancelled", &actor, id, &done);
        done
    }

    async fn sources(&self) -> Answer<Vec<SourceView>> {
        sources::list(&self.shared).await
    }

    async fn source(&self, name: String) -> Answer<SourceView> {
        sources::show(&self.shared, &name).await
    }

    async fn endpoints(&self) -> Answer<Vec<EndpointView>> {
        endpoints::list(&self.shared).await
    }

    async fn endpoint(&self, name: String) -> Answer<EndpointView> {
        endpoints::show(&self.shared, &name).await
    }

    async fn create_endpoint(
        &self,
        definition: serde_json::Map<String, serde_json::Value>,
        actor: Actor,
    ) -> Answer<CreatedEndpoint> {
        let name = definition.get("name").and_then(|name| name.as_str());
        let name = name.unwrap_or_default().to_owned();
        let done = create::create(&self.shared, definition, &actor).await;
        audit::endpoint("endpoint.created", &actor, &name, &done);
        done
    }

    async fn remove_endpoint(
        &self,
        name: String,
        leftovers: Leftovers,
        actor: Actor,
    ) -> Answer<()> {
        let done = endpoints::remove(&self.shared, &name, leftovers, &actor).await;
        audit::endpoint("endpoint.deleted", &actor, &name, &done);
        done
    }

    async fn pause(&self, name: String, reason: String, actor: Actor) -> Answer<EndpointView> {
        let order = |endpoint| Command::Pause { endpoint, reason };
        let done = commands::change(&self.shared, &name, &actor, order).await;
        audit::endpoint("endpoint.paused", &actor, &name, &done);
        done
    }

    async fn resume(&self, name: String, actor: Actor) -> Answer<EndpointView> {
        let done = commands::change(&self.shared, &name, &actor, Command::Resume).await;
        audit::endpoint("endpoint.resumed", &actor, &name, &done);
        done
    }

    async fn enable(&self, name: String, actor: Actor) -> Answer<EndpointView> {
        let done = commands::change(&self.shared, &name, &actor, Command::Enable).await;
        audit::endpoint("endpoint.enabled", &actor, &name, &done);
        done
    }

    async fn test(&self, name: String, sample: Sample, actor: Actor) -> Answer<Attempt> {
        endpoints::test(&self.shared, &name, sample, &actor).await
    }

    async fn count_replay(&self, order: ReplayOrder) -> Answer<DryRunView> {
        replay::count(&self.shared, &order).await
    }

    async fn replay(&self, order: ReplayOrder, actor: Actor) -> Answer<ReplayView> {
        replay::begin(&self.shared, order, &actor).await
    }

    async fn replays(&self) -> Answer<Vec<ReplayView>> {
        replay::list(&self.shared).await
    }

    async fn holds(&self) -> Answer<Vec<HoldView>> {
        let sight = self.shared.look().await.ok_or_else(stopping)?;
        Ok(replay::holds(&self.shared.rules.load().book, &sight))
    }

    async fn shown_replay(&self, id: ReplayId) -> Answer<ReplayView> {
        replay::show(&self.shared, id).await
    }

    async fn replays_between(&self, low: ReplayId, high: ReplayId) -> Answer<Vec<ReplayId>> {
        replay::between(&self.shared, low, high).await
    }

    async fn cancel_replay(&self, id: ReplayId, actor: Actor) -> Answer<ReplayView> {
        replay::cancel(&self.shared, id, &actor).await
    }

    async fn reload(&self, actor: Actor) -> Answer<ReloadView> {
        reload::reload(&self.shared, &actor).await
    }

    async fn drain(&self, actor: Actor) -> Answer<IntakeView> {
        let done = commands::intake(&self.shared, Command::Drain, &actor).await;
        audit::daemon("daemon.draining", &actor, &done);
        done
    }

    async fn undrain(&self, actor: Actor) -> Answer<IntakeView> {
        let done = commands::intake(&self.shared, Command::Undrain, &actor).await;
        audit::daemon("daemon.resumed", &actor, &done);
        done
    }
}

#[cfg(test)]
mod tests;
