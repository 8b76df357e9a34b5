//! Protection against cross-site requests (CSRF), for services that do not check the origin of a request themselves.

use std::fmt;

use http::header::ORIGIN;
use http::{HeaderMap, HeaderValue, Method};

use crate::Facts;

/// What a request says about the page that sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimedOrigin {
    /// It has neither `Origin` nor `Sec-Fetch-Site`.
    Nothing,
    /// This `Origin`, shortened for display.
    Origin(Box<str>),
    /// Several headers of this name, of which browsers send only one.
    Several(&'static str),
    /// This `Sec-Fetch-Site`, shortened for display. It takes precedence over `Origin`.
    Site(Box<str>),
}

impl ClaimedOrigin {
    /// Reads these headers.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut sites = headers.get_all("sec-fetch-site").iter();
        match (sites.next(), sites.next()) {
            (Some(site), None) => return Self::Site(shown(site)),
            (Some(_), Some(_)) => return Self::Several("Sec-Fetch-Site"),
            (None, _) => {}
        }
        let mut origins = headers.get_all(ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (Some(origin), None) => Self::Origin(shown(origin)),
            (Some(_), Some(_)) => Self::Several("Origin"),
            (None, _) => Self::Nothing,
        }
    }
}

impl fmt::Display for ClaimedOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("it has neither Origin nor Sec-Fetch-Site"),
            Self::Origin(origin) => write!(f, "Origin is {origin}"),
            Self::Several(name) => write!(f, "it has several {name}"),
            Self::Site(site) => write!(f, "Sec-Fetch-Site is {site}"),
        }
    }
}

/// Returns a value shortened for a message.
fn shown(value: &HeaderValue) -> Box<str> {
    match value.to_str() {
        Ok("") => "empty".into(),
        Ok(text) => match text.char_indices().nth(LONGEST_SHOWN) {
            Some((end, _)) => format!("{}…", &text[..end]).into(),
            None => text.into(),
        },
        Err(_) => "not ASCII text".into(),
    }
}

/// Whether the request changes nothing (RFC 9110 section 9.2.1), or comes from a page of the same origin.
///
/// Browsers say where a request comes from in `Sec-Fetch-Site` (W3C Fetch Metadata), which no page can set; `none` means that the
/// user typed or chose the address. Browsers without it, and requests without TLS, send the page's `Origin`. A request with
/// neither is refused: programs must add an `Origin`.
pub(crate) fn is_same_origin(facts: &Facts<'_>) -> bool {
    !facts.may_change_something() || comes_from_here(facts)
}

impl Facts<'_> {
    /// Whether the request may change something, so that it matters which page sends it.
    pub fn may_change_something(&self) -> bool {
        // A WebSocket begins with GET, and can then send anything.
        let is_safe = self.method.is_safe() && *self.method != Method::TRACE;
        !is_safe || is_websocket(self.headers)
    }
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

/// How many characters of a value are shown.
const LONGEST_SHOWN: usize = 120;
