//! Revocations: of one session, or of all sessions of a user or of all users that were issued before a time.
//!
//! A session in a JSON Web Token is valid until it expires, whatever happens to its user. A revocation ends it earlier. The list
//! of revocations is in memory. The server replaces it ([`Revocations::replace`]) or applies changes ([`Revocations::amend`]),
//! and sets until when it is valid ([`Revocations::set_valid_until`]); a decision never waits for it.

mod list;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use session::{ClaimDemands, Session, UnixTime};

pub use self::list::RevocationList;
use crate::StoreError;

/// The revocations of one realm. While nothing is revoked, a decision costs one load and a branch; otherwise it takes no lock and
/// allocates nothing.
#[derive(Debug)]
pub struct Revocations {
    /// Whether decisions have to read the list: something is revoked, or the list may be too old.
    is_consulted: AtomicBool,
    known: ArcSwap<Known>,
    /// When the list becomes too old, in milliseconds since 1970. A process that was suspended answers requests before any of its
    /// timers fires, so decisions compare the time themselves.
    valid_until: AtomicU64,
    /// Why nothing is known once the list is too old.
    too_old: OnceLock<StoreError>,
}

/// The sessions that a revocation ends.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Revoked {
    /// All sessions of the realm that were issued before a time.
    All,
    /// The session with this [id](Session::id), whenever it was issued.
    Session(Box<str>),
    /// All sessions of the user with this [id](Session::subject) that were issued before a time.
    User(Box<str>),
}

/// A revocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// What is revoked.
    pub what: Revoked,
    /// Sessions issued at this time or later are not affected. Has no effect for a single session.
    pub before: UnixTime,
    /// When the revocation can be forgotten, because all affected sessions have expired.
    pub until: UnixTime,
}

/// What the list says about a session.
#[must_use]
#[derive(Clone, Debug)]
pub enum RevocationVerdict {
    /// It is not revoked.
    InForce,
    /// It is revoked.
    Revoked(RevokedBy),
    /// It is unknown, because the list could not be read for this reason.
    Unknown(StoreError),
}

/// Which kind of revocation ended a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevokedBy {
    /// A revocation of all sessions issued before this time.
    All(UnixTime),
    /// A revocation of this session.
    Session,
    /// A revocation of all sessions of its user issued before this time.
    User(UnixTime),
}

impl fmt::Display for RevokedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All(_) => "all sessions issued before a certain time are revoked, including this one",
            Self::Session => "the session is revoked",
            Self::User(_) => "all sessions of the user issued before a certain time are revoked, including this one",
        })
    }
}

#[derive(Debug)]
enum Known {
    List(RevocationList),
    Unknown(StoreError),
}

impl Default for Revocations {
    /// Nothing is revoked.
    fn default() -> Self {
        Self {
            is_consulted: AtomicBool::new(false),
            known: ArcSwap::from_pointee(Known::List(RevocationList::default())),
            valid_until: AtomicU64::new(u64::MAX),
            too_old: OnceLock::new(),
        }
    }
}

impl Revocations {
    /// Creates a list that could not be read yet, for this reason.
    pub fn unknown(reason: StoreError) -> Self {
        Self {
            is_consulted: AtomicBool::new(true),
            known: ArcSwap::from_pointee(Known::Unknown(reason)),
            valid_until: AtomicU64::new(u64::MAX),
            too_old: OnceLock::new(),
        }
    }

    /// Whether this session is revoked at the time `now`. `demands` are the realm's; they say when the user
    /// [signed in](Session::signed_in_at).
    ///
    /// Times of issue are compared as they are: a framework that writes whole seconds rounds down, so a session issued in the
    /// same second as the revocation is treated as issued before it.
    pub fn verdict(
        &self,
        session: &Session,
        demands: &ClaimDemands,
        now: UnixTime,
    ) -> RevocationVerdict {
        if self.is_valid(now) && !self.is_consulted.load(Ordering::Acquire) {
            return RevocationVerdict::InForce;
        }
        let issued_at = || session.signed_in_at(demands);
        self.consult(session.subject(), session.id(), issued_at, now)
    }

    /// Whether a session with this user, id and time of issue is revoked: see [`Revocations::verdict`].
    pub fn verdict_of(
        &self,
        user: &str,
        id: &str,
        issued_at: Option<UnixTime>,
        now: UnixTime,
    ) -> RevocationVerdict {
        self.consult(user, id, || issued_at, now)
    }

