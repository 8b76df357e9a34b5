//! The HTTP client. It accepts only admitted requests, streams both bodies, and keeps connections.
//!
//! A request runs in the task of its client's connection, and so does its answer: no channel lies between the two sides,
//! and nobody is woken to pass something on.

mod error;
mod server;

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use gate::Admitted;
use http1::{Answered, ClientConnection, Length, is_interim};

pub(crate) use self::error::UpstreamError;
use self::server::Server;
pub(crate) use self::server::own_host;
use crate::client::Client;
use crate::config::{ServerAddress, UpstreamSettings};
use crate::connection::{Connection, invalid};
use crate::ended::{Ended, Sent, is_our_limit};
use crate::front::record::Record;
use crate::transfer::{Broken, Sink, Source, Transfer};

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
        let first = self.take_turn();
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

    /// The servers take turns.
    fn take_turn(&self) -> usize {
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
        let (method, uri, length) = (admitted.method(), admitted.uri(), *admitted.body());
        // What an upstream may do twice can be sent twice (RFC 9112 §9.3.1).
        let repeatable = length == Length::NONE && method.is_idempotent();
        loop {
            let (mut connection, reused) = match self.take_idle(repeatable).await {
                Some(connection) => (connection, true),
                None => (Box::pin(self.connect(client)).await?, false),
            };
            let fields = admitted.fields();
            let output = &mut connection.output;
            let http = ClientConnection::begin_request(output, method, uri, fields, length);
            let mut exchange = Exchange {
                connection,
                http,
                sending: (length != Length::NONE).then(|| client.forward_body()),
                server: Rc::clone(self),
            };
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

/// A request on its connection to the upstream, and what of it is still under way.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// In a box, because it goes from hand to hand with every request.
    connection: Box<Connection>,
    /// What its bytes mean.
    http: ClientConnection,
    /// The client's body, until it has been sent.
    sending: Option<Transfer>,
    server: Rc<Server>,
}

impl Exchange {
    /// Sends the request, and waits for the head of the answer. The clock starts anew while the client's body still makes
    /// its way.
    async fn head(
        &mut self,
        client: &mut Client,
        record: &Record<'_>,
    ) -> Result<Answered, UpstreamError> {
        self.connection.forgive();
        match &mut self.sending {
            None => self.connection.send_together().await,
            Some(sending) => {
                let sink = Sink {
                    connection: &mut self.connection,
                    body: self.http.request(),
                };
                // A flaw of the body shows below.
                let _ = sending.begin(client.source(), sink).await;
            }
        }
        poll_fn(|context| {
            // The request leaves before anything is waited for.
            let client_failed = self.poll_client(context, client, record);
            if let Poll::Ready(head) = self.poll_head(context) {
                return Poll::Ready(head);
            }
            client_failed.map(|failed| Err(failed.into()))
        })
        .await
    }

    fn poll_head(&mut self, context: &mut Context<'_>) -> Poll<Result<Answered, UpstreamError>> {
        loop {
            let read = self.http.next_answer(&mut self.connection.input);
            match read.map_err(invalid).map_err(UpstreamError::Exchange)? {
                Some(answered) if is_interim(answered.status) => {}
                Some(answered) => return Poll::Ready(Ok(answered)),
                None => match ready!(self.connection.poll_fill(context)) {
                    Ok(0) => {
                        let closed = io::ErrorKind::UnexpectedEof.into();
                        return Poll::Ready(Err(UpstreamError::Exchange(closed)));
                    }
                    Ok(_) => {}
                    Err(error) => return Poll::Ready(Err(self.broken(error))),
                },
            }
        }
    }

    /// What it means that the upstream's connection broke.
    fn broken(&self, error: io::Error) -> UpstreamError {
        if is_our_limit(&error) {
            UpstreamError::TimedOut(self.server.patience)
        } else {
            UpstreamError::Exchange(error)
        }
    }

    /// Moves the request on. Ready when its client has failed.
    fn poll_client(
        &mut self,
        context: &mut Context<'_>,
        client: &mut Client,
        record: &Record<'_>,
    ) -> Poll<ClientFailed> {
        let sent = match &mut self.sending {
            None => ready!(self.connection.poll_flush(context)).map_err(Broken::Sink),
            Some(sending) => {
                let before = sending.taken();
                let sink = Sink {
                    connection: &mut self.connection,
                    body: self.http.request(),
                };
                let sent = sending.poll(context, client.source(), sink);
                if sending.taken() != before {
                    self.connection.forgive();
                }
                record.bytes_in.set(sending.passed(&self.connection));
                ready!(sent)
            }
        };
        match sent {
            Ok(()) => self.sending = None,
            Err(Broken::Limit) => return Poll::Ready(ClientFailed::BodyTooLong),
            Err(Broken::Source(error)) => return Poll::Ready(ClientFailed::Body(error)),
            // It may have answered without reading all of the request. If it has not, reading fails too.
            Err(Broken::Sink(_)) => {
                self.http.abandon_request();
                self.sending = None;
            }
        }
        client.poll_gone(context).map(|()| ClientFailed::Gone)
    }

    /// Whether not a byte of an answer has come.
    fn is_unanswered(&self) -> bool {
        self.connection.input.is_empty()
    }

    /// Passes the answer's body on to the client, with the head that stands in the client's output. Where
    /// either side breaks off, the client's connection ends before the answer does, so that it cannot be taken for a whole
    /// one. `record` is told how it goes on.
    ///
    /// # Errors
    /// When the upstream failed, or the request's body became too long, before anything of the head had left. The head is taken back then, and the client can be told.
    pub(crate) async fn relay(
        mut self,
        client: &mut Client,
        record: &Record<'_>,
    ) -> Result<Sent, UpstreamError> {
        if let Some(sending) = &mut self.sending {
            sending.invite_no_more();
        }
        let mut receiving = Transfer::new();
        let begun = receiving.begin(self.source(), client.sink()).await;
        let relayed = match begun {
            Ok(()) => self.relay_rest(&mut receiving, client, record).await,
            Err(broken) => Err(broken),
        };
        record.bytes_out.set(receiving.passed(&client.connection));
        match relayed {
            Ok(()) => {
                if self.http.is_reusable() && self.sending.is_none() {
                    self.server.keep(self.connection);
                }
                Ok(Sent::WHOLE)
            }
            Err(Broken::Limit) if client.take_back_answer() => {
                record.bytes_out.set(0);
                Err(UpstreamError::BodyTooLong)
            }
            Err(Broken::Source(error)) if client.take_back_answer() => {
                record.bytes_out.set(0);
                Err(self.broken(error))
            }
            Err(broken) => {
                client.break_off();
                Ok(Sent {
                    ended: Ended::from(&broken),
                    began: client.is_being_answered(),
                })
            }
        }
    }

    async fn relay_rest(
        &mut self,
        receiving: &mut Transfer,
        client: &mut Client,
        record: &Record<'_>,
    ) -> Result<(), Broken> {
        poll_fn(|context| {
            let relayed = receiving.poll(context, self.source(), client.sink());
            if relayed.is_ready() {
                return relayed;
            }
            record.bytes_out.set(receiving.passed(&client.connection));
            if client.is_being_answered() {
                record.head_left();
            }
            let failed = self.poll_client(context, client, record);
            failed.map(|failed| Err(failed.into()))
        })
        .await
    }

    /// The answer's body.
    fn source(&mut self) -> Source<'_> {
        Source {
            connection: &mut self.connection,
            body: self.http.body(),
        }
    }

    /// The bare connection, after an answer that makes it something else.
    pub(crate) fn into_connection(self) -> Box<Connection> {
        self.connection
    }
}

/// How a client fails whose request is under way.
#[derive(Debug)]
enum ClientFailed {
    /// Its body broke off.
    Body(io::Error),
    /// Its body is longer than it may be.
    BodyTooLong,
    /// It hung up.
    Gone,
}

impl From<ClientFailed> for UpstreamError {
    fn from(failed: ClientFailed) -> Self {
        match failed {
            ClientFailed::Body(error) => Self::ClientBody(error),
            ClientFailed::BodyTooLong => Self::BodyTooLong,
            ClientFailed::Gone => Self::ClientGone,
        }
    }
}

impl From<ClientFailed> for Broken {
    /// What it means for the answer on its way to that client.
    fn from(failed: ClientFailed) -> Self {
        match failed {
            ClientFailed::Body(error) => Self::Sink(error),
            ClientFailed::BodyTooLong => Self::Limit,
            ClientFailed::Gone => Self::Sink(io::ErrorKind::ConnectionAborted.into()),
        }
    }
}
