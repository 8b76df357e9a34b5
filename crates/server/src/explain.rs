//! Explains step by step why a request enters or is refused, for `sessiongate explain` and the admin listener.
//!
//! Nothing here decides. The request takes the same path as every request of the proxy, up to the point where it would be
//! forwarded; the explanation is derived from the results.

mod demands;
mod head;
mod headers;
mod parts;
mod path;
mod realms;
mod refused;
mod request;
mod table;
mod text;

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use gate::{Admission, Arrival, Differs, Facts, Permit, Route, RouteRow};
use http::header::HOST;
use http::{HeaderMap, Method, Request, StatusCode};
use http1::{Length, Violation};
use serde::Serialize;
use session::UnixTime;

use self::demands::{DemandPart, demands};
pub(crate) use self::head::{FieldLine, RequestHead, RequestTarget, method};
use self::headers::HeadersPart;
use self::parts::{AnswerPart, Destination, OtherRoute, RequestPart, SessionPart};
use self::path::PathPart;
use self::refused::NOT_EVALUATED;
pub(crate) use self::request::{ExplainRequest, Interface, Skipped};
pub(crate) use self::table::{RouteLine, RouteTable};
use crate::config::ServiceSettings;
use crate::inbound::arrival::{self, Peer};
use crate::inbound::client_kind::ClientKind;
use crate::inbound::proxy::{admit, preflight};
use crate::inbound::target::{Malformed, Target as Settled, normalize_target};
use crate::inbound::{HTTPS_REQUIRED, UNREADABLE, answer, status_of};
use crate::live::Live;
use crate::upstream::own_host;

/// What happens to a request, and why.
#[derive(Debug, Serialize)]
pub(crate) struct Explanation {
    request: RequestPart,
    answer: AnswerPart,
    /// `None` for a request without a path.
    path: Option<PathPart>,
    /// The route that matches.
    route: Option<RouteLine>,
    /// The next best routes, each with the reason why it does not apply.
    other_routes: Vec<OtherRoute>,
    /// How many further routes are not in `other_routes`.
    more_routes: usize,
    /// The requirements of the route, and whether the request meets them.
    demands: Vec<DemandPart>,
    session: Option<SessionPart>,
    /// How the gate changes the request's headers.
    headers: Option<HeadersPart>,
    goes_to: Option<Destination>,
    notes: Vec<String>,
}

impl Explanation {
    /// Whether the request enters, or the gate answers it itself without refusing it, such as a CORS preflight.
    pub(crate) fn enters(&self) -> bool {
        self.answer.enters
    }

    /// Adds a note.
    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// The explanation as one line of JSON.
    pub(crate) fn json(&self) -> String {
        serde_json::to_string(self).expect("texts, numbers and lists are JSON")
    }

    /// The explanation as text.
    pub(crate) fn text(&self, is_colored: bool) -> String {
        text::of(self, is_colored)
    }
}

/// Explains a request without credentials, whose decision needs no waiting. `None` if it would have to wait.
pub(crate) fn explain_without_waiting(
    live: &Live,
    question: ExplainRequest,
) -> Option<Explanation> {
    let explaining = pin!(explain(live, question));
    match explaining.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(explanation) => Some(explanation),
        Poll::Pending => None,
    }
}

/// Explains a request. Contacts stores and issuers as the decision does.
pub(crate) async fn explain(live: &Live, question: ExplainRequest) -> Explanation {
    let ExplainRequest {
        head,
        client,
        certificate,
        now,
        interface,
        skipped,
    } = question;
    let mut request = match head.read(live.client.head) {
        Ok(request) => request,
        Err(violation) => return Explanation::of_unreadable(&head, client, violation),
    };
    // Without a TLS listener, a proxy in front of the gate terminates TLS, and says so in a header.
    let speaks_tls = live.listeners.iter().any(|listener| listener.tls.is_some());
    let secure = head.target.is_https() && speaks_tls;
    let peer = Peer {
        address: client,
        secure,
        certificate: certificate.filter(|_| secure),
    };
    let arrival = arrival::direct(&peer, request.headers(), &live.trusted_proxies);
    let settled = normalize_target(&mut request);
    let mut explanation = Explanation::of(&request, &arrival);
    match settled {
        Ok(Settled::Path) => {}
        Ok(Settled::Server) => {
            let message = "the request is for the gate itself, which answers it";
            explanation.answer = AnswerPart::from_gate(true, "options", message);
            explanation.answer.status = Some(answer::options().status().as_u16());
            return explanation;
        }
        Err(malformed) => {
            explanation.answer =
                AnswerPart::from_gate(false, malformed.reason(), description(malformed));
            explanation.answer.status = Some(malformed_status(malformed.status(), &request));
            return explanation;
        }
    }
    let facts = Facts {
        method: request.method(),
        host: host_of(request.headers()),
        path: Some(request.uri().path()),
        headers: request.headers(),
        arrival: &arrival,
    };
    let proxies = &live.trusted_proxies;
    if live.https.refuses(facts.headers, &arrival, proxies) {
        explanation.without_https(&facts);
        return explanation;
    }
    if let Some((route, response)) = preflight(live, &facts) {
        explanation.preflight_answered(live, &facts, route, response.status());
        return explanation;
    }
    explanation.path = Some(PathPart::of(live.gate.routes.reading(&facts)));
    let skipped = |route: Option<&Route>| {
        let realm = route.map(|route| &live.gate.realms[route.realm].name);
        let is_of = |(name, _): &&(Arc<str>, Skipped)| realm.is_some_and(|realm| realm == name);
        let skipped = skipped.iter().find(is_of);
        skipped.map_or_else(Skipped::default, |(_, skipped)| *skipped)
    };
    match live.gate.decide(&facts, now).await {
        Ok(permit) => {
            let skipped = skipped(Some(permit.route()));
            explanation.permitted(live, &request, &facts, (now, skipped), permit);
        }
        Err(refused) => {
            let skipped = skipped(refused.route);
            explanation.refused(live, &request, &facts, (now, interface, skipped), &refused);
        }
    }
    explanation
}

