//! What becomes of a request, for its audit line and the counters.

use std::time::Instant;

use gate::{Admission, Arrival, Refusal, Rule, Source};
use http::{HeaderValue, Method, Response, StatusCode, Uri};
use session::{Format, Session, UnixTime};

use super::arrival::X_REQUEST_ID;
use super::notices;
use crate::audit::{Audit, Entry};
use crate::clock;
use crate::metrics::Metrics;
use crate::mode::Mode;

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
    mode: Mode,
    started: Instant,
    decided_at: Option<Instant>,
    asked: Option<Asked>,
    decision: Decision,
    status: Option<StatusCode>,
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
            mode,
            started: clock::monotonic(),
            decided_at: None,
            asked: None,
            decision: Decision::Abandoned,
            status: None,
            audit,
            metrics,
        }
    }

    /// Notes what the request asks for.
    pub(crate) fn asks(&mut self, method: Method, host: Option<HeaderValue>, uri: Option<Uri>) {
        self.asked = Some(Asked { method, host, uri });
    }

    /// The id under which the request is logged.
    pub(crate) fn request_id(&self) -> &str {
        let id = self.arrival.request_id.to_str();
        id.expect("a request id is visible ASCII")
    }

    /// Notes the decision.
    pub(crate) fn decided(&mut self, decision: Decision) {
        self.decided_at = Some(clock::monotonic());
        if let Decision::Permitted(admission) = &decision {
            notices::of(admission, self.request_id());
        }
        self.decision = decision;
    }

    /// Ends the record with the answer that the client gets, and names the request in it.
    pub(crate) fn answers<B>(self, response: &mut Response<B>) {
        let id = self.arrival.request_id.clone();
        response.headers_mut().insert(&X_REQUEST_ID, id);
        self.ends(response.status());
    }

    /// Ends the record with the status that the client gets.
    pub(crate) fn ends(mut self, status: StatusCode) {
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
        let asked = self.asked.as_ref();
        let uri = asked.and_then(|asked| asked.uri.as_ref());
        let path = uri.map_or("", Uri::path);
        let host = asked.and_then(|asked| asked.host.as_ref());
        self.metrics.decided(self.mode, outcome, reason, decision);
        if let Some(result) = self.upstream {
            self.metrics.upstream_answered(result);
        }
        if matches!(self.decision, Decision::Permitted(Admission::Bypass)) {
            let (client, path) = (self.arrival.client, path);
            tracing::warn!(request_id = self.request_id(), %client, path, "a request passed by the bypass");
        }
        self.audit.record(&Entry {
            ts: self.now,
            request_id: self.request_id(),
            mode: self.mode.as_str(),
            outcome,
            reason,
            rule: self.rule().map(Rule::as_str),
            method: asked.map_or("", |asked| asked.method.as_str()),
            host: host.and_then(|host| host.to_str().ok()).unwrap_or_default(),
            path,
            client_ip: self.arrival.client,
            peer_ip: self.arrival.peer,
            user_id: self.session().map(Session::subject),
            anonymous: self.session().is_some_and(Session::is_anonymous),
            impersonated_by: self.session().and_then(Session::impersonated_by),
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
            Decision::Options => ("allow", "options"),
            Decision::Preflight => ("allow", "preflight_answered"),
            Decision::Permitted(admission) => ("allow", admission.reason()),
            Decision::Refused(refusal) => ("deny", refusal.reason()),
            Decision::Rejected(reason) => ("deny", reason),
        }
    }

    fn rule(&self) -> Option<Rule> {
        match &self.decision {
            Decision::Permitted(Admission::Public) => Some(Rule::Public),
            Decision::Permitted(_) => Some(Rule::Session),
            Decision::Refused(Refusal::AmbiguousPath) => None,
            Decision::Refused(_) => Some(Rule::Session),
            Decision::Abandoned
            | Decision::Options
            | Decision::Preflight
            | Decision::Rejected(_) => None,
        }
    }

    fn session(&self) -> Option<&Session> {
        match &self.decision {
            Decision::Permitted(admission) => admission.session(),
            Decision::Refused(refusal) => refusal.session(),
            Decision::Abandoned
            | Decision::Options
            | Decision::Preflight
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

    fn session_check(&self) -> Option<Source> {
        match &self.decision {
            Decision::Permitted(Admission::Session { found_in, .. }) => *found_in,
            Decision::Refused(refusal) => refusal.session_check(),
            Decision::Abandoned
            | Decision::Options
            | Decision::Permitted(_)
            | Decision::Preflight
            | Decision::Rejected(_) => None,
        }
    }

    fn user_check(&self) -> Option<Source> {
        match &self.decision {
            Decision::Permitted(Admission::Session { checked_by, .. }) => *checked_by,
            Decision::Refused(refusal) => refusal.user_check(),
            Decision::Abandoned
            | Decision::Options
            | Decision::Permitted(_)
            | Decision::Preflight
            | Decision::Rejected(_) => None,
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
