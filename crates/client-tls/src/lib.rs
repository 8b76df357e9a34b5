//! TLS as a client, towards PostgreSQL, Redis, the issuer of signed tokens and other servers. Also reads the files that settings
//! name, such as those with certificates and keys ([`named_file`]).

pub mod named_file;

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use session::Secret;

/// The certificate authorities that are trusted.
#[derive(Clone, Debug)]
pub struct Authorities {
    roots: RootCertStore,
    /// The certificates from files, each of which may also be the server's own.
    pinned: Vec<CertificateDer<'static>>,
}

impl Authorities {
    /// The public authorities in Mozilla's list. They are compiled into the program, because a container image has no files with
    /// them.
    pub fn public() -> Self {
        let roots = webpki_roots::TLS_SERVER_ROOTS.to_vec();
        Self {
            roots: RootCertStore { roots },
            pinned: Vec::new(),
        }
    }

    /// An empty set, which trusts nothing until [`add_file`](Self::add_file) adds authorities.
    pub fn none() -> Self {
        Self {
            roots: RootCertStore::empty(),
            pinned: Vec::new(),
        }
    }

    /// Adds the certificates of a PEM file.
    ///
    /// # Errors
    /// When the file cannot be read, holds no certificate, or holds one that cannot be an authority's.
    pub fn add_file(&mut self, path: &Path) -> Result<(), TlsFileError> {
        for certificate in certificates(path)? {
            self.roots
                .add(certificate.clone())
                .map_err(|error| TlsFileError::new(path, error))?;
            self.pinned.push(certificate);
        }
        Ok(())
    }

    /// Trusts only the certificates of a PEM file.
    ///
    /// # Errors
    /// The errors of [`add_file`](Self::add_file).
    pub fn of_file(path: &Path) -> Result<Self, TlsFileError> {
        let mut authorities = Self::none();
        authorities.add_file(path)?;
        Ok(authorities)
    }
}

/// How the server and the gate authenticate to each other.
#[derive(Debug)]
pub struct TlsOptions<'a> {
    /// How far the server's certificate is verified.
    pub verification: Verification,
    /// Files with our certificate and its key, if the server authenticates clients.
    pub identity: Option<(&'a Path, &'a Path)>,
}

/// How far a server's certificate is verified.
#[derive(Debug)]
pub enum Verification {
    /// A trusted authority signed it, for any host.
    Authority(Authorities),
    /// A trusted authority signed it, for this host.
    AuthorityAndName(Authorities),
    /// Nothing: the connection is encrypted, but an attacker on the network may be its other end.
    Nothing,
}

/// Makes the TLS configuration of a client.
///
/// # Errors
/// When `verification` needs authorities and has none, or a file of `identity` cannot be used.
pub fn client_config(tls_options: TlsOptions<'_>) -> Result<ClientConfig, TlsFileError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = match tls_options.verification {
        Verification::Nothing => Arc::new(NoVerifier(Arc::clone(&provider))),
        Verification::Authority(authorities) => {
            Arc::new(Verifier::new(authorities, false, Arc::clone(&provider))?)
        }
        Verification::AuthorityAndName(authorities) => {
            Arc::new(Verifier::new(authorities, true, Arc::clone(&provider))?)
        }
    };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider knows the default versions of TLS")
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let Some((certificate, key)) = tls_options.identity else {
        return Ok(config.with_no_client_auth());
    };
    let chain = certificates(certificate)?;
    let secret = PrivateKeyDer::from_pem_slice(content(key)?.expose())
        .map_err(|error| TlsFileError::new(key, error))?;
    config
        .with_client_auth_cert(chain, secret)
        .map_err(|error| TlsFileError::new(key, error))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFileError> {
    let certificates = CertificateDer::pem_slice_iter(content(path)?.expose())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| TlsFileError::new(path, error))?;
    if certificates.is_empty() {
        return Err(TlsFileError::new(
            path,
            "it contains no certificate in PEM format",
        ));
    }
    Ok(certificates)
}

/// Reads a file into a [`Secret`], because it may hold a key.
fn content(path: &Path) -> Result<Secret, TlsFileError> {
    let read = named_file::read(path, LONGEST_FILE);
    read.map(Secret::new)
        .map_err(|error| TlsFileError::new(path, error))
}

/// The largest file with certificates or a key, in bytes. All public authorities together take far less, some 250,000.
pub const LONGEST_FILE: u64 = 4 << 20;

/// Why a file with certificates or a key cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot use `{}`: {what}", path.display())]
pub struct TlsFileError {
    path: PathBuf,
    what: String,
}