    fn consult(
        &self,
        user: &str,
        id: &str,
        issued_at: impl Fn() -> Option<UnixTime>,
        now: UnixTime,
    ) -> RevocationVerdict {
        if let (false, Some(reason)) = (self.is_valid(now), self.too_old.get()) {
            return RevocationVerdict::Unknown(reason.clone());
        }
        match &**self.known.load() {
            Known::List(list) => match list.revokes(user, id, issued_at, now) {
                Some(by) => RevocationVerdict::Revoked(by),
                None => RevocationVerdict::InForce,
            },
            Known::Unknown(reason) => RevocationVerdict::Unknown(reason.clone()),
        }
    }

    /// Replaces the list. All decisions that begin afterwards obey it.
    pub fn replace(&self, list: RevocationList) {
        let is_consulted = !list.is_empty();
        self.known.store(Arc::new(Known::List(list)));
        self.is_consulted.store(is_consulted, Ordering::Release);
    }

    /// Sets, or with `None` removes, the revocation of each of these. All decisions that begin afterwards obey the changes. Takes
    /// much less time than [`Revocations::replace`] if the list is long. Does nothing while there is no list. Must not be called
    /// concurrently.
    pub fn amend<'c>(
        &self,
        changes: impl IntoIterator<Item = (&'c Revoked, Option<&'c Revocation>)>,
    ) {
        let known = self.known.load_full();
        if let Known::List(list) = &*known {
            let mut list = list.clone();
            for (what, revocation) in changes {
                list.set(what, revocation);
            }
            self.replace(list);
        }
    }

    /// Makes the list valid until `end`, by the clock that decisions use. Afterwards it is too old, and verdicts are unknown for
    /// this reason (the first reason is kept).
    pub fn set_valid_until(&self, end: UnixTime, reason: &StoreError) {
        self.too_old.get_or_init(|| reason.clone());
        self.valid_until.store(end.millis(), Ordering::Release);
    }

    fn is_valid(&self, now: UnixTime) -> bool {
        now.millis() < self.valid_until.load(Ordering::Acquire)
    }

    /// Forgets the list, which is too old or was never read. From now on verdicts are unknown, for this reason.
    pub fn forget(&self, reason: StoreError) {
        self.known.store(Arc::new(Known::Unknown(reason)));
        self.is_consulted.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::LookupSource;

    const NOW: UnixTime = UnixTime::from_secs(1_900_000_000);

    fn millis(after: u64) -> UnixTime {
        UnixTime::from_millis(NOW.millis() + after)
    }

    fn revocation(what: Revoked, before: UnixTime, lasts: u64) -> Revocation {
        Revocation {
            what,
            before,
            until: NOW.saturating_add(Duration::from_secs(lasts)),
        }
    }

    fn user(before: UnixTime) -> Revocation {
        revocation(Revoked::User("ada".into()), before, 60)
    }

    fn revokes(
        list: &[Revocation],
        (user, id, issued_at): (&str, &str, Option<UnixTime>),
        now: UnixTime,
    ) -> Option<RevokedBy> {
        let revocations = Revocations::default();
        revocations.replace(list.iter().cloned().collect());
        match revocations.verdict_of(user, id, issued_at, now) {
            RevocationVerdict::InForce => None,
            RevocationVerdict::Revoked(by) => Some(by),
            RevocationVerdict::Unknown(error) => panic!("{error}"),
        }
    }

    #[test]
    fn each_kind_revokes_only_what_it_names() {
        let session = revocation(Revoked::Session("s1".into()), NOW, 60);
        let all = revocation(Revoked::All, NOW, 60);
        let early = Some(UnixTime::from_secs(NOW.secs() - 1));
        let late = Some(NOW);
        let (by_user, by_all) = (Some(RevokedBy::User(NOW)), Some(RevokedBy::All(NOW)));
        let by_session = Some(RevokedBy::Session);
        for (list, asked, expected) in [
            (&[][..], ("ada", "s1", early), None),
            (&[user(NOW)], ("ada", "s1", early), by_user),
            (&[user(NOW)], ("ada", "s1", late), None),
            (&[user(NOW)], ("ada", "s1", None), by_user),
            (&[user(NOW)], ("bob", "s1", early), None),
            // Names are compared as they are.
            (&[user(NOW)], ("Ada", "s1", early), None),
            (&[user(NOW)], ("s1", "ada", early), None),
            (
                std::slice::from_ref(&session),
                ("ada", "s1", late),
                by_session,
            ),
            (
                std::slice::from_ref(&session),
                ("ada", "s1", None),
                by_session,
            ),
            (std::slice::from_ref(&session), ("ada", "s2", early), None),
            (std::slice::from_ref(&all), ("bob", "s9", early), by_all),
            (std::slice::from_ref(&all), ("bob", "s9", None), by_all),
            (std::slice::from_ref(&all), ("bob", "s9", late), None),
            (
                &[session.clone(), user(NOW), all.clone()],
                ("ada", "s1", early),
                by_session,
            ),
            (&[all.clone(), user(NOW)], ("ada", "s1", early), by_user),
        ] {
            assert_eq!(revokes(list, asked, NOW), expected, "{list:?} {asked:?}");
        }
    }

    #[test]
    fn a_session_issued_in_the_same_second_is_revoked_if_its_time_has_whole_seconds() {
        let list = [user(millis(300))];
        // Issued half a second later, and written in whole seconds.
        let rounded = Some(NOW);
        assert!(revokes(&list, ("ada", "s", rounded), millis(600)).is_some());
        assert!(revokes(&list, ("ada", "s", Some(millis(299))), millis(600)).is_some());
        assert!(revokes(&list, ("ada", "s", Some(millis(300))), millis(600)).is_none());
        assert!(revokes(&list, ("ada", "s", Some(millis(1000))), millis(1600)).is_none());
    }

    #[test]
    fn a_revocation_expires() {
        let session = revocation(Revoked::Session("s1".into()), NOW, 60);
        let all = revocation(Revoked::All, NOW, 60);
        for list in [[user(NOW)], [session], [all]] {
            let asked = ("ada", "s1", Some(UnixTime::from_secs(1)));
            assert!(revokes(&list, asked, millis(59_999)).is_some());
            assert!(revokes(&list, asked, millis(60_000)).is_none());
        }
    }

    #[test]
    fn repeated_revocations_use_the_latest_time_and_the_longest_duration() {
        let short = Revocation {
            until: millis(1),
            ..user(millis(5000))
        };
        for list in [[user(NOW), short.clone()], [short, user(NOW)]] {
            let by = revokes(&list, ("ada", "s", Some(millis(4999))), millis(30_000));
            assert_eq!(by, Some(RevokedBy::User(millis(5000))));
        }
    }

    #[test]
    fn an_unreadable_list_is_an_outage_until_it_is_read() {
        let reason = || StoreError::Failed {
            store: LookupSource::Postgres,
            detail: "gone".to_owned(),
        };
        let is_unknown = |revocations: &Revocations| {
            let verdict = revocations.verdict_of("ada", "s", None, NOW);
            matches!(verdict, RevocationVerdict::Unknown(_))
                && revocations.is_consulted.load(Ordering::Acquire)
        };
        let revocations = Revocations::unknown(reason());
        assert!(is_unknown(&revocations));
        revocations.replace(RevocationList::default());
        assert!(!is_unknown(&revocations));
        assert!(!revocations.is_consulted.load(Ordering::Acquire));
        revocations.forget(reason());
        assert!(is_unknown(&revocations));
    }

    #[test]
    fn an_outdated_list_is_an_outage_even_if_it_is_empty() {
        for list in [vec![], vec![user(NOW)]] {
            let revocations = Revocations::default();
            revocations.replace(list.into_iter().collect());
            let reason = StoreError::Failed {
                store: LookupSource::Postgres,
                detail: "too old".to_owned(),
            };
            let is_unknown = |now| {
                let verdict = revocations.verdict_of("bob", "s", None, now);
                matches!(verdict, RevocationVerdict::Unknown(_))
            };
            revocations.set_valid_until(millis(100), &reason);
            assert!(!is_unknown(millis(99)) && is_unknown(millis(100)));
            revocations.set_valid_until(millis(200), &reason);
            assert!(!is_unknown(millis(199)) && is_unknown(millis(200)));
        }
    }

    #[test]
    fn an_amended_list_equals_a_replaced_one() {
        let revocations = Revocations::default();
        let is_revoked = |id| {
            let verdict = revocations.verdict_of(id, "s", None, NOW);
            matches!(verdict, RevocationVerdict::Revoked(_))
        };
        let ada = user(NOW);
        revocations.amend([(&ada.what, Some(&ada))]);
        assert!(is_revoked("ada") && !is_revoked("bob"));
        revocations.amend([(&ada.what, None)]);
        assert!(!is_revoked("ada"));
        assert!(!revocations.is_consulted.load(Ordering::Acquire));
    }

    #[test]
    fn a_lookup_allocates_nothing() {
        let revocations = Revocations::default();
        let ask = || {
            let verdict = revocations.verdict_of("ada", "s", None, NOW);
            let _ = std::hint::black_box(verdict);
        };
        for list in [vec![], vec![user(NOW)]] {
            revocations.replace(list.into_iter().collect());
            ask();
            let taken = allocation_counter::measure(ask);
            assert_eq!(taken.count_total, 0);
        }
    }
}
