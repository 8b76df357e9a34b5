//! What is demanded and promised of HTTPS, request by request.

use gate::{Arrival, TrustedProxies};
use http::{HeaderMap, HeaderValue};

use super::arrival::Peer;
use super::way_in::came_by_https;
use crate::config::HttpsSettings;

impl HttpsSettings {
    /// Whether a request is refused because it did not come by HTTPS.
    pub(crate) fn refuses(
        &self,
        headers: &HeaderMap,
        arrival: &Arrival,
        proxies: &TrustedProxies,
    ) -> bool {
        self.is_required && !came_by_https(headers, arrival, proxies)
    }

    /// What the answer to a request promises: `Strict-Transport-Security`, which means something over HTTPS only (RFC 6797 §7.2).
    pub(crate) fn promised(
        &self,
        headers: &HeaderMap,
        arrival: &Arrival,
        proxies: &TrustedProxies,
    ) -> Option<&HeaderValue> {
        self.hsts
            .as_ref()
            .filter(|_| came_by_https(headers, arrival, proxies))
    }

    /// What the answer promises to somebody who has sent nothing that can be read: what a proxy in front may have said of the
    /// request is not known then.
    pub(super) fn promised_to(&self, peer: &Peer) -> Option<&HeaderValue> {
        self.hsts.as_ref().filter(|_| peer.secure)
    }
}
