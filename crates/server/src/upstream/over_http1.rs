//! A server's side over HTTP/1.1, for HTTP/2 clients.

use std::io;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use gate::Admitted;
use http::HeaderMap;
use http1::{ClientConnection, Length, ResponseHead};

use crate::connection::invalid;
use crate::link::Link;
use crate::streamed::pieces::poll_piece;
use crate::streamed::{BodyFrame, StreamedOrigin};

/// A server's side over HTTP/1.1.
#[derive(Debug)]
pub(super) struct Http1Origin {
    pub(super) connection: Box<Link>,
    pub(super) http: ClientConnection,
}

impl Http1Origin {
    /// Writes the request head, which is sent by the first `poll_room`.
    pub(super) fn begin(
        mut connection: Box<Link>,
        admitted: &Admitted<'_, Length>,
        expects_continue: bool,
    ) -> Self {
        let (output, fields) = (&mut connection.output, admitted.fields());
        let (method, target) = (admitted.method(), admitted.target());
        let length = *admitted.body();
        let http = ClientConnection::begin_request(
            output,
            method,
            target,
            fields,
            length,
            expects_continue,
        );
        connection.suspend_timer(false);
        connection.restart_read_timer();
        Self { connection, http }
    }
}

impl StreamedOrigin for Http1Origin {
    fn poll_head(&mut self, context: &mut Context<'_>) -> Poll<io::Result<ResponseHead>> {
        loop {
            let read = self.http.next_answer(&mut self.connection.input);
            if let Some(answered) = read.map_err(invalid)? {
                self.http.body().keep_trailers();
                return Poll::Ready(Ok(answered));
            }
            if ready!(self.connection.poll_fill(context))? == 0 {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }

    fn poll_body(&mut self, context: &mut Context<'_>) -> Poll<io::Result<BodyFrame>> {
        poll_piece(&mut self.connection, self.http.body(), context)
    }

    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.poll_flush(context)
    }

    fn put(&mut self, piece: Bytes) {
        self.connection.restart_read_timer();
        let output = &mut self.connection.output;
        self.http.request().write(output, &piece);
    }

    /// Drops the client's trailers: services merge trailers into the header fields, where they could claim what was stripped
    /// from those.
    fn finish(&mut self, _: Option<HeaderMap>) {
        self.connection.restart_read_timer();
        self.http.request().finish(&mut self.connection.output);
    }

    fn abandon(&mut self) {
        self.http.abandon_request();
    }

    fn suspend_timer(&mut self, suspended: bool) {
        self.connection.suspend_timer(suspended);
    }
}
