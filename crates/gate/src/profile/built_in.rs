//! The built-in header profiles.

use std::sync::LazyLock;

use http::HeaderName;
use http::header::AUTHORIZATION;

use super::{Encoding, HeaderProfile, HeaderSource, IdentityHeader};

/// A built-in header profile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IdentityHeaders {
    /// `Remote-*`, as Authelia writes them.
    Authelia,
    /// `X-authentik-*`.
    Authentik,
    /// `X-WEBAUTH-*` as Gitea and Forgejo read them.
    Gitea,
    /// `X-WEBAUTH-*` as Grafana reads them.
    Grafana,
    /// `X-Forwarded-User` and the like, as the plugin reverse-proxy-auth of Jenkins reads them.
    Jenkins,
    /// `X-Auth-Request-*`, as oauth2-proxy writes them in responses.
    OAuth2ProxyAnswers,
    /// `X-Forwarded-User` and the like, as oauth2-proxy writes them to its upstream.
    OAuth2Proxy,
    /// `X-User-*`, ours.
    #[default]
    Ours,
    /// `Remote-User` and `X-Remote-User`, which most applications read that let the web server sign users in.
    RemoteUser,
    /// `X-Vouch-*`.
    Vouch,
}

impl IdentityHeaders {
    /// The profiles that a route can name, with their names in a configuration.
    pub const WORDS: [(&'static str, Self); 9] = [
        ("default", Self::Ours),
        ("grafana", Self::Grafana),
        ("jenkins", Self::Jenkins),
        ("gitea", Self::Gitea),
        ("oauth2-proxy", Self::OAuth2Proxy),
        ("authelia", Self::Authelia),
        ("authentik", Self::Authentik),
        ("vouch", Self::Vouch),
        ("remote-user", Self::RemoteUser),
    ];

    /// Returns the profile.
    pub fn profile(self) -> &'static HeaderProfile {
        &PROFILES[self as usize]
    }

    fn build(self) -> HeaderProfile {
        let name = match self {
            Self::Authelia => "authelia",
            Self::Authentik => "authentik",
            Self::Gitea => "gitea",
            Self::Grafana => "grafana",
            Self::Jenkins => "jenkins",
            Self::OAuth2ProxyAnswers => "oauth2-proxy answers",
            Self::OAuth2Proxy => "oauth2-proxy",
            Self::Ours => "default",
            Self::RemoteUser => "remote-user",
            Self::Vouch => "vouch",
        };
        let (separator, headers) = self.headers();
        let header = |(name, source): &(HeaderName, SessionValue)| IdentityHeader {
            name: name.clone(),
            source: match source {
                SessionValue::Email => HeaderSource::Email,
                SessionValue::Entered => HeaderSource::Entered,
                SessionValue::Groups => HeaderSource::Groups,
                SessionValue::Name => HeaderSource::Name,
                SessionValue::Subject => HeaderSource::Subject,
                SessionValue::Unknown => HeaderSource::Unknown,
            },
            encoding: Encoding::default(),
            separator: separator.into(),
        };
        HeaderProfile {
            name: name.into(),
            headers: headers.iter().map(header).collect(),
        }
    }

    /// Returns the separator between groups, and the headers. Headers whose value no session holds are included, and written
    /// empty.
    fn headers(self) -> (&'static str, &'static [(HeaderName, SessionValue)]) {
        match self {
            Self::Authelia => (",", &AUTHELIA),
            Self::Authentik => ("|", &AUTHENTIK),
            Self::Gitea => (",", &GITEA),
            Self::Grafana => (",", &GRAFANA),
            Self::Jenkins => ("|", &JENKINS),
            Self::OAuth2ProxyAnswers => (",", &OAUTH2_PROXY_ANSWERS),
            Self::OAuth2Proxy => (",", &OAUTH2_PROXY),
            Self::Ours => (",", &OURS),
            Self::RemoteUser => (",", &REMOTE_USER),
            Self::Vouch => (",", &VOUCH),
        }
    }
}

