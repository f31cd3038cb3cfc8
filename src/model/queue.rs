//! What waits, by endpoint and age: the JSON of `GET /v1/queue`. Field names only ever grow.

use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::model::time::Time;

/// The ages that deliveries are sorted by, in seconds: each counts those up to it, beyond the one
/// before.
pub const AGES_S: [u64; 8] = [5, 20, 60, 300, 1_200, 3_600, 18_000, 86_400];

/// What waits for all endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueView {
    /// When it was counted; at most a minute ago.
    pub counted_at: Time,
    /// The upper ends of the ages, in seconds.
    pub ages_s: Vec<u64>,
    /// The endpoints, the one with the most first.
    pub endpoints: Vec<QueueRow>,
}

/// What waits for one endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueRow {
    /// Its name.
    pub endpoint: String,
    /// Deliveries that wait, for whatever reason; those under way are not among them.
    pub total: u64,
    /// How many of them are how old, since their event was admitted: one number for each of
    /// `ages_s`, then those that are older.
    pub ages: Vec<u64>,
    /// How many of them were not looked at, since there are so many.
    pub uncounted: u64,
}

impl QueueRow {
    /// Of an endpoint for which nothing was counted yet.
    pub fn of(endpoint: String) -> QueueRow {
        QueueRow { endpoint, ages: vec![0; AGES_S.len() + 1], ..QueueRow::default() }
    }

    /// Counts one delivery of this age.
    pub fn count(&mut self, age: Duration) {
        let place = AGES_S.iter().take_while(|end| age > Duration::from_secs(**end)).count();
        if let Some(ages) = self.ages.get_mut(place) {
            *ages += 1;
        }
    }

    /// How many were counted.
    pub fn counted(&self) -> u64 {
        self.ages.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_counts_in_one_place_and_its_end_belongs_to_it() {
        let mut row = QueueRow::of("crm".to_owned());
        for millis in [0, 5_000, 5_001, 60_000, 86_400_000, 86_400_001, 900_000_000] {
            row.count(Duration::from_millis(millis));
        }
        assert_eq!(row.ages, [2, 1, 1, 0, 0, 0, 0, 1, 2]);
        assert_eq!(row.counted(), 7);
    }
}
