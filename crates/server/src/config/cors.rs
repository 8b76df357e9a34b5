//! Reads `CORS_ORIGINS`: the origins whose pages may read refusals.

use std::fmt;

use http::{HeaderValue, Uri};

use super::ascii_host;

/// An origin whose pages may read refusals: scheme, host and port, exactly as browsers write them in `Origin`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AllowedOrigin(HeaderValue);

impl AllowedOrigin {
    /// Reads an origin such as `https://app.example.com`.
    ///
    /// # Errors
    /// For anything else. A wildcard would be an easily overlooked hole.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match ascii_host::advice(text) {
            Some(advice) => Err(advice),
            None => Ok(Self::of_ascii(text)?),
        }
    }

    fn of_ascii(text: &str) -> Result<Self, &'static str> {
        if text.contains('*') {
            return Err(
                "list origins one by one; `*` would let every page on the web read responses with your users' cookies",
            );
        }
        let malformed = "give scheme, host and port only, such as https://app.example.com";
        let uri: Uri = text.parse().map_err(|_| malformed)?;
        let (Some(scheme @ ("http" | "https")), Some(authority), "" | "/") =
            (uri.scheme_str(), uri.authority(), uri.path())
        else {
            return Err(malformed);
        };
        // The parser drops a fragment and ignores a port that is out of range, so the origin would differ from the written one.
        let written = authority.as_str();
        let has_port = written.len() > authority.host().len();
        if written.contains('@')
            || text.contains(['?', '#'])
            || (has_port && authority.port_u16().is_none())
        {
            return Err(malformed);
        }
        let host = authority.host().to_ascii_lowercase();
        let port = match (scheme, authority.port_u16()) {
            ("http", Some(80)) | ("https", Some(443)) | (_, None) => String::new(),
            (_, Some(port)) => format!(":{port}"),
        };
        HeaderValue::try_from(format!("{scheme}://{host}{port}"))
            .map(Self)
            .map_err(|_| malformed)
    }

    /// Whether the `Origin` of a request is this one.
    pub(crate) fn matches(&self, origin: &HeaderValue) -> bool {
        self.0 == *origin
    }
}

impl fmt::Display for AllowedOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.to_str().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origin_must_match_exactly() {
        for (text, origin) in [
            ("https://App.example.com", "https://app.example.com"),
            ("https://app.example.com:443/", "https://app.example.com"),
            ("http://app.example.com:8080", "http://app.example.com:8080"),
            ("http://[::1]:80", "http://[::1]"),
        ] {
            assert_eq!(AllowedOrigin::parse(text).unwrap().to_string(), origin);
        }
        for text in [
            "*",
            "null",
            "https://*.example.com",
            "app.example.com",
            "https://app.example.com/path",
            "https://u@app.example.com",
            "https://app.example.com?x",
            "https://app.example.com#x",
            "https://app.example.com:99999",
            "https://app.example.com:",
            "ftp://app.example.com",
            "https://",
        ] {
            assert!(AllowedOrigin::parse(text).is_err(), "{text}");
        }
    }
}
