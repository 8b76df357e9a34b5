//! What becomes of a request, for its audit line and the counters.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use gate::{Admission, Arrival, LookupSource, Refusal};
use http::{HeaderValue, Method, Response, StatusCode, Uri};
use session::{Format, Session, UnixTime};

use super::arrival::X_REQUEST_ID;
use super::notices;
use crate::audit::{Audit, Entry};
use crate::clock;
use crate::ended::{Ended, Sent};
use crate::metrics::Metrics;
use crate::mode::Mode;
use crate::owner::Owner;
use crate::refusals::{LONGEST_PATH, LONGEST_TEXT, MOST_CONDITIONS, Remembered, capped};

/// What is known of a request and its exchange, up to the last byte. Whatever becomes of it, also when its client goes away
/// before the answer, its line is written exactly once: when this is dropped. An exchange that may last for hours, a WebSocket
/// or a stream of events, has a line before that, when its answer has begun.
#[derive(Debug)]
pub(crate) struct Record<'p> {
    /// How the request reached us.
    pub(crate) arrival: Arrival,
    /// When it did.
    pub(crate) now: UnixTime,
    /// What became of the exchange with the upstream.
    pub(crate) upstream: Option<&'static str>,
    /// Who ended the exchange, once somebody has.
    pub(crate) ended: Option<Ended>,
    /// Bytes of the request's body that have passed.
    pub(crate) bytes_in: Cell<u64>,
    /// Bytes of the answer's body that have passed.
    pub(crate) bytes_out: Cell<u64>,
    /// Whether the browser goes round and round between us and the sign-in page.
    pub(crate) redirect_loop: bool,
    mode: Mode,
    started: Instant,
    /// How long the decision took, once it is there.
    decision_took: Option<Duration>,
    asked: Option<Asked>,
    /// The name of the route that governs the request, if one does.
    route: Option<Cow<'p, str>>,
    decision: Decision,
    /// The conditions for want of which somebody known is refused.
    lacking: Vec<String>,
    status: Option<StatusCode>,
    /// Whether it may last for hours.
    is_long: bool,
    /// When the answer's head had left, where that was not the end.
    head_left_at: Cell<Option<Instant>>,
    /// Which of several servers the request went to last.
    server: RefCell<Option<Arc<str>>>,
    audit: &'p Audit,
    metrics: &'p Metrics,
}

/// What a request asks for.
#[derive(Debug)]
struct Asked {
    method: Method,
    host: Option<HeaderValue>,
    /// `None` when a host does not say it.
    uri: Option<Uri>,
}

