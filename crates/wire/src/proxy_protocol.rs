//! The PROXY protocol, versions 1 and 2: a proxy names the client at the beginning of a connection.
//!
//! The specification is HAProxy's, <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>; § is one of its sections.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use thiserror::Error;

/// The version of a PROXY header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProxyVersion {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

/// Why a connection does not begin with a valid PROXY header.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ProxyHeaderError {
    /// It begins with something else.
    #[error("the connection does not begin with a PROXY header")]
    Missing,
    /// It begins with a header that cannot be read.
    #[error("the PROXY header cannot be read")]
    Unreadable,
}

/// How much of a header has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyHeader {
    /// The beginning: at least this many more bytes belong to it.
    Incomplete(usize),
    /// The whole header, with the client's address. `None` if the connection is the proxy's own, or if the proxy does not know
    /// the client or names one without an IP address.
    Complete(Option<IpAddr>),
}

/// Reads the beginning of a connection, as far as it has arrived, as a header of either version. If you read at most as many more
/// bytes as [`ProxyHeader::Incomplete`] says, you do not read past the header.
///
/// # Errors
/// [`ProxyHeaderError`] when there is no valid header. Nothing can be read after it.
pub fn read(bytes: &[u8]) -> Result<ProxyHeader, ProxyHeaderError> {
    let Some((first, rest)) = bytes.split_first_chunk() else {
        return Ok(ProxyHeader::Incomplete(SIGNATURE.len() - bytes.len()));
    };
    if *first == SIGNATURE {
        let Some((&[version_and_command, family, high, low], addresses)) = rest.split_first_chunk()
        else {
            return Ok(ProxyHeader::Incomplete(4 - rest.len()));
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        return match addresses.get(..length) {
            Some(addresses) => client_in_block(version_and_command, family, addresses),
            None => Ok(ProxyHeader::Incomplete(length - addresses.len())),
        };
    }
    if !first.starts_with(b"PROXY ") {
        return Err(ProxyHeaderError::Missing);
    }
    match bytes.strip_suffix(b"\r\n") {
        Some(line) => client_in_line(str::from_utf8(line).ok()),
        None if bytes.len() >= LONGEST_LINE => Err(ProxyHeaderError::Unreadable),
        None => Ok(ProxyHeader::Incomplete(1)),
    }
}

/// Reads a header of version 1 (§2.1), without its line end.
fn client_in_line(line: Option<&str>) -> Result<ProxyHeader, ProxyHeaderError> {
    let line = line.ok_or(ProxyHeaderError::Unreadable)?;
    let words: Vec<_> = line.split(' ').collect();
    let is_port =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok();
    let client = match words[..] {
        [_, "UNKNOWN", ..] => return Ok(ProxyHeader::Complete(None)),
        [_, "TCP4", client, destination, from, to] if is_port(from) && is_port(to) => {
            pair::<Ipv4Addr>(client, destination)
        }
        [_, "TCP6", client, destination, from, to] if is_port(from) && is_port(to) => {
            pair::<Ipv6Addr>(client, destination)
        }
        _ => None,
    };
    let client = client.ok_or(ProxyHeaderError::Unreadable)?;
    Ok(ProxyHeader::Complete(Some(client)))
}

/// Parses two addresses of one family, and returns the first.
fn pair<A: FromStr + Into<IpAddr>>(client: &str, destination: &str) -> Option<IpAddr> {
    let client: A = client.parse().ok()?;
    destination.parse::<A>().ok()?;
    Some(client.into())
}

/// Reads a header of version 2 (§2.2), after the signature. Ignores what follows the addresses.
fn client_in_block(
    version_and_command: u8,
    family: u8,
    addresses: &[u8],
) -> Result<ProxyHeader, ProxyHeaderError> {
    let client = match (version_and_command, family) {
        // LOCAL: the connection is the proxy's own.
        (0x20, _) => None,
        (0x21, 0x11) => match addresses.split_first_chunk::<4>() {
            Some((client, rest)) if rest.len() >= 8 => Some(IpAddr::from(*client)),
            Some(_) | None => return Err(ProxyHeaderError::Unreadable),
        },
        (0x21, 0x21) => match addresses.split_first_chunk::<16>() {
            Some((client, rest)) if rest.len() >= 20 => Some(IpAddr::from(*client)),
            Some(_) | None => return Err(ProxyHeaderError::Unreadable),
        },
        // Neither IPv4 nor IPv6, such as a Unix socket.
        (0x21, 0x00 | 0x31) => None,
        (_, _) => return Err(ProxyHeaderError::Unreadable),
    };
    Ok(ProxyHeader::Complete(client))
}

/// Returns the header that tells a server which client a connection is for: the client's address, and the address at which it
/// reached us, if known. `None` is for a connection of our own.
pub fn header(version: ProxyVersion, caller: Option<(IpAddr, Option<SocketAddr>)>) -> Vec<u8> {
    let ends = caller.map(|(client, destination)| Ends::of(client, destination));
    match (version, ends) {
        (ProxyVersion::V1, None) => b"PROXY UNKNOWN\r\n".to_vec(),
        (ProxyVersion::V1, Some(ends)) => ends.line().into_bytes(),
        // A connection of our own is LOCAL, without a protocol (§2.2).
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
    fn of(client: IpAddr, destination: Option<SocketAddr>) -> Self {
        let port = destination.map_or(0, |destination| destination.port());
        let destination = destination.map(|destination| destination.ip().to_canonical());
        match (client.to_canonical(), destination) {
            (IpAddr::V4(client), Some(IpAddr::V4(destination))) => {
                Self::V4(client, destination, port)
            }
            (IpAddr::V6(client), Some(IpAddr::V6(destination))) => {
                Self::V6(client, destination, port)
            }
            // The client came through a proxy that is connected to us over the other family, or over a socket without addresses.
            (IpAddr::V4(client), _) => Self::V4(client, Ipv4Addr::UNSPECIFIED, port),
            (IpAddr::V6(client), _) => Self::V6(client, Ipv6Addr::UNSPECIFIED, port),
        }
    }

    /// The header in version 1 (§2.1).
    fn line(&self) -> String {
        match self {
            Self::V4(client, destination, port) => {
                format!("PROXY TCP4 {client} {destination} 0 {port}\r\n")
            }
            Self::V6(client, destination, port) => {
                format!("PROXY TCP6 {client} {destination} 0 {port}\r\n")
            }
        }
    }

    /// The header in version 2 (§2.2).
    fn block(&self) -> Vec<u8> {
        let mut block = SIGNATURE.to_vec();
        let port = match self {
            Self::V4(client, destination, port) => {
                block.extend([0x21, 0x11, 0, 12]);
                block.extend(client.octets());
                block.extend(destination.octets());
                port
            }
            Self::V6(client, destination, port) => {
                block.extend([0x21, 0x21, 0, 36]);
                block.extend(client.octets());
                block.extend(destination.octets());
                port
            }
        };
        block.extend([0, 0]);
        block.extend(port.to_be_bytes());
        block
    }
}

/// The beginning of a header of version 2.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// The longest header of version 1, in bytes, with its line end (§2.1).
const LONGEST_LINE: usize = 107;

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a header, as many bytes at a time as `read` needs, and returns it with the bytes that follow. An incomplete header
    /// is `Incomplete`.
    fn read_all(bytes: &[u8]) -> (Result<ProxyHeader, ProxyHeaderError>, &[u8]) {
        let mut taken = 0;
        loop {
            let header = read(&bytes[..taken]);
            match header {
                Ok(ProxyHeader::Incomplete(more)) if taken + more <= bytes.len() => taken += more,
                _ => return (header, &bytes[taken..]),
            }
        }
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn written_headers_are_read_and_nothing_after_them() {
        let here: SocketAddr = "127.0.0.1:443".parse().unwrap();
        let there: SocketAddr = "[::ffff:10.0.0.1]:443".parse().unwrap();
        for version in [ProxyVersion::V1, ProxyVersion::V2] {
            for client in ["203.0.113.7", "2001:db8::7"] {
                for destination in [Some(here), Some(there), None] {
                    let mut header = header(version, Some((address(client), destination)));
                    header.extend(b"GET /");
                    let (read, left) = read_all(&header);
                    assert_eq!(
                        read,
                        Ok(ProxyHeader::Complete(Some(address(client)))),
                        "{version:?}"
                    );
                    assert_eq!(left, b"GET /");
                }
            }
            let header = header(version, None);
            let (read, left) = read_all(&header);
            assert_eq!(read, Ok(ProxyHeader::Complete(None)), "{version:?}");
            assert!(left.is_empty());
        }
    }

    #[test]
    fn a_line_has_the_form_of_the_specification() {
        let here: SocketAddr = "192.0.2.1:443".parse().unwrap();
        let line = header(ProxyVersion::V1, Some((address("192.0.2.7"), Some(here))));
        assert_eq!(line, b"PROXY TCP4 192.0.2.7 192.0.2.1 0 443\r\n");
    }

    #[test]
    fn headers_of_other_programs_are_read() {
        for (bytes, client) in [
            (&b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"[..], Some("255.255.255.255")),
            (b"PROXY TCP6 ffff::1 ::1 1 1\r\n", Some("ffff::1")),
            (b"PROXY UNKNOWN\r\n", None),
            (b"PROXY UNKNOWN ffff::1 ffff::1 1 1\r\n", None),
            (b"\r\n\r\n\0\r\nQUIT\n\x20\x11\0\x02ab", None),
            (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0f\x01\x02\x03\x04\x01\x02\x03\x04\0\x01\0\x02\x04\0\0", Some("1.2.3.4")),
            (b"\r\n\r\n\0\r\nQUIT\n\x21\0\0\0", None),
        ] {
            let (read, left) = read_all(bytes);
            let client = client.map(address);
            assert_eq!(read, Ok(ProxyHeader::Complete(client)), "{}", bytes.escape_ascii());
            assert!(left.is_empty());
        }
    }

    #[test]
    fn a_missing_header_is_distinguished_from_a_malformed_one() {
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(100));
        for bytes in [
            &b"PROXY TCP4 1.1.1.1 1.1.1.1 1 65536\r\n"[..],
            b"PROXY TCP4 1.1.1.1 1.1.1.1 1 +1\r\n",
            b"PROXY TCP4 ::1 ::1 1 1\r\n",
            b"PROXY TCP4 1.1.1.1 1.1.1.1 1\r\n",
            b"PROXY TCP4  1.1.1.1 1.1.1.1 1 1\r\n",
            b"PROXY TCP5 1.1.1.1 1.1.1.1 1 1\r\n",
            b"PROXY TCP4 \xff.1.1.1 1.1.1.1 1 1\r\n",
            long.as_bytes(),
            b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\0",
            b"\r\n\r\n\0\r\nQUIT\n\x22\x11\0\0",
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x04abcd",
            b"\r\n\r\n\0\r\nQUIT\n\x21\x12\0\0",
        ] {
            let (read, _) = read_all(bytes);
            let shown = bytes.escape_ascii();
            assert_eq!(read, Err(ProxyHeaderError::Unreadable), "{shown}");
        }
        let (read, _) = read_all(b"GET / HTTP/1.1\r\n\r\n");
        assert_eq!(read, Err(ProxyHeaderError::Missing));
        let (read, _) = read_all(b"PROXY TCP4 1.1");
        assert_eq!(read, Ok(ProxyHeader::Incomplete(1)), "it is incomplete");
    }
}
