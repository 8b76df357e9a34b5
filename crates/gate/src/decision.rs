//! The decision: whether a request may enter, and as whom.

use http::Method;
use http::header::{ACCESS_CONTROL_REQUEST_METHOD, ORIGIN};
use session::UnixTime;

use crate::condition::Verdict;
use crate::same_origin::{ClaimedOrigin, is_same_origin};
use crate::{
    Access, Admission, Bypass, Facts, HeaderProfile, Hygiene, Permit, Realm, Refusal, Refused,
    Route, Routes, SessionStore, UserStore,
};

/// Everything that the decision needs, built once from a configuration.
#[derive(Debug)]
pub struct Gate<U, S> {
    /// The routes, one of which governs each request.
    pub routes: Routes,
    /// The realms whose sessions are accepted. Routes refer to them by position; the first is used if no route matches.
    pub realms: Vec<Realm<U, S>>,
    /// The header profiles. Routes refer to them by position; the first is used by routes that name none.
    pub profiles: Vec<HeaderProfile>,
    /// The development bypass, if it is enabled.
    pub bypass: Option<Bypass>,
    /// Whether CORS preflights go to the upstream without a session.
    pub passes_preflight: bool,
    /// The rules for headers that are removed from and written into every request that enters.
    pub hygiene: Hygiene,
}

impl<U: UserStore, S: SessionStore> Gate<U, S> {
    /// Decides whether this request may enter, and as whom. Determines in turn which route governs it, whether a session is
    /// needed, who the user is, and whether the rule's demands are met.
    ///
    /// Never yields when everything that it needs is in memory.
    ///
    /// # Errors
    /// [`Refused`] says why the request may not enter, and which route governs it.
    pub async fn decide<'g>(
        &'g self,
        facts: &Facts<'_>,
        now: UnixTime,
    ) -> Result<Permit<'g>, Refused<'g>> {
        let route = self.routes.of(facts)?;
        self.decide_by(route, facts, now).await
    }

    /// Decides about a request whose [route](Routes::of) the caller has already found.
    ///
    /// # Errors
    /// [`Refused`] says why the request may not enter.
    pub async fn decide_by<'g>(
        &'g self,
        route: &'g Route,
        facts: &Facts<'_>,
        now: UnixTime,
    ) -> Result<Permit<'g>, Refused<'g>> {
        let admission = self.admit(route, facts, now).await;
        let permit = admission.and_then(|admission| Permit::new(self, route, admission));
        permit.map_err(|refusal| Refused::by(route, refusal))
    }

    /// Returns the grounds on which the request enters by this route.
    async fn admit(
        &self,
        route: &Route,
        facts: &Facts<'_>,
        now: UnixTime,
    ) -> Result<Admission, Refusal> {
        if route.same_origin && !is_same_origin(facts) {
            return Err(Refusal::OtherOrigin(ClaimedOrigin::of(facts.headers)));
        }
        let condition = match &route.access {
            Access::Deny => return Err(Refusal::Denied),
            Access::Public => return Ok(Admission::Public),
            Access::Session(_) if self.passes_preflight && is_preflight(facts) => {
                return Ok(Admission::Preflight);
            }
            Access::Session(_) if self.is_bypassed(facts) => return Ok(Admission::Bypass),
            Access::Session(condition) => condition,
            // Boxed, because such requests are rare.
            Access::Unknown => return Err(Box::pin(self.unmatched(facts, now)).await),
        };
        let admission = self.realms[route.realm].identify(facts, now).await?;
        match admission.verdict(condition, facts, now) {
            Verdict::Met => Ok(admission),
            Verdict::Incomparable => Err(admission.incomparable(condition, facts, now)),
            Verdict::Unmet => Err(Refusal::Unmet(Box::new(admission))),
        }
    }

    /// Returns why a request that no route matches is refused. With a session of any realm, the refusal says that there is no
    /// route; without one, it is that of the first realm, which usually asks the user to sign in, as everywhere else.
    async fn unmatched(&self, facts: &Facts<'_>, now: UnixTime) -> Refusal {
        let mut first = None;
        for realm in &self.realms {
            match realm.identify(facts, now).await {
                Ok(admission) => return Refusal::NoRoute(Box::new(admission)),
                Err(refusal) => {
                    first.get_or_insert(refusal);
                }
            }
        }
        first.unwrap_or(Refusal::NoSession)
    }

    fn is_bypassed(&self, facts: &Facts<'_>) -> bool {
        self.bypass
            .as_ref()
            .is_some_and(|bypass| bypass.admits(facts))
    }
}

/// Whether this is a real preflight as the Fetch standard (§4.8, CORS-preflight fetch) sends it: a bare `OPTIONS` is not one.
fn is_preflight(facts: &Facts<'_>) -> bool {
    facts.method == Method::OPTIONS
        && facts.headers.contains_key(ORIGIN)
        && facts.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}
