//! A realm: an application that issues sessions, and its users.

use std::pin::Pin;
use std::sync::Arc;

use http::HeaderValue;
use http::header::{AUTHORIZATION, COOKIE};
use session::{
    Candidates, ClaimDemands, Jwt, KeyRing, OpenError, Opened, SealedSession, Session,
    SessionToken, UnixTime, cache_is_not_renewed,
};

use crate::condition::{Condition, Evidence, Verdict};
use crate::refusal::{Incomparable, RevokedSession, StoreRefusal, UnknownUser};
use crate::{
    Admission, Facts, FindError, IdentityRules, Issuer, LookupSource, Refusal, RevocationVerdict,
    Revocations, SessionStore, User, UserStore,
};

/// A realm: an application that issues sessions.
#[derive(Debug)]
pub struct Realm<U, S> {
    /// Its name, for messages.
    pub name: Arc<str>,
    /// The keys of all session cookies that are recognized.
    pub keys: Arc<KeyRing>,
    /// The operator's demands on claims.
    pub demands: ClaimDemands,
    /// Which users may enter, and what is written about them.
    pub identity: IdentityRules,
    /// The condition that a user's row must meet on every route.
    pub active: Condition,
    /// The issuer whose signed tokens are accepted too; `None` accepts none.
    pub issuer: Option<Issuer>,
    /// Where users are looked up; `None` trusts every session until it expires.
    pub users: Option<U>,
    /// Where sessions are looked up that are not in the request; `None` refuses them.
    pub sessions: Option<S>,
    /// The revocations of its sessions.
    pub revocations: Arc<Revocations>,
}

/// A boxed future.
type BoxFuture<'f, T> = Pin<Box<dyn Future<Output = T> + Send + 'f>>;

/// A session that was opened, and what its store said about it, if a store was asked.
///
/// The session is boxed, because it is moved often until its request ends.
pub(crate) type Found = (Box<Session>, Option<(LookupSource, User)>);

impl<U: UserStore, S: SessionStore> Realm<U, S> {
    /// Identifies the user of a request: opens its session, checks that it is not revoked, and that its user exists and is active.
    ///
    /// Never yields when everything that it needs is in memory. The keys of an issuer always are, unless a token names a new key.
    ///
    /// # Errors
    /// The [`Refusal`] says why there is no user.
    pub async fn identify(&self, facts: &Facts<'_>, now: UnixTime) -> Result<Admission, Refusal> {
        // In a variable, because a temporary would be kept in the future until the end of the match.
        let credential = self.credential(facts)?.ok_or(Refusal::NoSession)?;
        let (session, found) = match credential {
            Credential::Jwt(jwt, issuer) => {
                // Boxed, because it may wait for keys: other requests should not pay for its size.
                let opening: BoxFuture<'_, _> = Box::pin(issuer.open(&jwt, now));
                let session = Box::new(opening.await?);
                if !issuer.check_user {
                    if let Some(refusal) = self.refusal_of_identity(&session) {
                        return Err(refusal(session));
                    }
                    let admission = self.admission(session, None, None, User::default());
                    return self.check_in_force(admission, facts, now);
                }
                (session, None)
            }
            Credential::Session(candidates) => match candidates.only() {
                Some(Ok(sealed)) => self.open(facts, sealed, now).await?,
                Some(Err(error)) => return Err(error.clone().into()),
                // Boxed, because several candidates are rare.
                None => Box::pin(self.open_latest(facts, &candidates, now)).await?,
            },
        };
        let admission = self.existing_user(session, found).await?;
        self.check_in_force(admission, facts, now)
    }

    /// Returns the admission, unless its session was revoked or its user is not active. Checked last, after everything that may
    /// take time.
    fn check_in_force(
        &self,
        admission: Admission,
        facts: &Facts<'_>,
        now: UnixTime,
    ) -> Result<Admission, Refusal> {
        let session = admission.session();
        match session.map(|session| self.revocations.verdict(session, &self.demands, now)) {
            None | Some(RevocationVerdict::InForce) => {}
            Some(RevocationVerdict::Revoked(by)) => {
                return Err(Refusal::Revoked(RevokedSession {
                    admission: Box::new(admission),
                    by,
                }));
            }
            Some(RevocationVerdict::Unknown(error)) => {
                return Err(Refusal::Store(StoreRefusal {
                    session: admission.into_session(),
                    error,
                }));
            }
        }
        match admission.verdict(&self.active, facts, now) {
            Verdict::Met => Ok(admission),
            verdict @ (Verdict::Incomparable | Verdict::Unmet) => {
                Err(self.inactive(admission, verdict, facts, now))
            }
        }
    }

    /// Returns the credential in the request, not yet verified. A session cookie takes precedence; a Bearer value of three
    /// segments belongs to the issuer, if there is one.
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

    /// Opens a session, and looks it up if necessary.
    pub(crate) async fn open(
        &self,
        facts: &Facts<'_>,
        sealed: &SealedSession<'_>,
        now: UnixTime,
    ) -> Result<Found, Refusal> {
        let opened = sealed.open(&self.keys, &self.demands, now)?;
        let (token, cache) = match opened {
            Opened::Lookup { token, cache } => (token, cache),
            Opened::Session(session) => return Ok((Box::new(session), None)),
        };
        let (session, known) = self.look_up(facts, &token, cache, now).await?;
        Ok((Box::new(session), Some(known)))
    }

