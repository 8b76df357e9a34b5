//! The record of a request and its exchange, for the audit line and the metrics.

mod decision;
mod line;

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use gate::{Admission, Arrival, Refusal};
use http::{HeaderValue, Method, Response, StatusCode, Uri};
use session::{Session, UnixTime};

pub(crate) use self::decision::Decision;
use super::arrival::X_REQUEST_ID;
use super::notices;
use crate::audit::Audit;
use crate::clock;
use crate::exchange_end::{ExchangeEnd, Sent};
use crate::metrics::Metrics;
use crate::mode::Mode;
use crate::refusals::{LONGEST_PATH, LONGEST_TEXT, MOST_CONDITIONS, RecentRefusal, capped};

/// The record of a request and its exchange. It is dropped when the exchange ends, in whatever way, and then writes the audit
/// line. A WebSocket or an endless answer also has a line when its answer begins.
#[derive(Debug)]
pub(crate) struct Record<'p> {
    /// How the request has reached the gate.
    pub(crate) arrival: Arrival,
    /// When the request arrived.
    pub(crate) now: UnixTime,
    /// The result of the exchange with the service: the class of its status (`2xx`), or what went wrong.
    pub(crate) upstream: Option<&'static str>,
    /// How the exchange has ended, once it has.
    pub(crate) ended: Option<ExchangeEnd>,
    /// Bytes of the request's body that have been forwarded.
    pub(crate) bytes_in: Cell<u64>,
    /// Bytes of the answer's body that have been sent.
    pub(crate) bytes_out: Cell<u64>,
    /// Whether the browser is in a redirect loop with the sign-in page.
    pub(crate) redirect_loop: bool,
    mode: Mode,
    started: Instant,
    /// How long the decision took, once it was made.
    decision_took: Option<Duration>,
    line: Option<RequestLine>,
    /// The name of the route that governs the request, if one does.
    route: Option<Cow<'p, str>>,
    decision: Decision,
    /// The conditions that a known user did not meet.
    unmet: Vec<String>,
    status: Option<StatusCode>,
    /// Whether the exchange may last for hours.
    is_long: bool,
    /// When the answer's head was sent, if more was to follow.
    head_sent_at: Cell<Option<Instant>>,
    /// The server to which the request was sent last, if the service has several.
    server: RefCell<Option<Arc<str>>>,
    audit: &'p Audit,
    metrics: &'p Metrics,
}

/// The method, host and URI of a request.
#[derive(Debug)]
struct RequestLine {
    method: Method,
    host: Option<HeaderValue>,
    /// `None` when a calling proxy does not send it.
    uri: Option<Uri>,
}

impl<'p> Record<'p> {
    /// Starts the record of a request that has just arrived.
    pub(crate) fn start(
        mode: Mode,
        arrival: Arrival,
        audit: &'p Audit,
        metrics: &'p Metrics,
    ) -> Self {
        Self {
            arrival,
            now: clock::now(),
            upstream: None,
            ended: None,
            bytes_in: Cell::new(0),
            bytes_out: Cell::new(0),
            redirect_loop: false,
            mode,
            started: clock::monotonic(),
            decision_took: None,
            line: None,
            route: None,
            decision: Decision::Abandoned,
            unmet: Vec::new(),
            status: None,
            is_long: false,
            head_sent_at: Cell::new(None),
            server: RefCell::new(None),
            audit,
            metrics,
        }
    }

    /// Notes the method, host and URI of the request.
    pub(crate) fn set_request(
        &mut self,
        method: Method,
        host: Option<HeaderValue>,
        uri: Option<Uri>,
    ) {
        self.line = Some(RequestLine { method, host, uri });
    }

    /// Notes the name of the route that governs the request.
    pub(crate) fn set_route(&mut self, route: impl Into<Cow<'p, str>>) {
        self.route = Some(route.into());
    }

    /// Whether the request has been decided.
    pub(crate) fn is_decided(&self) -> bool {
        self.decision_took.is_some()
    }

    /// Notes the conditions that a known user did not meet.
    pub(crate) fn set_unmet(&mut self, conditions: Vec<String>) {
        self.unmet = conditions;
    }

    /// The id under which the request is logged.
    pub(crate) fn request_id(&self) -> &str {
        let id = self.arrival.request_id.to_str();
        id.expect("a request id is visible ASCII")
    }

    /// Notes the decision, and counts it.
    pub(crate) fn decided(&mut self, decision: Decision) {
        if let Decision::Permitted(admission) = &decision {
            notices::log_admission(admission, self.request_id());
        }
        if let Decision::Refused(refusal) = &decision {
            notices::log_incomparable(refusal, self.route.as_deref(), self.now, self.request_id());
            if let Refusal::RateLimited(limited) = refusal {
                self.metrics.rate_limited(limited.exceeded.policy);
            }
        }
        self.decision = decision;
        self.count_decision();
        if self.redirect_loop {
            self.metrics.redirect_loop();
        }
        match &self.decision {
            Decision::Refused(refusal) => self.keep_refusal(&refusal.to_string()),
            Decision::Rejected(_) => self.keep_refusal(""),
            Decision::Abandoned
            | Decision::Options
            | Decision::Permitted(_)
            | Decision::Preflight
            | Decision::Proved
            | Decision::Redirected => {}
        }
        if matches!(self.decision, Decision::Permitted(Admission::Bypass)) {
            self.warn_of_bypass();
        }
    }

    #[cold]
    fn warn_of_bypass(&self) {
        let (client, path) = (self.arrival.client, self.path());
        tracing::warn!(request_id = self.request_id(), %client, path, "a request was permitted by the bypass");
    }

