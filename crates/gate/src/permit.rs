//! Permission to enter, and the request that may go to the upstream.
//!
//! [`Permit`] and [`Admitted`] have private fields, so other crates cannot make them. Within this crate, only [`Gate::decide_by`]
//! calls `Permit::new`, by convention. The two share this file so that nothing can make an `Admitted` request without a permit.

use std::borrow::Cow;

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};
use http1::{RawTarget, binds_connection, write_field};
use session::{KeyRing, Session};

use crate::hygiene::Forwarding;
use crate::profile::IdentityView;
use crate::{
    Arrival, BuiltInProfile, EmailHeader, Gate, HeaderProfile, Hygiene, IdentityRules,
    LookupSource, Refusal, Refused, Restriction, Route, User, hygiene,
};

/// Permission to enter, with its terms. Only [`Gate::decide_by`], which [`Gate::decide`] calls, makes one.
#[must_use = "an unused permit means that the request is not forwarded"]
#[derive(Debug)]
pub struct Permit<'g> {
    admission: Admission,
    route: &'g Route,
    profile: &'g HeaderProfile,
    identity: &'g IdentityRules,
    /// The keys of the realm of the route.
    keys: &'g KeyRing,
    hygiene: &'g Hygiene,
}

/// The grounds on which a request enters.
#[derive(Debug)]
pub enum Admission {
    /// With the development header, without an identity.
    Bypass,
    /// As a CORS preflight, without an identity.
    Preflight,
    /// On a public path, without an identity.
    Public,
    /// With an opened session, as its subject.
    Session {
        /// The session. Boxed, because this value is moved often until the request ends.
        session: Box<Session>,
        /// Its user, with the columns that were looked up.
        user: User,
        /// Which e-mail addresses are accepted as identity.
        email_header: EmailHeader,
        /// The store that knew the session; `None` when the request itself held all of it.
        found_in: Option<LookupSource>,
        /// The store that knew the user; `None` when users are not checked.
        checked_by: Option<LookupSource>,
    },
}

impl Admission {
    /// Returns the session with which the request enters, if there is one.
    pub fn session(&self) -> Option<&Session> {
        match self {
            Admission::Bypass | Admission::Preflight | Admission::Public => None,
            Admission::Session { session, .. } => Some(session),
        }
    }

    /// Takes out the session with which the request enters.
    pub(crate) fn into_session(self) -> Option<Box<Session>> {
        match self {
            Admission::Bypass | Admission::Preflight | Admission::Public => None,
            Admission::Session { session, .. } => Some(session),
        }
    }

    /// Returns the user's e-mail address, if it is accepted as identity. All code that decides by an address or writes one must
    /// take it from here.
    pub fn email(&self) -> Option<&str> {
        match self {
            Admission::Bypass | Admission::Preflight | Admission::Public => None,
            Admission::Session {
                session,
                email_header,
                ..
            } => email_header.address(session),
        }
    }

    /// Whether the session has an e-mail address that is not accepted, because the session itself says that it is unverified.
    pub fn withholds_email(&self) -> bool {
        match self {
            Admission::Bypass | Admission::Preflight | Admission::Public => false,
            Admission::Session {
                session,
                email_header,
                ..
            } => email_header.withholds(session),
        }
    }

    /// Returns the user of the session, without columns if no store was asked for them.
    pub(crate) fn user(&self) -> Option<&User> {
        match self {
            Admission::Bypass | Admission::Preflight | Admission::Public => None,
            Admission::Session { user, .. } => Some(user),
        }
    }

    /// Returns the store that knew the session.
    pub(crate) fn found_in(&self) -> Option<LookupSource> {
        match self {
            Admission::Bypass | Admission::Preflight | Admission::Public => None,
            Admission::Session { found_in, .. } => *found_in,
        }
    }

    /// Returns the store that knew the user.
    pub(crate) fn checked_by(&self) -> Option<LookupSource> {
        match self {
            Admission::Bypass | Admission::Preflight | Admission::Public => None,
            Admission::Session { checked_by, .. } => *checked_by,
        }
    }

    /// Returns the stable code of these grounds in the audit log and the metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Admission::Bypass => "bypass",
            Admission::Preflight => "preflight",
            Admission::Public => "public",
            Admission::Session { .. } => "session",
        }
    }
}

impl<'g> Permit<'g> {
    /// Returns the permit for a request that enters by this route, if all identity headers can be written.
    pub(crate) fn new<U, S>(
        gate: &'g Gate<U, S>,
        route: &'g Route,
        admission: Admission,
    ) -> Result<Self, Refusal> {
        let realm = &gate.realms[route.realm];
        let permit = Self {
            admission,
            route,
            profile: &gate.profiles[route.profile],
            identity: &realm.identity,
            keys: &realm.keys,
            hygiene: &gate.hygiene,
        };
        match permit.profile.can_refuse() && permit.profile.check(&permit.identity_view()).is_err()
        {
            true => Err(Refusal::Unwritable(Box::new(permit.admission))),
            false => Ok(permit),
        }
    }

