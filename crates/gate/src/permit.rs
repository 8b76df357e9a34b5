//! Permission, and what it turns a request into. Both have one birthplace: here.

use http::{HeaderMap, HeaderName, HeaderValue, Request};
use session::Session;

use crate::{Arrival, Gate, Hygiene, IdentityHeaders, Source, hygiene};

/// Permission to enter, with its terms. Only [`Gate::decide`] gives one.
#[must_use = "a permit that is not used leaves the request outside"]
#[derive(Debug)]
pub struct Permit<'g> {
    admission: Admission,
    hygiene: &'g Hygiene,
    keys: &'g session::KeyRing,
}

/// On what grounds a request enters.
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
        /// The session.
        session: Session,
        /// The store that knew the session; `None` when the request itself held all of it.
        found_in: Option<Source>,
        /// The store that knew the user; `None` when users are not checked.
        checked_by: Option<Source>,
    },
}

impl Admission {
    /// The session by which the request enters, if it enters by one.
    pub fn session(&self) -> Option<&Session> {
        match self {
            Admission::Bypass | Admission::Preflight | Admission::Public => None,
            Admission::Session { session, .. } => Some(session),
        }
    }

    /// The stable code of these grounds in the audit log and the metrics.
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
    pub(crate) fn bypass<U, S>(gate: &'g Gate<U, S>) -> Self {
        Self::new(gate, Admission::Bypass)
    }

    pub(crate) fn preflight<U, S>(gate: &'g Gate<U, S>) -> Self {
        Self::new(gate, Admission::Preflight)
    }

    pub(crate) fn public<U, S>(gate: &'g Gate<U, S>) -> Self {
        Self::new(gate, Admission::Public)
    }

    pub(crate) fn session<U, S>(
        gate: &'g Gate<U, S>,
        session: Session,
        found_in: Option<Source>,
        checked_by: Option<Source>,
    ) -> Self {
        Self::new(
            gate,
            Admission::Session {
                session,
                found_in,
                checked_by,
            },
        )
    }

    fn new<U, S>(gate: &'g Gate<U, S>, admission: Admission) -> Self {
        Self {
            admission,
            hygiene: &gate.hygiene,
            keys: &gate.keys,
        }
    }

    /// What to tell a host that forwards the request itself: every identity header that it expects, to be written in place of
    /// all headers of that name, a header without a value too.
    pub fn identity(
        &self,
        names: IdentityHeaders,
    ) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        names.of(self.admission.session())
    }

    /// Which of the request's own `headers` must not travel on, for a host that can be told: they claim an identity, or
    /// describe the request in a spelling that only an upstream would understand. Those that [`identity`](Self::identity)
    /// replaces are not among them: hosts remove headers after they have written others.
    pub fn forged(&self, names: IdentityHeaders, headers: &HeaderMap) -> Vec<HeaderName> {
        // The host is a listed proxy: what it says about the request in proper spelling is its own.
        let mut forged = self.hygiene.unwanted(headers, true);
        forged.retain(|name| !names.contains(name));
        forged
    }

    /// The grounds of this permit.
    pub fn admission(&self) -> &Admission {
        &self.admission
    }

    /// The same, in the end: for the record of a request that a host forwards.
    pub fn into_admission(self) -> Admission {
        self.admission
    }

    /// Turns the request into one that the upstream may see: hop-by-hop fields go, every header that we own or do not
    /// believe goes, then the identity is written, once. The order matters: a client that nominates an identity
    /// header in `Connection` must not remove what we write.
    ///
    /// The grounds come back beside it, for the record.
    pub fn admit<B>(self, request: Request<B>, arrival: &Arrival) -> (Admitted<B>, Admission) {
        let mut request = request;
        let headers = request.headers_mut();
        self.hygiene.strip(headers, arrival.trusted_peer);
        self.hygiene.strip_session(
            headers,
            self.keys,
            matches!(self.admission, Admission::Session { .. }),
        );
        hygiene::stamp_arrival(headers, arrival);
        if let Some(session) = self.admission.session() {
            for (name, value) in IdentityHeaders::Ours.of(Some(session)) {
                headers.insert(name, value);
            }
        }
        (Admitted(request), self.admission)
    }
}

/// A request that may go to the upstream. The upstream client accepts nothing else.
#[derive(Debug)]
pub struct Admitted<B>(Request<B>);

impl<B> Admitted<B> {
    /// The same request, asking for a WebSocket: the fields that do so are hop-by-hop and were removed.
    #[must_use]
    pub fn asking_for_websocket(mut self) -> Self {
        hygiene::stamp_websocket(self.0.headers_mut());
        self
    }

    /// The request, for the client that sends it.
    pub fn into_request(self) -> Request<B> {
        self.0
    }
}
