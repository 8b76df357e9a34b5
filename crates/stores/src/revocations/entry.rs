//! A revocation as it is stored: what is revoked and until when, its author and the reason.

use gate::{LookupSource, Revocation, Revoked};
use serde::{Deserialize, Serialize};
use session::UnixTime;
use thiserror::Error;

use super::RevocationStoreError;

/// A revocation as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevocationEntry {
    /// The name of the realm.
    pub realm: String,
    /// The session or user that is revoked, or everything, and until when.
    pub revocation: Revocation,
    /// When it was revoked.
    pub made: UnixTime,
    /// Who revoked it, as stated by that person or program and not verified.
    pub by: String,
    /// How the revocation was made: `admin`, `cli`, or any text that another program has written.
    pub source: String,
    /// The reason for the revocation.
    pub reason: String,
}

impl RevocationEntry {
    /// The realm and what is revoked there. A list has at most one entry for each.
    pub fn place(&self) -> (&str, &Revoked) {
        (&self.realm, &self.revocation.what)
    }

    /// The realm and what is revoked there, as an owned key.
    pub fn key(&self) -> RevocationKey {
        RevocationKey {
            realm: self.realm.clone(),
            what: self.revocation.what.clone(),
        }
    }

    /// Merges two entries with the same [`key`](Self::key): the later times of both, and the rest of the latest entry.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let (mut last, other) = match self.made >= other.made {
            true => (self, other.revocation),
            false => (other, self.revocation),
        };
        let kept = &mut last.revocation;
        kept.before = kept.before.max(other.before);
        kept.until = kept.until.max(other.until);
        last
    }
}

/// The realm of a revocation, and what is revoked there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RevocationKey {
    /// The name of the realm.
    pub realm: String,
    /// What is revoked.
    pub what: Revoked,
}

impl RevocationKey {
    /// Reads the payload of an announcement, `REALM:KIND:ID`. `None` when it has another form.
    pub(crate) fn read(payload: &str) -> Option<Self> {
        let (realm, rest) = payload.split_once(':')?;
        let (kind, id) = rest.split_once(':')?;
        Some(Self {
            realm: realm.to_owned(),
            what: what(kind, id)?,
        })
    }

    /// Writes the payload of an announcement. A payload that would be too long is left empty, which means that anything
    /// may have changed.
    pub(super) fn payload(realm: &str, kind: &str, id: &str) -> String {
        match realm.len() + id.len() {
            0..=LONGEST_NAMES => format!("{realm}:{kind}:{id}"),
            _ => String::new(),
        }
    }
}

/// The reason why a stored value is not a valid entry.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RevocationEntryError {
    /// The kind is neither `user` nor `session` nor `all`.
    #[error("its kind is `{}`", .0.escape_debug())]
    Kind(String),
    /// The value does not have the form of an entry.
    #[error("it does not have the expected form")]
    Form,
}

/// The columns of a [`RevocationEntry`]. Times are milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct EntryColumns {
    pub(super) realm: String,
    pub(super) kind: String,
    pub(super) id: String,
    pub(super) before: u64,
    pub(super) until: u64,
    pub(super) made: u64,
    pub(super) by: String,
    pub(super) source: String,
    pub(super) reason: String,
}

impl EntryColumns {
    /// Reads the columns from a row that has them in the order of these fields. Each function reads the column at an
    /// index. A time before 1970 becomes 1970.
    pub(super) fn of_row(
        text: impl Fn(usize) -> Option<String>,
        millis: impl Fn(usize) -> Option<i64>,
    ) -> Option<Self> {
        let millis = |at| Some(u64::try_from(millis(at)?).unwrap_or(0));
        Some(Self {
            realm: text(0)?,
            kind: text(1)?,
            id: text(2)?,
            before: millis(3)?,
            until: millis(4)?,
            made: millis(5)?,
            by: text(6)?,
            source: text(7)?,
            reason: text(8)?,
        })
    }
}

/// Builds an entry from columns that `store` holds. `None` stands for a value of another form.
pub(super) fn read(
    columns: Option<EntryColumns>,
    store: LookupSource,
) -> Result<RevocationEntry, RevocationStoreError> {
    let columns = columns.ok_or(RevocationEntryError::Form);
    let entry = columns.and_then(RevocationEntry::try_from);
    entry.map_err(|error| RevocationStoreError::Entry(store, error))
}

