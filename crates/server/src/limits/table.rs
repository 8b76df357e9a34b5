//! The counts of recent clients, in a table of fixed size.
//!
//! The table neither grows nor has to be swept: a key has only a few places, and if all are taken it replaces the key that
//! has recovered most of its limit. So what matters least is forgotten first. An attacker with more addresses than there are
//! places cannot be limited by address anyway.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::clock;

/// The recent keys of all limits. Eight keys share a lock.
#[derive(Debug)]
pub(crate) struct Table {
    sets: Box<[Mutex<Set>]>,
    /// Keyed at random, so that no client can aim at the places of another.
    hasher: RandomState,
    epoch: Instant,
}

/// The entries of keys whose hashes have the same remainder modulo the number of sets.
type Set = [TableEntry; WAYS];

#[derive(Clone, Copy, Debug, Default)]
struct TableEntry {
    /// The key's hash. Two of 65,536 collide in one of eight billion tables. Zero in an empty entry.
    key: u64,
    /// When the key has its whole limit back ("theoretical arrival time"), in nanoseconds since the epoch.
    full_at: u64,
}

impl Table {
    /// An empty table.
    pub(crate) fn new() -> Self {
        let sets = (0..SETS).map(|_| Mutex::default());
        Self {
            sets: sets.collect(),
            hasher: RandomState::new(),
            epoch: clock::monotonic(),
        }
    }

    /// The hash of a key.
    pub(super) fn hash(&self, key: impl Hash) -> u64 {
        self.hasher.hash_one(key).max(1)
    }

    /// Now, in nanoseconds since the table was made.
    pub(super) fn now(&self) -> u64 {
        let age = clock::monotonic().saturating_duration_since(self.epoch);
        u64::try_from(age.as_nanos()).unwrap_or(u64::MAX)
    }

    /// Replaces the time at which a key has its whole limit back by the result of `next`, unless that is an error. `next`
    /// gets `None` for an unknown key.
    pub(super) fn replace<T, E>(
        &self,
        key: u64,
        next: impl FnOnce(Option<u64>) -> Result<(T, u64), E>,
    ) -> Result<T, E> {
        let mut set = self.set(key).lock().unwrap_or_else(PoisonError::into_inner);
        let known = set.iter().position(|entry| entry.key == key);
        let (given, full_at) = next(known.map(|place| set[place].full_at))?;
        let place = known.unwrap_or_else(|| least(&set));
        set[place] = TableEntry { key, full_at };
        Ok(given)
    }

    /// Lets a known key have its whole limit back earlier by `nanos`.
    pub(super) fn give_back(&self, key: u64, nanos: u64) {
        let mut set = self.set(key).lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = set.iter_mut().find(|entry| entry.key == key) {
            entry.full_at = entry.full_at.saturating_sub(nanos);
        }
    }

    fn set(&self, key: u64) -> &Mutex<Set> {
        let sets = self.sets.len() as u64;
        &self.sets[usize::try_from(key % sets).unwrap_or_default()]
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        let taken = |set: &Mutex<Set>| {
            let set = set.lock().unwrap();
            set.iter().filter(|entry| entry.key != 0).count()
        };
        self.sets.iter().map(taken).sum()
    }
}

/// The place of the key that has recovered most of its limit. An empty place is taken for a key that has recovered all of it.
fn least(set: &Set) -> usize {
    let places = set.iter().enumerate();
    let least = places.min_by_key(|(_, entry)| entry.full_at);
    least.map_or(0, |(place, _)| place)
}

/// Keys in a set: 128 bytes of entries.
const WAYS: usize = 8;

/// Room for 65,536 keys in about a megabyte.
const SETS: usize = 8192;

#[cfg(test)]
mod tests {
    use super::*;

    fn put(table: &Table, key: u64, full_at: u64) -> Option<u64> {
        let put = table.replace(key, |known| Ok::<_, ()>((known, full_at)));
        put.unwrap()
    }

    #[test]
    fn key_that_has_recovered_most_is_evicted_first() {
        let table = Table::new();
        let sets = SETS as u64;
        for key in 1..=8 {
            assert_eq!(put(&table, key * sets, 100 + key), None);
        }
        assert_eq!(put(&table, sets, 101), Some(101));
        // The ninth takes the place of the first, which has recovered most of its limit.
        assert_eq!(put(&table, 9 * sets, 200), None);
        assert_eq!(put(&table, 2 * sets, 102), Some(102));
        assert_eq!(put(&table, sets, 300), None, "it is forgotten");
        assert_eq!(put(&table, 9 * sets, 200), Some(200));
    }

    #[test]
    fn memory_does_not_grow_with_the_number_of_keys() {
        let table = Table::new();
        for number in 0..1_000_000_u32 {
            put(&table, table.hash(number), 1);
        }
        assert!(table.len() <= SETS * WAYS);
        assert!(table.len() > SETS * WAYS * 99 / 100, "{}", table.len());
    }

    #[test]
    fn refused_request_changes_nothing_and_given_back_count_is_available() {
        let table = Table::new();
        put(&table, 7, 100);
        let refused = table.replace(7, |_| Err::<((), u64), _>("no"));
        assert_eq!(refused, Err("no"));
        table.give_back(7, 30);
        table.give_back(8, 30);
        assert_eq!(put(&table, 7, 0), Some(70));
        table.give_back(7, 30);
        assert_eq!(put(&table, 7, 1), Some(0));
        assert_eq!(put(&table, 8, 1), None);
    }
}
