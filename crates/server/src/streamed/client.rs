//! An HTTP/1.1 client, for exchanges with HTTP/2 servers.

use std::io;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http1::ResponseHead;

use super::pieces::poll_piece;
use super::{BodyFrame, Streamed};
use crate::client::Client;
use crate::transfer::Broken;

impl Streamed for Client {
    fn has_sent_ahead(&mut self, _: &mut Context<'_>) -> bool {
        Client::has_sent_ahead(self)
    }

    fn send_continue(&mut self, context: &mut Context<'_>) {
        Client::send_continue(self, context);
    }

    fn pass_interim(&mut self, context: &mut Context<'_>, interim: &ResponseHead) {
        Client::pass_interim(self, context, interim);
    }

    fn forward_body(&mut self) {
        self.begin_body();
    }

    fn poll_body(&mut self, context: &mut Context<'_>) -> Poll<Result<BodyFrame, Broken>> {
        let frame = ready!(poll_piece(&mut self.connection, self.http.body(), context));
        let frame = frame.map_err(Broken::Source)?;
        match self.has_room_for(frame.length()) {
            true => Poll::Ready(Ok(frame)),
            false => Poll::Ready(Err(Broken::Limit)),
        }
    }

    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.poll_flush(context)
    }

    fn put(&mut self, piece: Bytes) {
        self.gets_more();
        let output = &mut self.connection.output;
        self.http.answer().write(output, &piece);
    }

    /// Drops trailers, as an intermediary may (RFC 9110 §6.5.1).
    fn finish(&mut self, _: Option<HeaderMap>) {
        self.gets_more();
        self.http.answer().finish(&mut self.connection.output);
    }

    fn requires_http1(&mut self) -> bool {
        false
    }

    fn waiting(&self) -> usize {
        self.connection.unsent()
    }
}
