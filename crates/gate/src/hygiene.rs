//! Header hygiene: which fields of a request are forwarded, and which are added.
//!
//! Upstreams fold header names in different ways: CGI and WSGI read `X_User_Id`, `X.User.Id` and `X-User-Id` as the same
//! variable. So every name is compared in its **normal form**: lower case, with every byte that is neither a letter nor a
//! digit replaced by `-` (CVE-2025-64484, CVE-2026-39858). The lists of names are in [`names`](crate::names).

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use http::header::{CONNECTION, COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue};
use http1::{Field, HopByHop, encoded_component, write_field};
use session::KeyRing;
use session::cookies::{precedes_bearer, without_session};
use smallvec::SmallVec;

use crate::address::write_address;
use crate::forwarded::ForwardedHeader;
use crate::names::{self, Meaning, normal_byte};
use crate::{Arrival, ForwardedOrigin, HeaderProfile, TrustedProxies};

/// Which headers are removed from every request, as configured.
#[derive(Clone, Debug)]
pub struct Hygiene {
    bypass_header: String,
    /// The names in all header profiles.
    profile_names: ProfileNames,
    /// The keys of every realm: a route that does not forward the session forwards none of any realm.
    rings: Vec<Arc<KeyRing>>,
    /// The proxies that may say where a request comes from, and the header in which they do.
    proxies: TrustedProxies,
}

/// How a request is forwarded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Forwarding<'o> {
    /// The keys of the realm whose session lets the request enter, if there is one. If the request has no cookie of that realm,
    /// its session was the Bearer value.
    pub(crate) by_session_of: Option<&'o KeyRing>,
    /// Whether the session is forwarded.
    pub(crate) forwards_session: bool,
    /// Whether `Max-Forwards` applies, and is decremented (RFC 9110 §7.6.2).
    pub(crate) counts_forwards: bool,
    /// Whether a prefix of the path is cut off, which `X-Forwarded-Prefix` then reports.
    pub(crate) cuts_prefix: bool,
    /// The value of `Host`, in place of the request's own.
    pub(crate) host: Option<&'o HeaderValue>,
}

/// Fields found while the fields of a request are written.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FoundFields<'h> {
    /// The value of the first `Host`.
    pub(crate) host: Option<&'h [u8]>,
    /// The value of the first `Authorization`.
    pub(crate) authorization: Option<&'h [u8]>,
}

