//! Under which names an identity is written: ours, and those of the proxies that people come from.

use std::borrow::Cow;

use http::{HeaderName, HeaderValue};
use session::Session;

use crate::hygiene::{X_USER_EMAIL, X_USER_ID, X_USER_NAME, field_value};

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
    pub fn of(self, session: Option<&Session>) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        self.texts(session).map(|(name, text)| {
            let value = HeaderValue::from_str(&text);
            (name.clone(), value.expect("a field value of ours is one"))
        })
    }

    /// The same, before it is made into headers.
    pub(crate) fn texts(
        self,
        session: Option<&Session>,
    ) -> impl Iterator<Item = (&'static HeaderName, Cow<'_, str>)> {
        self.claims().iter().map(move |(name, claim)| {
            let value = session.and_then(|session| match claim {
                Claim::Email => session.email(),
                Claim::Name => session.name(),
                Claim::Subject => Some(session.subject()),
                Claim::Unknown => None,
            });
            (name, field_value(value.unwrap_or_default()))
        })
    }

    /// Whether a header belongs to the family.
    pub(crate) fn contains(self, name: &HeaderName) -> bool {
        self.claims().iter().any(|(written, _)| written == name)
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

static AUTHENTIK: [(HeaderName, Claim); 7] = [
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
];

static OAUTH2_PROXY: [(HeaderName, Claim); 5] = [
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
];

/// vouch signs people in by their e-mail address, and says that.
static VOUCH: [(HeaderName, Claim); 1] = [(HeaderName::from_static("x-vouch-user"), Claim::Email)];
