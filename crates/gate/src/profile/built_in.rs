//! The built-in header profiles.

use std::sync::LazyLock;

use http::HeaderName;
use http::header::AUTHORIZATION;

use super::{Encoding, HeaderProfile, HeaderSource, IdentityHeader};

/// A built-in [header profile](HeaderProfile).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BuiltInProfile {
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
    /// `Remote-User` and `X-Remote-User`, which most applications read that let the web server sign users in.
    RemoteUser,
    /// `X-User-Id`, `X-User-Email` and `X-User-Name`: sessiongate's own headers, for routes that name no profile.
    #[default]
    Sessiongate,
    /// `X-Vouch-*`.
    Vouch,
}

impl BuiltInProfile {
    /// The profiles that a configuration can use by name, each with that name.
    pub const BY_NAME: [(&'static str, Self); 9] = [
        ("default", Self::Sessiongate),
        ("grafana", Self::Grafana),
        ("jenkins", Self::Jenkins),
        ("gitea", Self::Gitea),
        ("oauth2-proxy", Self::OAuth2Proxy),
        ("authelia", Self::Authelia),
        ("authentik", Self::Authentik),
        ("vouch", Self::Vouch),
        ("remote-user", Self::RemoteUser),
    ];

    /// Returns the headers of this profile, and the sources of their values.
    pub fn profile(self) -> &'static HeaderProfile {
        &PROFILES[self as usize]
    }

    /// Returns the profile's name, for messages.
    fn name(self) -> &'static str {
        match self {
            Self::Authelia => "authelia",
            Self::Authentik => "authentik",
            Self::Gitea => "gitea",
            Self::Grafana => "grafana",
            Self::Jenkins => "jenkins",
            Self::OAuth2ProxyAnswers => "oauth2-proxy answers",
            Self::OAuth2Proxy => "oauth2-proxy",
            Self::RemoteUser => "remote-user",
            Self::Sessiongate => "default",
            Self::Vouch => "vouch",
        }
    }

    fn build(self) -> HeaderProfile {
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
            name: self.name().into(),
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
            Self::RemoteUser => (",", &REMOTE_USER),
            Self::Sessiongate => (",", &SESSIONGATE),
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

/// All variants of [`BuiltInProfile`], in their order.
const ALL: [BuiltInProfile; 10] = [
    BuiltInProfile::Authelia,
    BuiltInProfile::Authentik,
    BuiltInProfile::Gitea,
    BuiltInProfile::Grafana,
    BuiltInProfile::Jenkins,
    BuiltInProfile::OAuth2ProxyAnswers,
    BuiltInProfile::OAuth2Proxy,
    BuiltInProfile::RemoteUser,
    BuiltInProfile::Sessiongate,
    BuiltInProfile::Vouch,
];

/// The built-in profiles, in the order of the variants of [`BuiltInProfile`].
static PROFILES: LazyLock<[HeaderProfile; ALL.len()]> =
    LazyLock::new(|| ALL.map(BuiltInProfile::build));

static SESSIONGATE: [(HeaderName, SessionValue); 3] = [
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
    fn every_variant_has_its_own_profile() {
        for (place, built_in) in ALL.into_iter().enumerate() {
            assert_eq!(built_in as usize, place, "{built_in:?}");
            let profile = built_in.profile();
            assert_eq!(&*profile.name, built_in.name());
            let names = profile.headers.iter().map(|header| &header.name);
            let (_, headers) = built_in.headers();
            assert!(names.eq(headers.iter().map(|(name, _)| name)));
        }
    }

    #[test]
    fn every_name_is_that_of_its_profile() {
        for (name, built_in) in BuiltInProfile::BY_NAME {
            assert_eq!(built_in.name(), name);
        }
    }
}
