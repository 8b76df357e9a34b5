//! The contents of an audit line.

use std::net::IpAddr;

use session::UnixTime;

/// One decision, for its audit line. It never contains a token, a cookie, a secret or the query.
#[derive(Debug)]
pub(crate) struct AuditEntry<'a> {
    /// When the request arrived.
    pub(crate) ts: UnixTime,
    /// The request id, which client and service see too.
    pub(crate) request_id: &'a str,
    /// How the request came in: `proxy`, `redirect`, or the kind of calling proxy.
    pub(crate) mode: &'static str,
    /// `allow` or `deny`.
    pub(crate) outcome: &'static str,
    /// The stable code of the reason.
    pub(crate) reason: &'static str,
    /// The name of the route that governed the request.
    pub(crate) rule: Option<&'a str>,
    pub(crate) method: &'a str,
    pub(crate) host: &'a str,
    /// The path without the query, which may contain secrets.
    pub(crate) path: &'a str,
    pub(crate) client_ip: IpAddr,
    pub(crate) peer_ip: IpAddr,
    /// The session's subject, once the session was opened.
    pub(crate) user_id: Option<&'a str>,
    /// The session's id, if lines contain it.
    pub(crate) session_id: Option<&'a str>,
    /// Whether the user is a guest who has never signed up.
    pub(crate) anonymous: bool,
    /// The id of the user who impersonates this one.
    pub(crate) impersonated_by: Option<&'a str>,
    /// What kind of credential the request carried: `authjs5`, `authjs-signed`, `better-auth`, `bypass`, `db`, `jwt`,
    /// `nextauth4` or `none`.
    pub(crate) cred: &'static str,
    /// The format of the session, once it was opened.
    pub(crate) format: Option<&'static str>,
    /// The store that answered for the session, if one was queried.
    pub(crate) session_check: Option<&'static str>,
    /// The store that knew the user, or `skipped`.
    pub(crate) user_check: &'static str,
    /// The time from the request's head to the end of the exchange, or until now.
    pub(crate) duration_us: u64,
    /// The time from the request's head to the decision.
    pub(crate) decision_us: u64,
    /// The time from the request's head until the answer's head had left.
    pub(crate) head_us: u64,
    /// Bytes of the request's body that the upstream's connection has taken.
    pub(crate) bytes_in: u64,
    /// Bytes of the answer's body that the client's connection has taken.
    pub(crate) bytes_out: u64,
    /// Whether the browser got a page about a redirect loop instead of another redirect to the sign-in page.
    pub(crate) redirect_loop: bool,
    /// The class of the service's status (`2xx`), also if its answer broke off later; or why there is no answer, which can be
    /// the client's fault. `None` if no service was asked, or if its answer was not awaited.
    pub(crate) upstream: Option<&'static str>,
    /// The server that got the request last, if the service has several.
    pub(crate) server: Option<&'a str>,
    /// The status that the client got.
    pub(crate) status: u16,
    /// How the exchange ended; `None` if it goes on.
    pub(crate) ended: Option<&'static str>,
    /// `start` or `end`, if the exchange has a line for each.
    pub(crate) event: Option<&'static str>,
}
