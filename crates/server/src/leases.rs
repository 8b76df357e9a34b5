//! Leases: how WebSockets and endless answers, which may last for hours, are ended early.
//!
//! Such an exchange has a lease; if the request has a session, the lease ends with it. Each runtime has a register of its own
//! leases, without locks, in which all leases or those of one holder can be ended. Other exchanges have no lease, so they pay
//! nothing. Each runtime also has a mailbox, by which any thread can end leases ([`end_everywhere`]) or have their requests
//! decided again ([`recheck_everywhere`]).

use std::cell::RefCell;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use session::{Format, Session, UnixTime};
use slab::Slab;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::time::{Sleep, sleep};

use crate::clock;
use crate::exchange_end::ExchangeEnd;

/// The holder of a lease: the session of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    /// The name of the session's realm.
    pub(crate) realm: Arc<str>,
    /// The session's subject.
    pub(crate) user: Box<str>,
    /// The session's id.
    pub(crate) session: Box<str>,
    /// When the user signed in, as far as the session says.
    pub(crate) issued_at: Option<UnixTime>,
}

/// Why an exchange may not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LeaseEnd {
    /// The process is about to end.
    GoingAway,
    /// The session has expired.
    SessionExpired,
    /// The session was revoked, or its request would no longer be permitted.
    SessionRevoked,
}

impl LeaseEnd {
    /// How the exchange ended.
    pub(crate) fn exchange_end(self) -> ExchangeEnd {
        match self {
            Self::GoingAway => ExchangeEnd::CutOff,
            Self::SessionExpired => ExchangeEnd::SessionExpired,
            Self::SessionRevoked => ExchangeEnd::SessionRevoked,
        }
    }
}

/// The right of an exchange to go on. It leaves the register when it is dropped.
pub(crate) struct Lease<'l> {
    number: usize,
    /// When the lease expires, and the timer for that.
    end: Option<(UnixTime, Pin<Box<Sleep>>)>,
    /// Decides the request again when a recheck is due.
    decide: Option<Box<dyn Fn() -> Recheck<'l> + 'l>>,
    recheck: Option<Recheck<'l>>,
}

/// A renewed decision: whether the request would still be permitted.
pub(crate) type Recheck<'l> = Pin<Box<dyn Future<Output = bool> + 'l>>;

/// A lease in the register.
#[derive(Debug, Default)]
struct RegisteredLease {
    /// `None` if there is no session.
    holder: Option<Holder>,
    reason: Option<LeaseEnd>,
    /// Whether a change was announced that may concern the holder, so that the request has to be decided again.
    needs_recheck: bool,
    waker: Option<Waker>,
}

thread_local! {
    static REGISTER: RefCell<Slab<RegisteredLease>> = const { RefCell::new(Slab::new()) };
}

impl<'l> Lease<'l> {
    /// A lease for this holder, if there is a session, until `end`.
    pub(crate) fn begin(holder: Option<Holder>, end: Option<UnixTime>) -> Self {
        let entry = RegisteredLease {
            holder,
            ..RegisteredLease::default()
        };
        let number = REGISTER.with_borrow_mut(|register| register.insert(entry));
        Self {
            number,
            end: end.map(|end| (end, Box::pin(sleep(until(end))))),
            decide: None,
            recheck: None,
        }
    }

    /// Adds `decide`, which decides the request again whenever a recheck is due, and once at the start.
    pub(crate) fn rechecked_by(mut self, decide: impl Fn() -> Recheck<'l> + 'l) -> Self {
        self.decide = Some(Box::new(decide));
        REGISTER.with_borrow_mut(|register| register[self.number].needs_recheck = true);
        self
    }

    /// A lease that has ended from the start.
    pub(crate) fn ended(holder: Holder, reason: LeaseEnd) -> Self {
        let entry = RegisteredLease {
            holder: Some(holder),
            reason: Some(reason),
            ..RegisteredLease::default()
        };
        let number = REGISTER.with_borrow_mut(|register| register.insert(entry));
        Self {
            number,
            end: None,
            decide: None,
            recheck: None,
        }
    }

    /// Ready when the exchange has to end.
    pub(crate) fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<LeaseEnd> {
        let reason = REGISTER.with_borrow_mut(|register| {
            let entry = &mut register[self.number];
            if entry.reason.is_none() {
                entry.waker = Some(context.waker().clone());
            }
            entry.reason
        });
        if let Some(reason) = reason {
            return Poll::Ready(reason);
        }
        if let Poll::Ready(reason) = self.poll_recheck(context) {
            return Poll::Ready(reason);
        }
        let Some((end, timer)) = &mut self.end else {
            return Poll::Pending;
        };
        loop {
            ready!(timer.as_mut().poll(context));
            let left = until(*end);
            if left.is_zero() {
                return Poll::Ready(LeaseEnd::SessionExpired);
            }
            timer.set(sleep(left));
        }
    }

