//! The endpoints for decisions: one for each kind of calling proxy, and the paths of the gateways that sessiongate replaces.

use gate::{BuiltInProfile, Restriction};
use http::request::Parts;
use http::{StatusCode, Uri};

use super::original::{self, RequestSource};
use super::restrictions::{self, Meaning, UnsupportedParameter, Vocabulary};
use crate::mode::Mode;

/// What an endpoint reads and how it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) mode: Mode,
    /// Where the original request is described.
    pub(crate) source: RequestSource,
    /// The headers that say who the user is.
    pub(crate) identity: BuiltInProfile,
    /// The status that permits a request.
    pub(crate) allows_with: StatusCode,
    pub(crate) refusal_style: RefusalStyle,
    /// The query parameters that it understands. Any other parameter is denied, unless it may come from the client's own query
    /// and is not a restriction.
    parameters: Vocabulary,
    /// Whether the decision request may carry the client's own query (Caddy does this).
    may_carry_client_query: bool,
}

/// How a calling proxy treats a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RefusalStyle {
    /// The calling proxy forwards the answer to the client: the page, the JSON or the redirect that the proxy listener would
    /// send.
    PassedOn,
    /// The calling proxy forwards an answer below 500, and treats a 5xx as if the gate were unreachable. Envoy over HTTP:
    /// `RawHttpClientImpl::toResponse` (`ext_authz_http_impl.cc`, seen with 1.40).
    PassedOnBelow500,
    /// The calling proxy reads only the status, and knows 401 and 403; it takes any other for a failure of the gate.
    StatusAlone,
}

impl RefusalStyle {
    /// The status for the calling proxy that corresponds to `status` for a client.
    pub(crate) fn status(self, status: StatusCode) -> StatusCode {
        match (self, status) {
            // The status below 500 that means "later": programs obey `Retry-After`, and gRPC maps it like 503
            // ("http-grpc-status-mapping.md").
            (Self::PassedOnBelow500, status) if status.is_server_error() => {
                StatusCode::TOO_MANY_REQUESTS
            }
            // `Location` stays, for proxies that can be configured to use it.
            (Self::StatusAlone, StatusCode::FOUND) => StatusCode::UNAUTHORIZED,
            (
                Self::StatusAlone,
                StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND | StatusCode::TOO_MANY_REQUESTS,
            ) => StatusCode::FORBIDDEN,
            (Self::PassedOn | Self::PassedOnBelow500 | Self::StatusAlone, status) => status,
        }
    }
}

impl Endpoint {
    /// The endpoint at the path of `uri`.
    pub(crate) fn of(uri: &Uri) -> Option<Self> {
        let path = uri.path();
        if let Some(prefix) = PREFIXES.iter().find(|(prefix, ..)| is_below(path, prefix)) {
            let (prefix, mode, identity) = *prefix;
            let source = RequestSource::Line {
                prefix: prefix.len(),
            };
            // The query is that of the original request.
            let refusal_style = RefusalStyle::PassedOnBelow500;
            return Some(Self::new(mode, source, identity, refusal_style));
        }
        let (_, mode, source, identity, refusal_style) =
            PATHS.iter().find(|(known, ..)| *known == path)?;
        let mut endpoint = Self::new(*mode, *source, *identity, *refusal_style);
        endpoint.parameters = parameters(*mode);
        endpoint.may_carry_client_query = MAY_CARRY_CLIENT_QUERY.contains(&path);
        if *mode == Mode::OAuth2Proxy {
            endpoint.allows_with = StatusCode::ACCEPTED;
        }
        // Authelia's older endpoint redirects only if the request names the sign-in page. The gate's sign-in page is configured.
        if path == "/api/verify" && has_parameter(uri, "rd") {
            endpoint.refusal_style = RefusalStyle::PassedOn;
        }
        Some(endpoint)
    }

