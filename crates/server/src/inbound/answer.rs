//! Renders refusals. A client sees only a few kinds of answers; the reason stays in the log.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use gate::{Exceeded, RefusalClass};
use http::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, LOCATION,
    REFERRER_POLICY, RETRY_AFTER, SET_COOKIE, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, Response, StatusCode};
use serde_json::json;

use super::client_kind::ClientKind;
use super::sign_in_offer::SignInOffer;
use crate::pages;

/// Renders a refusal of the gate. `offer` says how a browser can sign in.
#[cold]
pub(crate) fn refusal(
    answer: RefusalClass,
    client_kind: ClientKind,
    offer: SignInOffer,
    request_id: &str,
) -> Response<Bytes> {
    let code = match answer {
        RefusalClass::BadRequest => StatusCode::BAD_REQUEST,
        RefusalClass::Forbid => match offer {
            SignInOffer::AnotherUser { sign_in } => {
                return offering(&sign_in, client_kind, request_id);
            }
            SignInOffer::Loop { .. } | SignInOffer::Nothing | SignInOffer::Redirect { .. } => {
                StatusCode::FORBIDDEN
            }
        },
        RefusalClass::NotFound => StatusCode::NOT_FOUND,
        RefusalClass::SignIn => match offer {
            SignInOffer::Loop { sign_in } => return looping(&sign_in, client_kind, request_id),
            SignInOffer::Nothing | SignInOffer::AnotherUser { .. } => StatusCode::UNAUTHORIZED,
            SignInOffer::Redirect { location, counted } => return redirect(&location, counted),
        },
        RefusalClass::TooMany => StatusCode::TOO_MANY_REQUESTS,
        RefusalClass::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    };
    status(code, client_kind, request_id)
}

