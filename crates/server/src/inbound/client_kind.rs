//! The kind of client that sends a request, which decides the form of a refusal.

use http::header::{ACCEPT, CONTENT_TYPE, ORIGIN, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

/// The kind of client that sends a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientKind {
    /// A browser that opens a page: it gets pages and redirects.
    Browser,
    /// A browser that submits a form: it gets a page. A redirect would silently lose the form's data.
    Form,
    /// A gRPC client: it reads `grpc-status`.
    Grpc,
    /// A gRPC-Web client: it reads the trailers in the body ("PROTOCOL-WEB.md" of grpc/grpc).
    GrpcWeb {
        /// Whether the body is Base64.
        is_text: bool,
    },
    /// A script, an API client or a WebSocket: it gets a status and JSON.
    Program,
}

impl ClientKind {
    /// The kind of client, for a listener that answers clients itself.
    pub(crate) fn of(method: &Method, headers: &HeaderMap) -> Self {
        match headers.get(CONTENT_TYPE).and_then(Grpc::of) {
            Some(Grpc::Native) => Self::Grpc,
            Some(Grpc::Web { is_text }) => Self::GrpcWeb { is_text },
            None if !is_navigation(method, headers) => Self::Program,
            None if is_read(method) => Self::Browser,
            None => Self::Form,
        }
    }

    /// The kind of client behind a calling proxy. The proxy reads only the status, so this is never a kind whose refusals
    /// have status 200.
    pub(crate) fn behind_proxy(method: &Method, headers: &HeaderMap) -> Self {
        match Self::of(method, headers) {
            Self::GrpcWeb { .. } => Self::Grpc,
            client_kind @ (Self::Browser | Self::Form | Self::Grpc | Self::Program) => client_kind,
        }
    }
}

/// Whether a browser will show the answer to a person. A redirect would only hide the 401 from a script or a WebSocket.
fn is_navigation(method: &Method, headers: &HeaderMap) -> bool {
    if headers.contains_key(UPGRADE) || is_script(headers) || is_prefetch(headers) {
        return false;
    }
    match headers.get(SEC_FETCH_MODE) {
        Some(mode) => mode == "navigate",
        // Browsers do not send `Sec-Fetch-Mode` over plain HTTP. A navigation with GET has no `Origin`; a script's request to
        // another origin has one.
        None => prefers_html(headers) && !(is_read(method) && headers.contains_key(ORIGIN)),
    }
}

fn is_read(method: &Method) -> bool {
    *method == Method::GET || *method == Method::HEAD
}

/// Whether a library has marked the request as a script's: jQuery and many others, htmx, Inertia, PJAX, Turbo's frames, and
/// Next.js, whose router fetches parts of pages.
fn is_script(headers: &HeaderMap) -> bool {
    const SCRIPT_HEADERS: [HeaderName; 7] = [
        HeaderName::from_static("hx-request"),
        HeaderName::from_static("next-router-state-tree"),
        HeaderName::from_static("rsc"),
        HeaderName::from_static("turbo-frame"),
        HeaderName::from_static("x-inertia"),
        HeaderName::from_static("x-pjax"),
        HeaderName::from_static("x-turbo-request-id"),
    ];
    let is_xhr = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"XMLHttpRequest");
    headers.get(X_REQUESTED_WITH).is_some_and(is_xhr)
        || SCRIPT_HEADERS.iter().any(|mark| headers.contains_key(mark))
}

/// Whether a page is prefetched. After a redirect the sign-in page would be shown in its place.
fn is_prefetch(headers: &HeaderMap) -> bool {
    let has_prefetch = |name: &HeaderName| {
        let value = headers.get(name).map(HeaderValue::as_bytes);
        value.is_some_and(|value| value.starts_with(b"prefetch"))
    };
    has_prefetch(&SEC_PURPOSE) || has_prefetch(&PURPOSE)
}

/// Whether HTML is the preferred type (RFC 9110 §12.5.1). Among types of equal weight the first one wins. Wildcards are ignored,
/// because every script sends one.
fn prefers_html(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT).iter();
    let entries = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    let mut best = (0, false);
    for (name, weight) in entries.map(weighted) {
        let is_page = ["text/html", "application/xhtml+xml"]
            .iter()
            .any(|page| name.eq_ignore_ascii_case(page));
        if !name.contains('*') && weight > best.0 {
            best = (weight, is_page);
        }
    }
    best.1
}

/// Whether the request opens or prefetches a page, and accepts HTML by name.
pub(crate) fn opens_page(headers: &HeaderMap) -> bool {
    let navigates = headers.get(SEC_FETCH_MODE);
    let values = headers.get_all(ACCEPT).iter();
    let mut entries = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    let is_page =
        |entry| matches!(weighted(entry), (name, 1..) if name.eq_ignore_ascii_case("text/html"));
    navigates.is_none_or(|mode| mode == "navigate") && entries.any(is_page)
}

/// The name of a list entry, such as a media type, and its weight in thousandths. An unreadable weight is 0.
pub(crate) fn weighted(entry: &str) -> (&str, u32) {
    let mut parts = entry.split(';');
    let name = parts.next().unwrap_or_default().trim();
    let weight = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then(|| value.trim())
    });
    let weight = match weight {
        None => 1000,
        Some(text) => thousandths(text).unwrap_or(0),
    };
    (name, weight)
}

