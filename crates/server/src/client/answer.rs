//! The answer to a client's current request.

use std::cell::Cell;
use std::task::Context;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, DATE};
use http::{Response, StatusCode};
use http1::{Field, Length, ResponseHead};

use super::Client;
use crate::clock;
use crate::exchange_end::{ExchangeEnd, Sent};
use crate::interim;
use crate::transfer::BodySink;

impl Client {
    /// Sends `100 Continue`.
    pub(crate) fn send_continue(&mut self, context: &mut Context<'_>) {
        self.interim(context, StatusCode::CONTINUE, b"Continue", []);
    }

    /// Forwards an interim (1xx) response if the client's version of HTTP allows it. It is dropped while earlier output is
    /// still unsent.
    pub(crate) fn pass_interim(&mut self, context: &mut Context<'_>, interim: &ResponseHead) {
        let (status, reason) = (interim.status, interim.reason());
        self.interim(context, status, reason, interim::fields(interim));
    }

    fn interim<'f>(
        &mut self,
        context: &mut Context<'_>,
        status: StatusCode,
        reason: &[u8],
        fields: impl IntoIterator<Item = Field<'f>>,
    ) {
        if self.connection.unsent() > 0 {
            return;
        }
        let output = &mut self.connection.output;
        self.http.write_interim(output, status, reason, fields);
        // What the socket does not take now is sent with the answer, where an error shows as well.
        let _ = self.connection.poll_flush(context);
    }

    /// The sink for the body of the answer.
    pub(crate) fn sink(&mut self) -> BodySink<'_> {
        BodySink {
            connection: &mut self.connection,
            body: self.http.answer(),
        }
    }

    /// Writes the head of an answer whose body has this length. `fields` contain nothing about framing or the connection.
    pub(crate) fn begin_answer<'f>(
        &mut self,
        status: StatusCode,
        reason: &[u8],
        fields: impl IntoIterator<Item = Field<'f>>,
        length: Length,
    ) {
        if self.stop.is_cancelled() {
            self.end();
        }
        self.answer_at = self.connection.position();
        self.connection.begin_message();
        let output = &mut self.connection.output;
        let http = &mut self.http;
        http.begin_answer(output, status, reason, fields, length);
    }

    /// Whether any of the answer has left for the client.
    pub(crate) fn is_being_answered(&self) -> bool {
        self.connection.has_sent(self.answer_at)
    }

    /// Takes back an answer that has begun, if none of it has left, so that another one can be sent. Returns whether it
    /// could.
    pub(crate) fn take_back_answer(&mut self) -> bool {
        self.connection.take_back(self.answer_at)
    }

    /// Sends an answer of the gate's own. `passed` is set to the number of body bytes that left.
    pub(crate) async fn answer(
        &mut self,
        mut response: Response<Bytes>,
        passed: &Cell<u64>,
    ) -> Sent {
        // If the end of the request's body was not seen, no request can follow.
        if !self.http.is_persistent() {
            self.end();
        }
        let body = std::mem::take(response.body_mut());
        let status = response.status();
        let headers = response.headers_mut();
        if headers
            .remove(CONNECTION)
            .is_some_and(|option| option == "close")
        {
            self.end();
        }
        headers.insert(DATE, clock::http_date());
        if self.http.is_to_head() && !body.is_empty() {
            headers.insert(CONTENT_LENGTH, body.len().into());
        }
        let length = Length::Exactly(body.len() as u64);
        let reason = status.canonical_reason().unwrap_or_default();
        let fields = http1::fields(headers);
        self.begin_answer(status, reason.as_bytes(), fields, length);
        let body = if self.http.is_to_head() {
            &[]
        } else {
            &body[..]
        };
        self.connection.output.extend_from_slice(body);
        self.connection.send_together().await;
        let flushed = self.connection.flush().await;
        let passed_on = body.len().saturating_sub(self.connection.unsent());
        passed.set(passed_on as u64);
        match flushed {
            Ok(()) => Sent::COMPLETE,
            Err(error) => {
                self.end();
                Sent {
                    ended: ExchangeEnd::with_client(&error),
                    began: self.is_being_answered(),
                }
            }
        }
    }

    /// Ends an answer that has begun as if it were complete: with its last chunk, or with the end of the connection. Returns
    /// whether the client got any of it.
    pub(crate) async fn finish_answer(&mut self) -> bool {
        if !self.http.answer().is_finished() {
            self.http.answer().finish(&mut self.connection.output);
        }
        if self.connection.flush().await.is_err() {
            self.end();
        }
        self.is_being_answered()
    }

    /// Cuts off an answer that has begun. If its body ends with the connection, an orderly close would make it look
    /// complete, also to a cache, so the connection is reset.
    pub(crate) fn abort_answer(&mut self) {
        self.end();
        self.resets = self.http.answer().length() == Length::UntilClose;
    }
}
