//! How a request was decided, and what a record says of it.

use gate::{Admission, LookupSource, Refusal};
use session::{Format, Session};

use super::Record;
use crate::owner::Owner;

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

impl Record<'_> {
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

    pub(super) fn outcome(&self) -> (&'static str, &'static str) {
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

    pub(super) fn credential(&self) -> &'static str {
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

    pub(super) fn session_check(&self) -> Option<LookupSource> {
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

    pub(super) fn user_check(&self) -> Option<LookupSource> {
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
