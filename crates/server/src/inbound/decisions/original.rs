//! The original request that a calling proxy asks about, read from the one place where this kind of proxy describes it.
//!
//! Clients can send each of these headers too, and a proxy forwards those that it does not set itself. So an endpoint
//! believes only the headers of its own kind of proxy, each exactly once. Headers that describe the same part of the request must
//! agree (CVE-2026-40575 and the like).

use http::request::Parts;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use http1::encoded_target;
use thiserror::Error;

use super::super::target;

/// The original request: the one that a calling proxy asks about.
#[derive(Debug)]
pub(crate) struct OriginalRequest {
    pub(crate) method: Method,
    /// The host that the client asked for, with its port if it gave one.
    pub(crate) host: Authority,
    /// In origin form; `None` if the calling proxy does not send it.
    pub(crate) path: Option<PathAndQuery>,
}

/// Where a kind of calling proxy describes the original request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestSource {
    /// `X-Original-URL` or `X-Forwarded-*`. If both are present, their methods, hosts and paths must agree. Their schemes need not:
    /// a proxy behind another that ends TLS sees `http`, and may pass `X-Forwarded-Proto` on.
    Either,
    /// `X-Forwarded-Method`, `-Proto`, `-Host` and `-Uri`.
    Forwarded,
    /// The request line and `Host`, behind a prefix of this many bytes.
    Line { prefix: usize },
    /// Nowhere except `Host`, so that only a session permits the request.
    Nowhere,
    /// `X-Original-Method`, and `X-Original-URL` or else `X-Original-URI` and `Host`.
    OriginalUrl,
    /// `X-Original-URL` alone, from proxies that do not send the method.
    OriginalUrlAlone,
}

