//! Opens connections to a server, within the limit on their number.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::channels::{ConnectOutcome, NewConnection, ReservedStream, StreamOutcome};
use super::dialer::{AnnouncedClient, OfferedVersions};
use super::error::UpstreamError;
use super::member::WaitingRequest;
use super::server::Server;
use crate::connection::{Connection, TimeBudget};
use crate::downstream::Downstream;
use crate::link::Link;
use crate::socket::Stream;

/// A request that needs a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Need {
    /// Whether the request may be sent twice.
    pub(super) repeatable: bool,
    /// The client that a PROXY header announces to the server, if the server gets one.
    pub(super) announced_client: Option<IpAddr>,
    /// Whether it waits when the limit is reached.
    pub(super) waits: bool,
    /// Whether it has to go over HTTP/1.1, even to a server that speaks HTTP/2.
    pub(super) over_http1: bool,
    /// Whether it was sent before, so that some of its time is spent.
    pub(super) again: bool,
}

/// A connection, and whether it has carried a request before.
pub(super) struct OpenedLink {
    pub(super) link: Box<Link>,
    pub(super) reused: bool,
}

/// How a request gets a connection.
enum ConnectionSource {
    /// It takes one that has become idle.
    Idle(Box<Link>),
    /// It opens a new one, with a permit if connections are limited.
    New(Option<OwnedSemaphorePermit>),
}

impl Server {
    /// Opens a connection, or waits for one if the limit is reached. `None` when the server has chosen HTTP/2; the
    /// connection is then among the channels.
    pub(super) async fn open(
        &self,
        client: &mut impl Downstream,
        need: Need,
    ) -> Result<Option<OpenedLink>, UpstreamError> {
        let place = match self.connection_source(client, need).await? {
            ConnectionSource::Idle(link) => return Ok(Some(OpenedLink { link, reused: true })),
            ConnectionSource::New(place) => place,
        };
        let caller = need
            .announced_client
            .map(|announced_client| AnnouncedClient {
                client: announced_client,
                reached: client.reached(),
            });
        let limit = self.connect_timeout;
        let offers = match need.over_http1 {
            true => OfferedVersions::Http1,
            false => OfferedVersions::Both,
        };
        let connecting = Box::pin(timeout(limit, self.member.dialer.open(caller, offers)));
        let connected = client.unless_gone(connecting).await;
        let stream = connected
            .ok_or(UpstreamError::ClientGone)?
            .map_err(|_| UpstreamError::NotConnected(limit))?
            .map_err(UpstreamError::Connect)?;
        if stream.has_agreed_on_http2()
            && let Some(channels) = &self.channels
        {
            let adopted = channels.adopt(self.new_connection(stream, place)).await;
            adopted.map_err(UpstreamError::Connect)?;
            self.speaks_http2.set(true);
            return Ok(None);
        }
        Ok(Some(OpenedLink {
            link: Box::new(self.link(stream, need.announced_client, place)),
            reused: false,
        }))
    }

    fn link(
        &self,
        stream: Stream,
        announced_client: Option<IpAddr>,
        place: Option<OwnedSemaphorePermit>,
    ) -> Link {
        let budget = TimeBudget::per_wait(self.time_limit);
        let connection = Connection::new(stream, budget, self.time_limit);
        Link::new(
            connection,
            self.backdated_opening(),
            announced_client,
            place,
        )
    }

    fn new_connection(&self, stream: Stream, place: Option<OwnedSemaphorePermit>) -> NewConnection {
        NewConnection {
            stream,
            limited: place.is_some().then(|| Arc::clone(&self.member)),
            place,
            ends: self.max_age.map(|age| self.backdated_opening() + age),
            keep_alive: self.keep_alive,
        }
    }

    /// A stream for a request on an HTTP/2 connection. `None` when the server has chosen HTTP/1.1 for a new connection,
    /// which is then among the idle ones.
    pub(super) async fn reserve_stream(
        self: &Rc<Self>,
        client: &mut impl Downstream,
        need: Need,
    ) -> Result<Option<ReservedStream>, UpstreamError> {
        let Some(channels) = &self.channels else {
            return Ok(None);
        };
        let limit = self.connect_timeout;
        // Requests of several clients share the connection, so no client is announced.
        let reserved = Box::pin(timeout(
            limit,
            channels.reserve_stream(async |freed: &Notify| self.connect(need, freed).await),
        ));
        let agreed = client.unless_gone(reserved).await;
        let agreed = agreed.ok_or(UpstreamError::ClientGone)?;
        let agreed = agreed.unwrap_or_else(|_| Err(self.timeout_error(limit)))?;
        match agreed {
            StreamOutcome::Http2(reserved) => Ok(Some(reserved)),
            StreamOutcome::Http1(fresh) => {
                self.speaks_http2.set(false);
                if let Some(NewConnection { stream, place, .. }) = fresh {
                    let link = self.link(stream, None, place);
                    self.keep(Box::new(link), false, None);
                }
                Ok(None)
            }
        }
    }

