//! At most one lookup per key at a time, however many requests wait for it ("single flight").

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gate::{Lookup, StoreError};
use tokio::sync::watch;

use super::changes::Ticket;

/// The result of a lookup.
pub(super) type LookupResult<F> = Result<Lookup<F>, StoreError>;

/// The lookups in flight, by key.
///
/// The first request for a key gets a [`Flight`] from [`SingleFlight::join`] and moves it to a task of its own, and every
/// request only waits. So a client that disconnects does not cancel the lookup for the others. The result can be as old
/// as the flight, so no request joins a flight that began before a relevant invalidation was received.
#[derive(Debug)]
pub(super) struct SingleFlight<F> {
    in_flight: Mutex<Flights<F>>,
}

#[derive(Debug)]
struct Flights<F> {
    by_key: HashMap<Arc<str>, InFlight<F>>,
    /// How many flights are for [unproven keys](Trust::Unproven), including superseded flights.
    for_unproven: usize,
}

/// Whether a key is known to be genuine. Any client can make up tokens without limit, so unproven keys get only a share of
/// each limited resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// The fact existed at the last lookup, or the key was signed.
    Genuine,
    /// Any client could have made the key up.
    Unproven,
}

/// A flight, as seen by the requests that may join it.
#[derive(Debug)]
struct InFlight<F> {
    wait: watch::Receiver<Option<LookupResult<F>>>,
    progress: Arc<Mutex<Progress>>,
}

/// When a flight looked in the stores, and whether its key was invalidated since.
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    /// The ticket of the last lookup in the stores.
    ticket: Ticket,
    /// When an invalidation of its key was last received.
    invalidated: Option<Ticket>,
    /// Whether another flight for the key has begun since. This flight no longer receives invalidations, so it must not
    /// keep its result.
    is_superseded: bool,
}

/// Waits for the result of a flight.
#[derive(Debug)]
pub(super) struct Wait<F>(watch::Receiver<Option<LookupResult<F>>>);

/// A flight, as held by the task that must find its result. If it is dropped without [`Flight::finish`], every
/// [wait](Wait::result) for it ends without a result.
#[derive(Debug)]
pub(super) struct Flight<F> {
    key: Arc<str>,
    trust: Trust,
    progress: Arc<Mutex<Progress>>,
    answer: watch::Sender<Option<LookupResult<F>>>,
    registry: Arc<SingleFlight<F>>,
}

/// The outcome of [`SingleFlight::join`].
pub(super) enum Joined<F> {
    /// Too many lookups are in flight to start another one.
    Full,
    /// A flight for the key is running already; the caller only waits for its result.
    Follower(Wait<F>),
    /// A flight has begun; the caller must have a task run it, and waits for its result.
    Leader(Flight<F>, Wait<F>),
}

impl<F> Default for SingleFlight<F> {
    fn default() -> Self {
        Self {
            in_flight: Mutex::new(Flights {
                by_key: HashMap::new(),
                for_unproven: 0,
            }),
        }
    }
}

impl<F> SingleFlight<F> {
    /// Joins the flight for `key` if it `is_current`, or starts one with this ticket.
    pub(super) fn join(
        self: &Arc<Self>,
        key: &str,
        trust: Trust,
        ticket: Ticket,
        is_current: impl FnOnce(Progress) -> bool,
    ) -> Joined<F> {
        let mut in_flight = lock(&self.in_flight);
        let running = in_flight.by_key.get(key);
        if let Some(flight) = running.filter(|flight| is_current(*lock(&flight.progress))) {
            return Joined::Follower(Wait(flight.wait.clone()));
        }
        let is_full = in_flight.by_key.len() >= MAX_FLIGHTS;
        let is_unproven = trust == Trust::Unproven;
        if is_full || is_unproven && in_flight.for_unproven >= MAX_FOR_UNPROVEN {
            return Joined::Full;
        }
        in_flight.for_unproven += usize::from(is_unproven);
        let (answer, wait) = watch::channel(None);
        let key = Arc::<str>::from(key);
        let progress = Arc::new(Mutex::new(Progress {
            ticket,
            invalidated: None,
            is_superseded: false,
        }));
        let flight = InFlight {
            wait: wait.clone(),
            progress: Arc::clone(&progress),
        };
        if let Some(former) = in_flight.by_key.insert(Arc::clone(&key), flight) {
            lock(&former.progress).is_superseded = true;
        }
        Joined::Leader(
            Flight {
                key,
                trust,
                progress,
                answer,
                registry: Arc::clone(self),
            },
            Wait(wait),
        )
    }

