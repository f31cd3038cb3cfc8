//! The audit log: one line for each change that was made, and who wanted it. Requests that were
//! refused are told there by the API itself.
//!
//! Event names are stable; fields are `actor` and `endpoint` or `delivery_id`.

use crate::admin::backend::Actor;
use crate::admin::backend::Answer;
use crate::model::DeliveryId;

/// One delivery was changed.
pub(super) fn delivery<T>(event: &str, actor: &Actor, id: DeliveryId, done: &Answer<T>) {
    if done.is_ok() {
        let (actor, delivery_id) = (&*actor.0, id.to_string());
        tracing::info!(target: "postrider::audit", event, actor, delivery_id);
    }
}

/// One endpoint was changed.
pub(super) fn endpoint<T>(event: &str, actor: &Actor, name: &str, done: &Answer<T>) {
    if done.is_ok() {
        let actor = &*actor.0;
        tracing::info!(target: "postrider::audit", event, actor, endpoint = name);
    }
}

/// The whole daemon was changed.
pub(super) fn daemon<T>(event: &str, actor: &Actor, done: &Answer<T>) {
    if done.is_ok() {
        tracing::info!(target: "postrider::audit", event, actor = &*actor.0);
    }
}
