//! The values in a request that could each be its session.

use core::fmt;
use std::borrow::Cow;

use super::{SealedContent, SealedSession, bearer};
use crate::cookie::{CookieKind, Library};
use crate::cookies::{self, Quotes};
use crate::error::OpenError;
use crate::gathered::Gathered;
use crate::keyring::RingIdentity;
use crate::{KeyRing, SessionCookie};

/// The values in a request that could each be its session: nearly always one. None of them can be trusted before it is
/// [opened](SealedSession::open).
#[must_use]
pub struct Candidates<'a> {
    pub(super) first: Option<Candidate<'a>>,
    pub(super) others: Vec<Candidate<'a>>,
}

/// A value that could be the session, or why it cannot be one.
pub type Candidate<'a> = Result<SealedSession<'a>, OpenError>;

impl<'a> Candidates<'a> {
    /// Finds the values that could be the session in a request's `Cookie` and `Authorization` header values, each in the order
    /// received.
    ///
    /// Candidates come in the ring's order of cookies, and several of one cookie in the order received: at most four per cookie
    /// and eight in all. A Bearer value is a candidate only when there is no session cookie, as in the frameworks'
    /// `getToken()`. Empty cookies and other authentication schemes are ignored.
    ///
    /// # Errors
    /// [`OpenError::AmbiguousAuthorization`], [`OpenError::MalformedBearer`] or [`OpenError::Oversize`] for a Bearer value;
    /// [`OpenError::MissingToken`] for a cookie cache without its token. A defect of a cookie is not returned as an error, but as
    /// a candidate: [`OpenError::AmbiguousCookie`], [`OpenError::MalformedChunk`], [`OpenError::MissingChunk`] or
    /// [`OpenError::Oversize`].
    pub fn find(
        keys: &KeyRing,
        cookie_headers: impl IntoIterator<Item = &'a [u8]>,
        authorization: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Self, OpenError> {
        let ring = keys.identity();
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
        let mut candidates = Self {
            first: None,
            others: Vec::new(),
        };
        let mut cache_alone = None;
        for (index, (found, cookie)) in found.iter().zip(keys.cookies()).enumerate() {
            if !found.own.is_empty() {
                found.add_to(&mut candidates, index, cookie, ring);
            } else if !found.data.is_empty() {
                let name = cookie.name();
                cache_alone.get_or_insert_with(|| OpenError::MissingToken { name: name.clone() });
            }
        }
        if candidates.is_empty() {
            candidates.first = bearer_of(authorization)?.map(|value| {
                Ok(SealedSession {
                    content: SealedContent::Bearer { value },
                    ring,
                })
            });
        }
        match cache_alone {
            Some(error) if candidates.is_empty() => Err(error),
            Some(_) | None => Ok(candidates),
        }
    }

    /// Whether the request has no candidate.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// The candidates, in order of preference.
    pub fn iter(&self) -> impl Iterator<Item = &Candidate<'a>> {
        self.first.iter().chain(&self.others)
    }

    /// The candidate, if there is exactly one.
    #[must_use]
    pub fn only(&self) -> Option<&Candidate<'a>> {
        self.first.as_ref().filter(|_| self.others.is_empty())
    }

    /// Whether the candidates were found in cookies.
    #[must_use]
    pub fn are_in_cookies(&self) -> bool {
        match &self.first {
            None => false,
            Some(Err(_)) => true,
            Some(Ok(sealed)) => sealed.index().is_some(),
        }
    }

    fn push(&mut self, candidate: Candidate<'a>) {
        if self.first.is_none() {
            self.first = Some(candidate);
        } else {
            self.others.push(candidate);
        }
    }

    fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.others.len()
    }
}

impl fmt::Debug for Candidates<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Everything that a request contains for one cookie of the ring.
#[derive(Default)]
struct FoundCookie<'a> {
    own: Gathered<'a>,
    /// Better Auth's cookie cache.
    data: Gathered<'a>,
}

impl<'a> FoundCookie<'a> {
    fn add_to(
        &self,
        candidates: &mut Candidates<'a>,
        index: usize,
        cookie: &SessionCookie,
        ring: RingIdentity,
    ) {
        let quotes = match &cookie.kind {
            CookieKind::AuthJsDatabase
            | CookieKind::AuthJsSigned
            | CookieKind::Encrypted {
                library: Library::AuthJs,
                ..
            } => Quotes::Kept,
            CookieKind::BetterAuth(_)
            | CookieKind::Encrypted {
                library: Library::NextAuth,
                ..
            } => Quotes::Removed,
        };
        let values = self.own.values(cookie.name(), quotes);
        for value in values.first.into_iter().chain(values.others) {
            if candidates.len() == MAX_CANDIDATES {
                return;
            }
            candidates.push(value.map(|value| SealedSession {
                content: self.content(index, cookie, value, quotes),
                ring,
            }));
        }
    }

    fn content(
        &self,
        index: usize,
        cookie: &SessionCookie,
        value: Cow<'a, [u8]>,
        quotes: Quotes,
    ) -> SealedContent<'a> {
        match &cookie.kind {
            CookieKind::AuthJsDatabase => SealedContent::Opaque { index, value },
            CookieKind::AuthJsSigned => SealedContent::Signed { index, value },
            CookieKind::BetterAuth(better_auth) => SealedContent::BetterAuth {
                index,
                token: value,
                caches: self.data.values(&better_auth.data_name, quotes),
            },
            // An encrypted session contains dots; the token of a stored session does not.
            CookieKind::Encrypted {
                or_opaque: true, ..
            } if !value.contains(&b'.') => SealedContent::Opaque { index, value },
            CookieKind::Encrypted { .. } => SealedContent::Encrypted { index, value },
        }
    }
}

/// The token in the only `Authorization` value.
fn bearer_of<'a>(
    authorization: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Option<Cow<'a, [u8]>>, OpenError> {
    let mut authorization = authorization.into_iter();
    let Some(value) = authorization.next() else {
        return Ok(None);
    };
    if authorization.next().is_some() {
        return Err(OpenError::AmbiguousAuthorization);
    }
    bearer(value)
}

/// The largest number of candidates in a request, all cookies together: each may cost a lookup.
const MAX_CANDIDATES: usize = 8;
