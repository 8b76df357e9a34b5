//! `sslmode` of libpq.

/// How a connection is encrypted, and what the server's certificate must prove: `sslmode` of libpq.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum Ssl {
    /// Not at all.
    Disable,
    /// If the server can.
    Prefer,
    /// Always, with any server.
    Require,
    /// Always, and somebody whom we trust has made the certificate.
    VerifyCa,
    /// Always, and somebody whom we trust has made the certificate for this host.
    VerifyFull,
}

impl Ssl {
    /// Reads a mode in any case.
    ///
    /// # Errors
    /// When there is no such mode, or it would trust any server although it says that it verifies.
    pub(in crate::config) fn parse(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "disable" => Ok(Self::Disable),
            // libpq tries without TLS first. There is no harm in trying with it first.
            "allow" | "prefer" => Ok(Self::Prefer),
            "require" => Ok(Self::Require),
            "verify-ca" | "verify_ca" => Ok(Self::VerifyCa),
            "verify-full" | "verify_full" => Ok(Self::VerifyFull),
            "no-verify" => Err(
                "`no-verify` is node-postgres' word for TLS without a look at the certificate; write `require` for that, or \
                 `verify-full` with sslrootcert=/path/to/ca.pem to know whom you talk to"
                    .to_owned(),
            ),
            _ => Err(format!(
                "`{text}` is none of disable, allow, prefer, require, verify-ca, verify-full"
            )),
        }
    }
}
