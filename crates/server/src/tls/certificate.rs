//! Certificates and keys of listeners, read from files and checked before use.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use session::{Secret, UnixTime};
use thiserror::Error;
use x509_cert::der::{Decode, Encode};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use client_tls::LONGEST_FILE;
use client_tls::named_file;

/// A certificate of a listener, with its chain and key.
#[derive(Debug)]
pub(crate) struct Certificate {
    pub(crate) key: Arc<CertifiedKey>,
    /// The hostnames that it is for, in lower case; a leading `*.` stands for one label.
    pub(crate) names: Vec<String>,
    /// The start of its validity, in seconds since 1970.
    pub(crate) not_before: u64,
    /// The end of its validity, in seconds since 1970.
    pub(crate) not_after: u64,
}

/// Why a certificate and a key cannot be used, and which of the two files is wrong.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum CertificateError {
    /// The file with the certificate.
    #[error("{0}")]
    Certificate(String),
    /// The file with the key.
    #[error("{0}")]
    Key(String),
}

impl Certificate {
    /// Reads the chain in one PEM file and the key in another, or in the same.
    ///
    /// # Errors
    /// When one of them cannot be read, or the key does not belong to the first certificate.
    pub(crate) fn load(chain: &Path, key: &Path) -> Result<Self, CertificateError> {
        let bytes = content(chain).map_err(CertificateError::Certificate)?;
        let certificates = chain_of(bytes.expose(), chain)?;
        // An inherited descriptor can be read only once.
        let bytes = match key == chain {
            true => bytes,
            false => content(key).map_err(CertificateError::Key)?,
        };
        let secret = key_of(bytes.expose(), key, chain)?;
        Self::new(certificates, secret, chain, key)
    }

    /// Reads the chain and the key in one text; the path is for messages.
    ///
    /// # Errors
    /// The errors of [`load`](Self::load).
    pub(crate) fn of_text(bytes: &[u8], path: &Path) -> Result<Self, CertificateError> {
        let certificates = chain_of(bytes, path)?;
        let secret = key_of(bytes, path, path)?;
        Self::new(certificates, secret, path, path)
    }

    /// Builds a certificate from a chain and a key in memory; the paths are for messages.
    ///
    /// # Errors
    /// The errors of [`load`](Self::load).
    pub(crate) fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        chain_path: &Path,
        key_path: &Path,
    ) -> Result<Self, CertificateError> {
        let shown = key_path.display();
        let signer = any_supported_type(&key).map_err(|error| {
            CertificateError::Key(format!(
                "the key in `{shown}` is of an unsupported type ({error}); use ECDSA (P-256, P-384, P-521), Ed25519 \
                 or RSA with 2048 to 8192 bits"
            ))
        })?;
        let key = CertifiedKey::new(chain, signer);
        let own = key.cert.first();
        let own = own.map(|own| x509_cert::Certificate::from_der(own));
        let Some(Ok(own)) = own else {
            let shown = chain_path.display();
            let what = format!("the first certificate in `{shown}` is not an X.509 certificate");
            return Err(CertificateError::Certificate(what));
        };
        match key.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {}
            Err(_) => return Err(mismatch(&key, chain_path, key_path)),
        }
        let validity = &own.tbs_certificate.validity;
        Ok(Self {
            not_before: validity.not_before.to_unix_duration().as_secs(),
            not_after: validity.not_after.to_unix_duration().as_secs(),
            names: names(&own),
            key: Arc::new(key),
        })
    }

    /// Warnings about the certificate and its files. It is used anyway: an expired one is better than none.
    pub(crate) fn warnings(&self, chain: &Path, key: &Path, now: UnixTime) -> Vec<String> {
        let shown = chain.display();
        let mut warnings = Vec::new();
        let day = |secs| i64::try_from(secs).map_or(Timestamp::MAX, at);
        if now.secs() >= self.not_after {
            let end = day(self.not_after);
            warnings.push(format!(
                "the certificate in `{shown}` expired at {end}: clients refuse it; replace it \
                with a new one"
            ));
        } else if now.secs() < self.not_before {
            let begin = day(self.not_before);
            warnings.push(format!(
                "the certificate in `{shown}` is not valid before {begin}: clients refuse it \
                until then; check the clock"
            ));
        } else if self.not_after - now.secs() < SOON {
            let end = day(self.not_after);
            warnings.push(format!("the certificate in `{shown}` expires at {end}"));
        }
        if self.names.is_empty() {
            warnings.push(format!(
                "the certificate in `{shown}` names no host (subjectAltName): browsers refuse it; \
                it is served when no other one matches"
            ));
        }
        if let Some(number) = self.first_out_of_order() {
            let before = number - 1;
            warnings.push(format!(
                "the chain in `{shown}` is not in order: certificate {number} has not signed certificate {before}; put \
                 the server's own certificate first, then its issuer's, and so on"
            ));
        }
        if is_open_to_all(key) {
            let shown = key.display();
            warnings.push(format!(
                "every user of this machine can read the key in `{shown}`; run `chmod 600` on it"
            ));
        }
        warnings
    }

    /// The index, from 1, of the first certificate of the chain whose subject is not the issuer of the one before it.
    fn first_out_of_order(&self) -> Option<usize> {
        let parsed = self
            .key
            .cert
            .iter()
            .map(|one| x509_cert::Certificate::from_der(one));
        let parsed: Vec<_> = parsed.collect();
        let pairs = parsed.windows(2).position(|pair| match pair {
            [Ok(one), Ok(next)] => one.tbs_certificate.issuer != next.tbs_certificate.subject,
            _ => true,
        });
        Some(pairs? + 2)
    }
}

