//! What proxies say about a request, hop by hop: `Forwarded` (RFC 7239), or `X-Forwarded-For` and the headers beside it.
//!
//! Each proxy appends, so the nearest proxy wrote the end, and the client may have sent the beginning. Therefore the hops are
//! read from the right: text further left can neither hide nor change text further right, not even with an unclosed quotation
//! mark.

use std::net::{IpAddr, SocketAddrV4};

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName, HeaderValue};

/// The header in which trusted proxies say where a request comes from. A proxy that writes one of the two leaves the other as the
/// client sent it, so only one of them can be trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardedHeader {
    /// `Forwarded` (RFC 7239).
    Forwarded,
    /// `X-Forwarded-For`, and beside it `X-Forwarded-Proto` and `X-Forwarded-Host`.
    #[default]
    XForwardedFor,
}

/// What one proxy says about the peer from which it received the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hop<'h> {
    /// The peer's address; `None` when it is unreadable, hidden or unknown.
    pub(crate) address: Option<IpAddr>,
    pub(crate) host: Option<&'h str>,
    pub(crate) scheme: Option<&'h str>,
}

impl ForwardedHeader {
    /// The name of the header.
    pub fn name(self) -> HeaderName {
        match self {
            Self::Forwarded => FORWARDED,
            Self::XForwardedFor => X_FORWARDED_FOR,
        }
    }

    /// Whether a field with this name, in lower case, belongs to the header that is not trusted.
    pub(crate) fn distrusts(self, name: &str) -> bool {
        match self {
            Self::Forwarded => name.starts_with("x-forwarded-"),
            Self::XForwardedFor => name == "forwarded",
        }
    }

    /// Returns what the proxies say, the nearest proxy first.
    pub(crate) fn hops(self, headers: &HeaderMap) -> impl Iterator<Item = Hop<'_>> {
        let values = headers.get_all(self.name()).iter().rev();
        values
            .flat_map(move |value| Elements {
                rest: Some(value.as_bytes()),
                has_quotes: self == Self::Forwarded,
            })
            .map(move |element| match self {
                Self::Forwarded => Hop::of_element(element).unwrap_or_default(),
                Self::XForwardedFor => Hop {
                    address: address(element),
                    ..Hop::default()
                },
            })
    }
}

/// The non-empty elements of a list (RFC 9110 §5.6.1), from the last to the first.
struct Elements<'v> {
    rest: Option<&'v [u8]>,
    /// Whether the list has quoted strings, in which commas do not separate elements.
    has_quotes: bool,
}

impl<'v> Iterator for Elements<'v> {
    type Item = &'v [u8];

    fn next(&mut self) -> Option<&'v [u8]> {
        loop {
            let rest = self.rest?;
            let comma = match self.has_quotes {
                true => last_unquoted(rest, b','),
                false => rest.iter().rposition(|byte| *byte == b','),
            };
            let element = match comma {
                Some(at) => {
                    self.rest = Some(&rest[..at]);
                    &rest[at + 1..]
                }
                None => {
                    self.rest = None;
                    rest
                }
            };
            let element = element.trim_ascii();
            if !element.is_empty() {
                return Some(element);
            }
        }
    }
}

/// Returns the last position of a byte outside of quoted strings (RFC 9110 §5.6.4), if the text ends outside of one.
fn last_unquoted(text: &[u8], wanted: u8) -> Option<usize> {
    let mut is_quoted = false;
    let bytes = text.iter().copied().enumerate().rev();
    for (at, byte) in bytes {
        if byte == b'"' {
            let escapes = text[..at].iter().rev().take_while(|byte| **byte == b'\\');
            // An escaped quotation mark is part of a quoted string.
            if !is_quoted || escapes.count() % 2 == 0 {
                is_quoted = !is_quoted;
            }
        } else if byte == wanted && !is_quoted {
            return Some(at);
        }
    }
    None
}