/// The source of a built-in header's value.
#[derive(Clone, Copy)]
enum SessionValue {
    Email,
    /// `true` if there is a user.
    Entered,
    Groups,
    Name,
    Subject,
    Unknown,
}

/// The profiles, in the order of the variants of [`IdentityHeaders`].
static PROFILES: LazyLock<[HeaderProfile; 10]> = LazyLock::new(|| {
    [
        IdentityHeaders::Authelia,
        IdentityHeaders::Authentik,
        IdentityHeaders::Gitea,
        IdentityHeaders::Grafana,
        IdentityHeaders::Jenkins,
        IdentityHeaders::OAuth2ProxyAnswers,
        IdentityHeaders::OAuth2Proxy,
        IdentityHeaders::Ours,
        IdentityHeaders::RemoteUser,
        IdentityHeaders::Vouch,
    ]
    .map(IdentityHeaders::build)
});

static OURS: [(HeaderName, SessionValue); 3] = [
    (HeaderName::from_static("x-user-id"), SessionValue::Subject),
    (HeaderName::from_static("x-user-email"), SessionValue::Email),
    (HeaderName::from_static("x-user-name"), SessionValue::Name),
];

static AUTHELIA: [(HeaderName, SessionValue); 4] = [
    (
        HeaderName::from_static("remote-user"),
        SessionValue::Subject,
    ),
    (HeaderName::from_static("remote-email"), SessionValue::Email),
    (HeaderName::from_static("remote-name"), SessionValue::Name),
    (
        HeaderName::from_static("remote-groups"),
        SessionValue::Groups,
    ),
];

/// The headers that authentik documents for its outposts, including those about the outpost itself (`-meta-`).
static AUTHENTIK: [(HeaderName, SessionValue); 12] = [
    (
        HeaderName::from_static("x-authentik-username"),
        SessionValue::Subject,
    ),
    (
        HeaderName::from_static("x-authentik-uid"),
        SessionValue::Subject,
    ),
    (
        HeaderName::from_static("x-authentik-email"),
        SessionValue::Email,
    ),
    (
        HeaderName::from_static("x-authentik-name"),
        SessionValue::Name,
    ),
    (
        HeaderName::from_static("x-authentik-groups"),
        SessionValue::Groups,
    ),
    (
        HeaderName::from_static("x-authentik-entitlements"),
        SessionValue::Unknown,
    ),
    (
        HeaderName::from_static("x-authentik-jwt"),
        SessionValue::Unknown,
    ),
    (
        HeaderName::from_static("x-authentik-meta-app"),
        SessionValue::Unknown,
    ),
    (
        HeaderName::from_static("x-authentik-meta-jwks"),
        SessionValue::Unknown,
    ),
    (
        HeaderName::from_static("x-authentik-meta-outpost"),
        SessionValue::Unknown,
    ),
    (
        HeaderName::from_static("x-authentik-meta-provider"),
        SessionValue::Unknown,
    ),
    (
        HeaderName::from_static("x-authentik-meta-version"),
        SessionValue::Unknown,
    ),
];

/// The headers that Gitea documents for its reverse proxy authentication.
static GITEA: [(HeaderName, SessionValue); 3] = [
    (
        HeaderName::from_static("x-webauth-user"),
        SessionValue::Subject,
    ),
    (
        HeaderName::from_static("x-webauth-email"),
        SessionValue::Email,
    ),
    (
        HeaderName::from_static("x-webauth-fullname"),
        SessionValue::Name,
    ),
];

/// The headers that Grafana documents for `auth.proxy`. To set a role, configure a profile; otherwise Grafana's default applies.
static GRAFANA: [(HeaderName, SessionValue); 5] = [
    (
        HeaderName::from_static("x-webauth-user"),
        SessionValue::Subject,
    ),
    (
        HeaderName::from_static("x-webauth-email"),
        SessionValue::Email,
    ),
    (
        HeaderName::from_static("x-webauth-name"),
        SessionValue::Name,
    ),
    (
        HeaderName::from_static("x-webauth-groups"),
        SessionValue::Groups,
    ),
    (
        HeaderName::from_static("x-webauth-role"),
        SessionValue::Unknown,
    ),
];

