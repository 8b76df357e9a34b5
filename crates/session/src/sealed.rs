//! What the request carried as its session: found, not yet believed.

use core::fmt;
use std::borrow::Cow;

use crate::better_auth::BetterAuthKeys;
use crate::cookie::{Kind, Library};
use crate::cookies::{self, Found, MAX_TOKEN_LEN, Quotes};
use crate::error::OpenError;
use crate::jwe::{Header, Jwe, MAX_HEADER_LEN, RepeatedClaims};
use crate::keyring::{EncryptionKeys, Keys, RingIdentity};
use crate::{ClaimDemands, KeyRing, Session, SessionCookie, SessionToken, UnixTime};

/// What a request carried as its session. [Opening](Self::open) it verifies it; before that nothing about it is known.
#[must_use]
pub struct SealedSession<'a> {
    content: Content<'a>,
    ring: RingIdentity,
}

/// The pieces of the request that make up the session. A cookie is named by its position in the ring.
enum Content<'a> {
    /// In `Authorization: Bearer`.
    Bearer { value: Cow<'a, [u8]> },
    /// A Better Auth token, and what stands beside it as the cookie cache.
    BetterAuth {
        index: usize,
        token: Cow<'a, [u8]>,
        cache: Result<Option<Cow<'a, [u8]>>, OpenError>,
    },
    /// An encrypted session.
    Encrypted { index: usize, value: Cow<'a, [u8]> },
    /// A token that says nothing by itself.
    Opaque { index: usize, value: Cow<'a, [u8]> },
    /// A signed session.
    Signed { index: usize, value: Cow<'a, [u8]> },
}

/// What a sealed session turned out to be.
#[derive(Debug)]
#[must_use]
pub enum Opened {
    /// A token that only the application's store can tell about: ask it, and give the answer to [`SessionToken::open`].
    Lookup {
        /// The token.
        token: SessionToken,
        /// Why the session that was cached beside the token does not count, if there was one.
        cache: Option<OpenError>,
    },
    /// The whole session.
    Session(Session),
}

impl<'a> SealedSession<'a> {
    /// Finds the session in a request's `Cookie` and `Authorization` header values, each in the order received.
    ///
    /// The cookie comes first; a Bearer value counts only when there is no session cookie, as in the frameworks'
    /// `getToken()`. Of several recognised cookies the first in the ring's order is the session. What was chosen is
    /// final: if it does not open, nothing else is tried.
    ///
    /// `Ok(None)` says that the request carries no session. An empty cookie is none, and neither is another
    /// authentication scheme.
    ///
    /// # Errors
    /// When something is there but is not one session: [`OpenError::AmbiguousCookie`], [`OpenError::MalformedChunk`],
    /// [`OpenError::MissingChunk`], [`OpenError::MissingToken`] or [`OpenError::Oversize`] for a cookie;
    /// [`OpenError::AmbiguousAuthorization`], [`OpenError::MalformedBearer`] or [`OpenError::Oversize`] for a Bearer
    /// value.
    pub fn find(
        keys: &KeyRing,
        cookie_headers: impl IntoIterator<Item = &'a [u8]>,
        authorization: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Option<Self>, OpenError> {
        let ring = keys.identity();
        let sealed = |content| Ok(Some(Self { content, ring }));
        let mut found: [FoundCookie<'a>; KeyRing::MAX_COOKIES] = Default::default();
        let pairs = cookie_headers.into_iter().flat_map(cookies::pairs);
        for (name, value) in pairs.filter_map(cookies::name_and_value) {
            for (found, cookie) in found.iter_mut().zip(keys.cookies()) {
                found.own.gather(cookie.name(), name, value);
                if let Some(data_name) = cookie.data_name() {
                    found.data.gather(data_name, name, value);
                }
            }
        }
        let mut cache_alone = None;
        for (index, (found, cookie)) in found.iter().zip(keys.cookies()).enumerate() {
            if let Some(content) = found.content(index, cookie)? {
                return sealed(content);
            }
            if !found.data.is_empty() {
                let name = cookie.name();
                cache_alone.get_or_insert_with(|| OpenError::MissingToken { name: name.clone() });
            }
        }
        let mut authorization = authorization.into_iter();
        if let Some(value) = authorization.next() {
            if authorization.next().is_some() {
                return Err(OpenError::AmbiguousAuthorization);
            }
            if let Some(value) = bearer(value)? {
                return sealed(Content::Bearer { value });
            }
        }
        cache_alone.map_or(Ok(None), Err)
    }

    /// The cookie that it was found in, one of `keys`; `None` for a Bearer value.
    #[must_use]
    pub fn cookie<'k>(&self, keys: &'k KeyRing) -> Option<&'k SessionCookie> {
        match self.content {
            Content::Bearer { .. } => None,
            Content::BetterAuth { index, .. }
            | Content::Encrypted { index, .. }
            | Content::Opaque { index, .. }
            | Content::Signed { index, .. } => keys.cookies().nth(index),
        }
    }

    /// Decrypts and verifies the session, then checks its claims against the rules of the format and against `demands`,
    /// at the time `now`. A token that has to be looked up in the application's store is verified as far as it can be.
    ///
    /// Of `demands` only the maximum age applies to Better Auth, whose sessions have neither issuer nor audience.
    ///
    /// `keys` must be the ring that [`find`](Self::find) was given, or one made of the same secrets and cookies.
    ///
    /// # Errors
    /// For a token that is malformed, of another key, or changed: [`OpenError::MalformedHeader`],
    /// [`OpenError::MalformedSessionToken`], [`OpenError::MalformedToken`], [`OpenError::RejectedSignature`],
    /// [`OpenError::RejectedTag`], [`OpenError::UnknownKey`] (also for another ring),
    /// [`OpenError::UnsupportedAlgorithm`], [`OpenError::UnsupportedHeader`]. For a genuine token whose claims do not
    /// hold: any of the other variants that [`find`](Self::find) does not return. A flaw of Better Auth's cookie cache
    /// is no error, but comes with [`Opened::Lookup`].
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
            Content::Bearer { value } => open_bearer(value, keys, demands, now),
            Content::BetterAuth {
                index,
                token,
                cache,
            } => match keys.cookie_keys(*index).map(|cookie| &cookie.keys) {
                Some(Keys::BetterAuth(keys)) => open_better_auth(keys, token, cache, demands, now),
                Some(Keys::Encrypted(_) | Keys::None | Keys::Signing(_)) | None => {
                    Err(OpenError::UnknownKey)
                }
            },
            Content::Encrypted { index, value } => {
                match keys.cookie_keys(*index).map(|cookie| &cookie.keys) {
                    Some(Keys::Encrypted(keys)) => {
                        open_encrypted(keys, value, demands, now).map(Opened::Session)
                    }
                    Some(Keys::BetterAuth(_) | Keys::None | Keys::Signing(_)) | None => {
                        Err(OpenError::UnknownKey)
                    }
                }
            }
            Content::Opaque { value, .. } => Ok(Opened::Lookup {
                token: SessionToken::opaque(value)?,
                cache: None,
            }),
            Content::Signed { index, value } => {
                match keys.cookie_keys(*index).map(|cookie| &cookie.keys) {
                    Some(Keys::Signing(keys)) => {
                        keys.open(value, demands, now).map(Opened::Session)
                    }
                    Some(Keys::BetterAuth(_) | Keys::Encrypted(_) | Keys::None) | None => {
                        Err(OpenError::UnknownKey)
                    }
                }
            }
        }
    }
}

impl fmt::Debug for SealedSession<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (carrier, bytes) = match &self.content {
            Content::Bearer { value } => ("bearer", value.len()),
            Content::BetterAuth { token, .. } => ("better-auth", token.len()),
            Content::Encrypted { value, .. } => ("encrypted", value.len()),
            Content::Opaque { value, .. } => ("opaque", value.len()),
            Content::Signed { value, .. } => ("signed", value.len()),
        };
        f.debug_struct("SealedSession")
            .field("carrier", &carrier)
            .field("bytes", &bytes)
            .finish_non_exhaustive()
    }
}

