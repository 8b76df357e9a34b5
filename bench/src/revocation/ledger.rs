//! Which users were changed and when, and what the gates answered.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use xtask::step::clock;

use super::distribution::Distribution;
use super::node::Person;

/// All users, in the order in which they are changed. The last ones never are.
pub(super) struct Ledger {
    people: Vec<Person>,
    states: Vec<UserState>,
    /// The number of users that may be changed.
    changeable: usize,
    /// The index of the next user to change.
    next: AtomicUsize,
    began: Instant,
    tally: Mutex<Tally>,
}

/// What has happened to a user, in microseconds since the beginning.
#[derive(Default)]
struct UserState {
    /// When the change was made; 0 before it begins, [`UNKNOWN`] while it is under way and after it failed.
    changed: AtomicU64,
    /// How long after the change the last permitted request was sent.
    late: AtomicU64,
}

/// The answers of the gates.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) answers: u64,
    /// Answers with status 503.
    pub(super) unavailable: u64,
    /// Requests without an answer, or without a complete one.
    pub(super) unanswered: u64,
    /// Requests that were permitted although they were sent more than [`BOUND`] after the change.
    pub(super) too_late: u64,
    /// Refusals, other than 503, of users who had not been changed, by status.
    pub(super) refused: BTreeMap<u16, u64>,
}

impl Ledger {
    /// Creates a ledger in which the last `spared` users are never changed.
    pub(super) fn new(people: Vec<Person>, spared: usize) -> Self {
        let states = people.iter().map(|_| UserState::default()).collect();
        Self {
            states,
            changeable: people.len() - spared,
            people,
            next: AtomicUsize::new(0),
            began: clock(),
            tally: Mutex::default(),
        }
    }

    /// Changes the next user with `make`; `None` if none is left. A change that fails may still have taken effect.
    pub(super) fn change<T>(
        &self,
        make: impl FnOnce(usize, &Person) -> anyhow::Result<T>,
    ) -> Option<anyhow::Result<T>> {
        let number = self.next.load(Ordering::Acquire);
        let (person, state) = (
            self.people[..self.changeable].get(number)?,
            &self.states[number],
        );
        state.changed.store(UNKNOWN, Ordering::Release);
        let made = make(number, person);
        if made.is_ok() {
            let now = self.micros(clock());
            state.changed.store(now, Ordering::Release);
        }
        self.next.store(number + 1, Ordering::Release);
        Some(made)
    }

    /// Chooses a user with a random number: one that was changed lately, will be changed soon, or never is.
    pub(super) fn choose(&self, number: u64) -> (usize, &Person) {
        let next = self.next.load(Ordering::Acquire);
        let among = |from: usize, to: usize| {
            let count = u64::try_from(to - from).unwrap_or(1).max(1);
            from + usize::try_from(number / 4 % count).unwrap_or(0)
        };
        let chosen = match number % 4 {
            0 => among(self.changeable, self.people.len()),
            1 => among(next, self.changeable.min(next + UPCOMING)),
            _ => among(next.saturating_sub(RECENT), next),
        };
        let chosen = chosen.min(self.people.len() - 1);
        (chosen, &self.people[chosen])
    }

    /// Records that a request of this user was sent at `sent` and answered with `status`, or not at all.
    pub(super) fn answered(&self, number: usize, sent: Instant, status: Option<u16>) {
        let state = &self.states[number];
        let changed = state.changed.load(Ordering::Acquire);
        let late = self.micros(sent).saturating_sub(changed);
        let is_changed = number < self.changeable && changed != 0;
        let mut tally = self.tally();
        tally.answers += u64::from(status.is_some());
        match status {
            None => tally.unanswered += 1,
            Some(200) if is_changed && late > 0 => {
                state.late.fetch_max(late, Ordering::AcqRel);
                tally.too_late += u64::from(Duration::from_micros(late) > BOUND);
            }
            Some(503) => tally.unavailable += 1,
            Some(200) => {}
            Some(_) if is_changed => {}
            Some(status) => *tally.refused.entry(status).or_default() += 1,
        }
    }

    /// Returns the answers of the gates so far.
    pub(super) fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns, for each user that was changed, how long after the change the last permitted request was sent.
    pub(super) fn late(&self) -> Distribution {
        let mut late = Distribution::default();
        for state in &self.states {
            let changed = state.changed.load(Ordering::Acquire);
            if changed != 0 && changed != UNKNOWN {
                late.push(Duration::from_micros(state.late.load(Ordering::Acquire)));
            }
        }
        late
    }

    fn micros(&self, at: Instant) -> u64 {
        let micros = at.saturating_duration_since(self.began).as_micros();
        // Zero is reserved for a change that has not begun.
        u64::try_from(micros).unwrap_or(UNKNOWN - 1).max(1)
    }
}

/// How old the data may be by which a gate permits a request: it trusts a channel for two and a half seconds at most, and its
/// list of revocations for three.
pub(super) const BOUND: Duration = Duration::from_secs(3);

const UNKNOWN: u64 = u64::MAX;

/// How many of the users changed last, and of those to be changed next, send requests.
const RECENT: usize = 300;
const UPCOMING: usize = 20;

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn users_changed_long_ago_must_be_refused() {
        let people = (0..4).map(|number| {
            let text = format!("user-{number}");
            Person::new(text.clone(), String::new(), text)
        });
        let ledger = Ledger::new(people.collect(), 1);
        assert!(
            ledger
                .change(|_, _| Ok(()))
                .is_some_and(|made| made.is_ok())
        );
        assert!(
            ledger
                .change(|_, _| -> anyhow::Result<()> { bail!("down") })
                .is_some()
        );
        let (now, later) = (clock(), clock() + BOUND * 2);
        for number in 0..4 {
            for status in [Some(200), Some(401), Some(503), None] {
                ledger.answered(number, now, status);
                ledger.answered(number, later, status);
            }
        }
        let tally = ledger.tally().clone();
        assert_eq!(
            (tally.answers, tally.unavailable, tally.unanswered),
            (24, 8, 8)
        );
        assert_eq!(tally.too_late, 1);
        // Of the third user, not yet changed, and of the last, never changed: two requests each.
        assert_eq!(tally.refused, BTreeMap::from([(401, 4)]));
    }
}
