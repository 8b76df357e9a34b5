//! Sessions that live in the application's store: the token that names one, and what the store says about it.

use core::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::error::OpenError;
use crate::session::{ClaimsText, Session, hash};
use crate::standing::{OwnStanding, Standing};
use crate::subject::is_subject;
use crate::text_claim::TextClaim;
use crate::{ClaimDemands, Format, UnixTime};

/// The token of a session that only the application's store knows.
///
/// Better Auth signs it, Auth.js does not; either way it proves nothing before the lookup. Anyone who has it can act as the
/// user, so pass it to the store and nowhere else: caches, logs and messages use its [`id`](Self::id).
#[derive(Clone)]
pub struct SessionToken {
    text: Zeroizing<Box<str>>,
    id: Arc<str>,
    format: Format,
}

impl SessionToken {
    /// The token in the value of an Auth.js cookie under the database strategy. By default that is a UUID or 64
    /// hexadecimal digits (`@auth/core` `src/lib/init.ts`, `next-auth` 4 `src/core/init.ts`), but applications may make
    /// their own.
    ///
    /// # Errors
    /// [`OpenError::MalformedSessionToken`] for a value that cannot be a token.
    pub(crate) fn opaque(value: &[u8]) -> Result<Self, OpenError> {
        str::from_utf8(value)
            .ok()
            .filter(|text| (1..=MAX_TOKEN_LEN).contains(&text.len()))
            .filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic()))
            .map(|text| Self::new(text, Format::AuthJsDatabase))
            .ok_or(OpenError::MalformedSessionToken)
    }

    pub(crate) fn new(text: &str, format: Format) -> Self {
        Self {
            id: hash(text.as_bytes()),
            text: Zeroizing::new(text.into()),
            format,
        }
    }

    /// The token itself, as the store knows it: 1 to 512 visible ASCII characters. The name is a warning: the caller must protect
    /// the token.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// The session's id, for use in place of the token: the SHA-256 of the token in base64url, 43 characters.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The [`id`](Self::id) of the session with this token.
    #[must_use]
    pub fn id_of(token: &str) -> Arc<str> {
        hash(token.as_bytes())
    }

    pub(crate) fn shared_id(&self) -> TextClaim {
        TextClaim::Own(Arc::clone(&self.id))
    }

    /// [`Format::AuthJsDatabase`] or [`Format::BetterAuthToken`].
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// Makes a session from the store's answer about this token, if it is still valid at the time `now`. Only the maximum age of
    /// `demands` applies: a stored session has neither issuer nor audience.
    ///
    /// # Errors
    /// [`OpenError::Expired`] from the first millisecond after the end, without the tolerance of other formats, as the
    /// applications themselves decide (`@auth/core` `src/lib/actions/session.ts`, Better Auth
    /// `dist/api/routes/session.mjs`). [`OpenError::MissingIssueTime`] or [`OpenError::TooOld`] for a demanded age.
    pub fn open(
        &self,
        stored: &StoredSession,
        demands: &ClaimDemands,
        now: UnixTime,
    ) -> Result<Session, OpenError> {
        if stored.expires_at < now {
            return Err(OpenError::Expired {
                at: stored.expires_at,
            });
        }
        demands.check_age(stored.issued_at, now)?;
        let StoredSession {
            claims,
            subject,
            email,
            name,
            standing,
            issued_at,
            expires_at,
            more: _,
        } = stored.clone();
        Ok(Session {
            claims: ClaimsText::Shared(claims),
            format: self.format,
            subject,
            id: self.shared_id(),
            email,
            name,
            standing,
            issued_at,
            expires_at,
        })
    }
}

impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionToken")
            .field("id", &self.id)
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

/// A session as the application's store describes it. Cheap to clone: its texts are shared.
///
/// A store is queried by token, so the answer is about exactly one session; [`SessionToken::open`] makes a [`Session`] from it.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredSession {
    /// A JSON object with the claims `sub`, `email`, `email_verified`, `name`, `iat` and `exp`, as far as they are known.
    claims: Arc<str>,
    subject: TextClaim,
    email: Option<TextClaim>,
    name: Option<TextClaim>,
    standing: OwnStanding,
    issued_at: Option<UnixTime>,
    expires_at: UnixTime,
    /// Additional claims; `None` where there are none, so that a clone costs nothing.
    more: Option<Arc<Map<String, Value>>>,
}

