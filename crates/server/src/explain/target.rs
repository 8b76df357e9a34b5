//! The request that somebody asks about, from a method and a URL.

use http::header::HOST;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Uri, Version};
use thiserror::Error;

/// What a URL asks for, its path byte for byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    host: Option<HeaderValue>,
    path_and_query: PathAndQuery,
}

/// Why a URL cannot be asked about.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(crate) enum BadTarget {
    /// It has a fragment.
    #[error("no client sends what stands behind `#`; leave it out, or write %23")]
    Fragment,
    /// Its host is none.
    #[error("its host is not one")]
    Host,
    /// It is neither a URL nor a path.
    #[error("give a URL such as https://app.example.com/admin/, or a path such as /admin/")]
    Neither,
    /// Its path has something in it that no request can have.
    #[error("its path must be percent-encoded as a request has it")]
    Path,
}

impl Target {
    /// Reads `https://app.example.com/admin/?page=2`, or `/admin/` for a request that names no host.
    pub(crate) fn parse(text: &str) -> Result<Self, BadTarget> {
        if text.contains('#') {
            return Err(BadTarget::Fragment);
        }
        let (host, target) = match text.split_once("://") {
            _ if text.starts_with('/') => (None, text),
            Some(("http" | "https", rest)) => {
                let end = rest.find(['/', '?']).unwrap_or(rest.len());
                let host = &rest[..end];
                let is_host = !host.is_empty() && !host.contains('@');
                let host = HeaderValue::from_str(host).ok().filter(|_| is_host);
                (Some(host.ok_or(BadTarget::Host)?), &rest[end..])
            }
            Some(_) | None => return Err(BadTarget::Neither),
        };
        let target = match target.starts_with('/') {
            true => target.to_owned(),
            false => format!("/{target}"),
        };
        let path_and_query = target.parse().map_err(|_| BadTarget::Path)?;
        Ok(Self {
            host,
            path_and_query,
        })
    }

    /// The request for it with these headers.
    pub(crate) fn request(self, method: Method, mut headers: HeaderMap) -> Request<()> {
        let mut request = Request::new(());
        if let Some(host) = self.host {
            headers.append(HOST, host);
        }
        if !headers.contains_key(HOST) {
            // Only HTTP/1.0 does without.
            *request.version_mut() = Version::HTTP_10;
        }
        *request.method_mut() = method;
        *request.uri_mut() = Uri::from(self.path_and_query);
        *request.headers_mut() = headers;
        request
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_paths_are_asked_about_byte_for_byte() {
        for (text, host, target) in [
            ("https://a.example:8443/x?y", Some("a.example:8443"), "/x?y"),
            ("http://a.example", Some("a.example"), "/"),
            ("http://a.example?x", Some("a.example"), "/?x"),
            ("/a/../b%2fc//d", None, "/a/../b%2fc//d"),
            ("//a/b", None, "//a/b"),
            ("/a?b=http://c/", None, "/a?b=http://c/"),
        ] {
            let request = Target::parse(text)
                .unwrap()
                .request(Method::GET, HeaderMap::new());
            let found = request
                .headers()
                .get(HOST)
                .map(|host| host.to_str().unwrap());
            assert_eq!(found, host, "{text}");
            assert_eq!(request.uri().to_string(), target, "{text}");
        }
        for (text, why) in [
            ("/a#b", BadTarget::Fragment),
            ("https:///a", BadTarget::Host),
            ("https://u:p@a/", BadTarget::Host),
            ("a.example/b", BadTarget::Neither),
            ("ftp://a/", BadTarget::Neither),
            ("/a b", BadTarget::Path),
        ] {
            assert_eq!(Target::parse(text), Err(why), "{text}");
        }
    }
}
