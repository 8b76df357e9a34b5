//! The request to explain.

use std::net::IpAddr;
use std::sync::Arc;

use gate::ClientCertificate;
use session::UnixTime;

use super::head::RequestHead;

/// A request to explain, with its client and time.
pub(crate) struct ExplainRequest {
    pub(crate) head: RequestHead,
    /// The address from which the connection comes.
    pub(crate) client: IpAddr,
    /// The certificate that the client presents, if any.
    pub(crate) certificate: Option<Arc<ClientCertificate>>,
    pub(crate) now: UnixTime,
    pub(crate) interface: Interface,
    /// The lookups of each realm that are skipped; empty if the stores are used.
    pub(crate) skipped: Vec<(Arc<str>, Skipped)>,
}

/// The lookups that are skipped although the configuration has stores for them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Skipped {
    pub(crate) sessions: bool,
    pub(crate) users: bool,
}

/// The interface through which the explanation was requested, which decides the wording of advice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interface {
    /// The command line.
    Command,
    /// A URL of the admin listener.
    Url,
}
