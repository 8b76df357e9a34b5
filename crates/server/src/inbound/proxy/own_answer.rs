//! Answers of the gate itself, in place of a service's.

use bytes::Bytes;
use http::header::STRICT_TRANSPORT_SECURITY;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http1::Length;

use crate::config::Handling;
use crate::exchange_end::{ExchangeEnd, Sent};
use crate::inbound::answer;
use crate::inbound::answerable::Answerable;
use crate::inbound::client_kind::ClientKind;
use crate::inbound::cors::Cors;
use crate::inbound::record::{Decision, Record};

/// Ends the record and the connection of a client that has gone away.
#[cold]
pub(super) fn abandon(client: &mut impl Answerable, record: &mut Record<'_>) {
    client.end();
    record.end(Sent::nothing(ExchangeEnd::ClientLeft));
}

/// Cuts off an answer whose deadline has passed. If none of it was sent, returns an answer that says so.
#[cold]
pub(super) async fn cut_off(
    client: &mut impl Answerable,
    request: &Request<Length>,
    record: &mut Record<'_>,
) -> Option<Response<Bytes>> {
    if client.take_back_answer() {
        return Some(timed_out_answer(request, record));
    }
    client.cut_short().await;
    let (ended, began) = (ExchangeEnd::CutOff, client.is_being_answered());
    record.end(Sent { ended, began });
    None
}

/// The answer to a request whose deadline has passed.
#[cold]
pub(super) fn timed_out_answer(
    request: &Request<Length>,
    record: &mut Record<'_>,
) -> Response<Bytes> {
    match record.is_decided() {
        true => record.upstream = Some("timed_out"),
        false => record.decided(Decision::Rejected("request_timeout")),
    }
    record.ended = Some(ExchangeEnd::CutOff);
    let (status, client_kind) = (StatusCode::GATEWAY_TIMEOUT, client_kind(request));
    answer::status(status, client_kind, record.request_id())
}

/// The kind of client, which is determined only for answers of the gate itself.
pub(super) fn client_kind(request: &Request<Length>) -> ClientKind {
    ClientKind::of(request.method(), request.headers())
}

/// Adds the headers of CORS and HSTS to an answer of the gate itself.
pub(super) fn add_headers(
    response: &mut Response<Bytes>,
    request_headers: &HeaderMap,
    handling: &Handling,
    hsts: Option<&HeaderValue>,
) {
    Cors(&handling.cors_origins).add_headers(request_headers, response.headers_mut());
    add_hsts(response, hsts);
}

/// Adds `Strict-Transport-Security` to an answer of the gate itself.
pub(super) fn add_hsts(response: &mut Response<Bytes>, hsts: Option<&HeaderValue>) {
    if let Some(hsts) = hsts {
        let headers = response.headers_mut();
        headers.insert(STRICT_TRANSPORT_SECURITY, hsts.clone());
    }
}

/// Sends an answer of the gate itself, and ends the record.
pub(super) async fn send_own_answer(
    mut response: Response<Bytes>,
    client: &mut impl Answerable,
    record: &mut Record<'_>,
) {
    client.adapt(&mut response);
    record.prepare_answer(&mut response);
    let sent = client.answer(response, &record.bytes_out).await;
    record.end(sent);
}
