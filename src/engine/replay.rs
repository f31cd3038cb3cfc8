//! Replays: the walk over a list, a few deliveries at a time, at a rate.
//!
//! The engine asks for the next rows ([`Effect::Scan`]), commits what is done to them together with
//! the place behind them, and goes on when their turns are over. Each delivery has a turn of its
//! own, so that the rate is even; rows are asked for a little before that. What it does is stored
//! with every step, so that it goes on after a restart. While the disk is low, and while the daemon
//! is about to stop, no step is made; nothing is sent again while as much is pending as may be.
//!
//! What is sent again stands in its lane among those that wait for a time, of which the lane takes
//! one for each new delivery: so a replay leaves at least half of what an endpoint takes to others.

pub(super) mod words;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::engine::Draining;
use crate::engine::Engine;
use crate::engine::Pending;
use crate::engine::mint::Mint;
use crate::engine::replay::words::NewReplay;
use crate::engine::replay::words::ReplayNotice;
use crate::engine::replay::words::ReplayPage;
use crate::engine::replay::words::Scan;
use crate::engine::words::Caller;
use crate::engine::words::Effect;
use crate::engine::words::Notice;
use crate::engine::words::Reply;
use crate::model::EventId;
use crate::model::Receipt;
use crate::model::Record;
use crate::model::Replay;
use crate::model::ReplayAction;
use crate::model::ReplayCounts;
use crate::model::ReplayId;
use crate::model::ReplayMove;
use crate::model::ReplayState;
use crate::model::ReplayStep;
use crate::model::Time;
use crate::model::replay::REPLAY_STEP_MAX;
use crate::model::replay::REPLAYS_RUNNING_MAX;
use crate::model::replay::REPLAYS_SPARE;

/// One step is for the deliveries whose turns are within this time.
const STEP_SPAN: Duration = Duration::from_millis(200);
/// A step is prepared this long before its first turn.
const LEAD: Duration = Duration::from_millis(100);

/// The replays that run.
#[derive(Debug)]
pub(crate) struct Replays {
    running: BTreeMap<ReplayId, Running>,
    mint: Mint,
}

#[derive(Debug)]
struct Running {
    replay: Replay,
    phase: Phase,
    /// Who wants it ended, while a step is being written.
    cancel: Vec<(Option<Caller>, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Until its next turn.
    Waiting,
    /// Rows are being read.
    Reading,
    /// A step is being written.
    Writing,
}

/// A commit for a replay.
#[derive(Debug)]
pub(crate) struct Stepped {
    step: Box<ReplayStep>,
    /// Who waits to hear that it has begun, or ended.
    callers: Vec<Caller>,
}

impl Replays {
    /// Goes on with those that were running.
    pub(crate) fn after(recovered: &[Replay]) -> Replays {
        let last = recovered.iter().map(|replay| replay.id).max();
        let last = last.map(|id| EventId::from_bytes(id.to_bytes()));
        let running = recovered.iter().filter(|replay| replay.is_running()).map(|replay| {
            let (replay, cancel) = (replay.clone(), Vec::new());
            (replay.id, Running { replay, phase: Phase::Waiting, cancel })
        });
        Replays { running: running.collect(), mint: Mint::after(last) }
    }

    /// As they are stored.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Replay> {
        self.running.values().map(|running| &running.replay)
    }

    /// The process has just begun. Should the clock have been set back before, the next turn of
    /// each is still no further than a step may reach.
    pub(crate) fn begin(&mut self, now: Time) {
        for Running { replay, .. } in self.running.values_mut() {
            let steps = u32::try_from(REPLAY_STEP_MAX).unwrap_or(1);
            replay.next = replay.next.min(now + LEAD + replay.rate.gap() * steps);
        }
    }
}

impl Running {
    /// Whether it waits for its turn, and its turn may come.
    fn may_go_on(&self, full: bool) -> bool {
        let adds = self.replay.action == ReplayAction::Replay;
        self.phase == Phase::Waiting && !(full && adds)
    }

    /// When the rows of its next step are asked for.
    fn looks_at(&self) -> Time {
        self.replay.next.minus(LEAD)
    }

    /// How many rows a step has.
    fn rows(&self) -> usize {
        let gap = self.replay.rate.gap().as_micros().max(1);
        let rows = STEP_SPAN.as_micros() / gap;
        usize::try_from(rows).unwrap_or(REPLAY_STEP_MAX).clamp(1, REPLAY_STEP_MAX)
    }
}

