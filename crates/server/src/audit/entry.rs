//! What an audit line says.

use std::net::IpAddr;

use session::UnixTime;

/// One decision. Neither the token, nor a cookie, nor a secret, nor the query has a place here.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    /// When the request arrived.
    pub(crate) ts: UnixTime,
    /// The id that the client and the upstream see too.
    pub(crate) request_id: &'a str,
    /// The front that asked: `proxy`, or the kind of host.
    pub(crate) mode: &'static str,
    /// `allow` or `deny`.
    pub(crate) outcome: &'static str,
    /// The stable code of the reason.
    pub(crate) reason: &'static str,
    /// The name of the route that governed the request.
    pub(crate) rule: Option<&'a str>,
    pub(crate) method: &'a str,
    pub(crate) host: &'a str,
    /// Without its query, which may hold secrets.
    pub(crate) path: &'a str,
    pub(crate) client_ip: IpAddr,
    pub(crate) peer_ip: IpAddr,
    /// The session's subject, once the session was opened.
    pub(crate) user_id: Option<&'a str>,
    /// The session's id, where lines name sessions.
    pub(crate) session_id: Option<&'a str>,
    /// Whether that is a guest, who has never signed up.
    pub(crate) anonymous: bool,
    /// The id of the user who acts as that one.
    pub(crate) impersonated_by: Option<&'a str>,
    /// What kind of credential the request carried: `authjs5`, `authjs-signed`, `better-auth`, `bypass`, `db`, `jwt`,
    /// `nextauth4` or `none`.
    pub(crate) cred: &'static str,
    /// The format of the session, once it was opened.
    pub(crate) format: Option<&'static str>,
    /// The store that was asked for the session, where one was.
    pub(crate) session_check: Option<&'static str>,
    /// The store that knew the user, or `skipped`.
    pub(crate) user_check: &'static str,
    /// From the request's head to the end of the exchange, or until now.
    pub(crate) duration_us: u64,
    /// Of that, the time until the decision.
    pub(crate) decision_us: u64,
    /// The time until the answer's head had left.
    pub(crate) head_us: u64,
    /// Bytes of the request's body that the upstream's connection has taken.
    pub(crate) bytes_in: u64,
    /// Bytes of the answer's body that the client's connection has taken.
    pub(crate) bytes_out: u64,
    /// Whether the browser was told of a redirect loop instead of being sent to sign in once more.
    pub(crate) redirect_loop: bool,
    /// What became of the exchange with the upstream, when it failed.
    pub(crate) upstream: Option<&'static str>,
    /// The server to which it went last, of several.
    pub(crate) server: Option<&'a str>,
    /// The status that the client got.
    pub(crate) status: u16,
    /// How the exchange ended; `None` when it has not.
    pub(crate) ended: Option<&'static str>,
    /// `start` or `end` of an exchange that has a line for each.
    pub(crate) event: Option<&'static str>,
}
