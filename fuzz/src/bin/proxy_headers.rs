//! Fuzzes the PROXY header: it is read to its last byte and no further, as a second reader reads it, and what is written is read
//! back.
#![no_main]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use libfuzzer_sys::fuzz_target;
use wire::proxy_protocol::{ProxyHeader, ProxyVersion, header, read};

fuzz_target!(|data: &[u8]| {
    let ours = read_off(data);
    let theirs = reference(data);
    assert_eq!(ours, theirs, "{}", data.escape_ascii());
    round_trip(data);
});

/// Reads a header, as many bytes at a time as it needs. Returns the client and the header's length; `None` when it is invalid or
/// incomplete.
fn read_off(data: &[u8]) -> Option<(Option<IpAddr>, usize)> {
    let mut taken = 0;
    loop {
        match read(&data[..taken]) {
            Ok(ProxyHeader::Incomplete(more)) => {
                assert!(more > 0, "nothing would come");
                taken += more;
                if taken > data.len() {
                    // With all bytes at once, an incomplete header is not whole either.
                    let whole = read(data);
                    assert!(!matches!(whole, Ok(ProxyHeader::Complete(_))));
                    return None;
                }
            }
            Ok(ProxyHeader::Complete(client)) => return Some((client, taken)),
            Err(_) => return None,
        }
    }
}

/// Reads the header at the front of `data`, with all bytes at once.
fn reference(data: &[u8]) -> Option<(Option<IpAddr>, usize)> {
    if data.starts_with(b"\r\n\r\n\0\r\nQUIT\n") {
        let length = 16 + usize::from(*data.get(14)?) * 256 + usize::from(*data.get(15)?);
        let block = data.get(..length)?;
        let client = match (block[12], block[13]) {
            (0x20, _) | (0x21, 0x00 | 0x31) => None,
            (0x21, 0x11) if length >= 28 => Some(IpAddr::V4(Ipv4Addr::new(
                block[16], block[17], block[18], block[19],
            ))),
            (0x21, 0x21) if length >= 52 => {
                let bytes: [u8; 16] = block[16..32].try_into().expect("sixteen bytes");
                Some(IpAddr::V6(Ipv6Addr::from_bits(u128::from_be_bytes(bytes))))
            }
            _ => return None,
        };
        return Some((client, length));
    }
    let end = data.windows(2).position(|pair| pair == b"\r\n")?;
    if end + 2 > 107 {
        return None;
    }
    let line = std::str::from_utf8(&data[..end]).ok()?;
    if line == "PROXY UNKNOWN" || line.starts_with("PROXY UNKNOWN ") {
        return Some((None, end + 2));
    }
    let (family, rest) = line.strip_prefix("PROXY ")?.split_once(' ')?;
    let (client, rest) = rest.split_once(' ')?;
    let (reached, rest) = rest.split_once(' ')?;
    let (from, to) = rest.split_once(' ')?;
    for port in [from, to] {
        let is_number = port.chars().all(|letter| letter.is_ascii_digit());
        port.parse::<u32>()
            .ok()
            .filter(|port| *port < 65536 && is_number)?;
    }
    let (client, reached): (IpAddr, IpAddr) = (client.parse().ok()?, reached.parse().ok()?);
    let is_of_family = match family {
        "TCP4" => client.is_ipv4() && reached.is_ipv4(),
        "TCP6" => client.is_ipv6() && reached.is_ipv6(),
        _ => false,
    };
    is_of_family.then_some((Some(client), end + 2))
}

/// Checks that a header with addresses from `data`, followed by `data`, is read as it was written.
fn round_trip(data: &[u8]) {
    let mut bytes = data.iter().copied().chain(std::iter::repeat(0));
    let mut address = || -> IpAddr {
        let mut next = || bytes.next().unwrap_or_default();
        match next() % 3 {
            0 => IpAddr::from([next(), next(), next(), next()]),
            1 => IpAddr::from([0; 16].map(|_| next())),
            _ => IpAddr::V6(Ipv4Addr::new(next(), next(), next(), next()).to_ipv6_mapped()),
        }
    };
    let (client, reached) = (address(), SocketAddr::new(address(), 443));
    for version in [ProxyVersion::V1, ProxyVersion::V2] {
        for (caller, read) in [
            (Some((client, Some(reached))), Some(client.to_canonical())),
            (Some((client, None)), Some(client.to_canonical())),
            (None, None),
        ] {
            let mut written = header(version, caller);
            let length = written.len();
            written.extend_from_slice(data);
            assert_eq!(read_off(&written), Some((read, length)));
        }
    }
}