    /// Keeps the refusal among the recent ones, so that it can be explained.
    #[cold]
    fn keep_refusal(&self, message: &str) {
        let text = |text: &str| capped(text, LONGEST_TEXT);
        let (_, reason) = self.outcome();
        let lacking = self.unmet.iter().take(MOST_CONDITIONS);
        self.audit.keep_refusal(RecentRefusal {
            request_id: text(self.request_id()),
            time: self.now,
            method: text(self.method()),
            host: text(self.host()),
            path: capped(self.path(), LONGEST_PATH),
            route: self.route.as_deref().map(text),
            reason,
            message: text(message),
            user_id: self.session().map(Session::subject).map(text),
            lacking: lacking.map(|condition| text(condition)).collect(),
        });
    }

    fn count_decision(&mut self) {
        let took = self.elapsed();
        self.decision_took = Some(took);
        let (outcome, reason) = self.outcome();
        self.metrics.decided(self.mode, outcome, reason, took);
    }

    /// Notes that the service has answered with this status.
    pub(crate) fn service_answered(&mut self, status: StatusCode) {
        self.upstream = Some(class(status));
    }

    /// Notes to which of several servers the request is sent.
    pub(crate) fn sent_to(&self, server: &Arc<str>) {
        self.server.replace(Some(Arc::clone(server)));
    }

    /// Counts a server's failure. `result` says what became of the request: it had not been sent and goes to another server, it
    /// is repeated there, or it is not repeated because the retry budget is spent.
    pub(crate) fn count_retry(&self, result: &'static str) {
        self.metrics.upstream_retried(result);
    }

    /// Notes the status of an answer that is about to be sent, and adds the request id to it.
    pub(crate) fn prepare_answer<B>(&mut self, response: &mut Response<B>) {
        let id = self.arrival.request_id.clone();
        response.headers_mut().insert(&X_REQUEST_ID, id);
        self.begin_answer(response.status(), false);
    }

    /// Notes the status of an answer that is about to be sent, and whether it may go on for hours.
    pub(crate) fn begin_answer(&mut self, status: StatusCode, is_long: bool) {
        self.status = Some(status);
        self.is_long = is_long;
    }

    /// Notes that the answer's head was sent, and that the exchange goes on. Only the first call has an effect.
    pub(crate) fn head_sent(&self) {
        if self.head_sent_at.get().is_some() {
            return;
        }
        let elapsed = self.elapsed();
        self.head_sent_at.set(Some(self.started + elapsed));
        if self.is_long {
            self.write(elapsed, None);
        }
    }

    /// Counts bytes of the request's body that have been forwarded.
    pub(crate) fn count_bytes_in(&self, bytes: u64) {
        self.bytes_in.set(self.bytes_in.get() + bytes);
    }

    /// Counts bytes of the answer's body that have been sent.
    pub(crate) fn count_bytes_out(&self, bytes: u64) {
        self.bytes_out.set(self.bytes_out.get() + bytes);
    }

    /// Notes how the answer, and with it the exchange, has ended. An end that was noted before stays.
    ///
    /// Takes a reference, because a record is large and several futures hold it in turn.
    pub(crate) fn end(&mut self, sent: Sent) {
        self.ended = self.ended.or(Some(sent.ended));
        if !sent.began {
            self.status = None;
        }
    }

    /// Ends the record of an answer that hyper or tonic sends, with a body of `length` bytes.
    pub(crate) fn handed_over(mut self, length: usize) {
        self.count_bytes_out(length as u64);
        self.end(Sent::COMPLETE);
    }

    /// The time since the request arrived.
    pub(crate) fn elapsed(&self) -> Duration {
        clock::monotonic().saturating_duration_since(self.started)
    }

    fn method(&self) -> &str {
        let line = self.line.as_ref();
        line.map_or("", |line| line.method.as_str())
    }

    fn host(&self) -> &str {
        let host = self.line.as_ref().and_then(|line| line.host.as_ref());
        host.and_then(|host| host.to_str().ok()).unwrap_or_default()
    }

    fn path(&self) -> &str {
        let uri = self.line.as_ref().and_then(|line| line.uri.as_ref());
        uri.map_or("", Uri::path)
    }
}

impl Drop for Record<'_> {
    fn drop(&mut self) {
        if self.decision_took.is_none() {
            // The client went away before the decision.
            self.count_decision();
        }
        if let Some(result) = self.upstream {
            self.metrics.upstream_answered(result);
        }
        let ended = self.ended.unwrap_or_else(|| {
            let by_us = CUTS_OFF.get() || thread::panicking();
            if by_us {
                ExchangeEnd::CutOff
            } else {
                ExchangeEnd::ClientLeft
            }
        });
        if ended != ExchangeEnd::Complete {
            self.metrics.broken_exchange(ended.as_str());
        }
        self.write(self.elapsed(), Some(ended));
    }
}

/// Notes that exchanges on this thread are cut off by the gate from now on.
pub(crate) fn cut_off() {
    CUTS_OFF.set(true);
}

thread_local! {
    static CUTS_OFF: Cell<bool> = const { Cell::new(false) };
}

fn class(status: StatusCode) -> &'static str {
    match status.as_u16() {
        100..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::inbound::arrival;

    #[test]
    fn request_that_panics_is_logged_too() {
        let (audit, metrics) = (Audit::without_output(), Metrics::new().unwrap());
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let arrival = arrival::unreadable(IpAddr::V4(Ipv4Addr::LOCALHOST));
            let mut record = Record::start(Mode::Proxy, arrival, &audit, &metrics);
            record.decided(Decision::Options);
            panic!("while the record lives");
        }));
        assert!(panicked.is_err());
        let line = audit.written();
        assert!(line.contains("\"status\":0,\"ended\":\"cut\"}"), "{line}");
    }
}
