//! The rate limits, each checked as early as possible: by address first, by route before the session is opened, by user
//! afterwards.

use std::mem;
use std::net::IpAddr;

use gate::{Arrival, Exceeded, Facts, Permit, RateLimited, Refusal, Refused, Route};
use session::OpenError;

use crate::limits::Rates;
use crate::live::Live;

/// Counts a request by its client's address.
///
/// # Errors
/// The refusal when the address is over its limit.
pub(crate) async fn by_address<'l>(live: &'l Live, client: IpAddr) -> Result<(), Refused<'l>> {
    let Some(rates) = counting(live) else {
        return Ok(());
    };
    let counted = rates.of_client(client).await;
    counted.map_err(|exceeded| Refusal::RateLimited(exceeded.into()).into())
}

/// Finds the route that governs a request, and counts the request by it.
///
/// # Errors
/// The refusal when no single route governs the request, or the route is over its limit.
pub(crate) async fn by_route<'l>(
    live: &'l Live,
    facts: &Facts<'_>,
) -> Result<&'l Route, Refused<'l>> {
    let route = live.gate.routes.of(facts)?;
    if let Some(rates) = counting(live)
        && let Err(exceeded) = rates.of_route(route, facts.arrival.client).await
    {
        return Err(refused(Some(route), exceeded.into()));
    }
    Ok(route)
}

/// Counts a decided request by its user, or by its address if its session does not open. Over the limit, `decided` becomes a
/// refusal.
pub(crate) async fn by_user<'l>(
    live: &'l Live,
    arrival: &Arrival,
    decided: &mut Result<Permit<'l>, Refused<'l>>,
) {
    match decided {
        Ok(permit) => {
            if let Some(rates) = counting(live)
                && let Err(exceeded) = of_user(live, rates, permit).await
            {
                let route = permit.route();
                // The placeholder is overwritten on the next line.
                let permit = mem::replace(decided, Err(Refusal::NoSession.into()));
                let admission = permit.ok().map(|permit| Box::new(permit.into_admission()));
                let limited = RateLimited {
                    exceeded,
                    admission,
                };
                *decided = Err(refused(Some(route), limited));
            }
        }
        Err(refusal) => {
            if let Refusal::Unopened(error) = &refusal.refusal
                && is_made_up(error)
                && let Some(client) = arrival.known_client()
                && let Some(bad_sessions) = live.rates.as_ref().and_then(Rates::bad_sessions)
                && let Err(exceeded) = bad_sessions.count(client).await
            {
                *decided = Err(refused(refusal.route, exceeded.into()));
            }
        }
    }
}

/// The limits that count requests, if there are any. The default limit counts only sessions that do not open.
fn counting(live: &Live) -> Option<&Rates> {
    live.rates.as_ref().filter(|rates| rates.counts_requests)
}

async fn of_user(live: &Live, rates: &Rates, permit: &Permit<'_>) -> Result<(), Exceeded> {
    let route = permit.route();
    match permit.admission().session() {
        Some(session) if rates.counts_users(route) => {
            let realm = &live.gate.realms[route.realm].name;
            rates.of_user(route, realm, session.subject()).await
        }
        Some(_) | None => Ok(()),
    }
}

/// Whether the session may be a guess. A session that the application has issued is not, even if it is expired or not valid yet.
fn is_made_up(error: &OpenError) -> bool {
    let is_genuine = matches!(
        error,
        OpenError::Expired { .. }
            | OpenError::IssuedInFuture { .. }
            | OpenError::NotYetValid { .. }
    );
    !is_genuine
}

fn refused<'l>(route: Option<&'l Route>, limited: RateLimited) -> Refused<'l> {
    Refused {
        route,
        refusal: Refusal::RateLimited(limited),
    }
}