/// How a request was decided.
#[derive(Debug)]
pub(crate) enum Decision {
    /// Nobody waited for the decision.
    Abandoned,
    /// It asks about the server itself and was answered here.
    Options,
    /// It asked whether a page of another origin may send a request, and was answered here.
    Preflight,
    /// An ACME server asked for the proof of a running order, and was answered here.
    Proved,
    /// It came without TLS, and was sent to the same place with it.
    Redirected,
    /// It entered.
    Permitted(Admission),
    /// It did not.
    Refused(Refusal),
    /// It was no question that can be decided, whatever it carries; for this reason.
    Rejected(&'static str),
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
            asked: None,
            route: None,
            decision: Decision::Abandoned,
            lacking: Vec::new(),
            status: None,
            is_long: false,
            head_left_at: Cell::new(None),
            server: RefCell::new(None),
            audit,
            metrics,
        }
    }

    /// Notes what the request asks for.
    pub(crate) fn asks(&mut self, method: Method, host: Option<HeaderValue>, uri: Option<Uri>) {
        self.asked = Some(Asked { method, host, uri });
    }

    /// Notes the name of the route that governs the request.
    pub(crate) fn governed_by(&mut self, route: impl Into<Cow<'p, str>>) {
        self.route = Some(route.into());
    }

    /// Whether it has been decided what becomes of the request.
    pub(crate) fn is_decided(&self) -> bool {
        self.decision_took.is_some()
    }

    /// Notes for want of which conditions somebody known is refused.
    pub(crate) fn lacks(&mut self, conditions: Vec<String>) {
        self.lacking = conditions;
    }

    /// The id under which the request is logged.
    pub(crate) fn request_id(&self) -> &str {
        let id = self.arrival.request_id.to_str();
        id.expect("a request id is visible ASCII")
    }

    /// Notes the decision, and counts it.
    pub(crate) fn decided(&mut self, decision: Decision) {
        if let Decision::Permitted(admission) = &decision {
            notices::of(admission, self.request_id());
        }
        if let Decision::Refused(refusal) = &decision {
            notices::of_refusal(refusal, self.route.as_deref(), self.now, self.request_id());
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
            Decision::Refused(refusal) => self.remember(&refusal.to_string()),
            Decision::Rejected(_) => self.remember(""),
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
        tracing::warn!(request_id = self.request_id(), %client, path, "a request passed by the bypass");
    }

    /// Keeps the refusal for whoever asks why.
    #[cold]
    fn remember(&self, message: &str) {
        let text = |text: &str| capped(text, LONGEST_TEXT);
        let (_, reason) = self.outcome();
        let lacking = self.lacking.iter().take(MOST_CONDITIONS);
        self.audit.remember(Remembered {
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

    /// Notes that the service gives an answer with this status.
    pub(crate) fn service_answers(&mut self, status: StatusCode) {
        self.upstream = Some(class(status));
    }

    /// Notes to which of several servers of a service it goes.
    pub(crate) fn goes_to(&self, server: &Arc<str>) {
        self.server.replace(Some(Arc::clone(server)));
    }

    /// Counts that a server has failed, and what became of the request: it was never sent and goes to another one, is repeated
    /// there, or is not because that was done too often.
    pub(crate) fn is_sent_again(&self, result: &'static str) {
        self.metrics.sent_again(result);
    }

    /// Notes the status of an answer that is about to be sent, and names the request in it.
    pub(crate) fn answers<B>(&mut self, response: &mut Response<B>) {
        let id = self.arrival.request_id.clone();
        response.headers_mut().insert(&X_REQUEST_ID, id);
        self.begins(response.status(), false);
    }

    /// Notes the status of an answer that is about to be sent, and whether it may go on for hours.
    pub(crate) fn begins(&mut self, status: StatusCode, is_long: bool) {
        self.status = Some(status);
        self.is_long = is_long;
    }

    /// Notes that the answer's head has left, and that the exchange goes on. Only the first time counts.
    pub(crate) fn head_left(&self) {
        if self.head_left_at.get().is_some() {
            return;
        }
        let elapsed = self.elapsed();
        self.head_left_at.set(Some(self.started + elapsed));
        if self.is_long {
            self.write(elapsed, None);
        }
    }

    /// Counts bytes of the request's body that have passed.
    pub(crate) fn passed_in(&self, bytes: u64) {
        self.bytes_in.set(self.bytes_in.get() + bytes);
    }

    /// Counts bytes of the answer's body that have passed.
    pub(crate) fn passed_out(&self, bytes: u64) {
        self.bytes_out.set(self.bytes_out.get() + bytes);
    }

    /// Notes what became of the answer, with which the exchange ends. Who ended it before that, has.
    ///
    /// By reference: a record is large, and goes through the hands of several futures.
    pub(crate) fn ends(&mut self, sent: Sent) {
        self.ended = self.ended.or(Some(sent.ended));
        if !sent.began {
            self.status = None;
        }
    }

    /// Ends the record of an answer with a body of this length, which somebody else sends.
    pub(crate) fn handed_over(mut self, length: usize) {
        self.passed_out(length as u64);
        self.ends(Sent::WHOLE);
    }

    /// How long ago it came.
    pub(crate) fn elapsed(&self) -> Duration {
        clock::monotonic().saturating_duration_since(self.started)
    }

    fn method(&self) -> &str {
        let asked = self.asked.as_ref();
        asked.map_or("", |asked| asked.method.as_str())
    }

    fn host(&self) -> &str {
        let host = self.asked.as_ref().and_then(|asked| asked.host.as_ref());
        host.and_then(|host| host.to_str().ok()).unwrap_or_default()
    }

    fn path(&self) -> &str {
        let uri = self.asked.as_ref().and_then(|asked| asked.uri.as_ref());
        uri.map_or("", Uri::path)
    }

    /// Writes a line, so long after the request: one about the end of the exchange, or about its start.
    fn write(&self, elapsed: Duration, ended: Option<Ended>) {
        let (outcome, reason) = self.outcome();
        let head = self.head_left_at.get();
        let head = head.map_or(elapsed, |left| left.saturating_duration_since(self.started));
        let event = match ended {
            _ if !self.is_long || self.head_left_at.get().is_none() => None,
            None => Some("start"),
            Some(_) => Some("end"),
        };
        let status = match (self.status, ended) {
            (Some(status), _) => status.as_u16(),
            (None, Some(Ended::ClientLeft)) => CLIENT_GONE,
            (None, _) => NO_ANSWER,
        };
        let session_id = self.session().filter(|_| self.audit.names_sessions());
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.audit.record(&Entry {
            ts: self.now,
            request_id: self.request_id(),
            mode: self.mode.as_str(),
            outcome,
            reason,
            rule: self.route.as_deref(),
            method: self.method(),
            host: self.host(),
            path: self.path(),
            client_ip: self.arrival.client,
            peer_ip: self.arrival.peer,
            user_id: self.session().map(Session::subject),
            session_id: session_id.map(Session::id),
            anonymous: self.session().is_some_and(Session::is_anonymous),
            impersonated_by: self.session().and_then(Session::impersonated_by),
            cred: self.credential(),
            format: self.session().map(|session| session.format().as_str()),
            session_check: self.session_check().map(LookupSource::as_str),
            user_check: self.user_check().map_or("skipped", LookupSource::as_str),
            duration_us: micros(elapsed),
            decision_us: micros(self.decision_took.unwrap_or_default()),
            head_us: micros(head),
            bytes_in: self.bytes_in.get(),
            bytes_out: self.bytes_out.get(),
            redirect_loop: self.redirect_loop,
            upstream: self.upstream,
            server: self.server.borrow().as_deref(),
            status,
            ended: ended.map(Ended::as_str),
            event,
        });
    }

    fn outcome(&self) -> (&'static str, &'static str) {
        match &self.decision {
            Decision::Abandoned => ("deny", "client_gone"),
            Decision::Options => ("allow", "options"),
            Decision::Preflight => ("allow", "preflight_answered"),
            Decision::Proved => ("allow", "acme_challenge"),
            Decision::Redirected => ("deny", "redirected_to_https"),
            Decision::Permitted(admission) => ("allow", admission.reason()),
            Decision::Refused(refusal) => ("deny", refusal.reason()),
            Decision::Rejected(reason) => ("deny", reason),
        }
    }

    /// Whose a connection to a service is that the request authenticates, if that can be told.
    pub(crate) fn owner(&self) -> Option<Owner> {
        Owner::of(self.session(), self.arrival.trusted_peer)
    }

    /// The session that was opened, whether it entered or not.
    pub(crate) fn session(&self) -> Option<&Session> {
        match &self.decision {
            Decision::Permitted(admission) => admission.session(),
            Decision::Refused(refusal) => refusal.session(),
            Decision::Abandoned
            | Decision::Options
            | Decision::Preflight
            | Decision::Proved
            | Decision::Redirected
            | Decision::Rejected(_) => None,
        }
    }

    fn credential(&self) -> &'static str {
        if matches!(self.decision, Decision::Permitted(Admission::Bypass)) {
            return "bypass";
        }
        match self.session().map(Session::format) {
            Some(Format::AuthJs) => "authjs5",
            Some(Format::AuthJsDatabase) => "db",
            Some(Format::AuthJsSigned) => "authjs-signed",
            Some(
                Format::BetterAuthCompact
                | Format::BetterAuthJwe
                | Format::BetterAuthJwt
                | Format::BetterAuthToken,
            ) => "better-auth",
            Some(Format::Jwt) => "jwt",
            Some(Format::NextAuth) => "nextauth4",
            None => "none",
        }
    }

    fn session_check(&self) -> Option<LookupSource> {
        match &self.decision {
            Decision::Permitted(Admission::Session { found_in, .. }) => *found_in,
            Decision::Refused(refusal) => refusal.session_check(),
            Decision::Abandoned
            | Decision::Options
            | Decision::Permitted(_)
            | Decision::Preflight
            | Decision::Proved
            | Decision::Redirected
            | Decision::Rejected(_) => None,
        }
    }

    fn user_check(&self) -> Option<LookupSource> {
        match &self.decision {
            Decision::Permitted(Admission::Session { checked_by, .. }) => *checked_by,
            Decision::Refused(refusal) => refusal.user_check(),
            Decision::Abandoned
            | Decision::Options
            | Decision::Permitted(_)
            | Decision::Preflight
            | Decision::Proved
            | Decision::Redirected
            | Decision::Rejected(_) => None,
        }
    }
}

impl Drop for Record<'_> {
    fn drop(&mut self) {
        if self.decision_took.is_none() {
            // Nobody waited for a decision.
            self.count_decision();
        }
        if let Some(result) = self.upstream {
            self.metrics.upstream_answered(result);
        }
        let ended = self.ended.unwrap_or_else(|| {
            let by_us = CUTS_OFF.get() || thread::panicking();
            if by_us { Ended::Cut } else { Ended::ClientLeft }
        });
        if ended != Ended::Whole {
            self.metrics.broken(ended.as_str());
        }
        self.write(self.elapsed(), Some(ended));
    }
}

/// Notes that what is in flight on this thread is cut off from now on.
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

/// No status was sent, because nobody was there to take it. nginx logs the same number.
const CLIENT_GONE: u16 = 499;

/// No status was sent, although somebody was there. Envoy logs the same number.
const NO_ANSWER: u16 = 0;

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::front::arrival;

    #[test]
    fn a_panic_leaves_its_line_too() {
        let (audit, metrics) = (Audit::unread(), Metrics::new().unwrap());
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