    fn identity_view(&self) -> IdentityView<'_> {
        IdentityView::of(&self.admission, self.identity, self.route)
    }

    /// The route by which the request enters.
    pub fn route(&self) -> &'g Route {
        self.route
    }

    /// Returns the permit if the calling proxy lets its user enter. A request that enters without a user, on a public path or as
    /// a preflight, is not restricted (oauth2-proxy does not restrict it either); the bypass is treated as a user without an
    /// address.
    ///
    /// # Errors
    ///
    /// [`Refusal::Restricted`] when the calling proxy does not let the user enter.
    pub fn restricted_to(self, restriction: &Restriction) -> Result<Self, Refused<'g>> {
        let admitted = match &self.admission {
            Admission::Preflight | Admission::Public => true,
            Admission::Bypass | Admission::Session { .. } => {
                restriction.admits(self.admission.email(), || {
                    let view = self.identity_view();
                    let groups = view.groups().into_iter();
                    groups.map(Cow::into_owned).collect()
                })
            }
        };
        if admitted {
            Ok(self)
        } else {
            let refusal = Refusal::Restricted(Box::new(self.admission));
            Err(Refused::by(self.route, refusal))
        }
    }

    /// Returns the identity headers for a calling proxy: those of the profile that it `expects`, and those of the route's
    /// profile. Each replaces all headers of that name, even if its value is empty.
    pub fn identity(&self, expects: BuiltInProfile) -> Vec<(HeaderName, HeaderValue)> {
        let view = self.identity_view();
        let mut fields = expects.profile().fields(&view);
        let of_route = match self.route.profile {
            DEFAULT_PROFILE => Vec::new(),
            _ => self.profile.fields(&view),
        };
        // The route's profile takes precedence over the expected one.
        fields.retain(|(name, _)| !of_route.iter().any(|(other, _)| other == name));
        fields.extend(of_route);
        fields
    }

    /// Returns which of the request's own `headers` a calling proxy must remove, because a client could have forged them: headers
    /// that claim an identity, and headers that describe the request and were not written by the calling proxy, as far as their
    /// names tell. They are chosen by name alone, so a header is also returned if another proxy wrote it in good faith.
    ///
    /// Headers that [`identity`](Self::identity) replaces with a value are not among them, because proxies remove headers after
    /// they write others. Headers that it replaces with an empty value are among them, for proxies that are configured to copy
    /// only some of the identity headers.
    pub fn forged(&self, expects: BuiltInProfile, headers: &HeaderMap) -> Vec<HeaderName> {
        // A calling proxy is a trusted one, and writes headers about the request in their usual spelling.
        let mut forged = self.hygiene.unwanted(headers, true);
        let written = self.identity(expects);
        forged.retain(|name| {
            let is_written =
                |(other, value): &(HeaderName, HeaderValue)| other == name && !value.is_empty();
            !written.iter().any(is_written)
        });
        forged
    }

    /// Whether the groups of users are known.
    pub fn has_groups_source(&self) -> bool {
        self.identity.groups.is_some()
    }

    /// Returns the grounds of this permit.
    pub fn admission(&self) -> &Admission {
        &self.admission
    }

    /// Takes the grounds out of the permit, for the record of a request that a calling proxy forwards.
    pub fn into_admission(self) -> Admission {
        self.admission
    }

    /// Turns the request into one that the upstream may see: removes hop-by-hop fields and all headers that we own or do not
    /// trust, then writes the identity, once. `rewrite` says what else changes.
    ///
    /// Also returns the grounds, for the record.
    pub fn admit<'r, B>(
        self,
        request: &'r Request<B>,
        arrival: &Arrival,
        rewrite: Rewrite<'r>,
    ) -> (Admitted<'r, B>, Admission) {
        let headers = request.headers();
        let by_session = matches!(self.admission, Admission::Session { .. });
        let mut fields = Vec::with_capacity(USUAL_FIELDS);
        let forwarding = Forwarding {
            by_session_of: by_session.then_some(self.keys),
            forwards_session: self.route.forwards_session,
            counts_forwards: *request.method() == Method::OPTIONS,
            cuts_prefix: self.route.strip_segments > 0,
            host: rewrite.host,
        };
        let seen = self
            .hygiene
            .write(&mut fields, headers, &forwarding, arrival);
        // A profile that a route names is written even without a user, with empty values; the default one only for a user.
        if by_session || self.route.profile != DEFAULT_PROFILE {
            for (name, value) in self.profile.values(&self.identity_view()) {
                write_field(&mut fields, name.as_str().as_bytes(), &value);
            }
        }
        if rewrite.via {
            // After the `Via` of earlier proxies.
            let via = match request.version() {
                Version::HTTP_10 => "1.0 sessiongate",
                Version::HTTP_2 => "2.0 sessiongate",
                _ => "1.1 sessiongate",
            };
            write_field(&mut fields, b"via", via.as_bytes());
        }
        let (uri, cut) = match self.route.strip_segments {
            0 => (Cow::Borrowed(request.uri()), None),
            segments => without_segments(request.uri(), segments),
        };
        let raw = request.extensions().get::<RawTarget>();
        let raw = raw.map(|raw| match self.route.strip_segments {
            0 => Cow::Borrowed(raw.as_bytes()),
            segments => raw.without_segments(segments),
        });
        if let Some(prefix) = cut {
            // After the prefix that a trusted proxy has cut off.
            let outer = headers.get(X_FORWARDED_PREFIX);
            let outer = outer.filter(|_| arrival.trusted_peer);
            let outer = outer
                .and_then(|outer| outer.to_str().ok())
                .unwrap_or_default();
            let prefix = format!("{}{prefix}", outer.trim_end_matches('/'));
            write_field(
                &mut fields,
                X_FORWARDED_PREFIX.as_bytes(),
                prefix.as_bytes(),
            );
        }
        let admitted = Admitted {
            method: request.method(),
            uri,
            raw,
            body: request.body(),
            has_host: seen.host.is_some() || rewrite.host.is_some(),
            binds_connection: seen.authorization.is_some_and(binds_connection),
            fields,
        };
        (admitted, self.admission)
    }
}

