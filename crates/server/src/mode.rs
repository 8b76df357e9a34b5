//! The ways in which a request arrives, with their names in the audit log and the metrics.

/// Defines [`Mode`] from its variants and their names, so that the list of all modes is complete.
macro_rules! modes {
    ($($(#[$doc:meta])* $mode:ident = $name:literal,)+) => {
        /// The listener that received a request; for a decision request, the kind of calling proxy that sent it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Mode {
            $($(#[$doc])* $mode,)+
        }

        impl Mode {
            /// All modes, in the order of their numbers.
            const ALL: &'static [Mode] = &[$(Mode::$mode,)+];

            /// The number of modes.
            pub(crate) const COUNT: usize = Mode::ALL.len();

            /// The name in the audit log and the metrics.
            pub(crate) fn as_str(self) -> &'static str {
                match self {
                    $(Mode::$mode => $name,)+
                }
            }
        }
    };
}

modes! {
    Authelia = "authelia",
    Authentik = "authentik",
    Caddy = "caddy",
    /// A decision request whose path is not an endpoint.
    Decisions = "decisions",
    Envoy = "envoy",
    EnvoyGrpc = "envoy-grpc",
    ForwardAuth = "forward-auth",
    Nginx = "nginx",
    OAuth2Proxy = "oauth2-proxy",
    Proxy = "proxy",
    Redirect = "redirect",
    Traefik = "traefik",
    Vouch = "vouch",
}