/// What is wrong with a calling proxy's description of the original request.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(crate) enum OriginalError {
    #[error("{0} contradicts the other headers")]
    Contradictory(&'static str),
    #[error("{0} occurs more than once")]
    Duplicate(&'static str),
    #[error("{0} is malformed")]
    Malformed(&'static str),
    #[error("{0} is missing")]
    Missing(&'static str),
}

impl OriginalError {
    /// The stable code in the audit log and the metrics.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            OriginalError::Contradictory(_) => "source_contradictory",
            OriginalError::Duplicate(_) => "source_duplicate",
            OriginalError::Malformed(_) => "source_malformed",
            OriginalError::Missing(_) => "source_missing",
        }
    }
}

/// A header field of a calling proxy. Its name is kept parsed, because parsing takes longer than the lookup.
struct Field {
    name: HeaderName,
    shown: &'static str,
}

impl Field {
    const fn new(shown: &'static str, name: &'static str) -> Self {
        let name = HeaderName::from_static(name);
        Self { name, shown }
    }
}

impl RequestSource {
    /// Reads the original request from the decision request.
    ///
    /// # Errors
    ///
    /// [`OriginalError`] says what is wrong. The original request is unknown then and must be denied.
    pub(crate) fn read(self, parts: &Parts) -> Result<OriginalRequest, OriginalError> {
        let headers = &parts.headers;
        match self {
            RequestSource::Either => either(headers),
            RequestSource::Forwarded => forwarded(headers),
            RequestSource::Line { prefix } => line(parts, prefix),
            RequestSource::Nowhere => Ok(OriginalRequest {
                method: Method::GET,
                host: host(parts)?,
                path: None,
            }),
            RequestSource::OriginalUrl => original_url(parts, method(headers, &X_ORIGINAL_METHOD)?),
            RequestSource::OriginalUrlAlone => {
                let (host, path) = absolute(required_bytes(headers, &X_ORIGINAL_URL)?)?;
                Ok(OriginalRequest {
                    method: Method::GET,
                    host,
                    path: Some(path),
                })
            }
        }
    }
}

fn either(headers: &HeaderMap) -> Result<OriginalRequest, OriginalError> {
    let Some(url) = single_bytes(headers, &X_ORIGINAL_URL)? else {
        return forwarded(headers);
    };
    let (host, path) = absolute(url)?;
    // A proxy that sets only one kind of header passes those of the other kind on as the client sent them.
    let uri = single_bytes(headers, &X_FORWARDED_URI)?;
    if uri.is_some_and(|uri| !is_same(uri, &path)) {
        return Err(OriginalError::Contradictory(X_FORWARDED_URI.shown));
    }
    if let Some(forwarded) = single(headers, &X_FORWARDED_HOST)?
        && authority(forwarded, X_FORWARDED_HOST.shown)? != host
    {
        return Err(OriginalError::Contradictory(X_FORWARDED_HOST.shown));
    }
    let original = single(headers, &X_ORIGINAL_METHOD)?;
    let forwarded = single(headers, &X_FORWARDED_METHOD)?;
    if original
        .zip(forwarded)
        .is_some_and(|(one, other)| one != other)
    {
        return Err(OriginalError::Contradictory(X_FORWARDED_METHOD.shown));
    }
    let method = match original {
        Some(text) => parse_method(text, X_ORIGINAL_METHOD.shown)?,
        None => method(headers, &X_FORWARDED_METHOD)?,
    };
    Ok(OriginalRequest {
        method,
        host,
        path: Some(path),
    })
}

fn forwarded(headers: &HeaderMap) -> Result<OriginalRequest, OriginalError> {
    let proto = required(headers, &X_FORWARDED_PROTO)?;
    // For a WebSocket, Traefik sends `ws`.
    if !["http", "https", "ws", "wss"].contains(&proto) {
        return Err(OriginalError::Malformed(X_FORWARDED_PROTO.shown));
    }
    Ok(OriginalRequest {
        method: method(headers, &X_FORWARDED_METHOD)?,
        host: authority(
            required(headers, &X_FORWARDED_HOST)?,
            X_FORWARDED_HOST.shown,
        )?,
        path: Some(path(
            required_bytes(headers, &X_FORWARDED_URI)?,
            X_FORWARDED_URI.shown,
        )?),
    })
}

fn line(parts: &Parts, prefix: usize) -> Result<OriginalRequest, OriginalError> {
    let target = parts.uri.path_and_query();
    let rest = target.and_then(|target| target.as_str().get(prefix..));
    Ok(OriginalRequest {
        method: allowed(parts.method.clone(), REQUEST_LINE)?,
        host: host(parts)?,
        path: Some(path(rest.unwrap_or_default().as_bytes(), REQUEST_LINE)?),
    })
}

fn original_url(parts: &Parts, method: Method) -> Result<OriginalRequest, OriginalError> {
    let uri = single_bytes(&parts.headers, &X_ORIGINAL_URI)?;
    let (host, path) = match (single_bytes(&parts.headers, &X_ORIGINAL_URL)?, uri) {
        (None, None) => return Err(OriginalError::Missing(X_ORIGINAL_URL.shown)),
        (None, Some(uri)) => (host(parts)?, path(uri, X_ORIGINAL_URI.shown)?),
        (Some(url), uri) => {
            let (host, path) = absolute(url)?;
            if uri.is_some_and(|uri| !is_same(uri, &path)) {
                return Err(OriginalError::Contradictory(X_ORIGINAL_URI.shown));
            }
            (host, path)
        }
    };
    Ok(OriginalRequest {
        method,
        host,
        path: Some(path),
    })
}

/// The query of `X-Forwarded-Uri`, if that header occurs exactly once.
pub(crate) fn forwarded_query(headers: &HeaderMap) -> Option<&str> {
    let uri = single(headers, &X_FORWARDED_URI).ok()??;
    uri.split_once('?').map(|(_, query)| query)
}

/// The original request from a gRPC message: its method, host and path with query.
pub(crate) fn stated(
    method: &str,
    host: &str,
    path_and_query: &str,
) -> Result<OriginalRequest, OriginalError> {
    Ok(OriginalRequest {
        method: parse_method(method, "method")?,
        host: authority(host, "host")?,
        path: Some(path(path_and_query.as_bytes(), "path")?),
    })
}

/// The value of an optional field, which may occur at most once.
fn single<'h>(
    headers: &'h HeaderMap,
    field: &'static Field,
) -> Result<Option<&'h str>, OriginalError> {
    let value = single_bytes(headers, field)?
        .map(str::from_utf8)
        .transpose();
    let value = value.ok().filter(|value| value.is_none_or(is_visible));
    value.ok_or(OriginalError::Malformed(field.shown))
}

/// The value of an optional field, which may occur at most once and may have bytes beyond ASCII, as URLs and paths do.
fn single_bytes<'h>(
    headers: &'h HeaderMap,
    field: &'static Field,
) -> Result<Option<&'h [u8]>, OriginalError> {
    let Field { name, shown } = field;
    let mut values = headers.get_all(name).iter().map(HeaderValue::as_bytes);
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(b""), None) => Err(OriginalError::Missing(shown)),
        (Some(value), None) => Ok(Some(value)),
        (Some(_), Some(_)) => Err(OriginalError::Duplicate(shown)),
    }
}

/// Whether the text consists of visible ASCII, spaces and tabs.
fn is_visible(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~'))
}

