//! Batches that are admitted as a whole: before their records stands a guard, and if the store
//! finds that one of their keys belongs to another request, nothing of the commit is applied.

use crate::engine::Engine;
use crate::engine::admit::Admission;
use crate::engine::admit::Item;
use crate::engine::words::Effect;
use crate::engine::words::Refusal;
use crate::engine::words::Reply;
use crate::model::DeliveryId;
use crate::model::EventId;
use crate::model::Record;

/// The guard before these records; `None` where there is nothing to guard.
pub(crate) fn guard(records: &[Record]) -> Option<Record> {
    let admits = records.iter().filter_map(|record| match record {
        Record::Admit(admit) => Some(admit),
        _ => None,
    });
    let since = admits.clone().next()?.keys_since;
    let keys: Vec<_> = admits.filter_map(|admit| admit.key).collect();
    (records.len() > 1 && !keys.is_empty()).then_some(Record::Guard { keys, since })
}

impl Engine {
    /// The key with this number in a batch belongs to another request: to an earlier event, or to
    /// another event of the batch.
    pub(crate) fn batch_refused(
        &mut self,
        admission: Admission,
        key: usize,
        first: Option<EventId>,
        out: &mut Vec<Effect>,
    ) {
        let mut keys = 0;
        let mut answers = Vec::with_capacity(admission.items.len());
        for item in admission.items {
            let Item::Written { event, started, keyed } = item else { continue };
            let promised = u64::try_from(event.targets.len()).unwrap_or(u64::MAX);
            self.promised = self.promised.saturating_sub(promised);
            for no in started {
                self.land(DeliveryId::new(event.id, no), out);
            }
            let is_it = keyed && keys == key;
            keys += usize::from(keyed);
            answers.push(Err(match first {
                _ if !is_it => Refusal::WithOthers,
                Some(first) => Refusal::KeyReused(first),
                None => Refusal::KeyTwice,
            }));
        }
        if let Some(caller) = admission.caller {
            out.push(Effect::Reply { caller, reply: Reply::Submitted(answers) });
        }
    }
}
