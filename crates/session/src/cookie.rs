//! Which cookies are sessions: names, formats and salts.

use core::{fmt, str::FromStr};

/// The kind of session a token is: which library wrote it, and so how its key is derived and what it may contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Auth.js v5 (`@auth/core` 0.18.1 or later, `next-auth` 5): A256CBC-HS512, or A256GCM from its early releases.
    AuthJs,
    /// NextAuth v4 (`next-auth` 4): A256GCM.
    NextAuth,
}

impl Format {
    /// A stable name for logs and configuration: `authjs-v5` or `nextauth-v4`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AuthJs => "authjs-v5",
            Self::NextAuth => "nextauth-v4",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The name of a cookie: a token as RFC 6265 section 4.1.1 demands, of at most 989 bytes.
///
/// The bound follows from Auth.js, where the name becomes part of the HKDF `info`, which may have 1024 bytes
/// (`@panva/hkdf`). Names are compared exactly, including case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CookieName(Box<str>);

impl CookieName {
    /// The largest number of bytes a name may have.
    pub const MAX_LEN: usize = 989;

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CookieName {
    type Err = CookieNameError;

    fn from_str(name: &str) -> Result<Self, CookieNameError> {
        if name.is_empty() {
            return Err(CookieNameError::Empty);
        }
        if let Some(at) = name.bytes().position(|byte| !is_token_byte(byte)) {
            return Err(CookieNameError::NotAToken { at });
        }
        if name.len() > Self::MAX_LEN {
            return Err(CookieNameError::TooLong { len: name.len() });
        }
        Ok(Self(name.into()))
    }
}

impl TryFrom<&str> for CookieName {
    type Error = CookieNameError;

    fn try_from(name: &str) -> Result<Self, CookieNameError> {
        name.parse()
    }
}

impl fmt::Display for CookieName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text cannot be a [`CookieName`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CookieNameError {
    /// There is no character.
    #[error("a cookie name cannot be empty")]
    Empty,
    /// A byte is no token character (RFC 9110 section 5.6.2), for example a space, `=` or `;`.
    #[error("byte {at} of the cookie name is not allowed in a cookie name")]
    NotAToken {
        /// The position of the byte, counted from 0.
        at: usize,
    },
    /// The name is longer than [`CookieName::MAX_LEN`].
    #[error("the cookie name has {len} bytes, more than {}", CookieName::MAX_LEN)]
    TooLong {
        /// The number of bytes it has.
        len: usize,
    },
}

/// One cookie that is recognised as a session: its name, the format of its value and the salt of its keys.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SessionCookie {
    name: CookieName,
    format: Format,
    salt: Box<str>,
}

impl SessionCookie {
    /// A cookie that Auth.js v5 writes. The salt is the cookie's name, prefix included
    /// (`@auth/core` `src/lib/actions/session.ts`), so a token works under the name it was minted for only.
    #[must_use]
    pub fn authjs(name: CookieName) -> Self {
        let salt = name.0.clone();
        Self {
            name,
            format: Format::AuthJs,
            salt,
        }
    }

    /// A cookie that NextAuth v4 writes. The salt of session cookies is empty (`next-auth` 4 `src/jwt/index.ts`).
    #[must_use]
    pub fn nextauth(name: CookieName) -> Self {
        Self {
            name,
            format: Format::NextAuth,
            salt: "".into(),
        }
    }

    /// The same cookie with another salt, for applications that pass their own to `encode()`.
    /// [`KeyRing::new`](crate::KeyRing::new) refuses a salt that is too long.
    #[must_use]
    pub fn with_salt(mut self, salt: &str) -> Self {
        self.salt = salt.into();
        self
    }

    /// The four cookies the frameworks write by default, in order of preference: Auth.js v5 before NextAuth v4,
    /// and `__Secure-` before the plain name, which a page on plain HTTP could have set.
    #[must_use]
    pub fn defaults() -> [Self; 4] {
        let name = |name: &str| CookieName(name.into());
        [
            Self::authjs(name("__Secure-authjs.session-token")),
            Self::authjs(name("authjs.session-token")),
            Self::nextauth(name("__Secure-next-auth.session-token")),
            Self::nextauth(name("next-auth.session-token")),
        ]
    }

    /// The cookie's name, without any chunk suffix.
    #[must_use]
    pub fn name(&self) -> &CookieName {
        &self.name
    }

    /// The format its value is expected in.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// The salt its keys are derived with.
    #[must_use]
    pub fn salt(&self) -> &str {
        &self.salt
    }
}

/// `tchar` of RFC 9110 section 5.6.2.
const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_name_is_a_bounded_token() {
        assert_eq!(
            "__Host-a.b"
                .parse::<CookieName>()
                .map(|name| name.to_string()),
            Ok("__Host-a.b".to_owned())
        );
        assert_eq!("".parse::<CookieName>(), Err(CookieNameError::Empty));
        assert_eq!(
            "a b".parse::<CookieName>(),
            Err(CookieNameError::NotAToken { at: 1 })
        );
        assert_eq!(
            "a=".parse::<CookieName>(),
            Err(CookieNameError::NotAToken { at: 1 })
        );
        assert_eq!(
            "é".parse::<CookieName>(),
            Err(CookieNameError::NotAToken { at: 0 })
        );
        assert!("x".repeat(989).parse::<CookieName>().is_ok());
        assert_eq!(
            "x".repeat(990).parse::<CookieName>(),
            Err(CookieNameError::TooLong { len: 990 })
        );
    }

    #[test]
    fn default_names_are_valid_names() {
        for cookie in SessionCookie::defaults() {
            assert_eq!(cookie.name().as_str().parse(), Ok(cookie.name().clone()));
        }
    }
}
