//! One server of a service, and the idle connections to it.

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
    /// Its name in audit lines.
    pub(super) audit_name: Arc<str>,
    pub(super) connect_timeout: Duration,
    /// How long an answer may take to begin, and how long it may pause.
    pub(super) time_limit: Duration,
    pub(super) max_age: Option<Duration>,
    /// For how many seconds the server keeps idle connections, if that is configured.
    pub(super) keep_alive: Option<u32>,
    /// The `Host` for requests without one.
    pub(super) host: HeaderValue,
    /// Its identity, which is unique across configurations.
    pub(super) identity: Rc<()>,
    /// Its HTTP/2 connections, if it may speak HTTP/2.
    pub(super) channels: Option<Rc<Channels>>,
    /// Whether the server speaks HTTP/2. If the server chooses the version, this is its last choice.
    pub(super) speaks_http2: Cell<bool>,
    /// The idle connections, the most recently used one last.
    idle: RefCell<Vec<Idle>>,
    /// Whether the sweep task is running.
    sweeping: Cell<bool>,
    /// Connections that were opened before this are too old, as of the last sweep.
    oldest: Cell<Option<Instant>>,
    /// How many requests of this runtime wait for a connection.
    pub(super) waiting: Cell<usize>,
    /// Notifies these requests that a connection is idle.
    pub(super) freed: Notify,
}

/// An idle connection.
#[derive(Debug)]
struct Idle {
    link: Box<Link>,
    /// When it can be used, if the end of its last answer is uncertain: no byte may arrive before that.
    quiet_until: Option<Instant>,
    /// After how many more sweeps it is closed.
    sweeps: u32,
}

/// The `Host` of a server, for requests without one.
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
    /// A server without connections yet.
    pub(super) fn new(member: Arc<Member>, settings: &UpstreamSettings) -> Self {
        let dialer = &member.dialer;
        let is_http2 = matches!(dialer.address, ServerAddress::Http2 { .. });
        let may_speak_http2 = is_http2 || dialer.negotiates();
        Self {
            host: own_host(&member.dialer.address),
            audit_name: member.name.as_str().into(),
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

    /// The client that a PROXY header announces to the server, if the server gets one.
    pub(super) fn announced_client(&self, record: &Record<'_>) -> Option<IpAddr> {
        let version = self.member.dialer.proxy_protocol;
        version.map(|_| record.arrival.client)
    }

    /// Takes the most recently used idle connection that is still usable; the others grow old. For a request that cannot be
    /// repeated, and after an answer whose end was uncertain, the kernel is queried too.
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
            let is_checked = !repeatable || quiet_until.is_some();
            if link.poll_read_while_idle(context) && (!is_checked || link.is_idle_now()) {
                return Some(link);
            }
        }
    }

    /// Returns a connection to the pool. If the end of its last answer is uncertain, it has to be quiet for a while first.
    /// `announced` is the number of seconds for which the server keeps it, if the server has announced that.
    pub(super) fn keep(
        self: &Rc<Self>,
        link: Box<Link>,
        is_bodiless: bool,
        announced: Option<u32>,
    ) {
        let sweeps = sweeps(self.keep_alive, announced);
        let is_old = self
            .oldest
            .get()
            .is_some_and(|oldest| link.opened_at < oldest);
        let mut idle = self.idle.borrow_mut();
        let is_kept = link.input.is_empty() && idle.len() < MOST_IDLE && sweeps > 0 && !is_old;
        if !is_kept || self.is_wanted_elsewhere() {
            return;
        }
        idle.push(Idle {
            link,
            quiet_until: is_bodiless.then(|| Instant::now() + QUIET_TIME),
            sweeps,
        });
        if self.waiting.get() > 0 {
            self.freed.notify_one();
        }
        if !self.sweeping.replace(true) {
            // Not awaited at shutdown: the task ends with the runtime.
            tokio::task::spawn_local(sweep(Rc::downgrade(self)));
        }
    }

    /// Whether requests wait for a connection on other runtimes only.
    fn is_wanted_elsewhere(&self) -> bool {
        self.member.places.is_some() && self.waiting.get() == 0 && self.member.is_wanted()
    }

    /// Closes an idle connection. Returns false if there is none.
    pub(super) fn close_idle(&self) -> bool {
        let mut idle = self.idle.borrow_mut();
        let is_any = !idle.is_empty();
        if is_any {
            idle.remove(0);
        }
        is_any
    }

    /// Closes connections that have been idle or open for too long. Returns whether any are left.
    fn sweep(&self) -> bool {
        let oldest = self.max_age.and_then(|age| Instant::now().checked_sub(age));
        self.oldest.set(oldest);
        let mut idle = self.idle.borrow_mut();
        if self.is_wanted_elsewhere() {
            idle.clear();
        }
        idle.retain_mut(|idle| {
            idle.sweeps -= 1;
            idle.sweeps > 0 && oldest.is_none_or(|oldest| idle.link.opened_at >= oldest)
        });
        !idle.is_empty()
    }
}

/// Sweeps the idle connections until there are none. With sweeps the clock need not be read each time that a connection is
/// returned or taken, twice a request.
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

/// After how many sweeps an idle connection is closed: before the server closes it, so that no request crosses the close.
/// `configured` and `announced` are the numbers of seconds for which the server keeps it.
fn sweeps(configured: Option<u32>, announced: Option<u32>) -> u32 {
    let seconds = match (configured, announced) {
        (Some(configured), Some(announced)) => configured.min(announced),
        (Some(configured), None) => configured,
        (None, Some(announced)) => announced.min(LONGEST_KEEP_ALIVE),
        (None, None) => SHORTEST_KEEP_ALIVE,
    };
    // The last sweep comes half a second before that at the latest.
    seconds.saturating_mul(SWEEPS_A_SECOND).saturating_sub(1)
}

const SWEEPS_A_SECOND: u32 = 2;
const BETWEEN_SWEEPS: Duration = Duration::from_millis(500);

/// In seconds: gunicorn closes idle connections after two (20.1.0, `--keep-alive`), the shortest of the common servers. Apache
/// and Node wait for five, and announce it.
const SHORTEST_KEEP_ALIVE: u32 = 2;

/// In seconds. A longer idle time costs both sides more than a new connection.
const LONGEST_KEEP_ALIVE: u32 = 60;

/// How long a connection has to be quiet after an answer without a body. A faulty server that sends a body anyway sends it right
/// after the head; within a data center it comes within this time. A longer wait would need more connections for requests that
/// only revalidate pages.
const QUIET_TIME: Duration = Duration::from_millis(20);

/// How many idle connections are kept. A burst may open more, which are closed after their request. Even a few HTTP/2 clients
/// together have so many requests in flight, and opening a connection for each would cost more than the rest of a request.
const MOST_IDLE: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    /// The longest time that a connection stays idle.
    fn longest(configured: Option<u32>, announced: Option<u32>) -> Duration {
        BETWEEN_SWEEPS * sweeps(configured, announced)
    }

    #[test]
    fn an_idle_connection_is_closed_half_a_second_before_the_server_closes_it() {
        for (configured, announced, seconds) in [
            (None, None, 2),
            (None, Some(5), 5),
            (None, Some(1), 1),
            (None, Some(7200), 60),
            (Some(75), None, 75),
            (Some(75), Some(5), 5),
            (Some(3), Some(5), 3),
        ] {
            let longest = longest(configured, announced);
            assert_eq!(longest + BETWEEN_SWEEPS, Duration::from_secs(seconds));
        }
        assert_eq!(longest(Some(0), None), Duration::ZERO);
        assert_eq!(longest(None, Some(0)), Duration::ZERO);
    }
}
