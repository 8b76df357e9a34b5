//! The question that this product answers.

use http::header::{ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, COOKIE, ORIGIN};
use http::{HeaderValue, Method};
use session::{
    Candidates, ClaimDemands, Jwt, KeyRing, OpenError, Opened, SealedSession, Session,
    SessionToken, UnixTime, cache_is_not_renewed,
};

use crate::refusal::{StoreRefusal, UnknownUser};
use crate::{
    Bypass, Facts, Hygiene, IdentityRules, Issuer, Permit, Policy, Refusal, Rule, Sessions, Source,
    Users,
};

/// Everything that the decision needs, fixed at start-up.
#[derive(Debug)]
pub struct Gate<U, S> {
    /// Which paths are public.
    pub policy: Policy,
    /// The keys of every session cookie that is recognised.
    pub keys: KeyRing,
    /// What the operator demands of claims.
    pub demands: ClaimDemands,
    /// Which users may enter, and what is written about them.
    pub identity: IdentityRules,
    /// Whose signed tokens are accepted beside the sessions; `None` accepts none.
    pub issuer: Option<Issuer>,
    /// Where users are looked up; `None` trusts every session until it expires.
    pub users: Option<U>,
    /// Where sessions are looked up that are not in the request itself; `None` refuses them.
    pub sessions: Option<S>,
    /// The way past the gate for development.
    pub bypass: Option<Bypass>,
    /// Whether CORS preflights go to the upstream without a session.
    pub passes_preflight: bool,
    /// What is removed from and written into every request that enters.
    pub hygiene: Hygiene,
}

impl<U: Users, S: Sessions> Gate<U, S> {
    /// Decides whether this request may enter, and as whom.
    ///
    /// Never yields when everything that it needs is in memory; an issuer's keys always are, unless a token names one that
    /// is new.
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
        match self.credential(facts)?.ok_or(Refusal::NoSession)? {
            Credential::Jwt(jwt, issuer) => {
                // In a box, because it may wait for keys, and the room for that is not everybody's burden.
                let session = Box::pin(issuer.open(&jwt, now)).await?;
                if issuer.check_user {
                    self.permit_existing_user(session, None).await
                } else {
                    Ok(Permit::session(self, self.admissible(session)?, None, None))
                }
            }
            Credential::Session(candidates) => {
                let (session, found_in) = match candidates.only() {
                    Some(Ok(sealed)) => self.open(facts, sealed, now).await?,
                    Some(Err(error)) => return Err(error.clone().into()),
                    // In a box for the same reason: there are hardly ever several.
                    None => Box::pin(self.open_latest(facts, &candidates, now)).await?,
                };
                self.permit_existing_user(session, found_in).await
            }
        }
    }

    /// What the request carries to say who it is, not yet believed. A session cookie comes first; of the Bearer values,
    /// those of three segments belong to the issuer, if there is one.
    fn credential<'f>(&self, facts: &Facts<'f>) -> Result<Option<Credential<'f, '_>>, Refusal> {
        let values = |name| {
            facts
                .headers
                .get_all(name)
                .iter()
                .map(HeaderValue::as_bytes)
        };
        let candidates = Candidates::find(&self.keys, values(COOKIE), values(AUTHORIZATION))?;
        if let Some(issuer) = &self.issuer
            && !candidates.are_in_cookies()
            && let Some(jwt) = Jwt::find(values(AUTHORIZATION))?
        {
            return Ok(Some(Credential::Jwt(jwt, issuer)));
        }
        Ok((!candidates.is_empty()).then_some(Credential::Session(candidates)))
    }

    /// The session, and the store that knew it, if one was asked.
    pub(crate) async fn open(
        &self,
        facts: &Facts<'_>,
        sealed: &SealedSession<'_>,
        now: UnixTime,
    ) -> Result<(Session, Option<Source>), Refusal> {
        match sealed.open(&self.keys, &self.demands, now)? {
            Opened::Lookup { token, cache } => {
                let (session, source) = self.look_up(facts, &token, cache, now).await?;
                Ok((session, Some(source)))
            }
            Opened::Session(session) => Ok((session, None)),
        }
    }

    /// The session that only the application's store can tell about, and the store that did.
    async fn look_up(
        &self,
        facts: &Facts<'_>,
        token: &SessionToken,
        cache: Option<OpenError>,
        now: UnixTime,
    ) -> Result<(Session, Source), Refusal> {
        let sessions = self
            .sessions
            .as_ref()
            .ok_or_else(|| self.no_session_store(facts, cache))?;
        let lookup = sessions.find(token).await.map_err(|error| {
            Refusal::Store(StoreRefusal {
                session: None,
                error,
            })
        })?;
        let stored = lookup.found.ok_or(Refusal::UnknownSession(lookup.source))?;
        Ok((token.open(&stored, &self.demands, now)?, lookup.source))
    }

    /// The refusal of a token that nothing is configured to look up, `cache` being what is wrong with the session that was
    /// cached beside it.
    fn no_session_store(&self, facts: &Facts<'_>, cache: Option<OpenError>) -> Refusal {
        let cookies = facts.headers.get_all(COOKIE).iter();
        // The app removes a cache that has ended, so it may also be absent.
        let not_renewed = matches!(cache, None | Some(OpenError::Expired { .. }))
            && cache_is_not_renewed(&self.keys, cookies.map(HeaderValue::as_bytes));
        Refusal::NoSessionStore { cache, not_renewed }
    }

    /// The session, if such a user may enter at all.
    fn admissible(&self, session: Session) -> Result<Session, Refusal> {
        if session.is_anonymous() && !self.identity.allow_anonymous {
            return Err(Refusal::Guest(Box::new(session)));
        }
        if self.identity.email.withholds_subject(&session) {
            return Err(Refusal::UnverifiedAddress(Box::new(session)));
        }
        Ok(session)
    }

    /// `found_in` is the store that knew the session, where one was asked. If it was asked for the user as well, there is
    /// no second question.
    async fn permit_existing_user(
        &self,
        session: Session,
        found_in: Option<Source>,
    ) -> Result<Permit<'_>, Refusal> {
        let session = self.admissible(session)?;
        let vouches = |sessions: &S| sessions.vouches_for_users();
        let known_with_session = found_in.filter(|_| self.sessions.as_ref().is_some_and(vouches));
        let checked_by = match (&self.users, known_with_session) {
            (_, Some(source)) => Some(source),
            (None, None) => None,
            (Some(users), None) => match users.find(session.subject()).await {
                Ok(lookup) if lookup.found.is_some() => Some(lookup.source),
                Ok(lookup) => {
                    return Err(Refusal::UnknownUser(UnknownUser {
                        session: Box::new(session),
                        source: lookup.source,
                    }));
                }
                Err(error) => {
                    return Err(Refusal::Store(StoreRefusal {
                        session: Some(Box::new(session)),
                        error,
                    }));
                }
            },
        };
        Ok(Permit::session(self, session, found_in, checked_by))
    }
}

/// What a request carries to say who it is.
enum Credential<'f, 'g> {
    /// A signed token, and the issuer who is said to have signed it.
    Jwt(Jwt<'f>, &'g Issuer),
    /// What could be a session of the application: nearly always one thing.
    Session(Candidates<'f>),
}

/// A real preflight as the Fetch standard (§4.8, CORS-preflight fetch) sends it: a bare `OPTIONS` is not one.
fn is_preflight(facts: &Facts<'_>) -> bool {
    facts.method == Method::OPTIONS
        && facts.headers.contains_key(ORIGIN)
        && facts.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}
