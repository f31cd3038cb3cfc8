//! Endpoints: list, one, remove, try out.

use std::sync::Arc;

use crate::admin::backend::Actor;
use crate::admin::backend::Answer;
use crate::admin::backend::BackendError;
use crate::admin::backend::Leftovers;
use crate::admin::backend::Sample;
use crate::courier::Job;
use crate::courier::Target;
use crate::daemon::backend::commands;
use crate::daemon::backend::read;
use crate::daemon::backend::status;
use crate::daemon::backend::unreadable;
use crate::daemon::backend::views::Lens;
use crate::daemon::book::Origin;
use crate::daemon::book::Page;
use crate::daemon::shared::Rules;
use crate::daemon::shared::Shared;
use crate::engine::Command;
use crate::model::Attempt;
use crate::model::Attributes;
use crate::model::DeadReason;
use crate::model::DeliveryId;
use crate::model::EndpointEntry;
use crate::model::EndpointNo;
use crate::model::Event;
use crate::model::EventId;
use crate::model::Next;
use crate::model::view::EndpointView;
use crate::model::view::Fault;

pub(super) async fn list(shared: &Shared) -> Answer<Vec<EndpointView>> {
    let lens = Lens::take(shared).await?;
    read(shared, move |reader| Ok(status::views(&lens, &status::dead_counts(reader)?))).await
}

pub(super) async fn show(shared: &Shared, name: &str) -> Answer<EndpointView> {
    let lens = Lens::take(shared).await?;
    let name = name.to_owned();
    read(shared, move |reader| {
        let page = page(&lens.rules, &name)?;
        let dead = status::dead_counts(reader)?.get(&page.no).copied().unwrap_or(0);
        Ok(lens.endpoint(page, dead))
    })
    .await
}

/// The page of an endpoint.
pub(super) fn page<'a>(rules: &'a Rules, name: &str) -> Answer<&'a Page> {
    rules.book.by_name(name).ok_or(BackendError::NotFound("endpoint"))
}

/// The number and the target of an endpoint that can be called.
pub(super) fn callable(shared: &Shared, name: &str) -> Answer<(EndpointNo, Arc<Target>)> {
    let rules = shared.rules.load();
    let page = page(&rules, name)?;
    let target = page.target.clone().ok_or_else(|| {
        let detail = "the endpoint is defined nowhere any more: define it again, or remove it";
        BackendError::Invalid(vec![Fault::new("", "retired", detail)])
    })?;
    Ok((page.no, target))
}

/// Removes an endpoint. What is on its way to it ends first, so that nothing is left over.
pub(super) async fn remove(
    shared: &Shared,
    name: &str,
    leftovers: Leftovers,
    actor: &Actor,
) -> Answer<()> {
    let _changing = shared.changing.lock().await;
    let rules = shared.rules.load_full();
    let page = page(&rules, name)?;
    if page.origin == Origin::Config {
        return Err(BackendError::ManagedByConfig);
    }
    let no = page.no;
    let entries = read(shared, |reader| reader.endpoints().map_err(unreadable)).await?;
    let entry = entries.into_iter().find(|entry| entry.no == no);
    let entry = entry.ok_or(BackendError::NotFound("endpoint"))?;
    // The definition may hold a secret, and nobody needs it any more.
    let removed = Some(shared.clock.now());
    let entry = Box::new(EndpointEntry { definition: None, removed, ..entry });
    let next = match leftovers {
        Leftovers::Keep => Next::Dead { reason: DeadReason::EndpointRemoved },
        Leftovers::Cancel => Next::Cancelled,
    };
    commands::done(shared, actor, Command::Remove { entry, next }).await?;
    shared.rules.store(Arc::new(rules.with_book(rules.book.without(no))));
    shared.metrics.endpoint_removed(name);
    Ok(())
}

/// Calls an endpoint once, past all queues.
pub(super) async fn test(
    shared: &Shared,
    name: &str,
    sample: Sample,
    actor: &Actor,
) -> Answer<Attempt> {
    let (no, target) = callable(shared, name)?;
    let now = shared.clock.now();
    let (high, low) = {
        let chance = shared.chance.lock();
        let mut chance = chance.unwrap_or_else(std::sync::PoisonError::into_inner);
        (chance.u16(..), chance.u64(..))
    };
    let id = EventId::v7(now, high, low);
    let event = Event {
        id,
        event_type: sample.event_type,
        accepted_at: now,
        source: Arc::clone(&actor.0),
        content_type: "application/json".into(),
        body: sample.body,
        attributes: Box::new(Attributes::default()),
        targets: vec![no],
        orders: Vec::new(),
        dedupes: Vec::new(),
        held: Vec::new(),
    };
    let delivery = DeliveryId::new(id, no);
    let job = Job { target, delivery, event: Arc::new(event), attempt: 1 };
    let courier = Arc::clone(&shared.rules.load().courier);
    Ok(Box::pin(courier.attempt(job)).await)
}
