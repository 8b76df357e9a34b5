//! Where people are sent to sign in, and how they come back.

use http::Uri;
use http::uri::Authority;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::raw::Reader;

/// The sign-in page and the origin under which this gate is known.
#[derive(Clone, Debug)]
pub(crate) struct SignIn {
    /// The page's URL, up to and with the `=` of its `callbackUrl` parameter.
    target: String,
    /// Scheme, host and port of what we protect, as browsers see it; without one the way back is a path.
    public_origins: Vec<Origin>,
}

/// Scheme, host and port.
#[derive(Clone, Debug)]
struct Origin {
    text: String,
    authority: Authority,
}

impl SignIn {
    /// The URL to send a browser to, so that it comes back to this path and query on this host.
    ///
    /// Only configured origins and the request's own path go in: an untrusted `Host` never becomes a `Location`. A
    /// path that a browser could read as another origin becomes `/`.
    pub(crate) fn location(&self, host: Option<&str>, path_and_query: &str) -> String {
        let names_an_origin = path_and_query.starts_with("//") || path_and_query.contains('\\');
        let back = if names_an_origin { "/" } else { path_and_query };
        let back = format!("{}{back}", self.origin(host));
        format!(
            "{}{}",
            self.target,
            utf8_percent_encode(&back, NOT_UNRESERVED)
        )
    }

    /// The only configured origin, or of several the one whose host was asked for.
    fn origin(&self, host: Option<&str>) -> &str {
        let is_asked_for = |origin: &&Origin| host.is_some_and(|host| origin.authority == *host);
        let origin = match self.public_origins.as_slice() {
            [only] => Some(only),
            several => several.iter().find(is_asked_for),
        };
        origin.map_or("", |origin| &origin.text)
    }
}

pub(super) fn settings(reader: &mut Reader<'_>, warnings: &mut Vec<String>) -> Option<SignIn> {
    let public_origins = reader.list("PUBLIC_URL", origin);
    let url = reader.read("SIGN_IN_URL", sign_in_url)?;
    if !url.starts_with('/') && public_origins.is_empty() {
        warnings.push(
            "SIGN_IN_URL is on another origin and PUBLIC_URL is not set: after signing in people come back to \
             the app's origin, not to this one"
                .to_owned(),
        );
    }
    let separator = if url.contains('?') { '&' } else { '?' };
    Some(SignIn {
        target: format!("{url}{separator}callbackUrl="),
        public_origins,
    })
}

fn sign_in_url(text: &str) -> Result<String, &'static str> {
    let is_path = text.starts_with('/') && !text.starts_with("//");
    let uri: Uri = text.parse().map_err(|_| "not a URL")?;
    let is_web = uri.authority().is_some() && matches!(uri.scheme_str(), Some("http" | "https"));
    if (is_path || is_web) && !text.contains(['#', '\\']) {
        return Ok(text.to_owned());
    }
    Err("give an http or https URL, or a path that begins with one `/`")
}

fn origin(text: &str) -> Result<Origin, &'static str> {
    let uri: Uri = text.parse().map_err(|_| "not a URL")?;
    match (uri.scheme_str(), uri.authority(), uri.path()) {
        (Some(scheme @ ("http" | "https")), Some(authority), "" | "/")
            if !authority.as_str().contains('@') =>
        {
            Ok(Origin {
                text: format!("{scheme}://{authority}"),
                authority: authority.clone(),
            })
        }
        _ => Err("give scheme, host and port only, such as https://grafana.example.com"),
    }
}

/// Everything but the unreserved characters of RFC 3986 §2.3, as `encodeURIComponent` writes a parameter.
const NOT_UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Variables;

    fn location(url: &str, public_url: &str, path: &str) -> String {
        let variables = Variables::default().with([
            ("SIGN_IN_URL", url.to_owned()),
            ("PUBLIC_URL", public_url.to_owned()),
        ]);
        let mut reader = Reader::new(&variables);
        let sign_in = settings(&mut reader, &mut Vec::new()).expect("valid settings");
        sign_in.location(Some("b.example"), path)
    }

    #[test]
    fn of_several_origins_the_one_that_was_asked_for_is_the_way_back() {
        let origins = "https://a.example, https://B.example";
        let back = |origins| location("/signin", origins, "/x");
        assert_eq!(
            back(origins),
            "/signin?callbackUrl=https%3A%2F%2FB.example%2Fx"
        );
        assert_eq!(
            back("https://a.example, https://c.example"),
            "/signin?callbackUrl=%2Fx"
        );
        assert_eq!(
            back("https://a.example"),
            "/signin?callbackUrl=https%3A%2F%2Fa.example%2Fx"
        );
    }

    #[test]
    fn the_way_back_is_a_path_unless_our_origin_is_configured() {
        assert_eq!(
            location("/signin", "", "/a?b=c d"),
            "/signin?callbackUrl=%2Fa%3Fb%3Dc%20d"
        );
        assert_eq!(
            location("https://app.example/in?x=1", "https://g.example/", "/a"),
            "https://app.example/in?x=1&callbackUrl=https%3A%2F%2Fg.example%2Fa"
        );
    }

    #[test]
    fn a_path_that_names_an_origin_does_not_become_one() {
        for path in ["//evil.example", r"/\evil.example"] {
            assert_eq!(location("/signin", "", path), "/signin?callbackUrl=%2F");
        }
    }

    #[test]
    fn only_web_addresses_and_paths_are_sign_in_pages() {
        for text in [
            "javascript:alert(1)",
            "//evil.example",
            "ftp://x/",
            "signin",
            "/a#b",
        ] {
            assert!(sign_in_url(text).is_err(), "{text}");
        }
    }
}
