//! The two tasks of ACME: one reads the store, the other orders what is due.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::client::AcmeClient;
use super::due::{self, OrderFailure};
use super::order::{self, OrderError};
use super::served::{Challenge, Proof, ServedCertificates};
use super::store::Store;
use super::stored::{AcmeStoreError, StoredKind, StoredText};
use crate::clock;
use crate::config::{AcmeChallenge, AcmeSettings};
use crate::metrics::Metrics;
use crate::tls::certificate::Certificate;
use crate::vital;

/// The certificates and challenges for connections, replaced when the store has changed.
pub(super) type SharedCertificates = Arc<ArcSwap<ServedCertificates>>;

/// The state that both tasks share.
pub(super) struct Keeper {
    settings: AcmeSettings,
    client: AcmeClient,
    store: Store,
    metrics: Arc<Metrics>,
    served: SharedCertificates,
    has_tried_to_read: watch::Sender<bool>,
    /// Held while the store is read, so that an older result never replaces a newer one.
    refreshing: tokio::sync::Mutex<()>,
    known: Mutex<StoreContents>,
    /// The start of this process, in milliseconds since 1970. Failures before it do not delay its attempts.
    started: u64,
    /// Between 0 and 1: spreads the renewals of the nodes.
    share: f64,
}

/// The contents of the store as last read.
#[derive(Default)]
struct StoreContents {
    /// The versions that were read, so that only changed texts are read again.
    versions: HashMap<(StoredKind, String), String>,
    certificates: HashMap<String, Arc<Certificate>>,
    proofs: HashMap<String, Proof>,
    failures: HashMap<String, OrderFailure>,
}

impl Keeper {
    pub(super) fn new(
        settings: AcmeSettings,
        client: AcmeClient,
        store: Store,
        metrics: Arc<Metrics>,
    ) -> (Self, SharedCertificates, watch::Receiver<bool>) {
        let served: SharedCertificates = Arc::new(ArcSwap::from_pointee(ServedCertificates::new(
            Vec::new(),
            Vec::new(),
        )));
        let (has_tried_to_read, receiver) = watch::channel(false);
        let keeper = Self {
            settings,
            client,
            store,
            metrics,
            served: Arc::clone(&served),
            has_tried_to_read,
            refreshing: tokio::sync::Mutex::default(),
            known: Mutex::default(),
            started: clock::now().millis(),
            share: fastrand::f64(),
        };
        (keeper, served, receiver)
    }

    /// Reads the store until `stop`.
    pub(super) async fn keep_reading(&self, stop: &CancellationToken) {
        let _part = vital::part("the check of the ACME store");
        let reading = async {
            let mut is_failing = false;
            loop {
                match self.refresh().await {
                    Ok(()) if is_failing => {
                        tracing::info!("ACME_STORE can be read again");
                        is_failing = false;
                    }
                    Err(error) if !is_failing => {
                        tracing::error!("ACME_STORE cannot be read: {error}");
                        is_failing = true;
                    }
                    Ok(()) | Err(_) => {}
                }
                self.has_tried_to_read.send_replace(true);
                sleep(BETWEEN_READS).await;
            }
        };
        stop.run_until_cancelled(reading).await;
    }

    /// Reads what has changed in the store, and publishes it to connections.
    async fn refresh(&self) -> Result<(), AcmeStoreError> {
        let _refreshing = self.refreshing.lock().await;
        let kept = self.store.list().await?;
        let mut changed = Vec::new();
        for one in &kept {
            let is_known = {
                let known = self.known();
                let version = known.versions.get(&(one.kind, one.name.clone()));
                version == Some(&one.version)
            };
            if !is_known && self.is_ours(one) {
                let text = self.store.get(one.kind, &one.name).await?;
                changed.push((one.clone(), text));
            }
        }
        let mut known = self.known();
        let had = known.versions.len();
        known.keep_only(&kept);
        if changed.is_empty() && known.versions.len() == had {
            return Ok(());
        }
        for (one, text) in changed {
            known.apply(&one, text.as_deref().unwrap_or_default());
        }
        let mut names: Vec<_> = known.certificates.keys().collect();
        // The first certificate serves clients without a server name.
        names.sort_by_key(|name| self.settings.domains.iter().position(|one| one == *name));
        let certificates = names.into_iter().map(|name| &known.certificates[name]);
        let proofs = known.proofs.values().cloned().collect();
        self.served.store(Arc::new(ServedCertificates::new(
            certificates.cloned().collect(),
            proofs,
        )));
        Ok(())
    }