    fn new(
        mode: Mode,
        source: RequestSource,
        identity: BuiltInProfile,
        refusal_style: RefusalStyle,
    ) -> Self {
        Self {
            mode,
            source,
            identity,
            allows_with: StatusCode::OK,
            refusal_style,
            parameters: &[],
            may_carry_client_query: false,
        }
    }

    /// What the calling proxy demands of a user beyond a session, by the query parameters of its request.
    ///
    /// # Errors
    ///
    /// [`UnsupportedParameter`] when it demands something that is not understood.
    pub(crate) fn restriction(&self, parts: &Parts) -> Result<Restriction, UnsupportedParameter> {
        let query = match self.source {
            RequestSource::Line { .. } => None,
            RequestSource::Either
            | RequestSource::Forwarded
            | RequestSource::Nowhere
            | RequestSource::OriginalUrl
            | RequestSource::OriginalUrlAlone => parts.uri.query(),
        };
        let Some(query) = query else {
            return Ok(Restriction::default());
        };
        let of_client =
            self.may_carry_client_query && original::forwarded_query(&parts.headers) == Some(query);
        restrictions::from_query(query, self.parameters, of_client)
    }
}

/// The query parameters that are understood at the endpoints of a gateway.
///
/// A request with one of these two is refused: `auth=basic` of Authelia, which asks for a password in place of a session, and
/// `access_token` of vouch, which carries a session of its own.
fn parameters(mode: Mode) -> Vocabulary {
    match mode {
        Mode::Authelia => AUTHELIA,
        Mode::Authentik => AUTHENTIK,
        Mode::OAuth2Proxy => OAUTH2_PROXY,
        Mode::Caddy
        | Mode::Decisions
        | Mode::Envoy
        | Mode::EnvoyGrpc
        | Mode::ForwardAuth
        | Mode::Nginx
        | Mode::Proxy
        | Mode::Redirect
        | Mode::Traefik
        | Mode::Vouch => &[],
    }
}

/// The URL of the sign-in page, and parameters that describe the request to that page.
const AUTHELIA: Vocabulary = &[
    ("authelia_url", Meaning::Harmless),
    ("rd", Meaning::Harmless),
    ("rm", Meaning::Harmless),
];

/// Where a user goes after signing in.
const AUTHENTIK: Vocabulary = &[("rd", Meaning::Harmless)];

/// The restrictions of oauth2-proxy (`oauthproxy.go`, `authOnlyAuthorize`), and where a user goes after signing in.
const OAUTH2_PROXY: Vocabulary = &[
    ("allowed_emails", Meaning::Emails),
    ("allowed_email_domains", Meaning::EmailDomains),
    ("allowed_groups", Meaning::Groups),
    ("rd", Meaning::Harmless),
];

fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn has_parameter(uri: &Uri, name: &str) -> bool {
    let parameters = uri.query().unwrap_or_default().split('&');
    parameters
        .filter_map(|parameter| parameter.split_once('='))
        .any(|(known, _)| known == name)
}

/// The endpoints that Caddy asks. Its `uri` replaces the path of the request, but the query only if `uri` has one itself (seen
/// with 2.6.2 and 2.11.7).
const MAY_CARRY_CLIENT_QUERY: [&str; 7] = [
    "/api/authz/forward-auth",
    "/api/verify",
    "/auth",
    "/auth/caddy",
    "/oauth2/auth",
    "/outpost.goauthentik.io/auth/caddy",
    "/validate",
];

/// Endpoints that calling proxies put in front of the original path.
const PREFIXES: [(&str, Mode, BuiltInProfile); 3] = [
    (
        "/api/authz/ext-authz",
        Mode::Authelia,
        BuiltInProfile::Authelia,
    ),
    ("/auth/envoy", Mode::Envoy, BuiltInProfile::Sessiongate),
    (
        "/outpost.goauthentik.io/auth/envoy",
        Mode::Authentik,
        BuiltInProfile::Authentik,
    ),
];

