//! Commands to the engine: about one delivery, about one endpoint, about the intake.

use crate::admin::backend::Actor;
use crate::admin::backend::Answer;
use crate::admin::backend::BackendError;
use crate::daemon::backend::deliveries;
use crate::daemon::backend::endpoints;
use crate::daemon::backend::misunderstood;
use crate::daemon::backend::status;
use crate::daemon::backend::stopping;
use crate::daemon::shared::Shared;
use crate::engine::Command;
use crate::engine::Reply;
use crate::engine::Unmoved;
use crate::model::DeliveryId;
use crate::model::DeliveryState;
use crate::model::EndpointNo;
use crate::model::view::DeliveryView;
use crate::model::view::EndpointView;
use crate::model::view::IntakeView;

/// Gives the engine a command and waits for its answer.
pub(super) async fn give(shared: &Shared, actor: &Actor, command: Command) -> Answer<Reply> {
    shared.command(&actor.0, command).await.ok_or_else(stopping)
}

/// As [`give`], for a command that is only ever done.
pub(super) async fn done(shared: &Shared, actor: &Actor, command: Command) -> Answer<()> {
    match give(shared, actor, command).await? {
        Reply::Done => Ok(()),
        Reply::NoSuchEndpoint => Err(BackendError::NotFound("endpoint")),
        _ => Err(misunderstood()),
    }
}

/// Sends a delivery again.
pub(super) async fn retry(shared: &Shared, id: DeliveryId, actor: &Actor) -> Answer<DeliveryView> {
    // What nobody can call any more would wait for ever.
    if shared.rules.load().book.page(id.endpoint).is_none() {
        return Err(BackendError::NotFound("endpoint"));
    }
    let reply = give(shared, actor, Command::Retry(vec![id])).await?;
    let Reply::Retried(answers) = reply else { return Err(misunderstood()) };
    moved(answers.into_iter().next())?;
    deliveries::show(shared, id).await
}

/// Ends a delivery.
pub(super) async fn cancel(shared: &Shared, id: DeliveryId, actor: &Actor) -> Answer<DeliveryView> {
    let reply = give(shared, actor, Command::Cancel(id)).await?;
    let Reply::Cancelled(answer) = reply else { return Err(misunderstood()) };
    moved(Some(answer))?;
    deliveries::show(shared, id).await
}

fn moved(answer: Option<Result<(), Unmoved>>) -> Answer<()> {
    match answer {
        Some(Ok(())) => Ok(()),
        Some(Err(Unmoved::State(DeliveryState::Unknown))) => {
            Err(BackendError::NotFound("delivery"))
        }
        Some(Err(Unmoved::State(state))) => Err(BackendError::WrongState(state)),
        Some(Err(Unmoved::PayloadGone)) => Err(BackendError::PayloadExpired),
        None => Err(misunderstood()),
    }
}

/// Changes whether an endpoint may be called. Not while the rules change: they are put in force
/// with the state that was read before.
pub(super) async fn change(
    shared: &Shared,
    name: &str,
    actor: &Actor,
    order: impl FnOnce(EndpointNo) -> Command,
) -> Answer<EndpointView> {
    let changing = shared.changing.lock().await;
    let (no, _target) = endpoints::callable(shared, name)?;
    done(shared, actor, order(no)).await?;
    drop(changing);
    endpoints::show(shared, name).await
}

/// Opens or closes the intake.
pub(super) async fn intake(shared: &Shared, command: Command, actor: &Actor) -> Answer<IntakeView> {
    done(shared, actor, command).await?;
    let sight = shared.look().await.ok_or_else(stopping)?;
    Ok(status::intake(&sight))
}
