//! Permission, and what it turns a request into. Both have one birthplace: here.

use http::header::HOST;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use http1::write_field;
use session::Session;

use crate::{
    Arrival, EmailHeader, Gate, Hygiene, IdentityHeaders, Refusal, Restriction, Source, hygiene,
};

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
        /// Whether the address in it counts.
        email_header: EmailHeader,
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

    /// The e-mail address by which the user may be known, if there is one that counts. Whatever is decided or written by an
    /// address takes this one.
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

    /// Whether the session has an e-mail address that does not count, because it says itself that nobody has verified it.
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

    /// The store that knew the session.
    pub(crate) fn found_in(&self) -> Option<Source> {
        match self {
            Admission::Bypass | Admission::Preflight | Admission::Public => None,
            Admission::Session { found_in, .. } => *found_in,
        }
    }

    /// The store that knew the user.
    pub(crate) fn checked_by(&self) -> Option<Source> {
        match self {
            Admission::Bypass | Admission::Preflight | Admission::Public => None,
            Admission::Session { checked_by, .. } => *checked_by,
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
                email_header: gate.identity.email,
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

    /// The permit, if its user is one of those whom a calling proxy lets enter. What enters without any user, on a public
    /// path or as a preflight, is not restricted (nor is it by oauth2-proxy); the bypass stands for a user, and has no
    /// address.
    ///
    /// # Errors
    ///
    /// [`Refusal::Restricted`] when the user is not.
    pub fn restricted_to(self, restriction: &Restriction) -> Result<Self, Refusal> {
        let admitted = match &self.admission {
            Admission::Preflight | Admission::Public => true,
            Admission::Bypass | Admission::Session { .. } => {
                restriction.admits(self.admission.email())
            }
        };
        if admitted {
            Ok(self)
        } else {
            Err(Refusal::Restricted(Box::new(self.admission)))
        }
    }

    /// What to tell a host that forwards the request itself: every identity header that it expects, to be written in place of
    /// all headers of that name, a header without a value too.
    pub fn identity(
        &self,
        names: IdentityHeaders,
    ) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        names.of(&self.admission)
    }

    /// Which of the request's own `headers` must not travel on, for a host that can be told: they claim an identity, or
    /// describe the request in a spelling that only an upstream would understand. Those that [`identity`](Self::identity)
    /// replaces with a value are not among them: hosts remove headers after they have written others. Those that it replaces
    /// with nothing are, for hosts that have not been told to take every name of the family.
    pub fn forged(&self, names: IdentityHeaders, headers: &HeaderMap) -> Vec<HeaderName> {
        // The host is a listed proxy: what it says about the request in proper spelling is its own.
        let mut forged = self.hygiene.unwanted(headers, true);
        let written = self.identity(names).filter(|(_, value)| !value.is_empty());
        let written: Vec<_> = written.map(|(name, _)| name).collect();
        forged.retain(|name| !written.contains(name));
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

    /// Turns the request into one that the upstream may see: hop-by-hop fields stay behind, and so does every header that we
    /// own or do not believe; then the identity is written, once.
    ///
    /// The grounds come back beside it, for the record.
    pub fn admit<'r, B>(
        self,
        request: &'r Request<B>,
        arrival: &Arrival,
    ) -> (Admitted<'r, B>, Admission) {
        let headers = request.headers();
        let by_session = matches!(self.admission, Admission::Session { .. });
        let mut fields = Vec::with_capacity(USUAL_FIELDS);
        let hygiene = self.hygiene;
        hygiene.write(&mut fields, headers, self.keys, by_session, arrival);
        if by_session {
            for (name, text) in IdentityHeaders::Ours.texts(&self.admission) {
                write_field(&mut fields, name.as_str().as_bytes(), text.as_bytes());
            }
        }
        let admitted = Admitted {
            method: request.method(),
            uri: request.uri(),
            body: request.body(),
            has_host: headers.contains_key(HOST),
            fields,
        };
        (admitted, self.admission)
    }
}

/// A request that may go to the upstream. The upstream client accepts nothing else.
#[derive(Debug)]
pub struct Admitted<'r, B> {
    method: &'r Method,
    uri: &'r Uri,
    body: &'r B,
    has_host: bool,
    fields: Vec<u8>,
}

impl<'r, B> Admitted<'r, B> {
    /// The same request, asking for a WebSocket: the fields that do so are hop-by-hop and stayed behind.
    #[must_use]
    pub fn asking_for_websocket(mut self) -> Self {
        for (name, value) in hygiene::websocket_fields() {
            write_field(&mut self.fields, name, value);
        }
        self
    }

    /// The same request, for this host if it named none, as HTTP/1.0 allows.
    #[must_use]
    pub fn or_for_host(mut self, host: &HeaderValue) -> Self {
        if !self.has_host {
            write_field(&mut self.fields, b"host", host.as_bytes());
        }
        self
    }

    /// Its method.
    pub fn method(&self) -> &'r Method {
        self.method
    }

    /// Its target.
    pub fn uri(&self) -> &'r Uri {
        self.uri
    }

    /// Its body.
    pub fn body(&self) -> &'r B {
        self.body
    }

    /// Its fields, a line each, as HTTP/1.1 writes them (RFC 9112 §5): all that the upstream is to see.
    pub fn fields(&self) -> &[u8] {
        &self.fields
    }
}

/// In bytes: the fields of most requests, so that they are one allocation.
const USUAL_FIELDS: usize = 768;
