//! Networks, as settings give them.

use std::net::IpAddr;

use ipnet::IpNet;

/// Reads a network such as `10.0.0.0/8`, or an address, which is a network of its own.
pub(super) fn parse(entry: &str) -> Result<IpNet, &'static str> {
    // As in a URL: `[fd00::1]` and `[fd00::]/8`.
    let entry = &*entry.replace(['[', ']'], "");
    let address = entry.parse::<IpAddr>().map(IpNet::from);
    entry
        .parse()
        .or(address)
        .map_err(|_| "not an address or a network such as 10.0.0.0/8")
}
