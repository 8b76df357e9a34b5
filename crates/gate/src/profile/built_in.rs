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
        let header = |(name, source): &(HeaderName, Says)| IdentityHeader {
            name: name.clone(),
            source: match source {
                Says::Email => HeaderSource::Email,
                Says::Entered => HeaderSource::Entered,
                Says::Groups => HeaderSource::Groups,
                Says::Name => HeaderSource::Name,
                Says::Subject => HeaderSource::Subject,
                Says::Unknown => HeaderSource::Unknown,
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
    fn headers(self) -> (&'static str, &'static [(HeaderName, Says)]) {
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
enum Says {
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

static OURS: [(HeaderName, Says); 3] = [
    (HeaderName::from_static("x-user-id"), Says::Subject),
    (HeaderName::from_static("x-user-email"), Says::Email),
    (HeaderName::from_static("x-user-name"), Says::Name),
];

static AUTHELIA: [(HeaderName, Says); 4] = [
    (HeaderName::from_static("remote-user"), Says::Subject),
    (HeaderName::from_static("remote-email"), Says::Email),
    (HeaderName::from_static("remote-name"), Says::Name),
    (HeaderName::from_static("remote-groups"), Says::Groups),
];

/// The headers that authentik documents for its outposts, including those about the outpost itself (`-meta-`).
static AUTHENTIK: [(HeaderName, Says); 12] = [
    (
        HeaderName::from_static("x-authentik-username"),
        Says::Subject,
    ),
    (HeaderName::from_static("x-authentik-uid"), Says::Subject),
    (HeaderName::from_static("x-authentik-email"), Says::Email),
    (HeaderName::from_static("x-authentik-name"), Says::Name),
    (HeaderName::from_static("x-authentik-groups"), Says::Groups),
    (
        HeaderName::from_static("x-authentik-entitlements"),
        Says::Unknown,
    ),
    (HeaderName::from_static("x-authentik-jwt"), Says::Unknown),
    (
        HeaderName::from_static("x-authentik-meta-app"),
        Says::Unknown,
    ),
    (
        HeaderName::from_static("x-authentik-meta-jwks"),
        Says::Unknown,
    ),
    (
        HeaderName::from_static("x-authentik-meta-outpost"),
        Says::Unknown,
    ),
    (
        HeaderName::from_static("x-authentik-meta-provider"),
        Says::Unknown,
    ),
    (
        HeaderName::from_static("x-authentik-meta-version"),
        Says::Unknown,
    ),
];

/// The headers that Gitea documents for its reverse proxy authentication.
static GITEA: [(HeaderName, Says); 3] = [
    (HeaderName::from_static("x-webauth-user"), Says::Subject),
    (HeaderName::from_static("x-webauth-email"), Says::Email),
    (HeaderName::from_static("x-webauth-fullname"), Says::Name),
];

/// The headers that Grafana documents for `auth.proxy`. To set a role, configure a profile; otherwise Grafana's default applies.
static GRAFANA: [(HeaderName, Says); 5] = [
    (HeaderName::from_static("x-webauth-user"), Says::Subject),
    (HeaderName::from_static("x-webauth-email"), Says::Email),
    (HeaderName::from_static("x-webauth-name"), Says::Name),
    (HeaderName::from_static("x-webauth-groups"), Says::Groups),
    (HeaderName::from_static("x-webauth-role"), Says::Unknown),
];

/// The default headers of the plugin reverse-proxy-auth.
static JENKINS: [(HeaderName, Says); 4] = [
    (HeaderName::from_static("x-forwarded-user"), Says::Subject),
    (HeaderName::from_static("x-forwarded-groups"), Says::Groups),
    (HeaderName::from_static("x-forwarded-mail"), Says::Email),
    (
        HeaderName::from_static("x-forwarded-displayname"),
        Says::Name,
    ),
];

/// The headers that oauth2-proxy documents for its responses (`--set-xauthrequest`, `--pass-access-token`,
/// `--set-authorization-header`).
static OAUTH2_PROXY_ANSWERS: [(HeaderName, Says); 6] = [
    (
        HeaderName::from_static("x-auth-request-user"),
        Says::Subject,
    ),
    (HeaderName::from_static("x-auth-request-email"), Says::Email),
    // Upstreams read it as a login name, but the name in a session is a display name that the user chose.
    (
        HeaderName::from_static("x-auth-request-preferred-username"),
        Says::Unknown,
    ),
    (
        HeaderName::from_static("x-auth-request-groups"),
        Says::Groups,
    ),
    (
        HeaderName::from_static("x-auth-request-access-token"),
        Says::Unknown,
    ),
    // An ID token of the provider, which the service would trust. The session holds none, and the service must not take the
    // client's own value for one.
    (AUTHORIZATION, Says::Unknown),
];

/// The headers that oauth2-proxy documents for its upstream (`--pass-user-headers`).
static OAUTH2_PROXY: [(HeaderName, Says); 5] = [
    (HeaderName::from_static("x-forwarded-user"), Says::Subject),
    (HeaderName::from_static("x-forwarded-email"), Says::Email),
    (
        HeaderName::from_static("x-forwarded-preferred-username"),
        Says::Unknown,
    ),
    (HeaderName::from_static("x-forwarded-groups"), Says::Groups),
    (
        HeaderName::from_static("x-forwarded-access-token"),
        Says::Unknown,
    ),
];

static REMOTE_USER: [(HeaderName, Says); 2] = [
    (HeaderName::from_static("remote-user"), Says::Subject),
    (HeaderName::from_static("x-remote-user"), Says::Subject),
];

/// The headers in vouch's `config.yml_example`. vouch identifies users by their e-mail address; a user whose address is not
/// accepted as identity gets an empty one. Its operators can choose claims that get their own headers (`X-Vouch-IdP-Claims-…`).
static VOUCH: [(HeaderName, Says); 6] = [
    (HeaderName::from_static("x-vouch-user"), Says::Email),
    (HeaderName::from_static("x-vouch-success"), Says::Entered),
    (
        HeaderName::from_static("x-vouch-idp-accesstoken"),
        Says::Unknown,
    ),
    (
        HeaderName::from_static("x-vouch-idp-idtoken"),
        Says::Unknown,
    ),
    (
        HeaderName::from_static("x-vouch-idp-claims-groups"),
        Says::Groups,
    ),
    (
        HeaderName::from_static("x-vouch-idp-claims-given-name"),
        Says::Unknown,
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
