//! Requests that a page of another site makes in a user's name: for services that do not look at that themselves.

use http::header::ORIGIN;
use http::{HeaderMap, Method};

use crate::Facts;

/// Whether the request changes nothing (RFC 9110 section 9.2.1), or comes from a page of the same origin.
///
/// Browsers say where a request comes from in `Sec-Fetch-Site` (W3C Fetch Metadata), which no page can set; `none` is a person
/// who typed or chose the address. Those that do not, and those that ask without TLS, say the page's `Origin`. A request with
/// neither is refused: programs that send one add an `Origin`.
pub(crate) fn is_same_origin(facts: &Facts<'_>) -> bool {
    if facts.method.is_safe() && *facts.method != Method::TRACE {
        // A WebSocket begins with GET, and then says whatever it likes.
        return !is_websocket(facts.headers) || comes_from_here(facts);
    }
    comes_from_here(facts)
}

fn comes_from_here(facts: &Facts<'_>) -> bool {
    let mut sites = facts.headers.get_all("sec-fetch-site").iter();
    if let Some(site) = sites.next() {
        let site = site.as_bytes();
        return sites.next().is_none() && matches!(site, b"same-origin" | b"none");
    }
    let mut origins = facts.headers.get_all(ORIGIN).iter();
    let (Some(origin), None) = (origins.next(), origins.next()) else {
        return false;
    };
    let origin = origin.to_str().ok();
    let authority = origin.and_then(|origin| {
        let (scheme, authority) = origin.split_once("://")?;
        let port = match scheme {
            "https" => ":443",
            "http" => ":80",
            _ => return None,
        };
        Some((authority, port))
    });
    let Some(((authority, port), host)) = authority.zip(facts.host) else {
        return false;
    };
    let without = |text: &str| text.strip_suffix(port).unwrap_or(text).to_ascii_lowercase();
    without(authority) == without(host)
}

fn is_websocket(headers: &HeaderMap) -> bool {
    let mut upgrades = headers.get_all("upgrade").iter();
    upgrades.any(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}
