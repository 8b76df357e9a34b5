//! Sessions that were found in a request and are not verified yet.

mod candidates;

use core::fmt;
use std::borrow::Cow;

pub use self::candidates::{Candidate, Candidates};

use crate::better_auth::BetterAuthKeys;
use crate::cookies::{self, MAX_TOKEN_LEN};
use crate::error::OpenError;
use crate::gathered::CookieValues;
use crate::jwe::{Header, Jwe, MAX_HEADER_LEN, RepeatedClaims};
use crate::keyring::{EncryptionKeys, FormatKeys, RingIdentity};
use crate::{ClaimDemands, CookieName, KeyRing, Session, SessionCookie, SessionToken, UnixTime};

/// A session that was found in a request. [`open`](Self::open) verifies it; before that nothing in it can be trusted.
#[must_use]
pub struct SealedSession<'a> {
    content: SealedContent<'a>,
    ring: RingIdentity,
}

/// The parts of the request that make up the session. `index` is the position of the cookie in the ring.
enum SealedContent<'a> {
    /// The value of `Authorization: Bearer`.
    Bearer { value: Cow<'a, [u8]> },
    /// A Better Auth token, and the cookie cache beside it.
    BetterAuth {
        index: usize,
        token: Cow<'a, [u8]>,
        caches: CookieValues<'a>,
    },
    /// An encrypted session.
    Encrypted { index: usize, value: Cow<'a, [u8]> },
    /// A token that only the application's database knows.
    Opaque { index: usize, value: Cow<'a, [u8]> },
    /// A signed session.
    Signed { index: usize, value: Cow<'a, [u8]> },
}

/// The result of opening a [`SealedSession`].
#[derive(Debug)]
#[must_use]
pub enum Opened {
    /// A token that only the application's store knows: look it up, and pass the result to [`SessionToken::open`].
    Lookup {
        /// The token.
        token: SessionToken,
        /// Why the cookie cache beside the token was rejected, if one was read.
        cache: Option<OpenError>,
    },
    /// The whole session.
    Session(Session),
}

impl<'a> SealedSession<'a> {
    /// Finds the one session in a request's `Cookie` and `Authorization` header values, each in the order received.
    ///
    /// It is the first of [`Candidates::find`], unless another candidate comes from the same cookie: to choose among those, all
    /// of them have to be opened. The choice is final: if the session does not open, nothing else is tried.
    ///
    /// `Ok(None)` means that the request carries no session.
    ///
    /// # Errors
    /// The errors of [`Candidates::find`], and the error of the first candidate; [`OpenError::AmbiguousCookie`] when its cookie
    /// has several values. When only the cookie cache has several values, none of them is used.
    pub fn find(
        keys: &KeyRing,
        cookie_headers: impl IntoIterator<Item = &'a [u8]>,
        authorization: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Option<Self>, OpenError> {
        let candidates = Candidates::find(keys, cookie_headers, authorization)?;
        let Some(mut first) = candidates.first.transpose()? else {
            return Ok(None);
        };
        let Some(cookie) = first.cookie(keys) else {
            return Ok(Some(first));
        };
        let ambiguous = |name: &CookieName| OpenError::AmbiguousCookie { name: name.clone() };
        let mut others = candidates.others.iter().flatten();
        if others.any(|other| other.shares_cookie_with(&first)) {
            return Err(ambiguous(cookie.name()));
        }
        if let SealedContent::BetterAuth { caches, .. } = &mut first.content
            && !caches.others.is_empty()
            && let Some(data_name) = cookie.data_name()
        {
            *caches = CookieValues::flawed(ambiguous(data_name));
        }
        Ok(Some(first))
    }

    /// Whether both sessions were found in the same cookie.
    #[must_use]
    pub fn shares_cookie_with(&self, other: &Self) -> bool {
        self.index() == other.index()
    }

    fn index(&self) -> Option<usize> {
        match self.content {
            SealedContent::Bearer { .. } => None,
            SealedContent::BetterAuth { index, .. }
            | SealedContent::Encrypted { index, .. }
            | SealedContent::Opaque { index, .. }
            | SealedContent::Signed { index, .. } => Some(index),
        }
    }

    /// The cookie of `keys` in which the session was found; `None` for a Bearer value.
    #[must_use]
    pub fn cookie<'k>(&self, keys: &'k KeyRing) -> Option<&'k SessionCookie> {
        keys.cookies().nth(self.index()?)
    }

    /// Decrypts and verifies the session, then checks its claims against the rules of the format and against `demands`,
    /// at the time `now`. A token that has to be looked up in the application's store is verified as far as possible.
    ///
    /// For Better Auth only the maximum age of `demands` applies: its sessions have neither issuer nor audience.
    ///
    /// `keys` must be the ring that was passed to [`find`](Self::find), or one made of the same secrets and cookies.
    ///
    /// # Errors
    /// For a token that is malformed, of another key, or changed: [`OpenError::MalformedHeader`],
    /// [`OpenError::MalformedSessionToken`], [`OpenError::MalformedToken`], [`OpenError::RejectedSignature`],
    /// [`OpenError::RejectedTag`], [`OpenError::UnknownKey`] (also for another ring), [`OpenError::UnsupportedAlgorithm`],
    /// [`OpenError::UnsupportedHeader`]. For a genuine token whose claims do not hold: any of the other variants that
    /// [`find`](Self::find) does not return. A defect of Better Auth's cookie cache is not an error, but part of
    /// [`Opened::Lookup`].
    pub fn open(
        &self,
        keys: &KeyRing,
        demands: &ClaimDemands,
        now: UnixTime,
    ) -> Result<Opened, OpenError> {
        if self.ring != keys.identity() {
            return Err(OpenError::UnknownKey);
        }
        match &self.content {
            SealedContent::Bearer { value } => open_bearer(value, keys, demands, now),
            SealedContent::BetterAuth {
                index,
                token,
                caches,
            } => match keys.cookie_keys(*index).map(|cookie| &cookie.keys) {
                Some(FormatKeys::BetterAuth(keys)) => {
                    open_better_auth(keys, token, caches, demands, now)
                }
                Some(FormatKeys::Encrypted(_) | FormatKeys::None | FormatKeys::Signing(_))
                | None => Err(OpenError::UnknownKey),
            },
            SealedContent::Encrypted { index, value } => {
                match keys.cookie_keys(*index).map(|cookie| &cookie.keys) {
                    Some(FormatKeys::Encrypted(keys)) => {
                        open_encrypted(keys, value, demands, now).map(Opened::Session)
                    }
                    Some(FormatKeys::BetterAuth(_) | FormatKeys::None | FormatKeys::Signing(_))
                    | None => Err(OpenError::UnknownKey),
                }
            }
            SealedContent::Opaque { value, .. } => Ok(Opened::Lookup {
                token: SessionToken::opaque(value)?,
                cache: None,
            }),
            SealedContent::Signed { index, value } => {
                match keys.cookie_keys(*index).map(|cookie| &cookie.keys) {
                    Some(FormatKeys::Signing(keys)) => {
                        keys.open(value, demands, now).map(Opened::Session)
                    }
                    Some(
                        FormatKeys::BetterAuth(_) | FormatKeys::Encrypted(_) | FormatKeys::None,
                    )
                    | None => Err(OpenError::UnknownKey),
                }
            }
        }
    }
}

impl fmt::Debug for SealedSession<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (carrier, bytes) = match &self.content {
            SealedContent::Bearer { value } => ("bearer", value.len()),
            SealedContent::BetterAuth { token, .. } => ("better-auth", token.len()),
            SealedContent::Encrypted { value, .. } => ("encrypted", value.len()),
            SealedContent::Opaque { value, .. } => ("opaque", value.len()),
            SealedContent::Signed { value, .. } => ("signed", value.len()),
        };
        f.debug_struct("SealedSession")
            .field("carrier", &carrier)
            .field("bytes", &bytes)
            .finish_non_exhaustive()
    }
}