    /// Ready when a recheck has found that the request would no longer be permitted.
    fn poll_recheck(&mut self, context: &mut Context<'_>) -> Poll<LeaseEnd> {
        let Some(decide) = &self.decide else {
            return Poll::Pending;
        };
        loop {
            if let Some(recheck) = &mut self.recheck {
                let may_go_on = ready!(recheck.as_mut().poll(context));
                self.recheck = None;
                if !may_go_on {
                    return Poll::Ready(LeaseEnd::SessionRevoked);
                }
            }
            // A change that is announced from now on causes another decision.
            let is_due = |register: &mut Slab<RegisteredLease>| {
                std::mem::take(&mut register[self.number].needs_recheck)
            };
            if !REGISTER.with_borrow_mut(is_due) {
                return Poll::Pending;
            }
            self.recheck = Some(decide());
        }
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        // When the runtime's thread ends, tasks may be dropped after the register.
        let _ = REGISTER.try_with(|register| register.borrow_mut().try_remove(self.number));
    }
}

/// Ends the leases of this runtime whose holders match `matches`.
pub(crate) fn end(reason: LeaseEnd, matches: impl Fn(Option<&Holder>) -> bool) {
    mark(matches, |entry| {
        entry.reason.get_or_insert(reason);
    });
}

fn mark(matches: impl Fn(Option<&Holder>) -> bool, mark: impl Fn(&mut RegisteredLease)) {
    let woken: Vec<Waker> = REGISTER.with_borrow_mut(|register| {
        let entries = register.iter_mut().map(|(_, entry)| entry);
        let meant = entries.filter(|entry| matches(entry.holder.as_ref()));
        let marked = meant.filter_map(|entry| {
            mark(entry);
            entry.waker.take()
        });
        marked.collect()
    });
    woken.into_iter().for_each(Waker::wake);
}

/// Ends the leases of all runtimes whose holders match `matches`. Any thread may call it. Each runtime does this after the
/// tasks that are ready now, and includes leases that began in the meantime.
pub(crate) fn end_everywhere(
    reason: LeaseEnd,
    matches: impl Fn(Option<&Holder>) -> bool + Send + Sync + 'static,
) {
    send_everywhere(Some(reason), Arc::new(matches));
}

/// Marks the leases of all runtimes whose holders match `matches`, so that their requests are decided again. Works
/// like [`end_everywhere`].
pub(crate) fn recheck_everywhere(
    matches: impl Fn(Option<&Holder>) -> bool + Send + Sync + 'static,
) {
    send_everywhere(None, Arc::new(matches));
}

fn send_everywhere(reason: Option<LeaseEnd>, matches: Arc<HolderFilter>) {
    let mut mailboxes = MAILBOXES.lock().unwrap_or_else(PoisonError::into_inner);
    // The mailbox of a runtime that has ended is closed.
    mailboxes.retain(|mailbox| mailbox.send((reason, Arc::clone(&matches))).is_ok());
}

/// Carries out [`end_everywhere`] and [`recheck_everywhere`] on this runtime, forever. Call it once on each runtime, before it
/// has a lease.
pub(crate) fn run_mailbox() -> impl Future<Output = ()> {
    let (mailbox, messages) = mpsc::unbounded_channel();
    let mut mailboxes = MAILBOXES.lock().unwrap_or_else(PoisonError::into_inner);
    mailboxes.push(mailbox);
    carry_out(messages)
}

async fn carry_out(mut messages: UnboundedReceiver<MailboxMessage>) {
    while let Some((reason, matches)) = messages.recv().await {
        match reason {
            Some(reason) => end(reason, &*matches),
            None => mark(&*matches, |entry| entry.needs_recheck = true),
        }
    }
}

/// A message to a runtime: why leases end, or `None` if they need a recheck, and which leases.
type MailboxMessage = (Option<LeaseEnd>, Arc<HolderFilter>);

type HolderFilter = dyn Fn(Option<&Holder>) -> bool + Send + Sync;

/// The mailboxes of all runtimes. Locked when a runtime begins and when leases are to end, never for a request.
static MAILBOXES: Mutex<Vec<UnboundedSender<MailboxMessage>>> = Mutex::new(Vec::new());

/// How many leases there are on this runtime.
pub(crate) fn count() -> usize {
    REGISTER.with_borrow(Slab::len)
}

/// When requests with this session are no longer permitted: its expiry or its greatest age, with the tolerance for clocks. A
/// client whose exchange ends then cannot come back with this session.
pub(crate) fn end_of(session: &Session, max_age: Option<Duration>) -> UnixTime {
    // The greatest age applies to sessions, not to tokens of an issuer.
    let max_age = max_age.filter(|_| session.format() != Format::Jwt);
    let issued = session.issued_at().zip(max_age);
    let too_old = issued.map(|(issued, max_age)| issued.saturating_add(max_age));
    let expires = session.expires_at();
    let end = too_old.map_or(expires, |too_old| too_old.min(expires));
    end.saturating_add(TOLERANCE)
}

