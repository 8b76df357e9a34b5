//! The PROXY protocol, versions 1 and 2: in front of everything else a proxy says for whom a connection is.
//!
//! The specification is HAProxy's, <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>; § is one of its sections.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The version in which somebody is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ProxyVersion {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

/// The header that tells a server for whom a connection is: a client's address, and where it has reached us, if that is known.
/// `None` for a connection of our own.
pub(crate) fn header(
    version: ProxyVersion,
    caller: Option<(IpAddr, Option<SocketAddr>)>,
) -> Vec<u8> {
    let ends = caller.map(|(client, reached)| Ends::of(client, reached));
    match (version, ends) {
        (ProxyVersion::V1, None) => b"PROXY UNKNOWN\r\n".to_vec(),
        (ProxyVersion::V1, Some(ends)) => ends.line().into_bytes(),
        // A connection of our own is LOCAL, of no protocol (§2.2).
        (ProxyVersion::V2, None) => [&SIGNATURE[..], &[0x20, 0, 0, 0]].concat(),
        (ProxyVersion::V2, Some(ends)) => ends.block(),
    }
}

/// Both ends of a client's connection, of one family. The client's port is not known and is 0.
enum Ends {
    V4(Ipv4Addr, Ipv4Addr, u16),
    V6(Ipv6Addr, Ipv6Addr, u16),
}

impl Ends {
    fn of(client: IpAddr, reached: Option<SocketAddr>) -> Self {
        let port = reached.map_or(0, |reached| reached.port());
        let reached = reached.map(|reached| reached.ip().to_canonical());
        match (client.to_canonical(), reached) {
            (IpAddr::V4(client), Some(IpAddr::V4(reached))) => Self::V4(client, reached, port),
            (IpAddr::V6(client), Some(IpAddr::V6(reached))) => Self::V6(client, reached, port),
            // It came by a proxy that we talk to in the other family, or by a socket without addresses.
            (IpAddr::V4(client), _) => Self::V4(client, Ipv4Addr::UNSPECIFIED, port),
            (IpAddr::V6(client), _) => Self::V6(client, Ipv6Addr::UNSPECIFIED, port),
        }
    }

    /// Version 1 (§2.1).
    fn line(&self) -> String {
        match self {
            Self::V4(client, reached, port) => {
                format!("PROXY TCP4 {client} {reached} 0 {port}\r\n")
            }
            Self::V6(client, reached, port) => {
                format!("PROXY TCP6 {client} {reached} 0 {port}\r\n")
            }
        }
    }

    /// Version 2 (§2.2).
    fn block(&self) -> Vec<u8> {
        let mut block = SIGNATURE.to_vec();
        let port = match self {
            Self::V4(client, reached, port) => {
                block.extend([0x21, 0x11, 0, 12]);
                block.extend(client.octets());
                block.extend(reached.octets());
                port
            }
            Self::V6(client, reached, port) => {
                block.extend([0x21, 0x21, 0, 36]);
                block.extend(client.octets());
                block.extend(reached.octets());
                port
            }
        };
        block.extend([0, 0]);
        block.extend(port.to_be_bytes());
        block
    }
}

/// How version 2 begins.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
