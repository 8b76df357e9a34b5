//! Answers the HTTP-01 challenge of an ACME server (RFC 8555 §8.3).

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use http::{Method, Request, Response};
use http1::Length;

use crate::acme;
use crate::config::RequestHost;
use crate::live::Live;

/// The answer with the key authorization, if the request is for the token of an order in progress, of this node or another.
/// `None` for every other request under the same path, which is handled as usual.
pub(super) fn proof(live: &Live, request: &Request<Length>) -> Option<Response<Bytes>> {
    let acme = live.acme.as_ref()?;
    let token = acme::token(request.uri().path())?;
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return None;
    }
    let host = request.headers().get(HOST)?.to_str().ok()?;
    let host = RequestHost::read(host)?;
    let proof = acme.http_proof(host.plain_name()?, token)?;
    let mut response = Response::new(proof);
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_TYPE, "application/octet-stream"),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    Some(response)
}
