//! Reads the settings of HTTPS (`HSTS`, `REQUIRE_HTTPS`), and checks them against the listeners.

use std::collections::BTreeSet;
use std::net::IpAddr;

use http::HeaderValue;

use super::hsts;
use super::listeners::ListenerSettings;
use super::origin::{Origin, RequestHost};
use super::reader::Reader;

/// HSTS, whether HTTPS is required, and the gate's own origins.
#[derive(Clone, Debug, Default)]
pub(crate) struct HttpsSettings {
    /// The `Strict-Transport-Security` header of responses over HTTPS.
    pub(crate) hsts: Option<HeaderValue>,
    /// Whether requests that did not arrive over HTTPS are refused.
    pub(crate) is_required: bool,
    /// The origins of this gate, from `PUBLIC_URL`.
    origins: Vec<Origin>,
}

impl HttpsSettings {
    /// Reads `HSTS` and `REQUIRE_HTTPS`, and peeks at `PUBLIC_URL`, whose problems are reported elsewhere.
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let hsts = reader.read("HSTS", hsts::parse);
        let is_required = reader.switch("REQUIRE_HTTPS", false);
        let origins = reader.peek("PUBLIC_URL").unwrap_or_default().split(',');
        let origins = origins.filter_map(|origin| Origin::read(origin.trim()).ok());
        Self {
            hsts,
            is_required,
            origins: origins.collect(),
        }
    }

    /// The origin in `PUBLIC_URL` to which a request without TLS for this host is redirected: scheme, host and port. A
    /// request without a host goes to the only origin.
    pub(crate) fn origin(&self, requested: Option<&RequestHost>) -> Option<String> {
        let mut secure = self.origins.iter().filter(|origin| origin.is_https());
        match requested {
            Some(requested) => secure.find_map(|origin| origin.text_for_host(requested)),
            None => secure
                .next()
                .filter(|_| self.origins.len() == 1)?
                .text(None),
        }
    }

    /// The names for a self-signed certificate of a listener at `address`: the gate's hostnames, the address unless it is
    /// unspecified, and localhost.
    pub(crate) fn names(&self, address: IpAddr) -> Vec<String> {
        let own = (!address.is_unspecified()).then(|| address.to_string());
        let mut names: Vec<_> = self.origins.iter().map(Origin::host_pattern).collect();
        names.extend(own);
        names.extend(["localhost", "127.0.0.1", "::1"].map(str::to_owned));
        let mut seen = BTreeSet::new();
        names.retain(|name| seen.insert(name.clone()));
        names
    }

    /// Warnings about valid but risky settings. `has_proxies` says that there are trusted proxies.
    pub(super) fn warnings(
        &self,
        listeners: &[ListenerSettings],
        has_proxies: bool,
    ) -> Vec<String> {
        let speaks_tls = listeners.iter().any(|listener| listener.tls.is_some());
        let mut warnings = Vec::new();
        for listener in listeners {
            if listener.is_in_the_clear() && !has_proxies {
                let ListenerSettings { name, address, .. } = listener;
                warnings.push(format!(
                    "{name}: {IN_THE_CLEAR}: other machines can reach {address} without TLS, and TRUSTED_PROXIES has no \
                     proxy that terminates it; set TLS_CERT_FILE, add the proxy in front to TRUSTED_PROXIES, or listen \
                     on 127.0.0.1"
                ));
            }
        }
        if self.hsts.is_some() && !speaks_tls && !has_proxies {
            warnings.push("HSTS has no effect: TLS_CERT_FILE is not set, and there are no TRUSTED_PROXIES that could \
                 terminate TLS".to_owned());
        }
        let is_plain = |origin: &&Origin| !origin.is_https();
        if let Some(plain) = self.origins.iter().find(is_plain)
            && !listeners.is_empty()
            && listeners
                .iter()
                .all(|listener| listener.tls.is_some() || listener.redirects)
        {
            let host = plain.host_pattern();
            warnings.push(format!(
                "PUBLIC_URL has http:// for `{host}`, but every listener uses HTTPS; write https://"
            ));
        }
        warnings
    }

    /// Reports combinations that cannot work.
    pub(super) fn check(
        &self,
        reader: &mut Reader<'_>,
        listeners: &[ListenerSettings],
        has_proxies: bool,
    ) {
        let speaks_tls = listeners.iter().any(|listener| listener.tls.is_some());
        let redirects = listeners.iter().find(|listener| listener.redirects);
        // A listener with an invalid certificate is meant to use TLS too, and is reported already.
        let has_tls_problem = reader.problems.iter().any(|problem| {
            let name = &problem.name;
            name == "TLS" || name.starts_with("TLS_") || name.starts_with("ACME_")
        });
        let speaks_tls = speaks_tls || has_tls_problem;
        if let Some(redirect) = redirects
            && !speaks_tls
            && !self.origins.iter().any(Origin::is_https)
        {
            let what = "there is no HTTPS address to redirect to: set TLS_CERT_FILE, or set PUBLIC_URL to the https:// \
                 origins of a proxy in front of the gate";
            reader.problem(redirect.name, what);
        }
        if self.is_required && !speaks_tls && !has_proxies && !listeners.is_empty() {
            let what = "every request would be refused: set TLS_CERT_FILE, or add the proxy that terminates TLS to \
                 TRUSTED_PROXIES";
            reader.problem("REQUIRE_HTTPS", what);
        }
    }
}

/// The warning about a listener whose traffic can be read on the network.
pub(crate) const IN_THE_CLEAR: &str = "sessions travel in the clear";
