//! Explains why a request is refused.

use gate::{Facts, Refusal, RefusalClass, Refused, RevokedBy};
use http::Request;
use http::header::LOCATION;
use http1::Length;
use session::UnixTime;

use super::demands::{demands, first_unevaluated};
use super::parts::{AnswerPart, SessionPart};
use super::request::{Interface, Skipped};
use super::{Explanation, realms};
use crate::clock::timestamp;
use crate::inbound::answer;
use crate::inbound::client_kind::ClientKind;
use crate::inbound::sign_in_offer::{BrowserRequest, SignInOffer};
use crate::live::Live;

impl Explanation {
    pub(super) fn refused(
        &mut self,
        live: &Live,
        request: &Request<Length>,
        facts: &Facts<'_>,
        (now, interface, skipped): (UnixTime, Interface, Skipped),
        refused: &Refused<'_>,
    ) {
        let Refused { route, refusal } = refused;
        self.set_route(live, facts, *route);
        if let Some(route) = route {
            self.demands = demands(live, route, Err(refusal), facts, now, skipped);
        }
        self.session = refusal.session().map(SessionPart::of);
        if let Some(demand) = first_unevaluated(&self.demands) {
            // A gate would contact the store, so its decision is unknown here.
            let message = format!(
                "it depends on a requirement that cannot be checked without the stores (--no-stores): {}",
                demand.condition
            );
            self.answer = AnswerPart::from_gate(false, NOT_EVALUATED, &message);
            return;
        }
        let handling = live.handling(*route);
        let (class, client_kind) = (refusal.class(), ClientKind::of(facts.method, facts.headers));
        let browser_request =
            BrowserRequest::of(request, facts.arrival, &live.trusted_proxies, now);
        let offer = SignInOffer::of(
            handling.sign_in.as_ref(),
            class,
            client_kind,
            &browser_request,
        );
        let response = answer::refusal(class, client_kind, offer, "");
        let location = response.headers().get(LOCATION);
        self.answer = AnswerPart {
            status: Some(response.status().as_u16()),
            location: location.and_then(|location| Some(location.to_str().ok()?.to_owned())),
            ..AnswerPart::from_gate(false, refusal.reason(), &refusal.to_string())
        };
        if let Refusal::Unopened(_) = refusal {
            self.note(
                "`sessiongate open` explains why a cookie does not open, and the likely cause",
            );
        }
        if let (Refusal::NoSession, Some(route)) = (refusal, route) {
            self.notes
                .extend(realms::other_realm_notes(live, route, facts.headers));
        }
        if let Refusal::Revoked(revoked) = refusal {
            self.note(revoked_by(revoked.by));
        }
        if let Refusal::Store(_) = refusal {
            self.note("with --no-stores you get an explanation of everything that needs no lookup");
        }
        if class == RefusalClass::SignIn
            && handling.sign_in.is_some()
            && client_kind != ClientKind::Browser
        {
            let how = match interface {
                Interface::Command => "--header 'Sec-Fetch-Mode: navigate'",
                Interface::Url => "&header=Sec-Fetch-Mode:%20navigate",
            };
            self.note(format!(
                "a browser that opens a page is redirected to the sign-in page instead: add {how}"
            ));
        }
    }
}

fn revoked_by(by: RevokedBy) -> String {
    let before = |time| timestamp(time).to_string();
    match by {
        RevokedBy::All(time) => format!(
            "all sessions of the realm that were issued before {} are revoked; `sessiongate revocations` shows by whom \
             and why",
            before(time)
        ),
        RevokedBy::Session => {
            "the session itself is revoked; `sessiongate revocations` shows by whom and why"
                .to_owned()
        }
        RevokedBy::User(time) => format!(
            "all sessions of the user that were issued before {} are revoked; `sessiongate revocations` shows by whom \
             and why",
            before(time)
        ),
    }
}

/// The reason code if the decision needs a store that was not contacted. It occurs only in explanations.
pub(super) const NOT_EVALUATED: &str = "not_judged";