    /// Looks up a session that only the application's store knows.
    async fn look_up(
        &self,
        facts: &Facts<'_>,
        token: &SessionToken,
        cache: Option<OpenError>,
        now: UnixTime,
    ) -> Result<(Session, (LookupSource, User)), Refusal> {
        let sessions = self
            .sessions
            .as_ref()
            .ok_or_else(|| self.no_session_store(facts, cache))?;
        let found = sessions.find(token, facts.arrival.known_client()).await;
        let lookup = found.map_err(|error| match error {
            FindError::Limited(exceeded) => Refusal::RateLimited(exceeded.into()),
            FindError::Store(error) => Refusal::Store(StoreRefusal {
                session: None,
                error,
            }),
        })?;
        let known = lookup.found.ok_or(Refusal::UnknownSession(lookup.source))?;
        let session = token.open(&known.stored, &self.demands, now)?;
        Ok((session, (lookup.source, known.user)))
    }

    /// Returns the refusal of a token when no session store is configured. `cache` says what is wrong with the session cached
    /// beside it.
    fn no_session_store(&self, facts: &Facts<'_>, cache: Option<OpenError>) -> Refusal {
        let cookies = facts.headers.get_all(COOKIE).iter();
        // The application removes an expired cache, so the cache may be absent.
        let not_renewed = matches!(cache, None | Some(OpenError::Expired { .. }))
            && cache_is_not_renewed(&self.keys, cookies.map(HeaderValue::as_bytes));
        Refusal::NoSessionStore { cache, not_renewed }
    }

    /// Returns the refusal of a session whose kind of user may not enter at all.
    fn refusal_of_identity(&self, session: &Session) -> Option<fn(Box<Session>) -> Refusal> {
        if session.is_anonymous() && !self.identity.allow_anonymous {
            return Some(Refusal::Guest);
        }
        let withheld = self.identity.email.withholds_subject(session);
        withheld.then_some(Refusal::UnverifiedAddress)
    }

    /// Looks up the user of the session in the stores. If the lookup of the session included the user, there is no second lookup.
    async fn existing_user(
        &self,
        session: Box<Session>,
        found: Option<(LookupSource, User)>,
    ) -> Result<Admission, Refusal> {
        if let Some(refusal) = self.refusal_of_identity(&session) {
            return Err(refusal(session));
        }
        let found_in = found.as_ref().map(|(source, _)| *source);
        let includes_check = |sessions: &S| sessions.includes_user_check();
        let known = found.filter(|_| self.sessions.as_ref().is_some_and(includes_check));
        if let Some((source, user)) = known {
            return Ok(self.admission(session, found_in, Some(source), user));
        }
        let Some(users) = &self.users else {
            return Ok(self.admission(session, found_in, None, User::default()));
        };
        match users.find(session.subject()).await {
            Ok(lookup) => match lookup.found {
                Some(user) => Ok(self.admission(session, found_in, Some(lookup.source), user)),
                None => Err(Refusal::UnknownUser(UnknownUser {
                    session,
                    source: lookup.source,
                })),
            },
            Err(error) => Err(Refusal::Store(StoreRefusal {
                session: Some(session),
                error,
            })),
        }
    }

    fn admission(
        &self,
        session: Box<Session>,
        found_in: Option<LookupSource>,
        checked_by: Option<LookupSource>,
        user: User,
    ) -> Admission {
        Admission::Session {
            session,
            user,
            email_header: self.identity.email,
            found_in,
            checked_by,
        }
    }

    /// Returns the refusal for a verdict about the condition that all users of the realm must meet.
    fn inactive(
        &self,
        admission: Admission,
        verdict: Verdict,
        facts: &Facts<'_>,
        now: UnixTime,
    ) -> Refusal {
        match verdict {
            Verdict::Incomparable => admission.incomparable(&self.active, facts, now),
            Verdict::Met | Verdict::Unmet => Refusal::Inactive(Box::new(admission)),
        }
    }
}

impl Admission {
    /// Whether the user meets a condition. Without a user, only an empty condition is met.
    pub(crate) fn verdict(
        &self,
        condition: &Condition,
        facts: &Facts<'_>,
        now: UnixTime,
    ) -> Verdict {
        match (condition, self) {
            (Condition::All(all), _) if all.is_empty() => Verdict::Met,
            (_, Self::Session { session, user, .. }) => {
                condition.verdict(&Evidence::new(facts, session, user, now))
            }
            (_, Self::Bypass | Self::Preflight | Self::Public) => Verdict::Unmet,
        }
    }

    /// Returns the refusal for a value that cannot be compared with what a condition demands.
    #[cold]
    pub(crate) fn incomparable(
        self,
        condition: &Condition,
        facts: &Facts<'_>,
        now: UnixTime,
    ) -> Refusal {
        let what = match &self {
            Self::Session { session, user, .. } => {
                condition.incomparable(&Evidence::new(facts, session, user, now))
            }
            Self::Bypass | Self::Preflight | Self::Public => String::new(),
        };
        Refusal::Incomparable(Incomparable {
            admission: Box::new(self),
            what: what.into(),
        })
    }
}

/// The credential in a request.
enum Credential<'f, 'g> {
    /// A signed token, and the issuer that should have signed it.
    Jwt(Jwt<'f>, &'g Issuer),
    /// The values that could be a session of the application, nearly always one.
    Session(Candidates<'f>),
}