/// The kind of what is revoked, as stored, and its id, which is empty for `all`.
pub(super) fn key(what: &Revoked) -> (&'static str, &str) {
    match what {
        Revoked::All => (ALL, ""),
        Revoked::Session(id) => (SESSION, id),
        Revoked::User(id) => (USER, id),
    }
}

/// What is revoked, from the stored kind and id.
fn what(kind: &str, id: &str) -> Option<Revoked> {
    Some(match kind {
        ALL => Revoked::All,
        SESSION => Revoked::Session(id.into()),
        USER => Revoked::User(id.into()),
        _ => return None,
    })
}

/// Sorts entries by their keys, and merges those with the same key.
pub(super) fn merged(mut entries: Vec<RevocationEntry>) -> Vec<RevocationEntry> {
    entries.sort_by(|one, other| {
        let latest_first = || other.made.cmp(&one.made);
        one.place().cmp(&other.place()).then_with(latest_first)
    });
    entries.dedup_by(|other, first| {
        let is_same = other.place() == first.place();
        if is_same {
            *first = first.clone().and(other.clone());
        }
        is_same
    });
    entries
}

impl From<&RevocationEntry> for EntryColumns {
    fn from(entry: &RevocationEntry) -> Self {
        let (kind, id) = key(&entry.revocation.what);
        Self {
            realm: entry.realm.clone(),
            kind: kind.to_owned(),
            id: id.to_owned(),
            before: entry.revocation.before.millis(),
            until: entry.revocation.until.millis(),
            made: entry.made.millis(),
            by: entry.by.clone(),
            source: entry.source.clone(),
            reason: entry.reason.clone(),
        }
    }
}

impl TryFrom<EntryColumns> for RevocationEntry {
    type Error = RevocationEntryError;

    fn try_from(columns: EntryColumns) -> Result<Self, RevocationEntryError> {
        let Some(what) = what(&columns.kind, &columns.id) else {
            return Err(RevocationEntryError::Kind(columns.kind));
        };
        Ok(Self {
            realm: columns.realm,
            revocation: Revocation {
                what,
                before: UnixTime::from_millis(columns.before),
                until: UnixTime::from_millis(columns.until),
            },
            made: UnixTime::from_millis(columns.made),
            by: columns.by,
            source: columns.source,
            reason: columns.reason,
        })
    }
}

const ALL: &str = "all";
const SESSION: &str = "session";
const USER: &str = "user";

/// The longest realm and id together, in bytes. PostgreSQL accepts payloads of less than 8000.
const LONGEST_NAMES: usize = 7000;

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(what: Revoked, [before, until, made]: [u64; 3]) -> RevocationEntry {
        RevocationEntry {
            realm: "default".to_owned(),
            revocation: Revocation {
                what,
                before: UnixTime::from_millis(before),
                until: UnixTime::from_millis(until),
            },
            made: UnixTime::from_millis(made),
            by: format!("ops {made}"),
            source: "cli".to_owned(),
            reason: "stolen laptop".to_owned(),
        }
    }

    #[test]
    fn entries_with_the_same_key_are_merged() {
        let user = |times| entry(Revoked::User("u".into()), times);
        let other = entry(Revoked::User("v".into()), [1, 2, 3]);
        let all = vec![user([5, 9, 1]), other.clone(), user([3, 20, 2])];
        let expected = RevocationEntry {
            by: "ops 2".to_owned(),
            ..user([5, 20, 2])
        };
        assert_eq!(merged(all), [expected, other]);
    }

    #[test]
    fn an_entry_is_read_as_it_was_written_and_an_unknown_kind_is_an_error() {
        for what in [
            Revoked::All,
            Revoked::Session("s".into()),
            Revoked::User("u".into()),
        ] {
            let entry = entry(what, [1, 2, 3]);
            let mut columns = EntryColumns::from(&entry);
            assert_eq!(RevocationEntry::try_from(columns.clone()), Ok(entry));
            columns.kind = "group".to_owned();
            let kind = RevocationEntryError::Kind("group".to_owned());
            assert_eq!(RevocationEntry::try_from(columns), Err(kind));
        }
    }
}
