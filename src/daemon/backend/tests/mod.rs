//! The office over a real store and a real engine.

mod changes;
mod queue;
mod replays;
mod world;

use crate::admin::backend::Backend;
use crate::admin::backend::BackendError;
use crate::admin::backend::DeliveryFilter;
use crate::admin::backend::EventFilter;
use crate::admin::backend::Slice;
use crate::admin::backend::Window;
use crate::daemon::backend::Office;
use crate::model::view::DeliveryView;
use crate::model::*;
use world::World;
use world::actor;
use world::delivery;
use world::first;
use world::id;

fn by_state(state: DeliveryState) -> DeliveryFilter {
    DeliveryFilter { state: Some(state), ..DeliveryFilter::default() }
}

fn ids(rows: &[DeliveryView]) -> Vec<DeliveryId> {
    rows.iter().map(|row| row.id).collect()
}

async fn listed(office: &Office, filter: DeliveryFilter) -> Vec<DeliveryView> {
    let slice = office.deliveries(filter, first(100)).await.unwrap();
    assert_eq!(slice.next, None);
    slice.rows
}

/// All pages of this length, in order.
async fn paged(office: &Office, filter: &DeliveryFilter, limit: usize) -> Vec<DeliveryId> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let window = Window { limit, after };
        let Slice { rows, next } = office.deliveries(filter.clone(), window).await.unwrap();
        assert!(rows.len() <= limit);
        all.extend(ids(&rows));
        after = next;
        if after.is_none() {
            return all;
        }
    }
}

#[tokio::test]
async fn every_state_is_listed_newest_first() {
    let World { office, home: _home, .. } = World::new();
    let of = |state| listed(&office, by_state(state));
    let dead = [(3, 1), (2, 2), (2, 1), (1, 2), (1, 1)].map(|(n, no)| delivery(n, no));
    assert_eq!(ids(&of(DeliveryState::Dead).await), dead);
    let queued = [(6, 2), (6, 1), (5, 2), (5, 1)].map(|(n, no)| delivery(n, no));
    assert_eq!(ids(&of(DeliveryState::Queued).await), queued);
    assert_eq!(ids(&of(DeliveryState::Waiting).await), [delivery(3, 2)]);
    assert_eq!(ids(&of(DeliveryState::Sending).await), [delivery(4, 2)]);
    assert_eq!(ids(&of(DeliveryState::Delivered).await), [delivery(4, 1)]);
    assert_eq!(ids(&of(DeliveryState::Held).await), [delivery(7, 3)]);
    assert_eq!(ids(&of(DeliveryState::Cancelled).await), []);
    assert_eq!(listed(&office, DeliveryFilter::default()).await.len(), 13);
}

#[tokio::test]
async fn pages_join_to_the_whole_list_whatever_their_length() {
    let World { office, home: _home, .. } = World::new();
    let states = [None, Some(DeliveryState::Dead), Some(DeliveryState::Queued)];
    for state in states {
        let filter = DeliveryFilter { state, ..DeliveryFilter::default() };
        let whole = ids(&listed(&office, filter.clone()).await);
        for limit in 1..=whole.len() {
            assert_eq!(paged(&office, &filter, limit).await, whole, "{state:?} by {limit}");
        }
    }
}

#[tokio::test]
async fn a_page_goes_on_where_the_one_before_ended_although_rows_have_gone() {
    let World { office, home: _home, .. } = World::new();
    let filter = by_state(DeliveryState::Dead);
    let page = office.deliveries(filter.clone(), first(2)).await.unwrap();
    for row in &page.rows {
        office.retry(row.id, actor()).await.unwrap();
    }
    let rest = office.deliveries(filter, Window { limit: 100, after: page.next }).await.unwrap();
    assert_eq!(ids(&rest.rows), [delivery(2, 1), delivery(1, 2), delivery(1, 1)]);
    assert_eq!(rest.next, None);
}