fn open_better_auth(
    keys: &BetterAuthKeys,
    token: &[u8],
    caches: &CookieValues<'_>,
    demands: &ClaimDemands,
    now: UnixTime,
) -> Result<Opened, OpenError> {
    let token = keys.open_token(token)?;
    let mut flaw = None;
    if keys.trusts_cache() {
        // Of several caches, the one that belongs to this token is used.
        for cache in caches.iter() {
            let opened = match cache {
                Ok(cache) => keys.open_cache(cache, &token, demands, now),
                Err(error) => Err(error.clone()),
            };
            match opened {
                Ok(session) => return Ok(Opened::Session(session)),
                Err(error) => {
                    flaw.get_or_insert(error);
                }
            }
        }
    }
    Ok(Opened::Lookup { token, cache: flaw })
}

fn open_encrypted(
    keys: &EncryptionKeys,
    token: &[u8],
    demands: &ClaimDemands,
    now: UnixTime,
) -> Result<Session, OpenError> {
    let jwe = Jwe::split(token)?;
    // Nearly every token has, byte for byte, the header that its framework writes with one of our keys. Such a header
    // needs no JSON parser, which saves a fifth of the total cost.
    if let Some(key) = keys.key_with_usual_header(jwe.header) {
        let repeated = RepeatedClaims::default();
        return Session::admit(
            key.open(&jwe)?,
            token,
            keys.format(),
            &repeated,
            demands,
            now,
        );
    }
    let mut buffer = [0; MAX_HEADER_LEN];
    let header = Header::read(jwe.header, &mut buffer)?;
    let claims = keys.key_for(&header)?.open(&jwe)?;
    Session::admit(claims, token, keys.format(), &header.repeated, demands, now)
}

