//! `GET /explain`: explains how a request would be decided, or why one was refused.

use std::net::{IpAddr, Ipv4Addr};

use http::header::ACCEPT;
use http::{HeaderMap, Request, Response, StatusCode};
use percent_encoding::percent_decode_str;

use super::{text, typed};
use crate::clock;
use crate::explain::{self, ExplainRequest, FieldLine, Interface, RequestHead, RequestTarget};
use crate::live::Live;
use crate::refusals::{RecentRefusals, capped};

/// The query of an explanation.
enum ExplainQuery {
    /// About the refusal with this id.
    Refusal(String),
    /// About a request.
    Request(RequestHead),
}

/// Answers `GET /explain`. Cookies are not accepted here.
pub(super) fn answer<B>(
    live: &Live,
    refusals: &RecentRefusals,
    request: &Request<B>,
) -> Response<String> {
    let wants_text = wants_text(request.headers());
    match ExplainQuery::read(request.uri().query().unwrap_or_default(), live) {
        Ok(ExplainQuery::Refusal(id)) => of_refusal(refusals, &id, wants_text),
        Ok(ExplainQuery::Request(head)) => of_request(live, head, wants_text),
        Err(what) => text(StatusCode::BAD_REQUEST, &format!("{what}\n{USAGE}")),
    }
}

impl ExplainQuery {
    /// Reads the parameters: `request_id`; or `url`, with `method` and any number of `header`.
    fn read(query: &str, live: &Live) -> Result<Self, String> {
        let (mut id, mut url, mut method, mut fields) = (None, None, None, Vec::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decoded(value);
            let place = match name {
                "header" => {
                    fields.push(field(&value, live).map_err(|what| format!("`header`: {what}"))?);
                    continue;
                }
                "method" => &mut method,
                "request_id" => &mut id,
                "url" => &mut url,
                other => {
                    let other = capped(&decoded(other), LONGEST_NAME)
                        .escape_debug()
                        .to_string();
                    return Err(format!("unknown parameter `{other}`"));
                }
            };
            if place.replace(value).is_some() {
                return Err(format!("`{name}` is given twice"));
            }
        }
        match (id, url) {
            (Some(id), None) if method.is_none() && fields.is_empty() => Ok(Self::Refusal(id)),
            (Some(_), _) => Err("`request_id` cannot be combined with other parameters".to_owned()),
            (None, None) => Err("`url` is missing".to_owned()),
            (None, Some(url)) => Ok(Self::Request(RequestHead {
                method: explain::method(method.as_deref().unwrap_or("GET"))
                    .map_err(|what| format!("`method`: {what}"))?,
                target: RequestTarget::parse(&url).map_err(|error| format!("`url`: {error}"))?,
                fields,
            })),
        }
    }
}

/// Parses a header of the query. Headers with credentials are refused, because URLs are logged.
fn field(text: &str, live: &Live) -> Result<FieldLine, String> {
    let field = FieldLine::parse(text).map_err(|error| error.to_string())?;
    let bypass = live
        .gate
        .bypass
        .as_ref()
        .map(|bypass| bypass.header().as_str());
    let mut credentials = CREDENTIALS.into_iter().chain(bypass);
    match credentials.find(|name| field.is_named(name)) {
        Some(name) => Err(format!(
            "{name} is not accepted here, because its value would end up in logs, as every URL does; use `sessiongate \
             explain`, which reads cookies from a file"
        )),
        None => Ok(field),
    }
}

fn of_refusal(refusals: &RecentRefusals, id: &str, wants_text: bool) -> Response<String> {
    let Some(refusal) = refusals.find(id) else {
        return text(
            StatusCode::NOT_FOUND,
            "none of the last 1000 refusals of this process has this id; the audit log contains all refusals\n",
        );
    };
    if wants_text {
        return text(StatusCode::OK, &refusal.text());
    }
    let json = serde_json::to_string(&refusal).expect("texts and lists are JSON");
    typed(StatusCode::OK, "application/json", json + "\n")
}

fn of_request(live: &Live, head: RequestHead, wants_text: bool) -> Response<String> {
    let question = ExplainRequest {
        head,
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        certificate: None,
        now: clock::now(),
        interface: Interface::Url,
        skipped: Vec::new(),
    };
    let explanation = explain::explain_without_waiting(live, question);
    let mut explanation = explanation.expect("without a credential there is nothing to wait for");
    explanation.note(
        "no session was given; use `sessiongate explain --cookie-file` to see which conditions a \
        session meets",
    );
    match wants_text {
        true => text(StatusCode::OK, &(explanation.text(false) + "\n")),
        false => typed(
            StatusCode::OK,
            "application/json",
            explanation.json() + "\n",
        ),
    }
}

/// Whether the client prefers text; JSON is the default.
fn wants_text(headers: &HeaderMap) -> bool {
    let accepted = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    let mut kinds = accepted.unwrap_or_default().split(',');
    kinds.any(|kind| kind.split(';').next().unwrap_or_default().trim() == "text/plain")
}

/// Percent-decodes a parameter. A `+` is left as it is; a space has to be `%20`.
pub(super) fn decoded(value: &str) -> String {
    percent_decode_str(value).decode_utf8_lossy().into_owned()
}

/// Headers with credentials, for the gate or for a proxy.
const CREDENTIALS: [&str; 3] = ["Cookie", "Authorization", "Proxy-Authorization"];

/// How much of an unknown parameter's name a message repeats, in bytes.
const LONGEST_NAME: usize = 40;

const USAGE: &str = "ask with ?method=GET&url=https%3A%2F%2Fapp.example.com%2Fadmin%2F, and &header=Name:%20value, several times \
                     for several; or with ?request_id= and the id of a refusal\n";
