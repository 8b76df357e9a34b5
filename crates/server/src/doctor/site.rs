//! The address of an app: scheme, host and port.

use std::fmt;
use std::net::IpAddr;

use http::Uri;
use thiserror::Error;

use crate::config::ascii_host;

/// The scheme, host and port of an app, and the page to examine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Site {
    pub(super) is_https: bool,
    /// The hostname or address, in lower case and without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// The path and query of the page.
    pub(super) target: String,
}

/// Why a text is not the address of an app.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum BadSite {
    /// It has a user or a password.
    #[error("credentials in the URL are not supported; remove them")]
    Credentials,
    /// It is not an http or https URL.
    #[error("give a URL such as https://app.example.com")]
    Malformed,
    /// Its hostname has characters outside ASCII; the message says what to write.
    #[error("{0}")]
    NotAscii(String),
}

impl Site {
    /// Reads `https://app.example.com/`.
    pub(crate) fn parse(text: &str) -> Result<Self, BadSite> {
        let text = text.split('#').next().unwrap_or_default();
        if let Some(advice) = ascii_host::advice(text) {
            return Err(BadSite::NotAscii(advice));
        }
        let uri: Uri = text.parse().map_err(|_| BadSite::Malformed)?;
        let is_https = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            Some(_) | None => return Err(BadSite::Malformed),
        };
        let authority = uri.authority().ok_or(BadSite::Malformed)?;
        if authority.as_str().contains('@') {
            return Err(BadSite::Credentials);
        }
        let has_port = authority.as_str().len() > authority.host().len();
        if has_port && authority.port_u16().is_none() {
            return Err(BadSite::Malformed);
        }
        let host = authority.host().trim_matches(['[', ']']);
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        Ok(Self {
            is_https,
            host: host.trim_end_matches('.').to_ascii_lowercase(),
            port: authority
                .port_u16()
                .unwrap_or(if is_https { 443 } else { 80 }),
            target: target.to_owned(),
        })
    }

    /// Returns the URL of another page of the same app.
    pub(super) fn at(&self, target: impl Into<String>) -> Self {
        Self {
            target: target.into(),
            ..self.clone()
        }
    }

    /// The target of a `Location` that was sent for this page.
    pub(super) fn redirected(&self, location: &str) -> Option<Self> {
        if location.starts_with('/') && !location.starts_with("//") {
            return Some(self.at(location.split('#').next().unwrap_or_default()));
        }
        match location.strip_prefix("//") {
            Some(rest) => {
                let scheme = if self.is_https { "https" } else { "http" };
                Self::parse(&format!("{scheme}://{rest}")).ok()
            }
            None if location.contains("://") => Self::parse(location).ok(),
            // Relative to the folder of this page.
            None => {
                let path = self.target.split('?').next().unwrap_or_default();
                let folder = path.rfind('/').map_or("/", |at| &path[..=at]);
                Some(self.at(format!("{folder}{location}")))
            }
        }
    }

    /// Whether scheme, host and port are the same.
    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        (self.is_https, &self.host, self.port) == (other.is_https, &other.host, other.port)
    }

    /// The value of the `Host` header.
    pub(super) fn authority(&self) -> String {
        let host = match self.host.contains(':') {
            true => format!("[{}]", self.host),
            false => self.host.clone(),
        };
        match (self.is_https, self.port) {
            (true, 443) | (false, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }

    /// Whether the host is an address and not a name.
    pub(super) fn is_address(&self) -> bool {
        self.host.parse::<IpAddr>().is_ok()
    }

    /// Whether the host is this machine.
    pub(super) fn is_this_machine(&self) -> bool {
        is_this_machine(&self.host)
    }
}

/// Whether a host (without brackets) is this machine, by name or address.
pub(super) fn is_this_machine(host: &str) -> bool {
    let is_loopback = |ip: IpAddr| ip.to_canonical().is_loopback();
    host == "localhost" || host.ends_with(".localhost") || host.parse().is_ok_and(is_loopback)
}

/// Shows the URL without the query, which may contain a token.
impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_https { "https" } else { "http" };
        let path = self.target.split('?').next().unwrap_or_default();
        let path = if path == "/" { "" } else { path };
        write!(f, "{scheme}://{}{path}", self.authority())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_is_split_into_app_and_page() {
        for (text, shown) in [
            ("https://App.Example.com", "https://app.example.com"),
            ("https://app.example.com:443/", "https://app.example.com"),
            ("http://[::1]:3000/a?token=hidden#b", "http://[::1]:3000/a"),
            ("http://app.example.com.:80", "http://app.example.com"),
        ] {
            assert_eq!(Site::parse(text).unwrap().to_string(), shown, "{text}");
        }
        let umlaut = Site::parse("https://m\u{fc}nchen.de/a").unwrap_err();
        let advice = "write `https://xn--mnchen-3ya.de/a`";
        assert!(umlaut.to_string().ends_with(advice), "{umlaut}");
        let credentials = Site::parse("https://a:b@app.example.com");
        assert_eq!(credentials, Err(BadSite::Credentials));
        for text in [
            "app.example.com",
            "ftp://a",
            "https://",
            "https://a:99999",
            "/a",
        ] {
            assert_eq!(Site::parse(text), Err(BadSite::Malformed), "{text}");
        }
    }

    #[test]
    fn redirects_are_relative_to_the_page() {
        let page = Site::parse("https://a.example/x/y?z=1").unwrap();
        for (location, target) in [
            ("/b?c#d", "https://a.example/b"),
            ("b", "https://a.example/x/b"),
            ("//c.example/d", "https://c.example/d"),
            ("http://a.example/x", "http://a.example/x"),
        ] {
            let next = page.redirected(location).unwrap();
            assert_eq!(next.to_string(), target, "{location}");
        }
        assert_eq!(page.redirected("javascript://x"), None);
    }
}
