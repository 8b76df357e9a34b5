//! Limits: concurrent connections, requests in flight, and rate limits.

mod all_nodes;
mod bad_sessions;
mod connections;
mod in_flight;
mod limiter;
mod rates;
mod table;
mod unknown_tokens;

pub(crate) use self::all_nodes::AllNodes;
pub(crate) use self::connections::{Connections, LimitGuard};
pub(crate) use self::in_flight::InFlight;
pub(crate) use self::rates::Rates;
pub(crate) use self::table::Table;

use std::net::IpAddr;

/// The key by which an address is counted: IPv4 by itself, IPv6 by its /64 network, which belongs to one subscriber (RFC
/// 6177 §2). Addresses of IPv4 translators count as IPv4 (RFC 6052 §2.1).
fn network_of(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) if address.to_bits() >> 32 == TRANSLATED >> 32 => address.to_bits(),
        IpAddr::V6(address) => address.to_bits() & !u128::from(u64::MAX),
    }
}

/// `64:ff9b::/96`.
const TRANSLATED: u128 = 0x0064_ff9b << 96;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv6_counts_by_its_network_and_ipv4_by_address() {
        let counted = |text: &str| network_of(text.parse().unwrap());
        assert_eq!(counted("2001:db8:0:1::1"), counted("2001:db8:0:1:ffff::2"));
        assert_ne!(counted("2001:db8:0:1::1"), counted("2001:db8:0:2::1"));
        assert_ne!(counted("192.0.2.1"), counted("192.0.2.2"));
        assert_eq!(counted("192.0.2.1"), counted("::ffff:192.0.2.1"));
        assert_ne!(counted("64:ff9b::192.0.2.1"), counted("64:ff9b::192.0.2.2"));
        assert_eq!(counted("64:ff9b:1::1"), counted("64:ff9b:1::2"));
    }
}