    /// Notes in the flight for `key`, if there is one, that its key was invalidated at the time of `ticket`.
    pub(super) fn invalidate(&self, key: &str, ticket: Ticket) {
        if let Some(flight) = lock(&self.in_flight).by_key.get(key) {
            let invalidated = &mut lock(&flight.progress).invalidated;
            *invalidated = (*invalidated).max(Some(ticket));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Progress {
    /// The ticket of the last lookup in the stores.
    pub(super) fn ticket(&self) -> Ticket {
        self.ticket
    }

    /// Whether the key was invalidated at the time of this ticket or later. An invalidation at exactly the same time may
    /// have come before or after, so it is included.
    pub(super) fn was_invalidated(&self, since: Ticket) -> bool {
        self.invalidated >= Some(since)
    }
}

impl<F: Clone> Wait<F> {
    /// Waits for the result. Returns `None` when the flight was dropped without a result.
    pub(super) async fn result(mut self) -> Option<LookupResult<F>> {
        let answer = self.0.wait_for(Option::is_some).await.ok()?;
        answer.clone()
    }
}

impl<F> Flight<F> {
    pub(super) fn key(&self) -> &Arc<str> {
        &self.key
    }

    /// The ticket of the last lookup in the stores, and whether the key was invalidated since.
    pub(super) fn progress(&self) -> Progress {
        *lock(&self.progress)
    }

    /// Notes that the flight looks in the stores once more, with this ticket.
    pub(super) fn restart(&self, ticket: Ticket) {
        lock(&self.progress).ticket = ticket;
    }

    /// Calls `keep` with whether the answer of a lookup with this ticket may be repeated, as far as invalidations of the
    /// key show. No invalidation of the key is noted during the call, so a later one finds the answer in memory if it is
    /// kept.
    pub(super) fn keep(&self, ticket: Ticket, keep: impl FnOnce(bool)) {
        let progress = lock(&self.progress);
        keep(!progress.is_superseded && !progress.was_invalidated(ticket));
    }

    /// Gives the result to every waiting request. From then on no request can join the flight: a client that has received
    /// this answer may delete the user and ask again, and must not get the same answer.
    pub(super) fn finish(mut self, answer: LookupResult<F>) {
        self.close();
        self.answer.send_replace(Some(answer));
    }

    fn close(&mut self) {
        let mut in_flight = lock(&self.registry.in_flight);
        // Another flight may have taken over the key by now.
        let is_ours = |flight: &InFlight<F>| Arc::ptr_eq(&flight.progress, &self.progress);
        if in_flight.by_key.get(&self.key).is_some_and(is_ours) {
            in_flight.by_key.remove(&self.key);
        }
        // Only once: `drop` closes the flight again.
        if std::mem::replace(&mut self.trust, Trust::Genuine) == Trust::Unproven {
            in_flight.for_unproven -= 1;
        }
    }
}

impl<F> Drop for Flight<F> {
    fn drop(&mut self) {
        self.close();
    }
}

/// The most flights at once. Flights outlive the requests that started them, so the number of connections does not bound
/// them; this limit does. A flight asks Redis and the database three times at most, each within its timeout, and takes
/// about 2 kB.
const MAX_FLIGHTS: usize = 16_384;

/// The most flights for [unproven keys](Trust::Unproven) at once.
const MAX_FOR_UNPROVEN: usize = MAX_FLIGHTS / 2;

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use gate::{LookupSource, User};

    use super::super::changes::{Changes, Channels};
    use super::*;

    fn ticket() -> Ticket {
        ticket_after(Duration::ZERO)
    }

    /// The ticket of a lookup that begins this long after the start.
    #[expect(clippy::disallowed_methods, reason = "a test needs some instant")]
    fn ticket_after(time: Duration) -> Ticket {
        let start = Instant::now();
        Changes::new(Channels::NONE, Channels::NONE, start).ticket(start + time)
    }

    fn join(registry: &Arc<SingleFlight<User>>, key: &str) -> Joined<User> {
        registry.join(key, Trust::Genuine, ticket(), |_| true)
    }

    fn found() -> Lookup<User> {
        Lookup {
            found: Some(User::default()),
            source: LookupSource::Postgres,
        }
    }

    fn leader(registry: &Arc<SingleFlight<User>>, subject: &str) -> (Flight<User>, Wait<User>) {
        let Joined::Leader(flight, wait) = join(registry, subject) else {
            panic!("there is a flight for {subject} already")
        };
        (flight, wait)
    }

    #[tokio::test]
    async fn all_waiting_requests_get_the_answer_of_one_flight() {
        let registry = Arc::new(SingleFlight::default());
        let (flight, first) = leader(&registry, "7");
        let (_other, _) = leader(&registry, "8");
        let Joined::Follower(second) = join(&registry, "7") else {
            panic!("a second flight for the same subject")
        };
        // The request that started the flight goes away.
        drop(first);
        flight.finish(Ok(found()));
        assert_eq!(second.result().await.unwrap().unwrap(), found());
    }

    #[tokio::test]
    async fn a_finished_or_dropped_flight_makes_room_for_the_next() {
        let registry = Arc::new(SingleFlight::default());
        let (flight, wait) = leader(&registry, "7");
        drop(flight);
        assert!(wait.result().await.is_none());
        let (flight, wait) = leader(&registry, "7");
        flight.finish(Ok(found()));
        assert!(wait.result().await.is_some());
        leader(&registry, "7");
    }

    #[tokio::test]
    async fn no_request_joins_a_flight_that_began_before_a_change() {
        let registry = Arc::new(SingleFlight::default());
        let (early, waits) = leader(&registry, "7");
        let Joined::Leader(late, _) = registry.join("7", Trust::Genuine, ticket(), |_| false)
        else {
            panic!("joined a flight that began before");
        };
        early.finish(Ok(found()));
        assert!(waits.result().await.is_some());
        // The early flight does not remove the late one.
        assert!(matches!(join(&registry, "7"), Joined::Follower(_)));
        late.finish(Ok(found()));
        leader(&registry, "7");
    }

    #[test]
    fn a_flight_keeps_nothing_older_than_an_invalidation() {
        let registry = Arc::new(SingleFlight::default());
        let may_keep = |flight: &Flight<User>, ticket| {
            let mut may_keep = None;
            flight.keep(ticket, |may| may_keep = Some(may));
            may_keep.unwrap()
        };
        let (flight, _) = leader(&registry, "7");
        let first = flight.progress().ticket();
        assert!(may_keep(&flight, first));
        registry.invalidate("8", first);
        assert!(may_keep(&flight, first));
        registry.invalidate("7", first);
        assert!(!may_keep(&flight, first) && flight.progress().was_invalidated(first));
        // A later lookup is newer than the invalidation.
        let later = ticket_after(Duration::from_secs(1));
        assert!(may_keep(&flight, later) && !flight.progress().was_invalidated(later));
        // A superseded flight keeps nothing.
        let Joined::Leader(next, _) = registry.join("7", Trust::Genuine, later, |_| false) else {
            panic!("joined a flight that began before");
        };
        assert!(!may_keep(&flight, later) && may_keep(&next, later));
    }

    #[test]
    fn the_number_of_flights_is_bounded() {
        let registry = Arc::new(SingleFlight::default());
        let flights: Vec<_> = (0..MAX_FLIGHTS)
            .map(|subject| leader(&registry, &subject.to_string()))
            .collect();
        assert!(matches!(join(&registry, "one more"), Joined::Full));
        assert!(matches!(join(&registry, "0"), Joined::Follower(_)));
        drop(flights);
        leader(&registry, "one more");
    }

    #[test]
    fn unproven_keys_leave_half_of_the_flights_to_genuine_keys() {
        let registry = Arc::new(SingleFlight::<User>::default());
        let ask = |key: String| registry.join(&key, Trust::Unproven, ticket(), |_| true);
        let flights: Vec<_> = (0..MAX_FLIGHTS)
            .map_while(|guess| match ask(guess.to_string()) {
                Joined::Leader(flight, _) => Some(flight),
                Joined::Full | Joined::Follower(_) => None,
            })
            .collect();
        assert_eq!(flights.len(), MAX_FOR_UNPROVEN);
        let genuine = 0..MAX_FLIGHTS - MAX_FOR_UNPROVEN;
        let genuine: Vec<_> = genuine
            .map(|number| leader(&registry, &format!("genuine {number}")))
            .collect();
        assert!(matches!(join(&registry, "one more"), Joined::Full));
        // A flight that has landed leaves its place, and only once.
        let mut flights = flights.into_iter();
        flights.next().unwrap().finish(Ok(found()));
        assert!(matches!(ask("more".to_owned()), Joined::Leader(..)));
        drop((flights, genuine));
        assert_eq!(registry.in_flight.lock().unwrap().for_unproven, 0);
    }
}
