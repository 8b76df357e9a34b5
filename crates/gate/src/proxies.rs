//! Trusted proxies, and what they say about a request.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::HeaderMap;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::forwarded::{self, ForwardedHeader, Hop, X_FORWARDED_HOST, X_FORWARDED_PROTO};

/// The networks of trusted proxies, and the header in which they say where a request comes from. Empty by default: no proxy is
/// trusted.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    header: ForwardedHeader,
}

/// The host and scheme that the client used for a request, as trusted proxies report them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ForwardedOrigin<'h> {
    /// The host that the client requested, with its port if it has one.
    pub host: Option<&'h str>,
    /// `http` or `https`, or another text that the proxy wrote.
    pub scheme: Option<&'h str>,
}

impl TrustedProxies {
    /// Trusts the proxies in these networks, which write `X-Forwarded-For`.
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self {
            networks,
            header: ForwardedHeader::default(),
        }
    }

    /// Sets the header that the proxies write.
    #[must_use]
    pub fn with_header(self, header: ForwardedHeader) -> Self {
        Self { header, ..self }
    }

    /// Also trusts every address of this machine's loopback interface.
    #[must_use]
    pub fn with_loopback(mut self) -> Self {
        self.networks.extend(LOOPBACK);
        self
    }

    /// Whether this peer is a trusted proxy. An IPv4 peer on an IPv6 socket is compared as IPv4.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.networks.iter().any(|network| network.contains(&peer))
    }

    /// Returns the client's address: the peer's, unless the peer is a trusted proxy. Then it is the last address in the header
    /// that no trusted proxy wrote for another trusted proxy. An entry that is not an address ends the search, because nothing
    /// before it can be trusted.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        match self.trusts(peer) {
            true => self.walk(peer, headers).0,
            false => peer,
        }
    }

    /// Returns the host and scheme that the client used. Both are empty when the peer is not a trusted proxy.
    ///
    /// With `Forwarded`, they are taken from the element that also names the client. The older headers do not tell proxies apart,
    /// so the first value of each is taken.
    pub fn origin<'h>(&self, peer: IpAddr, headers: &'h HeaderMap) -> ForwardedOrigin<'h> {
        let peer = peer.to_canonical();
        if !self.trusts(peer) {
            return ForwardedOrigin::default();
        }
        match self.header {
            ForwardedHeader::Forwarded => {
                let Hop { host, scheme, .. } = self.walk(peer, headers).1;
                ForwardedOrigin { host, scheme }
            }
            ForwardedHeader::XForwardedFor => ForwardedOrigin {
                host: forwarded::first(headers, &X_FORWARDED_HOST),
                scheme: forwarded::first(headers, &X_FORWARDED_PROTO).map(forwarded::canonical),
            },
        }
    }

    /// Returns the client's address behind a listed peer, and the element of the proxy that named it.
    fn walk<'h>(&self, peer: IpAddr, headers: &'h HeaderMap) -> (IpAddr, Hop<'h>) {
        let (mut client, mut last) = (peer, Hop::default());
        for hop in self.header.hops(headers) {
            last = hop;
            let Some(address) = hop.address else {
                break;
            };
            client = address;
            if !self.trusts(client) {
                break;
            }
        }
        (client, last)
    }

    /// The listed networks.
    pub fn networks(&self) -> &[IpNet] {
        &self.networks
    }

    /// The header in which the proxies say where a request comes from.
    pub fn header(&self) -> ForwardedHeader {
        self.header
    }
}

