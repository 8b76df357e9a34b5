//! The few faces of a refusal that a stranger may see. The reason stays in the log.

use bytes::Bytes;
use gate::Answer;
use http::header::{
    ACCEPT, ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue,
    LOCATION, REFERRER_POLICY, RETRY_AFTER, UPGRADE, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, Method, Response, StatusCode};
use serde_json::json;

use crate::pages;

/// Who asks: a person's browser that can be sent elsewhere, or a program that cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    /// A navigation: pages and redirects make sense.
    Browser,
    /// A gRPC client: it looks at `grpc-status`.
    Grpc,
    /// A script, an API client, a WebSocket: status and JSON.
    Program,
}

impl Asker {
    /// Tells browsers from programs by what browsers say of themselves: `Sec-Fetch-Mode` where it is sent, else the
    /// wish for HTML. Redirecting a script or a WebSocket would only hide the 401 from it.
    pub(crate) fn of(method: &Method, headers: &HeaderMap) -> Self {
        if is_grpc(headers) {
            return Self::Grpc;
        }
        let reads = *method == Method::GET || *method == Method::HEAD;
        let navigates = match headers.get(SEC_FETCH_MODE) {
            Some(mode) => mode == "navigate",
            None => accepts_html(headers),
        };
        if reads && navigates && !headers.contains_key(UPGRADE) {
            Self::Browser
        } else {
            Self::Program
        }
    }
}

/// gRPC over HTTP/2, its requests' only mark ("PROTOCOL-HTTP2.md"), and gRPC-Web.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|content_type| {
        content_type
            .as_bytes()
            .get(..GRPC.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(GRPC.as_bytes()))
    })
}

fn accepts_html(headers: &HeaderMap) -> bool {
    let values = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut types = values.flat_map(|value| value.split(','));
    types.any(|entry| {
        entry
            .split(';')
            .next()
            .is_some_and(|name| name.trim().eq_ignore_ascii_case("text/html"))
    })
}

/// Renders a refusal of the gate. `sign_in` is where a browser goes to sign in.
pub(crate) fn refusal(
    answer: Answer,
    asker: Asker,
    sign_in: impl FnOnce() -> Option<String>,
    request_id: &str,
) -> Response<Bytes> {
    let code = match answer {
        Answer::BadRequest => StatusCode::BAD_REQUEST,
        Answer::Forbid => StatusCode::FORBIDDEN,
        Answer::SignIn if asker == Asker::Browser => match sign_in() {
            Some(location) => return redirect(&location),
            None => StatusCode::UNAUTHORIZED,
        },
        Answer::SignIn => StatusCode::UNAUTHORIZED,
        Answer::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    };
    status(code, asker, request_id)
}

/// Renders a status of our own: a page for a browser, JSON for a program, and what the status obliges us to add.
pub(crate) fn status(status: StatusCode, asker: Asker, request_id: &str) -> Response<Bytes> {
    let (content_type, body) = match asker {
        Asker::Browser => (
            "text/html; charset=utf-8",
            pages::refusal(status, request_id),
        ),
        Asker::Grpc => (GRPC, String::new()),
        Asker::Program => ("application/json", json_body(status, request_id)),
    };
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if asker == Asker::Browser {
        headers.insert(
            CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(pages::CONTENT_SECURITY_POLICY),
        );
    }
    if asker == Asker::Grpc {
        headers.insert("grpc-status", HeaderValue::from_static(grpc_status(status)));
    }
    let obliged = match status {
        StatusCode::UNAUTHORIZED => Some((WWW_AUTHENTICATE, "Bearer")),
        StatusCode::SERVICE_UNAVAILABLE => Some((RETRY_AFTER, "5")),
        StatusCode::METHOD_NOT_ALLOWED => Some((ALLOW, METHODS)),
        // The bytes that follow cannot be trusted to be a request.
        StatusCode::BAD_REQUEST => Some((CONNECTION, "close")),
        _ => None,
    };
    if let Some((name, value)) = obliged {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Renders the refusal of a request that cannot be passed on. Whatever follows it is not read.
pub(crate) fn malformed(code: StatusCode, asker: Asker, request_id: &str) -> Response<Bytes> {
    let mut response = status(code, asker, request_id);
    response
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// The answer to `OPTIONS *`, which asks about us and goes no further.
pub(crate) fn options() -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(METHODS));
    response
}

/// The gRPC code of a status of ours, as gRPC's own mapping has it ("http-grpc-status-mapping.md"). A client that sees no
/// `grpc-status`, because a host has made its own answer of ours, comes to the same.
fn grpc_status(status: StatusCode) -> &'static str {
    match status {
        StatusCode::BAD_REQUEST => "13",
        StatusCode::UNAUTHORIZED => "16",
        StatusCode::FORBIDDEN => "7",
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            "14"
        }
        _ => "2",
    }
}

fn redirect(location: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::FOUND;
    let headers = response.headers_mut();
    let location = HeaderValue::from_str(location)
        .expect("a checked URL and a percent-encoded path are visible ASCII");
    headers.insert(LOCATION, location);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn json_body(status: StatusCode, request_id: &str) -> String {
    let error = status
        .canonical_reason()
        .unwrap_or("error")
        .to_ascii_lowercase()
        .replace(' ', "_");
    json!({ "error": error, "request_id": request_id }).to_string()
}

const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

const GRPC: &str = "application/grpc";

const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

#[cfg(test)]
mod tests {
    use super::*;

    fn asker(method: Method, headers: &[(&'static str, &'static str)]) -> Asker {
        let headers = headers.iter().map(|(name, value)| {
            (
                http::HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        });
        Asker::of(&method, &headers.collect())
    }

    #[test]
    fn only_a_navigation_is_a_browser() {
        let html = ("accept", "application/xhtml+xml, Text/HTML;q=0.9");
        assert_eq!(asker(Method::GET, &[html]), Asker::Browser);
        assert_eq!(
            asker(Method::GET, &[("sec-fetch-mode", "navigate")]),
            Asker::Browser
        );
        assert_eq!(asker(Method::HEAD, &[html]), Asker::Browser);
        assert_eq!(asker(Method::POST, &[html]), Asker::Program);
        assert_eq!(
            asker(Method::GET, &[("sec-fetch-mode", "cors"), html]),
            Asker::Program
        );
        assert_eq!(
            asker(Method::GET, &[html, ("upgrade", "websocket")]),
            Asker::Program
        );
        assert_eq!(asker(Method::GET, &[("accept", "*/*")]), Asker::Program);
        assert_eq!(asker(Method::GET, &[]), Asker::Program);
    }
}
