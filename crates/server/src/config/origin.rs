//! The gate's own origins, from `PUBLIC_URL`, and the hosts that requests ask for.

use std::fmt::Write;
use std::net::Ipv4Addr;

use http::Uri;
use http::uri::Authority;

use super::ascii_host;

/// An origin of this gate (scheme, host and port), or a wildcard for all origins one label below a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    scheme: Scheme,
    host: HostPattern,
    /// `None` for the scheme's default port.
    port: Option<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

/// The host of an [`Origin`], in lower case and without a final dot.
#[derive(Clone, Debug, PartialEq, Eq)]
enum HostPattern {
    /// Any single label below this domain.
    Below(String),
    Exactly(String),
}

impl Origin {
    /// Reads `https://grafana.example.com` or `https://*.example.com`, with an optional port.
    ///
    /// # Errors
    ///
    /// The message says what is wrong, and what to write instead.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let uri: Uri = text.parse().map_err(|_| {
            ascii_host::advice(text).unwrap_or_else(|| format!("not a URL; {EXPECTED}"))
        })?;
        Ok(Self::of_url(&uri, text)?)
    }

    fn of_url(uri: &Uri, text: &str) -> Result<Self, &'static str> {
        let scheme = match uri.scheme_str() {
            Some("http") => Scheme::Http,
            Some("https") => Scheme::Https,
            _ => return Err(EXPECTED),
        };
        let authority = uri.authority().ok_or(EXPECTED)?;
        if authority.as_str().contains('@') || !matches!(uri.path(), "" | "/") {
            return Err(EXPECTED);
        }
        if uri.query().is_some() || text.contains('#') {
            return Err(EXPECTED);
        }
        let requested = RequestHost::read(authority.as_str()).ok_or(EXPECTED)?;
        let host = match requested.name.strip_prefix("*.") {
            Some(domain) => HostPattern::Below(own_domain(domain)?.to_owned()),
            None if requested.name.contains('*') => return Err(MISPLACED_STAR),
            None => HostPattern::Exactly(requested.name.clone()),
        };
        Ok(Self {
            scheme,
            host,
            port: scheme.without_default(requested.port),
        })
    }

    /// Whether this is a single origin, not a wildcard.
    pub(crate) fn is_exact(&self) -> bool {
        matches!(self.host, HostPattern::Exactly(_))
    }

    /// Whether its scheme is `https`.
    pub(crate) fn is_https(&self) -> bool {
        self.scheme == Scheme::Https
    }

    /// Whether a request for this host may be for this origin.
    pub(crate) fn matches(&self, requested: &RequestHost) -> bool {
        self.matches_host(requested) && self.scheme.without_default(requested.port) == self.port
    }

    /// The origin as text, if a request for this host may be meant for it but arrived with another scheme, and possibly
    /// another port.
    pub(crate) fn text_for_host(&self, requested: &RequestHost) -> Option<String> {
        self.text(Some(&RequestHost {
            name: requested.name.clone(),
            port: self.port,
        }))
        .filter(|_| self.matches_host(requested))
    }

    /// The host, with `*` if it is a wildcard.
    pub(crate) fn host_pattern(&self) -> String {
        match &self.host {
            HostPattern::Exactly(host) => host.trim_matches(['[', ']']).to_owned(),
            HostPattern::Below(domain) => format!("*.{domain}"),
        }
    }

    fn matches_host(&self, requested: &RequestHost) -> bool {
        match &self.host {
            HostPattern::Exactly(host) => requested.name == *host,
            HostPattern::Below(domain) => requested
                .name
                .split_once('.')
                .is_some_and(|(label, rest)| rest == domain && is_label(label)),
        }
    }

    /// The origin as text. A `*` is replaced by the label in the request's host: letters, digits and hyphens, never other
    /// bytes from a client. `None` for a wildcard if the request has another host or none.
    pub(crate) fn text(&self, requested: Option<&RequestHost>) -> Option<String> {
        let host = match &self.host {
            HostPattern::Exactly(host) => host,
            HostPattern::Below(_) => &requested.filter(|requested| self.matches(requested))?.name,
        };
        let mut text = format!("{}://{host}", self.scheme.as_str());
        if let Some(port) = self.port {
            let _ = write!(text, ":{port}");
        }
        Some(text)
    }
}

impl Scheme {
    fn as_str(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    fn without_default(self, port: Option<u16>) -> Option<u16> {
        let default = match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        };
        port.filter(|port| *port != default)
    }
}

/// The host of a request, normalized for comparison: in lower case, without a final dot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestHost {
    name: String,
    port: Option<u16>,
}