impl Engine {
    /// The replays that run, as they are stored.
    pub fn replays(&self) -> impl Iterator<Item = &Replay> {
        self.replays.all()
    }

    /// A person wants something done to many deliveries.
    pub(crate) fn begin_replay(
        &mut self,
        now: Time,
        caller: Caller,
        actor: String,
        new: NewReplay,
        out: &mut Vec<Effect>,
    ) {
        // a hold is wanted at once: its replay, or that which lifts it, waits for no other to end
        let spare = if self.holds_or_lifts(&new) { REPLAYS_SPARE } else { 0 };
        if self.replays.running.len() >= REPLAYS_RUNNING_MAX + spare {
            out.push(Effect::Reply { caller, reply: Reply::TooManyReplays });
            return;
        }
        if self.has_no_room_to_hold(&new) {
            out.push(Effect::Reply { caller, reply: Reply::TooManyHolds });
            return;
        }
        let id = self.replays.mint.next(now, false, &mut self.rng);
        let id = ReplayId::from_bytes(id.to_bytes());
        self.hold_or_lift(now, id, &actor, &new, out);
        let replay = Replay {
            id,
            action: new.action,
            filter: new.filter,
            rate: new.rate,
            actor,
            created: now,
            state: ReplayState::Running,
            ended: None,
            ended_by: None,
            next: now,
            cursor: None,
            counts: ReplayCounts { matched: new.matched, ..ReplayCounts::default() },
        };
        let running = Running { replay: replay.clone(), phase: Phase::Writing, cancel: Vec::new() };
        self.replays.running.insert(replay.id, running);
        self.write_replay(now, replay, Vec::new(), vec![caller], out);
    }

    /// A person wants a replay ended.
    pub(crate) fn cancel_replay(
        &mut self,
        now: Time,
        caller: Caller,
        actor: String,
        id: ReplayId,
        out: &mut Vec<Effect>,
    ) {
        let Some(running) = self.replays.running.get_mut(&id) else {
            out.push(Effect::Reply { caller, reply: Reply::NoSuchReplay });
            return;
        };
        running.cancel.push((Some(caller), actor));
        if running.phase != Phase::Writing {
            self.end_cancelled(now, id, out);
        }
    }

    /// A person wants what is the opposite of these.
    pub(crate) fn end_replays(
        &mut self,
        now: Time,
        actor: &str,
        which: impl Fn(&Replay) -> bool,
        out: &mut Vec<Effect>,
    ) {
        let running = self.replays.running.iter_mut();
        let opposed = running.filter(|(_, running)| which(&running.replay));
        let ended = opposed.map(|(id, running)| {
            running.cancel.push((None, actor.to_owned()));
            (*id, running.phase)
        });
        for (id, phase) in ended.collect::<Vec<_>>() {
            if phase != Phase::Writing {
                self.end_cancelled(now, id, out);
            }
        }
    }

    /// Ends a replay that somebody wants ended, if that is so.
    fn end_cancelled(&mut self, now: Time, id: ReplayId, out: &mut Vec<Effect>) {
        let Some(running) = self.replays.running.get_mut(&id) else { return };
        let cancel = std::mem::take(&mut running.cancel);
        let Some((_, actor)) = cancel.first() else { return };
        running.phase = Phase::Writing;
        let replay = Replay {
            state: ReplayState::Cancelled,
            ended: Some(now),
            ended_by: Some(actor.clone()),
            ..running.replay.clone()
        };
        let callers = cancel.into_iter().filter_map(|(caller, _)| caller).collect();
        self.write_replay(now, replay, Vec::new(), callers, out);
    }

    /// Asks for the rows of those whose turn it is.
    pub(crate) fn go_on_with_replays(&mut self, now: Time, out: &mut Vec<Effect>) {
        if self.replays.running.is_empty() || self.replays_rest() {
            return;
        }
        let full = self.is_full();
        for (id, running) in &mut self.replays.running {
            if running.may_go_on(full) && running.looks_at() <= now {
                running.phase = Phase::Reading;
                out.push(Effect::Scan(Box::new(Scan {
                    replay: *id,
                    action: running.replay.action,
                    filter: running.replay.filter.clone(),
                    after: running.replay.cursor.clone(),
                    limit: running.rows(),
                })));
            }
        }
    }

