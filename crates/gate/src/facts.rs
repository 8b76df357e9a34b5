//! The facts about a request that the decision may look at.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::ACCESS_CONTROL_REQUEST_METHOD;
use http::{HeaderMap, HeaderValue, Method};

use crate::ClientCertificate;

/// A request as the decision sees it. The proxy and the decisions listener differ only in how they fill this in.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The request's method.
    pub method: &'a Method,
    /// The host that the request is for, as in the `Host` header, with or without a port; for a calling proxy, the host that it
    /// names. `None` when it is not known.
    pub host: Option<&'a str>,
    /// The path, byte for byte as received, without query and fragment. `None` when the calling proxy does not
    /// name it: then nothing is public, and the request enters only if one route governs everything that is not public.
    pub path: Option<&'a str>,
    /// The request's header fields as they arrived.
    pub headers: &'a HeaderMap,
    /// How the request reached us.
    pub arrival: &'a Arrival,
}

impl Facts<'_> {
    /// Returns the method of the request that a CORS preflight announces (the Fetch standard, §4.8); `None` for other requests.
    pub fn announced_method(&self) -> Option<Method> {
        let method = self.headers.get(ACCESS_CONTROL_REQUEST_METHOD)?;
        Method::from_bytes(method.as_bytes()).ok()
    }
}

/// How a request reached us: the part of it that the client cannot choose.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// The address at the other end of the connection.
    pub peer: IpAddr,
    /// The client's address: the peer, or what a trusted proxy says.
    pub client: IpAddr,
    /// Whether the peer is a trusted proxy, whose `X-Forwarded-*` headers are trusted.
    pub trusted_peer: bool,
    /// Whether the peer is a calling proxy, which asks about a request that it will forward itself. Then the client is not the
    /// peer, even if the peer is on this machine.
    pub relayed: bool,
    /// Whether the peer's connection to us is encrypted.
    pub secure: bool,
    /// The client certificate of that connection, if there is one.
    pub certificate: Option<Arc<ClientCertificate>>,
    /// The id under which this request is logged, here and upstream. Visible ASCII.
    pub request_id: HeaderValue,
}

impl Arrival {
    /// Returns the client's address; `None` if only the address of a trusted proxy is known, so that one of its clients cannot
    /// use up the limits of all of them.
    pub fn known_client(&self) -> Option<IpAddr> {
        let is_proxy = self.trusted_peer && self.client == self.peer;
        (!is_proxy).then_some(self.client)
    }
}
