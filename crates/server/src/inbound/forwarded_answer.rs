//! The header fields of a service's answer, as they are forwarded to the client.

use http::{HeaderValue, StatusCode};
use http1::{Field, ResponseHead, options};

use super::arrival;
use crate::clock;

/// Header fields that the gate adds to a service's answer, or replaces.
#[derive(Debug)]
pub(super) struct Added<'h> {
    /// The value of the setting `HSTS`, which replaces the service's.
    hsts: Option<&'h HeaderValue>,
    /// The `Date` (RFC 9110 §6.6.1), if the answer has none.
    date: Option<HeaderValue>,
    /// The `Cache-Control` that replaces the answer's own, and the fields that shared caches prefer to it.
    cache_control: Option<Vec<u8>>,
    /// Whether `Vary: Cookie` is added.
    varies: bool,
}

impl<'h> Added<'h> {
    /// No additional fields.
    pub(super) fn nothing() -> Self {
        Self {
            hsts: None,
            date: None,
            cache_control: None,
            varies: false,
        }
    }

    /// The fields for this answer. If it is for its user only (`is_private`), shared caches are forbidden to keep it.
    pub(super) fn to(
        answer: &ResponseHead,
        is_private: bool,
        hsts: Option<&'h HeaderValue>,
    ) -> Self {
        let is_shared = is_private && answer.is_for_shared_caches;
        Self {
            hsts,
            date: (!answer.has_date).then(clock::http_date),
            cache_control: is_shared.then(|| privately(answer)),
            varies: is_shared && !depends_on_cookies(answer),
        }
    }

    fn fields(&self) -> impl Iterator<Item = Field<'_>> {
        let date = self.date.iter();
        let date = date.map(|date| (&b"date"[..], date.as_bytes()));
        let cache_control = self.cache_control.iter();
        let cache_control = cache_control.map(|value| (&b"cache-control"[..], &value[..]));
        let vary = self.varies.then_some((&b"vary"[..], &b"Cookie"[..]));
        let hsts = self.hsts.iter();
        let hsts = hsts.map(|hsts| (HSTS, hsts.as_bytes()));
        date.chain(cache_control).chain(vary).chain(hsts)
    }
}

/// The answer's `Cache-Control`, for private caches only.
fn privately(answer: &ResponseHead) -> Vec<u8> {
    let mut value = b"private".to_vec();
    let directives = answer.values("cache-control").flat_map(options);
    for directive in directives.filter(|directive| !directive.is_empty()) {
        let is_private = directive.get(..7);
        let is_private = is_private.is_some_and(|name| name.eq_ignore_ascii_case(b"private"));
        if !is_private && !http1::allows_shared_caching(directive) {
            value.extend_from_slice(b", ");
            value.extend_from_slice(directive);
        }
    }
    value
}

fn depends_on_cookies(answer: &ResponseHead) -> bool {
    let mut names = answer.values("vary").flat_map(options);
    names.any(|name| name == b"*" || name.eq_ignore_ascii_case(b"cookie"))
}

/// The fields that are forwarded with a service's answer: all but those of its connection, with the gate's request id and the
/// added fields. The `Content-Length` of an answer to `HEAD` and of a 304 stays.
pub(super) fn fields<'a>(
    answer: &'a ResponseHead,
    is_head: bool,
    added: &'a Added<'_>,
    request_id: &'a str,
) -> impl Iterator<Item = Field<'a>> {
    let hop_by_hop = answer.hop_by_hop();
    let describes_body = is_head || answer.status == StatusCode::NOT_MODIFIED;
    let is_number = |length: &&[u8]| !length.is_empty() && length.iter().all(u8::is_ascii_digit);
    let length = describes_body.then(|| answer.values("content-length").next());
    let length = length.flatten().filter(is_number);
    let length = length.map(|length| (&b"content-length"[..], length));
    let id = arrival::X_REQUEST_ID.as_str().as_bytes();
    let is_replaced = |name: &[u8]| {
        let is_for_caches = |name: &[u8]| {
            name.eq_ignore_ascii_case(b"cache-control") || http1::is_shared_cache_field(name)
        };
        (added.cache_control.is_some() && is_for_caches(name))
            || (added.hsts.is_some() && name.eq_ignore_ascii_case(HSTS))
    };
    let is_ours = move |name: &[u8]| {
        hop_by_hop.contains(name) || name.eq_ignore_ascii_case(id) || is_replaced(name)
    };
    let theirs = answer.fields().filter(move |(name, _)| !is_ours(name));
    theirs
        .chain(length)
        .chain(added.fields())
        .chain(wanted_protocols(answer))
        .chain([(id, request_id.as_bytes())])
}

const HSTS: &[u8] = b"strict-transport-security";

/// The `Upgrade` of a 426 (RFC 9110 §15.5.22): a connection field that is meant for the client here.
fn wanted_protocols(answer: &ResponseHead) -> impl Iterator<Item = Field<'_>> {
    let is_meant = answer.status == StatusCode::UPGRADE_REQUIRED;
    let answer = is_meant.then_some(answer).into_iter();
    answer.flat_map(|answer| {
        let protocols = answer.values("upgrade");
        let protocols = protocols.map(|value| (&b"upgrade"[..], value));
        protocols.chain([(&b"connection"[..], &b"upgrade"[..])])
    })
}
