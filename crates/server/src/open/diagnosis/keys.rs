//! Tries other keys that operators commonly mix up: secrets, salts and frameworks.

mod readings;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde_json::{Map, Value};
use session::{
    CookieName, KeyRing, OpenError, Opened, SealedSession, Secret, SessionCookie, SessionToken,
    seal,
};

pub(super) use self::readings::salts;
use self::readings::{Candidate, CookieReading};
use super::super::inspection::Inspection;
use super::super::pasted::Pasted;
use crate::config::SessionFormat;

/// A session that did not open.
pub(super) struct FailedSession<'t> {
    pub(super) inspection: &'t Inspection<'t>,
    /// The session's cookie; `None` for a Bearer value, or if no cookie could be joined from its chunks.
    pub(super) found: Option<&'t SessionCookie>,
    pub(super) part: FailedPart<'t>,
}

/// The part of the session that did not open.
pub(super) enum FailedPart<'t> {
    /// Better Auth's cookie cache, beside this token.
    Cache(&'t SessionToken),
    /// The whole session.
    Whole,
}

impl FailedSession<'_> {
    /// Describes a session in another cookie that opens, although the preferred one in `name` does not.
    pub(super) fn other_cookie(&self, name: Option<&CookieName>) -> Option<String> {
        let name = name?;
        let groups = self.inspection.groups();
        let cookies = groups
            .iter()
            .flat_map(|(secrets, cookies)| cookies.iter().map(move |cookie| (*secrets, cookie)));
        let other =
            cookies
                .filter(|(_, cookie)| cookie.name() != name)
                .find(|(secrets, cookie)| {
                    let keys = KeyRing::new(secrets, vec![(*cookie).clone()]);
                    keys.is_ok_and(|keys| {
                        let opened = self.open(&keys, self.inspection.cookie_header, None);
                        matches!(opened, Some(Ok(_)))
                    })
                });
        other.map(|(_, other)| {
            format!(
                "the cookie {} would open, but the header also has {name}, which comes first; it is left over, so \
                 delete it in the browser",
                other.name()
            )
        })
    }

    /// Whether the part that did not open opens from this header instead.
    pub(super) fn opens_with(&self, header: &[u8]) -> bool {
        let opened = KeyRing::of_groups(&self.inspection.groups())
            .ok()
            .and_then(|keys| self.open(&keys, header, None));
        match (opened, &self.part) {
            (Some(Ok(Opened::Session(_))), _) => true,
            (Some(Ok(Opened::Lookup { .. })), FailedPart::Whole) => true,
            (Some(Ok(Opened::Lookup { .. })), FailedPart::Cache(_)) | (Some(Err(_)) | None, _) => {
                false
            }
        }
    }

    /// Whether the session is one of Better Auth.
    pub(super) fn is_better_auth(&self) -> bool {
        match self.found {
            Some(cookie) => cookie.expects() == "better-auth",
            None => self.inspection.recognized.format == SessionFormat::BetterAuth,
        }
    }

    /// The common mistake that explains why the session does not open, if there is one.
    pub(super) fn other_key(&self, error: &OpenError) -> Option<String> {
        let readings = self.readings();
        let candidates = self.candidates();
        // Try as few mistakes as possible: one, then two.
        let pairs = || {
            candidates
                .iter()
                .flat_map(|candidate| readings.iter().map(move |reading| (candidate, reading)))
        };
        let count = |(candidate, reading): &(&Candidate, &CookieReading)| {
            usize::from(candidate.other.is_some()) + usize::from(reading.other.is_some())
        };
        let single = pairs().filter(|pair| count(pair) == 1);
        let double = pairs().filter(|pair| count(pair) == 2);
        single.chain(double).find_map(|(candidate, reading)| {
            let opened = self.attempt(&candidate.secret, &reading.cookie)?;
            let still = match &opened {
                Ok(()) => String::new(),
                Err(other) if other == error => return None,
                Err(other) if is_about_claims(other) => {
                    format!("; then it is still refused, because {other}")
                }
                Err(_) => return None,
            };
            let others: Vec<_> = [&reading.other, &candidate.other]
                .into_iter()
                .flatten()
                .collect();
            let phrases: Vec<_> = others.iter().map(|other| other.how.as_str()).collect();
            let advice: Vec<_> = others.iter().map(|other| other.advice.as_str()).collect();
            let subject = match self.part {
                FailedPart::Cache(_) => "the cache beside the token",
                FailedPart::Whole => "it",
            };
            Some(format!(
                "{subject} opens {}; {}{still}",
                phrases.join(" and "),
                advice.join(", and ")
            ))
        })
    }

    /// The likely cause if no key opens it.
    pub(super) fn no_key(&self, error: &OpenError) -> Option<String> {
        let secrets = match self.secrets().len() {
            1 => "the one given".to_owned(),
            count => format!("any of the {count} given"),
        };
        if matches!(self.part, FailedPart::Cache(_)) {
            return Some(
                "the token beside it is genuine, so the secret is right: the cache was sealed with an earlier secret, or \
                 was changed on its way here"
                    .to_owned(),
            );
        }
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "the other errors need no explanation"
        )]
        match error {
            OpenError::RejectedTag if self.names_its_key() => Some(
                "the token names the right key, so secret and salt are right: the value was changed on its way here, \
                 or put together from chunks of two sessions"
                    .to_owned(),
            ),
            OpenError::UnknownKey => Some(format!(
                "the app seals its sessions with another secret than {secrets}, common misspellings included, or with \
                 a salt of its own (`--salt`)"
            )),
            OpenError::RejectedSignature | OpenError::RejectedTag => Some(format!(
                "it was made with another secret than {secrets}, common misspellings included, or was changed on its \
                 way here"
            )),
            OpenError::UnsupportedAlgorithm => {
                let header = self.header()?;
                let text = |name| header.get(name).and_then(Value::as_str).unwrap_or("nothing");
                Some(format!(
                    "its header has alg {:?} and enc {:?}, which the framework never writes together",
                    text("alg"),
                    text("enc")
                ))
            }
            _ => None,
        }
    }

    /// Whether the session is an Auth.js token whose header names its key. If the gate did not have that key, the error would be
    /// [`OpenError::UnknownKey`], so with [`OpenError::RejectedTag`] it is the key that was tried.
    fn names_its_key(&self) -> bool {
        let is_authjs = |cookie: &&SessionCookie| cookie.expects().starts_with("authjs-v5");
        let header = self.found.filter(is_authjs).and_then(|_| self.header());
        header.is_some_and(|header| header.contains_key("kid"))
    }

    /// The header of the token in the cookie.
    fn header(&self) -> Option<Map<String, Value>> {
        let value = Pasted::new(self.inspection.cookie_header).value(self.found?.name());
        header(&value)
    }

    fn secrets(&self) -> &[Secret] {
        match self.is_better_auth() {
            true => self.inspection.better_auth_secrets,
            false => self.inspection.authjs_secrets,
        }
    }

    /// The result of opening the session with this secret, as this cookie. `None` if that finds no session to open.
    fn attempt(&self, secret: &Secret, cookie: &SessionCookie) -> Option<Result<(), OpenError>> {
        let secrets = [secret.clone()];
        let keys = KeyRing::new(&secrets, vec![cookie.clone()]).ok()?;
        let inspection = self.inspection;
        let opened = match (&self.part, self.found) {
            (FailedPart::Whole, Some(_)) => self.open(&keys, inspection.cookie_header, None)?,
            (FailedPart::Whole, None) => self.open(&keys, b"", inspection.authorization)?,
            // A cache opens only beside a token that is signed with the same secret. The token is genuine, so sign it again with
            // the secret that is tried.
            (FailedPart::Cache(token), _) => {
                let data_name = cookie.data_name()?;
                let pasted = Pasted::new(inspection.cookie_header);
                let token = seal::better_auth_token(secret, token.expose());
                let mut header = format!("{}={token}; {data_name}=", cookie.name()).into_bytes();
                header.extend(pasted.value(data_name));
                self.open(&keys, &header, None)?
            }
        };
        Some(match opened {
            Ok(Opened::Lookup {
                cache: Some(error), ..
            }) if matches!(self.part, FailedPart::Cache(_)) => Err(error),
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        })
    }

    fn open(
        &self,
        keys: &KeyRing,
        cookie_header: &[u8],
        authorization: Option<&[u8]>,
    ) -> Option<Result<Opened, OpenError>> {
        let sealed = SealedSession::find(keys, [cookie_header], authorization)
            .ok()
            .flatten()?;
        Some(sealed.open(keys, &self.inspection.demands, self.inspection.now))
    }
}

