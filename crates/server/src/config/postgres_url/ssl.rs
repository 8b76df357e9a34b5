//! The values of libpq's `sslmode`.

/// How a connection is encrypted and the server verified: libpq's `sslmode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum Ssl {
    /// Never encrypted.
    Disable,
    /// Encrypted if the server supports it.
    Prefer,
    /// Always encrypted; the server is not verified.
    Require,
    /// Always encrypted, with a certificate from a trusted authority.
    VerifyCa,
    /// Always encrypted, with a certificate from a trusted authority for this hostname.
    VerifyFull,
}

impl Ssl {
    /// Reads a mode, ignoring case.
    ///
    /// # Errors
    /// If there is no such mode, or it is one that only node-postgres has.
    pub(in crate::config) fn parse(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "disable" => Ok(Self::Disable),
            // With `allow` libpq tries without TLS first; trying with TLS first does no harm.
            "allow" | "prefer" => Ok(Self::Prefer),
            "require" => Ok(Self::Require),
            "verify-ca" | "verify_ca" => Ok(Self::VerifyCa),
            "verify-full" | "verify_full" => Ok(Self::VerifyFull),
            "no-verify" => Err(
                "`no-verify` is node-postgres's name for TLS without verification; write `require` for that, or \
                 `verify-full` with sslrootcert=/path/to/ca.pem to verify the server"
                    .to_owned(),
            ),
            _ => Err(format!(
                "`{text}` is not one of disable, allow, prefer, require, verify-ca, verify-full"
            )),
        }
    }
}