/// Everything that a request says about one cookie of the ring.
#[derive(Default)]
struct FoundCookie<'a> {
    own: Found<'a>,
    /// Better Auth's cookie cache.
    data: Found<'a>,
}

impl<'a> FoundCookie<'a> {
    fn content(
        &self,
        index: usize,
        cookie: &SessionCookie,
    ) -> Result<Option<Content<'a>>, OpenError> {
        let quotes = match &cookie.kind {
            Kind::AuthJsDatabase
            | Kind::AuthJsSigned
            | Kind::Encrypted {
                library: Library::AuthJs,
                ..
            } => Quotes::Kept,
            Kind::BetterAuth(_)
            | Kind::Encrypted {
                library: Library::NextAuth,
                ..
            } => Quotes::Removed,
        };
        let Some(value) = self.own.token(cookie.name(), quotes)? else {
            return Ok(None);
        };
        Ok(Some(match &cookie.kind {
            Kind::AuthJsDatabase => Content::Opaque { index, value },
            Kind::AuthJsSigned => Content::Signed { index, value },
            Kind::BetterAuth(better_auth) => Content::BetterAuth {
                index,
                token: value,
                cache: self.data.token(&better_auth.data_name, quotes),
            },
            // An encrypted session has dots, and what names a stored one has none.
            Kind::Encrypted {
                or_opaque: true, ..
            } if !value.contains(&b'.') => Content::Opaque { index, value },
            Kind::Encrypted { .. } => Content::Encrypted { index, value },
        }))
    }
}

