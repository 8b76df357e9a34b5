//! Fuzzes fields that the gate reads: those with the client's address, and the timeout of a gRPC call. A second reader reads the
//! same, and nothing that a client writes hides what a proxy adds.
#![no_main]

use std::net::{IpAddr, SocketAddr};

use gate::{ForwardedHeader, TrustedProxies};
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use wire::grpc;

fuzz_target!(|data: &[u8]| {
    let Ok(value) = HeaderValue::from_bytes(data) else {
        return;
    };
    let headers = HeaderMap::from_iter([("grpc-timeout".parse().expect("a name"), value.clone())]);
    let nanos = grpc::timeout(&headers).map(|timeout| timeout.as_nanos());
    assert_eq!(nanos, nanoseconds(data));

    for header in [ForwardedHeader::Forwarded, ForwardedHeader::XForwardedFor] {
        check_proxies_entries_count(header, data);
    }
    let proxies = proxies(ForwardedHeader::XForwardedFor);
    let headers = HeaderMap::from_iter([(ForwardedHeader::XForwardedFor.name(), value)]);
    assert_eq!(proxies.client(PROXY, &headers), reference(data));
});

fn proxies(header: ForwardedHeader) -> TrustedProxies {
    let networks = ["10.0.0.0/8".parse().expect("a network")];
    TrustedProxies::new(networks.to_vec()).with_header(header)
}

/// Checks that the gate reads what two listed proxies add to a field, whatever the client has sent in it.
fn check_proxies_entries_count(header: ForwardedHeader, sent: &[u8]) {
    let (client, proxy) = match header {
        ForwardedHeader::Forwarded => (
            &b"for=\"[2001:db8::7]:80\";host=\"a.example\";proto=https"[..],
            &b"proto=http;for=10.0.0.2"[..],
        ),
        ForwardedHeader::XForwardedFor => (&b"2001:db8::7"[..], &b"10.0.0.2"[..]),
    };
    let value = |bytes: &[u8]| HeaderValue::from_bytes(bytes).expect("the value of a field");
    let one_line = vec![value(&[sent, b",", client, b", ", proxy].concat())];
    let lines = vec![value(sent), value(client), value(proxy)];
    for values in [one_line, lines] {
        let values = values.into_iter().map(|value| (header.name(), value));
        let headers: HeaderMap = values.collect();
        let proxies = proxies(header);
        assert_eq!(proxies.client(PROXY, &headers).to_string(), "2001:db8::7");
        let origin = proxies.origin(PROXY, &headers);
        if header == ForwardedHeader::Forwarded {
            assert_eq!(
                (origin.host, origin.scheme),
                (Some("a.example"), Some("https"))
            );
        }
    }
}

/// The client that `X-Forwarded-For` names, when a listed proxy sends it.
fn reference(value: &[u8]) -> IpAddr {
    let mut client = PROXY;
    for entry in value.rsplit(|byte| *byte == b',') {
        let entry = entry.trim_ascii();
        if entry.is_empty() {
            continue;
        }
        let Some(address) = std::str::from_utf8(entry).ok().and_then(address) else {
            return client;
        };
        client = address.to_canonical();
        if !matches!(client, IpAddr::V4(address) if address.octets()[0] == 10) {
            return client;
        }
    }
    client
}

/// An address as proxies write it, with or without a port, brackets and quotes.
fn address(entry: &str) -> Option<IpAddr> {
    let has_quotes = entry.len() >= 2 && entry.starts_with('"') && entry.ends_with('"');
    let entry = if has_quotes {
        &entry[1..entry.len() - 1]
    } else {
        entry
    };
    if let Ok(address) = entry.parse() {
        return Some(address);
    }
    let (address, port) = match entry.rsplit_once(']') {
        Some((address, "")) => (format!("{address}]"), "0"),
        Some((address, port)) => (format!("{address}]"), port.strip_prefix(':')?),
        None => {
            let (address, port) = entry.split_once(':')?;
            (address.to_owned(), port)
        }
    };
    let hidden = port.strip_prefix('_').filter(|name| !name.is_empty());
    let is_hidden = hidden.is_some_and(|name| {
        name.chars()
            .all(|letter| letter.is_ascii_alphanumeric() || "._-".contains(letter))
    });
    let port = if is_hidden { "0" } else { port };
    if !port.chars().all(|letter| letter.is_ascii_digit()) {
        return None;
    }
    let port: u16 = port.parse().ok()?;
    let socket: SocketAddr = format!("{address}:{port}").parse().ok()?;
    // An IPv6 zone has no meaning on another machine.
    (!address.contains('%')).then_some(socket.ip())
}

/// The nanoseconds of a gRPC timeout: up to eight digits and a unit.
fn nanoseconds(value: &[u8]) -> Option<u128> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > 8 {
        return None;
    }
    let mut number = 0_u128;
    for digit in digits {
        number = number * 10 + u128::from(char::from(*digit).to_digit(10)?);
    }
    let unit = match unit {
        b'H' => 3_600_000_000_000,
        b'M' => 60_000_000_000,
        b'S' => 1_000_000_000,
        b'm' => 1_000_000,
        b'u' => 1000,
        b'n' => 1,
        _ => return None,
    };
    Some(number * unit)
}

const PROXY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
