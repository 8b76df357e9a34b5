//! Opening connections to a server, as many as there may be.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::dialer::Caller;
use super::error::UpstreamError;
use super::member::Wanted;
use super::server::Server;
use crate::connection::{Allowance, Connection};
use crate::downstream::Downstream;
use crate::link::Link;

/// A request that needs a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Need {
    /// Whether it may be sent twice.
    pub(super) repeatable: bool,
    /// The client of whom the server is told, if it is told of anybody.
    pub(super) told: Option<IpAddr>,
    /// Whether it waits where there may be no more connections.
    pub(super) waits: bool,
}

/// A connection, and whether it carried a request before.
pub(super) struct Opened {
    pub(super) link: Box<Link>,
    pub(super) reused: bool,
}

/// What makes a connection possible.
enum Room {
    /// One that has become idle.
    Kept(Box<Link>),
    /// A place for another one, where they are limited.
    Place(Option<OwnedSemaphorePermit>),
}

impl Server {
    /// Opens a connection, or waits for one where there may be no more.
    pub(super) async fn open(
        &self,
        client: &mut impl Downstream,
        need: Need,
    ) -> Result<Opened, UpstreamError> {
        let place = match self.room(client, need).await? {
            Room::Kept(link) => return Ok(Opened { link, reused: true }),
            Room::Place(place) => place,
        };
        let caller = need.told.map(|told| Caller {
            client: told,
            reached: client.reached(),
        });
        let limit = self.connect_timeout;
        let connecting = Box::pin(timeout(limit, self.member.dialer.open(caller)));
        let connected = client.unless_gone(connecting).await;
        let stream = connected
            .ok_or(UpstreamError::ClientGone)?
            .map_err(|_| UpstreamError::NotConnected(limit))?
            .map_err(UpstreamError::Connect)?;
        let allowance = Allowance::at_once(self.patience);
        let connection = Connection::new(stream, allowance, self.patience);
        let link = Link::new(connection, self.birth(), need.told, place);
        Ok(Opened {
            link: Box::new(link),
            reused: false,
        })
    }

    /// Now, or up to a tenth of what a connection may live ago.
    fn birth(&self) -> Instant {
        let now = Instant::now();
        let tenth = self.max_age.unwrap_or_default() / 10;
        let before = tenth.mul_f32(fastrand::f32());
        now.checked_sub(before).unwrap_or(now)
    }

    async fn room(&self, client: &mut impl Downstream, need: Need) -> Result<Room, UpstreamError> {
        let Some(places) = &self.member.places else {
            return Ok(Room::Place(None));
        };
        let place = || Arc::clone(places).try_acquire_owned().ok();
        // What is idle cannot carry this request, or it would have been taken.
        let free = place().or_else(|| self.give_up_idle().then(place).flatten());
        if let Some(place) = free {
            return Ok(Room::Place(Some(place)));
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

    async fn wait(&self, places: &Arc<Semaphore>, need: Need) -> Room {
        let _wanted = Wanted::of(&self.member);
        let _waiting = Waiting::at(self);
        loop {
            let freed = self.freed.notified();
            if let Some(link) = self.take_idle(need.repeatable, need.told).await {
                return Room::Kept(link);
            }
            // What is idle and cannot carry this request makes room for another one.
            self.give_up_idle();
            tokio::select! {
                place = Arc::clone(places).acquire_owned() => return Room::Place(place.ok()),
                () = freed => {}
            }
        }
    }
}

/// Counts a request of this runtime that waits for a connection.
struct Waiting<'s>(&'s Server);

impl<'s> Waiting<'s> {
    fn at(server: &'s Server) -> Self {
        server.waiting.set(server.waiting.get() + 1);
        Self(server)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.set(self.0.waiting.get() - 1);
    }
}
