//! `sessiongate open`: opens the session in a `Cookie` header as a gate would, and explains why it does not open.
//!
//! Everything here is a pure function of the input. The verdict is that of the `session` crate, as in a running gate. What
//! [`diagnosis`] tries beyond that (other secrets, salts and formats) is only for the operator.

mod cache_expiry;
mod diagnosis;
mod inspection;
mod jwt;
mod outcome;
mod pasted;
mod realms;

use std::ops::Not;

use serde::Serialize;
use serde_json::{Map, Value};
use session::{CookieName, KeyRing, Opened, SealedSession, Secret, SessionCookie, UnixTime};

use self::cache_expiry::CacheExpiry;
use self::diagnosis::named;
pub(crate) use self::inspection::Inspection;
pub(crate) use self::outcome::{InspectionError, Outcome, RefusedSession};
pub(crate) use self::realms::RealmOutcome;
use crate::config::{RecognizedCookies, SessionFormat};

/// Cookies, and the secrets to open them with.
type Group<'q> = (&'q [Secret], Vec<SessionCookie>);

impl Inspection<'_> {
    /// Opens the session as a gate would, and finds the likely cause if it does not open.
    ///
    /// # Errors
    /// [`InspectionError`] if the cookies and secrets do not form a key ring.
    pub(crate) fn answer(&self) -> Result<Outcome, InspectionError> {
        let groups = self.groups();
        let keys = match groups.is_empty() {
            true => KeyRing::without_cookies(),
            false => KeyRing::of_groups(&groups)?,
        };
        let sealed = SealedSession::find(&keys, [self.cookie_header], self.authorization);
        let found = match &sealed {
            Ok(Some(sealed)) => sealed.cookie(&keys).cloned(),
            Ok(None) | Err(_) => None,
        };
        if let Some(issuer) = self.issuer
            && found.is_none()
            && sealed.is_ok()
            && let Some(answer) = jwt::answer(self, issuer)
        {
            return Ok(answer);
        }
        let cookie = found.as_ref().map(|cookie| cookie.name().clone());
        let opened = match sealed {
            Ok(None) => return Ok(Outcome::Refused(self.no_credential())),
            Ok(Some(sealed)) => sealed.open(&keys, &self.demands, self.now),
            Err(error) => Err(error),
        };
        Ok(match opened {
            Ok(Opened::Session(session)) => {
                let claims = session.claims();
                Outcome::Session {
                    cookie,
                    format: session.format().as_str(),
                    cache: CacheExpiry::of_cache(session.format(), &claims, &keys, self),
                    claims,
                    expires_at: session.expires_at(),
                }
            }
            Ok(Opened::Lookup { token, cache: None }) => Outcome::Token {
                cookie,
                format: token.format().as_str(),
                token: token.expose().to_owned(),
                ignores_cache: self.ignores_cache(found.as_ref()),
            },
            Ok(Opened::Lookup {
                token,
                cache: Some(error),
            }) => {
                let data_name = found.as_ref().and_then(SessionCookie::data_name);
                Outcome::Refused(RefusedSession {
                    reason: error.reason(),
                    message: error.to_string(),
                    likely_cause: diagnosis::of_cache(self, found.as_ref(), &token, &error),
                    cookie: data_name.map(CookieName::to_string),
                    format: data_name.and_then(|name| diagnosis::format_of(self, name)),
                    needs_lookup: true,
                    is_verified: true,
                })
            }
            Err(error) => {
                let name = named(&error).or(cookie.as_ref());
                Outcome::Refused(RefusedSession {
                    reason: error.reason(),
                    message: error.to_string(),
                    likely_cause: diagnosis::of_session(self, found.as_ref(), &error),
                    cookie: name.map(CookieName::to_string),
                    format: name.and_then(|name| diagnosis::format_of(self, name)),
                    needs_lookup: false,
                    is_verified: diagnosis::is_about_claims(&error),
                })
            }
        })
    }

    fn no_credential(&self) -> RefusedSession {
        let unknown = diagnosis::unknown_cookie(self);
        let own = self.recognized.cookie_name.as_ref();
        RefusedSession {
            reason: "no_credential",
            message: "it contains no session".to_owned(),
            likely_cause: diagnosis::of_nothing(self),
            cookie: unknown.as_ref().or(own).map(CookieName::to_string),
            format: unknown
                .as_ref()
                .and_then(|name| diagnosis::format_of(self, name)),
            needs_lookup: false,
            is_verified: false,
        }
    }

    /// Every recognized cookie with its secrets, in order of preference.
    fn groups(&self) -> Vec<Group<'_>> {
        let RecognizedCookies {
            authjs,
            better_auth,
            ..
        } = &self.recognized;
        let keyless = self.recognized.format == SessionFormat::AuthJsDatabase;
        let groups = [
            (self.authjs_secrets, authjs.clone()),
            (self.better_auth_secrets, better_auth.clone()),
        ];
        groups
            .into_iter()
            .filter(|(secrets, cookies)| !cookies.is_empty() && (keyless || !secrets.is_empty()))
            .collect()
    }

    /// Whether the `Cookie` header contains a cookie cache that is ignored, because it is not trusted.
    fn ignores_cache(&self, found: Option<&SessionCookie>) -> bool {
        let data_name = found.and_then(SessionCookie::data_name);
        self.recognized.cache.is_none()
            && data_name.is_some_and(|name| pasted::Pasted::new(self.cookie_header).has(name))
    }
}

