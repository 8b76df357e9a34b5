//! Header hygiene: what is removed from a request before it goes on, and what is written into it.
//!
//! Upstreams fold header names in ways of their own: CGI and WSGI read `X_User_Id`, `X.User.Id` and `X-User-Id` as one
//! variable. So every name is compared in its **normal form**: lower case, with every byte that is neither letter nor
//! digit read as `-` (CVE-2025-64484, CVE-2026-39858).

use std::net::IpAddr;

use http::header::{AUTHORIZATION, CONNECTION, COOKIE, HOST, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use session::KeyRing;
use smallvec::SmallVec;

use crate::Arrival;
use crate::address::{LONGEST_ADDRESS, write_address};

/// The user's id: the session's subject.
pub(crate) const X_USER_ID: HeaderName = HeaderName::from_static("x-user-id");
/// The user's e-mail address, from the session's claims.
pub(crate) const X_USER_EMAIL: HeaderName = HeaderName::from_static("x-user-email");
/// The user's name, from the session's claims.
pub(crate) const X_USER_NAME: HeaderName = HeaderName::from_static("x-user-name");

pub(crate) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What is removed from every request, as configured.
#[derive(Clone, Debug)]
pub struct Hygiene {
    bypass_header: String,
    forward_session: bool,
}

impl Hygiene {
    /// `bypass_header` never travels on, whether or not the bypass is enabled. Without `forward_session` the session
    /// itself (cookie or bearer value) does not either.
    pub fn new(bypass_header: &HeaderName, forward_session: bool) -> Self {
        Self {
            bypass_header: normal_form(bypass_header.as_str()),
            forward_session,
        }
    }

    /// Removes what belongs to the client's connection, every header that claims an identity, whoever sent it, and every
    /// header that describes the original request (`X-Forwarded-*` and its kind), unless a listed proxy sent it in its
    /// proper spelling.
    pub(crate) fn strip(&self, headers: &mut HeaderMap, trusted_peer: bool) {
        remove(headers, |name| {
            is_hop_by_hop(name) || self.is_unwanted(name, trusted_peer)
        });
    }

    /// The names of such headers, but for those that belong to a connection.
    pub(crate) fn unwanted(&self, headers: &HeaderMap, trusted_peer: bool) -> Vec<HeaderName> {
        let is_unwanted = |name: &&HeaderName| self.is_unwanted(name, trusted_peer);
        headers.keys().filter(is_unwanted).cloned().collect()
    }

    fn is_unwanted(&self, name: &HeaderName, trusted_peer: bool) -> bool {
        match self.kind(name.as_str()) {
            Kind::Identity => true,
            Kind::Routing => !trusted_peer,
            Kind::RoutingAlias => true,
            Kind::Other => false,
        }
    }

    /// Removes the session itself, and nothing else, when it is not to travel on. `admitted_by_session` says that the
    /// request enters by its session: without a session cookie that session was the bearer value.
    pub(crate) fn strip_session(
        &self,
        headers: &mut HeaderMap,
        keys: &KeyRing,
        admitted_by_session: bool,
    ) {
        if self.forward_session {
            return;
        }
        let mut found = false;
        let mut kept = Vec::new();
        for value in headers.get_all(COOKIE) {
            let rest = session::cookies::without_session(keys, value.as_bytes());
            found |= rest.as_deref() != Some(value.as_bytes());
            // The rest of a valid field value is a valid field value: only whole pairs were cut out.
            kept.extend(rest.and_then(|rest| HeaderValue::from_bytes(&rest).ok()));
        }
        if found {
            headers.remove(COOKIE);
            for value in kept {
                headers.append(COOKIE, value);
            }
        } else if admitted_by_session {
            headers.remove(AUTHORIZATION);
        }
    }

    fn kind(&self, name: &str) -> Kind {
        // Most names of a request are told by their beginning.
        let start = normal_byte(name.as_bytes().first().copied().unwrap_or_default());
        if !MARKED_STARTS.contains(&start) && !self.bypass_header.as_bytes().starts_with(&[start]) {
            return Kind::Other;
        }
        let mut buffer = [0; LONGEST_NAME];
        let Some(normal) = buffer.get_mut(..name.len()) else {
            // Longer than every exact name: only the families below can match, and their prefixes fit.
            return kind_of_long(name, &self.bypass_header);
        };
        for (to, from) in normal.iter_mut().zip(name.bytes()) {
            *to = normal_byte(from);
        }
        let canonical = *normal == *name.as_bytes();
        let Ok(normal) = std::str::from_utf8(normal) else {
            return Kind::Other;
        };
        classify(normal, canonical, &self.bypass_header)
    }
}

/// What a header name means to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Identity,
    Other,
    Routing,
    RoutingAlias,
}

