//! Forwards permitted requests to their service.

use bytes::Bytes;
use gate::{Access, Permit};
use http::{Request, Response, StatusCode};
use http1::Length;

use super::decide::admit;
use super::own_answer::client_kind;
use super::{Proxy, RequestOutcome};
use crate::boxed::boxed;
use crate::config::Handling;
use crate::exchange_end::{ExchangeEnd, is_our_limit};
use crate::inbound::answerable::Answerable;
use crate::inbound::record::{Decision, Record};
use crate::inbound::{answer, files, tunnel};
use crate::live::Current;
use crate::service::Service;
use crate::upstream::{Exchanging, UpstreamError};

impl Proxy {
    pub(super) async fn forward<'l, D: Answerable>(
        &self,
        permit: Permit<'l>,
        live: &'l Current,
        handling: &'l Handling,
        request: &Request<Length>,
        client: &mut D,
        record: &mut Record<'l>,
    ) -> RequestOutcome<D::Exchange> {
        let is_public = permit.route().access == Access::Public;
        let (admitted, admission) = admit(permit, request, &record.arrival, handling);
        record.decided(Decision::Permitted(admission));
        let Some(service) = live.service(handling) else {
            let (status, client_kind) = (StatusCode::NOT_FOUND, client_kind(request));
            return RequestOutcome::Answered(answer::status(
                status,
                client_kind,
                record.request_id(),
            ));
        };
        if handling.refuses_body(*request.body()) {
            let (status, client_kind) = (StatusCode::PAYLOAD_TOO_LARGE, client_kind(request));
            return RequestOutcome::Answered(answer::malformed(
                status,
                client_kind,
                record.request_id(),
            ));
        }
        let upstream = match service {
            Service::Upstream(upstream) => upstream,
            Service::Folder(folder) => {
                let (asked, warnings) = ((request, is_public), &self.upstream_warnings);
                let finding = files::find(folder, admitted, asked, client, record, warnings);
                return boxed(finding).await.into();
            }
        };
        if let Some(limit) = handling.body_limit {
            client.limit_body(limit);
        }
        let realm = &live.gate.realms[handling.realm].name;
        let (answer, exchange) = match upstream.forward(admitted, client, record, realm).await {
            Ok(answered) => answered,
            Err(UpstreamError::ClientGone) => return RequestOutcome::Abandoned,
            Err(error) => {
                return RequestOutcome::Answered(self.upstream_failed(&error, request, record));
            }
        };
        let is_upgrade = answer.status == StatusCode::SWITCHING_PROTOCOLS;
        let becomes_websocket = tunnel::is_granted(&answer) && tunnel::is_requested(request);
        // The request did not ask for another protocol. After a 101 both sides would read the following bytes differently.
        if is_upgrade && !becomes_websocket {
            record.upstream = Some("bad_upgrade");
            record.ended = Some(ExchangeEnd::UpstreamBroke);
            let (status, client_kind) = (StatusCode::BAD_GATEWAY, client_kind(request));
            let answer = answer::status(status, client_kind, record.request_id());
            return RequestOutcome::Answered(answer);
        }
        record.service_answered(answer.status);
        if !becomes_websocket {
            return RequestOutcome::Passed(answer, exchange);
        }
        match exchange.into_upgraded() {
            Some(upgraded) => RequestOutcome::Joined(answer, upgraded),
            // The stream has been answered already.
            None => RequestOutcome::Abandoned,
        }
    }

    #[cold]
    pub(super) fn upstream_failed(
        &self,
        error: &UpstreamError,
        request: &Request<Length>,
        record: &mut Record<'_>,
    ) -> Response<Bytes> {
        let (status, result) = match error {
            UpstreamError::BodyTooLong => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_long"),
            UpstreamError::ClientBody(error) if is_our_limit(error) => {
                (StatusCode::REQUEST_TIMEOUT, "client_body")
            }
            UpstreamError::ClientBody(_) | UpstreamError::ClientGone => {
                (StatusCode::BAD_REQUEST, "client_body")
            }
            UpstreamError::Connect(_) => (StatusCode::BAD_GATEWAY, "connect_failed"),
            UpstreamError::Busy(_) => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            UpstreamError::Exchange(_)
            | UpstreamError::Http1Required
            | UpstreamError::Unanswered(_) => (StatusCode::BAD_GATEWAY, "broken"),
            UpstreamError::NotConnected(_) | UpstreamError::TimedOut(_) => {
                (StatusCode::GATEWAY_TIMEOUT, "timed_out")
            }
        };
        record.upstream = Some(result);
        record.ended = error.ended();
        if status.is_server_error() && self.upstream_warnings.allows(record.now) {
            tracing::warn!(request_id = record.request_id(), %error, "the upstream did not answer");
        }
        answer::status(status, client_kind(request), record.request_id())
    }
}

impl<E> From<files::FileOutcome> for RequestOutcome<E> {
    fn from(outcome: files::FileOutcome) -> Self {
        match outcome {
            files::FileOutcome::Abandoned => Self::Abandoned,
            files::FileOutcome::Answered(answer) => Self::Found(answer),
            files::FileOutcome::Refused(response) => Self::Answered(response),
        }
    }
}
