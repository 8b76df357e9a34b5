//! The sessions that Better Auth keeps in Redis, its "secondary storage".
//!
//! ```text
//! better-auth:<token>                            {"session":{"token":"…","userId":"…","expiresAt":"…",…},"user":{…}}
//! better-auth:revoked-sessions-before-<userId>   1900000000000
//! ```
//!
//! A session that was created before its user's sessions were revoked is invalid, even if Better Auth has written it to
//! Redis again since. So both keys are read, as Better Auth does (`better-auth` `db/internal-adapter.mjs`, `findSession`).
//! Redis is the truth about these sessions: if it does not answer, the lookup fails, and the gate answers 503.

use std::borrow::Cow;
use std::sync::Arc;

use gate::StoreError;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value as Json};
use session::{SessionToken, UnixTime};

use super::chain::Affected;
use super::claims::{self, StoredClaim};
use super::redis::Redis;
use super::session_state::{MalformedRecord, SessionState, StoredRow};
use super::standing::StandingRow;
use super::time;

/// Reads sessions from Better Auth's secondary storage.
pub(super) struct SecondaryStorage {
    redis: Arc<Redis>,
    prefix: String,
    /// The claims that are read with sessions.
    configured: Vec<StoredClaim>,
}

impl SecondaryStorage {
    pub(super) fn new(redis: Arc<Redis>, prefix: String, configured: Vec<StoredClaim>) -> Self {
        Self {
            redis,
            prefix,
            configured,
        }
    }

    /// Looks up the session of this token.
    pub(super) async fn find(&self, token: &str) -> Result<SessionState, StoreError> {
        let value = self.read(&[token], LONGEST_SESSION).await?;
        if value.is_empty() {
            return Ok(SessionState::Absent);
        }
        let row = match session(&value, token).and_then(|row| self.with_claims(row, &value)) {
            Ok(row) => row,
            Err(fault) => return Ok(SessionState::Malformed(fault)),
        };
        let key = [REVOKED_BEFORE, &row.subject];
        let revoked_before = self.read(&key, LONGEST_NUMBER).await?;
        Ok(match revoked(&revoked_before, row.issued_at) {
            Ok(true) => SessionState::Revoked,
            Ok(false) => SessionState::of_row(row),
            Err(fault) => SessionState::Malformed(fault),
        })
    }

    /// The session or user that a key of Redis is about, if it is one of Better Auth's keys.
    pub(super) fn affected_by(&self, redis_key: &[u8]) -> Option<Affected<'static>> {
        let key = redis_key.strip_prefix(self.prefix.as_bytes())?;
        let key = str::from_utf8(key).ok()?;
        Some(match key.strip_prefix(REVOKED_BEFORE) {
            Some(subject) => Affected::Subject(subject.to_owned().into()),
            None => Affected::Key(SessionToken::id_of(key).to_string().into()),
        })
    }

    fn with_claims(&self, mut row: StoredRow, value: &[u8]) -> Result<StoredRow, MalformedRecord> {
        if !self.configured.is_empty() {
            let json: Map<String, Json> =
                serde_json::from_slice(value).map_err(|_| MalformedRecord::NotBetterAuth)?;
            row.claims = claims::of_json(&self.configured, &json);
        }
        Ok(row)
    }

    async fn read(&self, key: &[&str], longest: usize) -> Result<Vec<u8>, StoreError> {
        let key = format!("{}{}", self.prefix, key.concat());
        self.redis.read(key.as_bytes(), longest).await
    }
}

/// Reads the session that `value` holds under the key of `token`.
fn session(value: &[u8], token: &str) -> Result<StoredRow, MalformedRecord> {
    if value.len() > LONGEST_SESSION {
        return Err(MalformedRecord::NotBetterAuth);
    }
    let Value { session, user } =
        serde_json::from_slice(value).map_err(|_| MalformedRecord::NotBetterAuth)?;
    if session.token != token {
        return Err(MalformedRecord::OtherToken);
    }
    let subject = session.user_id.text().into_owned();
    let (email, name, verified, anonymous) = match user {
        None => (None, None, None, None),
        Some(user) if user.id.text() != subject => return Err(MalformedRecord::OtherUser),
        Some(user) => (
            user.email,
            user.name,
            user.email_verified,
            user.is_anonymous,
        ),
    };
    let standing = [&verified, &anonymous, &session.impersonated_by].map(Option::as_ref);
    let created = session
        .created_at
        .map(|created| created.read().ok_or(MalformedRecord::Creation));
    Ok(StoredRow {
        subject,
        email,
        name,
        standing: StandingRow::of_json(standing),
        issued_at: created.transpose()?,
        expires_at: session.expires_at.read_end()?,
        user: gate::User::default(),
        claims: Map::new(),
    })
}

