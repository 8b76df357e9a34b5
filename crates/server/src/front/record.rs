//! What becomes of a request, for its audit line and the counters.

use std::time::Instant;

use gate::{Admission, Arrival, Refusal, Rule, Source};
use http::header::HOST;
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use session::{Format, Session, UnixTime};

use super::target::Malformed;
use crate::audit::{self, Audit, Entry};
use crate::clock;
use crate::metrics::Metrics;

/// What is known of a request when its line is written.
#[derive(Debug)]
pub(crate) struct Record {
    /// How the request reached us.
    pub(crate) arrival: Arrival,
    /// When it did.
    pub(crate) now: UnixTime,
    /// What became of the exchange with the upstream.
    pub(crate) upstream: Option<&'static str>,
    started: Instant,
    decided_at: Option<Instant>,
    decision: Decision,
    method: Method,
    host: Option<HeaderValue>,
    uri: Uri,
}

/// How a request was decided.
#[derive(Debug)]
pub(crate) enum Decision {
    /// It cannot be passed on, whatever it carries.
    Malformed(Malformed),
    /// It asks about the server itself and was answered here.
    Options,
    /// It entered.
    Permitted(Admission),
    /// It did not.
    Refused(Refusal),
    /// It never became a request.
    Unreadable,
}

impl Record {
    /// Starts the record of a request that has just arrived.
    pub(crate) fn start<B>(arrival: Arrival, request: &Request<B>) -> Self {
        Self {
            arrival,
            now: clock::now(),
            upstream: None,
            started: clock::monotonic(),
            decided_at: None,
            decision: Decision::Unreadable,
            method: request.method().clone(),
            host: request.headers().get(HOST).cloned(),
            uri: request.uri().clone(),
        }
    }

    /// The record of bytes that never became a request.
    pub(crate) fn unreadable(arrival: Arrival) -> Self {
        Self::start(arrival, &Request::new(()))
    }

    /// The id under which the request is logged.
    pub(crate) fn request_id(&self) -> &str {
        &self.arrival.request_id
    }

    /// Notes the moment of a permit. Its grounds travel with the request, and come back with
    /// [`decided`](Self::decided).
    pub(crate) fn permitted(&mut self) {
        self.decided_at = Some(clock::monotonic());
    }

    /// Notes the decision.
    pub(crate) fn decided(&mut self, decision: Decision) {
        self.decided_at.get_or_insert_with(clock::monotonic);
        self.decision = decision;
    }

    /// Writes the line, and counts.
    pub(crate) fn finish(&self, status: StatusCode, audit: &Audit, metrics: &Metrics) {
        let decision = self
            .decided_at
            .unwrap_or(self.started)
            .saturating_duration_since(self.started);
        let duration = clock::monotonic().saturating_duration_since(self.started);
        let (outcome, reason) = self.outcome();
        metrics.decided(outcome, reason, decision);
        if let Some(result) = self.upstream {
            metrics.upstream_answered(result);
        }
        if matches!(self.decision, Decision::Permitted(Admission::Bypass)) {
            let (client, path) = (self.arrival.client, self.uri.path());
            tracing::warn!(request_id = self.request_id(), %client, path, "a request passed by the bypass");
        }
        audit.record(&Entry {
            ts: audit::timestamp(self.now),
            request_id: self.request_id(),
            mode: "proxy",
            outcome,
            reason,
            rule: self.rule().map(Rule::as_str),
            method: self.method.as_str(),
            host: self
                .host
                .as_ref()
                .and_then(|host| host.to_str().ok())
                .unwrap_or_default(),
            path: self.uri.path(),
            client_ip: self.arrival.client,
            peer_ip: self.arrival.peer,
            user_id: self.session().map(Session::subject),
            cred: self.credential(),
            user_check: self.user_check().map_or("skipped", Source::as_str),
            duration_us: u64::try_from(duration.as_micros()).unwrap_or(u64::MAX),
            decision_us: u64::try_from(decision.as_micros()).unwrap_or(u64::MAX),
            upstream: self.upstream,
            status: status.as_u16(),
        });
    }

    fn outcome(&self) -> (&'static str, &'static str) {
        match &self.decision {
            Decision::Malformed(malformed) => ("deny", malformed.reason()),
            Decision::Options => ("allow", "options"),
            Decision::Permitted(admission) => ("allow", admission.reason()),
            Decision::Refused(refusal) => ("deny", refusal.reason()),
            Decision::Unreadable => ("deny", "malformed_request"),
        }
    }

    fn rule(&self) -> Option<Rule> {
        match &self.decision {
            Decision::Permitted(Admission::Public) => Some(Rule::Public),
            Decision::Permitted(_) => Some(Rule::Session),
            Decision::Refused(Refusal::AmbiguousPath) => None,
            Decision::Refused(_) => Some(Rule::Session),
            Decision::Malformed(_) | Decision::Options | Decision::Unreadable => None,
        }
    }

    fn session(&self) -> Option<&Session> {
        match &self.decision {
            Decision::Permitted(Admission::Session { session, .. }) => Some(session),
            Decision::Refused(refusal) => refusal.session(),
            Decision::Malformed(_)
            | Decision::Options
            | Decision::Permitted(_)
            | Decision::Unreadable => None,
        }
    }

    fn credential(&self) -> &'static str {
        if matches!(self.decision, Decision::Permitted(Admission::Bypass)) {
            return "bypass";
        }
        match self.session().map(Session::format) {
            Some(Format::AuthJs) => "authjs5",
            Some(Format::NextAuth) => "nextauth4",
            None => "none",
        }
    }

    fn user_check(&self) -> Option<Source> {
        match &self.decision {
            Decision::Permitted(Admission::Session { checked_by, .. }) => *checked_by,
            Decision::Refused(refusal) => refusal.user_check(),
            Decision::Malformed(_)
            | Decision::Options
            | Decision::Permitted(_)
            | Decision::Unreadable => None,
        }
    }
}
