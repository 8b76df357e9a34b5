//! The state of a session in a store, and the flaws that a record can have.

use gate::{KnownSession, Lookup, LookupSource, User};
use serde_json::{Map, Value};
use session::{OpenError, SessionToken, StoredColumns, StoredSession, UnixTime};
use thiserror::Error;

use super::Outcome;
use super::reporter::Reporter;
use super::standing::StandingRow;

/// The state of a session in a store.
#[derive(Debug)]
pub(super) enum SessionState {
    /// The store holds something that no application writes.
    Malformed(MalformedRecord),
    /// There is no such session, or its user does not exist.
    Absent,
    /// There was a session, and it was revoked.
    Revoked,
    /// There is a session. It may have expired.
    Known(KnownSession),
}

/// The flaw of a record of a session or user. A malformed record is treated as absent: an application that reads it would
/// fail, and signing in again creates a valid one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum MalformedRecord {
    #[error("a column of its user holds a value that cannot be read")]
    Column,
    #[error("its creation time is not a valid time")]
    Creation,
    #[error("several sessions have the same token, or several users the same id")]
    Duplicate,
    #[error("its expiry is not a valid time, or is out of range")]
    Expiry,
    #[error(
        "its expiry is a number of seconds; milliseconds since 1970 or an ISO 8601 text is expected"
    )]
    ExpiryInSeconds,
    #[error("the value under its token is not a session of Better Auth")]
    NotBetterAuth,
    #[error("it holds another token than the one under which it is stored")]
    OtherToken,
    #[error("its user has another id than the one that the session names")]
    OtherUser,
    #[error("its user's id is not a valid subject")]
    Subject,
    #[error("one of its texts cannot be read")]
    Text,
    #[error("the time before which its user's sessions are revoked is not a valid time")]
    Revocation,
}

/// A session and its user, as columns that are not checked yet.
#[derive(Debug)]
pub(super) struct StoredRow {
    pub(super) subject: String,
    pub(super) email: Option<String>,
    pub(super) name: Option<String>,
    pub(super) standing: StandingRow,
    pub(super) issued_at: Option<UnixTime>,
    pub(super) expires_at: UnixTime,
    pub(super) user: User,
    /// Claims beyond those that every session has.
    pub(super) claims: Map<String, Value>,
}

impl SessionState {
    pub(super) fn of_row(row: StoredRow) -> Self {
        if row.issued_at > Some(UnixTime::LAST_EXPIRY) {
            return Self::Malformed(MalformedRecord::Creation);
        }
        let session = StoredSession::new(StoredColumns {
            subject: &row.subject,
            email: row.email.as_deref(),
            name: row.name.as_deref(),
            standing: row.standing.standing(),
            issued_at: row.issued_at,
            expires_at: row.expires_at,
        });
        match session {
            Ok(stored) => Self::Known(KnownSession {
                stored: stored.with_more_claims(row.claims),
                user: row.user,
            }),
            Err(OpenError::ExpiryOutOfRange) => Self::Malformed(MalformedRecord::Expiry),
            Err(_) => Self::Malformed(MalformedRecord::Subject),
        }
    }

    /// Turns the state into the answer about `token`, and reports it. The flaw of a malformed record is logged with the
    /// token's id.
    pub(super) fn lookup(
        self,
        source: LookupSource,
        token: &SessionToken,
        reporter: &Reporter,
    ) -> Lookup<KnownSession> {
        let (found, outcome) = match self {
            Self::Malformed(fault) => {
                let store = source.as_str();
                tracing::warn!(store, session = token.id(), "session is malformed: {fault}");
                (None, Outcome::Malformed)
            }
            Self::Absent | Self::Revoked => (None, Outcome::Absent),
            Self::Known(session) => (Some(session), Outcome::Present),
        };
        reporter.answered(source, outcome);
        Lookup { found, source }
    }
}
