//! The revocations that are known, by realm, and what is new in a list that was just read.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use gate::{Revocation, RevocationVerdict, Revocations, StoreError};
use session::UnixTime;

use super::line::Change;
use crate::leases::Holder;
use stores::RevocationEntry;

/// What each realm's decisions look at.
#[derive(Clone, Debug, Default)]
pub(super) struct Realms(HashMap<String, Arc<Revocations>>);

/// What was read last, and who looks at it.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) realms: Realms,
    /// What was read last, in the order of what they are about; `None` before the first time.
    last: Option<Vec<RevocationEntry>>,
    /// Why that does not count, or there is none; `None` while it counts.
    why_unknown: Option<StoreError>,
}

impl Realms {
    /// Whether what this holder has entered by was revoked.
    pub(super) fn revoke(&self, holder: &Holder, now: UnixTime) -> bool {
        let Holder {
            realm,
            user,
            session,
            issued_at,
        } = holder;
        self.0.get(&**realm).is_some_and(|revocations| {
            let verdict = revocations.verdict_of(user, session, *issued_at, now);
            matches!(verdict, RevocationVerdict::Revoked(_))
        })
    }
}

impl Known {
    /// Nothing yet, for this reason.
    pub(super) fn nothing(why_unknown: StoreError) -> Self {
        Self {
            realms: Realms::default(),
            last: None,
            why_unknown: Some(why_unknown),
        }
    }

    /// What a realm's decisions look at, now and later.
    pub(super) fn of(&mut self, realm: &str) -> Arc<Revocations> {
        if let Some(known) = self.realms.0.get(realm) {
            return Arc::clone(known);
        }
        let revocations = match &self.why_unknown {
            Some(why) => Revocations::unknown(why.clone()),
            None => Revocations::default(),
        };
        let revocations = Arc::new(revocations);
        if let Some(entries) = self.current() {
            revocations.replace(of_realm(entries, realm));
        }
        let realms = &mut self.realms.0;
        realms.insert(realm.to_owned(), Arc::clone(&revocations));
        revocations
    }

    /// How many there are; `None` while nobody knows.
    pub(super) fn count(&self) -> Option<usize> {
        self.current().map(<[_]>::len)
    }

    /// The list that counts.
    fn current(&self) -> Option<&[RevocationEntry]> {
        let last = self.last.as_deref();
        last.filter(|_| self.why_unknown.is_none())
    }

    /// Takes a list that was just read, in the order of what they are about. `None` when it is what was known; else what has
    /// changed since the last one, of which the first brings nothing new.
    pub(super) fn learn(
        &mut self,
        entries: Vec<RevocationEntry>,
        now: UnixTime,
    ) -> Option<Vec<Change>> {
        if self.current() == Some(&entries) {
            return None;
        }
        for (realm, revocations) in &self.realms.0 {
            revocations.replace(of_realm(&entries, realm));
        }
        let changes = self.last.as_ref().map(|last| changes(last, &entries, now));
        self.last = Some(entries);
        self.why_unknown = None;
        Some(changes.unwrap_or_default())
    }

    /// Forgets the list, which does not count any more or never did, for this reason.
    pub(super) fn forget(&mut self, why: StoreError) {
        for revocations in self.realms.0.values() {
            revocations.forget(why.clone());
        }
        self.why_unknown = Some(why);
    }
}

fn of_realm(entries: &[RevocationEntry], realm: &str) -> gate::RevocationList {
    let entries = entries.iter().filter(|entry| entry.realm == realm);
    let revocations = entries.map(|entry| -> Revocation { entry.revocation.clone() });
    revocations.collect()
}

