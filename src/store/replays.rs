//! Replays and standing holds, as readers see them.

use bytes::Bytes;

use crate::model::Replay;
use crate::model::ReplayId;
use crate::model::StandingHold;
use crate::store::key::Key;
use crate::store::layout;
use crate::store::packed::ReadError;
use crate::store::read::Reader;
use crate::store::scan;

impl Reader {
    /// All replays that are remembered, the oldest first.
    ///
    /// # Errors
    /// [`ReadError`] names what cannot be read.
    pub fn replays(&self) -> Result<Vec<Replay>, ReadError> {
        let row = |(key, raw): (Key, Bytes)| layout::decode(&key, &raw);
        self.all(&layout::REPLAYS)?.into_iter().map(row).collect()
    }

    /// The holds that stand, the oldest first.
    ///
    /// # Errors
    /// [`ReadError`] names what cannot be read.
    pub fn holds(&self) -> Result<Vec<StandingHold>, ReadError> {
        let row = |(key, raw): (Key, Bytes)| layout::decode(&key, &raw);
        self.all(&layout::HOLDS)?.into_iter().map(row).collect()
    }

    /// A replay.
    ///
    /// # Errors
    /// [`ReadError`] names what cannot be read.
    pub fn replay(&self, id: ReplayId) -> Result<Option<Replay>, ReadError> {
        let key = layout::replay_key(id);
        let Some(raw) = scan::get(&self.tree, &layout::REPLAYS, &key)? else { return Ok(None) };
        layout::decode(&key, &raw).map(Some)
    }
}
