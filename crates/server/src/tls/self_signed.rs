//! A self-signed certificate for development, made on demand and kept in memory.

use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use session::UnixTime;
use thiserror::Error;

use super::certificate::{Certificate, CertificateError};

/// Why no self-signed certificate can be generated.
#[derive(Debug, Error)]
pub(crate) enum SelfSignedError {
    /// The generated certificate cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// No certificate can be generated for these names.
    #[error("a certificate for these names cannot be made: {0}")]
    Made(#[from] rcgen::Error),
}

/// Generates a self-signed certificate for these hostnames and addresses.
///
/// # Errors
/// When one of the names is invalid.
pub(crate) fn make(names: &[String], now: UnixTime) -> Result<Certificate, SelfSignedError> {
    let mut params = CertificateParams::new(names)?;
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, "sessiongate, for development only");
    params.distinguished_name = name;
    let now = UNIX_EPOCH + Duration::from_secs(now.secs());
    // Other machines' clocks may be behind.
    params.not_before = (now - Duration::from_secs(60 * 60)).into();
    params.not_after = (now + GOOD_FOR).into();
    let key = KeyPair::generate()?;
    let made = params.self_signed(&key)?;
    let secret = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let nowhere = Path::new("TLS=self-signed");
    let certificate = Certificate::new(vec![made.der().clone()], secret, nowhere, nowhere)?;
    Ok(certificate)
}

/// The lifetime of the certificate. Browsers reject certificates that are valid for longer than 398 days.
const GOOD_FOR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