/// What is in `new` and not in `old`, and the other way round, but for what has had its time. Both are in order.
fn changes(old: &[RevocationEntry], new: &[RevocationEntry], now: UnixTime) -> Vec<Change> {
    let mut changes = Vec::new();
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return changes,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(gone), Some(come)) => gone.place().cmp(&come.place()),
        };
        let gone = if order.is_le() { old.next() } else { None };
        let come = if order.is_ge() { new.next() } else { None };
        match (gone, come) {
            (Some(gone), None) if gone.revocation.until > now => {
                changes.push(Change::Removed(gone.clone()));
            }
            (gone, Some(come)) if gone != Some(come) => changes.push(Change::Added(come.clone())),
            (Some(_) | None, Some(_) | None) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use gate::{Revoked, Source};

    use super::*;

    fn entry(realm: &str, user: &str, until: u64) -> RevocationEntry {
        RevocationEntry {
            realm: realm.to_owned(),
            revocation: Revocation {
                what: Revoked::User(user.into()),
                before: UnixTime::from_secs(10),
                until: UnixTime::from_secs(until),
            },
            made: UnixTime::from_secs(10),
            by: "ops".to_owned(),
            source: "cli".to_owned(),
            reason: String::new(),
        }
    }

    fn nothing() -> Known {
        Known::nothing(StoreError::Failed {
            store: Source::Sqlite,
            detail: "not read yet".to_owned(),
        })
    }

    fn holder(realm: &str, user: &str) -> Holder {
        Holder {
            realm: realm.into(),
            user: user.into(),
            session: "s".into(),
            issued_at: None,
        }
    }

    #[test]
    fn realms_see_their_own_whenever_they_come() {
        let now = UnixTime::from_secs(20);
        let mut known = nothing();
        let early = known.of("a");
        let verdict = early.verdict_of("ada", "s", None, now);
        assert!(matches!(verdict, RevocationVerdict::Unknown(_)));
        assert_eq!(known.learn(vec![entry("a", "ada", 99)], now), Some(vec![]));
        known.of("b");
        let is_revoked = |known: &Known, realm| known.realms.revoke(&holder(realm, "ada"), now);
        assert!(is_revoked(&known, "a") && !is_revoked(&known, "b"));
        known.learn(vec![entry("b", "ada", 99)], now);
        assert!(!is_revoked(&known, "a") && is_revoked(&known, "b"));
    }

    #[test]
    fn what_is_new_or_gone_is_told_and_what_has_had_its_time_is_not() {
        let now = UnixTime::from_secs(20);
        let mut known = nothing();
        let [ada, bob, eve] = ["ada", "bob", "eve"].map(|user| entry("a", user, 99));
        let first = vec![ada.clone(), bob.clone()];
        assert_eq!(known.learn(first.clone(), now), Some(vec![]));
        assert_eq!(known.learn(first, now), None);
        let changed = known.learn(vec![ada.clone(), eve.clone()], now);
        let expected = vec![Change::Removed(bob), Change::Added(eve.clone())];
        assert_eq!(changed, Some(expected));
        let later = UnixTime::from_secs(99);
        assert_eq!(known.learn(vec![ada.clone()], later), Some(vec![]));
        let again = entry("a", "ada", 100);
        let changed = known.learn(vec![again.clone()], later);
        assert_eq!(changed, Some(vec![Change::Added(again)]));
    }

    #[test]
    fn a_list_that_was_lost_is_unknown_and_comes_back_as_it_was() {
        let now = UnixTime::from_secs(20);
        let mut known = nothing();
        let list = known.of("a");
        let ada = vec![entry("a", "ada", 99)];
        known.learn(ada.clone(), now);
        known.forget(StoreError::Failed {
            store: Source::Sqlite,
            detail: "too old".to_owned(),
        });
        assert_eq!(known.count(), None);
        let verdict = list.verdict_of("bob", "s", None, now);
        assert!(matches!(verdict, RevocationVerdict::Unknown(_)));
        assert_eq!(known.learn(ada, now), Some(vec![]));
        let verdict = list.verdict_of("bob", "s", None, now);
        assert!(matches!(verdict, RevocationVerdict::InForce));
    }
}