#[tokio::test]
async fn a_position_of_another_list_is_refused() {
    let World { office, home: _home, .. } = World::new();
    let page = office.deliveries(by_state(DeliveryState::Dead), first(1)).await.unwrap();
    let window = Window { limit: 1, after: page.next };
    let other = office.deliveries(by_state(DeliveryState::Queued), window.clone()).await;
    assert_eq!(other, Err(BackendError::BadPosition));
    assert_eq!(office.events(EventFilter::default(), window).await, Err(BackendError::BadPosition));
}

#[tokio::test]
async fn filters_must_all_hold() {
    let World { office, home: _home, .. } = World::new();
    let filter = DeliveryFilter {
        state: Some(DeliveryState::Dead),
        endpoint: Some("billing".to_owned()),
        types: Some("order.created".parse().unwrap()),
        outcome: Some(Outcome::Http5xx),
        since: Some(id(2).time()),
        until: Some(id(4).time()),
    };
    let rows = listed(&office, filter.clone()).await;
    assert_eq!(ids(&rows), [delivery(3, 1)]);
    assert_eq!(rows[0].endpoint, "billing");
    assert_eq!(rows[0].reason.as_deref(), Some("exhausted"));
    assert_eq!(rows[0].last_outcome.as_deref(), Some("http_5xx"));
    assert_eq!(rows[0].steps, []);
    let other = DeliveryFilter { outcome: Some(Outcome::TimeoutResponse), ..filter.clone() };
    assert_eq!(listed(&office, other).await, []);
    let unknown = DeliveryFilter { endpoint: Some("nobody".to_owned()), ..filter };
    let answer = office.deliveries(unknown, first(1)).await;
    assert_eq!(answer, Err(BackendError::NotFound("endpoint")));
}

#[tokio::test]
async fn events_are_listed_with_their_deliveries() {
    let World { office, home: _home, .. } = World::new();
    let all = office.events(EventFilter::default(), first(100)).await.unwrap();
    assert_eq!(
        all.rows.iter().map(|row| row.id).collect::<Vec<_>>(),
        [7, 6, 5, 4, 3, 2, 1].map(id)
    );
    assert_eq!(all.next, None);
    let filter = EventFilter {
        types: Some("order.paid".parse().unwrap()),
        has_state: Some(DeliveryState::Dead),
        ..EventFilter::default()
    };
    let some = office.events(filter, first(100)).await.unwrap().rows;
    assert_eq!(some.iter().map(|row| row.id).collect::<Vec<_>>(), [id(2)]);
    let filter = EventFilter { until: Some(id(6).time()), ..EventFilter::default() };
    let page = office.events(filter.clone(), first(2)).await.unwrap();
    let rest = office.events(filter, Window { limit: 9, after: page.next }).await.unwrap();
    let joined: Vec<_> = page.rows.iter().chain(&rest.rows).map(|row| row.id).collect();
    assert_eq!(joined, [5, 4, 3, 2, 1].map(id));
    let payload = office.payload(id(3)).await.unwrap();
    assert_eq!((&*payload.content_type, &payload.body[..]), ("text/plain", &b"body of 3"[..]));
    assert_eq!(office.event(id(8)).await, Err(BackendError::NotFound("event")));
    assert_eq!(office.events_between(id(2), id(6)).await.unwrap(), [id(2), id(3)]);
    let found = office.deliveries_between(delivery(2, 2), delivery(2, 9)).await.unwrap();
    assert_eq!(found, [delivery(2, 2)]);
}

