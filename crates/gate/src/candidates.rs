//! Which session counts when a request carries several.
//!
//! A browser that knew an application under the host and knows it under the domain sends two cookies of one name, and after a
//! change of framework it sends cookies of both. One of them is good, and the application itself takes that one; a gate
//! that refuses the request for the other one sends the user to sign in, from where the application sends the user back, for
//! ever.

use session::{Candidates, OpenError, SealedSession, UnixTime};

use crate::realm::Found;
use crate::{Facts, Realm, Refusal, RefusalClass, SessionStore, UserStore};

/// A session that opened, and what it was in.
type Chosen<'c, 'f> = (Found, &'c SealedSession<'f>);

impl<U: UserStore, S: SessionStore> Realm<U, S> {
    /// Opens what could be the session, and gives the one that counts: of the first cookie, in the ring's order, of which
    /// anything opens, the session that was issued last. What does not open does not count, or a cookie that has ended
    /// would hide a good one; what opens must name the same user, or somebody who can add a cookie could choose the user
    /// ("cookie tossing").
    ///
    /// # Errors
    /// [`OpenError::AmbiguousCookie`] for sessions of different users; the refusal of the first candidate when nothing
    /// opens; whatever keeps a store from answering, because that says nothing about the session.
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