fn kind_of_long(name: &str, bypass_header: &str) -> Kind {
    let normal = normal_form(name);
    classify(&normal, normal == name, bypass_header)
}

fn classify(normal: &str, canonical: bool, bypass_header: &str) -> Kind {
    let in_family = |families: &[&str]| families.iter().any(|family| normal.starts_with(family));
    if normal == bypass_header || IDENTITY.contains(&normal) || in_family(&IDENTITY_FAMILIES) {
        Kind::Identity
    } else if ROUTING.contains(&normal) || in_family(&ROUTING_FAMILIES) {
        if canonical {
            Kind::Routing
        } else {
            Kind::RoutingAlias
        }
    } else {
        Kind::Other
    }
}

fn normal_form(name: &str) -> String {
    name.bytes()
        .map(|byte| char::from(normal_byte(byte)))
        .collect()
}

fn normal_byte(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() {
        byte.to_ascii_lowercase()
    } else {
        b'-'
    }
}

/// Removes the fields that `Connection` nominates and those that are hop-by-hop by definition (RFC 9110 §7.6.1),
/// framing included: whoever sends the message on frames its body anew. `Expect` goes too: we answer it ourselves when the
/// body is first read.
pub fn remove_hop_by_hop(headers: &mut HeaderMap) {
    remove(headers, is_hop_by_hop);
}

/// Removes the fields that `Connection` nominates, and those that are `unwanted`.
fn remove(headers: &mut HeaderMap, unwanted: impl Fn(&HeaderName) -> bool) {
    // `HeaderMap` has no `retain`.
    let mut doomed: SmallVec<[HeaderName; USUALLY_REMOVED]> = headers
        .keys()
        .filter(|name| unwanted(name))
        .cloned()
        .collect();
    if doomed.contains(&CONNECTION) {
        doomed.extend(nominated(headers));
    }
    for name in doomed {
        headers.remove(name);
    }
}

/// The fields that `Connection` nominates.
fn nominated(headers: &HeaderMap) -> impl Iterator<Item = HeaderName> {
    headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        // The usual options are no names of fields that would be there.
        .filter(|name| !name.eq_ignore_ascii_case("close") && *name != "keep-alive")
        .filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok())
        .filter(|name| !KEPT_THOUGH_NOMINATED.contains(name))
}

/// Writes the hop-by-hop fields that ask for a WebSocket, or agree to one (RFC 6455 §4).
pub fn stamp_websocket(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
}

/// Writes how the request reached us: `X-Forwarded-For`, `-Host`, `-Proto` and `X-Request-Id`. What a listed proxy
/// said is kept and, for the chain of addresses, continued.
pub(crate) fn stamp_arrival(headers: &mut HeaderMap, arrival: &Arrival) {
    let peer = arrival.peer.to_canonical();
    let chain = if arrival.trusted_peer && headers.contains_key(X_FORWARDED_FOR) {
        let hops = headers
            .get_all(X_FORWARDED_FOR)
            .iter()
            .filter_map(|value| value.to_str().ok());
        header_value(&format!("{}, {peer}", hops.collect::<Vec<_>>().join(", ")))
    } else {
        address_value(peer)
    };
    headers.insert(X_FORWARDED_FOR, chain);
    if !headers.contains_key(X_FORWARDED_PROTO) {
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("http"));
    }
    if !headers.contains_key(X_FORWARDED_HOST)
        && let Some(host) = headers.get(HOST).cloned()
    {
        headers.insert(X_FORWARDED_HOST, host);
    }
    headers.insert(X_REQUEST_ID, arrival.request_id.clone());
}

