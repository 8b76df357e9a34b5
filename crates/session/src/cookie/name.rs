//! The name of a cookie.

use core::{fmt, str::FromStr};

/// The name of a cookie: a token as RFC 6265 section 4.1.1 demands, of at most 989 bytes.
///
/// The bound follows from Auth.js, where the name becomes part of the HKDF `info`, which may have 1024 bytes
/// (`@panva/hkdf`). Names are compared exactly, including case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CookieName(pub(super) Box<str>);

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
    /// The text is empty.
    #[error("a cookie name cannot be empty")]
    Empty,
    /// A byte is not a token character (RFC 9110 section 5.6.2), for example a space, `=` or `;`.
    #[error("byte {at} of the cookie name is not allowed in a cookie name")]
    NotAToken {
        /// The position of the byte, counted from 0.
        at: usize,
    },
    /// The name is longer than [`CookieName::MAX_LEN`].
    #[error(
        "the cookie name has {len} bytes; the limit is {}",
        CookieName::MAX_LEN
    )]
    TooLong {
        /// The number of bytes it has.
        len: usize,
    },
}

/// `tchar` of RFC 9110 section 5.6.2.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