/// The columns from which a [`StoredSession`] is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredColumns<'a> {
    /// The user's id as text.
    pub subject: &'a str,
    /// The user's e-mail address.
    pub email: Option<&'a str>,
    /// The user's name.
    pub name: Option<&'a str>,
    /// Whether the user's address is verified, whether the user is a guest, and who impersonates the user.
    pub standing: Standing<'a>,
    /// When the session began, if the store knows it.
    pub issued_at: Option<UnixTime>,
    /// The last millisecond in which the session is valid.
    pub expires_at: UnixTime,
}

impl StoredSession {
    /// Checks the columns that a store returned.
    ///
    /// # Errors
    /// [`OpenError::MissingSubject`] or [`OpenError::MalformedClaim`] when the user's id is empty, longer than 1024
    /// bytes, or holds a control character. [`OpenError::ExpiryOutOfRange`] beyond the year 9999.
    pub fn new(columns: StoredColumns<'_>) -> Result<Self, OpenError> {
        let StoredColumns {
            subject,
            email,
            name,
            standing,
            issued_at,
            expires_at,
        } = columns;
        if subject.is_empty() {
            return Err(OpenError::MissingSubject);
        }
        if !is_subject(subject) {
            return Err(OpenError::MalformedClaim { claim: "sub" });
        }
        if expires_at > UnixTime::LAST_EXPIRY {
            return Err(OpenError::ExpiryOutOfRange);
        }
        let claims: Map<String, Value> = [
            ("sub", Some(Value::from(subject))),
            ("email", email.map(Value::from)),
            ("email_verified", standing.email_verified.map(Value::from)),
            ("name", name.map(Value::from)),
            ("iat", issued_at.map(|time| Value::from(time.secs()))),
            ("exp", Some(Value::from(expires_at.secs()))),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect();
        let claims = serde_json::to_string(&claims).expect("a map of JSON values is JSON");
        let owned = |text: &str| TextClaim::Own(text.into());
        Ok(Self {
            claims: claims.into(),
            subject: owned(subject),
            email: email.map(owned),
            name: name.map(owned),
            standing: OwnStanding::stored(standing),
            issued_at,
            expires_at,
            more: None,
        })
    }

    /// Adds claims, such as the objects `session` and `user` that Better Auth writes into its cookie cache. They replace none of
    /// the session's own claims.
    #[must_use]
    pub fn with_more_claims(self, more: Map<String, Value>) -> Self {
        if more.is_empty() {
            return self;
        }
        let mut claims = more.clone();
        let own: Map<String, Value> = serde_json::from_str(&self.claims).expect("we wrote it");
        claims.extend(own);
        let claims = serde_json::to_string(&claims).expect("a map of JSON values is JSON");
        Self {
            claims: claims.into(),
            more: Some(Arc::new(more)),
            ..self
        }
    }

    /// The claims that [`StoredSession::with_more_claims`] added.
    #[must_use]
    pub fn more_claims(&self) -> Option<&Map<String, Value>> {
        self.more.as_deref()
    }

    /// The columns from which the stored session was made.
    #[must_use]
    pub fn columns(&self) -> StoredColumns<'_> {
        StoredColumns {
            subject: self.subject.text(&self.claims),
            email: self.email.as_ref().map(|claim| claim.text(&self.claims)),
            name: self.name.as_ref().map(|claim| claim.text(&self.claims)),
            standing: self.standing.standing(&self.claims),
            issued_at: self.issued_at,
            expires_at: self.expires_at,
        }
    }
}

impl fmt::Debug for StoredSession {
    /// Shows the subject and the expiry, and no other claims: those are private.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredSession")
            .field("subject", &self.columns().subject)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// The longest token, in bytes: twice what the widest column of the adapters holds.
const MAX_TOKEN_LEN: usize = 512;
