//! The terms of each listener: whether it speaks TLS, and with which certificates.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::ResolvesServerCert;
use thiserror::Error;

use super::tickets::{HandedTickets, ListenerTickets, TicketsOf};
use crate::acme::{self, Acme};
use crate::clock;
use crate::config::{Certificates, ContentDigest, HttpsSettings, ListenerSettings, TlsSettings};
use crate::tls::certificate::Certificate;
use crate::tls::self_signed::{self, SelfSignedError};
use crate::tls::server::{self, ByName};
use crate::tls::tickets::Tickets;

/// A listener of the process. Its address stays; what is said on it may change.
#[derive(Clone)]
pub(crate) struct ListenerTerms {
    /// As configured.
    pub(crate) address: SocketAddr,
    pub(crate) redirects: bool,
    /// Whether listed proxies say in front of each connection for whom it is.
    pub(crate) proxy_protocol: bool,
    pub(crate) tls: Option<Tls>,
}

/// The TLS of a listener.
#[derive(Clone)]
pub(crate) struct Tls {
    pub(crate) config: Arc<ServerConfig>,
    /// Those that do not change.
    certificates: Vec<Arc<Certificate>>,
    /// Those that are ordered.
    acme: Option<Arc<Acme>>,
    /// For whom the certificate was made, if it was.
    made_for: Option<Vec<String>>,
    /// Known to all cores, and to the terms after these, so that clients come back.
    tickets: Arc<Tickets>,
    clients: Option<(ContentDigest, bool)>,
}

/// Why a listener cannot speak TLS.
#[derive(Debug, Error)]
pub(crate) enum TlsOpenError {
    /// Something does not fit together.
    #[error("TLS: {0}")]
    Config(#[from] rustls::Error),
    /// There is no certificate.
    #[error("TLS=self-signed: {0}")]
    SelfSigned(#[from] SelfSignedError),
}

/// What else listeners with TLS speak.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spoken<'s> {
    /// Who orders the certificates that are ordered.
    pub(super) acme: Option<&'s Arc<Acme>>,
    /// Whether clients may agree on HTTP/2.
    pub(super) http2: bool,
    /// The keys of session tickets that the process before this one had.
    pub(super) handed: &'s HandedTickets,
}

impl ListenerTerms {
    /// Those of the listeners of this process. After the start these are those of `before`, whatever `settings` name: the rest
    /// needs a restart.
    ///
    /// # Errors
    /// When one of them cannot speak TLS as it should.
    pub(super) fn open_all(
        mut settings: Vec<ListenerSettings>,
        https: &HttpsSettings,
        spoken: Spoken<'_>,
        before: Option<&[Self]>,
    ) -> Result<Vec<Self>, TlsOpenError> {
        let Some(before) = before else {
            let opened = settings
                .iter()
                .map(|one| Self::open(one, https, spoken, None));
            let opened = opened.collect();
            spoken.handed.forget();
            return opened;
        };
        let renewed = before.iter().map(|known| {
            let is_this = |one: &ListenerSettings| {
                (one.address, one.redirects) == (known.address, known.redirects)
            };
            match settings.iter().position(is_this) {
                Some(place) => {
                    Self::open(&settings.remove(place), https, spoken, known.tls.as_ref())
                }
                None => Ok(known.clone()),
            }
        });
        renewed.collect()
    }

    fn open(
        settings: &ListenerSettings,
        https: &HttpsSettings,
        spoken: Spoken<'_>,
        before: Option<&Tls>,
    ) -> Result<Self, TlsOpenError> {
        let open = |tls: &TlsSettings| {
            let listener = TicketsOf {
                address: settings.address,
                redirects: settings.redirects,
                clients: tls.clients,
            };
            let names = https.names(settings.address.ip());
            Tls::open(tls, &listener, names, spoken, before)
        };
        Ok(Self {
            address: settings.address,
            redirects: settings.redirects,
            proxy_protocol: settings.proxy_protocol,
            tls: settings.tls.as_ref().map(open).transpose()?,
        })
    }

    /// The keys of its session tickets, for the process after this one.
    pub(super) fn tickets(&self) -> Option<ListenerTickets> {
        let tls = self.tls.as_ref()?;
        Some(ListenerTickets {
            listener: TicketsOf {
                address: self.address,
                redirects: self.redirects,
                clients: tls.clients,
            },
            keys: tls.tickets.keys(),
        })
    }
}

impl Tls {
    /// With `names` for a certificate that is made here, which is kept as long as they stay.
    ///
    /// # Errors
    /// When there is no certificate, or what is configured does not fit together.
    pub(super) fn open(
        settings: &TlsSettings,
        listener: &TicketsOf,
        names: Vec<String>,
        spoken: Spoken<'_>,
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
        let acme = spoken
            .acme
            .filter(|_| matches!(settings.certificates, Certificates::Acme));
        let resolver: Arc<dyn ResolvesServerCert> = match acme {
            Some(acme) => Arc::clone(acme) as _,
            None => Arc::new(ByName::of(&certificates)),
        };
        let kept = before.filter(|before| before.clients == settings.clients);
        let tickets = match kept {
            Some(kept) => Arc::clone(&kept.tickets),
            None => Arc::new(match Tickets::with(spoken.handed.take(listener))? {
                Some(handed) => handed,
                None => Tickets::new()?,
            }),
        };
        let shared = Arc::clone(&tickets) as _;
        let mut config = server::config(resolver, settings.oldest, &settings.client, shared)?;
        if spoken.http2 {
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

impl Tls {
    /// The certificates that there are now.
    pub(crate) fn certificates(&self) -> Vec<Arc<Certificate>> {
        match &self.acme {
            Some(acme) => acme.certificates(),
            None => self.certificates.clone(),
        }
    }

    /// Whether a certificate is for this host, or will be.
    pub(crate) fn is_for(&self, host: &str) -> bool {
        let above = host.split_once('.').map(|(_, above)| above);
        let is_it = |certified: &String| match certified.strip_prefix("*.") {
            Some(domain) => above == Some(domain),
            None => certified == host,
        };
        let mut certificates = self.certificates.iter();
        certificates.any(|certificate| certificate.names.iter().any(is_it))
            || self.acme.as_ref().is_some_and(|acme| acme.is_for(host))
    }
}