impl<'h> Hop<'h> {
    /// Reads an element of `Forwarded`; `None` when it is malformed, and ignored as a whole.
    fn of_element(element: &'h [u8]) -> Option<Self> {
        let mut found = [None; 3];
        let mut rest = element;
        loop {
            let (pair, left) = match last_unquoted(rest, b';') {
                Some(at) => (&rest[at + 1..], Some(&rest[..at])),
                None => (rest, None),
            };
            if !pair.trim_ascii().is_empty() {
                let equals = pair.iter().position(|byte| *byte == b'=')?;
                let name = pair[..equals].trim_ascii();
                let known = ["for", "host", "proto"];
                let place = known
                    .iter()
                    .position(|known| name.eq_ignore_ascii_case(known.as_bytes()));
                // Each parameter may occur only once (RFC 7239 §4).
                if let Some(place) = place
                    && found[place]
                        .replace(pair[equals + 1..].trim_ascii())
                        .is_some()
                {
                    return None;
                }
            }
            match left {
                Some(left) => rest = left,
                None => break,
            }
        }
        let [address_of, host, scheme] = found;
        Some(Self {
            address: address_of.and_then(address),
            host: host.and_then(plain),
            scheme: scheme.and_then(plain).map(canonical),
        })
    }
}

/// Returns the text of a token, or of a quoted string without escapes: hosts, schemes and addresses need none.
fn plain(value: &[u8]) -> Option<&str> {
    let inner = match value {
        [b'"', inner @ .., b'"'] => inner,
        _ => value,
    };
    let is_plain =
        |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b',' | b';');
    let is_text = !inner.is_empty() && inner.iter().all(is_plain);
    std::str::from_utf8(inner).ok().filter(|_| is_text)
}

/// Returns a common scheme in lower case, as services compare it (RFC 3986 §3.1 allows any case); another scheme unchanged.
pub(crate) fn canonical(scheme: &str) -> &str {
    let usual = ["http", "https", "ws", "wss"];
    let mut usual = usual.into_iter();
    usual
        .find(|usual| scheme.eq_ignore_ascii_case(usual))
        .unwrap_or(scheme)
}

/// Reads the address in a node as proxies write it: with or without a port, IPv6 with or without brackets, with or without quotes
/// (RFC 7239 §6). Returns `None` for `unknown` and for names that hide an address (`_gazonk`).
fn address(node: &[u8]) -> Option<IpAddr> {
    let node = plain(node)?;
    if let Some(rest) = node.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        let is_port = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return address
            .parse()
            .ok()
            .filter(|_| is_port)
            .map(|address| IpAddr::V6(address).to_canonical());
    }
    let bare = node.parse::<IpAddr>().ok();
    let with_port = || Some(IpAddr::V4(*node.parse::<SocketAddrV4>().ok()?.ip()));
    // A hidden port: `192.0.2.1:_x`.
    let with_hidden = || {
        let (address, port) = node.split_once(':')?;
        let address = address.parse().ok().map(IpAddr::V4);
        address.filter(|_| is_port(port))
    };
    bare.or_else(with_port)
        .or_else(with_hidden)
        .map(|address| address.to_canonical())
}

/// Whether a text is a port, or a name that hides one (RFC 7239 §6).
fn is_port(text: &str) -> bool {
    match text.strip_prefix('_') {
        Some(name) => {
            let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            !name.is_empty() && name.bytes().all(is_letter)
        }
        None => text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok(),
    }
}

/// Returns the first value of `X-Forwarded-Proto` or `X-Forwarded-Host`: each proxy appends, so it is the first proxy's.
pub(crate) fn first<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let value: &HeaderValue = headers.get(name)?;
    let first = value.to_str().ok()?.split(',').next()?.trim();
    Some(first).filter(|first| !first.is_empty())
}

