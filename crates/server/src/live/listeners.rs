//! The live part of each listener: its TLS configuration and certificates.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::ResolvesServerCert;
use thiserror::Error;

use super::tickets::{HandedTickets, ListenerTickets, TicketScope};
use crate::acme::{self, Acme};
use crate::clock;
use crate::config::{Certificates, ContentDigest, HttpsSettings, ListenerSettings, TlsSettings};
use crate::tls::certificate::Certificate;
use crate::tls::self_signed::{self, SelfSignedError};
use crate::tls::server::{self, ByName};
use crate::tls::tickets::Tickets;

/// A listener of the process. Its address is fixed; its protocols may change.
#[derive(Clone)]
pub(crate) struct ListenerTerms {
    /// The address as configured.
    pub(crate) address: SocketAddr,
    pub(crate) redirects: bool,
    /// Whether trusted proxies send a PROXY header on each connection.
    pub(crate) proxy_protocol: bool,
    pub(crate) tls: Option<ListenerTls>,
}

/// The TLS of a listener.
#[derive(Clone)]
pub(crate) struct ListenerTls {
    pub(crate) config: Arc<ServerConfig>,
    /// The certificates from files.
    certificates: Vec<Arc<Certificate>>,
    /// The ACME certificates.
    acme: Option<Arc<Acme>>,
    /// The names of the self-signed certificate, if there is one.
    made_for: Option<Vec<String>>,
    /// The session tickets, shared by all cores and kept across reloads, so that clients can resume.
    tickets: Arc<Tickets>,
    clients: Option<(ContentDigest, bool)>,
}

/// Why the TLS of a listener cannot be set up.
#[derive(Debug, Error)]
pub(crate) enum TlsOpenError {
    /// The settings do not fit together.
    #[error("TLS: {0}")]
    Config(#[from] rustls::Error),
    /// The self-signed certificate cannot be made.
    #[error("TLS=self-signed: {0}")]
    SelfSigned(#[from] SelfSignedError),
}

/// What all TLS listeners share.
#[derive(Clone, Copy, Debug)]
pub(super) struct SharedTls<'s> {
    /// The ACME certificates, if any listener uses them.
    pub(super) acme: Option<&'s Arc<Acme>>,
    /// Whether HTTP/2 is offered to clients.
    pub(super) http2: bool,
    /// The ticket keys of the previous process.
    pub(super) handed: &'s HandedTickets,
}

impl ListenerTerms {
    /// Opens the listeners of this process. On a reload these are the listeners of `before`, whatever `settings` name: other
    /// changes need a restart.
    ///
    /// # Errors
    /// When the TLS of one of them cannot be set up.
    pub(super) fn open_all(
        mut settings: Vec<ListenerSettings>,
        https: &HttpsSettings,
        shared_tls: SharedTls<'_>,
        before: Option<&[Self]>,
    ) -> Result<Vec<Self>, TlsOpenError> {
        let Some(before) = before else {
            let opened = settings
                .iter()
                .map(|one| Self::open(one, https, shared_tls, None));
            let opened = opened.collect();
            shared_tls.handed.forget();
            return opened;
        };
        let renewed = before.iter().map(|known| {
            let is_this = |one: &ListenerSettings| {
                (one.address, one.redirects) == (known.address, known.redirects)
            };
            match settings.iter().position(is_this) {
                Some(place) => Self::open(
                    &settings.remove(place),
                    https,
                    shared_tls,
                    known.tls.as_ref(),
                ),
                None => Ok(known.clone()),
            }
        });
        renewed.collect()
    }

    fn open(
        settings: &ListenerSettings,
        https: &HttpsSettings,
        shared_tls: SharedTls<'_>,
        before: Option<&ListenerTls>,
    ) -> Result<Self, TlsOpenError> {
        let open = |tls: &TlsSettings| {
            let listener = TicketScope {
                address: settings.address,
                redirects: settings.redirects,
                clients: tls.clients,
            };
            let names = https.names(settings.address.ip());
            ListenerTls::open(tls, &listener, names, shared_tls, before)
        };
        Ok(Self {
            address: settings.address,
            redirects: settings.redirects,
            proxy_protocol: settings.proxy_protocol,
            tls: settings.tls.as_ref().map(open).transpose()?,
        })
    }

    /// The listener's ticket keys, for the next process.
    pub(super) fn tickets(&self) -> Option<ListenerTickets> {
        let tls = self.tls.as_ref()?;
        Some(ListenerTickets {
            listener: TicketScope {
                address: self.address,
                redirects: self.redirects,
                clients: tls.clients,
            },
            keys: tls.tickets.keys(),
        })
    }
}

impl ListenerTls {
    /// Sets up TLS. `names` are those of a self-signed certificate, which is kept until they change.
    ///
    /// # Errors
    /// When the self-signed certificate cannot be made, or the settings do not fit together.
    pub(super) fn open(
        settings: &TlsSettings,
        listener: &TicketScope,
        names: Vec<String>,
        shared_tls: SharedTls<'_>,
        before: Option<&Self>,
    ) -> Result<Self, TlsOpenError> {
        let (certificates, made_for) = match &settings.certificates {
            Certificates::Files(certificates) => (certificates.clone(), None),
            Certificates::SelfSigned => {
                let kept = before.filter(|before| before.made_for.as_ref() == Some(&names));
                let certificates = match kept {
                    Some(kept) => kept.certificates.clone(),
                    None => vec![Arc::new(self_signed::make(&names, clock::now())?)],
                };
                (certificates, Some(names))
            }
            Certificates::Acme => (Vec::new(), None),
        };
        let acme = shared_tls
            .acme
            .filter(|_| matches!(settings.certificates, Certificates::Acme));
        let resolver: Arc<dyn ResolvesServerCert> = match acme {
            Some(acme) => Arc::clone(acme) as _,
            None => Arc::new(ByName::of(&certificates)),
        };
        let kept = before.filter(|before| before.clients == settings.clients);
        let tickets = match kept {
            Some(kept) => Arc::clone(&kept.tickets),
            None => Arc::new(match Tickets::with(shared_tls.handed.take(listener))? {
                Some(handed) => handed,
                None => Tickets::new()?,
            }),
        };
        let shared = Arc::clone(&tickets) as _;
        let mut config = server::config(resolver, settings.oldest, &settings.client, shared)?;
        if shared_tls.http2 {
            config.alpn_protocols.insert(0, b"h2".to_vec());
        }
        if acme.is_some() {
            config.alpn_protocols.push(acme::ALPN.to_vec());
        }
        Ok(Self {
            config: Arc::new(config),
            certificates,
            acme: acme.cloned(),
            made_for,
            tickets,
            clients: settings.clients,
        })
    }
}

impl ListenerTls {
    /// The current certificates.
    pub(crate) fn certificates(&self) -> Vec<Arc<Certificate>> {
        match &self.acme {
            Some(acme) => acme.certificates(),
            None => self.certificates.clone(),
        }
    }

    /// Whether there is, or will be, a certificate for this hostname.
    pub(crate) fn covers_host(&self, host: &str) -> bool {
        let above = host.split_once('.').map(|(_, above)| above);
        let is_it = |certified: &String| match certified.strip_prefix("*.") {
            Some(domain) => above == Some(domain),
            None => certified == host,
        };
        let mut certificates = self.certificates.iter();
        certificates.any(|certificate| certificate.names.iter().any(is_it))
            || self
                .acme
                .as_ref()
                .is_some_and(|acme| acme.covers_host(host))
    }
}
