//! `sessiongate open`: what a gate would make of a `Cookie` header, and if it would refuse it, why.
//!
//! Everything here is a function of what was asked. The verdict is the one that the `session` crate gives to a running
//! gate; what [`diagnosis`] tries beyond that, other secrets, salts and formats, is for the person who asks alone.

mod diagnosis;
mod pasted;

use std::ops::Not;

use serde::Serialize;
use serde_json::{Map, Value};
use session::{
    CacheStrategy, ClaimDemands, CookieCache, CookieName, CookieNameError, KeyRing, KeyRingError,
    OpenError, Opened, SealedSession, Secret, SessionCookie, UnixTime,
};

/// A header, and how it is to be read.
#[derive(Debug)]
pub(crate) struct Question<'q> {
    /// The value of the `Cookie` header.
    pub(crate) cookie_header: &'q [u8],
    /// The value of the `Authorization` header.
    pub(crate) authorization: Option<&'q [u8]>,
    /// Which cookies count.
    pub(crate) recognised: Recognised,
    /// The secrets of Auth.js and NextAuth, the current one first.
    pub(crate) authjs_secrets: &'q [Secret],
    /// The secrets of Better Auth, the current one first.
    pub(crate) better_auth_secrets: &'q [Secret],
    /// A salt that is set somewhere, which the diagnosis tries too.
    pub(crate) other_salt: Option<&'q str>,
    /// When the session should be valid.
    pub(crate) now: UnixTime,
}

/// Which cookies count as a session, and how they are written.
#[derive(Clone, Debug)]
pub(crate) struct Recognised {
    /// The framework.
    pub(crate) format: Format,
    /// The one cookie that counts; for Better Auth that of the session token.
    pub(crate) cookie_name: Option<CookieName>,
    /// The salt of Auth.js and NextAuth, if it is the app's own.
    pub(crate) salt: Option<String>,
    /// The one strategy of Better Auth's cookie cache that counts.
    pub(crate) strategy: Option<CacheStrategy>,
    /// The version that Better Auth's cookie cache must have.
    pub(crate) cache_version: String,
}

/// The framework that a session is expected from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Any; a cookie of another than the default names is told by its name.
    Auto,
    /// Auth.js v5.
    AuthJs,
    /// Better Auth.
    BetterAuth,
    /// NextAuth v4.
    NextAuth,
}

/// Cookies and the secrets that go with them.
type Group<'q> = (&'q [Secret], Vec<SessionCookie>);

/// What came out.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A session, whole and valid.
    Session {
        /// Where it was, if not in `Authorization`.
        cookie: Option<CookieName>,
        /// Its format, in a stable word.
        format: &'static str,
        /// Everything it says.
        claims: Map<String, Value>,
        /// When it ends.
        expires_at: UnixTime,
    },
    /// A genuine token, about which only the app's store can say more.
    Token {
        /// Where it was, if not in `Authorization`.
        cookie: Option<CookieName>,
        /// Its format, in a stable word.
        format: &'static str,
        /// The token.
        token: String,
    },
    /// No session.
    Refused(Refusal),
}

/// Why there is no session.
#[derive(Debug, Serialize)]
pub(crate) struct Refusal {
    /// The code that the audit log would show.
    pub(crate) reason: &'static str,
    /// The same in words.
    pub(crate) message: String,
    /// What probably went wrong, where that could be found out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) likely_cause: Option<String>,
    /// The name of the cookie that matters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cookie: Option<String>,
    /// Whether a gate would still ask the app's store, because the token beside a refused cookie cache is genuine.
    #[serde(rename = "lookup_required", skip_serializing_if = "Not::not")]
    pub(crate) needs_lookup: bool,
}