impl Explanation {
    fn of(request: &Request<Length>, arrival: &Arrival) -> Self {
        Self::new(RequestPart {
            method: request.method().to_string(),
            host: host_of(request.headers()).map(str::to_owned),
            path: request.uri().path().to_owned(),
            client: arrival.client.to_string(),
        })
    }

    /// The explanation of bytes that are not a valid request.
    fn of_unreadable(head: &RequestHead, client: IpAddr, violation: Violation) -> Self {
        let mut explanation = Self::new(RequestPart {
            method: head.method.to_string(),
            host: head.target.host().map(str::to_owned),
            path: head.target.path(),
            client: client.to_canonical().to_string(),
        });
        explanation.answer = AnswerPart {
            status: Some(status_of(violation).as_u16()),
            ..AnswerPart::from_gate(false, UNREADABLE, &violation.to_string())
        };
        if let (Violation::RequestLine, Some(advice)) = (violation, head.target.advice()) {
            explanation.note(advice);
        }
        if violation == Violation::TransferEncoding && !head.names_host() {
            explanation.note("without a host it is an HTTP/1.0 request, which cannot have Transfer-Encoding; give a \
                 whole URL");
        }
        explanation
    }

    fn new(request: RequestPart) -> Self {
        Self {
            request,
            answer: AnswerPart::from_gate(false, "", ""),
            path: None,
            route: None,
            other_routes: Vec::new(),
            more_routes: 0,
            demands: Vec::new(),
            session: None,
            headers: None,
            goes_to: None,
            notes: Vec::new(),
        }
    }

    /// Explains the refusal of a request that did not arrive over HTTPS but must.
    fn without_https(&mut self, facts: &Facts<'_>) {
        let message = "it did not arrive over HTTPS, which REQUIRE_HTTPS requires";
        self.answer = AnswerPart::from_gate(false, HTTPS_REQUIRED, message);
        let response = answer::https_required(ClientKind::of(facts.method, facts.headers), "");
        self.answer.status = Some(response.status().as_u16());
        self.note(
            "to explain a request through a proxy in TRUSTED_PROXIES, give the proxy's address with --client, and \
             --header 'X-Forwarded-Proto: https'",
        );
    }

    /// Explains a preflight that the gate answers itself, according to the route of the announced request.
    fn preflight_answered(
        &mut self,
        live: &Live,
        facts: &Facts<'_>,
        route: &Route,
        status: StatusCode,
    ) {
        let method = facts.announced_method();
        let announced = Facts {
            method: method.as_ref().unwrap_or(facts.method),
            ..*facts
        };
        self.path = Some(PathPart::of(live.gate.routes.reading(&announced)));
        self.set_route(live, &announced, Some(route));
        let message = "it is a CORS preflight of a listed origin, which the gate answers itself according to the route \
             of the announced request";
        self.answer = AnswerPart::from_gate(true, "preflight_answered", message);
        self.answer.status = Some(status.as_u16());
    }