impl TlsFileError {
    fn new(path: &Path, what: impl ToString) -> Self {
        Self {
            path: path.to_owned(),
            what: what.to_string(),
        }
    }
}

/// Returns what to do about a refused certificate, if the library's own message does not say it. Looks for the refusal among the
/// causes of `error`.
pub fn advice(error: &(dyn Error + 'static)) -> Option<&'static str> {
    flaw_of(error).and_then(advice_about)
}

/// Whether the certificate of a server was refused because it is for other hosts.
pub fn is_for_other_hosts(error: &(dyn Error + 'static)) -> bool {
    matches!(
        flaw_of(error),
        Some(CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. })
    )
}

/// Why the certificate of a server was refused, if it was.
fn flaw_of<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e CertificateError> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(rustls::Error::InvalidCertificate(flaw)) = error.downcast_ref() {
            return Some(flaw);
        }
        // An I/O error that wraps another error returns the cause of that as its own.
        cause = match error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
        {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "for every other flaw the library's own message is enough"
)]
fn advice_about(flaw: &CertificateError) -> Option<&'static str> {
    if is_own_authority(flaw) {
        return Some(
            "the server's certificate is an authority's own (CA:TRUE); give exactly this certificate as the CA file, or \
             have that authority sign one for the server",
        );
    }
    match flaw {
        CertificateError::UnknownIssuer => Some(
            "no trusted authority signed the server's certificate; give the certificate of the authority that did as the CA file",
        ),
        // The authority was found by its name.
        CertificateError::BadSignature => Some(
            "the trusted authority of this name has another key than the one that signed the server's certificate; give the certificate \
             of the authority that did sign it as the CA file",
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Some(
                "the server's certificate is for other hosts; its subjectAltName must name the host as it is configured here",
            )
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            Some("the server's certificate has expired")
        }
        CertificateError::Other(other)
            if other.0.to_string().contains("UnsupportedCertVersion") =>
        {
            Some("the server's certificate is of X.509 version 1; make one of version 3")
        }
        _ => None,
    }
}

/// Whether a certificate was refused because it is an authority's, after its validity period was checked (`rustls-webpki`
/// 0.103.17, `check_issuer_independent_properties`).
fn is_own_authority(flaw: &CertificateError) -> bool {
    let CertificateError::Other(other) = flaw else {
        return false;
    };
    matches!(
        other.0.downcast_ref(),
        Some(webpki::Error::CaUsedAsEndEntity)
    )
}

/// Verifies certificates as usual, and also trusts a certificate that is its own authority, as `openssl req -x509` makes them, if
/// it was given as an authority. libpq does the same.
#[derive(Debug)]
struct Verifier {
    ordinary: Arc<WebPkiServerVerifier>,
    pinned: Vec<CertificateDer<'static>>,
    checks_name: bool,
}

impl Verifier {
    fn new(
        authorities: Authorities,
        checks_name: bool,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, TlsFileError> {
        let roots = Arc::new(authorities.roots);
        let ordinary = WebPkiServerVerifier::builder_with_provider(roots, provider)
            .build()
            .map_err(|error| TlsFileError::new(Path::new("the CA file"), error))?;
        Ok(Self {
            ordinary,
            pinned: authorities.pinned,
            checks_name,
        })
    }

    /// Checks that the certificate is for this host, if `checks_name` is set.
    fn verify_name(
        &self,
        certificate: &CertificateDer<'_>,
        name: &ServerName<'_>,
    ) -> Result<(), rustls::Error> {
        match self.checks_name {
            true => verify_server_name(&ParsedCertificate::try_from(certificate)?, name),
            false => Ok(()),
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let ordinary =
            self.ordinary
                .verify_server_cert(certificate, intermediates, name, ocsp_response, now);
        let Err(rustls::Error::InvalidCertificate(flaw)) = &ordinary else {
            return ordinary;
        };
        let is_for_others = matches!(
            flaw,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
        );
        // The whole certificate is compared, so that only certificates in the file are trusted.
        if is_own_authority(flaw) && self.pinned.contains(certificate) {
            self.verify_name(certificate, name)?;
            return Ok(ServerCertVerified::assertion());
        }
        match is_for_others && !self.checks_name {
            true => Ok(ServerCertVerified::assertion()),
            false => ordinary,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.ordinary
            .verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.ordinary
            .verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.ordinary.supported_verify_schemes()
    }
}

/// Accepts any certificate, if the server proves that it has the key, as `sslmode=require` of PostgreSQL does.
#[derive(Debug)]
struct NoVerifier(Arc<CryptoProvider>);

impl ServerCertVerifier for NoVerifier {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