const PATHS: [(&str, Mode, RequestSource, BuiltInProfile, RefusalStyle); 12] = {
    use BuiltInProfile::{Authelia, Authentik, OAuth2ProxyAnswers, Sessiongate, Vouch};
    use RefusalStyle::{PassedOn, StatusAlone};
    use RequestSource::{Either, Forwarded, Nowhere, OriginalUrl, OriginalUrlAlone};
    [
        ("/auth", Mode::ForwardAuth, Forwarded, Sessiongate, PassedOn),
        (
            "/auth/nginx",
            Mode::Nginx,
            OriginalUrl,
            Sessiongate,
            StatusAlone,
        ),
        ("/auth/caddy", Mode::Caddy, Forwarded, Sessiongate, PassedOn),
        (
            "/auth/traefik",
            Mode::Traefik,
            Forwarded,
            Sessiongate,
            PassedOn,
        ),
        (
            "/api/authz/auth-request",
            Mode::Authelia,
            OriginalUrl,
            Authelia,
            StatusAlone,
        ),
        (
            "/api/authz/forward-auth",
            Mode::Authelia,
            Forwarded,
            Authelia,
            PassedOn,
        ),
        ("/api/verify", Mode::Authelia, Either, Authelia, StatusAlone),
        (
            "/outpost.goauthentik.io/auth/nginx",
            Mode::Authentik,
            OriginalUrlAlone,
            Authentik,
            StatusAlone,
        ),
        (
            "/outpost.goauthentik.io/auth/caddy",
            Mode::Authentik,
            Forwarded,
            Authentik,
            PassedOn,
        ),
        (
            "/outpost.goauthentik.io/auth/traefik",
            Mode::Authentik,
            Forwarded,
            Authentik,
            PassedOn,
        ),
        // These two need only a session; their calling proxies do not send the path.
        (
            "/oauth2/auth",
            Mode::OAuth2Proxy,
            Nowhere,
            OAuth2ProxyAnswers,
            StatusAlone,
        ),
        ("/validate", Mode::Vouch, Nowhere, Vouch, StatusAlone),
    ]
};

#[cfg(test)]
mod tests {
    use super::*;

    fn at(target: &str) -> Option<Endpoint> {
        Endpoint::of(&target.parse().unwrap())
    }

    #[test]
    fn only_the_exact_path_names_an_endpoint() {
        let nginx = at("/auth/nginx?x=y").unwrap();
        assert_eq!(
            (nginx.mode, nginx.source),
            (Mode::Nginx, RequestSource::OriginalUrl)
        );
        let envoy = at("/auth/envoy/auth/nginx").unwrap();
        assert_eq!(envoy.source, RequestSource::Line { prefix: 11 });
        for target in [
            "/",
            "/auth/",
            "/auth/nginx/",
            "/auth/envoyx",
            "/AUTH",
            "/auth/haproxy",
        ] {
            assert_eq!(at(target), None, "{target}");
        }
    }

    #[test]
    fn no_refusal_is_a_5xx_to_envoy_over_http() {
        for prefix in [
            "/api/authz/ext-authz",
            "/auth/envoy",
            "/outpost.goauthentik.io/auth/envoy",
        ] {
            let refusal_style = at(prefix).unwrap().refusal_style;
            for (status, expected) in [(302, 302), (400, 400), (401, 401), (403, 403), (429, 429)] {
                let status = StatusCode::from_u16(status).unwrap();
                assert_eq!(refusal_style.status(status), expected, "{prefix}");
            }
            for status in 500..600 {
                let status = StatusCode::from_u16(status).unwrap();
                assert_eq!(refusal_style.status(status), 429, "{prefix}");
            }
        }
    }

    #[test]
    fn older_authelia_endpoint_redirects_when_configured() {
        let refusal_style = |target| at(target).unwrap().refusal_style;
        assert_eq!(refusal_style("/api/verify"), RefusalStyle::StatusAlone);
        assert_eq!(
            refusal_style("/api/verify?rd=https://a.example/"),
            RefusalStyle::PassedOn
        );
    }
}
