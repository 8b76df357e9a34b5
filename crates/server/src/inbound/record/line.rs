//! The audit line of a record.

use std::time::Duration;

use gate::LookupSource;
use session::Session;

use super::Record;
use crate::audit::AuditEntry;
use crate::exchange_end::ExchangeEnd;

impl Record<'_> {
    /// Writes the line about the end of the exchange, or, without `ended`, about its start. `elapsed` is the time since the
    /// request arrived.
    pub(super) fn write(&self, elapsed: Duration, ended: Option<ExchangeEnd>) {
        let (outcome, reason) = self.outcome();
        let head = self.head_sent_at.get();
        let head = head.map_or(elapsed, |left| left.saturating_duration_since(self.started));
        let event = match ended {
            _ if !self.is_long || self.head_sent_at.get().is_none() => None,
            None => Some("start"),
            Some(_) => Some("end"),
        };
        let status = match (self.status, ended) {
            (Some(status), _) => status.as_u16(),
            (None, Some(ExchangeEnd::ClientLeft)) => CLIENT_GONE,
            (None, _) => NO_ANSWER,
        };
        let session_id = self.session().filter(|_| self.audit.names_sessions());
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.audit.record(&AuditEntry {
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
            ended: ended.map(ExchangeEnd::as_str),
            event,
        });
    }
}

/// The status in the line of a client that went away before a status was sent. nginx logs the same number.
const CLIENT_GONE: u16 = 499;

/// The status in the line if no status was sent although the client was there. Envoy logs the same number.
const NO_ANSWER: u16 = 0;