/// How long to wait before looking at the clock again.
fn until(end: UnixTime) -> Duration {
    end.saturating_since(clock::now()).min(LONGEST_WAIT)
}

/// The tolerance for clocks, as in `session::Session`.
const TOLERANCE: Duration = Duration::from_secs(15);

/// The longest time after which a changed clock, or a suspended machine, is noticed.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    fn holder(user: &str) -> Holder {
        Holder {
            realm: "default".into(),
            user: user.into(),
            session: format!("session of {user}").into(),
            issued_at: None,
        }
    }

    #[tokio::test]
    async fn leases_end_when_they_expire_and_not_earlier() {
        let past = UnixTime::from_millis(clock::now().millis() - 1);
        let mut ended = Lease::begin(Some(holder("ada")), Some(past));
        let reason = poll_fn(|context| ended.poll_end(context)).await;
        assert_eq!(reason, LeaseEnd::SessionExpired);
        let later = UnixTime::from_millis(clock::now().millis() + 3_600_000);
        let mut lasts = Lease::begin(Some(holder("ada")), Some(later));
        poll_fn(|context| {
            assert!(lasts.poll_end(context).is_pending());
            Poll::Ready(())
        })
        .await;
    }

    #[tokio::test]
    async fn matching_leases_end_and_dropped_leases_leave_the_register() {
        let mut leases: Vec<_> = ["ada", "eve"]
            .map(|user| Lease::begin(Some(holder(user)), None))
            .into();
        leases.push(Lease::begin(None, None));
        assert_eq!(count(), 3);
        end(LeaseEnd::SessionExpired, |held| {
            held.is_some_and(|holder| &*holder.user == "eve")
        });
        let ended = poll_fn(|context| {
            let reason = leases.iter_mut().map(|lease| lease.poll_end(context));
            Poll::Ready(reason.map(|reason| reason.is_ready()).collect::<Vec<_>>())
        });
        assert_eq!(ended.await, [false, true, false]);
        end(LeaseEnd::GoingAway, |_| true);
        let reason = poll_fn(|context| leases[1].poll_end(context)).await;
        assert_eq!(reason, LeaseEnd::SessionExpired, "the first reason counts");
        drop(leases);
        assert_eq!(count(), 0);
    }

    /// Uses a user of its own, because the mailboxes of all tests in this process receive the message.
    #[tokio::test(flavor = "local")]
    async fn another_thread_can_end_leases_of_this_runtime() {
        let mut held = Lease::begin(Some(holder("mallory")), None);
        let mut other = Lease::begin(Some(holder("bob")), None);
        let mailbox_task = tokio::task::spawn_local(run_mailbox());
        let is_meant = |held: Option<&Holder>| held.is_some_and(|held| &*held.user == "mallory");
        let thread = std::thread::spawn(move || end_everywhere(LeaseEnd::SessionRevoked, is_meant));
        thread.join().unwrap();
        let reason = poll_fn(|context| held.poll_end(context)).await;
        assert_eq!(reason, LeaseEnd::SessionRevoked);
        let continues = poll_fn(|context| Poll::Ready(other.poll_end(context).is_pending()));
        assert!(continues.await);
        mailbox_task.abort();
    }

    #[tokio::test(flavor = "local")]
    async fn recheck_decides_whether_an_exchange_continues() {
        let may_go_on = std::cell::Cell::new(true);
        let decisions = std::cell::Cell::new(0);
        let ask = || -> Recheck<'_> {
            decisions.set(decisions.get() + 1);
            Box::pin(async { may_go_on.get() })
        };
        let mut held = Lease::begin(Some(holder("trent")), None).rechecked_by(ask);
        let continues =
            |held: &mut Lease<'_>, context: &mut Context<'_>| held.poll_end(context).is_pending();
        assert!(poll_fn(|context| Poll::Ready(continues(&mut held, context))).await);
        assert_eq!(decisions.get(), 1, "there is a recheck at the start");
        assert!(poll_fn(|context| Poll::Ready(continues(&mut held, context))).await);
        assert_eq!(decisions.get(), 1);
        may_go_on.set(false);
        let mailbox_task = tokio::task::spawn_local(run_mailbox());
        tokio::task::yield_now().await;
        recheck_everywhere(|held| held.is_some_and(|held| &*held.user == "trent"));
        let reason = poll_fn(|context| held.poll_end(context)).await;
        assert_eq!((reason, decisions.get()), (LeaseEnd::SessionRevoked, 2));
        mailbox_task.abort();
    }

    #[tokio::test]
    async fn lease_may_have_ended_from_the_start() {
        let mut lease = Lease::ended(holder("ada"), LeaseEnd::SessionRevoked);
        let reason = poll_fn(|context| lease.poll_end(context)).await;
        assert_eq!(reason, LeaseEnd::SessionRevoked);
    }
}
