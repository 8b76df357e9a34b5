//! The owner of a connection to a service that a request has authenticated (NTLM, Negotiate).

use session::Session;

/// The user or client that has authenticated a connection to a service. A client connection alone does not identify the owner,
/// because a proxy may send the requests of many users over it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The client of the connection, which sent a request without a session.
    Client,
    /// The holder of a session.
    Session {
        /// The session's subject.
        subject: Box<str>,
        /// The session's id.
        id: Box<str>,
    },
}

impl Owner {
    /// The owner of a connection that a request with this session authenticates. `None` when the owner cannot be known:
    /// there is no session, and the request came through a proxy.
    pub(crate) fn of(session: Option<&Session>, is_relayed: bool) -> Option<Self> {
        match session {
            Some(session) => Some(Self::Session {
                subject: session.subject().into(),
                id: session.id().into(),
            }),
            None => (!is_relayed).then_some(Self::Client),
        }
    }
}
