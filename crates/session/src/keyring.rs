//! The key ring: the cookies that are sessions, and every key that opens one.

use core::fmt;

use aws_lc_rs::digest;

use crate::better_auth::BetterAuthKeys;
use crate::cookie::{CookieKind, Library};
use crate::error::OpenError;
use crate::jwe::{Enc, Header, UnverifiedKid};
use crate::key::{ContentKey, Derivation, KeyBytes, MAX_GUESSES, max_salt_len};
use crate::signed::SigningKeys;
use crate::{CookieName, Format, Secret, SessionCookie};

/// The recognized session cookies, in order of preference, and the keys that open them.
///
/// Every key is derived here, once. Which secret opens a session is decided as the frameworks decide it:
///
/// - **Auth.js v5** takes a list of secrets, the current one first. A token that names its key (`kid`) is opened only with that
///   key; a token that names no key, only with that of the current secret (`@auth/core` `src/jwt.ts`).
/// - **Better Auth** signs with the current secret only, which covers the session token. Only the encrypted cache may use an
///   older secret: the one that its header names, or any of them if it names no key (`dist/crypto/jwt.mjs`).
/// - **NextAuth v4** has one secret, so only the current one opens its tokens. Its tokens name no key: accepting
///   older secrets would mean trying each, for sessions that the application itself no longer accepts.
/// - A **signed session cookie** is verified with any of the secrets, the current one first: the application has its own
///   `decode()`, and every secret in the list is accepted.
/// - A **database session** has no key.
pub struct KeyRing {
    cookies: Vec<CookieKeys>,
    identity: RingIdentity,
}

impl KeyRing {
    /// The largest number of cookies a ring can recognize.
    pub const MAX_COOKIES: usize = 8;
    /// The largest number of secrets a ring can hold.
    pub const MAX_SECRETS: usize = 16;

    /// Derives every key: for each of `cookies`, in order of preference, from `secrets`, the current one first. Cookies
    /// of database sessions need no secret.
    ///
    /// # Errors
    /// When there is no cookie or no secret, too many of either, an empty secret, a salt that is too long, or two
    /// cookies whose names, chunks included, overlap.
    pub fn new(secrets: &[Secret], cookies: Vec<SessionCookie>) -> Result<Self, KeyRingError> {
        Self::of_groups(&[(secrets, cookies)])
    }

    /// Makes a ring for cookies of several applications: each group has its own secrets. Groups without cookies are ignored.
    ///
    /// # Errors
    /// The errors of [`KeyRing::new`].
    pub fn of_groups(groups: &[(&[Secret], Vec<SessionCookie>)]) -> Result<Self, KeyRingError> {
        let cookies: Vec<&SessionCookie> = groups.iter().flat_map(|(_, cookies)| cookies).collect();
        check_cookies(&cookies)?;
        let mut keys = Vec::with_capacity(cookies.len());
        for (secrets, cookies) in groups {
            let keyless =
                |cookie: &SessionCookie| matches!(cookie.kind, CookieKind::AuthJsDatabase);
            if !cookies.iter().all(keyless) {
                check_secrets(secrets)?;
            }
            keys.extend(
                cookies
                    .iter()
                    .map(|cookie| CookieKeys::derive(cookie.clone(), secrets)),
            );
        }
        let identity = RingIdentity::of(&keys);
        Ok(Self {
            cookies: keys,
            identity,
        })
    }

    /// A ring that recognizes no cookie and opens nothing, for use where only signed tokens of an issuer are accepted.
    #[must_use]
    pub fn without_cookies() -> Self {
        Self {
            cookies: Vec::new(),
            identity: RingIdentity::of(&[]),
        }
    }

    /// The recognized cookies, in order of preference.
    pub fn cookies(&self) -> impl Iterator<Item = &SessionCookie> {
        self.cookies.iter().map(|keys| &keys.cookie)
    }

    pub(crate) fn identity(&self) -> RingIdentity {
        self.identity
    }

    pub(crate) fn cookie_keys(&self, index: usize) -> Option<&CookieKeys> {
        self.cookies.get(index)
    }

