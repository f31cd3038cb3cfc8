//! Requests that have proved themselves and could do so again, because their time still fits.
//!
//! What one of them is known by may stand where it is not signed. So the first one's stays with
//! what was signed, for as long as that could be played back: whoever plays it back, whatever else
//! the request says, gets the first answer. After a start this begins anew; what is known by what
//! is signed does not depend on it.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use crate::model::IdempotencyKey;
use crate::model::Time;

/// Proofs that are remembered at most; beyond, the oldest are forgotten.
const PROOFS_MAX: usize = 65_536;

/// A source, and what was signed.
type Proof = (Arc<str>, [u8; 32]);

/// What was proved of late, and by what each request was known.
#[derive(Debug, Default)]
pub(in crate::intake) struct Proofs(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    keys: HashMap<Proof, IdempotencyKey>,
    /// Until when, in the order in which they came.
    until: VecDeque<(Time, Proof)>,
}

impl Proofs {
    /// What the request is known by: by what it was when this was proved first.
    pub(super) fn first_of(
        &self,
        proof: Proof,
        key: IdempotencyKey,
        now: Time,
        lasts: Duration,
    ) -> IdempotencyKey {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((until, _)) = known.until.front()
            && (*until < now || known.until.len() >= PROOFS_MAX)
        {
            if let Some((_, old)) = known.until.pop_front() {
                known.keys.remove(&old);
            }
        }
        if let Some(first) = known.keys.get(&proof) {
            return first.clone();
        }
        known.until.push_back((now + lasts, proof.clone()));
        known.keys.insert(proof, key.clone());
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_played_back_is_known_by_what_it_was() {
        let (proofs, lasts) = (Proofs::default(), Duration::from_secs(600));
        let ask = |source: &str, hash: u8, key: &str, at: u64| {
            let proof = (source.into(), [hash; 32]);
            let key = proofs.first_of(proof, key.parse().unwrap(), Time::from_secs(at), lasts);
            key.as_str().to_owned()
        };
        assert_eq!(ask("a", 1, "id:1", 1_000), "id:1");
        assert_eq!(ask("a", 1, "id:2", 1_300), "id:1", "whatever else it says");
        assert_eq!(ask("a", 2, "id:2", 1_300), "id:2", "something else was signed");
        assert_eq!(ask("b", 1, "id:3", 1_300), "id:3", "by somebody else");
        assert_eq!(ask("a", 1, "id:4", 1_601), "id:4", "its time does not fit any more");
        for number in 0..u64::try_from(PROOFS_MAX).unwrap() {
            let mut hash = [9; 32];
            hash[..8].copy_from_slice(&number.to_be_bytes());
            let key = "id:n".parse().unwrap();
            proofs.first_of(("c".into(), hash), key, Time::from_secs(1_602), lasts);
        }
        assert!(proofs.0.lock().unwrap().keys.len() <= PROOFS_MAX);
        let known = proofs.0.lock().unwrap();
        assert_eq!(known.keys.len(), known.until.len());
    }
}
