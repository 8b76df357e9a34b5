//! The hosts of a route, as a configuration names them.

use std::fmt;
use std::net::Ipv6Addr;

use thiserror::Error;

/// The hosts of a route.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostPattern {
    /// Every host, and requests that name none.
    #[default]
    Any,
    /// This host, in lower case, without a port.
    Exact(Box<str>),
    /// Every host that is this name with one more label: `*.example.com` matches `a.example.com`, and neither
    /// `example.com` nor `a.b.example.com`.
    OneLabelBelow(Box<str>),
}

/// Why a host was not accepted.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum InvalidHost {
    /// It is neither a name nor an address.
    #[error(
        "give a host name such as `app.example.com`, or `*.example.com` for every name one label below"
    )]
    Malformed,
    /// It is a URL.
    #[error("give the host alone, such as `app.example.com`, without `https://` and a path")]
    Url,
    /// It has a port.
    #[error("give the host without a port: rules apply to every port")]
    Port,
    /// It is only a star.
    #[error("leave `host` out for any host; `*.example.com` is every name one label below")]
    AnyHost,
    /// It has a star that is not the whole first label.
    #[error("a star stands for one whole label, the first: `*.example.com`")]
    Star,
}

impl HostPattern {
    /// Reads `app.example.com` or `*.example.com`. Case and a final dot are ignored.
    ///
    /// # Errors
    /// [`InvalidHost`] when the text is not a host pattern.
    pub fn new(text: &str) -> Result<Self, InvalidHost> {
        if text.contains('/') {
            return Err(InvalidHost::Url);
        }
        if text == "*" {
            return Err(InvalidHost::AnyHost);
        }
        let text = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let (name, one_label_below) = match text.strip_prefix("*.") {
            Some(rest) => (rest, true),
            None => (text.as_str(), false),
        };
        if name.contains('*') {
            return Err(InvalidHost::Star);
        }
        if let Some(address) = address(name).filter(|_| !one_label_below) {
            return Ok(Self::Exact(address.to_string().into()));
        }
        if name.contains(':') && !name.starts_with('[') || name.contains("]:") {
            return Err(InvalidHost::Port);
        }
        let in_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let is_name = name
            .split('.')
            .all(|label| matches!(label.len(), 1..=63) && label.bytes().all(in_name));
        if !is_name || name.len() > LONGEST_HOST {
            return Err(InvalidHost::Malformed);
        }
        Ok(match one_label_below {
            true => Self::OneLabelBelow(name.into()),
            false => Self::Exact(name.into()),
        })
    }
}

/// An IPv6 address in brackets, in the canonical form that is compared (RFC 5952).
#[derive(Clone, Copy, Debug)]
pub(super) struct Bracketed(Ipv6Addr);

impl fmt::Display for Bracketed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}]", self.0)
    }
}

/// Returns the IPv6 address in a host, if it is one.
pub(super) fn address(host: &str) -> Option<Bracketed> {
    let address = host.strip_prefix('[')?.strip_suffix(']')?;
    address.parse().ok().map(Bracketed)
}

/// The longest host name, in bytes, without a final dot (RFC 1035 section 2.3.4); a label has at most 63. Listeners refuse requests
/// for longer names, so a route for one would never match.
pub(super) const LONGEST_HOST: usize = 253;

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any host"),
            Self::Exact(name) => f.write_str(name),
            Self::OneLabelBelow(name) => write!(f, "*.{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_or_one_label_below() {
        let exact = |name: &str| Ok(HostPattern::Exact(name.into()));
        assert_eq!(
            HostPattern::new("App.Example.com."),
            exact("app.example.com")
        );
        assert_eq!(HostPattern::new("[::1]"), exact("[::1]"));
        assert_eq!(HostPattern::new("[0:0::0:ABCD]"), exact("[::abcd]"));
        assert_eq!(HostPattern::new("127.0.0.1"), exact("127.0.0.1"));
        let below = HostPattern::OneLabelBelow("example.com".into());
        assert_eq!(HostPattern::new("*.example.com"), Ok(below));
        for (text, why) in [
            ("", InvalidHost::Malformed),
            ("a..b", InvalidHost::Malformed),
            ("https://a", InvalidHost::Url),
            ("https://a/", InvalidHost::Url),
            ("a:80", InvalidHost::Port),
            ("[::1]:80", InvalidHost::Port),
            ("::1", InvalidHost::Port),
            ("[::g]", InvalidHost::Malformed),
            ("*.[::1]", InvalidHost::Malformed),
            ("a/b", InvalidHost::Url),
            ("*", InvalidHost::AnyHost),
            ("a.*.b", InvalidHost::Star),
            ("*a.b", InvalidHost::Star),
        ] {
            assert_eq!(HostPattern::new(text), Err(why), "{text}");
        }
    }
}