/// How a request is changed for one service.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rewrite<'r> {
    /// The value of `Host`, in place of the request's own.
    pub host: Option<&'r HeaderValue>,
    /// Whether to write `Via`, with the request's version of HTTP (RFC 9110 §7.6.3).
    pub via: bool,
}

/// Returns the target without this many segments at its beginning, and the path that was cut off.
fn without_segments(uri: &Uri, segments: usize) -> (Cow<'_, Uri>, Option<&str>) {
    let target = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let path = uri.path();
    let slashes = path.bytes().enumerate().filter(|(_, byte)| *byte == b'/');
    let end = slashes.map(|(at, _)| at).nth(segments);
    let (prefix, rest) = match end {
        Some(end) => (&path[..end], Cow::Borrowed(&target[end..])),
        // The prefix itself, without a final slash, becomes `/`.
        None => (path, Cow::Owned(format!("/{}", &target[path.len()..]))),
    };
    match rest.parse() {
        Ok(uri) => (Cow::Owned(uri), Some(prefix)),
        // Routes refuse paths for which this fails; here the target must at least not change into another one.
        Err(_) => (Cow::Borrowed(uri), None),
    }
}

/// A request that may go to the upstream. The upstream client accepts nothing else.
#[derive(Debug)]
pub struct Admitted<'r, B> {
    method: &'r Method,
    uri: Cow<'r, Uri>,
    /// The target, if a URI cannot represent it.
    raw: Option<Cow<'r, [u8]>>,
    body: &'r B,
    has_host: bool,
    binds_connection: bool,
    fields: Vec<u8>,
}

impl<'r, B> Admitted<'r, B> {
    /// Makes the request ask for a WebSocket. The fields for that are hop-by-hop and were removed.
    #[must_use]
    pub fn with_websocket_upgrade(mut self) -> Self {
        for (name, value) in hygiene::websocket_fields() {
            write_field(&mut self.fields, name, value);
        }
        self
    }

    /// Adds a `Host` header if the request has none, as HTTP/1.0 allows.
    #[must_use]
    pub fn with_default_host(mut self, host: &HeaderValue) -> Self {
        if !self.has_host {
            write_field(&mut self.fields, b"host", host.as_bytes());
        }
        self
    }

    /// The request's method.
    pub fn method(&self) -> &'r Method {
        self.method
    }

    /// The request's target, percent-encoded if a URI cannot represent it.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The request's target byte for byte: path and query.
    pub fn target(&self) -> &[u8] {
        let target = || self.uri.path_and_query().map_or("/", PathAndQuery::as_str);
        self.raw.as_deref().unwrap_or_else(|| target().as_bytes())
    }

    /// The request's body.
    pub fn body(&self) -> &'r B {
        self.body
    }

    /// Whether the request has credentials that authenticate its connection from then on, as [`http1::binds_connection`] says.
    pub fn binds_connection(&self) -> bool {
        self.binds_connection
    }

    /// The request's fields, a line each, in the form of HTTP/1.1 (RFC 9112 §5): all that the upstream may see.
    pub fn fields(&self) -> &[u8] {
        &self.fields
    }
}

/// The header with the prefix that was cut off the path, for services that build links (Traefik's `StripPrefix` writes it too).
const X_FORWARDED_PREFIX: &str = "x-forwarded-prefix";

/// The position of the profile of routes that name none. For a calling proxy, the headers that it expects replace this profile.
const DEFAULT_PROFILE: usize = 0;

/// The size of most requests' fields, in bytes, so that they take one allocation.
const USUAL_FIELDS: usize = 768;
