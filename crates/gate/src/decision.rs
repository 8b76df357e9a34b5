//! The question that this product answers.

use http::Method;
use http::header::{ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, COOKIE, ORIGIN};
use session::{ClaimDemands, KeyRing, SealedSession, Session, UnixTime};

use crate::refusal::{StoreRefusal, UnknownUser};
use crate::{Bypass, Facts, Hygiene, Permit, Policy, Refusal, Rule, Source, Users};

/// Everything that the decision needs, fixed at start-up.
#[derive(Debug)]
pub struct Gate<U> {
    /// Which paths are public.
    pub policy: Policy,
    /// The keys of every session cookie that is recognised.
    pub keys: KeyRing,
    /// What the operator demands of claims.
    pub demands: ClaimDemands,
    /// Where users are looked up; `None` trusts every session until it expires.
    pub users: Option<U>,
    /// The way past the gate for development.
    pub bypass: Option<Bypass>,
    /// Whether CORS preflights go to the upstream without a session.
    pub passes_preflight: bool,
    /// What is removed from and written into every request that enters.
    pub hygiene: Hygiene,
}

impl<U: Users> Gate<U> {
    /// Decides whether this request may enter, and as whom.
    ///
    /// Never yields when everything that it needs is in memory.
    ///
    /// # Errors
    ///
    /// The [`Refusal`] says why not.
    pub async fn decide(&self, facts: &Facts<'_>, now: UnixTime) -> Result<Permit<'_>, Refusal> {
        if self.policy.rule_for(facts)? == Rule::Public {
            return Ok(Permit::public(self));
        }
        if self.passes_preflight && is_preflight(facts) {
            return Ok(Permit::preflight(self));
        }
        if self
            .bypass
            .as_ref()
            .is_some_and(|bypass| bypass.admits(facts))
        {
            return Ok(Permit::bypass(self));
        }
        let sealed = self.credential(facts)?.ok_or(Refusal::NoSession)?;
        let session = sealed.open(&self.keys, &self.demands, now)?;
        self.permit_existing_user(session).await
    }

    /// What the request carries as its session, not yet believed.
    fn credential<'f>(&self, facts: &Facts<'f>) -> Result<Option<SealedSession<'f>>, Refusal> {
        let cookies = facts
            .headers
            .get_all(COOKIE)
            .iter()
            .map(|value| value.as_bytes());
        let authorization = facts
            .headers
            .get_all(AUTHORIZATION)
            .iter()
            .map(|value| value.as_bytes());
        Ok(SealedSession::find(&self.keys, cookies, authorization)?)
    }

    async fn permit_existing_user(&self, session: Session) -> Result<Permit<'_>, Refusal> {
        let checked_by: Option<Source> = match &self.users {
            None => None,
            Some(users) => match users.find(session.subject()).await {
                Ok(lookup) if lookup.user.is_some() => Some(lookup.source),
                Ok(lookup) => {
                    let unknown = UnknownUser {
                        session: Box::new(session),
                        source: lookup.source,
                    };
                    return Err(Refusal::UnknownUser(unknown));
                }
                Err(error) => {
                    return Err(Refusal::Store(StoreRefusal {
                        session: Box::new(session),
                        error,
                    }));
                }
            },
        };
        Ok(Permit::session(self, session, checked_by))
    }
}

/// A real preflight as the Fetch standard (§4.8, CORS-preflight fetch) sends it: a bare `OPTIONS` is not one.
fn is_preflight(facts: &Facts<'_>) -> bool {
    facts.method == Method::OPTIONS
        && facts.headers.contains_key(ORIGIN)
        && facts.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}