/// Renders an answer of the gate itself: a page for a browser, JSON for a program, and the headers that the status requires.
#[cold]
pub(crate) fn status(
    status: StatusCode,
    client_kind: ClientKind,
    request_id: &str,
) -> Response<Bytes> {
    let (content_type, body) = match client_kind {
        ClientKind::Browser | ClientKind::Form => (
            "text/html; charset=utf-8",
            Bytes::from(pages::refusal(status, request_id)),
        ),
        ClientKind::Grpc => (GRPC, Bytes::new()),
        ClientKind::GrpcWeb { is_text: false } => (GRPC_WEB, grpc_web_trailers(status).into()),
        ClientKind::GrpcWeb { is_text: true } => {
            let text = BASE64_STANDARD.encode(grpc_web_trailers(status));
            (GRPC_WEB_TEXT, text.into())
        }
        ClientKind::Program => ("application/json", json_body(status, request_id).into()),
    };
    let mut response = Response::new(body);
    *response.status_mut() = match client_kind {
        // Such a client takes every other status for a network failure, and ignores the trailers.
        ClientKind::GrpcWeb { .. } => StatusCode::OK,
        ClientKind::Browser | ClientKind::Form | ClientKind::Grpc | ClientKind::Program => status,
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if matches!(client_kind, ClientKind::Browser | ClientKind::Form) {
        headers.insert(
            CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(pages::CONTENT_SECURITY_POLICY),
        );
    }
    if client_kind == ClientKind::Grpc {
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

/// Adds the headers that say which rate limit was exceeded, and when to retry.
///
/// These are the two fields of draft-ietf-httpapi-ratelimit-headers-10, the limit and what is left of it, and `Retry-After`
/// (RFC 9110 §10.2.3) for clients that do not know them.
pub(crate) fn add_rate_limit_headers(headers: &mut HeaderMap, exceeded: &Exceeded) {
    let Exceeded {
        policy,
        quota,
        window,
        wait,
    } = exceeded;
    // Rounded up to a second, so that a retry is not refused again.
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    let seconds = seconds.max(1);
    let window = window.as_secs();
    for (name, text) in [
        (
            "ratelimit-policy",
            format!("\"{policy}\";q={quota};w={window}"),
        ),
        ("ratelimit", format!("\"{policy}\";r=0;t={seconds}")),
        ("retry-after", seconds.to_string()),
    ] {
        let value = HeaderValue::from_str(&text).expect("numbers and words of ours");
        headers.insert(HeaderName::from_static(name), value);
    }
}

/// Renders the refusal of a request that cannot be forwarded, and closes the connection after it.
#[cold]
pub(crate) fn malformed(
    code: StatusCode,
    client_kind: ClientKind,
    request_id: &str,
) -> Response<Bytes> {
    let mut response = status(code, client_kind, request_id);
    response
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Renders the refusal of a request without TLS if `REQUIRE_HTTPS` is set.
#[cold]
pub(crate) fn https_required(client_kind: ClientKind, request_id: &str) -> Response<Bytes> {
    let response = status(StatusCode::FORBIDDEN, client_kind, request_id);
    match client_kind {
        ClientKind::Program => {
            let body = json!({ "error": "https_required", "request_id": request_id });
            response.map(|_| body.to_string().into())
        }
        ClientKind::Browser | ClientKind::Form | ClientKind::Grpc | ClientKind::GrpcWeb { .. } => {
            response
        }
    }
}

/// The answer to `OPTIONS *`, which is not forwarded.
#[cold]
pub(crate) fn options() -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(METHODS));
    response
}

/// The gRPC code for the status of an answer of the gate itself, by gRPC's mapping ("http-grpc-status-mapping.md"). A client that
/// gets no `grpc-status`, because a calling proxy has replaced the answer, derives the same code.
fn grpc_status(status: StatusCode) -> &'static str {
    match status {
        StatusCode::BAD_REQUEST => "13",
        StatusCode::UNAUTHORIZED => "16",
        StatusCode::FORBIDDEN => "7",
        StatusCode::NOT_FOUND => "12",
        StatusCode::BAD_GATEWAY
        | StatusCode::GATEWAY_TIMEOUT
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::TOO_MANY_REQUESTS => "14",
        _ => "2",
    }
}

/// The trailers of a refusal as a frame of the body ("PROTOCOL-WEB.md" of grpc/grpc): flag, length, lines.
fn grpc_web_trailers(status: StatusCode) -> Vec<u8> {
    const TRAILERS: u8 = 0x80;
    let lines = format!("grpc-status: {}\r\n", grpc_status(status));
    let length = u32::try_from(lines.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&[TRAILERS][..], &length, lines.as_bytes()].concat()
}

/// The page for a browser in a redirect loop, with possible causes. It is the same for every reason; the log has the actual
/// one.
fn looping(sign_in: &str, client_kind: ClientKind, request_id: &str) -> Response<Bytes> {
    status(StatusCode::UNAUTHORIZED, client_kind, request_id)
        .map(|_| Bytes::from(pages::looping(sign_in, request_id)))
}

/// The page for a signed-in user who is not permitted, with an offer to sign in as another user.
fn offering(sign_in: &str, client_kind: ClientKind, request_id: &str) -> Response<Bytes> {
    status(StatusCode::FORBIDDEN, client_kind, request_id)
        .map(|_| Bytes::from(pages::forbidden(sign_in, request_id)))
}

fn redirect(location: &str, counted: HeaderValue) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::FOUND;
    let headers = response.headers_mut();
    let location = HeaderValue::from_str(location)
        .expect("a checked URL and a percent-encoded path are visible ASCII");
    headers.insert(LOCATION, location);
    headers.insert(SET_COOKIE, counted);
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

const GRPC: &str = "application/grpc";
const GRPC_WEB: &str = "application/grpc-web+proto";
const GRPC_WEB_TEXT: &str = "application/grpc-web-text+proto";

const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_web_reads_the_status_in_the_body() {
        let answer = status(
            StatusCode::UNAUTHORIZED,
            ClientKind::GrpcWeb { is_text: false },
            "id",
        );
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(&answer.body()[..], b"\x80\0\0\0\x11grpc-status: 16\r\n");
        let text = status(
            StatusCode::FORBIDDEN,
            ClientKind::GrpcWeb { is_text: true },
            "id",
        );
        let frame = BASE64_STANDARD.decode(text.body()).unwrap();
        assert_eq!(frame, b"\x80\0\0\0\x10grpc-status: 7\r\n");
    }

    #[test]
    fn form_gets_a_page_and_no_redirect() {
        let answer = refusal(
            RefusalClass::SignIn,
            ClientKind::Form,
            SignInOffer::Nothing,
            "id",
        );
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(answer.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
        assert!(!answer.headers().contains_key(LOCATION));
    }
}
