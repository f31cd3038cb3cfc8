//! Sources: list, one.

use std::sync::Arc;

use crate::admin::backend::Answer;
use crate::admin::backend::BackendError;
use crate::config::sections::Ingest;
use crate::config::sources::Origin;
use crate::config::value::pace;
use crate::daemon::backend::stopping;
use crate::daemon::roster::Named;
use crate::daemon::shared::Shared;
use crate::daemon::shared::Sight;
use crate::model::source::SourceView;

pub(super) async fn list(shared: &Shared) -> Answer<Vec<SourceView>> {
    let sight = shared.look().await.ok_or_else(stopping)?;
    let rules = shared.rules.load_full();
    let ingest = &rules.config.ingest;
    let named = rules.sources.named();
    let mut views: Vec<_> = named.map(|(id, named)| view(id, named, ingest, &sight)).collect();
    views.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(views)
}

pub(super) async fn show(shared: &Shared, name: &str) -> Answer<SourceView> {
    let sight = shared.look().await.ok_or_else(stopping)?;
    let rules = shared.rules.load_full();
    let found = rules.sources.by_name(name).ok_or(BackendError::NotFound("source"))?;
    Ok(view(found.0, found.1, &rules.config.ingest, &sight))
}

/// A source with the limits that hold for it: its own, or those of all.
fn view(identity: &Arc<str>, named: &Named, ingest: &Ingest, sight: &Sight) -> SourceView {
    let source = &named.definition;
    let payload_max = source.max_payload.unwrap_or(ingest.max_payload).min(ingest.max_payload);
    let rate = source.rate.or(ingest.rate_max());
    let heard = sight.sources.iter().find(|(known, _)| known == identity);
    SourceView {
        name: source.name.to_string(),
        id: identity.to_string(),
        unix_user: match &source.origin {
            Origin::User { name, .. } => Some(name.clone()),
            Origin::Provider(_) => None,
        },
        path: source.provider().map(|provider| provider.path.clone()),
        description: source.description.clone(),
        types: source.types.iter().map(ToString::to_string).collect(),
        max_payload_bytes: payload_max.get(),
        rate: rate.as_ref().map(pace::written),
        burst: rate.map(|rate| rate.burst),
        silent_after_s: source.silent_after.map(|span| span.as_secs()),
        defined_in: source.place.clone(),
        last_event_at: heard.and_then(|(_, at)| *at),
        accepted: named.series.accepted(),
        refused: named.series.refused(),
    }
}
