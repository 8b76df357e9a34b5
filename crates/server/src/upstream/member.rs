//! The servers of a service as the whole process knows them: which of them get requests, and how many connections there are.
//!
//! Every runtime has connections of its own, but one that finds a server dead need not let the others find out by themselves. So
//! this is shared, in atomics that nobody waits for. They are looked at where a service has several servers, and nowhere else.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::dialer::{Dialer, Offers};
use crate::clock;
use crate::config::{PoolSettings, ServerSettings, UpstreamSettings};
use crate::link::UnderWay;

/// The servers of a service.
#[derive(Debug)]
pub(crate) struct Members {
    servers: Vec<ServerSettings>,
    pool: PoolSettings,
    pub(crate) all: Vec<Arc<Member>>,
    /// How many runtimes have begun to give them turns.
    beginners: AtomicUsize,
}

/// One server of a service.
#[derive(Debug)]
pub(crate) struct Member {
    pub(super) dialer: Dialer,
    /// As it is configured, for people.
    pub(crate) name: String,
    pub(super) weight: u32,
    /// The connections that may still be opened, if they are limited.
    pub(super) places: Option<Arc<Semaphore>>,
    /// How many requests wait for a connection, of all runtimes.
    wanted: AtomicUsize,
    /// How many requests are under way, where that matters.
    under_way: Arc<AtomicUsize>,
    ejection: Ejection,
    /// Whether the last checks have failed.
    is_unwell: AtomicBool,
}

/// Whether a server is ejected: after failures in a row it gets no requests for a while.
#[derive(Debug)]
struct Ejection {
    /// So many failures eject. `None`: it never is.
    after: Option<u32>,
    /// The first time.
    time: Duration,
    /// Times are measured from here.
    started: Instant,
    /// In a row.
    failures: AtomicU32,
    /// Without an answer in between.
    in_a_row: AtomicU32,
    /// In milliseconds since the start. 0: it is not ejected.
    until: AtomicU64,
    /// Since the start.
    total: AtomicU64,
}

/// Counts a request that waits for a connection.
#[derive(Debug)]
pub(super) struct Wanted<'m>(&'m Member);

impl Members {
    /// Those of a service. Nothing is known of them yet.
    pub(crate) fn new(settings: &UpstreamSettings) -> Self {
        let member = |server| Arc::new(Member::new(server, settings));
        Self {
            all: settings.servers.iter().map(member).collect(),
            servers: settings.servers.clone(),
            pool: settings.pool.clone(),
            beginners: AtomicUsize::new(0),
        }
    }

    /// Whether anything can be known of them: a single server is never ejected.
    pub(crate) fn are_watched(&self) -> bool {
        self.all.len() > 1 || self.pool.health.is_some()
    }

    /// Whether they are those of this service, or of one that differs in how long it may take.
    pub(crate) fn are_of(&self, settings: &UpstreamSettings) -> bool {
        self.servers == settings.servers && self.pool == settings.pool
    }

    /// The number of a runtime that begins to give them turns.
    pub(super) fn next_beginner(&self) -> usize {
        self.beginners.fetch_add(1, Ordering::Relaxed)
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
            wanted: AtomicUsize::new(0),
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
            is_unwell: AtomicBool::new(false),
        }
    }

    /// Opens a connection, with TLS if its URL says so, and closes it.
    ///
    /// # Errors
    /// When that is not possible.
    pub(crate) async fn reach(&self) -> io::Result<()> {
        self.dialer.open(None, Offers::Both).await.map(drop)
    }

    /// Whether connections to the other one are opened in the same way.
    pub(crate) fn is_reached_like(&self, other: &Self) -> bool {
        self.dialer.is_like(&other.dialer)
    }

    /// Whether it gets requests only where no other server does. The clock is read for one that was ejected lately.
    pub(crate) fn is_out(&self) -> bool {
        self.is_unwell.load(Ordering::Relaxed) || self.ejection.is_on(clock::monotonic)
    }

    /// How often it was ejected.
    pub(crate) fn ejections(&self) -> u64 {
        self.ejection.total.load(Ordering::Relaxed)
    }

    /// Notes that it has answered.
    pub(super) fn answered(&self) {
        self.ejection.forget();
    }

    /// Notes that it has failed, and says for how long it is ejected if that was once too often.
    pub(super) fn failed(&self) -> Option<Duration> {
        self.ejection.failed(clock::monotonic())
    }

    /// Notes what a check has found. True when that is something new.
    pub(super) fn is_well(&self, is_well: bool) -> bool {
        self.is_unwell.swap(!is_well, Ordering::Relaxed) == is_well
    }

    /// How many requests are under way, compared fairly: a server with twice the weight may have twice as many.
    pub(super) fn has_less_to_do_than(&self, other: &Self) -> bool {
        let load = |member: &Self| member.under_way.load(Ordering::Relaxed) as u64;
        load(self) * u64::from(other.weight) < load(other) * u64::from(self.weight)
    }

    /// Counts a request that goes to it.
    pub(super) fn begins(&self) -> UnderWay {
        UnderWay::of(&self.under_way)
    }

    /// Whether any request waits for a connection.
    pub(super) fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed) > 0
    }
}

impl<'m> Wanted<'m> {
    pub(super) fn of(member: &'m Member) -> Self {
        member.wanted.fetch_add(1, Ordering::Relaxed);
        Self(member)
    }
}

impl Drop for Wanted<'_> {
    fn drop(&mut self) {
        self.0.wanted.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Ejection {
    fn is_on(&self, now: impl FnOnce() -> Instant) -> bool {
        let until = self.until.load(Ordering::Relaxed);
        until > 0 && self.millis(now()) < until
    }

    fn forget(&self) {
        // Reading costs nothing as long as nobody writes.
        if self.failures.load(Ordering::Relaxed) > 0 {
            self.failures.store(0, Ordering::Relaxed);
            self.in_a_row.store(0, Ordering::Relaxed);
            self.until.store(0, Ordering::Relaxed);
        }
    }

    fn failed(&self, now: Instant) -> Option<Duration> {
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
        // Of several requests that fail at the same time one ejects it.
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

/// A server that has been down for an hour gets a request every five minutes, if no answer tells that it is back before.
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
    fn failures_in_a_row_eject_for_a_time_that_grows() {
        let ejection = ejection();
        let mut now = ejection.started;
        assert_eq!(ejection.failed(now), None);
        assert_eq!(ejection.failed(now), None);
        assert!(!ejection.is_on(|| now));
        assert_eq!(ejection.failed(now), Some(10 * SECOND));
        assert!(ejection.is_on(|| now) && !ejection.is_on(|| now + 10 * SECOND));
        assert_eq!(ejection.failed(now), None, "it is ejected already");
        let mut times = Vec::new();
        for _ in 0..6 {
            now += LONGEST_EJECTION;
            times.extend(ejection.failed(now));
        }
        assert_eq!(times, [20, 40, 80, 160, 300, 300].map(Duration::from_secs));
        assert_eq!(ejection.total.load(Ordering::Relaxed), 7);
    }

    #[test]
    fn an_answer_ends_a_row() {
        let ejection = ejection();
        let now = ejection.started;
        for _ in 0..5 {
            assert_eq!(ejection.failed(now), None);
            assert_eq!(ejection.failed(now), None);
            ejection.forget();
        }
        for _ in 0..3 {
            ejection.failed(now);
        }
        assert!(ejection.is_on(|| now));
        ejection.forget();
        assert!(!ejection.is_on(|| now), "it is back before its time");
    }
}
