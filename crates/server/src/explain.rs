//! Explains step by step why a request enters or is refused, for `sessiongate explain` and the admin listener.
//!
//! Nothing here decides. The request takes the same path as every request of the proxy, up to the point where it would be
//! forwarded; the explanation is derived from the results.

mod demands;
mod head;
mod headers;
mod path;
mod realms;
mod table;
mod text;

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use gate::{
    Admission, Arrival, ClientCertificate, Differs, Facts, Permit, Refusal, RefusalClass, Refused,
    RevokedBy, Route, RouteRow,
};
use http::header::{HOST, LOCATION};
use http::{HeaderMap, Method, Request, StatusCode};
use http1::{Length, Violation};
use serde::Serialize;
use session::{Session, UnixTime};

use self::demands::{DemandPart, demands, unjudged};
pub(crate) use self::head::{FieldLine, RequestHead, RequestTarget, method};
use self::headers::HeadersPart;
use self::path::PathPart;
pub(crate) use self::table::{RouteLine, RouteTable};
use crate::clock::timestamp;
use crate::config::ServiceSettings;
use crate::inbound::arrival::{self, Peer};
use crate::inbound::asker::Asker;
use crate::inbound::proxy::{admit, preflight};
use crate::inbound::target::{Malformed, Target as Settled, normalize_target};
use crate::inbound::way_in::{BrowserRequest, WayIn};
use crate::inbound::{HTTPS_REQUIRED, UNREADABLE, answer, status_of};
use crate::live::Live;
use crate::upstream::own_host;

/// A request to explain, with its client and time.
pub(crate) struct ExplainRequest {
    pub(crate) head: RequestHead,
    /// The address from which the connection comes.
    pub(crate) client: IpAddr,
    /// The certificate that the client presents, if any.
    pub(crate) certificate: Option<Arc<ClientCertificate>>,
    pub(crate) now: UnixTime,
    pub(crate) asked: Interface,
    /// The lookups of each realm that are skipped; empty if the stores are used.
    pub(crate) skipped: Vec<(Arc<str>, Skipped)>,
}

/// The lookups that are skipped although the configuration has stores for them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Skipped {
    pub(crate) sessions: bool,
    pub(crate) users: bool,
}

/// The interface through which the explanation was requested, which decides the wording of advice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interface {
    /// The command line.
    Command,
    /// A URL of the admin listener.
    Url,
}

/// What happens to a request, and why.
#[derive(Debug, Serialize)]
pub(crate) struct Explanation {
    request: RequestPart,
    answer: AnswerPart,
    /// `None` for a request without a path.
    path: Option<PathPart>,
    /// The route that matches.
    route: Option<RouteLine>,
    /// The next best routes, and why they do not apply.
    other_routes: Vec<OtherRoute>,
    /// How many more there are.
    more_routes: usize,
    /// The requirements of the route, and whether the request meets them.
    demands: Vec<DemandPart>,
    session: Option<SessionPart>,
    /// How its headers are changed.
    headers: Option<HeadersPart>,
    goes_to: Option<Destination>,
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct RequestPart {
    method: String,
    host: Option<String>,
    path: String,
    client: String,
}

#[derive(Debug, Serialize)]
struct AnswerPart {
    enters: bool,
    /// The reason code in the audit log.
    reason: &'static str,
    message: String,
    /// The status, if the gate itself answers.
    status: Option<u16>,
    location: Option<String>,
}

#[derive(Debug, Serialize)]
struct OtherRoute {
    #[serde(flatten)]
    line: RouteLine,
    why_not: &'static str,
}

#[derive(Debug, Serialize)]
struct SessionPart {
    user_id: String,
    format: &'static str,
    expires: String,
}

#[derive(Debug, Serialize)]
struct Destination {
    /// The servers, or the folder.
    servers: Vec<String>,
    path: String,
    host: Option<String>,
}

impl Explanation {
    /// Whether the request enters, or is one that every client may send.
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

/// Explains a request without credentials, which needs no waiting.
pub(crate) fn at_once(live: &Live, question: ExplainRequest) -> Option<Explanation> {
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
        asked,
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
            let message = "it is about the gate itself, which answers it";
            explanation.answer = AnswerPart::ours(true, "options", message);
            explanation.answer.status = Some(answer::options().status().as_u16());
            return explanation;
        }
        Err(malformed) => {
            explanation.answer = AnswerPart::ours(false, malformed.reason(), words(malformed));
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
            explanation.refused(live, &request, &facts, (now, asked, skipped), &refused);
        }
    }
    explanation
}

