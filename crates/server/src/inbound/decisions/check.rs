//! `envoy.service.auth.v3.Authorization/Check`: Envoy's decision request over gRPC.
//!
//! The messages have only the fields of Envoy's messages (api/envoy/service/auth/v3/{attribute_context,external_auth}.proto) that
//! a decision needs; Protocol Buffers skip the others. Texts that come from a client are bytes here: in a `string`, one byte
//! outside UTF-8 would make the whole message unreadable and the answer a transport error, which some proxies are configured to
//! take for permission.

use bytes::Bytes;
use gate::Restriction;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Version};
use prost::Message;

use super::super::client_kind;
use super::original::{self, OriginalError, OriginalRequest};
use super::restrictions::{self, UnsupportedParameter};

/// Whether a request is a `Check` call. Method, version, path and content type must all match: the answer has status 200 even for
/// a denial, so a proxy that asks over plain HTTP, and lets its clients choose the path, must not get one.
pub(crate) fn is_check<B>(request: &Request<B>) -> bool {
    request.version() == Version::HTTP_2
        && *request.method() == Method::POST
        && request.uri().path() == "/envoy.service.auth.v3.Authorization/Check"
        && client_kind::is_grpc(request.headers())
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct CheckRequest {
    #[prost(message, optional, tag = "1")]
    attributes: Option<AttributeContext>,
}

#[derive(Clone, PartialEq, Message)]
struct AttributeContext {
    #[prost(message, optional, tag = "4")]
    request: Option<AttributedRequest>,
    /// A map of strings: what the operator has configured for the route (`check_settings`).
    #[prost(message, repeated, tag = "10")]
    context_extensions: Vec<HeaderField>,
    /// The metadata of the route, from the namespaces that the operator lists (`route_metadata_context_namespaces`).
    #[prost(bytes = "bytes", tag = "13")]
    route_metadata_context: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct AttributedRequest {
    #[prost(message, optional, tag = "2")]
    http: Option<HttpRequest>,
}

#[derive(Clone, PartialEq, Message)]
struct HttpRequest {
    #[prost(bytes = "bytes", tag = "2")]
    method: Bytes,
    /// A map of strings, which has this form on the wire.
    #[prost(message, repeated, tag = "3")]
    headers: Vec<HeaderField>,
    /// The path with the query.
    #[prost(bytes = "bytes", tag = "4")]
    path: Bytes,
    #[prost(bytes = "bytes", tag = "5")]
    host: Bytes,
    /// Takes the place of `headers` if Envoy is configured to leave them as they are (`encode_raw_headers`).
    #[prost(message, optional, tag = "13")]
    header_map: Option<RawHeaders>,
}

#[derive(Clone, PartialEq, Message)]
struct RawHeaders {
    #[prost(message, repeated, tag = "1")]
    headers: Vec<HeaderField>,
}

#[derive(Clone, PartialEq, Message)]
struct HeaderField {
    #[prost(bytes = "bytes", tag = "1")]
    key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    value: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    raw_value: Bytes,
}

impl CheckRequest {
    /// The header fields of the original request.
    ///
    /// # Errors
    ///
    /// [`OriginalError`] when one of them is invalid.
    pub(crate) fn headers(&self) -> Result<HeaderMap, OriginalError> {
        let Some(http) = self.http() else {
            return Ok(HeaderMap::new());
        };
        let raw = http.header_map.iter().flat_map(|raw| &raw.headers);
        let mut headers = HeaderMap::with_capacity(http.headers.len());
        for field in http.headers.iter().chain(raw) {
            // Pseudo-header fields of HTTP/2: the parts of the request line.
            if field.key.starts_with(b":") {
                continue;
            }
            let value = match field.raw_value.is_empty() {
                true => &field.value,
                false => &field.raw_value,
            };
            let name = HeaderName::from_bytes(&field.key);
            let value = HeaderValue::from_maybe_shared(value.clone());
            let (Ok(name), Ok(value)) = (name, value) else {
                return Err(OriginalError::Malformed("headers"));
            };
            headers.append(name, value);
        }
        Ok(headers)
    }

    /// The original request.
    ///
    /// # Errors
    ///
    /// [`OriginalError`] says what is missing or invalid.
    pub(crate) fn original(&self) -> Result<OriginalRequest, OriginalError> {
        let http = self
            .http()
            .ok_or(OriginalError::Missing("attributes.request.http"))?;
        let text = |bytes| std::str::from_utf8(bytes).unwrap_or_default();
        original::stated(text(&http.method), text(&http.host), text(&http.path))
    }

    /// What the operator demands of a user on this route beyond a session.
    ///
    /// # Errors
    ///
    /// [`UnsupportedParameter`] when it is anything but a restriction by e-mail addresses, their domains or groups.
    pub(crate) fn restriction(&self) -> Result<Restriction, UnsupportedParameter> {
        let Some(attributes) = &self.attributes else {
            return Ok(Restriction::default());
        };
        if !attributes.route_metadata_context.is_empty() {
            return Err(restrictions::route_metadata());
        }
        let extensions = attributes.context_extensions.iter();
        restrictions::from_extensions(extensions.map(|word| (&*word.key, &*word.value)))
    }

    fn http(&self) -> Option<&HttpRequest> {
        self.attributes.as_ref()?.request.as_ref()?.http.as_ref()
    }
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct CheckResponse {
    #[prost(message, optional, tag = "1")]
    status: Option<Status>,
    #[prost(message, optional, tag = "2")]
    denied: Option<DeniedResponse>,
    #[prost(message, optional, tag = "3")]
    ok: Option<OkResponse>,
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
}

#[derive(Clone, PartialEq, Message)]
struct DeniedResponse {
    #[prost(message, optional, tag = "1")]
    status: Option<HttpStatus>,
    #[prost(message, repeated, tag = "2")]
    headers: Vec<HeaderOption>,
    #[prost(bytes = "bytes", tag = "3")]
    body: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct HttpStatus {
    /// An enumeration with the numbers of HTTP status codes.
    #[prost(int32, tag = "1")]
    code: i32,
}

#[derive(Clone, PartialEq, Message)]
struct OkResponse {
    #[prost(message, repeated, tag = "2")]
    headers: Vec<HeaderOption>,
    #[prost(string, repeated, tag = "5")]
    headers_to_remove: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct HeaderOption {
    #[prost(message, optional, tag = "1")]
    header: Option<HeaderField>,
    /// A `google.protobuf.BoolValue` without a value, which means `false`: the header replaces those of its name. It is always
    /// sent, because its absence has meant different things in different versions of Envoy.
    #[prost(message, optional, tag = "2")]
    append: Option<()>,
}

impl CheckResponse {
    /// Permits the request, with these headers in place of its own, and without the forged ones.
    pub(crate) fn allowed(written: &HeaderMap, forged: &[HeaderName]) -> Self {
        let (written, removed) = (written.iter(), forged.iter());
        Self {
            status: Some(Status { code: 0 }),
            denied: None,
            ok: Some(OkResponse {
                headers: written
                    .map(|(name, value)| HeaderOption::new(name, value))
                    .collect(),
                headers_to_remove: removed.map(|name| name.as_str().to_owned()).collect(),
            }),
        }
    }

    /// Refuses the request with the answer that the proxy listener would send.
    pub(crate) fn denied(answer: Response<Bytes>) -> Self {
        let (head, body) = answer.into_parts();
        let headers = head.headers.iter();
        Self {
            status: Some(Status {
                code: PERMISSION_DENIED,
            }),
            denied: Some(DeniedResponse {
                status: Some(HttpStatus {
                    code: head.status.as_u16().into(),
                }),
                headers: headers
                    .map(|(name, value)| HeaderOption::new(name, value))
                    .collect(),
                body,
            }),
            ok: None,
        }
    }
}

impl HeaderOption {
    fn new(name: &HeaderName, value: &HeaderValue) -> Self {
        Self {
            header: Some(HeaderField {
                key: Bytes::copy_from_slice(name.as_str().as_bytes()),
                value: Bytes::copy_from_slice(value.as_bytes()),
                raw_value: Bytes::new(),
            }),
            append: Some(()),
        }
    }
}

/// `google.rpc.Code`. Envoy only checks whether the code is 0.
const PERMISSION_DENIED: i32 = 7;