    /// The keys that could have sealed a token from a Bearer value, whose cookie is unknown.
    ///
    /// If the header names a key of Auth.js, no other key of Auth.js is tried. Otherwise there is one key for each way of
    /// deriving one. At most [`MAX_GUESSES`] keys are tried: a hostile token must not cost many times what an honest one costs.
    ///
    /// # Errors
    /// [`OpenError::UnsupportedAlgorithm`] or [`OpenError::UnknownKey`] when no key is possible.
    pub(crate) fn keys_of_unknown_cookie(
        &self,
        header: &Header<'_>,
    ) -> Result<Vec<(Format, &ContentKey)>, OpenError> {
        let mut keys: Vec<(Format, &ContentKey)> = Vec::with_capacity(MAX_GUESSES);
        let mut refusal = OpenError::UnsupportedAlgorithm;
        let encrypted = self.cookies.iter().filter_map(|cookie| match &cookie.keys {
            FormatKeys::Encrypted(keys) => Some(keys),
            FormatKeys::BetterAuth(_) | FormatKeys::None | FormatKeys::Signing(_) => None,
        });
        for cookie in encrypted {
            match cookie.key_for(header) {
                Ok(key) => {
                    // Cookies with the same salt share their keys.
                    let known = keys.iter().any(|(_, other)| other.kid == key.kid);
                    if !known && keys.len() < MAX_GUESSES {
                        keys.push((cookie.format(), key));
                    }
                }
                Err(OpenError::UnsupportedAlgorithm) => {}
                Err(error) => refusal = error,
            }
        }
        if keys.is_empty() {
            Err(refusal)
        } else {
            Ok(keys)
        }
    }

    /// The keys of the first Better Auth cookie. A ring has keys of only one application of this kind, so all cookies share them.
    pub(crate) fn better_auth(&self) -> Option<&BetterAuthKeys> {
        self.cookies.iter().find_map(|cookie| match &cookie.keys {
            FormatKeys::BetterAuth(keys) => Some(&**keys),
            FormatKeys::Encrypted(_) | FormatKeys::None | FormatKeys::Signing(_) => None,
        })
    }

    /// The keys of the first cookie of signed sessions. A ring has keys of only one application of this kind, so all cookies
    /// share them.
    pub(crate) fn signing(&self) -> Option<&SigningKeys> {
        self.cookies.iter().find_map(|cookie| match &cookie.keys {
            FormatKeys::Signing(keys) => Some(keys),
            FormatKeys::BetterAuth(_) | FormatKeys::Encrypted(_) | FormatKeys::None => None,
        })
    }
}

fn check_cookies(cookies: &[&SessionCookie]) -> Result<(), KeyRingError> {
    if cookies.is_empty() {
        return Err(KeyRingError::NoCookie);
    }
    if cookies.len() > KeyRing::MAX_COOKIES {
        return Err(KeyRingError::TooManyCookies {
            count: cookies.len(),
        });
    }
    for cookie in cookies {
        if let CookieKind::Encrypted { library, salt, .. } = &cookie.kind
            && salt.len() > max_salt_len(*library)
        {
            return Err(KeyRingError::SaltTooLong {
                cookie: cookie.name().clone(),
            });
        }
    }
    let names = || {
        let names = cookies
            .iter()
            .flat_map(|cookie| [Some(cookie.name()), cookie.data_name()]);
        names.flatten().enumerate()
    };
    for (index, first) in names() {
        let others = names().filter(|(other, _)| *other != index);
        for (_, second) in others {
            if crate::cookies::recognize(second.as_str().as_bytes(), first).is_some() {
                return Err(KeyRingError::OverlappingCookies {
                    first: first.clone(),
                    second: second.clone(),
                });
            }
        }
    }
    Ok(())
}

fn check_secrets(secrets: &[Secret]) -> Result<(), KeyRingError> {
    if secrets.is_empty() {
        return Err(KeyRingError::NoSecret);
    }
    if secrets.len() > KeyRing::MAX_SECRETS {
        return Err(KeyRingError::TooManySecrets {
            count: secrets.len(),
        });
    }
    match secrets.iter().position(Secret::is_empty) {
        Some(index) => Err(KeyRingError::EmptySecret { index }),
        None => Ok(()),
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.cookies()).finish()
    }
}

/// Why a [`KeyRing`] cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyRingError {
    /// A secret has no bytes.
    #[error("secret {index} is empty")]
    EmptySecret {
        /// Its position in the list, counted from 0.
        index: usize,
    },
    /// No cookie is recognized.
    #[error("no session cookie is configured")]
    NoCookie,
    /// There is no secret.
    #[error("no secret is configured")]
    NoSecret,
    /// Two cookies have the same name, or one is named like a chunk of the other.
    #[error("session cookies {first} and {second} are indistinguishable")]
    OverlappingCookies {
        /// The cookie whose name or chunk the other cookie has.
        first: CookieName,
        /// The other cookie.
        second: CookieName,
    },
    /// The salt makes HKDF's `info` longer than the 1024 bytes that the frameworks allow.
    #[error("the salt of cookie {cookie} is too long")]
    SaltTooLong {
        /// The cookie's name.
        cookie: CookieName,
    },
    /// There are more cookies than [`KeyRing::MAX_COOKIES`].
    #[error("{count} session cookies exceed the limit of {}", KeyRing::MAX_COOKIES)]
    TooManyCookies {
        /// The number of cookies.
        count: usize,
    },
    /// There are more secrets than [`KeyRing::MAX_SECRETS`].
    #[error("{count} secrets exceed the limit of {}", KeyRing::MAX_SECRETS)]
    TooManySecrets {
        /// The number of secrets.
        count: usize,
    },
}

