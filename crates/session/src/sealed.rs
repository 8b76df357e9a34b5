//! What the request carried as its session: found, not yet believed.

use core::fmt;
use std::borrow::Cow;

use crate::cookies::{self, Found, MAX_TOKEN_LEN};
use crate::error::OpenError;
use crate::jwe::{Header, Jwe, MAX_HEADER_LEN, RepeatedClaims};
use crate::keyring::RingIdentity;
use crate::{ClaimDemands, Format, KeyRing, Session, UnixTime};

/// What a request carried as its session. [Opening](Self::open) it verifies it; before that nothing about it is known.
#[must_use]
pub struct SealedSession<'a> {
    token: Cow<'a, [u8]>,
    carrier: Carrier,
    ring: RingIdentity,
}

/// Where in the request the token was.
#[derive(Clone, Copy, Debug)]
enum Carrier {
    /// In `Authorization: Bearer`.
    Bearer,
    /// In a cookie, by its position in the ring.
    Cookie { index: usize, format: Format },
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
    /// When something is there but is not one token: [`OpenError::AmbiguousCookie`], [`OpenError::MalformedChunk`],
    /// [`OpenError::MissingChunk`] or [`OpenError::Oversize`] for a cookie; [`OpenError::AmbiguousAuthorization`],
    /// [`OpenError::MalformedBearer`] or [`OpenError::Oversize`] for a Bearer value.
    pub fn find(
        keys: &KeyRing,
        cookie_headers: impl IntoIterator<Item = &'a [u8]>,
        authorization: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Option<Self>, OpenError> {
        let mut found: [Found<'a>; KeyRing::MAX_COOKIES] = Default::default();
        let pairs = cookie_headers.into_iter().flat_map(cookies::pairs);
        for (name, value) in pairs.filter_map(cookies::name_and_value) {
            for (found, cookie) in found.iter_mut().zip(keys.cookies()) {
                found.gather(cookie.name(), name, value);
            }
        }
        let ring = keys.identity();
        for (index, (found, cookie)) in found.iter().zip(keys.cookies()).enumerate() {
            if let Some(token) = found.token(cookie)? {
                let carrier = Carrier::Cookie {
                    index,
                    format: cookie.format(),
                };
                return Ok(Some(Self {
                    token,
                    carrier,
                    ring,
                }));
            }
        }
        let mut authorization = authorization.into_iter();
        let Some(value) = authorization.next() else {
            return Ok(None);
        };
        if authorization.next().is_some() {
            return Err(OpenError::AmbiguousAuthorization);
        }
        let token = bearer(value)?;
        Ok(token.map(|token| Self {
            token,
            carrier: Carrier::Bearer,
            ring,
        }))
    }

    /// The format that the cookie is expected in. `None` for a Bearer value, whose format shows when it is opened.
    #[must_use]
    pub fn format(&self) -> Option<Format> {
        match self.carrier {
            Carrier::Bearer => None,
            Carrier::Cookie { format, .. } => Some(format),
        }
    }

    /// Decrypts and verifies the session, then checks its claims against the rules of the format and against `demands`,
    /// at the time `now`. This is the only way to a [`Session`].
    ///
    /// `keys` must be the ring that [`find`](Self::find) was given, or one made of the same secrets and cookies.
    ///
    /// # Errors
    /// For a token that is malformed, of another key, or changed: [`OpenError::MalformedHeader`],
    /// [`OpenError::MalformedToken`], [`OpenError::RejectedTag`], [`OpenError::UnknownKey`] (also for another ring),
    /// [`OpenError::UnsupportedAlgorithm`], [`OpenError::UnsupportedHeader`]. For a genuine token whose claims do not
    /// hold: any of the other variants that [`find`](Self::find) does not return.
    pub fn open(
        &self,
        keys: &KeyRing,
        demands: &ClaimDemands,
        now: UnixTime,
    ) -> Result<Session, OpenError> {
        if self.ring != keys.identity() {
            return Err(OpenError::UnknownKey);
        }
        let jwe = Jwe::split(&self.token)?;
        let mut buffer = [0; MAX_HEADER_LEN];
        let (claims, format, repeated) = match self.carrier {
            Carrier::Cookie { index, format } => {
                let cookie = keys.cookie_keys(index).ok_or(OpenError::UnknownKey)?;
                // Nearly every token has, byte for byte, the header that its framework writes with one of our keys.
                // Such a header needs no JSON parser, which saves a fifth of the whole cost.
                if let Some(key) = cookie.key_with_usual_header(jwe.header) {
                    (key.open(&jwe)?, format, RepeatedClaims::default())
                } else {
                    let header = Header::read(jwe.header, &mut buffer)?;
                    (
                        cookie.key_for(&header)?.open(&jwe)?,
                        format,
                        header.repeated,
                    )
                }
            }
            Carrier::Bearer => {
                let header = Header::read(jwe.header, &mut buffer)?;
                let mut result = Err(OpenError::UnknownKey);
                for (format, key) in keys.keys_of_unknown_cookie(&header)? {
                    result = key.open(&jwe).map(|claims| (claims, format));
                    if !matches!(result, Err(OpenError::RejectedTag)) {
                        break;
                    }
                }
                let (claims, format) = result?;
                (claims, format, header.repeated)
            }
        };
        Session::admit(claims, format, &repeated, demands, now)
    }
}

impl fmt::Debug for SealedSession<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedSession")
            .field("carrier", &self.carrier)
            .field("bytes", &self.token.len())
            .finish_non_exhaustive()
    }
}

/// The token in an `Authorization` value; `None` for another scheme.
///
/// `getToken()` splits at single spaces, wants exactly `Bearer` first, undoes the percent-encoding of the second word
/// and ignores the rest (`@auth/core` `src/jwt.ts`, `next-auth` 4 `src/jwt/index.ts`). So does this.
fn bearer(value: &[u8]) -> Result<Option<Cow<'_, [u8]>>, OpenError> {
    let Some(words) = value.strip_prefix(b"Bearer ") else {
        return Ok(None);
    };
    let word = memchr::memchr(b' ', words).map_or(words, |end| &words[..end]);
    if word.len() > MAX_TOKEN_LEN {
        return Err(OpenError::Oversize);
    }
    if word.is_empty() || has_broken_escape(word) {
        return Err(OpenError::MalformedBearer);
    }
    Ok(Some(cookies::percent_decode(word)))
}

fn has_broken_escape(text: &[u8]) -> bool {
    memchr::memchr_iter(b'%', text).any(|at| {
        let digits = text.get(at + 1..at + 3);
        !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}
