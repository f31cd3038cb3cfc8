//! The loop around the engine: hear, decide, carry out.
//!
//! Hearing waits and changes nothing; deciding changes the engine and waits for nothing; carrying
//! out hands work to the writer, to readers and to attempts, and never blocks. The clock is read
//! once a turn.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::daemon::attempt;
use crate::daemon::backend;
use crate::daemon::notice;
use crate::daemon::shared::Message;
use crate::daemon::shared::Shared;
use crate::daemon::shared::Sight;
use crate::engine::Admitted;
use crate::engine::Caller;
use crate::engine::Effect;
use crate::engine::Engine;
use crate::engine::Input;
use crate::engine::Refusal;
use crate::engine::Reply;
use crate::engine::Ticket;
use crate::model::Class;
use crate::model::DeliveryId;
use crate::model::Due;
use crate::model::EndpointNo;
use crate::model::Time;
use crate::store::writer::Commit;
use crate::store::writer::Receipts;

/// Messages that one turn takes in.
const TURN_MESSAGES_MAX: usize = 512;
/// How long a queue that could not be read is left alone.
const READ_AGAIN: Duration = Duration::from_secs(30);

/// Who waits for a reply.
enum Waiting {
    Submission(oneshot::Sender<Vec<Result<Admitted, Refusal>>>),
    Command(oneshot::Sender<Reply>),
}

/// The engine with everything that carries out what it wants.
pub(crate) struct Hub {
    engine: Engine,
    shared: Arc<Shared>,
    inbox: mpsc::UnboundedReceiver<Message>,
    writer: std::sync::mpsc::Sender<Commit>,
    waiting: HashMap<Caller, Waiting>,
    next_caller: Caller,
    attempts: HashMap<DeliveryId, AbortHandle>,
    /// Commits under way, in order: since when, and how many records.
    committing: VecDeque<(Ticket, Time, usize)>,
    drained: watch::Sender<bool>,
}

impl Hub {
    pub(crate) fn new(
        engine: Engine,
        shared: Arc<Shared>,
        inbox: mpsc::UnboundedReceiver<Message>,
        writer: std::sync::mpsc::Sender<Commit>,
        drained: watch::Sender<bool>,
    ) -> Hub {
        Hub {
            engine,
            shared,
            inbox,
            writer,
            waiting: HashMap::new(),
            next_caller: 1,
            attempts: HashMap::new(),
            committing: VecDeque::new(),
            drained,
        }
    }

    /// Runs until it is told to stop, or the writer is gone. Attempts still under way are broken
    /// off; what is written of them stays in flight on disk.
    pub(crate) async fn run(mut self) {
        let mut heard = Vec::with_capacity(TURN_MESSAGES_MAX);
        let mut effects = Vec::new();
        self.engine.wake(self.shared.clock.now(), &mut effects);
        let mut going = self.carry_out(&mut effects);
        while going {
            self.hear(&mut heard).await;
            let now = self.shared.clock.now();
            if heard.is_empty() {
                self.engine.wake(now, &mut effects);
            }
            for message in heard.drain(..) {
                match message {
                    Message::Stop => going = false,
                    message => self.decide(now, message, &mut effects),
                }
            }
            going &= self.carry_out(&mut effects);
        }
        self.attempts.values().for_each(AbortHandle::abort);
    }

