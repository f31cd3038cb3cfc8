//! Deliveries that are duplicates: of a key, one goes out in a window.
//!
//! Each key that is still in its window has a row that says which event went out, and a second one
//! in the order of time, by which the sweeps find what is over.

use bytes::Bytes;

use crate::model::Dedupe;
use crate::model::EventId;
use crate::model::Seen;
use crate::model::Time;
use crate::store::batches::Batches;
use crate::store::layout;
use crate::store::packed::Hole;
use crate::store::packed::ReadError;
use crate::store::packed::Sight;
use crate::store::packed::Table;

/// Page operations of judging one delivery, at most: both rows may split their pages, and the
/// second one of the window before goes; or its step; and a page that cannot be read goes.
pub(super) const DEDUPE_OPERATIONS_MAX: usize = 7;
/// Page operations of a row that goes.
pub(super) const FORGET_OPERATIONS_MAX: usize = 2;

/// What is known of a key. A page of these that cannot be read is not worth stopping for: it goes,
/// and what was in it may go out once more.
pub(super) fn seen(batches: &mut Batches, dedupe: &Dedupe) -> Result<Option<Seen>, ReadError> {
    let at = layout::seen_key(dedupe.endpoint, dedupe.key);
    match batches.packed.see_from(&layout::SEEN, &at)? {
        Sight::Entry(key, raw) if key == at => {
            let entry = layout::decode(&at, &raw);
            batches.sound(EventId::MIN, entry)
        }
        Sight::Hole(hole) => {
            drop_hole(batches, &layout::SEEN, hole)?;
            Ok(None)
        }
        Sight::Entry(..) | Sight::Nothing => Ok(None),
    }
}

/// The event that a delivery is a duplicate of, if it is one, where this is known of its key.
pub(super) fn first_of(
    seen: Option<&Seen>,
    event: EventId,
    dedupe: &Dedupe,
    now: Time,
) -> Option<EventId> {
    let seen = seen.filter(|seen| seen.event != event);
    seen.filter(|seen| seen.covers(now, dedupe.window)).map(|seen| seen.event)
}

/// A delivery goes out, and later ones of its key do not, until its window ends. `before` is what
/// was known of the key.
pub(super) fn remember(
    batches: &mut Batches,
    before: Option<&Seen>,
    event: EventId,
    dedupe: &Dedupe,
    now: Time,
) -> Result<(), ReadError> {
    let (no, key) = (dedupe.endpoint, dedupe.key);
    if let Some(before) = before {
        batches.packed.remove(&layout::FADES, &layout::fades_key(before.until, no, key))?;
    }
    let seen = Seen { event, admitted: now, until: now + dedupe.window };
    let value = Bytes::from(layout::encode(&seen));
    batches.packed.insert(&layout::SEEN, layout::seen_key(no, key), value)?;
    let nothing = Bytes::from(layout::encode(&()));
    batches.packed.insert(&layout::FADES, layout::fades_key(seen.until, no, key), nothing)
}

/// Forgets a key whose window has ended, the one that ended first. Says whether there was one.
///
/// # Errors
/// [`ReadError::Io`]; damage is noted, and taken away.
pub(super) fn forget_one(batches: &mut Batches, now: Time) -> Result<bool, ReadError> {
    let row = match batches.packed.see_from(&layout::FADES, &layout::FADES.key(&[]))? {
        Sight::Nothing => return Ok(false),
        Sight::Entry(row, _) => row,
        Sight::Hole(hole) => {
            drop_hole(batches, &layout::FADES, hole)?;
            return Ok(true);
        }
    };
    let fades = layout::fades_of(&row);
    if fades.is_some_and(|(until, ..)| until > now) {
        return Ok(false);
    }
    batches.packed.remove(&layout::FADES, &row)?;
    if let Some((_, no, key)) = fades {
        let seen = batches.packed.remove(&layout::SEEN, &layout::seen_key(no, key));
        batches.sound(EventId::MIN, seen)?;
    }
    Ok(true)
}

/// Takes a page away that cannot be read, and notes that.
fn drop_hole(batches: &mut Batches, table: &Table, hole: Hole) -> Result<(), ReadError> {
    batches.pass_by(EventId::MIN, &ReadError::Page { key: hole.base, fault: hole.fault });
    batches.packed.discard(table, hole.base)
}

#[cfg(test)]
mod tests;
