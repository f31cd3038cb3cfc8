//! Ids in paths: whole, or the beginning of one where only one thing begins so.

use std::future::Future;
use std::str::FromStr;

use crate::admin::backend::Answer;
use crate::admin::backend::Backend;
use crate::admin::refusal::Refusal;
use crate::model::Code;
use crate::model::DeliveryId;
use crate::model::EventId;
use crate::model::ReplayId;
use crate::model::id::IdError;

/// The shortest beginning of an id that is looked up, in characters after the underscore.
const ID_CHARS_MIN: usize = 8;

/// Ids that may be abbreviated.
pub(super) trait Abbreviated: Copy + FromStr + Send + Sync {
    /// What they are ids of.
    const WHAT: &'static str;

    /// The ids whose text begins so.
    fn range_of_prefix(text: &str) -> Result<(Self, Self), IdError>;

    /// The first two of them, at most, that there are.
    fn between<B: Backend>(
        backend: &B,
        low: Self,
        high: Self,
    ) -> impl Future<Output = Answer<Vec<Self>>> + Send;
}

macro_rules! abbreviated {
    ($($id:ident is $what:literal, found by $between:ident;)*) => {
        $(impl Abbreviated for $id {
            const WHAT: &'static str = $what;

            fn range_of_prefix(text: &str) -> Result<($id, $id), IdError> {
                $id::range_of_prefix(text)
            }

            fn between<B: Backend>(
                backend: &B,
                low: $id,
                high: $id,
            ) -> impl Future<Output = Answer<Vec<$id>>> + Send {
                backend.$between(low, high)
            }
        })*
    };
}

abbreviated! {
    EventId is "event", found by events_between;
    DeliveryId is "delivery", found by deliveries_between;
    ReplayId is "replay", found by replays_between;
}

/// The id that a text stands for.
///
/// # Errors
/// A refusal if it is no id, too short to look for, or not that of exactly one thing.
pub(super) async fn find<B: Backend, Id: Abbreviated>(
    backend: &B,
    text: &str,
) -> Result<Id, Refusal> {
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    let what = Id::WHAT;
    let not_found = |detail: String| Err(Refusal::new(Code::NotFound, detail));
    let chars = text.split_once('_').map_or(text, |(_, chars)| chars);
    if chars.len() < ID_CHARS_MIN {
        return not_found(format!(
            "give the {what}'s id, or at least its first {ID_CHARS_MIN} characters"
        ));
    }
    let Ok((low, high)) = Id::range_of_prefix(text) else {
        return not_found(format!("this is not the id of any {what}"));
    };
    match *Id::between(backend, low, high).await? {
        [] => not_found(format!("no {what} has an id that begins so")),
        [only] => Ok(only),
        _ => Err(Refusal::new(Code::Ambiguous, "give more characters of the id")),
    }
}
