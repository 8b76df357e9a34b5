//! The HTTP client. It accepts only admitted requests, streams both bodies, and keeps connections.
//!
//! A request runs in the task of its client's connection, and so does its answer: no channel lies between the two sides,
//! and nobody is woken to pass something on.

mod error;
mod exchange;
mod server;

use std::cell::Cell;
use std::rc::Rc;

use gate::Admitted;
use http1::{Answered, Length};

pub(crate) use self::error::UpstreamError;
pub(crate) use self::exchange::Exchange;
use self::server::Server;
pub(crate) use self::server::own_host;
use crate::client::Client;
use crate::config::{ServerAddress, UpstreamSettings};
use crate::front::record::Record;

/// One service, as one runtime sees it: its servers, and the connections to them.
#[derive(Debug)]
pub(crate) struct Upstream {
    servers: Vec<Rc<Server>>,
    /// Which server gets the next request.
    next: Cell<usize>,
}

impl Upstream {
    /// A client without connections yet.
    pub(crate) fn new(settings: &UpstreamSettings) -> Self {
        let server = |address: &ServerAddress| Rc::new(Server::new(address.clone(), settings));
        Self {
            servers: settings.servers.iter().map(server).collect(),
            next: Cell::default(),
        }
    }

    /// Sends an admitted request with the client's body, and gives the answer's head as soon as it is there. `record` is told
    /// how much of the body has passed. A server that takes no connection is passed over.
    pub(crate) async fn forward(
        &self,
        admitted: Admitted<'_, Length>,
        client: &mut Client,
        record: &Record<'_>,
    ) -> Result<(Answered, Exchange), UpstreamError> {
        let first = self.turn_for(client);
        let admitted = admitted.or_for_host(&self.servers[first].host);
        for passed_over in 0..self.servers.len() - 1 {
            let server = &self.servers[(first + passed_over) % self.servers.len()];
            match server.forward(&admitted, client, record).await {
                Err(error) if error.is_before_request() => {}
                answered => return answered,
            }
        }
        let last = (first + self.servers.len() - 1) % self.servers.len();
        self.servers[last].forward(&admitted, client, record).await
    }

    /// The server of the connection that is the client's alone, if there is one. Otherwise they take turns.
    fn turn_for(&self, client: &Client) -> usize {
        let is_own = |server: &Rc<Server>| client.owns_connection_to(&server.identity);
        if let Some(own) = self.servers.iter().position(is_own) {
            return own;
        }
        let turn = self.next.get();
        self.next.set((turn + 1) % self.servers.len());
        turn
    }
}

impl Server {
    async fn forward(
        self: &Rc<Self>,
        admitted: &Admitted<'_, Length>,
        client: &mut Client,
        record: &Record<'_>,
    ) -> Result<(Answered, Exchange), UpstreamError> {
        // What an upstream may do twice can be sent twice (RFC 9112 §9.3.1).
        let repeatable = *admitted.body() == Length::NONE && admitted.method().is_idempotent();
        loop {
            let own = client.take_own(&self.identity, || record.owner());
            let own = own.filter(|own| own.is_idle_now());
            let (is_own, kept) = match own {
                Some(own) => (true, Some(own)),
                None => (false, self.take_idle(repeatable).await),
            };
            let reused = kept.is_some();
            let connection = match kept {
                Some(kept) => kept,
                None => Box::pin(self.connect(client)).await?,
            };
            let mut exchange = Exchange::begin(connection, Rc::clone(self), admitted, client);
            if is_own {
                exchange.bind();
            }
            match exchange.head(client, record).await {
                Ok(answered) => return Ok((answered, exchange)),
                // It closed the connection when that had been idle for too long, just as we used it again.
                Err(UpstreamError::Exchange(_))
                    if reused && repeatable && exchange.is_unanswered() => {}
                Err(error) => return Err(error),
            }
        }
    }
}
