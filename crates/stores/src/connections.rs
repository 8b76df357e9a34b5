//! A pool of connections to a database.
//!
//! It replaces the drivers' own pools, which lack three things that an authentication gateway needs: reporting a
//! refused connection at once (`sqlx::Pool` retries until its timeout expires), one round trip per lookup (it pings
//! before and after each use), and never waiting for a dead peer when a connection is returned (its ping on return has
//! no timeout, so a network that drops packets would keep every slot taken long after it has recovered).

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, SemaphorePermit};

use super::process::Clock;
use super::single_flight::Trust;

/// How connections to one database are opened and closed.
pub(super) trait Opener {
    type Connection: Send;
    type Error;

    /// Opens a connection. It has no time limit of its own; the caller sets one.
    fn open(&self) -> impl Future<Output = Result<Self::Connection, Self::Error>> + Send;

    /// Closes a connection as its protocol requires.
    fn close(connection: Self::Connection) -> impl Future<Output = ()> + Send;

    /// The error after [`Connections::close`].
    fn closed() -> Self::Error;

    /// Whether this error is the database's own answer, after which the connection can be used again.
    fn is_answer(error: &Self::Error) -> bool;
}

/// A pool that opens connections on demand, keeps those that worked, and never exceeds its limit.
///
/// Every wait in here ends when the caller drops the future, so the caller sets the timeout.
// No `Debug`: the options of a driver print the password.
pub(super) struct Connections<O: Opener> {
    opener: O,
    slots: Semaphore,
    /// The slots that lookups of [unproven keys](Trust::Unproven) may take: a quarter stays free for those of genuine keys.
    for_unproven: Semaphore,
    /// A stack: the connection used last is on top, so that surplus ones grow old and are closed.
    idle: Mutex<Vec<Idle<O::Connection>>>,
    lifetime: Duration,
    clock: Clock,
}

struct Idle<C> {
    connection: C,
    opened: Instant,
    since: Instant,
}

/// A connection in use. Dropped without [`PooledConnection::give_back`], it is closed, so that a lookup that is
/// canceled halfway leaves no answer behind that the next lookup could take for its own.
pub(super) struct PooledConnection<'a, O: Opener> {
    pub(super) connection: O::Connection,
    opened: Instant,
    pool: &'a Connections<O>,
    _slot: SemaphorePermit<'a>,
    _unproven_slot: Option<SemaphorePermit<'a>>,
}

impl<O: Opener> Connections<O> {
    /// Creates a pool of at most `limit` connections, each of which is closed after `lifetime`.
    pub(super) fn new(opener: O, limit: u32, lifetime: Duration, clock: Clock) -> Self {
        // On every platform that we build for, a semaphore takes more permits than a `u32` holds.
        let limit = usize::try_from(limit.max(1))
            .unwrap_or(Semaphore::MAX_PERMITS)
            .min(Semaphore::MAX_PERMITS);
        Self {
            opener,
            slots: Semaphore::new(limit),
            // With a limit of one, lookups of unproven keys may use that connection too.
            for_unproven: Semaphore::new((limit - limit.div_ceil(4)).max(1)),
            idle: Mutex::default(),
            lifetime,
            clock,
        }
    }

    /// Takes a connection from the pool, or opens one.
    ///
    /// # Errors
    /// When the database cannot be reached or refuses the sign-in, or after [`Connections::close`].
    pub(super) async fn take(&self, trust: Trust) -> Result<PooledConnection<'_, O>, O::Error> {
        let unproven_slot = match trust {
            Trust::Genuine => None,
            Trust::Unproven => Some(self.for_unproven.acquire().await.map_err(|_| O::closed())?),
        };
        let slot = self.slots.acquire().await.map_err(|_| O::closed())?;
        let (connection, opened) = match self.pop() {
            Some(idle) => (idle.connection, idle.opened),
            None => (self.opener.open().await?, self.clock.monotonic()),
        };
        Ok(PooledConnection {
            connection,
            opened,
            pool: self,
            _slot: slot,
            _unproven_slot: unproven_slot,
        })
    }

    /// Closes the idle connections. For use after one connection has failed: the others lead over the same network to
    /// the same server.
    pub(super) fn close_idle(&self) {
        self.idle().clear();
    }

    /// Hands out no more connections, and closes the idle ones.
    pub(super) async fn close(&self) {
        self.slots.close();
        self.for_unproven.close();
        let idle = std::mem::take(&mut *self.idle());
        for Idle { connection, .. } in idle {
            // A database that does not receive the closing message notices the closed connection by itself.
            let _ = tokio::time::timeout(CLOSE_TIMEOUT, O::close(connection)).await;
        }
    }

    fn pop(&self) -> Option<Idle<O::Connection>> {
        let now = self.clock.monotonic();
        let mut idle = self.idle();
        idle.retain(|idle| {
            now.saturating_duration_since(idle.opened) < self.lifetime
                && now.saturating_duration_since(idle.since) < MAX_IDLE
        });
        idle.pop()
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle<O::Connection>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<O: Opener> PooledConnection<'_, O> {
    /// Passes an answer on, and returns the connection to the pool if the answer is complete: a result, or the
    /// database's own refusal.
    pub(super) fn give_back<T>(self, answer: Result<T, O::Error>) -> Result<T, O::Error> {
        let complete = answer.as_ref().map_or_else(O::is_answer, |_| true);
        if complete && !self.pool.slots.is_closed() {
            let idle = Idle {
                connection: self.connection,
                opened: self.opened,
                since: self.pool.clock.monotonic(),
            };
            self.pool.idle().push(idle);
        }
        answer
    }
}

/// How long a connection may be idle. Firewalls and load balancers drop idle connections, some after four minutes, and
/// then discard what is sent on them.
const MAX_IDLE: Duration = Duration::from_secs(60);

/// How long closing each connection may take.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(200);
