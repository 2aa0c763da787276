//! The records that were written last, in memory: what was just made is asked for next, as when a payment request is paid.
//!
//! Exact, not approximate: only the writer puts records in, after the commit and before anybody is answered. Bounded: when
//! the newer of two generations is full, the older one is forgotten. What is not here is read from the file.

use std::sync::{Arc, PoisonError, RwLock};

use crate::ledger::{IdMap, Record, RecordKey};

/// The records of one generation: of two, some 10 MiB.
const CAPACITY: usize = 8_192;

/// The records. Shared by the writer and the door.
#[derive(Debug, Default)]
pub(super) struct Fresh {
    generations: RwLock<Generations>,
}

#[derive(Debug, Default)]
struct Generations {
    newer: IdMap<RecordKey, Arc<Record>>,
    /// Where both have a record, the newer one is right.
    older: IdMap<RecordKey, Arc<Record>>,
}

impl Fresh {
    /// The record with that key. Where there is none here, there may be one in the file.
    pub(super) fn get(&self, key: &RecordKey) -> Option<Arc<Record>> {
        let generations = self.generations.read().unwrap_or_else(PoisonError::into_inner);
        generations.newer.get(key).or_else(|| generations.older.get(key)).cloned()
    }

    /// Forgets records that were taken away, and takes in those that were written.
    pub(super) fn replace<'a>(
        &self,
        removed: impl Iterator<Item = &'a RecordKey>,
        written: impl Iterator<Item = &'a Arc<Record>>,
    ) {
        let mut generations = self.generations.write().unwrap_or_else(PoisonError::into_inner);
        for key in removed {
            generations.newer.remove(key);
            generations.older.remove(key);
        }
        for record in written {
            if generations.newer.len() >= CAPACITY {
                generations.older = std::mem::take(&mut generations.newer);
            }
            generations.newer.insert(record.key, Arc::clone(record));
        }
    }

    /// Forgets everything, as after a fault.
    pub(super) fn clear(&self) {
        *self.generations.write().unwrap_or_else(PoisonError::into_inner) = Generations::default();
    }
}
