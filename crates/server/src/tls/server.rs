//! The TLS configuration towards clients: certificates by name, versions, client authentication and resumption.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::server::{
    ClientHello, NoServerSessionStorage, ProducesTickets, ResolvesServerCert, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};

use super::certificate::Certificate;

/// The oldest accepted version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MinVersion {
    Tls12,
    Tls13,
}

/// Whether clients authenticate with certificates.
#[derive(Clone, Debug)]
pub(crate) enum ClientProof {
    /// No certificate is requested from clients.
    Off,
    /// Clients may send a certificate that one of these authorities has signed.
    Optional(Arc<RootCertStore>),
    /// Clients must send such a certificate.
    Required(Arc<RootCertStore>),
}

/// The configuration for clients, which get one of `certificates`.
///
/// # Errors
/// When the authorities for client certificates cannot be used.
pub(crate) fn config(
    certificates: Arc<dyn ResolvesServerCert>,
    oldest: MinVersion,
    client: &ClientProof,
    tickets: Arc<dyn ProducesTickets>,
) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions: &[&SupportedProtocolVersion] = match oldest {
        MinVersion::Tls12 => &[&TLS13, &TLS12],
        MinVersion::Tls13 => &[&TLS13],
    };
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)?;
    let verifier = |roots: &Arc<RootCertStore>| {
        WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(&provider))
    };
    let unusable =
        |error: rustls::server::VerifierBuilderError| rustls::Error::General(error.to_string());
    let builder = match client {
        ClientProof::Off => builder.with_no_client_auth(),
        ClientProof::Optional(roots) => {
            let verifier = verifier(roots).allow_unauthenticated().build();
            builder.with_client_cert_verifier(verifier.map_err(unusable)?)
        }
        ClientProof::Required(roots) => {
            builder.with_client_cert_verifier(verifier(roots).build().map_err(unusable)?)
        }
    };
    let mut config = builder.with_cert_resolver(certificates);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.ticketer = tickets;
    // Clients without tickets (RFC 5077) cannot resume: a session cache would need a lock that all cores share.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(config)
}

/// Certificates by hostname.
#[derive(Debug)]
pub(crate) struct ByName {
    exact: HashMap<String, Vec<Arc<CertifiedKey>>>,
    /// Wildcard certificates, by what follows `*.`.
    one_label_below: HashMap<String, Vec<Arc<CertifiedKey>>>,
    /// All certificates, for clients without a server name and for all other names.
    all: Vec<Arc<CertifiedKey>>,
}

impl ByName {
    /// Indexes certificates by name. The first one also serves clients that send no server name, or one without a certificate.
    pub(crate) fn of(certificates: &[Arc<Certificate>]) -> Self {
        let mut by_name = Self {
            exact: HashMap::new(),
            one_label_below: HashMap::new(),
            all: Vec::new(),
        };
        for certificate in certificates {
            let key = &certificate.key;
            by_name.all.push(Arc::clone(key));
            for name in &certificate.names {
                let keys = match name.strip_prefix("*.") {
                    Some(above) => by_name.one_label_below.entry(above.to_owned()),
                    None => by_name.exact.entry(name.clone()),
                };
                keys.or_default().push(Arc::clone(key));
            }
        }
        by_name
    }

    fn named(&self, name: &str) -> Option<&Vec<Arc<CertifiedKey>>> {
        let name = name.to_ascii_lowercase();
        self.exact.get(&name).or_else(|| {
            let (_, above) = name.split_once('.')?;
            self.one_label_below.get(above)
        })
    }
}

impl ResolvesServerCert for ByName {
    /// Returns the first certificate for the hostname whose key type the client supports: an ECDSA certificate can be configured
    /// beside an RSA one.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().and_then(|name| self.named(name));
        let schemes = hello.signature_schemes();
        let fits = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(schemes).is_some();
        let candidates = named.unwrap_or(&self.all);
        candidates.iter().find(fits).or(candidates.first()).cloned()
    }
}
