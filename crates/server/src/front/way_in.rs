//! What becomes of a browser that has to sign in.

use gate::{Answer, Arrival};
use http::header::{FORWARDED, HOST};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use session::UnixTime;

use super::asker::Asker;
use crate::config::SignIn;
use crate::loops::Attempt;

/// Where a request that is refused for want of a session can be sent.
#[derive(Debug)]
pub(crate) enum WayIn {
    /// To the sign-in page, from which it came back too often to be sent there once more.
    Loop {
        /// The page, for a person who wants to try again.
        sign_in: String,
    },
    /// Nowhere by itself; but a person who is signed in and may not enter can choose to sign in as somebody else.
    Offer {
        /// The page, with the way back.
        sign_in: String,
    },
    /// Nowhere: no sign-in page is configured, this is that page, or whoever asks cannot be sent elsewhere.
    Nowhere,
    /// To the sign-in page.
    Redirect {
        /// The page, with the way back.
        location: String,
        /// The `Set-Cookie` that counts the redirect.
        counted: HeaderValue,
    },
}

/// What has to be known of a request to send its browser away and back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'r> {
    /// The host that the browser asked for, as far as the proxies in front are believed.
    pub(crate) host: Option<&'r str>,
    /// Whether the browser used `https`.
    pub(crate) is_https: bool,
    pub(crate) path_and_query: &'r str,
    pub(crate) headers: &'r HeaderMap,
    pub(crate) now: UnixTime,
}

impl WayIn {
    /// The way in for a request that got this answer.
    pub(crate) fn of(
        sign_in: Option<&SignIn>,
        answer: Answer,
        asker: Asker,
        asked: &Asked<'_>,
    ) -> Self {
        let can_sign_in = matches!(answer, Answer::Forbid | Answer::SignIn);
        let can_be_sent = can_sign_in && asker == Asker::Browser;
        let Some(sign_in) = sign_in.filter(|_| can_be_sent) else {
            return Self::Nowhere;
        };
        if sign_in.is_asked_for(asked.host, asked.path_and_query) {
            return Self::Nowhere;
        }
        let location = sign_in.location(asked.host, asked.is_https, asked.path_and_query);
        if answer == Answer::Forbid {
            return Self::Offer { sign_in: location };
        }
        let loops = sign_in.loops();
        match loops.attempt(asked.headers, asked.now, asked.is_https) {
            Attempt::Looping => Self::Loop { sign_in: location },
            Attempt::Redirect(counted) => Self::Redirect { location, counted },
        }
    }

    /// Whether the browser goes round and round.
    pub(crate) fn is_loop(&self) -> bool {
        matches!(self, Self::Loop { .. })
    }
}

impl<'r> Asked<'r> {
    /// A request of a client that talks to us, perhaps through a proxy whose word counts.
    pub(crate) fn of<B>(request: &'r Request<B>, arrival: &Arrival, now: UnixTime) -> Self {
        let headers = request.headers();
        let reported = |kind| match arrival.trusted_peer {
            true => reported(headers, kind),
            false => None,
        };
        let host = || headers.get(HOST).and_then(|host| host.to_str().ok());
        let path = request.uri().path_and_query();
        Self {
            host: reported(&HOST_OF).or_else(host),
            is_https: came_by_https(headers, arrival),
            path_and_query: path.map_or("/", PathAndQuery::as_str),
            headers,
            now,
        }
    }
}

/// Whether the browser used `https`: with us, or with a proxy whose word counts.
pub(crate) fn came_by_https(headers: &HeaderMap, arrival: &Arrival) -> bool {
    let said = match arrival.trusted_peer {
        true => reported(headers, &PROTO_OF),
        false => None,
    };
    said.map_or(arrival.secure, is_secure)
}

/// Whether the host that asks says that its client used `https`.
pub(crate) fn asks_for_https(headers: &HeaderMap) -> bool {
    let url = headers
        .get("x-original-url")
        .is_some_and(|url| url.as_bytes().starts_with(b"https://"));
    url || reported(headers, &PROTO_OF).is_some_and(is_secure)
}

/// Traefik says `wss` for a WebSocket.
fn is_secure(scheme: &str) -> bool {
    scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("wss")
}

/// A part of the original request, under its older name and as a parameter of `Forwarded` (RFC 7239 §4).
struct Part {
    header: HeaderName,
    parameter: &'static str,
}

static HOST_OF: Part = Part {
    header: HeaderName::from_static("x-forwarded-host"),
    parameter: "host",
};

static PROTO_OF: Part = Part {
    header: HeaderName::from_static("x-forwarded-proto"),
    parameter: "proto",
};

/// What proxies say of the request as it left the browser: the first of several, because each proxy adds to the end.
fn reported<'r>(headers: &'r HeaderMap, part: &Part) -> Option<&'r str> {
    let first = |name: &HeaderName| {
        let value = headers.get(name)?.to_str().ok()?;
        value.split(',').next().map(str::trim)
    };
    let older = first(&part.header).filter(|value| !value.is_empty());
    older.or_else(|| {
        let mut parameters = first(&FORWARDED)?.split(';');
        parameters.find_map(|parameter| {
            let (name, value) = parameter.trim().split_once('=')?;
            let is_meant = name.eq_ignore_ascii_case(part.parameter);
            is_meant.then_some(value.trim_matches('"'))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_proxy_says_what_the_browser_asked_for() {
        let headers = |pairs: &[(&'static str, &'static str)]| {
            let pairs = pairs.iter().map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            });
            HeaderMap::from_iter(pairs)
        };
        let older = headers(&[
            ("x-forwarded-host", " a.example , b.example"),
            ("x-forwarded-proto", "https"),
            ("forwarded", "host=c.example"),
        ]);
        assert_eq!(reported(&older, &HOST_OF), Some("a.example"));
        assert!(asks_for_https(&older));
        let standard = headers(&[(
            "forwarded",
            "for=192.0.2.1; Host=\"a.example:8443\";proto=HTTPS, host=b.example",
        )]);
        assert_eq!(reported(&standard, &HOST_OF), Some("a.example:8443"));
        assert!(asks_for_https(&standard));
        assert_eq!(reported(&headers(&[]), &HOST_OF), None);
        let nginx = headers(&[("x-original-url", "https://a.example/")]);
        assert!(asks_for_https(&nginx));
    }
}
