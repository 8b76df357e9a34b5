//! One server of a service, and the connections to it that wait for their next request.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::net::IpAddr;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::HeaderValue;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use super::channels::Channels;
use super::member::Member;
use crate::config::{ServerAddress, UpstreamSettings};
use crate::inbound::record::Record;
use crate::link::Link;

/// The connections of one runtime to one server.
#[derive(Debug)]
pub(crate) struct Server {
    pub(super) member: Arc<Member>,
    /// As audit lines name it.
    pub(super) called: Arc<str>,
    pub(super) connect_timeout: Duration,
    /// How long an answer may take to begin, and pause.
    pub(super) time_limit: Duration,
    pub(super) max_age: Option<Duration>,
    /// For how many seconds the server keeps idle connections, if that is configured.
    pub(super) keep_alive: Option<u32>,
    /// What it is called in a request that names no host.
    pub(super) host: HeaderValue,
    /// Tells it from every other server, also from those of another configuration.
    pub(super) identity: Rc<()>,
    /// Its connections over HTTP/2, if it may speak that.
    pub(super) channels: Option<Rc<Channels>>,
    /// Whether it does, as far as is known: where it chooses, the last connection has shown it.
    pub(super) speaks_http2: Cell<bool>,
    /// The last one was used last.
    idle: RefCell<Vec<Idle>>,
    /// Whether somebody closes those that grow old.
    sweeping: Cell<bool>,
    /// What was opened before this is too old, as the last sweep has found.
    oldest: Cell<Option<Instant>>,
    /// How many requests of this runtime wait for a connection, because there may be no more.
    pub(super) waiting: Cell<usize>,
    /// Tells them that there is one.
    pub(super) freed: Notify,
}

/// A connection that waits for its next request.
#[derive(Debug)]
struct Idle {
    link: Box<Link>,
    /// It has to be quiet up to then, where it is not certain that its last answer is over.
    quiet_until: Option<Instant>,
    /// How many sweeps may find it waiting; the last one closes it.
    sweeps: u32,
}

/// What a server is called in a request that names no host.
pub(crate) fn own_host(address: &ServerAddress) -> HeaderValue {
    let host = match address {
        ServerAddress::Http2 { host, port } | ServerAddress::Tcp { host, port, .. } => {
            match host.contains(':') {
                true => format!("[{host}]:{port}"),
                false => format!("{host}:{port}"),
            }
        }
        ServerAddress::Unix(_) => "localhost".to_owned(),
    };
    HeaderValue::from_str(&host).expect("the host of a parsed URL is visible ASCII")
}

impl Server {
    /// Without connections yet.
    pub(super) fn new(member: Arc<Member>, settings: &UpstreamSettings) -> Self {
        let dialer = &member.dialer;
        let is_http2 = matches!(dialer.address, ServerAddress::Http2 { .. });
        let may_speak_http2 = is_http2 || dialer.negotiates();
        Self {
            host: own_host(&member.dialer.address),
            called: member.name.as_str().into(),
            identity: Rc::default(),
            channels: may_speak_http2.then(Rc::default),
            speaks_http2: Cell::new(may_speak_http2),
            connect_timeout: settings.connect_timeout,
            time_limit: settings.timeout,
            max_age: settings.pool.max_age,
            keep_alive: settings.pool.keep_alive,
            idle: RefCell::default(),
            sweeping: Cell::default(),
            oldest: Cell::default(),
            waiting: Cell::default(),
            freed: Notify::new(),
            member,
        }
    }

    /// The client that a PROXY header announces to the server, where the server is sent one.
    pub(super) fn announced_client(&self, record: &Record<'_>) -> Option<IpAddr> {
        let version = self.member.dialer.proxy_protocol;
        version.map(|_| record.arrival.client)
    }

    /// The connection that was used last, if one is still good; the others are left to grow old. A request that cannot be
    /// repeated gets one only if it is certain to be good, and so does every request after an answer whose end is not certain.
    pub(super) async fn take_idle(
        &self,
        repeatable: bool,
        announced_client: Option<IpAddr>,
    ) -> Option<Box<Link>> {
        poll_fn(|context| Poll::Ready(self.poll_idle(context, repeatable, announced_client))).await
    }

    fn poll_idle(
        &self,
        context: &mut Context<'_>,
        repeatable: bool,
        announced_client: Option<IpAddr>,
    ) -> Option<Box<Link>> {
        let mut idle = self.idle.borrow_mut();
        loop {
            let is_due = |idle: &Idle| idle.quiet_until.is_none_or(|time| time <= Instant::now());
            let is_ours =
                |idle: &Idle| idle.link.announced_client == announced_client && is_due(idle);
            let usable = idle.iter().rposition(is_ours)?;
            let Idle {
                mut link,
                quiet_until,
                ..
            } = idle.remove(usable);
            let is_looked_at = !repeatable || quiet_until.is_some();
            if link.poll_read_while_idle(context) && (!is_looked_at || link.is_idle_now()) {
                return Some(link);
            }
        }
    }