/// Whether `value` revokes a session that began at `created`. An empty value revokes no session.
fn revoked(value: &[u8], created: Option<UnixTime>) -> Result<bool, MalformedRecord> {
    if value.is_empty() {
        return Ok(false);
    }
    let digits = str::from_utf8(value).ok().filter(|text| {
        text.len() <= LONGEST_NUMBER && text.bytes().all(|byte| byte.is_ascii_digit())
    });
    let millis = digits
        .and_then(|text| text.parse().ok())
        .ok_or(MalformedRecord::Revocation)?;
    Ok(created.is_none_or(|created| created < UnixTime::from_millis(millis)))
}

#[derive(Deserialize)]
struct Value {
    session: Session,
    user: Option<User>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Session {
    token: String,
    user_id: Id,
    expires_at: Time,
    created_at: Option<Time>,
    impersonated_by: Option<Json>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct User {
    id: Id,
    email: Option<String>,
    name: Option<String>,
    #[serde(default, deserialize_with = "if_present")]
    email_verified: Option<Json>,
    is_anonymous: Option<Json>,
}

/// Deserializes a present value, which may be `null`, as `Some`.
fn if_present<'de, D: Deserializer<'de>>(json: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(json).map(Some)
}

/// An id. It is a number when the database generates it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Id {
    Number(i64),
    Text(String),
}

impl Id {
    fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Number(number) => number.to_string().into(),
            Self::Text(text) => text.into(),
        }
    }
}

/// A point in time: ISO 8601, or milliseconds since 1970.
#[derive(Deserialize)]
#[serde(untagged)]
enum Time {
    Millis(u64),
    Text(String),
}

impl Time {
    fn read(&self) -> Option<UnixTime> {
        match self {
            Self::Millis(millis) => Some(UnixTime::from_millis(*millis)),
            Self::Text(text) => time::of_text(text, None),
        }
    }

    /// Reads the end of a session. Better Auth writes a text. A small number is in seconds; read as milliseconds, it would
    /// mean that every session ended long ago.
    fn read_end(&self) -> Result<UnixTime, MalformedRecord> {
        match self {
            Self::Millis(millis) if *millis < MIN_MILLIS => Err(MalformedRecord::ExpiryInSeconds),
            Self::Millis(_) | Self::Text(_) => self.read().ok_or(MalformedRecord::Expiry),
        }
    }
}

const REVOKED_BEFORE: &str = "revoked-sessions-before-";

/// The longest value in bytes: a session and its user, with all fields that an application adds.
const LONGEST_SESSION: usize = 64 * 1024;

/// The smallest number that is taken for milliseconds: the year 1973. As seconds it would be the year 5138.
const MIN_MILLIS: u64 = 100_000_000_000;

