//! What a store says about a session, and what can be wrong with that.

use gate::{KnownSession, Lookup, LookupSource, User};
use serde_json::{Map, Value};
use session::{OpenError, SessionToken, StoredColumns, StoredSession, UnixTime};
use thiserror::Error;

use super::Outcome;
use super::reporter::Reporter;
use super::standing::StandingRow;

/// What a store says about a session.
#[derive(Debug)]
pub(super) enum SessionState {
    /// Something that no application writes.
    Malformed(MalformedRecord),
    /// There is no such session, or it has no user.
    Absent,
    /// There was one, and it has been ended.
    Revoked,
    /// There is one. It may have ended by itself.
    Known(KnownSession),
}

/// What a store has in place of a session. Such a session counts as none: an application that comes across it would
/// fail, and signing in again makes a better one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum MalformedRecord {
    #[error("a column of its user holds what cannot be read")]
    Column,
    #[error("its time of creation is none")]
    Creation,
    #[error("several sessions have the same token, or several users the same id")]
    Duplicate,
    #[error("its time of expiry is none, or out of range")]
    Expiry,
    #[error(
        "its time of expiry is a number of seconds, where one of milliseconds since 1970 or a text in ISO 8601 is expected"
    )]
    ExpiryInSeconds,
    #[error("the value under its token is no session of Better Auth")]
    NotBetterAuth,
    #[error("it names another token than its own")]
    OtherToken,
    #[error("it names another user than its own")]
    OtherUser,
    #[error("its user's id can be no subject")]
    Subject,
    #[error("a text of it cannot be read")]
    Text,
    #[error("the time before which its user's sessions are revoked is none")]
    Revocation,
}

/// A session and its user, as columns.
#[derive(Debug)]
pub(super) struct StoredRow {
    pub(super) subject: String,
    pub(super) email: Option<String>,
    pub(super) name: Option<String>,
    pub(super) standing: StandingRow,
    pub(super) issued_at: Option<UnixTime>,
    pub(super) expires_at: UnixTime,
    pub(super) user: User,
    /// Claims beside what every session says.
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

    /// The answer to the question about `token`. A flaw is logged, under the token's id.
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
