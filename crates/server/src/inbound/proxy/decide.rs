//! The decision on a request, and what follows from it.

use std::pin::pin;

use bytes::Bytes;
use gate::{Access, Admission, Admitted, Arrival, Facts, Permit, Refusal, Refused, Rewrite, Route};
use http::header::HOST;
use http::{Method, Request, Response};
use http1::Length;

use super::own_answer::client_kind;
use super::{Proxy, RequestOutcome};
use crate::config::Handling;
use crate::inbound::answerable::Answerable;
use crate::inbound::cors::Cors;
use crate::inbound::record::{Decision, Record};
use crate::inbound::sign_in_offer::{BrowserRequest, SignInOffer};
use crate::inbound::{HTTPS_REQUIRED, acme, answer, limited, tunnel};
use crate::live::{Current, Live};

impl Proxy {
    /// Decides on a request, and forwards it if it is permitted. Also returns the handling of its route.
    pub(super) async fn decide<'l, D: Answerable>(
        &self,
        live: &'l Current,
        request: &Request<Length>,
        client: &mut D,
        record: &mut Record<'l>,
    ) -> (&'l Handling, RequestOutcome<D::Exchange>) {
        let headers = request.headers();
        let facts = facts(request, &record.arrival);
        if let Err(refused) = limited::by_address(live, record.arrival.client).await {
            return refuse(refused, Vec::new(), live, request, record);
        }
        if !record.arrival.secure
            && let Some(proof) = acme::proof(live, request)
        {
            record.decided(Decision::Proved);
            return (live.handling(None), RequestOutcome::Answered(proof));
        }
        let proxies = &live.trusted_proxies;
        if live.https.refuses(headers, &record.arrival, proxies) {
            let answer = answer::https_required(client_kind(request), record.request_id());
            record.decided(Decision::Rejected(HTTPS_REQUIRED));
            return (live.handling(None), RequestOutcome::Answered(answer));
        }
        if let Some((route, answer)) = preflight(live, &facts) {
            record.set_route(&*route.name);
            record.decided(Decision::Preflight);
            return (live.handling(Some(route)), RequestOutcome::Answered(answer));
        }
        let governing = limited::by_route(live, &facts).await;
        let mut decided = match governing {
            Ok(route) => {
                let deciding = pin!(live.gate.decide_by(route, &facts, record.now));
                client.unless_gone(deciding).await
            }
            Err(refused) => Some(Err(refused)),
        };
        if let Some(decided) = &mut decided {
            limited::by_user(live, &record.arrival, decided).await;
        }
        match decided {
            None => (live.handling(None), RequestOutcome::Abandoned),
            Some(Ok(permit)) => {
                let route = permit.route();
                record.set_route(&*route.name);
                let handling = live.handling(Some(route));
                let forwarding = self.forward(permit, live, handling, request, client, record);
                (handling, forwarding.await)
            }
            Some(Err(refused)) => {
                let lacking = live.gate.unmet(&refused, &facts, record.now);
                refuse(refused, lacking, live, request, record)
            }
        }
    }
}

/// The facts of a request that the decision needs.
pub(in crate::inbound) fn facts<'r>(
    request: &'r Request<Length>,
    arrival: &'r Arrival,
) -> Facts<'r> {
    let headers = request.headers();
    Facts {
        method: request.method(),
        host: headers.get(HOST).and_then(|host| host.to_str().ok()),
        path: Some(request.uri().path()),
        headers,
        arrival,
    }
}

/// The answer to a preflight from a listed origin, according to the route of the request that the page announces. On public
/// routes the service answers preflights itself.
pub(crate) fn preflight<'l>(
    live: &'l Live,
    facts: &Facts<'_>,
) -> Option<(&'l Route, Response<Bytes>)> {
    if facts.method != Method::OPTIONS {
        return None;
    }
    let route = live.gate.routes.of_announced(facts)?;
    let handling = live.handling(Some(route));
    let answer = Cors(&handling.cors_origins).preflight(facts.method, facts.headers)?;
    let needs_session = route.access != Access::Public;
    needs_session.then_some((route, answer))
}

/// Applies a permit to a request. Returns the request for the service, and why it was permitted.
pub(crate) fn admit<'r>(
    permit: Permit<'_>,
    request: &'r Request<Length>,
    arrival: &Arrival,
    handling: &'r Handling,
) -> (Admitted<'r, Length>, Admission) {
    let rewrite = Rewrite {
        host: handling.host.as_ref(),
        via: handling.via,
    };
    let (admitted, admission) = permit.admit(request, arrival, rewrite);
    match tunnel::is_requested(request) {
        true => (admitted.with_websocket_upgrade(), admission),
        false => (admitted, admission),
    }
}

/// Records and renders a refusal. `lacking` are the conditions that the user did not meet. Also returns the handling of its
/// route.
#[cold]
fn refuse<'l, E>(
    refused: Refused<'l>,
    lacking: Vec<String>,
    live: &'l Live,
    request: &Request<Length>,
    record: &mut Record<'l>,
) -> (&'l Handling, RequestOutcome<E>) {
    let handling = live.handling(refused.route);
    record.set_unmet(lacking);
    let (client_kind, answer) = (client_kind(request), refused.refusal.class());
    let proxies = &live.trusted_proxies;
    let browser_request = BrowserRequest::of(request, &record.arrival, proxies, record.now);
    let offer = SignInOffer::of(
        handling.sign_in.as_ref(),
        answer,
        client_kind,
        &browser_request,
    );
    record.redirect_loop = offer.is_loop();
    let mut answer = answer::refusal(answer, client_kind, offer, record.request_id());
    if let Refusal::RateLimited(limited) = &refused.refusal {
        answer::add_rate_limit_headers(answer.headers_mut(), &limited.exceeded);
    }
    if let Some(route) = refused.route {
        record.set_route(&*route.name);
    }
    record.decided(Decision::Refused(refused.refusal));
    (handling, RequestOutcome::Answered(answer))
}
