//! Reads addresses to listen on.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use super::reader::Reader;
use crate::listener::Address;

/// Reads an address such as `0.0.0.0:8080`, `[::]:8080`, `localhost:8080` or, for every interface, `:8080`. An address
/// without a port, such as `::1`, gets the default port.
pub(super) fn address(reader: &mut Reader<'_>, name: &str, default: &str) -> SocketAddr {
    let text = reader.parsed(name, default.to_owned(), "an address");
    parse(&text)
        .or_else(|| at_port_of(default, &text))
        .unwrap_or_else(|| {
            reader.problem(
                name,
                format!("`{text}` is not an address with a port, such as {default}"),
            );
            SocketAddr::from(([127, 0, 0, 1], 0))
        })
}

/// Reads the address at which calling proxies ask for decisions: an address with a port, or `unix:/path` with the
/// permissions in `AUTH_SOCKET_MODE`.
pub(super) fn decisions(reader: &mut Reader<'_>) -> Option<Address> {
    let mode = reader.read_or("AUTH_SOCKET_MODE", "660", |text| {
        u32::from_str_radix(text, 8)
            .ok()
            .filter(|mode| *mode <= 0o777)
            .ok_or("give permissions in octal, such as 660")
    });
    let mode = mode.unwrap_or(0o660);
    reader.read("AUTH_LISTEN", |text| match text.strip_prefix("unix:") {
        Some(path) if Path::new(path).is_absolute() => Ok(Address::Unix {
            path: path.into(),
            mode,
        }),
        Some(_) => Err("the path of a Unix socket must begin with `/`, as in unix:/run/sessiongate.sock"),
        None => parse(text).map(Address::Tcp).ok_or(
            "give an address with a port such as 127.0.0.1:9091, or a Unix socket such as unix:/run/sessiongate.sock",
        ),
    })
}

fn at_port_of(default: &str, address: &str) -> Option<SocketAddr> {
    let address = address.trim();
    let bare = address
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(address);
    let ip: IpAddr = bare.parse().ok()?;
    Some(SocketAddr::new(ip, parse(default)?.port()))
}

pub(super) fn parse(text: &str) -> Option<SocketAddr> {
    let text = text.trim();
    if let Some(port) = text.strip_prefix(':') {
        return Some(SocketAddr::from(([0, 0, 0, 0], port.parse().ok()?)));
    }
    if let Some(port) = text.strip_prefix("localhost:") {
        return Some(SocketAddr::from(([127, 0, 0, 1], port.parse().ok()?)));
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_forms_are_accepted() {
        for (text, address) in [
            ("0.0.0.0:8080", "0.0.0.0:8080"),
            (":8080", "0.0.0.0:8080"),
            ("localhost:80", "127.0.0.1:80"),
            ("[::1]:80", "[::1]:80"),
        ] {
            assert_eq!(parse(text), Some(address.parse().unwrap()), "{text}");
        }
        for text in ["8080", "example.com:80", "1.2.3.4", ":http"] {
            assert_eq!(parse(text), None, "{text}");
        }
        for (text, address) in [
            ("::1", "[::1]:90"),
            ("[::1]", "[::1]:90"),
            ("1.2.3.4", "1.2.3.4:90"),
        ] {
            assert_eq!(
                at_port_of("0.0.0.0:90", text),
                Some(address.parse().unwrap())
            );
        }
    }
}