#[tokio::test]
async fn what_waits_for_a_paused_endpoint_is_held() {
    let World { office, home: _home, .. } = World::new();
    let paused = office.pause("crm".into(), "moving house".into(), actor()).await.unwrap();
    assert_eq!((&*paused.status, paused.counts.fresh, paused.counts.timed), ("paused", 2, 1));
    assert_eq!(paused.url, "https://crm.example/in", "its query may be secret");
    let filter = || DeliveryFilter {
        state: Some(DeliveryState::Held),
        endpoint: Some("crm".into()),
        ..DeliveryFilter::default()
    };
    let held = listed(&office, filter()).await;
    assert_eq!(ids(&held), [delivery(3, 2), delivery(6, 2), delivery(5, 2)]);
    assert_eq!(held[0].reason.as_deref(), Some("paused by uid:0: moving house"));
    assert_eq!(paged(&office, &filter(), 1).await, ids(&held));
    assert_eq!(listed(&office, by_state(DeliveryState::Waiting)).await, []);
    assert_eq!(office.delivery(delivery(5, 2)).await.unwrap().state, DeliveryState::Held);
    office.resume("crm".into(), actor()).await.unwrap();
    assert_eq!(listed(&office, filter()).await, []);
    assert_eq!(office.delivery(delivery(5, 2)).await.unwrap().state, DeliveryState::Queued);
}

#[tokio::test]
async fn commands_fit_the_state_or_say_it() {
    let World { office, home: _home, .. } = World::new();
    let again = office.retry(delivery(1, 1), actor()).await.unwrap();
    assert_eq!((again.state, again.reason.as_deref()), (DeliveryState::Waiting, Some("requested")));
    assert_eq!(again.steps.len(), 2);
    let cancelled = office.cancel(delivery(1, 1), actor()).await.unwrap();
    assert_eq!(cancelled.state, DeliveryState::Cancelled);
    let wrong = |state| Err(BackendError::WrongState(state));
    assert_eq!(office.cancel(delivery(4, 1), actor()).await, wrong(DeliveryState::Delivered));
    assert_eq!(office.retry(delivery(4, 2), actor()).await, wrong(DeliveryState::Sending));
    let unknown = Err(BackendError::NotFound("delivery"));
    assert_eq!(office.retry(delivery(7, 1), actor()).await, unknown);
    assert_eq!(office.delivery(delivery(9, 1)).await, unknown);
}

#[tokio::test]
async fn the_status_counts_what_the_lists_show() {
    let World { office, home: _home, .. } = World::new();
    let status = office.status().await.unwrap();
    assert_eq!((status.queued, status.waiting, status.dead), (5, 1, 5));
    assert_eq!((&*status.state, &*status.durability), ("running", "process"));
    assert!(status.store_bytes > 0);
    assert!(status.disk_free_bytes > 0);
    assert!(status.oldest_due_ms > 0, "queued ones are due");
    let names: Vec<_> = status.endpoints.iter().map(|endpoint| &*endpoint.name).collect();
    assert_eq!(names, ["billing", "crm", "old"]);
    assert_eq!(status.endpoints[0].counts, LaneCounts { fresh: 2, timed: 0, dead: 3, behind: 0 });
    office.ready().await.unwrap();
    assert_eq!(office.drain(actor()).await.unwrap().state, "draining");
    let refused = office.ready().await;
    assert!(matches!(refused, Err(BackendError::Unavailable { code: Code::Draining, .. })));
    assert_eq!(office.undrain(actor()).await.unwrap().state, "running");
    office.ready().await.unwrap();
}

#[tokio::test]
async fn a_read_that_fails_is_counted_and_other_faults_are_not() {
    let World { office, home: _home, .. } = World::new();
    let shared = &office.shared;
    let fails = |error: BackendError| super::read(shared, move |_| Err::<(), _>(error));
    let unreadable = BackendError::Unreadable("a page".to_owned());
    assert_eq!(fails(unreadable.clone()).await, Err(unreadable));
    assert_eq!(fails(BackendError::NotFound("event")).await, Err(BackendError::NotFound("event")));
    let text = shared.metrics.encode().unwrap();
    assert!(text.contains("postrider_store_errors_total{op=\"read\"} 1\n"), "{text}");
}