impl Explanation {
    fn of(request: &Request<Length>, arrival: &Arrival) -> Self {
        Self::about(RequestPart {
            method: request.method().to_string(),
            host: host_of(request.headers()).map(str::to_owned),
            path: request.uri().path().to_owned(),
            client: arrival.client.to_string(),
        })
    }

    /// The explanation of bytes that are not a valid request.
    fn of_unreadable(head: &RequestHead, client: IpAddr, violation: Violation) -> Self {
        let mut explanation = Self::about(RequestPart {
            method: head.method.to_string(),
            host: head.target.host().map(str::to_owned),
            path: head.target.path(),
            client: client.to_canonical().to_string(),
        });
        explanation.answer = AnswerPart {
            status: Some(status_of(violation).as_u16()),
            ..AnswerPart::ours(false, UNREADABLE, &violation.to_string())
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

    fn about(request: RequestPart) -> Self {
        Self {
            request,
            answer: AnswerPart::ours(false, "", ""),
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
        self.answer = AnswerPart::ours(false, HTTPS_REQUIRED, message);
        let response = answer::https_required(Asker::of(facts.method, facts.headers), "");
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
        self.governed_by(live, &announced, Some(route));
        let message = "it is a CORS preflight of a listed origin, which the gate answers itself according to the route \
             of the announced request";
        self.answer = AnswerPart::ours(true, "preflight_answered", message);
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
        self.governed_by(live, facts, Some(route));
        let handling = live.handling(Some(route));
        let (mut admitted, admission) = admit(permit, request, facts.arrival, handling);
        self.demands = demands(live, route, Ok(&admission), facts, now, skipped);
        self.session = admission.session().map(SessionPart::of);
        let service = RouteTable::of_live(live).service(route);
        if service.is_some() && handling.refuses_body(*request.body()) {
            let message = "it may enter, but its body exceeds the route's body_limit";
            self.answer = AnswerPart::ours(false, admission.reason(), message);
            let status = malformed_status(StatusCode::PAYLOAD_TOO_LARGE, request);
            self.answer.status = Some(status);
            return;
        }
        if let Some(ServiceSettings::Upstream(upstream)) = service
            && let Some(first) = upstream.servers.first()
        {
            admitted = admitted.or_for_host(&own_host(&first.address));
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
                "everybody may enter; the service answers the CORS preflight"
            }
            (Some(_), Admission::Public) => "everybody may enter",
            (Some(_), Admission::Session { .. }) => "the session meets all requirements",
        };
        self.answer = AnswerPart::ours(true, admission.reason(), message);
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
        if live.rates.as_ref().is_some_and(|rates| rates.govern(route)) {
            self.note(
                "requests to this route are limited (rate_limit), which this explanation ignores",
            );
        }
    }

    fn refused(
        &mut self,
        live: &Live,
        request: &Request<Length>,
        facts: &Facts<'_>,
        (now, asked_by, skipped): (UnixTime, Interface, Skipped),
        refused: &Refused<'_>,
    ) {
        let Refused { route, refusal } = refused;
        self.governed_by(live, facts, *route);
        if let Some(route) = route {
            self.demands = demands(live, route, Err(refusal), facts, now, skipped);
        }
        self.session = refusal.session().map(SessionPart::of);
        if let Some(demand) = unjudged(&self.demands) {
            // A gate would contact the store, so its decision is unknown here.
            let message = format!(
                "it depends on a requirement that cannot be checked without the stores (--no-stores): {}",
                demand.condition
            );
            self.answer = AnswerPart::ours(false, NOT_JUDGED, &message);
            return;
        }
        let handling = live.handling(*route);
        let (face, asker) = (refusal.class(), Asker::of(facts.method, facts.headers));
        let asked = BrowserRequest::of(request, facts.arrival, &live.trusted_proxies, now);
        let way_in = WayIn::of(handling.sign_in.as_ref(), face, asker, &asked);
        let response = answer::refusal(face, asker, way_in, "");
        let location = response.headers().get(LOCATION);
        self.answer = AnswerPart {
            status: Some(response.status().as_u16()),
            location: location.and_then(|location| Some(location.to_str().ok()?.to_owned())),
            ..AnswerPart::ours(false, refusal.reason(), &refusal.to_string())
        };
        if let Refusal::Unopened(_) = refusal {
            self.note(
                "`sessiongate open` explains why a cookie does not open, and the likely cause",
            );
        }
        if let (Refusal::NoSession, Some(route)) = (refusal, route) {
            self.notes
                .extend(realms::others(live, route, facts.headers));
        }
        if let Refusal::Revoked(revoked) = refusal {
            self.note(revoked_by(revoked.by));
        }
        if let Refusal::Store(_) = refusal {
            self.note("with --no-stores you get an explanation of everything that needs no lookup");
        }
        if face == RefusalClass::SignIn && handling.sign_in.is_some() && asker != Asker::Browser {
            let how = match asked_by {
                Interface::Command => "--header 'Sec-Fetch-Mode: navigate'",
                Interface::Url => "&header=Sec-Fetch-Mode:%20navigate",
            };
            self.note(format!(
                "a browser that opens a page is redirected to the sign-in page instead: add {how}"
            ));
        }
    }

    /// Sets the route, and the next best ones.
    fn governed_by(&mut self, live: &Live, facts: &Facts<'_>, route: Option<&Route>) {
        let table = RouteTable::of_live(live);
        let routes = &live.gate.routes;
        let candidates = routes.candidates(facts);
        let governs = |row: &RouteRow<'_>| route.is_some_and(|route| route.id == row.route.id);
        let first = candidates.first().filter(|row| governs(row));
        self.route = first.map(|row| table.line(row));
        let less_special = candidates.iter().skip(usize::from(first.is_some()));
        let less_special = less_special.map(|row| OtherRoute {
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
        let mut others: Vec<_> = less_special.chain(misses).collect();
        self.more_routes = others.len().saturating_sub(MOST_OTHERS);
        others.truncate(MOST_OTHERS);
        self.other_routes = others;
    }
}

impl AnswerPart {
    fn ours(enters: bool, reason: &'static str, message: &str) -> Self {
        Self {
            enters,
            reason,
            message: message.to_owned(),
            status: None,
            location: None,
        }
    }
}

impl SessionPart {
    fn of(session: &Session) -> Self {
        Self {
            user_id: session.subject().to_owned(),
            format: session.format().as_str(),
            expires: timestamp(session.expires_at()).to_string(),
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

fn words(malformed: Malformed) -> &'static str {
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
    let asker = Asker::of(request.method(), request.headers());
    answer::malformed(status, asker, "").status().as_u16()
}

fn host_of(headers: &HeaderMap) -> Option<&str> {
    headers.get(HOST).and_then(|host| host.to_str().ok())
}

/// The reason code if the decision needs a store that was not contacted. Only explanations have it.
const NOT_JUDGED: &str = "not_judged";

/// The most other routes to list. There may be thousands, and more would hide the first ones.
const MOST_OTHERS: usize = 8;
