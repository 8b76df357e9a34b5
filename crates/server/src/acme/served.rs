//! What connections get: the current certificates, and the challenges of running orders on any node.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use serde::{Deserialize, Serialize};
use session::UnixTime;
use thiserror::Error;

use crate::config::AcmeChallenge;
use crate::tls::certificate::Certificate;
use crate::tls::server::ByName;

/// The current certificates and challenges.
#[derive(Debug)]
pub(super) struct ServedCertificates {
    pub(super) certificates: Vec<Arc<Certificate>>,
    by_name: ByName,
    pub(super) proofs: Vec<Proof>,
}

/// The stored challenge of a running order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Challenge {
    /// The challenge type.
    pub(super) kind: ChallengeName,
    /// The challenge's token.
    pub(super) token: String,
    /// The key authorization (RFC 8555 §8.1).
    pub(super) key_authorization: String,
    /// The end of its validity, in seconds since 1970.
    pub(super) until: u64,
}

/// The name of a challenge (RFC 8555 §8.3, RFC 8737 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum ChallengeName {
    #[serde(rename = "http-01")]
    Http01,
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
}

/// A challenge, with its certificate for TLS-ALPN-01.
#[derive(Clone, Debug)]
pub(super) struct Proof {
    domain: String,
    challenge: Challenge,
    /// The certificate for TLS-ALPN-01.
    certificate: Option<Arc<CertifiedKey>>,
}

/// Why a challenge cannot be served.
#[derive(Debug, Error)]
pub(super) enum ProofError {
    #[error("the certificate of the challenge cannot be created: {0}")]
    Generate(#[from] rcgen::Error),
    #[error("the certificate of the challenge cannot be used: {0}")]
    Key(#[from] rustls::Error),
}

impl ServedCertificates {
    pub(super) fn new(certificates: Vec<Arc<Certificate>>, proofs: Vec<Proof>) -> Self {
        Self {
            by_name: ByName::of(&certificates),
            certificates,
            proofs,
        }
    }

    /// The key authorization for `token` at this hostname.
    pub(super) fn http_proof(&self, host: &str, token: &str, now: UnixTime) -> Option<Bytes> {
        let mut proofs = self.proofs.iter();
        let proof = proofs.find(|proof| {
            proof.challenge.kind == ChallengeName::Http01
                && proof.challenge.token == token
                && proof.domain.eq_ignore_ascii_case(host)
                && proof.is_wanted(now)
        })?;
        Some(Bytes::from(proof.challenge.key_authorization.clone()))
    }

    fn tls_proof(&self, host: &str, now: UnixTime) -> Option<Arc<CertifiedKey>> {
        let mut proofs = self.proofs.iter();
        let proof = proofs.find(|proof| {
            proof.certificate.is_some()
                && proof.domain.eq_ignore_ascii_case(host)
                && proof.is_wanted(now)
        });
        proof?.certificate.clone()
    }

    /// The certificate for a connection, which is the challenge certificate if the client requests a validation.
    pub(super) fn resolve(
        &self,
        hello: ClientHello<'_>,
        now: impl FnOnce() -> UnixTime,
    ) -> Option<Arc<CertifiedKey>> {
        match is_validation(&hello) {
            true => self.tls_proof(hello.server_name()?, now()),
            false => self.by_name.resolve(hello),
        }
    }
}

impl Proof {
    /// Prepares a challenge to be served, with a certificate if it is TLS-ALPN-01.
    ///
    /// # Errors
    /// When its certificate cannot be generated.
    pub(super) fn new(domain: &str, challenge: Challenge) -> Result<Self, ProofError> {
        let certificate = match challenge.kind {
            ChallengeName::Http01 => None,
            ChallengeName::TlsAlpn01 => Some(certificate(domain, &challenge.key_authorization)?),
        };
        Ok(Self {
            domain: domain.to_owned(),
            challenge,
            certificate,
        })
    }

    fn is_wanted(&self, now: UnixTime) -> bool {
        now.secs() < self.challenge.until
    }
}

impl From<AcmeChallenge> for ChallengeName {
    fn from(challenge: AcmeChallenge) -> Self {
        match challenge {
            AcmeChallenge::Http01 => Self::Http01,
            AcmeChallenge::TlsAlpn01 => Self::TlsAlpn01,
        }
    }
}

/// Whether the connection is a TLS-ALPN-01 validation, for which the authority offers only this protocol (RFC 8737 §3).
fn is_validation(hello: &ClientHello<'_>) -> bool {
    let mut offered = hello.alpn().into_iter().flatten();
    offered.next() == Some(ALPN) && offered.next().is_none()
}

/// A certificate for the hostname with the digest of the key authorization (RFC 8737 §3).
fn certificate(domain: &str, key_authorization: &str) -> Result<Arc<CertifiedKey>, ProofError> {
    let mut params = CertificateParams::new([domain.to_owned()])?;
    let digest = digest(&SHA256, key_authorization.as_bytes());
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest.as_ref())];
    let key = KeyPair::generate()?;
    let made = params.self_signed(&key)?;
    let secret = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let signer = any_supported_type(&secret)?;
    Ok(Arc::new(CertifiedKey::new(
        vec![made.der().clone()],
        signer,
    )))
}

/// The ALPN protocol of a challenge (RFC 8737 §6.2).
pub(crate) const ALPN: &[u8] = b"acme-tls/1";

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge(kind: ChallengeName) -> Challenge {
        Challenge {
            kind,
            token: "token".to_owned(),
            key_authorization: "token.thumbprint".to_owned(),
            until: 1000,
        }
    }

    #[test]
    fn http_challenge_is_answered_for_its_host_until_it_expires() {
        let http = Proof::new("app.example.com", challenge(ChallengeName::Http01)).unwrap();
        let shown = ServedCertificates::new(Vec::new(), vec![http]);
        let now = UnixTime::from_secs(999);
        let proof = |host, token, now| shown.http_proof(host, token, now);
        assert_eq!(
            proof("App.example.com", "token", now).as_deref(),
            Some(&b"token.thumbprint"[..])
        );
        assert_eq!(proof("app.example.com", "other", now), None);
        assert_eq!(proof("example.com", "token", now), None);
        assert_eq!(
            proof("app.example.com", "token", UnixTime::from_secs(1000)),
            None
        );
        assert!(shown.tls_proof("app.example.com", now).is_none());
    }

    #[test]
    fn tls_challenge_is_answered_for_its_host_until_it_expires() {
        let tls = Proof::new("app.example.com", challenge(ChallengeName::TlsAlpn01)).unwrap();
        let shown = ServedCertificates::new(Vec::new(), vec![tls]);
        let now = UnixTime::from_secs(999);
        assert!(shown.tls_proof("app.example.com", now).is_some());
        assert!(shown.tls_proof("example.com", now).is_none());
        assert!(
            shown
                .tls_proof("app.example.com", UnixTime::from_secs(1000))
                .is_none()
        );
        assert!(shown.http_proof("app.example.com", "token", now).is_none());
    }
}
