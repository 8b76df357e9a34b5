//! The ways a request can come in, as audit log and metrics name them.

/// Which listener took a request; for a decision, which kind of calling proxy asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Authelia,
    Authentik,
    Caddy,
    /// A decision request to a path that is no endpoint.
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
    /// How many there are.
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