/// The default headers of the plugin reverse-proxy-auth.
static JENKINS: [(HeaderName, SessionValue); 4] = [
    (
        HeaderName::from_static("x-forwarded-user"),
        SessionValue::Subject,
    ),
    (
        HeaderName::from_static("x-forwarded-groups"),
        SessionValue::Groups,
    ),
    (
        HeaderName::from_static("x-forwarded-mail"),
        SessionValue::Email,
    ),
    (
        HeaderName::from_static("x-forwarded-displayname"),
        SessionValue::Name,
    ),
];

/// The headers that oauth2-proxy documents for its responses (`--set-xauthrequest`, `--pass-access-token`,
/// `--set-authorization-header`).
static OAUTH2_PROXY_ANSWERS: [(HeaderName, SessionValue); 6] = [
    (
        HeaderName::from_static("x-auth-request-user"),
        SessionValue::Subject,
    ),
    (
        HeaderName::from_static("x-auth-request-email"),
        SessionValue::Email,
    ),
    // Upstreams read it as a login name, but the name in a session is a display name that the user chose.
    (
        HeaderName::from_static("x-auth-request-preferred-username"),
        SessionValue::Unknown,
    ),
    (
        HeaderName::from_static("x-auth-request-groups"),
        SessionValue::Groups,
    ),
    (
        HeaderName::from_static("x-auth-request-access-token"),
        SessionValue::Unknown,
    ),
    // An ID token of the provider, which the service would trust. The session holds none, and the service must not take the
    // client's own value for one.
    (AUTHORIZATION, SessionValue::Unknown),
];

/// The headers that oauth2-proxy documents for its upstream (`--pass-user-headers`).
static OAUTH2_PROXY: [(HeaderName, SessionValue); 5] = [
    (
        HeaderName::from_static("x-forwarded-user"),
        SessionValue::Subject,
    ),
    (
        HeaderName::from_static("x-forwarded-email"),
        SessionValue::Email,
    ),
    (
        HeaderName::from_static("x-forwarded-preferred-username"),
        SessionValue::Unknown,
    ),
    (
        HeaderName::from_static("x-forwarded-groups"),
        SessionValue::Groups,
    ),
    (
        HeaderName::from_static("x-forwarded-access-token"),
        SessionValue::Unknown,
    ),
];

static REMOTE_USER: [(HeaderName, SessionValue); 2] = [
    (
        HeaderName::from_static("remote-user"),
        SessionValue::Subject,
    ),
    (
        HeaderName::from_static("x-remote-user"),
        SessionValue::Subject,
    ),
];

/// The headers in vouch's `config.yml_example`. vouch identifies users by their e-mail address; a user whose address is not
/// accepted as identity gets an empty one. Its operators can choose claims that get their own headers (`X-Vouch-IdP-Claims-…`).
static VOUCH: [(HeaderName, SessionValue); 6] = [
    (HeaderName::from_static("x-vouch-user"), SessionValue::Email),
    (
        HeaderName::from_static("x-vouch-success"),
        SessionValue::Entered,
    ),
    (
        HeaderName::from_static("x-vouch-idp-accesstoken"),
        SessionValue::Unknown,
    ),
    (
        HeaderName::from_static("x-vouch-idp-idtoken"),
        SessionValue::Unknown,
    ),
    (
        HeaderName::from_static("x-vouch-idp-claims-groups"),
        SessionValue::Groups,
    ),
    (
        HeaderName::from_static("x-vouch-idp-claims-given-name"),
        SessionValue::Unknown,
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_names_its_profile() {
        for (word, family) in IdentityHeaders::WORDS {
            assert_eq!(&*family.profile().name, word);
        }
    }
}