/// Opens a Bearer value. Its shape decides which of the ring's formats it is: Better Auth's signed token has one dot
/// (`dist/plugins/bearer/index.mjs`; a bare token, which the plugin signs itself, proves nothing and is refused), an
/// encrypted session has four dots, a signed session two.
fn open_bearer(
    value: &[u8],
    keys: &KeyRing,
    demands: &ClaimDemands,
    now: UnixTime,
) -> Result<Opened, OpenError> {
    if let Some(better_auth) = keys.better_auth()
        && memchr::memchr_iter(b'.', value).count() == 1
    {
        let token = better_auth.open_token(value)?;
        return Ok(Opened::Lookup { token, cache: None });
    }
    if let Some(signing) = keys.signing()
        && memchr::memchr_iter(b'.', value).count() == 2
    {
        return signing.open(value, demands, now).map(Opened::Session);
    }
    let jwe = Jwe::split(value)?;
    let mut buffer = [0; MAX_HEADER_LEN];
    let header = Header::read(jwe.header, &mut buffer)?;
    let mut result = Err(OpenError::UnknownKey);
    for (format, key) in keys.keys_of_unknown_cookie(&header)? {
        result = key.open(&jwe).map(|claims| (claims, format));
        if !matches!(result, Err(OpenError::RejectedTag)) {
            break;
        }
    }
    let (claims, format) = result?;
    Session::admit(claims, value, format, &header.repeated, demands, now).map(Opened::Session)
}

/// The token in an `Authorization` value; `None` for another scheme.
///
/// `getToken()` splits at single spaces, demands `Bearer` first, undoes the percent-encoding of the second word and ignores the
/// rest (`@auth/core` `src/jwt.ts`, `next-auth` 4 `src/jwt/index.ts`). So does this function, except that the scheme may be in
/// any case (RFC 9110 §11.1).
pub(crate) fn bearer(value: &[u8]) -> Result<Option<Cow<'_, [u8]>>, OpenError> {
    let Some((scheme, words)) = value.split_at_checked(BEARER.len()) else {
        return Ok(None);
    };
    if !scheme.eq_ignore_ascii_case(BEARER) {
        return Ok(None);
    }
    let word = memchr::memchr(b' ', words).map_or(words, |end| &words[..end]);
    if word.len() > MAX_TOKEN_LEN {
        return Err(OpenError::Oversize);
    }
    if word.is_empty() || cookies::has_broken_escape(word) {
        return Err(OpenError::MalformedBearer);
    }
    Ok(Some(cookies::percent_decode(word)))
}

/// The scheme of a Bearer value, and the space after it.
const BEARER: &[u8] = b"Bearer ";
