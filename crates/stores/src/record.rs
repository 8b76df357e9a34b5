//! Records in Redis. The record of a user is `{"v":1,"of":"2c26b46b68ffc68f","user":true}`; that of a session holds its
//! columns:
//!
//! ```text
//! {"v":2,"of":"…","session":{"sub":"7","email":"ada@example.com","name":null,"verified":true,"anonymous":false,
//!  "by":null,"iat_ms":null,"exp_ms":1900000000000}}
//! ```
//!
//! `verified` says whether the e-mail address is verified, `anonymous` whether the user is a guest, `by` which user acts
//! as this one (impersonation). Records of version 1 hold none of these members and are misses: an address that is known
//! to be unverified must not become one whose verification is unknown.
//!
//! `"for":600000` says for how many milliseconds the answer may be repeated, counted from the moment at which its lookup
//! began. With the remaining time to live in Redis, a reader can compute how old the record is, even if the clocks of
//! the nodes differ. Earlier releases wrote no `for`.
//!
//! If columns of the user are configured, the record of a user has `"columns":[…]` after `"user":true`, and that of
//! a session after its own columns; otherwise there is no such member. A member `"claims":{…}` is there only if
//! claims of sessions are configured, and holds them.
//!
//! `of` binds the value to the tables, the configured columns and the key. So a record is invalid under another key, and
//! in another deployment that shares the server, the prefix and the ids 1, 2 and 3. It is not a signature: a program
//! that can write to Redis decides which users and sessions exist, and must be trusted with that.

use std::time::Duration;

use aws_lc_rs::digest;
use gate::{KnownSession, User};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use session::{Standing, StoredColumns, StoredSession, UnixTime};

use super::columns::MAX_WEIGHT;
use super::fact::Fact;
use super::hex;

/// A fact that can be written to Redis.
pub(super) trait Recorded: Fact {
    /// The most bytes of a record. `columns` is the number of columns of the user and claims of the session together.
    fn max_len(columns: usize) -> usize;

    /// The fact for a value that says only that it exists. `None` if columns are configured, or for a session.
    fn of_true(scope: &RecordScope) -> Option<Self>;

    /// Whether the fact has all columns and claims that are configured.
    fn is_whole(&self, scope: &RecordScope) -> bool;

    /// Writes the record of a fact, or of its absence, bound by `of`.
    fn write(found: Option<&Self>, of: String, lifetime: u64) -> Vec<u8>;

    /// Reads a record. `None` for a value that this version would not have written.
    fn read(value: &[u8]) -> Option<Read<Self>>;
}

/// The contents of a record, before its binding is checked.
pub(super) struct Read<F> {
    of: String,
    lifetime: Option<u64>,
    found: Option<F>,
}

/// The answer in a record with the right binding.
#[derive(Debug, PartialEq)]
pub(super) struct Known<F> {
    pub(super) found: Option<F>,
    /// How long the answer could be repeated, counted from the moment at which its lookup began. `None` in records of
    /// earlier releases.
    pub(super) lifetime: Option<Duration>,
}

/// The tables, columns and claims that the records of one chain are about.
#[derive(Clone, Debug)]
pub(super) struct RecordScope {
    /// Describes the database, the tables, their columns, and the configured columns of the user. It is the same on
    /// every node with the same configuration.
    pub(super) description: String,
    /// How many columns of the user are configured.
    pub(super) columns: usize,
    /// How many claims of the session are configured.
    pub(super) claims: usize,
}

/// Writes the record of the answer about `key`, which may be repeated for its `lifetime`.
pub(super) fn write<F: Recorded>(
    found: Option<&F>,
    scope: &RecordScope,
    key: &str,
    lifetime: Duration,
) -> Vec<u8> {
    let lifetime = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX);
    F::write(found, binding(&scope.description, key), lifetime)
}

/// Reads the answer about `key` from a value. `None` for a value that this version would not have written about it.
pub(super) fn read<F: Recorded>(value: &[u8], scope: &RecordScope, key: &str) -> Option<Known<F>> {
    if value.len() > F::max_len(scope.columns + scope.claims) {
        return None;
    }
    let Read {
        of,
        lifetime,
        found,
    } = F::read(value)?;
    let is_whole = found.as_ref().is_none_or(|found| found.is_whole(scope));
    let lifetime = lifetime.map(Duration::from_millis);
    (of == binding(&scope.description, key) && is_whole).then_some(Known { found, lifetime })
}

/// The most bytes that the columns of a user and the claims of a session take as JSON.
fn max_len_of(columns: usize) -> usize {
    match columns {
        0 => 0,
        _ => 6 * MAX_WEIGHT,
    }
}

/// The columns of a user for a record. `None`, which leaves the member out, if none are configured.
fn columns_of(user: &User) -> Option<Vec<Value>> {
    let columns = user.columns();
    (!columns.is_empty()).then(|| columns.to_vec())
}

fn user_with(columns: Option<Vec<Value>>) -> User {
    columns.map_or_else(User::default, User::with_columns)
}

impl Recorded for User {
    fn max_len(columns: usize) -> usize {
        128 + max_len_of(columns)
    }

    fn of_true(scope: &RecordScope) -> Option<Self> {
        (scope.columns == 0).then(Self::default)
    }