const LOOPBACK: [IpNet; 2] = [
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8)),
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128)),
];

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn client(peer: &str, forwarded_for: &[&'static str]) -> String {
        let proxies = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
        let mut headers = HeaderMap::new();
        for value in forwarded_for {
            headers.append("x-forwarded-for", HeaderValue::from_static(value));
        }
        proxies.client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn an_unlisted_peer_is_the_client_whatever_it_sends() {
        assert_eq!(client("192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
    }

    #[test]
    fn a_listed_proxy_names_the_client() {
        assert_eq!(client("10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(client("::ffff:10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
    }

    #[test]
    fn the_last_unlisted_hop_counts_and_forged_ones_before_it_do_not() {
        assert_eq!(
            client("10.0.0.1", &["6.6.6.6, 198.51.100.7, 10.0.0.2"]),
            "198.51.100.7"
        );
        assert_eq!(
            client("10.0.0.1", &["6.6.6.6", "198.51.100.7", "10.0.0.2"]),
            "198.51.100.7"
        );
    }

    #[test]
    fn an_entry_that_is_not_an_address_ends_the_search() {
        for unread in ["unknown", "_hidden", "6.6.6", "\"", "6.6.6.6 x"] {
            let value = format!("198.51.100.7, {unread}, 10.0.0.2");
            let value: &'static str = value.leak();
            assert_eq!(client("10.0.0.1", &[value]), "10.0.0.2", "{unread}");
        }
        assert_eq!(client("10.0.0.1", &["198.51.100.7, unknown"]), "10.0.0.1");
    }

    #[test]
    fn ports_brackets_quotes_and_empty_entries_do_not_hide_the_client() {
        for value in [
            "6.6.6.6, 198.51.100.7:4711",
            "6.6.6.6, \"198.51.100.7:4711\", 10.0.0.2:80",
            "6.6.6.6, 198.51.100.7,",
            "6.6.6.6,198.51.100.7, , \t,10.0.0.2 ,",
            "6.6.6.6, [::ffff:198.51.100.7]:80, ::ffff:10.0.0.2",
        ] {
            assert_eq!(client("10.0.0.1", &[value]), "198.51.100.7", "{value}");
        }
        let client = client("10.0.0.1", &["6.6.6.6, [2001:db8::1]:4711"]);
        assert_eq!(client, "2001:db8::1");
    }

    fn forwarded(peer: &str, lines: &[&'static str]) -> (String, ForwardedOrigin<'static>) {
        let proxies = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
        let proxies = proxies.with_header(ForwardedHeader::Forwarded);
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("forwarded", HeaderValue::from_static(line));
        }
        // A client's fields in the header that the proxies do not write.
        for (name, value) in [
            ("x-forwarded-for", "6.6.6.6"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "evil.example"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        let headers = Box::leak(Box::new(headers));
        let peer = peer.parse().unwrap();
        (
            proxies.client(peer, headers).to_string(),
            proxies.origin(peer, headers),
        )
    }

    #[test]
    fn the_standard_header_names_client_host_and_scheme_together() {
        let origin = |host, scheme| ForwardedOrigin { host, scheme };
        let (https, http, none) = (Some("https"), Some("http"), origin(None, None));
        for (peer, lines, client, last) in [
            (
                "192.0.2.1",
                &["for=198.51.100.7;proto=https"][..],
                "192.0.2.1",
                none,
            ),
            ("10.0.0.1", &[], "10.0.0.1", none),
            (
                "10.0.0.1",
                &[
                    "for=6.6.6.6;proto=http;host=evil, for=\"198.51.100.7:80\";host=a.example;proto=https",
                ],
                "198.51.100.7",
                origin(Some("a.example"), https),
            ),
            (
                "10.0.0.1",
                &[
                    "For=\"[2001:db8::1]:4711\";Proto=https;Host=a.example",
                    "for=10.0.0.2;proto=http;host=internal",
                ],
                "2001:db8::1",
                origin(Some("a.example"), https),
            ),
            // A proxy that hides its client still says how the request reached it.
            (
                "10.0.0.1",
                &["for=6.6.6.6;proto=https, for=unknown;proto=http"],
                "10.0.0.1",
                origin(None, http),
            ),
            ("10.0.0.1", &["for=6.6.6.6, for=_hidden"], "10.0.0.1", none),
            (
                "10.0.0.1",
                &["for=6.6.6.6, proto=https"],
                "10.0.0.1",
                origin(None, https),
            ),
            (
                "10.0.0.1",
                &["for=6.6.6.6, for=1.1.1.1;for=2.2.2.2"],
                "10.0.0.1",
                none,
            ),
            ("10.0.0.1", &["for=6.6.6.6, 198.51.100.7"], "10.0.0.1", none),
        ] {
            assert_eq!(
                forwarded(peer, lines),
                (client.to_owned(), last),
                "{lines:?}"
            );
        }
    }

    #[test]
    fn the_standard_header_is_not_read_where_proxies_write_the_older_one() {
        let proxies = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
        let mut headers = HeaderMap::new();
        let value = HeaderValue::from_static("for=6.6.6.6;proto=https;host=evil.example");
        headers.append("forwarded", value);
        let peer = [10, 0, 0, 1].into();
        assert_eq!(proxies.client(peer, &headers), peer);
        assert_eq!(proxies.origin(peer, &headers), ForwardedOrigin::default());
    }
}