/// An address as a header value.
fn address_value(address: IpAddr) -> HeaderValue {
    let mut text = [0; LONGEST_ADDRESS];
    let mut room = &mut text[..];
    write_address(&mut room, address).expect("there is room for any address");
    let length = LONGEST_ADDRESS - room.len();
    HeaderValue::from_bytes(&text[..length]).expect("an address is visible ASCII")
}

/// A header value for any text: as it is when it is visible ASCII and spaces, otherwise percent-encoded whole as UTF-8.
///
/// No two texts share a value. So a text with a `%` is encoded too, or the user `%C3%A4` would be the user `ä`; and so
/// is one with a space at either end, because whoever reads the field trims it, and ` root` is not `root`.
pub(crate) fn header_value(text: &str) -> HeaderValue {
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'%';
    // Without a way out of the loop it is done for many bytes at a time.
    let plain = text
        .bytes()
        .fold(true, |plain, byte| plain & is_plain(byte))
        && !text.starts_with(' ')
        && !text.ends_with(' ');
    let encoded = if plain {
        HeaderValue::from_str(text)
    } else {
        HeaderValue::try_from(percent_encoded(text))
    };
    encoded.expect("visible ASCII and inner spaces are a valid field value (RFC 9110 §5.5)")
}

fn percent_encoded(text: &str) -> String {
    utf8_percent_encode(text, NOT_UNRESERVED).to_string()
}

/// Everything but the unreserved characters of RFC 3986 §2.3.
const NOT_UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Hop-by-hop by definition, or framing, or answered here. Most names are told by their length.
fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "content-length"
            | "expect"
            | "http2-settings"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// So many fields are removed without asking for memory: `Connection`, the framing, and what it nominates.
const USUALLY_REMOVED: usize = 6;

/// A client that nominates these would change what the upstream answers, not how the connection is used.
const KEPT_THOUGH_NOMINATED: [HeaderName; 1] = [HOST];

/// The length of the longest exact name; longer ones go through the slow path.
const LONGEST_NAME: usize = 40;

/// Identity headers of ours and of the proxies that people come from, in normal form.
const IDENTITY: [&str; 27] = [
    "remote-email",
    "remote-groups",
    "remote-name",
    "remote-sub",
    "remote-user",
    "x-authenticated-user",
    "x-forwarded-access-token",
    "x-forwarded-displayname",
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-forwarded-mail",
    "x-forwarded-preferred-username",
    "x-forwarded-user",
    "x-goog-iap-jwt-assertion",
    "x-middleware-subrequest",
    "x-remote-email",
    "x-remote-groups",
    "x-remote-name",
    "x-remote-user",
    "x-role",
    "x-user",
    "x-user-email",
    "x-user-groups",
    "x-user-id",
    "x-user-name",
    "x-user-role",
    "x-user-roles",
];

/// Families of identity headers that are open-ended.
const IDENTITY_FAMILIES: [&str; 9] = [
    "cf-access-",
    "x-amzn-oidc-",
    "x-auth-request-",
    "x-authentik-",
    "x-goog-authenticated-user-",
    "x-ms-client-principal",
    "x-pomerium-",
    "x-vouch-",
    "x-webauth-",
];

/// What the names in all of these lists begin with.
const MARKED_STARTS: [u8; 5] = *b"cfrtx";

/// Headers that describe the original request, in normal form.
const ROUTING: [&str; 10] = [
    "cf-connecting-ip",
    "forwarded",
    "true-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-real-ip",
    "x-rewrite-url",
];

