//! `GET /explain`: why a request would be refused, and why one was.

use std::net::{IpAddr, Ipv4Addr};

use http::header::ACCEPT;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use percent_encoding::percent_decode_str;

use super::{text, typed};
use crate::clock;
use crate::explain::{self, Head, Question, Target};
use crate::live::Live;
use crate::refusals::Refusals;

/// Explains what the parameters ask about: `method` and `url`, or `request_id`. Cookies are not taken here.
pub(super) fn answer<B>(
    live: &Live,
    refusals: &Refusals,
    request: &Request<B>,
) -> Response<String> {
    let wants_text = wants_text(request.headers());
    let parameter = |name| parameter(request.uri().query().unwrap_or_default(), name);
    match (parameter("request_id"), parameter("url")) {
        (Some(id), None) => of_refusal(refusals, &id, wants_text),
        (None, Some(url)) => {
            let method = parameter("method").unwrap_or_else(|| "GET".to_owned());
            of_url(live, &method, &url, wants_text)
        }
        (None, None) | (Some(_), Some(_)) => text(StatusCode::BAD_REQUEST, USAGE),
    }
}

fn of_refusal(refusals: &Refusals, id: &str, wants_text: bool) -> Response<String> {
    let Some(refusal) = refusals.find(id) else {
        return text(
            StatusCode::NOT_FOUND,
            "none of the last 1000 refusals of this process has this id; the audit log has them all\n",
        );
    };
    if wants_text {
        return text(StatusCode::OK, &refusal.text());
    }
    let json = serde_json::to_string(&refusal).expect("texts and lists are JSON");
    typed(StatusCode::OK, "application/json", json + "\n")
}

fn of_url(live: &Live, method: &str, url: &str, wants_text: bool) -> Response<String> {
    let bad = |what: String| text(StatusCode::BAD_REQUEST, &what);
    let Ok(method) = Method::from_bytes(method.as_bytes()) else {
        return bad("`method` is none\n".to_owned());
    };
    let target = match Target::parse(url) {
        Ok(target) => target,
        Err(error) => return bad(format!("`url`: {error}\n")),
    };
    let question = Question {
        head: Head {
            method,
            target,
            fields: Vec::new(),
        },
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        now: clock::now(),
    };
    let explanation = explain::at_once(live, question);
    let mut explanation = explanation.expect("without a credential there is nothing to wait for");
    explanation.note("asked without a session; `sessiongate explain --cookie-file` says what one has of what is demanded");
    match wants_text {
        true => text(StatusCode::OK, &(explanation.text(false) + "\n")),
        false => typed(
            StatusCode::OK,
            "application/json",
            explanation.json() + "\n",
        ),
    }
}

/// JSON is for everybody who does not ask for text.
fn wants_text(headers: &HeaderMap) -> bool {
    let accepted = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    let mut kinds = accepted.unwrap_or_default().split(',');
    kinds.any(|kind| kind.split(';').next().unwrap_or_default().trim() == "text/plain")
}

/// The first value of a parameter, its escapes undone. A `+` is one: no URL, method or id has a blank.
fn parameter(query: &str, name: &str) -> Option<String> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(other, _)| *other == name)?;
    Some(percent_decode_str(value).decode_utf8_lossy().into_owned())
}

const USAGE: &str = "ask with ?method=GET&url=https%3A%2F%2Fapp.example.com%2Fadmin%2F, or with ?request_id= and the id of a refusal\n";