impl Hygiene {
    /// Creates rules that never forward `bypass_header`, whether or not the bypass is enabled, nor any header of these profiles
    /// as the client sent it. `rings` are the keys of every realm.
    pub fn new<'p>(
        bypass_header: &HeaderName,
        profiles: impl IntoIterator<Item = &'p HeaderProfile>,
        rings: Vec<Arc<KeyRing>>,
    ) -> Self {
        Self {
            bypass_header: normal_form(bypass_header.as_str()),
            profile_names: ProfileNames::of(profiles),
            rings,
            proxies: TrustedProxies::default(),
        }
    }

    /// Sets the trusted proxies. The forwarding header that they do not write, and so leave as the client sent it, is removed.
    #[must_use]
    pub fn with_proxies(self, proxies: TrustedProxies) -> Self {
        Self { proxies, ..self }
    }

    /// Writes the fields of the forwarded request. It removes the fields of the client's connection; every header that claims an
    /// identity, from any peer; every header that describes the original request (`X-Forwarded-*` and the like), unless a listed
    /// proxy sent it in its proper spelling; and the session, unless the route forwards it. Then it writes how the request
    /// reached us; what a trusted proxy said about that is kept, and the chain of addresses is continued.
    ///
    /// If the session is not forwarded, no session of any realm is, whether or not this request entered by it.
    ///
    /// Returns the fields found on the way, so that the caller need not search for them again.
    pub(crate) fn write<'h>(
        &self,
        out: &mut Vec<u8>,
        headers: &'h HeaderMap,
        forwarding: &Forwarding<'_>,
        arrival: &Arrival,
    ) -> FoundFields<'h> {
        let forwards_session = forwarding.forwards_session;
        let connection = headers.get_all(CONNECTION).iter();
        let hop_by_hop = HopByHop::of(connection.map(HeaderValue::as_bytes));
        let is_session_bearer = |value: &HeaderValue| {
            let mut rings = self.rings.iter();
            let keys = forwarding.by_session_of;
            keys.is_some_and(|keys| !has_session_cookie(keys, headers))
                || rings.any(|keys| keys.is_session_bearer(value.as_bytes()))
        };
        let mut chain = SmallVec::<[&HeaderValue; USUAL_HOPS]>::new();
        let (mut has_host, mut has_scheme) = (false, false);
        let mut found = FoundFields::default();
        for (name, value) in headers {
            let name = name.as_str();
            match name {
                "host" => _ = found.host.get_or_insert(value.as_bytes()),
                "authorization" => _ = found.authorization.get_or_insert(value.as_bytes()),
                _ => {}
            }
            let is_removed = hop_by_hop.contains(name.as_bytes())
                || self.is_unwanted(name, arrival.trusted_peer);
            match name {
                _ if is_removed => continue,
                "authorization" if !forwards_session && is_session_bearer(value) => continue,
                "cookie" if !forwards_session => {
                    if let Some(rest) = self.without_sessions(value.as_bytes()) {
                        write_field(out, name.as_bytes(), &rest);
                    }
                    continue;
                }
                "host" if forwarding.host.is_some() => continue,
                "max-forwards" if forwarding.counts_forwards => {
                    let left = value.to_str().ok().and_then(|left| left.parse().ok());
                    let left = left.map(|left: u64| left.saturating_sub(1).to_string());
                    let left = left
                        .as_ref()
                        .map_or(value.as_bytes(), |left| left.as_bytes());
                    write_field(out, name.as_bytes(), left);
                    continue;
                }
                "x-forwarded-for" => {
                    chain.push(value);
                    continue;
                }
                "x-request-id" => continue,
                "x-forwarded-prefix" if forwarding.cuts_prefix => continue,
                "x-forwarded-host" => has_host = true,
                "x-forwarded-proto" => has_scheme = true,
                _ => {}
            }
            write_field(out, name.as_bytes(), value.as_bytes());
        }
        if let Some(host) = forwarding.host {
            write_field(out, b"host", host.as_bytes());
        }
        let mut origin = ForwardedOrigin::default();
        let peer = arrival.peer.to_canonical();
        if arrival.trusted_peer && self.proxies.header() == ForwardedHeader::Forwarded {
            origin = self.proxies.origin(peer, headers);
            let client = (arrival.client != peer).then_some(arrival.client);
            write_chain(out, &[], client.into_iter().chain([peer]));
        } else {
            write_chain(out, &chain, [peer]);
        }
        if !has_scheme {
            let ours = if arrival.secure { "https" } else { "http" };
            let scheme = origin.scheme.unwrap_or(ours);
            write_field(out, b"x-forwarded-proto", scheme.as_bytes());
        }
        if !has_host && let Some(host) = origin.host.map(str::as_bytes).or(found.host) {
            write_field(out, b"x-forwarded-host", host);
        }
        write_field(out, b"x-request-id", arrival.request_id.as_bytes());
        found
    }

    /// Returns the names of the headers that claim an identity, or that describe the original request and do not come from a
    /// trusted proxy.
    pub(crate) fn unwanted(&self, headers: &HeaderMap, trusted_peer: bool) -> Vec<HeaderName> {
        let is_unwanted = |name: &&HeaderName| self.is_unwanted(name.as_str(), trusted_peer);
        headers.keys().filter(is_unwanted).cloned().collect()
    }

    pub(crate) fn is_unwanted(&self, name: &str, trusted_peer: bool) -> bool {
        if names::is_alias_of_rewritten(name) {
            return true;
        }
        match self.kind(name) {
            HeaderKind::Identity => true,
            HeaderKind::Routing => !trusted_peer || self.proxies.header().distrusts(name),
            HeaderKind::RoutingAlias => true,
            HeaderKind::Other => false,
        }
    }

    fn kind(&self, name: &str) -> HeaderKind {
        // The first and last bytes rule out most names of a request.
        if !names::may_be_listed(name.as_bytes())
            && !self.may_be_bypass(name)
            && !self.profile_names.may_have(name)
        {
            return HeaderKind::Other;
        }
        // Nearly every name is in normal form as received.
        if names::is_normal(name) {
            self.classify(name, name)
        } else {
            self.classify(&normal_form(name), name)
        }
    }

    /// Returns a cookie header without the sessions of any realm. It stays a valid field value, because only whole pairs are
    /// removed.
    fn without_sessions(&self, value: &[u8]) -> Option<Vec<u8>> {
        let [first, others @ ..] = &self.rings[..] else {
            return Some(value.to_vec());
        };
        let rest = without_session(first, value)?;
        let mut others = others.iter();
        others.try_fold(rest, |rest, keys| without_session(keys, &rest))
    }

    fn may_be_bypass(&self, name: &str) -> bool {
        let first = name.bytes().next().map(normal_byte);
        name.len() == self.bypass_header.len() && first == self.bypass_header.bytes().next()
    }

    fn classify(&self, normal: &str, name: &str) -> HeaderKind {
        if *normal == *self.bypass_header || self.profile_names.has(normal) {
            return HeaderKind::Identity;
        }
        match names::meaning(normal) {
            Meaning::Identity => HeaderKind::Identity,
            Meaning::Routing if normal == name => HeaderKind::Routing,
            Meaning::Routing => HeaderKind::RoutingAlias,
            Meaning::Other => HeaderKind::Other,
        }
    }
}