/// The value of a field that must occur exactly once.
fn required<'h>(headers: &'h HeaderMap, field: &'static Field) -> Result<&'h str, OriginalError> {
    single(headers, field)?.ok_or(OriginalError::Missing(field.shown))
}

/// The value of a field that must occur exactly once, and may have bytes beyond ASCII.
fn required_bytes<'h>(
    headers: &'h HeaderMap,
    field: &'static Field,
) -> Result<&'h [u8], OriginalError> {
    single_bytes(headers, field)?.ok_or(OriginalError::Missing(field.shown))
}

fn method(headers: &HeaderMap, field: &'static Field) -> Result<Method, OriginalError> {
    parse_method(required(headers, field)?, field.shown)
}

fn parse_method(text: &str, name: &'static str) -> Result<Method, OriginalError> {
    let method = Method::from_bytes(text.as_bytes()).map_err(|_| OriginalError::Malformed(name))?;
    allowed(method, name)
}

/// Rejects methods that no reverse proxy forwards: `CONNECT` opens tunnels and `TRACE` echoes cookies.
fn allowed(method: Method, name: &'static str) -> Result<Method, OriginalError> {
    if method == Method::CONNECT || method == Method::TRACE {
        return Err(OriginalError::Malformed(name));
    }
    Ok(method)
}

/// The host from `Host`, or from the authority of HTTP/2 or of an absolute target. They must agree if both are there.
fn host(parts: &Parts) -> Result<Authority, OriginalError> {
    match (single(&parts.headers, &HOST_FIELD)?, parts.uri.authority()) {
        (Some(host), Some(authority)) if *authority != *host => {
            Err(OriginalError::Contradictory(HOST_FIELD.shown))
        }
        (Some(host), _) => authority(host, HOST_FIELD.shown),
        (None, Some(host)) => authority(host.as_str(), HOST_FIELD.shown),
        (None, None) => Err(OriginalError::Missing(HOST_FIELD.shown)),
    }
}

fn authority(text: &str, name: &'static str) -> Result<Authority, OriginalError> {
    let authority: Option<Authority> = text.parse().ok();
    authority
        .filter(|authority| target::is_host(authority.as_str().as_bytes()))
        .ok_or(OriginalError::Malformed(name))
}

/// Parses a path and query, and encodes bytes that a URI cannot have. Refuses what the proxy listener refuses in a request line.
fn path(text: &[u8], name: &'static str) -> Result<PathAndQuery, OriginalError> {
    let path = encoded_target(text).filter(|text| text.starts_with('/'));
    let path = path.map(|path| path.parse().ok());
    path.flatten().ok_or(OriginalError::Malformed(name))
}

/// Whether `text`, once encoded, is this path and query.
fn is_same(text: &[u8], path: &PathAndQuery) -> bool {
    encoded_target(text).is_some_and(|text| *text == *path.as_str())
}

/// The authority and the path of an absolute URL.
fn absolute(url: &[u8]) -> Result<(Authority, PathAndQuery), OriginalError> {
    let url = encoded_target(url).ok_or(OriginalError::Malformed(X_ORIGINAL_URL.shown))?;
    let rest = ["http://", "https://"]
        .iter()
        .find_map(|scheme| url.strip_prefix(scheme))
        .ok_or(OriginalError::Malformed(X_ORIGINAL_URL.shown))?;
    let slash = rest
        .find('/')
        .ok_or(OriginalError::Malformed(X_ORIGINAL_URL.shown))?;
    let (host, rest) = rest.split_at(slash);
    Ok((
        authority(host, X_ORIGINAL_URL.shown)?,
        path(rest.as_bytes(), X_ORIGINAL_URL.shown)?,
    ))
}

static HOST_FIELD: Field = Field::new("Host", "host");
const REQUEST_LINE: &str = "the request line";
static X_FORWARDED_HOST: Field = Field::new("X-Forwarded-Host", "x-forwarded-host");
static X_FORWARDED_METHOD: Field = Field::new("X-Forwarded-Method", "x-forwarded-method");
static X_FORWARDED_PROTO: Field = Field::new("X-Forwarded-Proto", "x-forwarded-proto");
static X_FORWARDED_URI: Field = Field::new("X-Forwarded-Uri", "x-forwarded-uri");
static X_ORIGINAL_METHOD: Field = Field::new("X-Original-Method", "x-original-method");
static X_ORIGINAL_URI: Field = Field::new("X-Original-URI", "x-original-uri");
static X_ORIGINAL_URL: Field = Field::new("X-Original-URL", "x-original-url");

#[cfg(test)]
mod tests;
