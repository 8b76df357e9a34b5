//! The servers of a service as all runtimes share them: which of them get requests, and how many connections there are.
//!
//! Every runtime has its own connections, but what it learns about a dead server helps the others. So this state is shared, in
//! atomics without locks. A server is ejected only if its service has several.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::dialer::{Dialer, OfferedVersions};
use crate::clock;
use crate::config::{PoolSettings, ServerSettings, UpstreamSettings};
use crate::link::UnderWay;

/// The servers of a service.
#[derive(Debug)]
pub(crate) struct Members {
    servers: Vec<ServerSettings>,
    pool: PoolSettings,
    pub(crate) all: Vec<Arc<Member>>,
    /// How many runtimes have begun to use them.
    runtimes: AtomicUsize,
}

/// One server of a service.
#[derive(Debug)]
pub(crate) struct Member {
    pub(super) dialer: Dialer,
    /// The server's address as configured, for display.
    pub(crate) name: String,
    pub(super) weight: u32,
    /// Permits for connections, if they are limited.
    pub(super) places: Option<Arc<Semaphore>>,
    /// How many requests of all runtimes wait for a connection.
    waiting: AtomicUsize,
    /// How many requests are in flight, if the balancer needs it.
    under_way: Arc<AtomicUsize>,
    ejection: Ejection,
    /// Whether the last health checks have failed.
    is_unhealthy: AtomicBool,
}

/// The ejection of a server: after failures in a row it gets no requests for a while.
#[derive(Debug)]
struct Ejection {
    /// How many failures in a row eject the server. `None`: it is never ejected.
    after: Option<u32>,
    /// The length of the first ejection.
    time: Duration,
    /// The origin of the times below.
    started: Instant,
    /// Failures in a row.
    failures: AtomicU32,
    /// Ejections in a row, without an answer in between.
    in_a_row: AtomicU32,
    /// The end of the ejection, in milliseconds since `started`. 0: not ejected.
    until: AtomicU64,
    /// All ejections since the start.
    total: AtomicU64,
}

/// Counts a request that waits for a connection.
#[derive(Debug)]
pub(super) struct WaitingRequest<'m>(&'m Member);

impl Members {
    /// The servers of a service, with nothing known about them yet.
    pub(crate) fn new(settings: &UpstreamSettings) -> Self {
        let member = |server| Arc::new(Member::new(server, settings));
        Self {
            all: settings.servers.iter().map(member).collect(),
            servers: settings.servers.clone(),
            pool: settings.pool.clone(),
            runtimes: AtomicUsize::new(0),
        }
    }

    /// Whether the state of the servers is tracked. A single server without health checks always gets the requests.
    pub(crate) fn are_watched(&self) -> bool {
        self.all.len() > 1 || self.pool.health.is_some()
    }

    /// Whether they fit these settings, which may differ in the time limit.
    pub(crate) fn have_settings(&self, settings: &UpstreamSettings) -> bool {
        self.servers == settings.servers && self.pool == settings.pool
    }

    /// The number of the runtime that now begins to use the servers.
    pub(super) fn next_runtime(&self) -> usize {
        self.runtimes.fetch_add(1, Ordering::Relaxed)
    }
}

impl Member {
    fn new(server: &ServerSettings, settings: &UpstreamSettings) -> Self {
        let pool = &settings.pool;
        let has_others = settings.servers.len() > 1;
        let places = pool.max_connections.map(|most| most.get() as usize);
        Self {
            dialer: Dialer::new(&server.address, pool),
            name: server.address.to_string(),
            weight: server.weight,
            places: places.map(|most| Arc::new(Semaphore::new(most))),
            waiting: AtomicUsize::new(0),
            under_way: Arc::default(),
            ejection: Ejection {
                after: pool.eject_after.filter(|_| has_others).map(Into::into),
                time: pool.eject_time,
                started: clock::monotonic(),
                failures: AtomicU32::new(0),
                in_a_row: AtomicU32::new(0),
                until: AtomicU64::new(0),
                total: AtomicU64::new(0),
            },
            is_unhealthy: AtomicBool::new(false),
        }
    }

    /// Opens a connection, with TLS if the URL says so, and closes it.
    ///
    /// # Errors
    /// When no connection can be opened.
    pub(crate) async fn reach(&self) -> io::Result<()> {
        self.dialer
            .open(None, OfferedVersions::Both)
            .await
            .map(drop)
    }

    /// Whether connections to the other server are opened in the same way.
    pub(crate) fn is_reached_like(&self, other: &Self) -> bool {
        self.dialer.is_like(&other.dialer)
    }

    /// Whether this server gets requests only if no other can take them. The clock is read only if it was ejected recently.
    pub(crate) fn is_avoided(&self) -> bool {
        self.is_unhealthy.load(Ordering::Relaxed) || self.ejection.is_on(clock::monotonic)
    }