pub(crate) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(crate) const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub(crate) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(header: ForwardedHeader, values: &[&[u8]]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header.name(), HeaderValue::from_bytes(value).unwrap());
        }
        let shown = |hop: Hop<'_>| hop.address.map_or("-".to_owned(), |ip| ip.to_string());
        header.hops(&headers).map(shown).collect()
    }

    #[test]
    fn addresses_are_read_as_proxies_write_them() {
        for (node, address) in [
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.1:4711", "192.0.2.1"),
            ("192.0.2.1:_x.y", "192.0.2.1"),
            ("\"192.0.2.1:4711\"", "192.0.2.1"),
            ("\"192.0.2.1\"", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("\"[2001:db8::1]:_hidden\"", "2001:db8::1"),
            ("\"[2001:DB8::1]\"", "2001:db8::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("[::ffff:192.0.2.1]:80", "192.0.2.1"),
            ("\t 192.0.2.1 \t", "192.0.2.1"),
            ("unknown", "-"),
            ("_gazonk", "-"),
            ("\"_gazonk\"", "-"),
            ("192.0.2.01", "-"),
            ("192.0.2.1:", "-"),
            ("192.0.2.1:99999", "-"),
            ("192.0.2.1:80:80", "-"),
            ("192.0.2", "-"),
            ("3221225985", "-"),
            ("[192.0.2.1]", "-"),
            ("[2001:db8::1", "-"),
            ("[2001:db8::1]x", "-"),
            ("[2001:db8::1]:+1", "-"),
            ("fe80::1%eth0", "-"),
            ("'192.0.2.1'", "-"),
            ("\"192.0.2.1", "-"),
            ("192.0.2.1 evil", "-"),
            ("http://192.0.2.1", "-"),
            ("localhost", "-"),
        ] {
            let older = addresses(ForwardedHeader::XForwardedFor, &[node.as_bytes()]);
            assert_eq!(older, [address], "{node}");
            let element = format!("FOR={node};by=_x");
            let standard = addresses(ForwardedHeader::Forwarded, &[element.as_bytes()]);
            assert_eq!(standard, [address], "{element}");
        }
    }

    #[test]
    fn empty_elements_are_ignored_and_lines_form_one_list() {
        let values: [&[u8]; 3] = [b"192.0.2.1,,", b"", b" , 192.0.2.2 ,\xff,192.0.2.3,"];
        let found = addresses(ForwardedHeader::XForwardedFor, &values);
        assert_eq!(found, ["192.0.2.3", "-", "192.0.2.2", "192.0.2.1"]);
    }

    #[test]
    fn client_text_does_not_hide_a_proxys_element() {
        for sent in [
            "for=\"",
            "for=\"\\",
            "for=\"\\\"",
            "for=\"a\\\\\"\"",
            "\"",
            "for=1.1.1.1;\"",
            "for=\"1.1.1.1, ",
            "=;=;;,\"\"\"",
        ] {
            for added in [
                "for=192.0.2.1;proto=https",
                "for=\"[2001:db8::1]:80\";host=\"a,b;c\"",
                "by=\"_x\\\"y\";for=192.0.2.1",
            ] {
                let value = format!("{sent}, {added}");
                let found = addresses(ForwardedHeader::Forwarded, &[value.as_bytes()]);
                let wanted = addresses(ForwardedHeader::Forwarded, &[added.as_bytes()]);
                assert_eq!(found[0], wanted[0], "{value}");
                assert_ne!(found[0], "-", "{value}");
            }
        }
    }

    #[test]
    fn no_client_text_hides_the_elements_of_proxies() {
        let letters = b"\",;=\\ for[]:.1a\t";
        let mut random = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            usize::try_from(random % 97).unwrap()
        };
        for _ in 0..20_000 {
            let mut value: Vec<u8> = (0..next())
                .map(|_| letters[next() % letters.len()])
                .collect();
            value.extend_from_slice(b", for=\"[2001:db8::1]:80\";by=\"_x\\\"y\" ,for=192.0.2.1");
            let found = addresses(ForwardedHeader::Forwarded, &[&value]);
            assert_eq!(
                found[..2],
                ["192.0.2.1", "2001:db8::1"],
                "{}",
                value.escape_ascii()
            );
        }
    }

    #[test]
    fn an_element_has_host_and_scheme() {
        let mut headers = HeaderMap::new();
        let value = "for=192.0.2.1; Host=\"a.example:8443\" ;PROTO=HttpS;secret=\"a;b,c\", for=192.0.2.2;for=1.1.1.1";
        headers.append(FORWARDED, HeaderValue::from_static(value));
        let hops: Vec<_> = ForwardedHeader::Forwarded.hops(&headers).collect();
        let first = Hop {
            address: Some([192, 0, 2, 1].into()),
            host: Some("a.example:8443"),
            scheme: Some("https"),
        };
        assert_eq!(hops, [Hop::default(), first], "twice the same is nothing");
    }
}
