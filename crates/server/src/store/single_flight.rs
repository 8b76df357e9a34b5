//! One lookup per subject, however many requests wait for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use gate::{Lookup, StoreError, User};
use tokio::sync::watch;

/// What a flight comes back with.
pub(super) type Answer = Result<Lookup<User>, StoreError>;

/// The lookups that are under way, by subject.
///
/// A flight belongs to the task that flies it and not to any of those who wait, so a client that goes away takes
/// nothing from the others. Whoever joins a flight may get an answer that is as old as the flight.
#[derive(Debug, Default)]
pub(super) struct SingleFlight {
    under_way: Mutex<HashMap<Arc<str>, Wait>>,
}

/// Waits for a flight to land.
#[derive(Clone, Debug)]
pub(super) struct Wait(watch::Receiver<Option<Answer>>);

/// The duty to find the answer. Dropped without landing, it tells everyone who waits that there will be none.
#[derive(Debug)]
pub(super) struct Flight {
    subject: Arc<str>,
    answer: watch::Sender<Option<Answer>>,
    registry: Arc<SingleFlight>,
}

/// What [`SingleFlight::join`] gives.
pub(super) enum Seat {
    /// So many lookups are under way that there shall not be another one.
    Full,
    /// Somebody else flies.
    Passenger(Wait),
    /// The caller has to see to it that somebody flies.
    Pilot(Flight, Wait),
}

impl SingleFlight {
    /// Joins the flight for `subject`, or opens one.
    pub(super) fn join(self: &Arc<Self>, subject: &str) -> Seat {
        let mut under_way = self
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(wait) = under_way.get(subject) {
            return Seat::Passenger(wait.clone());
        }
        if under_way.len() >= MAX_FLIGHTS {
            return Seat::Full;
        }
        let (answer, receiver) = watch::channel(None);
        let (subject, wait) = (Arc::<str>::from(subject), Wait(receiver));
        under_way.insert(Arc::clone(&subject), wait.clone());
        Seat::Pilot(
            Flight {
                subject,
                answer,
                registry: Arc::clone(self),
            },
            wait,
        )
    }
}

impl Wait {
    /// The answer, or `None` when the flight was given up.
    pub(super) async fn landed(mut self) -> Option<Answer> {
        let answer = self.0.wait_for(Option::is_some).await.ok()?;
        answer.clone()
    }
}

impl Flight {
    pub(super) fn subject(&self) -> &Arc<str> {
        &self.subject
    }

    /// Gives everyone who waits the answer.
    pub(super) fn land(self, answer: Answer) {
        self.answer.send_replace(Some(answer));
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.registry
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.subject);
    }
}

/// Flights outlive the requests that opened them, so the number of connections does not bound them; this does. A flight
/// lasts no longer than the timeouts of Redis and the database together, and costs about 2 kB.
const MAX_FLIGHTS: usize = 16_384;

#[cfg(test)]
mod tests {
    use gate::Source;

    use super::*;

    const FOUND: Lookup<User> = Lookup {
        found: Some(User),
        source: Source::Postgres,
    };

    fn pilot(registry: &Arc<SingleFlight>, subject: &str) -> (Flight, Wait) {
        let Seat::Pilot(flight, wait) = registry.join(subject) else {
            panic!("{subject} is under way")
        };
        (flight, wait)
    }

    #[tokio::test]
    async fn everyone_who_waits_gets_the_answer_of_one_flight() {
        let registry = Arc::new(SingleFlight::default());
        let (flight, first) = pilot(&registry, "7");
        let (_other, _) = pilot(&registry, "8");
        let Seat::Passenger(second) = registry.join("7") else {
            panic!("a second flight for the same subject")
        };
        // The one who opened the flight goes away.
        drop(first);
        flight.land(Ok(FOUND));
        assert_eq!(second.landed().await.unwrap().unwrap(), FOUND);
    }

    #[tokio::test]
    async fn a_flight_that_landed_or_crashed_makes_room_for_the_next() {
        let registry = Arc::new(SingleFlight::default());
        let (flight, wait) = pilot(&registry, "7");
        drop(flight);
        assert!(wait.landed().await.is_none());
        let (flight, wait) = pilot(&registry, "7");
        flight.land(Ok(FOUND));
        assert!(wait.landed().await.is_some());
        pilot(&registry, "7");
    }

    #[test]
    fn the_number_of_flights_is_bounded() {
        let registry = Arc::new(SingleFlight::default());
        let flights: Vec<_> = (0..MAX_FLIGHTS)
            .map(|subject| pilot(&registry, &subject.to_string()))
            .collect();
        assert!(matches!(registry.join("one more"), Seat::Full));
        assert!(matches!(registry.join("0"), Seat::Passenger(_)));
        drop(flights);
        pilot(&registry, "one more");
    }
}
