//! The keys of a token issuer, and when they are fetched again.
//!
//! One task fetches, so there is never more than one request at a time: at start-up, every ten minutes, and when a token names an
//! unknown key, which is how issuers announce a new one. Any client can send such a token, so each key name causes one fetch in
//! ten seconds; in between, tokens that name it are refused without a fetch. Tokens with other names wait for a common fetch, a
//! second after the previous one, so made-up names delay a genuine new key by that second at most. New keys replace the known
//! ones only if the whole set is valid. The known keys stay in use while the issuer does not answer; the task then fetches again
//! after ten seconds, whatever keys tokens name.

mod source;

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use gate::{IssuerKeys, Newer};
use session::{JwtDemands, JwtKeys, Secret};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

pub(crate) use self::source::{JwksError, JwksUrl, KeySource, TIMEOUT, read_file};
use crate::clock;
use crate::metrics::Metrics;
use crate::vital;
use stores::Trial;

/// The issuer of signed tokens, as configured.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Where its keys come from.
    pub(crate) keys: KeySettings,
    /// The requirements on its tokens.
    pub(crate) demands: JwtDemands,
    /// Whether the subject of a token must be a user.
    pub(crate) check_user: bool,
}

/// Where an issuer's keys come from.
#[derive(Debug)]
pub(crate) struct KeySettings {
    /// A secret that the issuer shares with the gate.
    pub(crate) secret: Option<Secret>,
    /// Where the issuer publishes keys.
    pub(crate) source: Option<KeySource>,
    /// The keys that are known already.
    pub(crate) known: JwtKeys,
}

/// The issuer's known keys, and the task that renews them.
pub(crate) struct Keychain {
    current: ArcSwap<JwtKeys>,
    /// Whether the issuer has answered at least once.
    is_known: AtomicBool,
    /// Whether the last fetch failed: an outage is logged once, not every few seconds.
    is_failing: AtomicBool,
    /// The fetches that tokens have requested.
    requests: Mutex<FetchRequests>,
    refreshes: mpsc::UnboundedSender<KeyRefresh>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// The fetches that tokens have requested, remembered to limit their number.
#[derive(Default)]
struct FetchRequests {
    hasher: RandomState,
    /// The last fetch for each key name, by its hash. Some are forgotten when there are too many.
    by_kid: HashMap<u64, KeyRequest>,
    last: Option<KeyRequest>,
    /// The fetch that has not begun yet, which requests can join.
    waiting: Option<CancellationToken>,
}

/// A fetch for a token: when it was requested, and how to wait for its end.
#[derive(Clone)]
struct KeyRequest {
    at: Instant,
    answered: CancellationToken,
}

impl KeyRequest {
    fn is_recent(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.at) < PAUSE
    }
}

/// A request to the task for a fetch.
struct KeyRefresh {
    /// The keys among which a token's key was not found.
    tried: Arc<JwtKeys>,
    /// Dropped when the fetch has ended.
    _waiters: DropGuard,
}

impl Keychain {
    /// Starts with the known keys, and fetches the others on `runtime`. An issuer that is down delays nothing.
    pub(crate) fn open(
        settings: KeySettings,
        runtime: &Handle,
        metrics: Arc<Metrics>,
        trial: Trial,
    ) -> Arc<Self> {
        let KeySettings {
            secret,
            source,
            known,
        } = settings;
        let (refreshes, inbox) = mpsc::unbounded_channel();
        let keychain = Arc::new(Self {
            current: ArcSwap::from_pointee(known),
            is_known: AtomicBool::new(!matches!(source, Some(KeySource::Url(_)))),
            is_failing: AtomicBool::new(false),
            requests: Mutex::default(),
            refreshes,
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        });
        if let Some(source) = source {
            let fetcher = KeyFetcher {
                keychain: Arc::clone(&keychain),
                secret,
                source,
                metrics,
                trial,
            };
            keychain
                .tasks
                .spawn_on(fetcher.keep_fetching(inbox), runtime);
        }
        keychain
    }

    /// Ends the task, and waits for it.
    pub(crate) async fn close(&self) {
        self.stop.cancel();
        self.tasks.close();
        // A name lookup cannot be canceled, and is not worth waiting for.
        let _ = timeout(source::TIMEOUT, self.tasks.wait()).await;
    }

    /// Waits for the end of the first fetch. Returns whether tokens can be verified.
    pub(crate) async fn wait_until_usable(&self) -> bool {
        let known = self.current();
        self.is_known.load(Ordering::Relaxed)
            || matches!(self.newer_than(&known, None).await, Newer::Keys(_))
    }

    /// Requests newer keys than `tried`, unless a fetch can be joined: one that has not begun yet, or one that was requested for
    /// the same name within the last ten seconds. The returned token is canceled when the fetch has ended.
    fn request_fetch(
        &self,
        tried: &Arc<JwtKeys>,
        unverified_kid: Option<&str>,
    ) -> CancellationToken {
        let now = clock::monotonic();
        let mut requests = self.requests();
        let kid = requests.hasher.hash_one(unverified_kid);
        let of_kid = requests.by_kid.get(&kid);
        let of_all = requests.last.as_ref();
        let of_all = of_all.filter(|_| self.is_failing());
        let mut earlier = of_kid.into_iter().chain(of_all);
        if let Some(request) = earlier.find(|request| request.is_recent(now)) {
            return request.answered.clone();
        }
        let waiting = requests.waiting.as_ref();
        let waiting = waiting.filter(|waiting| !waiting.is_cancelled());
        let answered = match waiting {
            Some(waiting) => waiting.clone(),
            None => self.enqueue(tried),
        };
        let request = KeyRequest {
            at: now,
            answered: answered.clone(),
        };
        if requests.by_kid.len() >= MOST_KIDS {
            requests.by_kid.retain(|_, request| request.is_recent(now));
        }
        if requests.by_kid.len() >= MOST_KIDS {
            requests.by_kid.clear();
        }
        requests.by_kid.insert(kid, request.clone());
        requests.waiting = Some(answered.clone());
        requests.last = Some(request);
        answered
    }