/// One cookie and its keys.
pub(crate) struct CookieKeys {
    pub(crate) cookie: SessionCookie,
    pub(crate) keys: FormatKeys,
}

pub(crate) enum FormatKeys {
    BetterAuth(Box<BetterAuthKeys>),
    Encrypted(EncryptionKeys),
    None,
    Signing(SigningKeys),
}

impl CookieKeys {
    fn derive(cookie: SessionCookie, secrets: &[Secret]) -> Self {
        let keys = match &cookie.kind {
            CookieKind::AuthJsDatabase => FormatKeys::None,
            CookieKind::AuthJsSigned => FormatKeys::Signing(SigningKeys::derive(secrets)),
            CookieKind::BetterAuth(better_auth) => {
                let keys = BetterAuthKeys::derive(secrets, better_auth.cache.clone());
                FormatKeys::BetterAuth(Box::new(keys))
            }
            CookieKind::Encrypted { library, salt, .. } => {
                FormatKeys::Encrypted(EncryptionKeys::derive(*library, salt, secrets))
            }
        };
        Self { cookie, keys }
    }
}

/// The keys of a cookie that holds an encrypted session.
pub(crate) struct EncryptionKeys {
    library: Library,
    /// The keys of the current secret come first; Auth.js has two per secret.
    keys: Vec<ContentKey>,
}

impl EncryptionKeys {
    fn derive(library: Library, salt: &str, secrets: &[Secret]) -> Self {
        let derive = |secret: &Secret, enc| {
            let derivation = Derivation::Encrypted { library, salt, enc };
            ContentKey::new(&KeyBytes::derive(secret, derivation))
        };
        let keys = match library {
            Library::AuthJs => secrets
                .iter()
                .flat_map(|secret| {
                    [
                        derive(secret, Enc::A256CbcHs512),
                        derive(secret, Enc::A256Gcm),
                    ]
                })
                .collect(),
            Library::NextAuth => secrets
                .first()
                .map(|secret| derive(secret, Enc::A256Gcm))
                .into_iter()
                .collect(),
        };
        Self { library, keys }
    }

    pub(crate) fn format(&self) -> Format {
        match self.library {
            Library::AuthJs => Format::AuthJs,
            Library::NextAuth => Format::NextAuth,
        }
    }

    /// The key whose framework writes exactly this header, if there is one. Such a header need not be parsed: it holds `dir`,
    /// the key's algorithm and perhaps its thumbprint, and nothing else.
    pub(crate) fn key_with_usual_header(&self, header: &[u8]) -> Option<&ContentKey> {
        self.keys
            .iter()
            .find(|key| key.usual_header.as_bytes() == header)
    }

    /// The one key that may open a token with this header.
    ///
    /// # Errors
    /// [`OpenError::UnsupportedAlgorithm`] or [`OpenError::UnknownKey`].
    pub(crate) fn key_for(&self, header: &Header<'_>) -> Result<&ContentKey, OpenError> {
        let mut fitting = self
            .keys
            .iter()
            .filter(|key| key.enc == header.enc)
            .peekable();
        if fitting.peek().is_none() {
            return Err(OpenError::UnsupportedAlgorithm);
        }
        let key = match (self.library, &header.unverified_kid) {
            // NextAuth v4 never looks at `kid`.
            (Library::NextAuth, _) | (Library::AuthJs, UnverifiedKid::Absent) => fitting.next(),
            (Library::AuthJs, UnverifiedKid::NotText) => None,
            (Library::AuthJs, UnverifiedKid::Text(kid)) => fitting.find(|key| *key.kid == **kid),
        };
        key.ok_or(OpenError::UnknownKey)
    }
}

/// Identifies a ring, so that a session found with one ring is not opened with another.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct RingIdentity([u8; 8]);

impl RingIdentity {
    fn of(cookies: &[CookieKeys]) -> Self {
        let mut hash = digest::Context::new(&digest::SHA256);
        for CookieKeys { cookie, keys } in cookies {
            // No name or thumbprint contains a line break, so different rings give different texts.
            hash.update(cookie.name().as_str().as_bytes());
            let keys = match keys {
                FormatKeys::BetterAuth(keys) => keys.encryption_keys(),
                FormatKeys::Encrypted(keys) => &keys.keys,
                FormatKeys::None => &[],
                FormatKeys::Signing(keys) => {
                    hash.update(b"\n\t\t");
                    hash.update(keys.fingerprint());
                    &[]
                }
            };
            for key in keys {
                hash.update(b"\n\t");
                hash.update(key.kid.as_bytes());
            }
            hash.update(b"\n");
        }
        let mut identity = [0; 8];
        identity.copy_from_slice(&hash.finish().as_ref()[..8]);
        Self(identity)
    }
}

#[cfg(test)]
mod tests;
