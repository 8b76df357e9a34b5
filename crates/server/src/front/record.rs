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

/// What is known of a request when its line is written. Whatever becomes of it, also when its client goes away before
/// the answer, the line is written exactly once: when this is dropped.
#[derive(Debug)]
pub(crate) struct Record<'p> {
    /// How the request reached us.
    pub(crate) arrival: Arrival,
    /// When it did.
    pub(crate) now: UnixTime,
    /// What became of the exchange with the upstream.
    pub(crate) upstream: Option<&'static str>,
    started: Instant,
    decided_at: Option<Instant>,
    decision: Decision,
    status: Option<StatusCode>,
    audit: &'p Audit,
    metrics: &'p Metrics,
    method: Method,
    host: Option<HeaderValue>,
    uri: Uri,
}

/// How a request was decided.
#[derive(Debug)]
pub(crate) enum Decision {
    /// Nobody waited for the decision.
    Abandoned,
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

impl<'p> Record<'p> {
    /// Starts the record of a request that has just arrived.
    pub(crate) fn start<B>(
        arrival: Arrival,
        request: &Request<B>,
        audit: &'p Audit,
        metrics: &'p Metrics,
    ) -> Self {
        Self {
            arrival,
            now: clock::now(),
            upstream: None,
            started: clock::monotonic(),
            decided_at: None,
            decision: Decision::Abandoned,
            status: None,
            audit,
            metrics,
            method: request.method().clone(),
            host: request.headers().get(HOST).cloned(),
            uri: request.uri().clone(),
        }
    }

    /// The id under which the request is logged.
    pub(crate) fn request_id(&self) -> &str {
        &self.arrival.request_id
    }

    /// Notes the decision.
    pub(crate) fn decided(&mut self, decision: Decision) {
        self.decided_at = Some(clock::monotonic());
        self.decision = decision;
    }

    /// Ends the record with the status that the client gets.
    pub(crate) fn finish(mut self, status: StatusCode) {
        self.status = Some(status);
    }

    /// Writes the line, and counts.
    fn write(&self) {
        let decision = self
            .decided_at
            .unwrap_or(self.started)
            .saturating_duration_since(self.started);
        let duration = clock::monotonic().saturating_duration_since(self.started);
        let (outcome, reason) = self.outcome();
        self.metrics.decided(outcome, reason, decision);
        if let Some(result) = self.upstream {
            self.metrics.upstream_answered(result);
        }
        if matches!(self.decision, Decision::Permitted(Admission::Bypass)) {
            let (client, path) = (self.arrival.client, self.uri.path());
            tracing::warn!(request_id = self.request_id(), %client, path, "a request passed by the bypass");
        }
        let readable = !matches!(self.decision, Decision::Unreadable);
        self.audit.record(&Entry {
            ts: audit::timestamp(self.now),
            request_id: self.request_id(),
            mode: "proxy",
            outcome,
            reason,
            rule: self.rule().map(Rule::as_str),
            method: if readable { self.method.as_str() } else { "" },
            host: self
                .host
                .as_ref()
                .and_then(|host| host.to_str().ok())
                .unwrap_or_default(),
            path: if readable { self.uri.path() } else { "" },
            client_ip: self.arrival.client,
            peer_ip: self.arrival.peer,
            user_id: self.session().map(Session::subject),
            cred: self.credential(),
            format: self.session().map(|session| session.format().as_str()),
            session_check: self.session_check().map(Source::as_str),
            user_check: self.user_check().map_or("skipped", Source::as_str),
            duration_us: u64::try_from(duration.as_micros()).unwrap_or(u64::MAX),
            decision_us: u64::try_from(decision.as_micros()).unwrap_or(u64::MAX),
            upstream: self.upstream,
            status: self.status.map_or(CLIENT_GONE, |status| status.as_u16()),
        });
    }

    fn outcome(&self) -> (&'static str, &'static str) {
        match &self.decision {
            Decision::Abandoned => ("deny", "client_gone"),
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
            Decision::Abandoned
            | Decision::Malformed(_)
            | Decision::Options
            | Decision::Unreadable => None,
        }
    }

    fn session(&self) -> Option<&Session> {
        match &self.decision {
            Decision::Permitted(Admission::Session { session, .. }) => Some(session),
            Decision::Refused(refusal) => refusal.session(),
            Decision::Abandoned
            | Decision::Malformed(_)
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
            Some(Format::AuthJsDatabase) => "db",
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

    fn session_check(&self) -> Option<Source> {
        match &self.decision {
            Decision::Permitted(Admission::Session { found_in, .. }) => *found_in,
            Decision::Refused(refusal) => refusal.session_check(),
            Decision::Abandoned
            | Decision::Malformed(_)
            | Decision::Options
            | Decision::Permitted(_)
            | Decision::Unreadable => None,
        }
    }

    fn user_check(&self) -> Option<Source> {
        match &self.decision {
            Decision::Permitted(Admission::Session { checked_by, .. }) => *checked_by,
            Decision::Refused(refusal) => refusal.user_check(),
            Decision::Abandoned
            | Decision::Malformed(_)
            | Decision::Options
            | Decision::Permitted(_)
            | Decision::Unreadable => None,
        }
    }
}

impl Drop for Record<'_> {
    fn drop(&mut self) {
        self.write();
    }
}

/// No status was sent, because nobody was there to take it. nginx logs the same number.
const CLIENT_GONE: u16 = 499;