    /// Keeps a connection for the next request, with the room that its answers have needed. It may have to be quiet for a while
    /// first. `said` is for how many seconds the server keeps it, as far as it has said so.
    pub(super) fn keep(self: &Rc<Self>, link: Box<Link>, has_to_be_quiet: bool, said: Option<u32>) {
        let sweeps = sweeps(self.keep_alive, said);
        let is_old = self.oldest.get().is_some_and(|oldest| link.born < oldest);
        let mut idle = self.idle.borrow_mut();
        let is_kept = link.input.is_empty() && idle.len() < MOST_IDLE && sweeps > 0 && !is_old;
        if !is_kept || self.is_wanted_elsewhere() {
            return;
        }
        idle.push(Idle {
            link,
            quiet_until: has_to_be_quiet.then(|| Instant::now() + QUIET),
            sweeps,
        });
        if self.waiting.get() > 0 {
            self.freed.notify_one();
        }
        if !self.sweeping.replace(true) {
            // Nobody waits for it when we stop: it ends with the runtime.
            tokio::task::spawn_local(sweep(Rc::downgrade(self)));
        }
    }

    /// Whether other runtimes wait for a connection, and nobody here.
    fn is_wanted_elsewhere(&self) -> bool {
        self.member.places.is_some() && self.waiting.get() == 0 && self.member.is_wanted()
    }

    /// Closes an idle connection that this runtime has no use for now. False when there is none.
    pub(super) fn give_up_idle(&self) -> bool {
        let mut idle = self.idle.borrow_mut();
        let is_any = !idle.is_empty();
        if is_any {
            idle.remove(0);
        }
        is_any
    }

    /// Closes the connections that have been idle or are there for too long, and says whether there are others.
    fn sweep(&self) -> bool {
        let oldest = self.max_age.and_then(|age| Instant::now().checked_sub(age));
        self.oldest.set(oldest);
        let mut idle = self.idle.borrow_mut();
        if self.is_wanted_elsewhere() {
            idle.clear();
        }
        idle.retain_mut(|idle| {
            idle.sweeps -= 1;
            idle.sweeps > 0 && oldest.is_none_or(|oldest| idle.link.born >= oldest)
        });
        !idle.is_empty()
    }
}

/// Closes connections as they grow old, for as long as there are any. So nobody looks at the clock when a connection is put
/// away or taken, twice a request.
async fn sweep(server: Weak<Server>) {
    loop {
        sleep(BETWEEN_SWEEPS).await;
        let Some(server) = server.upgrade() else {
            return;
        };
        if !server.sweep() {
            server.sweeping.set(false);
            return;
        }
    }
}

/// After how many sweeps an idle connection is closed: before the server closes it, or a request meets the close half-way. The
/// server keeps it for so many seconds, as far as that is configured and as it has said itself.
fn sweeps(configured: Option<u32>, said: Option<u32>) -> u32 {
    let seconds = match (configured, said) {
        (Some(configured), Some(said)) => configured.min(said),
        (Some(configured), None) => configured,
        (None, Some(said)) => said.min(LONGEST_SAID),
        (None, None) => LEAST_PATIENT,
    };
    // The last sweep comes half a second before that at the latest.
    seconds.saturating_mul(SWEEPS_A_SECOND).saturating_sub(1)
}

const SWEEPS_A_SECOND: u32 = 2;
const BETWEEN_SWEEPS: Duration = Duration::from_millis(500);

/// In seconds: after so many gunicorn closes an idle connection (20.1.0, `--keep-alive`), the most impatient of the common ones.
/// Apache and Node wait for five, and say so.
const LEAST_PATIENT: u32 = 2;

/// In seconds. What is idle for longer costs both sides more than a new connection.
const LONGEST_SAID: u32 = 60;

/// A server that sends a body where there is none sends it right behind the head. This is longer than that takes within a data
/// center, and short enough that a few connections more carry what only asks whether pages have changed.
const QUIET: Duration = Duration::from_millis(20);

/// A burst may open more; beyond this they are closed when they are done. Few clients that speak HTTP/2 have so many requests under
/// way at the same time, and a connection that is closed and opened again for each costs more than all else of a request.
const MOST_IDLE: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    /// How long a connection waits at most.
    fn longest(configured: Option<u32>, said: Option<u32>) -> Duration {
        BETWEEN_SWEEPS * sweeps(configured, said)
    }

    #[test]
    fn an_idle_connection_is_closed_half_a_second_before_the_server_closes_it() {
        for (configured, said, seconds) in [
            (None, None, 2),
            (None, Some(5), 5),
            (None, Some(1), 1),
            (None, Some(7200), 60),
            (Some(75), None, 75),
            (Some(75), Some(5), 5),
            (Some(3), Some(5), 3),
        ] {
            let longest = longest(configured, said);
            assert_eq!(longest + BETWEEN_SWEEPS, Duration::from_secs(seconds));
        }
        assert_eq!(longest(Some(0), None), Duration::ZERO);
        assert_eq!(longest(None, Some(0)), Duration::ZERO);
    }
}
