//! Parses networks in settings.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

/// Reads a network such as `10.0.0.0/8`, or a single address.
pub(super) fn parse(entry: &str) -> Result<IpNet, &'static str> {
    // Brackets are allowed, as in URLs: `[fd00::1]` and `[fd00::]/8`.
    let entry = &*entry.replace(['[', ']'], "");
    let address = entry.parse::<IpAddr>().map(IpNet::from);
    entry
        .parse()
        .or(address)
        .map(canonical)
        .map_err(|_| "not an address or a network such as 10.0.0.0/8")
}

/// Converts a network of IPv4-mapped IPv6 addresses (`::ffff:10.0.0.0/104`, RFC 4291 section 2.5.5.2) to IPv4, the form in
/// which client addresses are compared.
fn canonical(network: IpNet) -> IpNet {
    let IpAddr::V4(address) = network.addr().to_canonical() else {
        return network;
    };
    let mapped = network.max_prefix_len() == IPV6_BITS;
    let prefix = network.prefix_len().checked_sub(MAPPED_BITS);
    match (mapped, prefix) {
        (true, Some(prefix)) => Ipv4Net::new(address, prefix).map_or(network, IpNet::V4),
        (true, None) | (false, _) => network,
    }
}

const IPV6_BITS: u8 = 128;
/// The number of bits before the IPv4 address.
const MAPPED_BITS: u8 = 96;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv4_mapped_network_becomes_ipv4() {
        for (text, network) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:10.0.0.1", "10.0.0.1/32"),
            ("[fd00::]/8", "fd00::/8"),
            ("::/0", "::/0"),
            ("0.0.0.0/0", "0.0.0.0/0"),
        ] {
            assert_eq!(parse(text).unwrap().to_string(), network, "{text}");
        }
        assert!(parse("10.0.0.0/33").is_err());
    }
}
