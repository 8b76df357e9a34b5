//! Under which names an identity is written: ours, and those of the proxies that people come from.

use std::borrow::Cow;

use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use session::Session;

use crate::Admission;
use crate::hygiene::{X_USER_EMAIL, X_USER_ID, X_USER_NAME, field_value};

/// Which users may enter, and what is written about them, on every path that needs a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdentityRules {
    /// Which e-mail addresses count as identity.
    pub email: EmailHeader,
    /// Whether guests enter: sessions of users who have never signed up.
    pub allow_anonymous: bool,
}

impl Default for IdentityRules {
    /// Addresses that no session calls unverified; guests enter.
    fn default() -> Self {
        Self {
            email: EmailHeader::Verified,
            allow_anonymous: true,
        }
    }
}

/// Which e-mail addresses count as identity: `EMAIL_HEADER`. Where sign-up is open, anybody can sign up with anybody's
/// address, and a service that knows its users by their address would take one for the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EmailHeader {
    /// All of them.
    Always,
    /// Those that the session itself does not call unverified. One about which it says nothing counts.
    #[default]
    Verified,
}

impl EmailHeader {
    /// The address that counts as the identity of this session's user. Everything that asks for one, to write it into a
    /// header or to compare it, asks here.
    pub fn address(self, session: &Session) -> Option<&str> {
        session.email().filter(|_| !self.withholds(session))
    }

    /// Whether the session has an address that does not count.
    pub fn withholds(self, session: &Session) -> bool {
        match self {
            Self::Always => false,
            Self::Verified => session.email_verified() == Some(false) && session.email().is_some(),
        }
    }

    /// Whether an address that does not count is also the user's id. Then the session says nothing about who the user is.
    pub(crate) fn withholds_subject(self, session: &Session) -> bool {
        self.withholds(session)
            && session
                .email()
                .is_some_and(|email| email.eq_ignore_ascii_case(session.subject()))
    }
}

/// A family of identity headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IdentityHeaders {
    /// `Remote-*`, as Authelia writes them.
    Authelia,
    /// `X-authentik-*`.
    Authentik,
    /// `X-Auth-Request-*`, as oauth2-proxy writes them in answers.
    OAuth2Proxy,
    /// `X-User-*`, ours.
    #[default]
    Ours,
    /// `X-Vouch-*`.
    Vouch,
}

impl IdentityHeaders {
    /// Every header of the family, with what the session says for it. What it does not say is empty, and so is everything
    /// without a session: a host that copies the headers overwrites forged ones with nothing.
    pub fn of(self, admission: &Admission) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        self.texts(admission).map(|(name, text)| {
            let value = HeaderValue::from_str(&text);
            (name.clone(), value.expect("a field value of ours is one"))
        })
    }

    /// The same, before it is made into headers.
    pub(crate) fn texts(
        self,
        admission: &Admission,
    ) -> impl Iterator<Item = (&'static HeaderName, Cow<'_, str>)> {
        self.claims().iter().map(move |(name, claim)| {
            let value = admission.session().and_then(|session| match claim {
                Claim::Email => admission.email(),
                Claim::Entered => Some("true"),
                Claim::Name => session.name(),
                Claim::Subject => Some(session.subject()),
                Claim::Unknown => None,
            });
            (name, field_value(value.unwrap_or_default()))
        })
    }

    /// The headers of the family. Those that a session of ours says nothing about are written too, empty.
    fn claims(self) -> &'static [(HeaderName, Claim)] {
        match self {
            Self::Authelia => &AUTHELIA,
            Self::Authentik => &AUTHENTIK,
            Self::OAuth2Proxy => &OAUTH2_PROXY,
            Self::Ours => &OURS,
            Self::Vouch => &VOUCH,
        }
    }
}

/// What a header says of the user.
#[derive(Clone, Copy)]
enum Claim {
    Email,
    /// That there is a user: `true`.
    Entered,
    Name,
    Subject,
    Unknown,
}

static OURS: [(HeaderName, Claim); 3] = [
    (X_USER_ID, Claim::Subject),
    (X_USER_EMAIL, Claim::Email),
    (X_USER_NAME, Claim::Name),
];

static AUTHELIA: [(HeaderName, Claim); 4] = [
    (HeaderName::from_static("remote-user"), Claim::Subject),
    (HeaderName::from_static("remote-email"), Claim::Email),
    (HeaderName::from_static("remote-name"), Claim::Name),
    (HeaderName::from_static("remote-groups"), Claim::Unknown),
];

/// Those that authentik documents for its outposts, the ones about the outpost itself (`-meta-`) included.
static AUTHENTIK: [(HeaderName, Claim); 12] = [
    (
        HeaderName::from_static("x-authentik-username"),
        Claim::Subject,
    ),
    (HeaderName::from_static("x-authentik-uid"), Claim::Subject),
    (HeaderName::from_static("x-authentik-email"), Claim::Email),
    (HeaderName::from_static("x-authentik-name"), Claim::Name),
    (
        HeaderName::from_static("x-authentik-groups"),
        Claim::Unknown,
    ),
    (
        HeaderName::from_static("x-authentik-entitlements"),
        Claim::Unknown,
    ),
    (HeaderName::from_static("x-authentik-jwt"), Claim::Unknown),
    (
        HeaderName::from_static("x-authentik-meta-app"),
        Claim::Unknown,
    ),
    (
        HeaderName::from_static("x-authentik-meta-jwks"),
        Claim::Unknown,
    ),
    (
        HeaderName::from_static("x-authentik-meta-outpost"),
        Claim::Unknown,
    ),
    (
        HeaderName::from_static("x-authentik-meta-provider"),
        Claim::Unknown,
    ),
    (
        HeaderName::from_static("x-authentik-meta-version"),
        Claim::Unknown,
    ),
];

/// Those that oauth2-proxy documents for its answers (`--set-xauthrequest`, `--pass-access-token`,
/// `--set-authorization-header`).
static OAUTH2_PROXY: [(HeaderName, Claim); 6] = [
    (
        HeaderName::from_static("x-auth-request-user"),
        Claim::Subject,
    ),
    (
        HeaderName::from_static("x-auth-request-email"),
        Claim::Email,
    ),
    // Upstreams take it for a login name, and the name in a session is what its user chose to be called.
    (
        HeaderName::from_static("x-auth-request-preferred-username"),
        Claim::Unknown,
    ),
    (
        HeaderName::from_static("x-auth-request-groups"),
        Claim::Unknown,
    ),
    (
        HeaderName::from_static("x-auth-request-access-token"),
        Claim::Unknown,
    ),
    // An ID token of the provider, which the service would believe. The session holds none, and what the client sent is
    // none either.
    (AUTHORIZATION, Claim::Unknown),
];

/// vouch signs people in by their e-mail address, and says that. A user whose address does not count gets an empty one. The
/// names are those of its `config.yml_example`; its
/// operators can choose the claims that have a header of their own (`X-Vouch-IdP-Claims-…`).
static VOUCH: [(HeaderName, Claim); 6] = [
    (HeaderName::from_static("x-vouch-user"), Claim::Email),
    (HeaderName::from_static("x-vouch-success"), Claim::Entered),
    (
        HeaderName::from_static("x-vouch-idp-accesstoken"),
        Claim::Unknown,
    ),
    (
        HeaderName::from_static("x-vouch-idp-idtoken"),
        Claim::Unknown,
    ),
    (
        HeaderName::from_static("x-vouch-idp-claims-groups"),
        Claim::Unknown,
    ),
    (
        HeaderName::from_static("x-vouch-idp-claims-given-name"),
        Claim::Unknown,
    ),
];