    /// Waits for messages, or until the engine wants to be woken.
    async fn hear(&mut self, heard: &mut Vec<Message>) {
        let until = self.engine.next_wake().map(|at| at.since(self.shared.clock.now()));
        let wake = async {
            match until {
                Some(span) => tokio::time::sleep(span).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            _ = self.inbox.recv_many(heard, TURN_MESSAGES_MAX) => {}
            () = wake => {}
        }
    }

    fn decide(&mut self, now: Time, message: Message, effects: &mut Vec<Effect>) {
        let input = match message {
            Message::Submit { since, submissions, mode, answer } => {
                let caller = self.wait_for(Waiting::Submission(answer));
                Input::Submit { caller, since, submissions, mode }
            }
            Message::Command { actor, command, answer } => {
                let caller = self.wait_for(Waiting::Command(answer));
                Input::Command { caller, actor, command }
            }
            Message::Committed(receipts) => return self.committed(now, receipts, effects),
            Message::Loaded { lane, class, rows, end } => Input::Loaded { lane, class, rows, end },
            Message::Scanned { replay, page } => Input::Scanned { replay, page },
            Message::Finished { delivery, attempt, began } => {
                self.attempts.remove(&delivery);
                Input::Finished { delivery, attempt, began }
            }
            Message::DiskLow(low) => Input::DiskLow(low),
            Message::Report(report) => Input::Report(report),
            Message::Look(answer) => {
                // whoever asked may have gone away
                let _ = answer.send(self.sight(now));
                return;
            }
            Message::Stop => return,
        };
        self.engine.handle(now, input, effects);
    }

    fn wait_for(&mut self, waiting: Waiting) -> Caller {
        let caller = self.next_caller;
        self.next_caller += 1;
        self.waiting.insert(caller, waiting);
        caller
    }

    fn committed(&mut self, now: Time, receipts: Receipts, effects: &mut Vec<Effect>) {
        let mut records = 0;
        let mut since = None;
        for (ticket, receipts) in receipts {
            if let Some((_, sent, count)) = self.committing.pop_front() {
                records += count;
                since = since.or(Some(sent));
            }
            self.engine.handle(now, Input::Committed { ticket, receipts }, effects);
        }
        if let Some(since) = since {
            let records = u32::try_from(records).unwrap_or(u32::MAX);
            self.shared.metrics.commit_flushed(records, now.since(since));
        }
    }

    fn sight(&self, now: Time) -> Sight {
        let lanes = self.engine.lanes();
        Sight {
            lanes: lanes.map(|(e, counts, busy)| (e.no, e.state.clone(), counts, busy)).collect(),
            fares: self
                .engine
                .fares(now)
                .map(|(no, window, beats)| (no, (window, beats)))
                .collect(),
            flights: self.engine.flights(),
            oldest_due: self.engine.oldest_due(now),
            committing_since: self.committing.front().map(|(_, since, _)| *since),
            draining: self.engine.is_draining(),
            sources: self.engine.sources().map(|(id, at)| (Arc::clone(id), at)).collect(),
            replays: self.engine.replays().cloned().collect(),
            holds: self.engine.holds().to_vec(),
        }
    }

    /// Whether it can go on: not if the writer is gone.
    fn carry_out(&mut self, effects: &mut Vec<Effect>) -> bool {
        let now = self.shared.clock.now();
        for effect in effects.drain(..) {
            match effect {
                Effect::Commit { ticket, records } => {
                    self.committing.push_back((ticket, now, records.len()));
                    if self.writer.send(Commit { ticket, records }).is_err() {
                        return false;
                    }
                }
                Effect::Reply { caller, reply } => self.reply(caller, reply),
                Effect::Load { lane, class, after, limit } => self.load(lane, class, after, limit),
                Effect::Scan(scan) => {
                    tokio::spawn(backend::scan(Arc::clone(&self.shared), *scan));
                }
                Effect::Dial(dial) => {
                    self.shared.metrics.attempt_started(now.since(dial.due));
                    let delivery = dial.delivery;
                    // boxed: it would be copied from place to place several times
                    let run = Box::pin(attempt::run(Arc::clone(&self.shared), dial, now));
                    let task = tokio::spawn(run);
                    self.attempts.insert(delivery, task.abort_handle());
                }
                Effect::Abort(delivery) => {
                    if let Some(task) = self.attempts.remove(&delivery) {
                        task.abort();
                    }
                }
                Effect::Publish(event) => notice::publish(&self.shared, &event),
                Effect::Drained => {
                    self.drained.send_replace(true);
                }
            }
        }
        true
    }

    fn reply(&mut self, caller: Caller, reply: Reply) {
        // a caller that has hung up gets no answer; what it asked for is done all the same
        match (self.waiting.remove(&caller), reply) {
            (Some(Waiting::Submission(answer)), Reply::Submitted(answers)) => {
                let refused = answers.iter().filter(|answer| answer.is_err());
                refused.for_each(|_| self.shared.counters.rejected.inc());
                let _ = answer.send(answers);
            }
            (Some(Waiting::Command(answer)), reply) => {
                let _ = answer.send(reply);
            }
            _ => debug_assert!(false, "each caller is answered once, in kind"),
        }
    }

    fn load(&self, lane: EndpointNo, class: Class, after: Option<Due>, limit: usize) {
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move {
            let read = shared.feed(move |reader| reader.load(lane, class, after, limit));
            let rows = match read.await {
                Some(Ok(rows)) => Some(rows),
                Some(Err(error)) => {
                    shared.metrics.store_read_failed();
                    let endpoint = shared.rules.load().book.name(lane);
                    tracing::error!(event = "store.corrupt", endpoint, %error, "queue unreadable");
                    None
                }
                None => return,
            };
            let end = rows.as_ref().is_some_and(|rows| rows.len() < limit);
            if rows.is_none() {
                tokio::time::sleep(READ_AGAIN).await;
            }
            let rows = rows.unwrap_or_default();
            // fails only when the hub has ended
            let _ = shared.hub.send(Message::Loaded { lane, class, rows, end });
        });
    }
}
