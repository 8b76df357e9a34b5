//! Whose a connection to a service is that a request has authenticated.

use session::Session;

/// Who has authenticated a connection to a service. A proxy before us may send the requests of many users by one connection, so
/// that a client's connection alone does not say it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The client of a connection, by a request without a session.
    Client,
    /// The holder of a session.
    Session {
        /// Its user.
        subject: Box<str>,
        /// Its id.
        id: Box<str>,
    },
}

impl Owner {
    /// The owner of what a request authenticates that has come with this session, or with none; `None` where that may be
    /// anybody: without a session, by a proxy's connection.
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
