//! The ways in which a request arrives, with their names in the audit log and the metrics.

/// The listener that received a request; for a decision request, the kind of calling proxy that sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Authelia,
    Authentik,
    Caddy,
    /// A decision request whose path is not an endpoint.
    Decisions,
    Envoy,
    EnvoyGrpc,
    ForwardAuth,
    Nginx,
    OAuth2Proxy,
    Proxy,
    Redirect,
    Traefik,
    Vouch,
}

impl Mode {
    /// The number of modes.
    pub(crate) const COUNT: usize = Mode::Vouch as usize + 1;

    /// The name in the audit log and the metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Mode::Authelia => "authelia",
            Mode::Authentik => "authentik",
            Mode::Caddy => "caddy",
            Mode::Decisions => "decisions",
            Mode::Envoy => "envoy",
            Mode::EnvoyGrpc => "envoy-grpc",
            Mode::ForwardAuth => "forward-auth",
            Mode::Nginx => "nginx",
            Mode::OAuth2Proxy => "oauth2-proxy",
            Mode::Proxy => "proxy",
            Mode::Redirect => "redirect",
            Mode::Traefik => "traefik",
            Mode::Vouch => "vouch",
        }
    }
}