    fn permitted(
        &mut self,
        live: &Live,
        request: &Request<Length>,
        facts: &Facts<'_>,
        (now, skipped): (UnixTime, Skipped),
        permit: Permit<'_>,
    ) {
        let route = permit.route();
        self.set_route(live, facts, Some(route));
        let handling = live.handling(Some(route));
        let (mut admitted, admission) = admit(permit, request, facts.arrival, handling);
        self.demands = demands(live, route, Ok(&admission), facts, now, skipped);
        self.session = admission.session().map(SessionPart::of);
        let service = RouteTable::of_live(live).service(route);
        if service.is_some() && handling.refuses_body(*request.body()) {
            let message = "it may enter, but its body exceeds the route's body_limit";
            self.answer = AnswerPart::from_gate(false, admission.reason(), message);
            let status = malformed_status(StatusCode::PAYLOAD_TOO_LARGE, request);
            self.answer.status = Some(status);
            return;
        }
        if let Some(ServiceSettings::Upstream(upstream)) = service
            && let Some(first) = upstream.servers.first()
        {
            admitted = admitted.with_default_host(&own_host(&first.address));
        }
        let profile = &live.gate.profiles[route.profile];
        let headers = HeadersPart::of(request.headers(), &admitted, profile);
        self.goes_to = service.map(|service| Destination {
            servers: table::places(service),
            path: admitted.uri().path().to_owned(),
            host: headers.host.clone(),
        });
        self.headers = Some(headers);
        let announces = *facts.method == Method::OPTIONS && facts.announced_method().is_some();
        let message = match (&self.goes_to, &admission) {
            (None, _) => {
                "it enters if a calling proxy asks; the route has no service in this gate, so the gate's own listener \
                 answers 404"
            }
            (Some(_), Admission::Bypass) => "it enters by the bypass for development",
            (Some(_), Admission::Preflight) => "it is a CORS preflight, which the service answers",
            (Some(_), Admission::Public) if announces => {
                "the route is public; the service answers the CORS preflight"
            }
            (Some(_), Admission::Public) => "the route is public",
            (Some(_), Admission::Session { .. }) => "the session meets all requirements",
        };
        self.answer = AnswerPart::from_gate(true, admission.reason(), message);
        if let Some(ServiceSettings::Folder(_)) = service
            && !matches!(*facts.method, Method::GET | Method::HEAD)
        {
            self.note("the folder answers with 405: it takes GET and HEAD");
        }
        if let (Length::Chunked, Some(limit)) = (*request.body(), handling.body_limit) {
            self.note(format!(
                "a body of more than {limit} bytes (body_limit) is cut off and answered with 413"
            ));
        }
        if live
            .rates
            .as_ref()
            .is_some_and(|rates| rates.has_limit_for(route))
        {
            self.note(
                "requests to this route are limited (rate_limit), which this explanation ignores",
            );
        }
    }

    /// Sets the matching route and the next best ones.
    fn set_route(&mut self, live: &Live, facts: &Facts<'_>, route: Option<&Route>) {
        let table = RouteTable::of_live(live);
        let routes = &live.gate.routes;
        let candidates = routes.candidates(facts);
        let governs = |row: &RouteRow<'_>| route.is_some_and(|route| route.id == row.route.id);
        let first = candidates.first().filter(|row| governs(row));
        self.route = first.map(|row| table.line(row));
        let less_specific = candidates.iter().skip(usize::from(first.is_some()));
        let less_specific = less_specific.map(|row| OtherRoute {
            line: table.line(row),
            why_not: match first {
                Some(_) => "it matches too, but is less specific",
                None => "it matches the path as written",
            },
        });
        let misses = routes.near_misses(facts);
        let misses = misses.iter().map(|miss| OtherRoute {
            line: table.line(&miss.row),
            why_not: match miss.differs {
                Differs::Case => "its path differs in upper and lower case",
                Differs::FinalSlash => "its path differs in the trailing slash",
                Differs::Host => "it is for another host",
                Differs::Method => "it is for other methods",
            },
        });
        let mut others: Vec<_> = less_specific.chain(misses).collect();
        self.more_routes = others.len().saturating_sub(MOST_OTHERS);
        others.truncate(MOST_OTHERS);
        self.other_routes = others;
    }
}

fn description(malformed: Malformed) -> &'static str {
    match malformed {
        Malformed::Expectation => "its Expect header has a value that the gate does not support",
        Malformed::Host => {
            "it has no Host header, several, or one that is neither a hostname nor an IP address"
        }
        Malformed::Method => "the gate does not support this method",
        Malformed::Target => "its target is neither a path nor a URL with a host",
    }
}

/// The status of the response to a malformed request, which depends on the kind of client.
fn malformed_status(status: StatusCode, request: &Request<Length>) -> u16 {
    let client_kind = ClientKind::of(request.method(), request.headers());
    answer::malformed(status, client_kind, "").status().as_u16()
}

fn host_of(headers: &HeaderMap) -> Option<&str> {
    headers.get(HOST).and_then(|host| host.to_str().ok())
}

/// The most other routes to list. There may be thousands, and a longer list would hide the first ones.
const MOST_OTHERS: usize = 8;
