//! How a browser whose request was refused can sign in.

use gate::{Arrival, ForwardedOrigin, RefusalClass, TrustedProxies};
use http::header::HOST;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Request};
use session::UnixTime;

use super::client_kind::ClientKind;
use crate::config::SignIn;
use crate::loops::SignInAttempt;

/// How a browser whose request was refused can sign in.
#[derive(Debug)]
pub(crate) enum SignInOffer {
    /// The browser came back from the sign-in page too often to be redirected once more; a page says so.
    Loop {
        /// The URL of the page, for a person who wants to try again.
        sign_in: String,
    },
    /// The user is signed in but not permitted; a page offers to sign in as another user.
    AnotherUser {
        /// The URL of the page, with the URL to return to.
        sign_in: String,
    },
    /// Not at all: no sign-in page is configured, the request is for that page or opens no page in a browser, or signing in would
    /// not help.
    Nothing,
    /// A redirect to the sign-in page.
    Redirect {
        /// The URL of the page, with the URL to return to.
        location: String,
        /// The `Set-Cookie` that counts the redirect.
        counted: HeaderValue,
    },
}

/// The parts of a browser's request that are needed to redirect it to the sign-in page and back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BrowserRequest<'r> {
    /// The hostname that the browser asked for, as trusted proxies report it.
    pub(crate) host: Option<&'r str>,
    /// Whether the browser used `https`.
    pub(crate) is_https: bool,
    pub(crate) path_and_query: &'r str,
    pub(crate) headers: &'r HeaderMap,
    pub(crate) now: UnixTime,
}

impl SignInOffer {
    /// How the sender of a request can sign in, if the request is refused with this answer.
    pub(crate) fn of(
        sign_in: Option<&SignIn>,
        answer: RefusalClass,
        client_kind: ClientKind,
        browser_request: &BrowserRequest<'_>,
    ) -> Self {
        let can_sign_in = matches!(answer, RefusalClass::Forbid | RefusalClass::SignIn);
        let can_be_sent = can_sign_in && client_kind == ClientKind::Browser;
        let Some(sign_in) = sign_in.filter(|_| can_be_sent) else {
            return Self::Nothing;
        };
        if sign_in.is_requested(browser_request.host, browser_request.path_and_query) {
            return Self::Nothing;
        }
        let location = sign_in.location(
            browser_request.host,
            browser_request.is_https,
            browser_request.path_and_query,
        );
        if answer == RefusalClass::Forbid {
            return Self::AnotherUser { sign_in: location };
        }
        let loops = sign_in.loop_breaker();
        match loops.attempt(
            browser_request.headers,
            browser_request.now,
            browser_request.is_https,
        ) {
            SignInAttempt::Looping => Self::Loop { sign_in: location },
            SignInAttempt::Redirect(counted) => Self::Redirect { location, counted },
        }
    }

    /// Whether the browser is in a redirect loop.
    pub(crate) fn is_loop(&self) -> bool {
        matches!(self, Self::Loop { .. })
    }
}

impl<'r> BrowserRequest<'r> {
    /// The request of a client of the proxy, perhaps through a trusted proxy.
    pub(crate) fn of<B>(
        request: &'r Request<B>,
        arrival: &Arrival,
        proxies: &TrustedProxies,
        now: UnixTime,
    ) -> Self {
        let headers = request.headers();
        let origin = proxies.origin(arrival.peer, headers);
        let host = || headers.get(HOST).and_then(|host| host.to_str().ok());
        let path = request.uri().path_and_query();
        Self {
            host: origin.host.or_else(host),
            is_https: is_https(&origin, arrival),
            path_and_query: path.map_or("/", PathAndQuery::as_str),
            headers,
            now,
        }
    }
}

/// Whether the browser used `https`, with the gate or with a trusted proxy.
pub(crate) fn arrived_over_https(
    headers: &HeaderMap,
    arrival: &Arrival,
    proxies: &TrustedProxies,
) -> bool {
    is_https(&proxies.origin(arrival.peer, headers), arrival)
}

fn is_https(origin: &ForwardedOrigin<'_>, arrival: &Arrival) -> bool {
    origin.scheme.map_or(arrival.secure, is_secure)
}

/// Whether the calling proxy says that its client used `https`, in `X-Original-URL` or in the headers of the `origin`.
pub(crate) fn requests_https(headers: &HeaderMap, origin: &ForwardedOrigin<'_>) -> bool {
    let url = headers
        .get("x-original-url")
        .is_some_and(|url| url.as_bytes().starts_with(b"https://"));
    url || origin.scheme.is_some_and(is_secure)
}

/// Whether a scheme is `https`, or the `wss` that Traefik sends for a WebSocket.
fn is_secure(scheme: &str) -> bool {
    scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("wss")
}

#[cfg(test)]
mod tests {
    use gate::ForwardedHeader;
    use http::HeaderName;

    use super::*;

    #[test]
    fn trusted_proxy_header_gives_the_scheme_of_the_browser() {
        let headers = |pairs: &[(&'static str, &'static str)]| {
            let pairs = pairs.iter().map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            });
            HeaderMap::from_iter(pairs)
        };
        let older = TrustedProxies::default().with_loopback();
        let standard = older.clone().with_header(ForwardedHeader::Forwarded);
        let peer = [127, 0, 0, 1].into();
        let both = headers(&[
            ("x-forwarded-host", " a.example , b.example"),
            ("x-forwarded-proto", "http"),
            (
                "forwarded",
                "for=192.0.2.1; Host=\"c.example:8443\";proto=HTTPS",
            ),
        ]);
        let origin = older.origin(peer, &both);
        assert_eq!(origin.host, Some("a.example"));
        assert!(!requests_https(&both, &origin));
        let origin = standard.origin(peer, &both);
        assert_eq!(origin.host, Some("c.example:8443"));
        assert!(requests_https(&both, &origin));
        let mut arrival = Arrival {
            peer,
            client: peer,
            trusted_peer: true,
            relayed: false,
            secure: false,
            certificate: None,
            request_id: HeaderValue::from_static("id"),
        };
        assert!(!arrived_over_https(&both, &arrival, &older));
        assert!(arrived_over_https(&both, &arrival, &standard));
        arrival.peer = [192, 0, 2, 1].into();
        assert!(
            !arrived_over_https(&both, &arrival, &standard),
            "the peer is not a trusted proxy"
        );
        arrival.secure = true;
        assert!(
            arrived_over_https(&both, &arrival, &standard),
            "the connection to the gate itself has TLS"
        );
        let nginx = headers(&[("x-original-url", "https://a.example/")]);
        assert!(requests_https(&nginx, &ForwardedOrigin::default()));
    }
}
