//! The known revocations by realm, and the differences to a newly read list.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use gate::{Revocation, RevocationVerdict, Revocations, StoreError};
use session::UnixTime;

use super::line::RevocationChange;
use crate::leases::Holder;
use stores::{ChangedRevocations, RevocationEntry, RevocationKey};

/// The list of each realm, for its decisions.
#[derive(Clone, Debug, Default)]
pub(super) struct RealmRevocations(HashMap<String, Arc<Revocations>>);

/// The list that was read last, and its copies for the realms.
#[derive(Debug)]
pub(super) struct KnownRevocations {
    pub(super) realms: RealmRevocations,
    /// The entries that were read last, ordered by key; `None` before the first read.
    last: Option<Vec<RevocationEntry>>,
    /// Why there is no valid list; `None` while there is one.
    why_unknown: Option<StoreError>,
    /// Until when the list is valid, and why it is unknown afterwards.
    valid_until: Option<(UnixTime, StoreError)>,
}

impl RealmRevocations {
    /// Whether the session of this lease's holder was revoked.
    pub(super) fn is_revoked(&self, holder: &Holder, now: UnixTime) -> bool {
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

impl KnownRevocations {
    /// Creates a value without a list, for this reason.
    pub(super) fn unread(why_unknown: StoreError) -> Self {
        Self {
            realms: RealmRevocations::default(),
            last: None,
            why_unknown: Some(why_unknown),
            valid_until: None,
        }
    }

    /// Returns the list for a realm's decisions. Later updates change it in place.
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
        if let Some((end, reason)) = &self.valid_until {
            revocations.set_valid_until(*end, reason);
        }
        let realms = &mut self.realms.0;
        realms.insert(realm.to_owned(), Arc::clone(&revocations));
        revocations
    }

    /// How many revocations there are; `None` while the list is unknown.
    pub(super) fn count(&self) -> Option<usize> {
        self.current().map(<[_]>::len)
    }

    /// The current list, if it is valid.
    fn current(&self) -> Option<&[RevocationEntry]> {
        let last = self.last.as_deref();
        last.filter(|_| self.why_unknown.is_none())
    }

    /// Replaces the list with a newly read one, ordered by key. Returns the changes, or `None` if nothing has changed. The first
    /// list has no changes.
    pub(super) fn replace(
        &mut self,
        entries: Vec<RevocationEntry>,
        now: UnixTime,
    ) -> Option<Vec<RevocationChange>> {
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

    /// Makes the list valid until `end`. Afterwards it is unknown, for this reason.
    pub(super) fn set_valid_until(&mut self, end: UnixTime, reason: StoreError) {
        for revocations in self.realms.0.values() {
            revocations.set_valid_until(end, &reason);
        }
        self.valid_until = Some((end, reason));
    }

    /// Adds news to the current list, and returns the changes. `None` if there is no valid list, so that the whole list has to be
    /// read.
    pub(super) fn amend(
        &mut self,
        changed: ChangedRevocations,
        now: UnixTime,
    ) -> Option<Vec<RevocationChange>> {
        self.current()?;
        let list = self.last.as_mut()?;
        let mut changes = Vec::new();
        match changed {
            ChangedRevocations::Added(entries) => {
                for entry in entries {
                    let known = find(list, &entry.key()).ok().map(|at| list[at].clone());
                    let both = known.map_or(entry.clone(), |known| known.and(entry));
                    changes.extend(set(list, &both.key(), Some(both)));
                }
            }
            ChangedRevocations::Now(entries) => {
                for (key, entry) in entries {
                    changes.extend(set(list, &key, entry));
                }
            }
        }
        for (realm, revocations) in &self.realms.0 {
            let changes = changes.iter().filter(|it| it.entry().realm == **realm);
            let changes: Vec<_> = changes.map(RevocationChange::effect).collect();
            if !changes.is_empty() {
                revocations.amend(changes);
            }
        }
        let is_news = |change: &RevocationChange| match change {
            RevocationChange::Added(_) => true,
            RevocationChange::Removed(entry) => entry.revocation.until > now,
        };
        Some(changes.into_iter().filter(is_news).collect())
    }

    /// Makes the list unknown, for this reason.
    pub(super) fn discard(&mut self, why: StoreError) {
        for revocations in self.realms.0.values() {
            revocations.forget(why.clone());
        }
        self.why_unknown = Some(why);
    }
}

/// The position of this key in the list, or where it would be.
fn find(list: &[RevocationEntry], key: &RevocationKey) -> Result<usize, usize> {
    list.binary_search_by(|entry| entry.place().cmp(&(&*key.realm, &key.what)))
}

/// Sets or removes the entry of a key, and returns the change.
fn set(
    list: &mut Vec<RevocationEntry>,
    key: &RevocationKey,
    entry: Option<RevocationEntry>,
) -> Option<RevocationChange> {
    match (find(list, key), entry) {
        (Ok(at), Some(entry)) if list[at] == entry => None,
        (Ok(at), Some(entry)) => {
            list[at] = entry.clone();
            Some(RevocationChange::Added(entry))
        }
        (Ok(at), None) => Some(RevocationChange::Removed(list.remove(at))),
        (Err(at), Some(entry)) => {
            list.insert(at, entry.clone());
            Some(RevocationChange::Added(entry))
        }
        (Err(_), None) => None,
    }
}

fn of_realm(entries: &[RevocationEntry], realm: &str) -> gate::RevocationList {
    let entries = entries.iter().filter(|entry| entry.realm == realm);
    let revocations = entries.map(|entry| -> Revocation { entry.revocation.clone() });
    revocations.collect()
}

/// The differences between two ordered lists, without entries that have expired.
fn changes(
    old: &[RevocationEntry],
    new: &[RevocationEntry],
    now: UnixTime,
) -> Vec<RevocationChange> {
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
                changes.push(RevocationChange::Removed(gone.clone()));
            }
            (gone, Some(come)) if gone != Some(come) => {
                changes.push(RevocationChange::Added(come.clone()));
            }
            (Some(_) | None, Some(_) | None) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use gate::{LookupSource, Revoked};

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

    fn unread() -> KnownRevocations {
        KnownRevocations::unread(StoreError::Failed {
            store: LookupSource::Sqlite,
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
    fn realms_see_their_own_revocations_whenever_they_are_added() {
        let now = UnixTime::from_secs(20);
        let mut known = unread();
        let early = known.of("a");
        let verdict = early.verdict_of("ada", "s", None, now);
        assert!(matches!(verdict, RevocationVerdict::Unknown(_)));
        assert_eq!(
            known.replace(vec![entry("a", "ada", 99)], now),
            Some(vec![])
        );
        known.of("b");
        let is_revoked =
            |known: &KnownRevocations, realm| known.realms.is_revoked(&holder(realm, "ada"), now);
        assert!(is_revoked(&known, "a") && !is_revoked(&known, "b"));
        known.replace(vec![entry("b", "ada", 99)], now);
        assert!(!is_revoked(&known, "a") && is_revoked(&known, "b"));
    }

    #[test]
    fn added_and_removed_entries_are_reported_and_expired_ones_are_not() {
        let now = UnixTime::from_secs(20);
        let mut known = unread();
        let [ada, bob, eve] = ["ada", "bob", "eve"].map(|user| entry("a", user, 99));
        let first = vec![ada.clone(), bob.clone()];
        assert_eq!(known.replace(first.clone(), now), Some(vec![]));
        assert_eq!(known.replace(first, now), None);
        let changed = known.replace(vec![ada.clone(), eve.clone()], now);
        let expected = vec![
            RevocationChange::Removed(bob),
            RevocationChange::Added(eve.clone()),
        ];
        assert_eq!(changed, Some(expected));
        let later = UnixTime::from_secs(99);
        assert_eq!(known.replace(vec![ada.clone()], later), Some(vec![]));
        let again = entry("a", "ada", 100);
        let changed = known.replace(vec![again.clone()], later);
        assert_eq!(changed, Some(vec![RevocationChange::Added(again)]));
    }

    #[test]
    fn amended_list_equals_the_stored_list() {
        let now = UnixTime::from_secs(20);
        let mut known = unread();
        known.of("a");
        let [ada, bob, eve] = ["ada", "bob", "eve"].map(|user| entry("a", user, 99));
        let is = |entry: &RevocationEntry| (entry.key(), Some(entry.clone()));
        let changed = |entries: Vec<_>| ChangedRevocations::Now(entries);
        assert_eq!(known.amend(changed(vec![is(&ada)]), now), None);
        known.replace(vec![bob.clone()], now);
        let added = known.amend(changed(vec![is(&ada), is(&bob), is(&eve)]), now);
        let expected = [&ada, &eve].map(|entry| RevocationChange::Added(entry.clone()));
        assert_eq!(added, Some(expected.into()));
        let is_revoked =
            |known: &KnownRevocations, user| known.realms.is_revoked(&holder("a", user), now);
        assert!(
            ["ada", "bob", "eve"]
                .iter()
                .all(|user| is_revoked(&known, user))
        );
        let gone = known.amend(changed(vec![(bob.key(), None), (bob.key(), None)]), now);
        assert_eq!(gone, Some(vec![RevocationChange::Removed(bob)]));
        assert!(!is_revoked(&known, "bob"));
        // A second revocation of the same user is combined with the first.
        let longer = entry("a", "ada", 120);
        let more = ChangedRevocations::Added(vec![longer.clone(), ada.clone()]);
        let added = known.amend(more, now);
        assert_eq!(added, Some(vec![RevocationChange::Added(longer.clone())]));
        assert_eq!(known.replace(vec![longer, eve], now), None);
    }

    #[test]
    fn validity_of_the_list_applies_to_realms_added_later() {
        let mut known = unread();
        let early = known.of("a");
        known.replace(vec![], UnixTime::from_secs(20));
        let too_old = StoreError::Failed {
            store: LookupSource::Sqlite,
            detail: "too old".to_owned(),
        };
        known.set_valid_until(UnixTime::from_secs(30), too_old);
        for list in [early, known.of("b")] {
            let verdict = |secs| list.verdict_of("ada", "s", None, UnixTime::from_secs(secs));
            assert!(matches!(verdict(29), RevocationVerdict::InForce));
            assert!(matches!(verdict(30), RevocationVerdict::Unknown(_)));
        }
    }

    #[test]
    fn discarded_list_is_unknown_until_it_is_read_again() {
        let now = UnixTime::from_secs(20);
        let mut known = unread();
        let list = known.of("a");
        let ada = vec![entry("a", "ada", 99)];
        known.replace(ada.clone(), now);
        known.discard(StoreError::Failed {
            store: LookupSource::Sqlite,
            detail: "too old".to_owned(),
        });
        assert_eq!(known.count(), None);
        let verdict = list.verdict_of("bob", "s", None, now);
        assert!(matches!(verdict, RevocationVerdict::Unknown(_)));
        assert_eq!(known.replace(ada, now), Some(vec![]));
        let verdict = list.verdict_of("bob", "s", None, now);
        assert!(matches!(verdict, RevocationVerdict::InForce));
    }
}
