//! Checks the names of headers that a profile writes.

use http::HeaderName;

/// Reads a header name that the gate may remove from all client requests, because no service needs it from clients.
pub(super) fn header_name(text: &str) -> Result<HeaderName, String> {
    let name = HeaderName::from_bytes(text.as_bytes())
        .map_err(|_| "it is not a header name; use letters, digits and hyphens".to_owned())?;
    let mut prefixes = STANDARD_PREFIXES.iter();
    let has_standard_prefix = prefixes.any(|prefix| name.as_str().starts_with(prefix));
    if STANDARD_FIELDS.contains(&name.as_str()) || has_standard_prefix {
        return Err(
            "this header has a meaning in HTTP, and would be removed from every request; use another name"
                .to_owned(),
        );
    }
    if GATE_FIELDS.contains(&name.as_str()) {
        return Err("the gate itself writes this header; use another name".to_owned());
    }
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    match name.as_str().bytes().all(is_plain) {
        true => Ok(name),
        false => Err(
            "services interpret characters other than letters, digits and hyphens in different ways; use a name without \
             them"
                .to_owned(),
        ),
    }
}

/// Fields that clients, services or caches obey: those of RFC 9110 and of other standards in the registry of fields
/// (<https://www.iana.org/assignments/http-fields>), of WebDAV (RFC 4918), of tracing (W3C Trace Context) and of browsers.
/// Fields of responses are among them, because a calling proxy receives the headers of a profile in a response.
const STANDARD_FIELDS: [&str; 85] = [
    "a-im",
    "accept",
    "age",
    "allow",
    "alt-svc",
    "alt-used",
    "authentication-info",
    "authorization",
    "baggage",
    "cache-control",
    "cache-status",
    "cdn-cache-control",
    "clear-site-data",
    "connection",
    "cookie",
    "cookie2",
    "date",
    "depth",
    "destination",
    "device-memory",
    "digest",
    "dnt",
    "downlink",
    "dpop",
    "dpr",
    "early-data",
    "ect",
    "etag",
    "expect",
    "expires",
    "forwarded",
    "from",
    "host",
    "http2-settings",
    "idempotency-key",
    "if",
    "keep-alive",
    "last-event-id",
    "last-modified",
    "link",
    "location",
    "lock-token",
    "max-forwards",
    "mime-version",
    "nel",
    "origin",
    "overwrite",
    "ping-from",
    "ping-to",
    "pragma",
    "prefer",
    "priority",
    "range",
    "referer",
    "refresh",
    "repr-digest",
    "retry-after",
    "rtt",
    "save-data",
    "server",
    "service-worker",
    "set-cookie",
    "set-cookie2",
    "signature",
    "signature-input",
    "slug",
    "soapaction",
    "strict-transport-security",
    "surrogate-control",
    "te",
    "timeout",
    "timing-allow-origin",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "upgrade-insecure-requests",
    "user-agent",
    "vary",
    "via",
    "viewport-width",
    "warning",
    "width",
    "www-authenticate",
];

/// The beginnings of the names of further such fields: content negotiation, CORS, representations, conditions, digests, and
/// fields that only browsers, proxies or servers of a certain kind may set.
const STANDARD_PREFIXES: [&str; 8] = [
    "accept-",
    "access-control-",
    "content-",
    "cross-origin-",
    "if-",
    "proxy-",
    "sec-",
    "want-",
];

/// Headers that the gate writes into every request.
const GATE_FIELDS: [&str; 5] = [
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-request-id",
];

#[cfg(test)]
mod tests {
    use super::header_name;

    #[test]
    fn standard_http_headers_are_refused() {
        for name in [
            "Content-Encoding",
            "Range",
            "Accept-Encoding",
            "If-None-Match",
            "Access-Control-Request-Method",
            "Sec-Fetch-Site",
            "Cache-Control",
            "Traceparent",
            "Upgrade-Insecure-Requests",
            "Set-Cookie",
            "WWW-Authenticate",
            "Destination",
            "X-Request-Id",
            "X_User",
        ] {
            assert!(header_name(name).is_err(), "{name}");
        }
        for name in [
            "X-Team",
            "Remote-User",
            "X-WEBAUTH-USER",
            "Ocp-User",
            "User",
            "Groups",
        ] {
            assert!(header_name(name).is_ok(), "{name}");
        }
    }
}
