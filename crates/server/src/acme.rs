//! Certificates from an ACME server (RFC 8555): ordered, stored where all nodes find them, and renewed.
//!
//! Two tasks do this. One reads the store about once a second, and serves the certificates and challenges of all nodes. The
//! other orders what is due, while it holds the lock of all nodes. Connections never wait for either: what they need is in
//! memory.
//!
//! Without a certificate, connections are refused with an alert. A self-signed certificate in its place would teach users to
//! ignore warnings, and with HSTS they could not even do that.

mod client;
mod due;
mod folder;
mod keeper;
mod order;
mod served;
mod store;
mod stored;
mod survey;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use thiserror::Error;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::client::AcmeClient;
pub(crate) use self::client::LONGEST;
use self::keeper::Keeper;
pub(crate) use self::served::ALPN;
use self::store::Store;
pub(crate) use self::survey::{AcmeSurvey, PlaceSurvey, StoredCertificate, survey};
use crate::clock;
use crate::config::AcmeSettings;
use crate::metrics::Metrics;
use crate::tls::TlsFileError;
use crate::tls::certificate::Certificate;
use stores::Pools;

/// The ACME certificates, and the tasks that maintain them.
pub(crate) struct Acme {
    settings: AcmeSettings,
    served: keeper::SharedCertificates,
    has_tried_to_read: watch::Receiver<bool>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// Why ACME cannot be set up.
#[derive(Debug, Error)]
#[error("{0}")]
pub(crate) struct AcmeOpenError(String);

impl From<stored::AcmeStoreError> for AcmeOpenError {
    fn from(error: stored::AcmeStoreError) -> Self {
        Self(error.to_string())
    }
}

impl From<TlsFileError> for AcmeOpenError {
    fn from(error: TlsFileError) -> Self {
        Self(format!("ACME_CA_FILE: {error}"))
    }
}

impl Acme {
    /// Starts both tasks on `runtime`. A server or database that is down delays nothing.
    ///
    /// # Errors
    /// When the folder or the file of `ACME_CA_FILE` cannot be used.
    pub(crate) fn open(
        settings: AcmeSettings,
        runtime: &Handle,
        pools: &Pools,
        metrics: &Arc<Metrics>,
    ) -> Result<Arc<Self>, AcmeOpenError> {
        let store = Store::open(&settings, pools)?;
        let client = AcmeClient::new(settings.authorities.clone())?;
        let (keeper, served, has_tried_to_read) =
            Keeper::new(settings.clone(), client, store, Arc::clone(metrics));
        let acme = Self {
            settings,
            served,
            has_tried_to_read,
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        let keeper = Arc::new(keeper);
        let (reading, ordering) = (Arc::clone(&keeper), keeper);
        let (stop, end) = (acme.stop.clone(), acme.stop.clone());
        acme.tasks
            .spawn_on(async move { reading.keep_reading(&stop).await }, runtime);
        acme.tasks
            .spawn_on(async move { ordering.keep_ordering(&end).await }, runtime);
        acme.tasks.close();
        Ok(Arc::new(acme))
    }

    /// Whether this instance was started with these settings.
    pub(crate) fn has_settings(&self, settings: &AcmeSettings) -> bool {
        self.settings.equals(settings)
    }

    /// Waits until the store has been read once, successfully or not, for at most three seconds.
    pub(crate) async fn wait_for_first_read(&self) {
        let mut has_tried_to_read = self.has_tried_to_read.clone();
        let _ = timeout(
            LONGEST_FIRST_READ,
            has_tried_to_read.wait_for(|has_tried_to_read| *has_tried_to_read),
        )
        .await;
    }

    /// The current certificates.
    pub(crate) fn certificates(&self) -> Vec<Arc<Certificate>> {
        self.served.load().certificates.clone()
    }

    /// Whether certificates are ordered for this hostname.
    pub(crate) fn covers_host(&self, host: &str) -> bool {
        self.settings.domains.iter().any(|domain| domain == host)
    }

    /// The key authorization for an authority that requests `token` at `host`, if it belongs to a running order.
    pub(crate) fn http_proof(&self, host: &str, token: &str) -> Option<Bytes> {
        self.served.load().http_proof(host, token, clock::now())
    }

    /// Stops both tasks, and waits for them for at most a second.
    pub(crate) async fn close(&self) {
        self.stop.cancel();
        let _ = timeout(LONGEST_END, self.tasks.wait()).await;
    }
}

impl Drop for Acme {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl ResolvesServerCert for Acme {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.served.load().resolve(hello, clock::now)
    }
}

impl fmt::Debug for Acme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acme")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// Returns the token if this is the path of an HTTP-01 challenge.
pub(crate) fn token(path: &str) -> Option<&str> {
    path.strip_prefix(HTTP_PREFIX)
}

/// The path of HTTP-01 challenges (RFC 8555 §8.3).
const HTTP_PREFIX: &str = "/.well-known/acme-challenge/";

/// How long start-up waits until the store has been read once.
const LONGEST_FIRST_READ: Duration = Duration::from_secs(3);

/// How long releasing the lock may take at the end.
const LONGEST_END: Duration = Duration::from_secs(1);