/// The meaning of a header name, with its spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HeaderKind {
    Identity,
    Other,
    Routing,
    /// A routing header in another spelling, which only an upstream that folds names would read as one.
    RoutingAlias,
}

/// Whether a session of these keys is in a cookie.
fn has_session_cookie(keys: &KeyRing, headers: &HeaderMap) -> bool {
    let mut cookies = headers.get_all(COOKIE).iter();
    cookies.any(|value| precedes_bearer(keys, value.as_bytes()))
}

/// Returns the normal form of a name, which is how services may fold it.
pub(crate) fn normal_form(name: &str) -> String {
    name.bytes()
        .map(|byte| char::from(normal_byte(byte)))
        .collect()
}

/// The names in header profiles that are not in the lists of [`names`](crate::names).
#[derive(Clone, Debug, Default)]
struct ProfileNames {
    /// In normal form, sorted.
    names: Vec<String>,
    /// A bit for the length of each, modulo 64.
    lengths: u64,
}

impl ProfileNames {
    fn of<'p>(profiles: impl IntoIterator<Item = &'p HeaderProfile>) -> Self {
        let headers = profiles.into_iter().flat_map(|profile| &profile.headers);
        let names = headers.map(|header| normal_form(header.name.as_str()));
        let mut names: Vec<_> = names
            .filter(|name| names::meaning(name) != Meaning::Identity)
            .collect();
        names.sort();
        names.dedup();
        let lengths = names
            .iter()
            .fold(0, |all, name| all | 1 << (name.len() % 64));
        Self { names, lengths }
    }

    /// Whether a name can be among them; the length rules out nearly all other names.
    fn may_have(&self, name: &str) -> bool {
        self.lengths & 1 << (name.len() % 64) != 0
    }

    fn has(&self, normal: &str) -> bool {
        let names = &self.names;
        names
            .binary_search_by(|name| name.as_str().cmp(normal))
            .is_ok()
    }
}

/// Writes `X-Forwarded-For`: the values that a trusted proxy sent, and then the known addresses.
fn write_chain(out: &mut Vec<u8>, hops: &[&HeaderValue], known: impl IntoIterator<Item = IpAddr>) {
    out.extend_from_slice(b"x-forwarded-for: ");
    for hop in hops {
        out.extend_from_slice(hop.as_bytes());
        out.extend_from_slice(b", ");
    }
    for (index, address) in known.into_iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(b", ");
        }
        write_address(out, address).expect("memory takes everything");
    }
    out.extend_from_slice(b"\r\n");
}

/// The fields that request or accept a WebSocket (RFC 6455 §4). They are hop-by-hop, so they are removed from all other messages.
pub fn websocket_fields() -> [Field<'static>; 2] {
    [(b"connection", b"upgrade"), (b"upgrade", b"websocket")]
}

/// Returns a field value for any text: unchanged if it consists of visible ASCII and spaces, otherwise percent-encoded as UTF-8.
///
/// No two texts have the same value. So a text with a `%` is encoded too; otherwise the user `%C3%A4` would be the user `ä`. So
/// is a text with a space at either end, because readers trim the value, and ` root` is not `root`.
pub(crate) fn field_value(text: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'%';
    // The loop has no early exit, so that it vectorizes.
    let plain = text
        .bytes()
        .fold(true, |plain, byte| plain & is_plain(byte))
        && !text.starts_with(' ')
        && !text.ends_with(' ');
    if plain {
        Cow::Borrowed(text)
    } else {
        encoded_component(text)
    }
}

/// The number of `X-Forwarded-For` fields for which no memory is allocated.
const USUAL_HOPS: usize = 4;

#[cfg(test)]
mod tests;
