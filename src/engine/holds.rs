//! Standing holds: events that they cover are put aside on arrival.
//!
//! A hold counts from the moment that it is asked for until the moment that it is lifted. The
//! commit of either goes out then, so that the store has it between the same events as the engine,
//! also after a crash. What was admitted before a hold is put aside by the replay that it came
//! with, and what was admitted under it is let go by the replay that lifts it. Of the two, the one
//! that still runs ends when the other begins.

use crate::engine::Engine;
use crate::engine::Pending;
use crate::engine::replay::words::NewReplay;
use crate::engine::words::Effect;
use crate::engine::words::Notice;
use crate::model::EndpointNo;
use crate::model::EventType;
use crate::model::Record;
use crate::model::Replay;
use crate::model::ReplayAction;
use crate::model::ReplayFilter;
use crate::model::ReplayId;
use crate::model::StandingHold;
use crate::model::Time;
use crate::model::TypeGlob;
use crate::model::hold::HOLDS_MAX;
use crate::policy::routing;

impl Engine {
    /// The holds that stand.
    pub fn holds(&self) -> &[StandingHold] {
        &self.holds
    }

    /// Those of these targets at which an event of this type is put aside.
    pub(crate) fn held(&self, event_type: &EventType, targets: &[EndpointNo]) -> Vec<EndpointNo> {
        let covering: Vec<_> =
            self.holds.iter().filter(|hold| routing::covers(&hold.types, event_type)).collect();
        let held = |no: &EndpointNo| {
            covering.iter().any(|hold| hold.endpoint.is_none_or(|only| only == *no))
        };
        targets.iter().copied().filter(held).collect()
    }

    /// The place of the hold that a replay's filter names, if it stands.
    fn hold_of(&self, new: &NewReplay) -> Option<usize> {
        self.holds.iter().position(|hold| stands_for(hold, &new.filter))
    }

    /// Whether a replay asks for one more hold than there may be.
    pub(crate) fn has_no_room_to_hold(&self, new: &NewReplay) -> bool {
        new.standing && self.holds.len() >= HOLDS_MAX && self.hold_of(new).is_none()
    }

    /// Whether a replay comes with a hold that does not stand yet, or lifts one.
    pub(crate) fn holds_or_lifts(&self, new: &NewReplay) -> bool {
        let stands = self.hold_of(new).is_some();
        if stands { new.action == ReplayAction::Release } else { new.standing }
    }

    /// A replay begins that may come with a hold, or lift one.
    pub(crate) fn hold_or_lift(
        &mut self,
        now: Time,
        id: ReplayId,
        actor: &str,
        new: &NewReplay,
        out: &mut Vec<Effect>,
    ) {
        let stands = self.hold_of(new);
        match (new.action, &new.filter.types, stands) {
            (ReplayAction::Hold, Some(types), None) if new.standing => {
                let (types, endpoint) = (types.clone(), new.filter.endpoint);
                let is_gone = |no| self.lanes.get(&no).is_none_or(|lane| lane.removal.is_some());
                if endpoint.is_some_and(is_gone) {
                    return;
                }
                let opposed = |replay: &Replay| lets_go(replay, &types, endpoint);
                self.end_replays(now, actor, opposed, out);
                let hold =
                    StandingHold { id, types, endpoint, since: now, actor: actor.to_owned() };
                self.holds.push(hold.clone());
                let records = vec![Record::Hold(Box::new(hold.clone()))];
                self.commit(records, Pending::Hold { hold, lifted_by: None }, out);
            }
            (ReplayAction::Release, _, Some(place)) => self.lift(now, place, actor, out),
            _ => {}
        }
    }

    /// An endpoint is gone: nothing is held for it.
    pub(crate) fn lift_all_of(&mut self, now: Time, no: EndpointNo, out: &mut Vec<Effect>) {
        while let Some(place) = self.holds.iter().position(|hold| hold.endpoint == Some(no)) {
            self.lift(now, place, "postrider", out);
        }
    }

    fn lift(&mut self, now: Time, place: usize, actor: &str, out: &mut Vec<Effect>) {
        let hold = self.holds.remove(place);
        // what still puts aside for it would do so behind whoever lets go
        self.end_replays(now, actor, |replay| replay.id == hold.id, out);
        let lifted_by = Some(actor.to_owned());
        self.commit(vec![Record::Lift(hold.id)], Pending::Hold { hold, lifted_by }, out);
    }

    /// It is safe that a hold stands, or does no longer.
    pub(crate) fn hold_is_safe(
        hold: StandingHold,
        lifted_by: Option<String>,
        out: &mut Vec<Effect>,
    ) {
        out.push(Effect::Publish(Notice::Hold { hold: Box::new(hold), lifted_by }));
    }
}

/// Whether a replay lets go what a hold of these types is to put aside.
fn lets_go(replay: &Replay, types: &TypeGlob, endpoint: Option<EndpointNo>) -> bool {
    let ReplayFilter { types: theirs, endpoint: only, .. } = &replay.filter;
    replay.action == ReplayAction::Release
        && theirs.as_ref().is_none_or(|theirs| routing::meet(theirs, types))
        && only.zip(endpoint).is_none_or(|(one, other)| one == other)
}

/// Whether a filter says what a hold says, and nothing else.
pub fn stands_for(hold: &StandingHold, filter: &ReplayFilter) -> bool {
    let types = Some(hold.types.clone());
    let same = ReplayFilter { types, endpoint: hold.endpoint, ..ReplayFilter::default() };
    *filter == same
}