fn open_better_auth(
    keys: &BetterAuthKeys,
    token: &[u8],
    cache: &Result<Option<Cow<'_, [u8]>>, OpenError>,
    demands: &ClaimDemands,
    now: UnixTime,
) -> Result<Opened, OpenError> {
    let token = keys.open_token(token)?;
    if !keys.trusts_cache() {
        return Ok(Opened::Lookup { token, cache: None });
    }
    let cache = match cache {
        Ok(None) => None,
        Ok(Some(cache)) => match keys.open_cache(cache, &token, demands, now) {
            Ok(session) => return Ok(Opened::Session(session)),
            Err(error) => Some(error),
        },
        Err(error) => Some(error.clone()),
    };
    Ok(Opened::Lookup { token, cache })
}

fn open_encrypted(
    keys: &EncryptionKeys,
    token: &[u8],
    demands: &ClaimDemands,
    now: UnixTime,
) -> Result<Session, OpenError> {
    let jwe = Jwe::split(token)?;
    // Nearly every token has, byte for byte, the header that its framework writes with one of our keys. Such a header
    // needs no JSON parser, which saves a fifth of the whole cost.
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

/// A Bearer value is whichever of the ring's formats it has the shape of: Better Auth's signed token has one dot
/// (`dist/plugins/bearer/index.mjs`; a bare token, which the plugin signs itself, proves nothing and is refused), an
/// encrypted session has four, a signed one two.
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
/// `getToken()` splits at single spaces, wants exactly `Bearer` first, undoes the percent-encoding of the second word
/// and ignores the rest (`@auth/core` `src/jwt.ts`, `next-auth` 4 `src/jwt/index.ts`). So does this.
pub(crate) fn bearer(value: &[u8]) -> Result<Option<Cow<'_, [u8]>>, OpenError> {
    let Some(words) = value.strip_prefix(b"Bearer ") else {
        return Ok(None);
    };
    let word = memchr::memchr(b' ', words).map_or(words, |end| &words[..end]);
    if word.len() > MAX_TOKEN_LEN {
        return Err(OpenError::Oversize);
    }
    if word.is_empty() || cookies::has_broken_escape(word) {
        return Err(OpenError::MalformedBearer);
    }
    Ok(Some(cookies::percent_decode(word)))
}
