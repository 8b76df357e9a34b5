//! HTTPS for each request: whether it is required, and the `Strict-Transport-Security` of the answer.

use gate::{Arrival, TrustedProxies};
use http::{HeaderMap, HeaderValue};

use super::arrival::Peer;
use super::sign_in_offer::arrived_over_https;
use crate::config::HttpsSettings;

impl HttpsSettings {
    /// Whether a request is refused because it did not come over HTTPS.
    pub(crate) fn refuses(
        &self,
        headers: &HeaderMap,
        arrival: &Arrival,
        proxies: &TrustedProxies,
    ) -> bool {
        self.is_required && !arrived_over_https(headers, arrival, proxies)
    }

    /// The `Strict-Transport-Security` of the answer to a request that came over HTTPS (RFC 6797 §7.2).
    pub(crate) fn hsts_for(
        &self,
        headers: &HeaderMap,
        arrival: &Arrival,
        proxies: &TrustedProxies,
    ) -> Option<&HeaderValue> {
        self.hsts
            .as_ref()
            .filter(|_| arrived_over_https(headers, arrival, proxies))
    }

    /// The `Strict-Transport-Security` of the answer to an unreadable request. The headers of a proxy are not known then, so
    /// only TLS on this connection counts.
    pub(super) fn hsts_for_unreadable(&self, peer: &Peer) -> Option<&HeaderValue> {
        self.hsts.as_ref().filter(|_| peer.secure)
    }
}
