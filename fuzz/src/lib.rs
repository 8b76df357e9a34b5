//! Shared by the fuzz targets: an application for each kind of session, requests to it, and the sessions that the session crate
//! finds in them.

#![forbid(unsafe_code)]

pub mod case;
pub mod keys;
pub mod messages;
pub mod reference;
pub mod vectors;

use serde_json::{Map, Value};
use session::{
    CacheStrategy, ClaimDemands, CookieCache, KeyRing, Opened, SealedSession, Secret,
    SessionCookie, UnixTime,
};

/// An application whose sessions are opened.
pub struct App {
    /// Which library it uses.
    pub kind: Kind,
    /// The secrets, the current one first.
    pub secrets: Vec<String>,
    /// The cookie that holds the session, or its token.
    pub cookie_name: String,
    /// The cookie that holds Better Auth's cache.
    pub data_name: String,
    /// The salt from which the keys of Auth.js are derived.
    pub salt: String,
    /// The only strategy of Better Auth's cache; `None` for any.
    pub strategy: Option<CacheStrategy>,
    /// The version of Better Auth's cache.
    pub version: String,
}

/// Which library an [`App`] uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the libraries")]
pub enum Kind {
    AuthJs,
    AuthJsDatabase,
    BetterAuth,
    NextAuth,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [
        Self::AuthJs,
        Self::AuthJsDatabase,
        Self::BetterAuth,
        Self::NextAuth,
    ];
}

/// The parts of a request that matter here.
pub struct Request {
    /// The value of `Cookie`.
    pub cookie: Vec<u8>,
    /// The value of `Authorization`.
    pub authorization: Option<Vec<u8>>,
    /// The time, in seconds since the epoch.
    pub now: u64,
}

/// What one implementation reads in a request.
#[derive(Debug, PartialEq)]
pub struct Outcome {
    /// The token to look up.
    pub token: Option<String>,
    /// The session that needs no lookup.
    pub session: Option<Identity>,
}

/// The contents of a session.
#[derive(Debug, PartialEq)]
pub struct Identity {
    /// All claims.
    pub claims: Map<String, Value>,
    /// The user's id.
    pub subject: String,
    /// The user's e-mail address.
    pub email: Option<String>,
    /// The user's name.
    pub name: Option<String>,
    /// When the session ends, in milliseconds since the epoch.
    pub ends: u64,
}

impl App {
    /// The keys of this application.
    pub fn ring(&self) -> KeyRing {
        let name = self.cookie_name.parse().expect("a cookie name");
        let cookie = match self.kind {
            Kind::AuthJs => SessionCookie::authjs(name).with_salt(&self.salt),
            Kind::AuthJsDatabase => SessionCookie::authjs_database(name),
            Kind::BetterAuth => SessionCookie::better_auth(name)
                .with_data_name(self.data_name.parse().expect("a cookie name"))
                .with_cache(Some(CookieCache {
                    strategy: self.strategy,
                    version: self.version.as_str().into(),
                })),
            Kind::NextAuth => SessionCookie::nextauth(name),
        };
        let secrets: Vec<_> = self
            .secrets
            .iter()
            .map(|secret| Secret::new(secret.as_str()))
            .collect();
        KeyRing::new(&secrets, vec![cookie]).expect("a ring")
    }
}

/// Finds and opens the session of a request with the session crate.
pub fn open(ring: &KeyRing, request: &Request) -> Outcome {
    let authorization = request.authorization.as_deref();
    let sealed = SealedSession::find(ring, [request.cookie.as_slice()], authorization);
    let now = UnixTime::from_secs(request.now);
    let opened = sealed.and_then(|sealed| {
        sealed
            .map(|sealed| sealed.open(ring, &ClaimDemands::default(), now))
            .transpose()
    });
    match opened {
        Ok(Some(Opened::Session(session))) => Outcome {
            token: None,
            session: Some(Identity {
                claims: session.claims(),
                subject: session.subject().to_owned(),
                email: session.email().map(str::to_owned),
                name: session.name().map(str::to_owned),
                ends: session.expires_at().millis(),
            }),
        },
        Ok(Some(Opened::Lookup { token, .. })) => Outcome {
            token: Some(token.expose().to_owned()),
            session: None,
        },
        Ok(None) | Err(_) => Outcome {
            token: None,
            session: None,
        },
    }
}

/// Opens a request with the session crate, and compares the result with the reference implementation. Returns the session crate's result.
///
/// # Panics
/// When the session crate opens what the reference implementation does not, or reads something else in it.
pub fn compare(app: &App, ring: &KeyRing, request: &Request) -> Outcome {
    let ours = open(ring, request);
    let theirs = reference::open(app, request);
    let same_token = ours.token.is_none() || ours.token == theirs.token;
    let same_session = ours.session.is_none() || ours.session == theirs.session;
    assert!(
        same_token && same_session,
        "{ours:?}, but the reference implementation returns {theirs:?}"
    );
    ours
}
