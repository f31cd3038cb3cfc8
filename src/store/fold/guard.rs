//! The guard before a batch that is admitted as a whole.

use std::collections::BTreeMap;

use crate::model::KeyRef;
use crate::model::Receipt;
use crate::model::Time;
use crate::store::batches::Batches;
use crate::store::batches::CommitError;
use crate::store::fold::admit::known;

/// Answers whether each of these keys is new or belongs to the same request as before, in the
/// store and among themselves. Changes nothing.
pub(super) fn apply(
    batches: &mut Batches,
    keys: &[KeyRef],
    since: Time,
) -> Result<Receipt, CommitError> {
    let mut seen = BTreeMap::new();
    for (index, key) in (0..).zip(keys) {
        if let Some((first, fingerprint)) = known(batches, key.hash, since)?
            && fingerprint != key.fingerprint
        {
            return Ok(Receipt::Conflict { index, first: Some(first) });
        }
        if *seen.entry(key.hash).or_insert(key.fingerprint) != key.fingerprint {
            return Ok(Receipt::Conflict { index, first: None });
        }
    }
    Ok(Receipt::Applied)
}