/// The certificates of a PEM file, at least one.
///
/// # Errors
/// What is wrong with the file.
pub(crate) fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let bytes = content(path).map_err(CertificateError::Certificate)?;
    chain_of(bytes.expose(), path)
}

/// The content of a file, which may be a key.
///
/// # Errors
/// Why the file cannot be read.
pub(crate) fn content(path: &Path) -> Result<Secret, String> {
    let read = named_file::read(path, LONGEST_FILE);
    read.map(Secret::new).map_err(|error| {
        let shown = path.display();
        match error.kind() == io::ErrorKind::PermissionDenied {
            true => format!(
                "cannot read `{shown}`: permission denied; the user that the gate runs as needs to read it"
            ),
            false => format!("cannot read `{shown}`: {error}"),
        }
    })
}

/// The certificates in these bytes of a file, at least one.
///
/// # Errors
/// What is wrong with the certificates.
pub(crate) fn chain_of(
    bytes: &[u8],
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let shown = path.display();
    let read = CertificateDer::pem_slice_iter(bytes).collect::<Result<Vec<_>, _>>();
    let read = read.map_err(|error| CertificateError::Certificate(not_pem(path, &error)))?;
    if !read.is_empty() {
        return Ok(read);
    }
    let has_key = PrivateKeyDer::from_pem_slice(bytes).is_ok();
    let what = match has_key {
        true => format!("`{shown}` contains a key and no certificate; are the two files swapped?"),
        false => {
            format!(
                "`{shown}` contains no certificate in PEM format (`-----BEGIN CERTIFICATE-----`)"
            )
        }
    };
    Err(CertificateError::Certificate(what))
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the library's own messages are clear for every other error"
)]
fn key_of(
    bytes: &[u8],
    path: &Path,
    chain: &Path,
) -> Result<PrivateKeyDer<'static>, CertificateError> {
    let shown = path.display();
    let error = match PrivateKeyDer::from_pem_slice(bytes) {
        Ok(key) => return Ok(key),
        Err(error) => error,
    };
    let what = match error {
        pem::Error::NoItemsFound if is_encrypted(bytes) => format!(
            "the key in `{shown}` is encrypted with a password; write it without one: `openssl pkey -in {shown} -out …`"
        ),
        pem::Error::NoItemsFound if path == chain => {
            format!("`{shown}` contains only a certificate; give the file of its key too")
        }
        pem::Error::NoItemsFound => format!(
            "`{shown}` contains no private key in PEM format (PKCS#8, SEC1 or PKCS#1: `-----BEGIN PRIVATE KEY-----`)"
        ),
        error => not_pem(path, &error),
    };
    Err(CertificateError::Key(what))
}

fn not_pem(path: &Path, error: &pem::Error) -> String {
    format!("`{}` is not a PEM file: {error}", path.display())
}

/// Adds to the error which certificate of the chain the key belongs to, if any.
fn mismatch(key: &CertifiedKey, chain_path: &Path, key_path: &Path) -> CertificateError {
    let (chain, shown) = (chain_path.display(), key_path.display());
    let public = key.key.public_key();
    let is_of_key = |certificate: &CertificateDer<'_>| {
        let parsed = x509_cert::Certificate::from_der(certificate).ok()?;
        let its_own = parsed
            .tbs_certificate
            .subject_public_key_info
            .to_der()
            .ok()?;
        (public.as_ref()?.as_ref() == its_own).then_some(())
    };
    let place = key.cert.iter().position(|one| is_of_key(one).is_some());
    match place {
        Some(place) => CertificateError::Certificate(format!(
            "the key in `{shown}` belongs to certificate {} of `{chain}`; put the server's own certificate first, then \
             its issuer's",
            place + 1
        )),
        None => CertificateError::Key(format!(
            "the key in `{shown}` does not match the certificate in `{chain}`"
        )),
    }
}

/// Whether the key is encrypted, by the first line of PKCS#8 or a field of PKCS#1 (RFC 1421 §4.6.1.1).
fn is_encrypted(bytes: &[u8]) -> bool {
    let mut windows = bytes.windows(ENCRYPTED.len());
    windows.any(|window| window == ENCRYPTED)
}

fn is_open_to_all(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o004 != 0)
}

/// The hostnames of `subjectAltName`. The common name does not count: clients ignore it (RFC 9525 §6.3).
fn names(certificate: &x509_cert::Certificate) -> Vec<String> {
    let found = certificate.tbs_certificate.get::<SubjectAltName>();
    let Ok(Some((_, SubjectAltName(all)))) = found else {
        return Vec::new();
    };
    all.iter().filter_map(host).collect()
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the other kinds of names are no hosts"
)]
fn host(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) => Some(name.as_str().to_ascii_lowercase()),
        GeneralName::IpAddress(address) => address_of(address.as_bytes()).map(|ip| ip.to_string()),
        _ => None,
    }
}

fn address_of(octets: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(octets).map(|octets| Ipv4Addr::from(octets).into());
    four.or_else(|_| <[u8; 16]>::try_from(octets).map(|octets| Ipv6Addr::from(octets).into()))
        .ok()
}

fn at(secs: i64) -> Timestamp {
    Timestamp::from_second(secs).unwrap_or(Timestamp::MAX)
}

/// The files of a listener's certificate: the chain and the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CertificateFiles {
    pub(crate) chain: PathBuf,
    pub(crate) key: PathBuf,
}

const ENCRYPTED: &[u8] = b"ENCRYPTED";

/// How long before its expiry a certificate causes a warning, in seconds. One that is renewed in time never does: those of Let's
/// Encrypt are renewed with a third of 90 days left, and short-lived ones are valid for six days.
const SOON: u64 = 3 * 24 * 60 * 60;