/// The longest number in bytes: enough digits for milliseconds long after the year 9999.
const LONGEST_NUMBER: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    const VALUE: &str = r#"{"session":{"id":"s1","token":"t0k","userId":"u1","expiresAt":"2030-03-17T17:46:40.123Z",
        "createdAt":"2030-03-10T17:46:40.000Z","updatedAt":"2030-03-10T17:46:40.000Z","ipAddress":"","userAgent":null},
        "user":{"id":"u1","email":"ada@example.com","name":"Ada","emailVerified":true,"notes":{"a":[1]}}}"#;

    #[test]
    fn a_session_of_better_auth_is_read() {
        let row = session(VALUE.as_bytes(), "t0k").unwrap();
        assert_eq!(row.subject, "u1");
        assert_eq!(row.email.as_deref(), Some("ada@example.com"));
        assert_eq!(row.name.as_deref(), Some("Ada"));
        assert_eq!(row.issued_at, Some(UnixTime::from_secs(1_899_395_200)));
        assert_eq!(row.expires_at, UnixTime::from_millis(1_900_000_000_123));

        for (value, subject) in [
            (
                r#"{"session":{"token":"t0k","userId":7,"expiresAt":1900000000123},"user":null}"#,
                "7",
            ),
            (
                r#"{"session":{"token":"t0k","userId":"7","expiresAt":1900000000123},"user":{"id":7}}"#,
                "7",
            ),
            (
                r#"{"session":{"token":"t0k","userId":"u1","expiresAt":1900000000123}}"#,
                "u1",
            ),
        ] {
            let row = session(value.as_bytes(), "t0k").unwrap();
            assert_eq!((&*row.subject, row.issued_at), (subject, None));
            assert_eq!(row.expires_at, UnixTime::from_millis(1_900_000_000_123));
        }
    }

    #[test]
    fn any_other_value_is_malformed() {
        for (part, other, fault) in [
            (
                r#""token":"t0k""#,
                r#""token":"T0K""#,
                MalformedRecord::OtherToken,
            ),
            (r#""token":"t0k","#, "", MalformedRecord::NotBetterAuth),
            (
                r#""token":"t0k""#,
                r#""token":["t0k"]"#,
                MalformedRecord::NotBetterAuth,
            ),
            (
                r#""token":"t0k""#,
                r#""token":"x","token":"t0k""#,
                MalformedRecord::NotBetterAuth,
            ),
            (r#""userId":"u1","#, "", MalformedRecord::NotBetterAuth),
            (
                r#""userId":"u1""#,
                r#""userId":null"#,
                MalformedRecord::NotBetterAuth,
            ),
            (
                r#""userId":"u1""#,
                r#""userId":1.5"#,
                MalformedRecord::NotBetterAuth,
            ),
            (
                r#""userId":"u1""#,
                r#""userId":"u2""#,
                MalformedRecord::OtherUser,
            ),
            (
                r#""expiresAt":"2030-03-17T17:46:40.123Z","#,
                "",
                MalformedRecord::NotBetterAuth,
            ),
            ("2030-03-17T17:46:40.123Z", "never", MalformedRecord::Expiry),
            (
                r#""2030-03-17T17:46:40.123Z""#,
                "1900000000",
                MalformedRecord::ExpiryInSeconds,
            ),
            (
                r#""2030-03-17T17:46:40.123Z""#,
                r#""1900000000123""#,
                MalformedRecord::Expiry,
            ),
            (
                r#""2030-03-17T17:46:40.123Z""#,
                "null",
                MalformedRecord::NotBetterAuth,
            ),
            (
                r#""2030-03-17T17:46:40.123Z""#,
                "1e400",
                MalformedRecord::NotBetterAuth,
            ),
            (
                r#""createdAt":"2030-03-10T17:46:40.000Z""#,
                r#""createdAt":"""#,
                MalformedRecord::Creation,
            ),
            (
                r#""user":{"id":"u1","#,
                r#""user":{"#,
                MalformedRecord::NotBetterAuth,
            ),
            (
                r#""user":{"#,
                r#""user":true,"x":{"#,
                MalformedRecord::NotBetterAuth,
            ),
        ] {
            let value = VALUE.replace(part, other);
            assert_ne!(value, VALUE, "{part}");
            assert_eq!(
                session(value.as_bytes(), "t0k").unwrap_err(),
                fault,
                "{value}"
            );
        }
        for value in [
            "",
            "null",
            "1",
            "[]",
            "{}",
            "[{\"token\":\"t0k\"}]",
            &VALUE[1..],
        ] {
            assert_eq!(
                session(value.as_bytes(), "t0k").unwrap_err(),
                MalformedRecord::NotBetterAuth
            );
        }
        let long = VALUE.replace(
            "\"a\":[1]",
            &format!("\"a\":\"{}\"", "x".repeat(LONGEST_SESSION)),
        );
        assert_eq!(
            session(long.as_bytes(), "t0k").unwrap_err(),
            MalformedRecord::NotBetterAuth
        );
    }

    #[test]
    fn a_revocation_ends_sessions_that_began_before_it() {
        let at = |millis| Some(UnixTime::from_millis(millis));
        for (value, created, ended) in [
            ("", None, false),
            ("", at(999), false),
            ("1000", at(999), true),
            ("1000", at(1000), false),
            ("1000", None, true),
            ("0", at(0), false),
        ] {
            assert_eq!(revoked(value.as_bytes(), created), Ok(ended), "{value}");
        }
        for value in ["-1", "1e3", "1000 ", "x", "99999999999999999", "\u{0}"] {
            assert_eq!(
                revoked(value.as_bytes(), at(1)),
                Err(MalformedRecord::Revocation),
                "{value}"
            );
        }
    }
}
