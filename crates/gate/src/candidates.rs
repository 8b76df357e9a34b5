//! Which session is used when a request carries several.
//!
//! After an application moves its cookie from the host to the parent domain, browsers send two cookies with the same name; after
//! an application changes its framework, they send the cookies of both. One of them is valid, and the application uses that one.
//! A gate that refused the request because of the other would send the user to sign in, and the application would send the user
//! back, forever.

use session::{Candidates, OpenError, SealedSession, UnixTime};

use crate::realm::Found;
use crate::{Facts, Realm, Refusal, RefusalClass, SessionStore, UserStore};

/// A session that opened, and the sealed session it came from.
type Chosen<'c, 'f> = (Found, &'c SealedSession<'f>);

impl<U: UserStore, S: SessionStore> Realm<U, S> {
    /// Opens the candidates, and returns the session to use: the latest one of the first cookie, in the ring's order, that has a
    /// session that opens. Candidates that do not open are skipped; otherwise an expired cookie would hide a valid one. All that
    /// open must name the same user; otherwise an attacker who can add a cookie could choose the user ("cookie tossing").
    ///
    /// # Errors
    /// [`OpenError::AmbiguousCookie`] for sessions of different users; the refusal of the first candidate when nothing
    /// opens; any failure of a store, because that says nothing about the session.
    pub(crate) async fn open_latest(
        &self,
        facts: &Facts<'_>,
        candidates: &Candidates<'_>,
        now: UnixTime,
    ) -> Result<Found, Refusal> {
        let mut chosen: Option<Chosen<'_, '_>> = None;
        let mut flaw = None;
        for candidate in candidates.iter() {
            let sealed = match candidate {
                Ok(sealed) => sealed,
                Err(error) => {
                    flaw.get_or_insert_with(|| error.clone().into());
                    continue;
                }
            };
            if let Some((_, earlier)) = &chosen
                && !sealed.shares_cookie_with(earlier)
            {
                break;
            }
            match self.open(facts, sealed, now).await {
                Ok(found) => chosen = Some(self.later(chosen, (found, sealed))?),
                Err(refusal) if refusal.class() == RefusalClass::SignIn => {
                    flaw.get_or_insert(refusal);
                }
                Err(refusal) => return Err(refusal),
            }
        }
        let (found, _) = chosen.ok_or(flaw.unwrap_or(Refusal::NoSession))?;
        Ok(found)
    }

    fn later<'c, 'f>(
        &self,
        earlier: Option<Chosen<'c, 'f>>,
        other: Chosen<'c, 'f>,
    ) -> Result<Chosen<'c, 'f>, OpenError> {
        let Some(earlier) = earlier else {
            return Ok(other);
        };
        let ((before, _), (after, _)) = (&earlier.0, &other.0);
        if before.subject() != after.subject()
            && let Some(cookie) = other.1.cookie(&self.keys)
        {
            return Err(OpenError::AmbiguousCookie {
                name: cookie.name().clone(),
            });
        }
        Ok(if after.is_later_than(before) {
            other
        } else {
            earlier
        })
    }
}