/// Why a question cannot be answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum QuestionError {
    /// The secrets or cookies do not go together.
    #[error(transparent)]
    KeyRing(#[from] KeyRingError),
    /// A default name is not one.
    #[error(transparent)]
    Name(#[from] CookieNameError),
}

impl Question<'_> {
    /// Opens the session as a gate would, and looks for the cause if it does not open.
    ///
    /// # Errors
    /// [`QuestionError`] when the cookies and secrets make no key ring.
    pub(crate) fn answer(&self) -> Result<Answer, QuestionError> {
        let groups = self.recognised.groups(self)?;
        let keys = KeyRing::of_groups(&groups)?;
        let sealed = SealedSession::find(&keys, [self.cookie_header], self.authorization);
        let found = match &sealed {
            Ok(Some(sealed)) => sealed.cookie(&keys).cloned(),
            Ok(None) | Err(_) => None,
        };
        let cookie = found.as_ref().map(|cookie| cookie.name().clone());
        let opened = match sealed {
            Ok(None) => return Ok(Answer::Refused(self.no_credential())),
            Ok(Some(sealed)) => sealed.open(&keys, &ClaimDemands::default(), self.now),
            Err(error) => Err(error),
        };
        Ok(match opened {
            Ok(Opened::Session(session)) => Answer::Session {
                cookie,
                format: session.format().as_str(),
                claims: session.claims(),
                expires_at: session.expires_at(),
            },
            Ok(Opened::Lookup { token, cache: None }) => Answer::Token {
                cookie,
                format: token.format().as_str(),
                token: token.expose().to_owned(),
            },
            Ok(Opened::Lookup {
                token,
                cache: Some(error),
            }) => {
                let data_name = found.as_ref().and_then(SessionCookie::data_name);
                Answer::Refused(Refusal {
                    reason: error.reason(),
                    message: error.to_string(),
                    likely_cause: diagnosis::of_cache(self, found.as_ref(), &token, &error),
                    cookie: data_name.map(CookieName::to_string),
                    needs_lookup: true,
                })
            }
            Err(error) => Answer::Refused(Refusal {
                reason: error.reason(),
                message: error.to_string(),
                likely_cause: diagnosis::of_session(self, found.as_ref(), &error),
                cookie: named(&error).or(cookie.as_ref()).map(CookieName::to_string),
                needs_lookup: false,
            }),
        })
    }

    fn no_credential(&self) -> Refusal {
        Refusal {
            reason: "no_credential",
            message: "there is no session in it".to_owned(),
            likely_cause: diagnosis::of_nothing(self),
            cookie: self
                .recognised
                .cookie_name
                .as_ref()
                .map(|name| name.to_string()),
            needs_lookup: false,
        }
    }
}

impl Recognised {
    /// Every cookie that counts, with the secrets that go with it, in order of preference.
    fn groups<'q>(&self, question: &Question<'q>) -> Result<[Group<'q>; 2], CookieNameError> {
        let [authjs @ .., _, _] = SessionCookie::defaults();
        let [_, _, nextauth @ ..] = SessionCookie::defaults();
        let named = |cookie: fn(CookieName) -> SessionCookie| {
            let name = self.cookie_name.clone();
            name.map(|name| vec![cookie(name)])
        };
        let format = self.format();
        let encrypted = match format {
            Format::Auto => SessionCookie::defaults().into(),
            Format::AuthJs => named(SessionCookie::authjs).unwrap_or(authjs.into()),
            Format::BetterAuth => Vec::new(),
            Format::NextAuth => named(SessionCookie::nextauth).unwrap_or(nextauth.into()),
        };
        let salted = |cookie: SessionCookie| match &self.salt {
            Some(salt) => cookie.with_salt(salt),
            None => cookie,
        };
        let better_auth = match format {
            Format::AuthJs | Format::NextAuth => Vec::new(),
            Format::Auto | Format::BetterAuth => match named(SessionCookie::better_auth) {
                Some(cookies) => cookies,
                None => SessionCookie::better_auth_defaults("better-auth")?.into(),
            },
        };
        let cached = |cookie: SessionCookie| {
            cookie.with_cache(Some(CookieCache {
                strategy: self.strategy,
                version: self.cache_version.as_str().into(),
            }))
        };
        Ok([
            (
                question.authjs_secrets,
                encrypted.into_iter().map(salted).collect(),
            ),
            (
                question.better_auth_secrets,
                better_auth.into_iter().map(cached).collect(),
            ),
        ])
    }

    /// The format, told by the cookie's name if nothing else says it.
    fn format(&self) -> Format {
        let of_nextauth = |name: &str| name.ends_with("next-auth.session-token");
        match (self.format, &self.cookie_name) {
            (Format::Auto, Some(name)) if of_nextauth(name.as_str()) => Format::NextAuth,
            (Format::Auto, Some(name)) if name.as_str().ends_with("session_token") => {
                Format::BetterAuth
            }
            (Format::Auto, Some(_)) => Format::AuthJs,
            (format, _) => format,
        }
    }
}