    /// Opens a connection for HTTP/2.
    async fn connect(&self, need: Need, freed: &Notify) -> Result<ConnectOutcome, UpstreamError> {
        // Another task may have opened one during the wait.
        if !self.speaks_http2.get() {
            return Ok(ConnectOutcome::Http1);
        }
        let place = match &self.member.places {
            None => None,
            Some(places) => match self.channel_place(places, need, freed).await? {
                Some(place) => Some(place),
                None => return Ok(ConnectOutcome::Full),
            },
        };
        let opened = self.member.dialer.open(None, OfferedVersions::Both).await;
        let stream = opened.map_err(UpstreamError::Connect)?;
        Ok(ConnectOutcome::New(self.new_connection(stream, place)))
    }

    async fn channel_place(
        &self,
        places: &Arc<Semaphore>,
        need: Need,
        freed: &Notify,
    ) -> Result<Option<OwnedSemaphorePermit>, UpstreamError> {
        let place = || Arc::clone(places).try_acquire_owned().ok();
        let free = place().or_else(|| self.close_idle().then(place).flatten());
        if free.is_some() {
            return Ok(free);
        }
        if !need.waits {
            return Err(UpstreamError::Busy(Duration::ZERO));
        }
        let _wanted = WaitingRequest::of(&self.member);
        tokio::select! {
            place = Arc::clone(places).acquire_owned() => Ok(place.ok()),
            () = freed.notified() => Ok(None),
        }
    }

    /// The error when there is no HTTP/2 connection in time.
    fn timeout_error(&self, limit: Duration) -> UpstreamError {
        let places = self.member.places.as_ref();
        match places.is_some_and(|places| places.available_permits() == 0) {
            true => UpstreamError::Busy(limit),
            false => UpstreamError::NotConnected(limit),
        }
    }

    /// Now, minus a random part of a tenth of a connection's greatest age.
    fn backdated_opening(&self) -> Instant {
        let now = Instant::now();
        let tenth = self.max_age.unwrap_or_default() / 10;
        let before = tenth.mul_f32(fastrand::f32());
        now.checked_sub(before).unwrap_or(now)
    }

    async fn connection_source(
        &self,
        client: &mut impl Downstream,
        need: Need,
    ) -> Result<ConnectionSource, UpstreamError> {
        let Some(places) = &self.member.places else {
            return Ok(ConnectionSource::New(None));
        };
        let place = || Arc::clone(places).try_acquire_owned().ok();
        // The idle connections cannot carry this request, or one would have been taken.
        let free = place().or_else(|| self.close_idle().then(place).flatten());
        if let Some(place) = free {
            return Ok(ConnectionSource::New(Some(place)));
        }
        let busy = |limit: Duration| UpstreamError::Busy(limit);
        if !need.waits {
            return Err(busy(Duration::ZERO));
        }
        let limit = self.connect_timeout;
        let waiting = Box::pin(timeout(limit, self.wait(places, need)));
        let waited = client.unless_gone(waiting).await;
        let waited = waited.ok_or(UpstreamError::ClientGone)?;
        waited.map_err(|_| busy(limit))
    }

    async fn wait(&self, places: &Arc<Semaphore>, need: Need) -> ConnectionSource {
        let _wanted = WaitingRequest::of(&self.member);
        let _waiting = LocalWaiting::at(self);
        loop {
            let freed = self.freed.notified();
            if let Some(link) = self.take_idle(need.repeatable, need.announced_client).await {
                return ConnectionSource::Idle(link);
            }
            // Closes an idle connection that cannot carry this request, to make room for another one.
            self.close_idle();
            tokio::select! {
                place = Arc::clone(places).acquire_owned() => return ConnectionSource::New(place.ok()),
                () = freed => {}
            }
        }
    }
}

/// Counts a request of this runtime that waits for a connection.
struct LocalWaiting<'s>(&'s Server);

impl<'s> LocalWaiting<'s> {
    fn at(server: &'s Server) -> Self {
        server.waiting.set(server.waiting.get() + 1);
        Self(server)
    }
}

impl Drop for LocalWaiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.set(self.0.waiting.get() - 1);
    }
}
