//! The application's secret, from which every key is derived.

use core::fmt;

use aws_lc_rs::digest;
use zeroize::Zeroizing;

/// The secret with which an application protects its sessions (`AUTH_SECRET`, `NEXTAUTH_SECRET`).
///
/// The bytes are used exactly as given: no trimming and no decoding, because the frameworks do neither.
/// They are zeroized on drop, and both `Debug` and `Display` show only their number and a [fingerprint](Self::fingerprint).
#[derive(Clone)]
pub struct Secret {
    bytes: Zeroizing<Vec<u8>>,
}

impl Secret {
    /// Takes the secret as configured.
    #[must_use]
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            bytes: Zeroizing::new(bytes.into()),
        }
    }

    /// The number of bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether the secret has no bytes. A [`KeyRing`](crate::KeyRing) refuses such a secret.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The first eight hexadecimal digits of the SHA-256 of the bytes: enough to tell two secrets apart in a log.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let digest = digest::digest(&digest::SHA256, &self.bytes);
        digest
            .as_ref()
            .iter()
            .take(4)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// Returns why this secret should not be used, if there is a reason.
    ///
    /// `None` does not mean that the secret is strong: a long secret can still be guessable.
    #[must_use]
    pub fn weakness(&self) -> Option<Weakness> {
        if self.is_empty() {
            return Some(Weakness::Empty);
        }
        if PLACEHOLDERS
            .iter()
            .any(|placeholder| self.reads_like(placeholder))
        {
            return Some(Weakness::Placeholder);
        }
        if self.len() < RECOMMENDED_LEN {
            return Some(Weakness::TooShort { bytes: self.len() });
        }
        None
    }

    /// The bytes themselves. The name is a warning: the returned bytes are no longer redacted.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether the secret is `placeholder`, regardless of case, of a byte-order mark at the start, and of `-`, `_`, `.`, quotes
    /// and white space anywhere.
    fn reads_like(&self, placeholder: &str) -> bool {
        let text = self.bytes.strip_prefix("\u{feff}".as_bytes());
        let letters = text
            .unwrap_or(&self.bytes)
            .iter()
            .filter(|byte| !b"-_ .\t\r\n\"'`".contains(byte));
        letters.map(u8::to_ascii_lowercase).eq(placeholder.bytes())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({self})")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} bytes, fingerprint {}",
            self.len(),
            self.fingerprint()
        )
    }
}

/// Why a [`Secret`] should not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Weakness {
    /// The secret has no bytes.
    #[error("the secret is empty")]
    Empty,
    /// The secret appears in a tutorial, an example file or a framework's source: anyone can mint sessions with it.
    #[error("the secret is a publicly known placeholder")]
    Placeholder,
    /// Fewer than 32 bytes: less than the strength of the keys derived from it.
    #[error("the secret has only {}; 32 or more are needed for full strength", counted(*.bytes))]
    TooShort {
        /// The number of bytes there are.
        bytes: usize,
    },
}

/// A number of bytes with its unit, as text.
pub(crate) fn counted(bytes: usize) -> String {
    match bytes {
        1 => "1 byte".to_owned(),
        bytes => format!("{bytes} bytes"),
    }
}

/// The shortest secret that is not weak, in bytes: `npx auth secret` and `openssl rand -base64 32` both give 32 random bytes or
/// more.
const RECOMMENDED_LEN: usize = 32;

/// Publicly known secrets, in lower case and without separators, as [`Secret::reads_like`] compares them.
const PLACEHOLDERS: [&str; 42] = [
    "abc123",
    "authsecret",
    "betterauthsecret",
    // The constant that Better Auth falls back to outside production (`dist/utils/constants.mjs`).
    "betterauthsecret12345678901234567890",
    "changeit",
    "changeme",
    "changemeinproduction",
    "changemeplease",
    "changethis",
    "default",
    "development",
    "example",
    "generatearandomsecret",
    "generateasecret",
    "insecure",
    "jwtsecret",
    "keyboardcat",
    "mysecret",
    "mysecretkey",
    "nextauthsecret",
    "password",
    "placeholder",
    "replaceme",
    "replacewithyoursecret",
    "secret",
    "secretkey",
    "supersecret",
    "supersecretkey",
    "supersecretpassword",
    "test",
    "testsecret",
    "thisisasecret",
    "todo",
    "yourauthsecret",
    "yourauthsecrethere",
    "yourjwtsecret",
    "yournextauthsecret",
    "yournextauthsecrethere",
    "yoursecret",
    "yoursecrethere",
    "yoursecretkey",
    "yoursupersecretkey",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printing_a_secret_shows_length_and_fingerprint_only() {
        let secret = Secret::new("correct horse battery staple");
        // SHA-256 of that text starts with c4bbcb1f.
        assert_eq!(format!("{secret}"), "28 bytes, fingerprint c4bbcb1f");
        assert_eq!(
            format!("{secret:?}"),
            "Secret(28 bytes, fingerprint c4bbcb1f)"
        );
    }

    #[test]
    fn public_default_secrets_are_weak_in_every_spelling() {
        for text in [
            "better-auth-secret-12345678901234567890",
            "your_secret",
            "Your-Secret",
            "changeme",
            "your-secret-here",
            " secret\n",
            "SECRET",
            "\"better-auth-secret-12345678901234567890\"",
            "'changeme' ",
            "\u{feff}your_secret",
        ] {
            assert_eq!(
                Secret::new(text).weakness(),
                Some(Weakness::Placeholder),
                "{text}"
            );
        }
    }

    #[test]
    fn a_secret_is_weak_when_empty_or_short() {
        assert_eq!(Secret::new("").weakness(), Some(Weakness::Empty));
        assert_eq!(
            Secret::new("x".repeat(31)).weakness(),
            Some(Weakness::TooShort { bytes: 31 })
        );
        assert_eq!(Secret::new("x".repeat(32)).weakness(), None);
    }
}