/// The cookie that an error is about.
fn named(error: &OpenError) -> Option<&CookieName> {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the others are not about a cookie's name"
    )]
    match error {
        OpenError::AmbiguousCookie { name }
        | OpenError::MalformedChunk { name }
        | OpenError::MissingChunk { name, .. }
        | OpenError::MissingToken { name } => Some(name),
        _ => None,
    }
}

impl Answer {
    /// Whether a gate would let it in, or ask the store whether to.
    pub(crate) fn is_opened(&self) -> bool {
        !matches!(self, Self::Refused(_))
    }

    /// For programs: one line of JSON.
    pub(crate) fn json(&self) -> String {
        #[derive(Serialize)]
        struct Line<'a> {
            opened: bool,
            #[serde(skip_serializing_if = "Option::is_none")]
            format: Option<&'a str>,
            #[serde(skip_serializing_if = "Not::not")]
            lookup_required: bool,
            #[serde(skip_serializing_if = "Option::is_none")]
            claims: Option<&'a Map<String, Value>>,
            #[serde(flatten)]
            refusal: Option<&'a Refusal>,
        }
        let token;
        let (format, claims, lookup_required, refusal) = match self {
            Self::Session { format, claims, .. } => (Some(*format), Some(claims), false, None),
            Self::Token {
                format, token: own, ..
            } => {
                token = Map::from_iter([("token".to_owned(), own.as_str().into())]);
                (Some(*format), Some(&token), true, None)
            }
            Self::Refused(refusal) => (None, None, false, Some(refusal)),
        };
        let line = Line {
            opened: self.is_opened(),
            format,
            lookup_required,
            claims,
            refusal,
        };
        serde_json::to_string(&line).expect("JSON values and texts are JSON")
    }

    /// For people.
    pub(crate) fn text(&self, now: UnixTime) -> String {
        match self {
            Self::Session {
                cookie,
                format,
                claims,
                expires_at,
            } => {
                let place = place(cookie.as_ref());
                let claims = serde_json::to_string_pretty(claims).expect("JSON values are JSON");
                let left = expires_at.saturating_since(now);
                let left = match left.is_zero() {
                    true => "it has just expired, within the tolerance of 15 seconds".to_owned(),
                    false => format!("it expires in {}", diagnosis::span(left)),
                };
                format!("Opened: a session of the format {format}, {place}; {left}.\n\n{claims}")
            }
            Self::Token {
                cookie,
                format,
                token,
            } => format!(
                "Opened: a genuine session token of the format {format}, {}. Whether its session lives, only the \
                 app's store knows; a gate looks it up there.\n\n{token}",
                place(cookie.as_ref())
            ),
            Self::Refused(refusal) => {
                let mut text = format!("Refused: {} ({})", refusal.message, refusal.reason);
                if let Some(cookie) = &refusal.cookie
                    && !refusal.message.contains(cookie)
                {
                    text += &format!(", cookie {cookie}");
                }
                text += ".\n";
                if let Some(cause) = &refusal.likely_cause {
                    text += &format!("Likely cause: {cause}.\n");
                }
                if refusal.needs_lookup {
                    text += "The session token beside it is genuine, so a gate would look the session up in the \
                             app's store, and may well let it in.\n";
                }
                text.pop();
                text
            }
        }
    }
}

fn place(cookie: Option<&CookieName>) -> String {
    match cookie {
        Some(name) => format!("in cookie {name}"),
        None => "in the Authorization header".to_owned(),
    }
}
