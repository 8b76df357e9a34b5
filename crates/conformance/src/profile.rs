//! Profiles: what is known about a kind of gateway.

/// A kind of gateway: its identity headers, how its forward-auth endpoint receives the original request, and which cases do not
/// apply to it.
#[derive(Debug)]
pub struct Profile {
    /// Its name on the command line.
    pub name: &'static str,
    /// Its identity headers; the first one names the user.
    pub identity: &'static [&'static str],
    /// How its forward-auth endpoint receives the original request.
    pub original_request: OriginalRequest,
    /// Prefixes of case ids, and why these cases do not apply.
    not_applicable: &'static [(&'static str, &'static str)],
}

/// How a forward-auth endpoint receives the original request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OriginalRequest {
    /// In `X-Forwarded-Method`, `-Proto`, `-Host` and `-Uri`.
    Forwarded,
    /// In `X-Original-Method` and `X-Original-URL`.
    OriginalUrl,
    /// In the request line, after the path of the endpoint.
    RequestLine,
}

impl Profile {
    /// Returns the profile with this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        PROFILES.iter().find(|profile| profile.name == name)
    }

    /// Returns the names of all profiles.
    pub fn names() -> impl Iterator<Item = &'static str> {
        PROFILES.iter().map(|profile| profile.name)
    }

    /// Returns why the case with this id does not apply to this kind of gateway; `None` if it applies.
    pub(crate) fn exemption(&self, case: &str) -> Option<&'static str> {
        let exempt = self
            .not_applicable
            .iter()
            .find(|(id, _)| case.starts_with(id));
        exempt.map(|(_, reason)| *reason)
    }
}

const OURS: &[&str] = &["X-User-Id", "X-User-Email", "X-User-Name"];

/// The exemptions of proxies that ask sessiongate for decisions, as its documentation configures them.
const BEHIND_A_CALLING_PROXY: &[(&str, &str)] = &[
    (
        "HD15",
        "the documented configuration leaves headers of other gateways to the administrator",
    ),
    (
        "CK15",
        "a calling proxy decides itself which cookies it forwards",
    ),
];

const PROFILES: &[Profile] = &[
    Profile {
        name: "sessiongate",
        identity: OURS,
        original_request: OriginalRequest::Forwarded,
        not_applicable: &[],
    },
    Profile {
        name: "nginx",
        identity: OURS,
        original_request: OriginalRequest::OriginalUrl,
        not_applicable: BEHIND_A_CALLING_PROXY,
    },
    Profile {
        name: "caddy",
        identity: OURS,
        original_request: OriginalRequest::Forwarded,
        not_applicable: BEHIND_A_CALLING_PROXY,
    },
    Profile {
        name: "envoy",
        identity: OURS,
        original_request: OriginalRequest::RequestLine,
        not_applicable: BEHIND_A_CALLING_PROXY,
    },
    Profile {
        name: "traefik",
        identity: OURS,
        original_request: OriginalRequest::Forwarded,
        not_applicable: BEHIND_A_CALLING_PROXY,
    },
    Profile {
        name: "oauth2-proxy",
        identity: &[
            "X-Forwarded-User",
            "X-Forwarded-Email",
            "X-Forwarded-Groups",
            "X-Forwarded-Preferred-Username",
            "X-Forwarded-Access-Token",
        ],
        original_request: OriginalRequest::Forwarded,
        not_applicable: &[
            ("CK08", "its session is not a JWE"),
            ("CK09", "its session is not a JWE"),
            ("CK11", "it splits cookies in another way"),
            ("CK15", "it forwards its own cookie"),
            (
                "FA01",
                "its endpoint answers with X-Auth-Request-*, not with the headers of the proxy",
            ),
            ("FA07", "its endpoint judges the session alone"),
            (
                "FA08",
                "its endpoint answers with X-Auth-Request-*, not with the headers of the proxy",
            ),
        ],
    },
];
