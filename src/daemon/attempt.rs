//! One attempt as a task: whatever happens to it, the hub hears of its end exactly once.

use std::sync::Arc;

use crate::courier::Job;
use crate::daemon::shared::Message;
use crate::daemon::shared::Shared;
use crate::engine::Dial;
use crate::model::Attempt;
use crate::model::DeliveryId;
use crate::model::Event;
use crate::model::EventId;
use crate::model::Outcome;
use crate::model::Time;

/// Makes the attempt and tells the hub.
pub(crate) async fn run(shared: Arc<Shared>, dial: Dial, began: Time) {
    let Dial { delivery, attempt, event, due: _ } = dial;
    let mut landing = Landing { shared, delivery, began, attempt: None };
    let event = match event {
        Some(event) => Ok(event),
        None => read(&landing.shared, delivery.event).await,
    };
    let rules = landing.shared.rules.load_full();
    let target = rules.book.page(delivery.endpoint).and_then(|page| page.target.clone());
    landing.attempt = Some(match (event, target) {
        (Ok(event), Some(target)) => {
            rules.courier.attempt(Job { target, delivery, event, attempt }).await
        }
        (Err(why), _) => failed(&why),
        (_, None) => failed("the endpoint is defined nowhere any more"),
    });
}

fn failed(why: &str) -> Attempt {
    let detail = Some(why.to_owned());
    Attempt { detail, ..Attempt::without_response(Outcome::Internal) }
}

async fn read(shared: &Shared, id: EventId) -> Result<Arc<Event>, String> {
    match shared.feed(move |reader| reader.event(id)).await {
        Some(Ok(Some(event))) => Ok(Arc::new(event)),
        Some(Ok(None)) => Err("the event is no longer in the store".to_owned()),
        Some(Err(error)) => {
            shared.metrics.store_read_failed();
            tracing::error!(event = "store.corrupt", event_id = %id, %error, "event unreadable");
            Err("the event cannot be read from the store".to_owned())
        }
        None => Err("the daemon is stopping".to_owned()),
    }
}

/// Tells the hub when it is dropped, so that an attempt that is broken off, or panics, ends too.
struct Landing {
    shared: Arc<Shared>,
    delivery: DeliveryId,
    began: Time,
    attempt: Option<Attempt>,
}

impl Drop for Landing {
    fn drop(&mut self) {
        let attempt = self.attempt.take().unwrap_or_else(|| {
            if std::thread::panicking() {
                let delivery = &self.delivery;
                tracing::error!(event = "task.panicked", task = "attempt", %delivery);
                failed("the attempt panicked; this is a bug in postrider")
            } else {
                Attempt::without_response(Outcome::Cancelled)
            }
        });
        let (delivery, began) = (self.delivery, self.began);
        let finished = Message::Finished { delivery, attempt: Box::new(attempt), began };
        // fails only when the hub has ended, and with it everything that would follow
        let _ = self.shared.hub.send(finished);
    }
}