    fn is_whole(&self, scope: &RecordScope) -> bool {
        self.columns().len() == scope.columns
    }

    fn write(found: Option<&Self>, of: String, lifetime: u64) -> Vec<u8> {
        to_json(&UserRecord {
            v: VERSION,
            of,
            lifetime: Some(lifetime),
            user: found.is_some(),
            columns: found.and_then(columns_of),
        })
    }

    fn read(value: &[u8]) -> Option<Read<Self>> {
        let record: UserRecord = serde_json::from_slice(value).ok()?;
        if record.v != VERSION || (record.columns.is_some() && !record.user) {
            return None;
        }
        Some(Read {
            of: record.of,
            lifetime: record.lifetime,
            found: record.user.then(|| user_with(record.columns)),
        })
    }
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct UserRecord {
    v: u8,
    of: String,
    #[serde(rename = "for", default, skip_serializing_if = "Option::is_none")]
    lifetime: Option<u64>,
    user: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    columns: Option<Vec<Value>>,
}

impl Recorded for KnownSession {
    /// Returns enough bytes for four texts of a kilobyte, each byte of which may take six in JSON, and the rest.
    fn max_len(columns: usize) -> usize {
        26 * 1024 + max_len_of(columns)
    }

    fn of_true(_: &RecordScope) -> Option<Self> {
        None
    }

    fn is_whole(&self, scope: &RecordScope) -> bool {
        let has_claims = self.stored.more_claims().is_some();
        self.user.is_whole(scope) && has_claims == (scope.claims > 0)
    }

    fn write(found: Option<&Self>, of: String, lifetime: u64) -> Vec<u8> {
        let session = found.map(|known| {
            let columns = known.stored.columns();
            SessionColumns {
                sub: columns.subject.to_owned(),
                email: columns.email.map(str::to_owned),
                name: columns.name.map(str::to_owned),
                verified: columns.standing.email_verified,
                anonymous: columns.standing.is_anonymous,
                by: columns.standing.impersonated_by.map(str::to_owned),
                iat_ms: columns.issued_at.map(UnixTime::millis),
                exp_ms: columns.expires_at.millis(),
                columns: columns_of(&known.user),
                claims: known.stored.more_claims().cloned(),
            }
        });
        to_json(&SessionRecord {
            v: SESSION_VERSION,
            of,
            lifetime: Some(lifetime),
            session,
        })
    }

    fn read(value: &[u8]) -> Option<Read<Self>> {
        let record: SessionRecord = serde_json::from_slice(value).ok()?;
        if record.v != SESSION_VERSION {
            return None;
        }
        let (of, lifetime) = (record.of, record.lifetime);
        let Some(columns) = record.session else {
            return Some(Read {
                of,
                lifetime,
                found: None,
            });
        };
        let stored = StoredSession::new(StoredColumns {
            subject: &columns.sub,
            email: columns.email.as_deref(),
            name: columns.name.as_deref(),
            standing: Standing {
                email_verified: columns.verified,
                is_anonymous: columns.anonymous,
                impersonated_by: columns.by.as_deref(),
            },
            issued_at: columns.iat_ms.map(UnixTime::from_millis),
            expires_at: UnixTime::from_millis(columns.exp_ms),
        });
        let known = Self {
            stored: stored
                .ok()?
                .with_more_claims(columns.claims.unwrap_or_default()),
            user: user_with(columns.columns),
        };
        Some(Read {
            of,
            lifetime,
            found: Some(known),
        })
    }
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct SessionRecord {
    v: u8,
    of: String,
    #[serde(rename = "for", default, skip_serializing_if = "Option::is_none")]
    lifetime: Option<u64>,
    // Must be present: a missing member is not the same as `null`.
    #[serde(deserialize_with = "Option::deserialize")]
    session: Option<SessionColumns>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct SessionColumns {
    sub: String,
    #[serde(deserialize_with = "Option::deserialize")]
    email: Option<String>,
    #[serde(deserialize_with = "Option::deserialize")]
    name: Option<String>,
    #[serde(deserialize_with = "Option::deserialize")]
    verified: Option<bool>,
    anonymous: bool,
    #[serde(deserialize_with = "Option::deserialize")]
    by: Option<String>,
    #[serde(deserialize_with = "Option::deserialize")]
    iat_ms: Option<u64>,
    exp_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    columns: Option<Vec<Value>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    claims: Option<Map<String, Value>>,
}

fn to_json(record: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(record).expect("numbers, strings and booleans can be written as JSON")
}

/// Computes the binding of a record: 64 bits of a digest, enough to prevent accidental matches.
fn binding(description: &str, key: &str) -> String {
    let mut digest = digest::Context::new(&digest::SHA256);
    for part in [description, key] {
        // With its length, so that the end of one part cannot be taken for the beginning of the next.
        digest.update(&(part.len() as u64).to_le_bytes());
        digest.update(part.as_bytes());
    }
    hex(&digest.finish().as_ref()[..8])
}

/// The version of users' records. It changes with their format, so that nodes of two versions treat each other's records
/// as misses.
const VERSION: u8 = 1;

/// The version of sessions' records. It changes with their format, so that nodes of two versions treat each other's
/// records as misses.
const SESSION_VERSION: u8 = 2;

#[cfg(test)]
mod tests;