    /// Whether this gate reads the text. Certificates of other hostnames may belong to another gate. Challenges are served for
    /// all nodes.
    fn is_ours(&self, kept: &StoredText) -> bool {
        match kept.kind {
            StoredKind::Account => false,
            StoredKind::Certificate | StoredKind::Failure => {
                self.settings.domains.contains(&kept.name)
            }
            StoredKind::Challenge => true,
        }
    }

    /// Orders until `stop`.
    pub(super) async fn keep_ordering(&self, stop: &CancellationToken) {
        let _part = vital::part("the ordering of ACME certificates");
        let ordering = async {
            let mut has_tried_to_read = self.has_tried_to_read.subscribe();
            let _ = has_tried_to_read
                .wait_for(|has_tried_to_read| *has_tried_to_read)
                .await;
            self.warn_of_missing();
            let mut is_failing = false;
            loop {
                let ordered = self.order_due().await;
                if let Err(error) = &ordered {
                    // An outage is logged once, not every few seconds.
                    if !is_failing {
                        tracing::error!("cannot order certificates: {error}");
                    }
                    sleep(AFTER_STORE_ERROR).await;
                }
                is_failing = ordered.is_err();
                sleep(BETWEEN_READS).await;
            }
        };
        stop.run_until_cancelled(ordering).await;
        // The next node need not wait until the lock expires.
        let _ = self.store.unlock().await;
    }

    fn warn_of_missing(&self) {
        let known = self.known();
        let domains = self.settings.domains.iter();
        let missing: Vec<_> = domains
            .filter(|domain| !known.certificates.contains_key(*domain))
            .map(String::as_str)
            .collect();
        if !missing.is_empty() {
            let domains = missing.join(", ");
            tracing::warn!(
                domains,
                "no certificate could be loaded yet; TLS handshakes are refused until one is available"
            );
        }
    }

    async fn order_due(&self) -> Result<(), AcmeStoreError> {
        for domain in &self.settings.domains {
            if !self.is_due(domain) {
                continue;
            }
            if !self.store.lock().await? {
                // Another node orders; its certificate will appear in the store.
                return Ok(());
            }
            // Another node may have stored the certificate meanwhile.
            let read = self.refresh().await;
            if read.is_ok() && self.is_due(domain) {
                self.order(domain).await;
            }
            self.store.unlock().await?;
            read?;
        }
        Ok(())
    }

    fn is_due(&self, domain: &str) -> bool {
        let known = self.known();
        let certificate = known.certificates.get(domain);
        let renewal = certificate.map_or(0, |certificate| due::renewal(certificate, self.share));
        let failure = known.failure_since(domain, self.started);
        let pause = failure.map_or(0, |failure| failure.until);
        clock::now().secs() >= renewal.max(pause)
    }

    async fn order(&self, domain: &str) {
        let failure = self.known().failure_since(domain, self.started);
        let challenge = self.challenge(failure);
        let (ca, by) = (&self.settings.directory_url, order::name(challenge));
        tracing::info!(domain, ca, challenge = by, "ordering a certificate");
        let ordering = self.run(domain, challenge);
        let ordered = timeout(order::LONGEST, ordering).await;
        match ordered.unwrap_or(Err(OrderError::TimedOut)) {
            Ok(until) => {
                self.metrics.certificate_ordered("ok");
                let until = clock::timestamp(session::UnixTime::from_secs(until));
                tracing::info!(domain, %until, "a new certificate was issued");
            }
            Err(error) => {
                self.metrics.certificate_ordered("failed");
                self.record_failure(domain, failure, &error).await;
            }
        }
    }

    /// The challenge type, which changes after each failure if there are several.
    fn challenge(&self, failure: Option<OrderFailure>) -> AcmeChallenge {
        let all = &self.settings.challenges;
        let failed = failure.map_or(0, |failure| failure.count) as usize;
        all[failed % all.len()]
    }

    /// Orders a certificate and stores it. Returns the end of its validity.
    async fn run(&self, domain: &str, challenge: AcmeChallenge) -> Result<u64, OrderError> {
        let ordered =
            order::order(domain, challenge, &self.settings, &self.client, &self.store).await?;
        let certificate = read(domain, &ordered.0).map_err(OrderError::Unusable)?;
        self.store
            .put(StoredKind::Certificate, domain, &ordered.0)
            .await?;
        self.store.remove(StoredKind::Failure, domain).await?;
        let mut known = self.known();
        known.failures.remove(domain);
        let until = certificate.not_after;
        // Kept here until the store is next read, so that the certificate is not ordered twice.
        known
            .certificates
            .insert(domain.to_owned(), Arc::new(certificate));
        Ok(until)
    }

