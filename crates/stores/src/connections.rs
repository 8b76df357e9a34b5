//! The connections to a database.
//!
//! In place of a pool of the drivers', because an authentication gateway needs three things that those do not do: report a
//! refused connection at once (`sqlx::Pool` retries until its timeout runs out), spend one round trip per lookup (it pings
//! before and after each use), and never wait for a dead peer on the way back (its ping on return has no timeout, so a
//! network that swallows packets would keep every slot taken long after it has healed).

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, SemaphorePermit};

use super::process::Clock;
use super::single_flight::Rank;

/// How connections to one database are opened and closed.
pub(super) trait Opener {
    type Connection: Send;
    type Error;

    /// Opens a connection, however long that takes.
    fn open(&self) -> impl Future<Output = Result<Self::Connection, Self::Error>> + Send;

    /// Says farewell.
    fn close(connection: Self::Connection) -> impl Future<Output = ()> + Send;

    /// The error after [`Connections::close`].
    fn closed() -> Self::Error;

    /// Whether this error is the database's own answer, after which the connection is as good as before.
    fn is_answer(error: &Self::Error) -> bool;
}

/// Opens connections when they are needed, keeps those that worked, and never has more than its limit.
///
/// Every wait in here ends when the caller drops the future: the caller brings the timeout.
// No `Debug`: the options of a driver print the password.
pub(super) struct Connections<O: Opener> {
    opener: O,
    slots: Semaphore,
    /// As many as strangers may have at once: they leave some of the slots to those who are known.
    for_strangers: Semaphore,
    /// The one used last is on top, so that those that are not needed get old and are closed.
    idle: Mutex<Vec<Idle<O::Connection>>>,
    lifetime: Duration,
    clock: Clock,
}

struct Idle<C> {
    connection: C,
    opened: Instant,
    since: Instant,
}

/// A connection in use. Dropped without [`Taken::settle`], it is closed: whoever gives up in the middle of a
/// question leaves nothing behind that the next one could mistake for its own answer.
pub(super) struct Taken<'a, O: Opener> {
    pub(super) connection: O::Connection,
    opened: Instant,
    home: &'a Connections<O>,
    _slot: SemaphorePermit<'a>,
    _of_strangers: Option<SemaphorePermit<'a>>,
}

impl<O: Opener> Connections<O> {
    /// A connection is closed after `lifetime`, however well it works.
    pub(super) fn new(opener: O, limit: u32, lifetime: Duration, clock: Clock) -> Self {
        // A semaphore takes more permits than `u32` can name on every platform that we build for.
        let limit = usize::try_from(limit.max(1))
            .unwrap_or(Semaphore::MAX_PERMITS)
            .min(Semaphore::MAX_PERMITS);
        Self {
            opener,
            slots: Semaphore::new(limit),
            // The only connection is for everybody.
            for_strangers: Semaphore::new((limit - limit.div_ceil(4)).max(1)),
            idle: Mutex::default(),
            lifetime,
            clock,
        }
    }

    /// An open connection: one that has worked before, or a new one.
    ///
    /// # Errors
    /// When the database cannot be reached or lets us not in, or after [`Connections::close`].
    pub(super) async fn take(&self, rank: Rank) -> Result<Taken<'_, O>, O::Error> {
        let of_strangers = match rank {
            Rank::Known => None,
            Rank::Stranger => Some(
                self.for_strangers
                    .acquire()
                    .await
                    .map_err(|_| O::closed())?,
            ),
        };
        let slot = self.slots.acquire().await.map_err(|_| O::closed())?;
        let (connection, opened) = match self.pop() {
            Some(idle) => (idle.connection, idle.opened),
            None => (self.opener.open().await?, self.clock.monotonic()),
        };
        Ok(Taken {
            connection,
            opened,
            home: self,
            _slot: slot,
            _of_strangers: of_strangers,
        })
    }

    /// Closes the idle connections: one of their kind has failed, and they have gone the same way to the same server.
    pub(super) fn forget_idle(&self) {
        self.idle().clear();
    }

    /// Takes no more questions, and says farewell to the database on the idle connections.
    pub(super) async fn close(&self) {
        self.slots.close();
        self.for_strangers.close();
        let idle = std::mem::take(&mut *self.idle());
        for Idle { connection, .. } in idle {
            // The database finds out by itself when it does not hear it.
            let _ = tokio::time::timeout(FAREWELL, O::close(connection)).await;
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

impl<O: Opener> Taken<'_, O> {
    /// Passes the answer on, and keeps the connection for the next question if this one was answered to the end: with
    /// a result, or with the database's own refusal.
    pub(super) fn settle<T>(self, answer: Result<T, O::Error>) -> Result<T, O::Error> {
        let complete = answer.as_ref().map_or_else(O::is_answer, |_| true);
        if complete && !self.home.slots.is_closed() {
            let idle = Idle {
                connection: self.connection,
                opened: self.opened,
                since: self.home.clock.monotonic(),
            };
            self.home.idle().push(idle);
        }
        answer
    }
}

/// Firewalls and load balancers forget connections that say nothing, some after four minutes, and then swallow what is
/// sent on them.
const MAX_IDLE: Duration = Duration::from_secs(60);

/// How long saying farewell may take on each connection.
const FAREWELL: Duration = Duration::from_millis(200);