    /// How often it has been ejected.
    pub(crate) fn ejections(&self) -> u64 {
        self.ejection.total.load(Ordering::Relaxed)
    }

    /// Notes an answer.
    pub(super) fn record_answer(&self) {
        self.ejection.reset();
    }

    /// Notes a failure. Returns the length of the ejection, if this failure causes one.
    pub(super) fn record_failure(&self) -> Option<Duration> {
        self.ejection.record_failure(clock::monotonic())
    }

    /// Notes the result of a check. Returns true if the state has changed.
    pub(super) fn set_healthy(&self, is_healthy: bool) -> bool {
        self.is_unhealthy.swap(!is_healthy, Ordering::Relaxed) == is_healthy
    }

    /// Compares requests in flight by weight: a server with twice the weight may have twice as many.
    pub(super) fn is_less_busy_than(&self, other: &Self) -> bool {
        let load = |member: &Self| member.under_way.load(Ordering::Relaxed) as u64;
        load(self) * u64::from(other.weight) < load(other) * u64::from(self.weight)
    }

    /// Counts a request that goes to this server.
    pub(super) fn begin_request(&self) -> UnderWay {
        UnderWay::of(&self.under_way)
    }

    /// Whether any request waits for a connection.
    pub(super) fn is_wanted(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }
}

impl<'m> WaitingRequest<'m> {
    pub(super) fn of(member: &'m Member) -> Self {
        member.waiting.fetch_add(1, Ordering::Relaxed);
        Self(member)
    }
}

impl Drop for WaitingRequest<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Ejection {
    fn is_on(&self, now: impl FnOnce() -> Instant) -> bool {
        let until = self.until.load(Ordering::Relaxed);
        until > 0 && self.millis(now()) < until
    }

    fn reset(&self) {
        // Reads first, because a read of an unchanged value is not contended.
        if self.failures.load(Ordering::Relaxed) > 0 {
            self.failures.store(0, Ordering::Relaxed);
            self.in_a_row.store(0, Ordering::Relaxed);
            self.until.store(0, Ordering::Relaxed);
        }
    }

    fn record_failure(&self, now: Instant) -> Option<Duration> {
        let after = self.after?;
        let failures = self.failures.fetch_add(1, Ordering::Relaxed);
        let until = self.until.load(Ordering::Relaxed);
        let now = self.millis(now);
        if failures + 1 < after || now < until {
            return None;
        }
        let in_a_row = self.in_a_row.load(Ordering::Relaxed);
        let time = self.time.saturating_mul(1 << in_a_row.min(16));
        let time = time.min(LONGEST_EJECTION.max(self.time));
        let next = now.saturating_add(whole_millis(time)).max(1);
        // If several requests fail at the same time, one of them ejects the server.
        let (load, store) = (Ordering::Relaxed, Ordering::Relaxed);
        self.until.compare_exchange(until, next, store, load).ok()?;
        self.in_a_row.fetch_add(1, Ordering::Relaxed);
        self.total.fetch_add(1, Ordering::Relaxed);
        Some(time)
    }

    fn millis(&self, now: Instant) -> u64 {
        whole_millis(now.saturating_duration_since(self.started))
    }
}

fn whole_millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The longest ejection: a server that stays down gets a request this often.
const LONGEST_EJECTION: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn ejection() -> Ejection {
        Ejection {
            after: Some(3),
            time: 10 * SECOND,
            started: clock::monotonic(),
            failures: AtomicU32::new(0),
            in_a_row: AtomicU32::new(0),
            until: AtomicU64::new(0),
            total: AtomicU64::new(0),
        }
    }

    #[test]
    fn consecutive_failures_eject_for_a_growing_time() {
        let ejection = ejection();
        let mut now = ejection.started;
        assert_eq!(ejection.record_failure(now), None);
        assert_eq!(ejection.record_failure(now), None);
        assert!(!ejection.is_on(|| now));
        assert_eq!(ejection.record_failure(now), Some(10 * SECOND));
        assert!(ejection.is_on(|| now) && !ejection.is_on(|| now + 10 * SECOND));
        assert_eq!(ejection.record_failure(now), None, "it is ejected already");
        let mut times = Vec::new();
        for _ in 0..6 {
            now += LONGEST_EJECTION;
            times.extend(ejection.record_failure(now));
        }
        assert_eq!(times, [20, 40, 80, 160, 300, 300].map(Duration::from_secs));
        assert_eq!(ejection.total.load(Ordering::Relaxed), 7);
    }

    #[test]
    fn answer_resets_consecutive_failures() {
        let ejection = ejection();
        let now = ejection.started;
        for _ in 0..5 {
            assert_eq!(ejection.record_failure(now), None);
            assert_eq!(ejection.record_failure(now), None);
            ejection.reset();
        }
        for _ in 0..3 {
            ejection.record_failure(now);
        }
        assert!(ejection.is_on(|| now));
        ejection.reset();
        assert!(!ejection.is_on(|| now), "it is back before its time");
    }
}
