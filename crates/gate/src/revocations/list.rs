//! A list of revocations for fast lookup, in which a few can be changed without copying all of them.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;

use session::UnixTime;

use super::{Revocation, Revoked, RevokedBy};

/// A list of revocations for fast lookup. Clones share the parts that are not changed afterwards.
#[derive(Clone, Debug, Default)]
pub struct RevocationList {
    all: Option<CutOff>,
    users: SharedMap<CutOff>,
    /// Until when each session is revoked, by id.
    sessions: SharedMap<UnixTime>,
}

/// A revocation of everything issued before a time, and until when it has an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct CutOff {
    before: UnixTime,
    until: UnixTime,
}

/// Values by id, in parts. Clones share a part until one of them changes it.
#[derive(Clone, Debug)]
struct SharedMap<V> {
    /// [`PARTS`] parts, or none while the list is empty.
    parts: Box<[Arc<MapPart<V>>]>,
    count: usize,
    hasher: std::hash::RandomState,
}

type MapPart<V> = HashMap<Box<str>, V>;

impl RevocationList {
    /// Whether nothing is revoked.
    pub fn is_empty(&self) -> bool {
        self.all.is_none() && self.users.count == 0 && self.sessions.count == 0
    }

    /// Sets the only revocation of `what`, or removes it.
    pub(super) fn set(&mut self, what: &Revoked, revocation: Option<&Revocation>) {
        let cut = revocation.map(CutOff::of);
        match what {
            Revoked::All => self.all = cut,
            Revoked::Session(id) => self.sessions.set(id, cut.map(|cut| cut.until)),
            Revoked::User(id) => self.users.set(id, cut),
        }
    }

    pub(super) fn revokes(
        &self,
        user: &str,
        id: &str,
        issued_at: impl Fn() -> Option<UnixTime>,
        now: UnixTime,
    ) -> Option<RevokedBy> {
        if self.sessions.get(id).is_some_and(|until| now < *until) {
            return Some(RevokedBy::Session);
        }
        let of_user = self.users.get(user);
        let of_user = of_user.and_then(|cut| cut.applies(issued_at(), now));
        let of_all = || self.all.and_then(|cut| cut.applies(issued_at(), now));
        let of_user = of_user.map(RevokedBy::User);
        of_user.or_else(|| of_all().map(RevokedBy::All))
    }
}

impl FromIterator<Revocation> for RevocationList {
    /// Makes a list. If the same thing is revoked more than once, the latest time and the longest duration apply.
    fn from_iter<I: IntoIterator<Item = Revocation>>(revocations: I) -> Self {
        let mut list = Self::default();
        for revocation in revocations {
            let cut = CutOff::of(&revocation);
            match revocation.what {
                Revoked::All => list.all = Some(list.all.map_or(cut, |known| known.merge(cut))),
                Revoked::Session(id) => {
                    let known = list.sessions.get(&id).copied();
                    let until = known.map_or(cut.until, |known| known.max(cut.until));
                    list.sessions.set(&id, Some(until));
                }
                Revoked::User(id) => {
                    let known = list.users.get(&id).copied();
                    list.users
                        .set(&id, Some(known.map_or(cut, |known| known.merge(cut))));
                }
            }
        }
        list
    }
}

impl CutOff {
    fn of(revocation: &Revocation) -> Self {
        Self {
            before: revocation.before,
            until: revocation.until,
        }
    }

    /// Returns the revocation that covers both.
    fn merge(self, other: Self) -> Self {
        Self {
            before: self.before.max(other.before),
            until: self.until.max(other.until),
        }
    }

    /// Returns the time before which everything is revoked, if a session issued at `issued_at` is affected.
    fn applies(self, issued_at: Option<UnixTime>, now: UnixTime) -> Option<UnixTime> {
        // A session without a time of issue may have been issued before.
        let is_early = issued_at.is_none_or(|issued_at| issued_at < self.before);
        (is_early && now < self.until).then_some(self.before)
    }
}

impl<V> Default for SharedMap<V> {
    fn default() -> Self {
        Self {
            parts: Box::default(),
            count: 0,
            hasher: std::hash::RandomState::new(),
        }
    }
}

impl<V: Clone> SharedMap<V> {
    fn get(&self, id: &str) -> Option<&V> {
        if self.count == 0 {
            return None;
        }
        self.parts[self.part_of(id)].get(id)
    }

    /// Sets or removes a value. Copies its part if a clone shares it.
    fn set(&mut self, id: &str, value: Option<V>) {
        if self.parts.is_empty() {
            self.parts = (0..PARTS).map(|_| Arc::default()).collect();
        }
        let part = self.part_of(id);
        let part = Arc::make_mut(&mut self.parts[part]);
        let before = part.len();
        match value {
            Some(value) => part.insert(id.into(), value),
            None => part.remove(id),
        };
        self.count = self.count + part.len() - before;
    }

    fn part_of(&self, id: &str) -> usize {
        let hash = self.hasher.hash_one(id).to_le_bytes();
        usize::from(hash[0]) % PARTS
    }
}

/// The number of parts. A change copies this many references, and one part: about 400 of 100,000 revocations.
const PARTS: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_900_000_000);

    #[test]
    fn changing_a_clone_leaves_the_original() {
        let revoke = |what: &Revoked| Revocation {
            what: what.clone(),
            before: NOW,
            until: UnixTime::from_secs(NOW.secs() + 60),
        };
        let by = |list: &RevocationList| list.revokes("ada", "s", || None, NOW);
        for what in [
            Revoked::All,
            Revoked::Session("s".into()),
            Revoked::User("ada".into()),
        ] {
            let none = RevocationList::default();
            let mut some = none.clone();
            some.set(&what, Some(&revoke(&what)));
            some.set(&what, Some(&revoke(&what)));
            let mut again = some.clone();
            again.set(&what, None);
            again.set(&what, None);
            let found = [&none, &some, &again].map(|list| (by(list).is_some(), list.is_empty()));
            assert_eq!(found, [(false, true), (true, false), (false, true)]);
        }
    }
}