impl RequestHost {
    /// Reads the value of a `Host` field; `None` if it is not a host with an optional port.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let authority: Authority = text.parse().ok()?;
        let (name, port) = (authority.host(), authority.port_u16());
        let has_port = authority.as_str().len() > name.len();
        if authority.as_str().contains('@') || (has_port && port.is_none()) {
            return None;
        }
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        (!name.is_empty()).then_some(Self { name, port })
    }

    /// The host, if it can be used in a URL unchanged: an address, or labels (RFC 1123 §2.1).
    pub(crate) fn plain_name(&self) -> Option<&str> {
        let is_address = self.name.starts_with('[');
        (is_address || self.name.split('.').all(is_label)).then_some(&self.name)
    }

    /// Whether a URL has this host and this port. The default port of its scheme is the same as no port.
    pub(crate) fn is_host_of(&self, url: &Uri) -> bool {
        let scheme = match url.scheme_str() {
            Some("http") => Scheme::Http,
            Some("https") => Scheme::Https,
            _ => return false,
        };
        let other = url.authority().and_then(|other| Self::read(other.as_str()));
        other.is_some_and(|other| {
            other.name == self.name
                && scheme.without_default(other.port) == scheme.without_default(self.port)
        })
    }
}

/// Checks that only the owner of a domain can create names below it: it is not a public suffix such as `com`, `co.uk` or
/// `github.io`, and its direct subdomains are not (<https://publicsuffix.org>, the list in the `psl` crate).
fn own_domain(domain: &str) -> Result<&str, &'static str> {
    // Browsers send `*.localhost` to this machine, and nobody can register a name there (RFC 6761 §6.3).
    if domain == "localhost" {
        return Ok(domain);
    }
    if domain.contains('*') || !domain.split('.').all(is_label) {
        return Err(MISPLACED_STAR);
    }
    if domain.parse::<Ipv4Addr>().is_ok() {
        return Err("an IP address has no subdomains");
    }
    let below = format!("any.{domain}");
    match (psl::domain_str(domain), psl::domain_str(&below)) {
        (Some(own), Some(registrable)) if own == registrable => Ok(domain),
        _ => Err(
            "the `*` covers domains that anybody can register; use a domain of your own, as in https://*.example.com",
        ),
    }
}

/// Whether it is a label: letters, digits and hyphens, not beginning or ending with a hyphen (RFC 1123 §2.1).
fn is_label(label: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    matches!(label.len(), 1..=63)
        && label.bytes().all(is_part)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

const EXPECTED: &str = "give scheme, host and port only, such as https://grafana.example.com";

const MISPLACED_STAR: &str =
    "a `*` must be the whole first label and nothing else, as in https://*.example.com";

#[cfg(test)]
mod tests {
    use super::*;

    fn text(origin: &str, host: &str) -> Option<String> {
        let requested = RequestHost::read(host)?;
        let origin = Origin::read(origin).unwrap();
        origin
            .matches(&requested)
            .then(|| origin.text(Some(&requested)).unwrap())
    }

    #[test]
    fn hosts_are_compared_without_case_final_dot_and_default_port() {
        for (origin, host) in [
            ("https://a.example", "A.Example"),
            ("https://a.example", "a.example."),
            ("https://a.example", "a.example:443"),
            ("https://A.example:443/", "a.example.:443"),
            ("https://a.example.", "a.example"),
        ] {
            assert_eq!(
                text(origin, host).as_deref(),
                Some("https://a.example"),
                "{origin} {host}"
            );
        }
        assert_eq!(
            text("http://a.example", "a.example:80").unwrap(),
            "http://a.example"
        );
        assert_eq!(
            text("http://[::1]:8080", "[::1]:8080").unwrap(),
            "http://[::1]:8080"
        );
        for (origin, host) in [
            ("https://a.example", "a.example:80"),
            ("https://a.example", "a.example:8443"),
            ("https://a.example:8443", "a.example"),
            ("https://a.example", "a.example.."),
            ("https://a.example", "b.a.example"),
            ("https://a.example", "x@a.example"),
        ] {
            assert_eq!(text(origin, host), None, "{origin} {host}");
        }
    }

    #[test]
    fn wildcard_matches_one_label() {
        let star = "https://*.example.com";
        assert_eq!(
            text(star, "Wiki-2.Example.com.:443").unwrap(),
            "https://wiki-2.example.com"
        );
        assert_eq!(
            text("http://*.localhost:8080", "a.localhost:8080").unwrap(),
            "http://a.localhost:8080"
        );
        for host in [
            "example.com",
            "a.b.example.com",
            ".example.com",
            "-a.example.com",
            "a_b.example.com",
            "a%2f.example.com",
            "*.example.com",
            "evil.com",
            "a.example.com.evil.com",
            "a.example.com:8443",
        ] {
            assert_eq!(text(star, host), None, "{host}");
        }
    }

    #[test]
    fn wildcard_of_a_public_suffix_is_refused() {
        for origin in [
            "https://*.com",
            "https://*.co.uk",
            "https://*.github.io",
            "https://*.vercel.app",
            "https://*.foo.ck",
            "https://*.compute.amazonaws.com",
            "https://*.internal",
            "https://*.10.0.0.1",
            "https://*",
            "https://*.",
            "https://a.*.example.com",
            "https://*.*.example.com",
            "https://*a.example.com",
            "https://a*.example.com",
            "https://example.*",
        ] {
            assert!(Origin::read(origin).is_err(), "{origin}");
        }
        for origin in [
            "https://*.example.com",
            "https://*.example.co.uk",
            "https://*.team.example.com",
            "https://*.me.github.io",
            "https://*.corp.internal",
            "http://*.localhost",
        ] {
            assert!(Origin::read(origin).is_ok(), "{origin}");
        }
    }
}