    /// When one of them has something to do.
    pub(crate) fn next_turn(&self) -> Option<Time> {
        if self.replays.running.is_empty() || self.replays_rest() {
            return None;
        }
        let full = self.is_full();
        let running = self.replays.running.values().filter(|running| running.may_go_on(full));
        running.map(Running::looks_at).min()
    }

    /// Whether no step is to be made now.
    fn replays_rest(&self) -> bool {
        self.disk_low || self.draining != Draining::No
    }

    /// Whether as much is pending as may be.
    fn is_full(&self) -> bool {
        self.pending() >= self.limits.pending_max
    }

    /// Rows were read: the next step.
    pub(crate) fn scanned(
        &mut self,
        now: Time,
        id: ReplayId,
        page: Option<ReplayPage>,
        out: &mut Vec<Effect>,
    ) {
        let rest = self.replays_rest();
        let running = self.replays.running.get_mut(&id);
        // one that was ended meanwhile needs no rows
        let Some(running) = running.filter(|running| running.phase == Phase::Reading) else {
            return;
        };
        let Some(page) = page.filter(|_| !rest) else {
            running.phase = Phase::Waiting;
            return;
        };
        running.phase = Phase::Writing;
        let mut replay = running.replay.clone();
        let found = page.rows.len();
        // nothing is ever sent to an endpoint that is removed
        let mut rows = page.rows;
        rows.retain(|delivery| {
            self.lanes.get(&delivery.endpoint).is_some_and(|lane| lane.removal.is_none())
        });
        replay.counts.expired += page.expired;
        replay.counts.skipped += u64::try_from(found - rows.len()).unwrap_or(0);
        let gap = replay.rate.gap();
        let mut due = replay.next.max(now);
        let mut moves = Vec::with_capacity(rows.len());
        for delivery in rows {
            moves.push(ReplayMove { delivery, due });
            due = due + gap;
        }
        if !moves.is_empty() {
            replay.next = due;
        }
        match page.next {
            Some(cursor) => replay.cursor = Some(cursor),
            None => (replay.state, replay.ended) = (ReplayState::Done, Some(now)),
        }
        self.write_replay(now, replay, moves, Vec::new(), out);
    }

    fn write_replay(
        &mut self,
        now: Time,
        replay: Replay,
        moves: Vec<ReplayMove>,
        callers: Vec<Caller>,
        out: &mut Vec<Effect>,
    ) {
        let step = Box::new(ReplayStep { replay, at: now, moves });
        let records = vec![Record::Replay(step.clone())];
        self.commit(records, Pending::Replay(Stepped { step, callers }), out);
    }

    /// A step is safe.
    pub(crate) fn stepped(
        &mut self,
        now: Time,
        stepped: Stepped,
        receipts: Vec<Receipt>,
        out: &mut Vec<Effect>,
    ) {
        let Stepped { step, callers } = stepped;
        let receipts = match receipts.into_iter().next() {
            Some(Receipt::Replayed(receipts)) => receipts,
            _ => Vec::new(),
        };
        let replay = step.counted(&receipts);
        let submitted = replay.counts.submitted - step.replay.counts.submitted;
        if submitted > 0 {
            out.push(Effect::Publish(Notice::Replay(ReplayNotice::Stepped(submitted))));
        }
        for (each, receipt) in step.moves.iter().zip(receipts) {
            // what it did not do was counted
            let _ = self.moved(each.delivery, receipt);
        }
        let begun = replay.cursor.is_none() && replay.is_running() && !callers.is_empty();
        let reply = Reply::Replay(Box::new(replay.clone()));
        let replies = callers.into_iter().map(|caller| (caller, reply.clone()));
        out.extend(replies.map(|(caller, reply)| Effect::Reply { caller, reply }));
        let id = replay.id;
        if replay.is_running() {
            if begun {
                let replay = Box::new(replay.clone());
                out.push(Effect::Publish(Notice::Replay(ReplayNotice::Started(replay))));
            }
            if let Some(running) = self.replays.running.get_mut(&id) {
                (running.replay, running.phase) = (replay, Phase::Waiting);
            }
            self.end_cancelled(now, id, out);
            return;
        }
        if let Some(Running { cancel, .. }) = self.replays.running.remove(&id) {
            let late = cancel.into_iter().filter_map(|(caller, _)| caller);
            let reply = |caller| Effect::Reply { caller, reply: Reply::NoSuchReplay };
            out.extend(late.map(reply));
        }
        let ended = ReplayNotice::Ended(Box::new(replay));
        out.push(Effect::Publish(Notice::Replay(ended)));
    }
}