/// Whether a session with this error was decrypted or verified before it was refused.
pub(in crate::open) fn is_about_claims(error: &OpenError) -> bool {
    match error {
        OpenError::Expired { .. }
        | OpenError::ExpiryOutOfRange
        | OpenError::HeaderMismatch { .. }
        | OpenError::IssuedInFuture { .. }
        | OpenError::MalformedClaim { .. }
        | OpenError::MalformedClaims
        | OpenError::MissingExpiry
        | OpenError::MissingIssueTime
        | OpenError::MissingSubject
        | OpenError::NotYetValid { .. }
        | OpenError::TooOld { .. }
        | OpenError::WrongAudience
        | OpenError::WrongCacheVersion
        | OpenError::WrongIssuer
        | OpenError::WrongToken => true,
        OpenError::AmbiguousAuthorization
        | OpenError::AmbiguousCookie { .. }
        | OpenError::MalformedBearer
        | OpenError::MalformedChunk { .. }
        | OpenError::MalformedHeader
        | OpenError::MalformedSessionToken
        | OpenError::MalformedToken { .. }
        | OpenError::MissingChunk { .. }
        | OpenError::MissingToken { .. }
        | OpenError::Oversize
        | OpenError::RejectedSignature
        | OpenError::RejectedTag
        | OpenError::UnknownKey
        | OpenError::UnsupportedAlgorithm
        | OpenError::UnsupportedHeader { .. } => false,
    }
}

/// The header of a token, if it can be parsed.
pub(super) fn header(value: &[u8]) -> Option<Map<String, Value>> {
    let segment = value.split(|byte| *byte == b'.').next()?;
    let header = BASE64_URL_SAFE_NO_PAD.decode(segment).ok()?;
    serde_json::from_slice(&header).ok()
}