    async fn record_failure(&self, domain: &str, before: Option<OrderFailure>, error: &OrderError) {
        let at_least = match error.is_rate_limit() {
            true => AFTER_RATE_LIMIT,
            false => Duration::ZERO,
        };
        let now = clock::now();
        let failure = OrderFailure::after(before, now, at_least, fastrand::f64());
        let certificate = {
            let mut known = self.known();
            known.failures.insert(domain.to_owned(), failure);
            known.certificates.get(domain).cloned()
        };
        let time_of = |secs| clock::timestamp(session::UnixTime::from_secs(secs));
        let (next, count) = (time_of(failure.until), failure.count);
        let instead = match certificate {
            Some(old) if old.not_after > now.secs() => {
                format!(
                    "the previous certificate stays in use until it expires at {}",
                    time_of(old.not_after)
                )
            }
            Some(old) => format!(
                "the previous certificate expired at {}: clients refuse it",
                time_of(old.not_after)
            ),
            None => "no certificate exists, so TLS handshakes are refused".to_owned(),
        };
        tracing::error!(
            domain,
            attempt = count,
            %next,
            "the order failed: {error}; {instead}"
        );
        let text = serde_json::to_string(&failure).unwrap_or_default();
        if let Err(error) = self.store.put(StoredKind::Failure, domain, &text).await {
            tracing::warn!(
                domain,
                "the failure cannot be stored for the other nodes: {error}"
            );
        }
    }

    fn known(&self) -> MutexGuard<'_, StoreContents> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StoreContents {
    /// Drops versions and challenges that are no longer in the store.
    fn keep_only(&mut self, kept: &[StoredText]) {
        let is_kept = |kind: StoredKind, name: &String| {
            kept.iter().any(|one| one.kind == kind && one.name == *name)
        };
        self.versions.retain(|(kind, name), _| is_kept(*kind, name));
        self.proofs
            .retain(|name, _| is_kept(StoredKind::Challenge, name));
        // Certificates and failures stay in memory, because a certificate that was removed by accident is still valid.
    }

    /// Parses a text that was read. An unusable text is logged once.
    fn apply(&mut self, kept: &StoredText, text: &str) {
        let StoredText {
            kind,
            name,
            version,
        } = kept;
        let read = match kind {
            StoredKind::Account => Ok(()),
            StoredKind::Certificate => read(name, text).map(|certificate| {
                self.certificates
                    .insert(name.clone(), Arc::new(certificate));
            }),
            StoredKind::Challenge => serde_json::from_str::<Challenge>(text)
                .map_err(|error| error.to_string())
                .and_then(|challenge| {
                    Proof::new(name, challenge).map_err(|error| error.to_string())
                })
                .map(|proof| {
                    self.proofs.insert(name.clone(), proof);
                }),
            StoredKind::Failure => serde_json::from_str::<OrderFailure>(text)
                .map_err(|error| error.to_string())
                .map(|failure| {
                    self.failures.insert(name.clone(), failure);
                }),
        };
        if let Err(error) = read {
            let kind = kind.label();
            tracing::error!(domain = %name, "the {kind} in ACME_STORE cannot be used: {error}");
        }
        self.versions.insert((*kind, name.clone()), version.clone());
    }

    /// The last failure of a hostname, unless it was before the start of this process: an operator who has fixed something
    /// restarts it.
    fn failure_since(&self, domain: &str, started: u64) -> Option<OrderFailure> {
        let failure = self.failures.get(domain).copied();
        failure.filter(|failure| failure.at >= started)
    }
}

/// Parses a certificate and its key, both in one text.
pub(super) fn read(domain: &str, text: &str) -> Result<Certificate, String> {
    let place = format!("{domain}.pem");
    let place = Path::new(&place);
    Certificate::of_text(text.as_bytes(), place).map_err(|error| error.to_string())
}

/// The interval at which each node reads the store.
const BETWEEN_READS: Duration = Duration::from_secs(1);

/// The pause after an authority's rate limit.
const AFTER_RATE_LIMIT: Duration = Duration::from_secs(60 * 60);

/// The pause after an error of the store.
const AFTER_STORE_ERROR: Duration = Duration::from_secs(10);