impl Outcome {
    /// Whether a gate would accept the session, or look it up in the store.
    pub(crate) fn is_opened(&self) -> bool {
        !matches!(self, Self::Refused(_))
    }

    /// The outcome as one line of JSON, with the realm, if there are several.
    fn json(&self, realm: Option<&str>) -> String {
        #[derive(Serialize)]
        struct OutcomeLine<'a> {
            opened: bool,
            #[serde(skip_serializing_if = "Option::is_none")]
            realm: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            format: Option<&'a str>,
            #[serde(skip_serializing_if = "Not::not")]
            lookup_required: bool,
            #[serde(skip_serializing_if = "Option::is_none")]
            cache: Option<&'a CacheExpiry>,
            #[serde(skip_serializing_if = "Option::is_none")]
            claims: Option<&'a Map<String, Value>>,
            #[serde(flatten)]
            refusal: Option<&'a RefusedSession>,
        }
        let token;
        let (format, claims, cache, lookup_required, refusal) = match self {
            Self::Session {
                format,
                claims,
                cache,
                ..
            } => (Some(*format), Some(claims), cache.as_ref(), false, None),
            Self::Token {
                format, token: own, ..
            } => {
                token = Map::from_iter([("token".to_owned(), own.as_str().into())]);
                (Some(*format), Some(&token), None, true, None)
            }
            Self::Refused(refusal) => (None, None, None, false, Some(refusal)),
        };
        let line = OutcomeLine {
            opened: self.is_opened(),
            realm,
            format,
            lookup_required,
            cache,
            claims,
            refusal,
        };
        serde_json::to_string(&line).expect("JSON values and texts are JSON")
    }

    /// The outcome as text, with the realm, if there are several.
    fn text(&self, now: UnixTime, realm: Option<&str>) -> String {
        let of_realm = realm.map(|realm| format!(", realm {realm}"));
        let of_realm = of_realm.unwrap_or_default();
        match self {
            Self::Session {
                cookie,
                format,
                claims,
                expires_at,
                cache,
            } => {
                let place = place(cookie.as_ref());
                let claims = serde_json::to_string_pretty(claims).expect("JSON values are JSON");
                let left = expires_at.saturating_since(now);
                let left = match left.is_zero() {
                    true => "it has just expired, within the tolerance of 15 seconds".to_owned(),
                    false => format!("it expires in {}", diagnosis::span(left)),
                };
                let left = match cache {
                    Some(cache) => cache.text(&left, now),
                    None => left,
                };
                format!(
                    "Opened: a session of the format {format}, {place}{of_realm}; {left}.\n\n{claims}"
                )
            }
            Self::Token {
                cookie,
                format,
                token,
                ignores_cache,
            } => {
                let ignored = match ignores_cache {
                    true => format!(
                        " The cookie cache beside it is ignored, because {} is off.",
                        realms::key(realm, "TRUST_COOKIE_CACHE")
                    ),
                    false => String::new(),
                };
                let genuine = match *format == session::Format::AuthJsDatabase.as_str() {
                    true => "a",
                    false => "a genuine",
                };
                format!(
                    "Opened: {genuine} session token of the format {format}, {}{of_realm}. Only the app's store knows \
                     whether its session is still valid; a gate looks it up there.{ignored}\n\n{token}",
                    place(cookie.as_ref())
                )
            }
            Self::Refused(refusal) => {
                let mut text = format!("Refused: {} ({})", refusal.message, refusal.reason);
                if let Some(cookie) = &refusal.cookie
                    && !refusal.message.contains(cookie)
                {
                    text += &format!(", cookie {cookie}");
                }
                if let Some(format) = &refusal.format {
                    text += &format!(", which contains a value of the format {format}");
                }
                text += &format!("{of_realm}.\n");
                if let Some(cause) = &refusal.likely_cause {
                    text += &format!("Likely cause: {cause}.\n");
                }
                if refusal.needs_lookup {
                    text += "The session token beside it is genuine, so a gate would look up the session in the app's \
                         store, and may accept it.\n";
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