    /// Requests a fetch from the task. The returned token is canceled when the fetch has ended.
    fn enqueue(&self, tried: &Arc<JwtKeys>) -> CancellationToken {
        let answered = CancellationToken::new();
        // If the task has ended, the request is dropped, which cancels the token.
        let _ = self.refreshes.send(KeyRefresh {
            tried: Arc::clone(tried),
            _waiters: answered.clone().drop_guard(),
        });
        answered
    }

    fn is_failing(&self) -> bool {
        self.is_failing.load(Ordering::Relaxed)
    }

    fn requests(&self) -> MutexGuard<'_, FetchRequests> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl IssuerKeys for Keychain {
    fn current(&self) -> Arc<JwtKeys> {
        self.current.load_full()
    }

    fn newer_than<'a>(
        &'a self,
        tried: &'a Arc<JwtKeys>,
        unverified_kid: Option<&'a str>,
    ) -> Pin<Box<dyn Future<Output = Newer> + Send + 'a>> {
        Box::pin(async move {
            self.request_fetch(tried, unverified_kid)
                .cancelled_owned()
                .await;
            let current = self.current();
            if !Arc::ptr_eq(tried, &current) {
                Newer::Keys(current)
            } else if self.is_known.load(Ordering::Relaxed) {
                Newer::None
            } else {
                Newer::Unknown
            }
        })
    }
}

impl fmt::Debug for Keychain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keychain")
            .field("current", &self.current)
            .finish_non_exhaustive()
    }
}

/// The task that fetches the keys.
struct KeyFetcher {
    keychain: Arc<Keychain>,
    secret: Option<Secret>,
    source: KeySource,
    metrics: Arc<Metrics>,
    trial: Trial,
}

impl KeyFetcher {
    /// Fetches until the keychain is closed.
    async fn keep_fetching(self, mut inbox: mpsc::UnboundedReceiver<KeyRefresh>) {
        let _part = vital::part("the renewal of the issuer's keys");
        let stop = self.keychain.stop.clone();
        let (mut request, mut last_fetch) = (None, None);
        loop {
            let pause = match (&request, last_fetch) {
                (Some(_), Some(last_fetch)) => GAP.saturating_sub(since(last_fetch)),
                (Some(_) | None, _) => Duration::ZERO,
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(pause) => {}
            }
            if request.is_some() {
                last_fetch = Some(clock::monotonic());
            }
            // A token that comes from now on may name a key that is published from now on, so it needs another fetch.
            self.keychain.requests().waiting = None;
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.renew() => drop(request),
            }
            let pause = if self.keychain.is_failing() {
                PAUSE
            } else {
                INTERVAL
            };
            request = tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(pause) => None,
                request = self.next_request(&mut inbox) => Some(request),
            };
        }
    }

    /// Waits for a request for which the current keys are not new enough.
    async fn next_request(&self, inbox: &mut mpsc::UnboundedReceiver<KeyRefresh>) -> KeyRefresh {
        loop {
            let Some(request) = inbox.recv().await else {
                return std::future::pending().await;
            };
            if Arc::ptr_eq(&request.tried, &self.keychain.current()) {
                return request;
            }
        }
    }

    /// Fetches once. New keys replace the known ones only if the whole set is valid.
    async fn renew(&self) {
        let read = self.source.read().await;
        let made = read.and_then(|text| Ok(JwtKeys::new(self.secret.as_ref(), Some(&text))?));
        let was_failing = self.keychain.is_failing();
        let is_failing = &self.keychain.is_failing;
        is_failing.store(made.is_err(), Ordering::Relaxed);
        match made {
            Ok(keys) => {
                if was_failing {
                    tracing::info!(from = %self.source, "the issuer's keys can be fetched again");
                }
                // The issuer may withdraw all keys, and then none of its tokens is valid.
                if keys.published() == 0 {
                    let configuration = self.trial.configuration();
                    tracing::warn!(from = %self.source, configuration, "the issuer publishes no usable key");
                }
                self.keychain.current.store(Arc::new(keys));
                self.keychain.is_known.store(true, Ordering::Relaxed);
                self.metrics.jwks_refreshed("ok");
            }
            Err(error) => {
                if !was_failing {
                    tracing::warn!(
                        from = %self.source, configuration = self.trial.configuration(), %error,
                        "the issuer's keys cannot be fetched; the known ones stay in use"
                    );
                }
                self.metrics.jwks_refreshed("failed");
            }
        }
    }
}

fn since(time: Instant) -> Duration {
    clock::monotonic().saturating_duration_since(time)
}

/// The pause between two fetches for the same key name, and after a failed fetch.
const PAUSE: Duration = Duration::from_secs(10);

/// The pause between two fetches for tokens.
const GAP: Duration = Duration::from_secs(1);

/// How many key names are remembered: more than occur by mistake. They take about 100 bytes each.
const MOST_KIDS: usize = 1024;

/// The interval of regular fetches. A withdrawn key is accepted for at most this long.
const INTERVAL: Duration = Duration::from_secs(600);