/// A weight in thousandths: 900 for `0.9` (RFC 9110 §12.4.2).
fn thousandths(text: &str) -> Option<u32> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !matches!(whole, "0" | "1") || fraction.len() > 3 || !is_number(fraction) {
        return None;
    }
    let fraction: u32 = format!("{fraction:0<3}").parse().ok()?;
    Some((whole.parse::<u32>().ok()? * 1000 + fraction).min(1000))
}

/// The kind of gRPC, which only the content type shows ("PROTOCOL-HTTP2.md" and "PROTOCOL-WEB.md" of grpc/grpc).
enum Grpc {
    Native,
    Web { is_text: bool },
}

impl Grpc {
    fn of(content_type: &HeaderValue) -> Option<Self> {
        let content_type = content_type.as_bytes();
        let starts = |prefix: &str| {
            content_type
                .get(..prefix.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
        };
        if !starts("application/grpc") {
            return None;
        }
        Some(match starts("application/grpc-web") {
            true => Self::Web {
                is_text: starts("application/grpc-web-text"),
            },
            false => Self::Native,
        })
    }
}

/// Whether the request is gRPC or gRPC-Web.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .is_some_and(|content_type| Grpc::of(content_type).is_some())
}

const PURPOSE: HeaderName = HeaderName::from_static("purpose");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_PURPOSE: HeaderName = HeaderName::from_static("sec-purpose");
const X_REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    const HTML: (&str, &str) = (
        "accept",
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    );
    const NAVIGATE: (&str, &str) = ("sec-fetch-mode", "navigate");

    #[test]
    fn a_browser_opens_pages_and_sends_forms() {
        for (method, pairs, client_kind) in [
            (Method::GET, &[HTML][..], ClientKind::Browser),
            (Method::GET, &[NAVIGATE], ClientKind::Browser),
            (Method::HEAD, &[HTML], ClientKind::Browser),
            (Method::POST, &[HTML], ClientKind::Form),
            (
                Method::POST,
                &[HTML, ("origin", "http://a.example")],
                ClientKind::Form,
            ),
            (
                Method::POST,
                &[NAVIGATE, ("accept", "*/*")],
                ClientKind::Form,
            ),
            (
                Method::GET,
                &[NAVIGATE, ("sec-fetch-dest", "iframe")],
                ClientKind::Browser,
            ),
        ] {
            assert_eq!(
                ClientKind::of(&method, &headers(pairs)),
                client_kind,
                "{method} {pairs:?}"
            );
        }
    }

    #[test]
    fn a_script_is_never_redirected() {
        for pairs in [
            &[][..],
            &[("accept", "*/*")],
            &[("accept", "application/json, text/plain, */*")],
            &[("accept", "text/event-stream")],
            &[("accept", "application/json, text/html;q=0.9")],
            &[("accept", "text/html;q=0.5, application/json")],
            &[("accept", "text/html;q=0")],
            &[("accept", "text/html;q=x")],
            &[("sec-fetch-mode", "cors"), HTML],
            &[("sec-fetch-mode", "no-cors"), HTML],
            &[("sec-fetch-mode", "same-origin"), HTML],
            &[HTML, ("origin", "http://a.example")],
            &[HTML, ("upgrade", "websocket")],
            &[HTML, ("x-requested-with", "xmlhttprequest")],
            &[NAVIGATE, ("x-requested-with", "XMLHttpRequest")],
            &[HTML, ("hx-request", "true")],
            &[HTML, ("rsc", "1")],
            &[HTML, ("next-router-state-tree", "%5B%5D")],
            &[NAVIGATE, ("sec-purpose", "prefetch;prerender")],
            &[HTML, ("purpose", "prefetch")],
        ] {
            let client_kind = ClientKind::of(&Method::GET, &headers(pairs));
            assert_eq!(client_kind, ClientKind::Program, "{pairs:?}");
        }
    }

    #[test]
    fn html_preference_is_weighted() {
        for (accept, is_wanted) in [
            ("application/xhtml+xml, Text/HTML;q=0.9", true),
            ("text/html", true),
            ("text/html; charset=utf-8; Q=0.8, */*;q=0.9", true),
            ("text/html, application/json", true),
            ("application/json, text/html", false),
            ("text/html;q=0.8, image/avif", false),
            ("text/html;q=1.000", true),
            ("text/html;q=1.5", true),
            ("text/html;q=2", false),
        ] {
            let headers: HeaderMap = [(ACCEPT, HeaderValue::from_static(accept))]
                .into_iter()
                .collect();
            assert_eq!(prefers_html(&headers), is_wanted, "{accept}");
        }
    }

    #[test]
    fn grpc_is_recognized_by_content_type_and_a_calling_proxy_sees_a_denial() {
        for (content_type, client_kind) in [
            ("application/grpc", ClientKind::Grpc),
            ("Application/gRPC+proto", ClientKind::Grpc),
            (
                "application/grpc-web",
                ClientKind::GrpcWeb { is_text: false },
            ),
            (
                "application/grpc-web+proto",
                ClientKind::GrpcWeb { is_text: false },
            ),
            (
                "application/grpc-web-text",
                ClientKind::GrpcWeb { is_text: true },
            ),
        ] {
            let headers = headers(&[("content-type", content_type)]);
            assert_eq!(
                ClientKind::of(&Method::POST, &headers),
                client_kind,
                "{content_type}"
            );
            assert_eq!(
                ClientKind::behind_proxy(&Method::POST, &headers),
                ClientKind::Grpc
            );
            assert!(is_grpc(&headers));
        }
    }
}