/// Families of headers that describe the original request.
const ROUTING_FAMILIES: [&str; 2] = ["x-forwarded", "x-original-"];

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        headers.keys().map(HeaderName::as_str).collect()
    }

    fn stripped(names_sent: &[&str], trusted: bool) -> Vec<String> {
        let hygiene = Hygiene::new(&HeaderName::from_static("x-bypass-auth"), true);
        let pairs: Vec<_> = names_sent.iter().map(|name| (*name, "v")).collect();
        let mut headers = headers(&pairs);
        hygiene.strip(&mut headers, trusted);
        names(&headers).into_iter().map(str::to_owned).collect()
    }

    #[test]
    fn identity_headers_go_in_every_spelling_whoever_sent_them() {
        let forged = [
            "x-user-id",
            "X_User_Id",
            "x.user.id",
            "X-USER_ID",
            "x-user-email",
            "x_user_name",
            "remote-user",
            "Remote_User",
            "x-forwarded-user",
            "x-auth-request-email",
            "x-authentik-username",
            "x-webauth-user",
            "x-vouch-idp-claims-a-very-long-name-that-is-longer-than-the-buffer",
            "x-bypass-auth",
            "X_Bypass_Auth",
            "x-middleware-subrequest",
        ];
        for trusted in [false, true] {
            assert!(
                stripped(&forged, trusted).is_empty(),
                "{:?}",
                stripped(&forged, trusted)
            );
        }
    }

    #[test]
    fn descriptions_of_the_original_request_need_a_listed_proxy() {
        let proper = [
            "x-forwarded-for",
            "x-forwarded-host",
            "forwarded",
            "x-original-url",
            "x-real-ip",
        ];
        assert!(stripped(&proper, false).is_empty());
        assert_eq!(stripped(&proper, true), proper);
        assert!(stripped(&["x_forwarded_for", "X.Original.Url", "x_real_ip"], true).is_empty());
    }

    #[test]
    fn every_listed_name_begins_with_a_marked_letter() {
        let listed = IDENTITY.iter().chain(&IDENTITY_FAMILIES);
        for name in listed.chain(&ROUTING).chain(&ROUTING_FAMILIES) {
            assert!(MARKED_STARTS.contains(&name.as_bytes()[0]), "{name}");
        }
    }

    #[test]
    fn other_headers_stay() {
        let others = [
            "accept",
            "cookie",
            "authorization",
            "x-user-agent",
            "x-requested-with",
            "remote-users",
        ];
        assert_eq!(stripped(&others, false), others);
    }

    #[test]
    fn what_connection_nominates_goes_but_never_the_host() {
        let mut headers = headers(&[
            ("host", "a"),
            ("connection", "close, X-Hop , host"),
            ("connection", "x-other"),
            ("x-hop", "v"),
            ("x-other", "v"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("content-length", "5"),
            ("keep", "v"),
        ]);
        remove_hop_by_hop(&mut headers);
        assert_eq!(names(&headers), ["host", "keep"]);
    }

    #[test]
    fn the_arrival_is_rebuilt_or_continued() {
        let mut arrival = Arrival {
            peer: Ipv4Addr::new(10, 0, 0, 1).into(),
            client: Ipv4Addr::new(192, 0, 2, 1).into(),
            trusted_peer: false,
            relayed: false,
            request_id: HeaderValue::from_static("id"),
        };
        let mut fresh = headers(&[("host", "a")]);
        stamp_arrival(&mut fresh, &arrival);
        assert_eq!(fresh["x-forwarded-for"], "10.0.0.1");
        assert_eq!(fresh["x-forwarded-host"], "a");
        assert_eq!(fresh["x-forwarded-proto"], "http");
        assert_eq!(fresh["x-request-id"], "id");
        arrival.trusted_peer = true;
        let mut continued = headers(&[
            ("host", "a"),
            ("x-forwarded-for", "192.0.2.1"),
            ("x-forwarded-for", "10.0.0.2"),
            ("x-forwarded-proto", "https"),
        ]);
        stamp_arrival(&mut continued, &arrival);
        assert_eq!(
            continued["x-forwarded-for"],
            "192.0.2.1, 10.0.0.2, 10.0.0.1"
        );
        assert_eq!(continued["x-forwarded-proto"], "https");
    }

    #[test]
    fn values_that_a_field_cannot_carry_are_percent_encoded_whole() {
        for (text, value) in [
            ("user-1", "user-1"),
            ("Ada Lovelace", "Ada Lovelace"),
            ("", ""),
            ("Zoë Müller", "Zo%C3%AB%20M%C3%BCller"),
            ("a\r\nX-User-Id: root", "a%0D%0AX-User-Id%3A%20root"),
            (" root", "%20root"),
            ("%C3%A4", "%25C3%25A4"),
            ("root\u{a0}", "root%C2%A0"),
        ] {
            assert_eq!(header_value(text), value, "{text:?}");
        }
    }
}
