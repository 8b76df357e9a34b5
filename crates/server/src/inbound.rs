//! Incoming requests: the handlers of each kind of listener, and what they share.

mod acme;
pub(crate) mod answer;
mod answer_type;
pub(crate) mod answerable;
pub(crate) mod arrival;
pub(crate) mod client_kind;
pub(crate) mod cors;
pub(crate) mod decisions;
mod files;
mod forwarded_answer;
mod https;
mod limited;
mod long_exchange;
mod notices;
mod parked;
mod proxied;
pub(crate) mod proxy;
mod proxy_header;
pub(crate) mod record;
pub(crate) mod redirect;
pub(crate) mod secured;
pub(crate) mod sign_in_offer;
mod streaming;
pub(crate) mod target;
pub(crate) mod tunnel;

use std::cell::Cell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};
use http1::Violation;
use session::UnixTime;
use tokio_util::sync::CancellationToken;

use self::client_kind::ClientKind;
use self::record::{Decision, Record};
use crate::audit::Audit;
use crate::limits::Connections;
use crate::live::Live;
use crate::metrics::Metrics;
use crate::mode::Mode;
use crate::socket::Stream;

/// Serves the connections of a listener.
pub(crate) trait ConnectionHandler: 'static {
    /// Admits a new connection, and counts it if connections are limited. `None` when there are too many.
    fn admit(&self, stream: Stream, peer: IpAddr) -> Option<Stream>;

    /// Serves one connection until it ends. When `stop` is canceled, the connection ends after the requests in flight.
    fn serve(
        self: Rc<Self>,
        stream: Stream,
        peer: IpAddr,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + 'static;
}

/// Admits a connection, and counts it if connections are limited. Beyond the limit it is closed without an answer, which a
/// client with so many connections would take for a reason to retry.
fn admitted(
    stream: Stream,
    peer: IpAddr,
    is_proxy: bool,
    live: &Live,
    connections: &Arc<Connections>,
    metrics: &Metrics,
) -> Option<Stream> {
    match connections.admit(peer, is_proxy, &live.limits) {
        Ok(held) => Some(stream.with_limit_guard(held)),
        Err(full) => {
            let setting = full.setting();
            metrics.connection_refused(setting);
            tracing::debug!(%peer, "a connection was closed: {setting}");
            None
        }
    }
}

/// Refuses bytes that are not a valid request. `received` is what was received. The refusal is recorded like a decision, so that
/// probes show in the audit log.
#[cold]
pub(crate) fn unreadable<'p>(
    violation: Violation,
    received: &[u8],
    mode: Mode,
    peer: IpAddr,
    audit: &'p Audit,
    metrics: &'p Metrics,
) -> (Response<Bytes>, Record<'p>) {
    let mut record = Record::start(mode, arrival::unreadable(peer), audit, metrics);
    record.decided(Decision::Rejected(
        match received.starts_with(TLS_HANDSHAKE) {
            true => "tls_on_plain_port",
            false => UNREADABLE,
        },
    ));
    let status = status_of(violation);
    let mut response = answer::malformed(status, ClientKind::Program, record.request_id());
    record.prepare_answer(&mut response);
    (response, record)
}

/// The reason for bytes that are not a valid request, in audit log and metrics.
pub(crate) const UNREADABLE: &str = "malformed_request";

/// The reason for a request that did not come over HTTPS although that is required, in audit log and metrics.
pub(crate) const HTTPS_REQUIRED: &str = "https_required";

/// The first bytes of a TLS handshake record (RFC 8446 §5.1).
const TLS_HANDSHAKE: &[u8] = &[22, 3];

/// The status of the answer to this violation.
pub(crate) fn status_of(violation: Violation) -> StatusCode {
    match violation {
        Violation::TargetTooLong => StatusCode::URI_TOO_LONG,
        Violation::TooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        Violation::Unfinished => StatusCode::REQUEST_TIMEOUT,
        Violation::UnknownCoding => StatusCode::NOT_IMPLEMENTED,
        Violation::Chunk
        | Violation::ContentLength
        | Violation::FieldLine
        | Violation::FieldValue
        | Violation::Http2
        | Violation::RequestLine
        | Violation::ResponseHead
        | Violation::TransferEncoding
        | Violation::TwoLengths => StatusCode::BAD_REQUEST,
    }
}

/// Limits a warning about something that can happen with every request to one a second. The audit log has every case.
#[derive(Debug, Default)]
pub(crate) struct WarningLimiter(Cell<u64>);

impl WarningLimiter {
    /// Whether the warning may be logged now.
    pub(crate) fn allows(&self, now: UnixTime) -> bool {
        self.0.replace(now.secs()) != now.secs()
    }
}
