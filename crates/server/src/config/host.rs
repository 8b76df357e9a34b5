//! Parses a host with an optional port: a name, or an IP address with or without brackets.

use std::net::Ipv6Addr;

/// A host with an optional port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Host {
    /// A name or an address; an IPv6 address has no brackets.
    pub(super) name: String,
    /// `None` if none was given.
    pub(super) port: Option<u16>,
}

impl Host {
    /// Reads `db`, `db:5432`, `10.0.0.1`, `::1`, `[::1]` or `[::1]:5432`. A zone (`fe80::1%eth0`) is part of the address.
    ///
    /// # Errors
    /// If the text is none of these. The error does not repeat it.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        if is_ipv6(text) {
            return Ok(Self {
                name: text.to_owned(),
                port: None,
            });
        }
        let (name, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (name, port) = rest.split_once(']').ok_or(MALFORMED)?;
                if !is_ipv6(name) {
                    return Err(MALFORMED);
                }
                let port = match port {
                    "" => None,
                    port => Some(port.strip_prefix(':').ok_or(MALFORMED)?),
                };
                (name, port)
            }
            None => match text.split_once(':') {
                Some((name, port)) => (name, Some(port)),
                None => (text, None),
            },
        };
        let port = port.map(port_number).transpose()?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        let is_address = is_ipv6(name);
        if name.is_empty() || !is_address && !name.bytes().all(is_plain) {
            return Err(MALFORMED);
        }
        Ok(Self {
            name: name.to_owned(),
            port,
        })
    }
}

fn is_ipv6(text: &str) -> bool {
    let address = text.split_once('%').map_or(text, |(address, _)| address);
    address.parse::<Ipv6Addr>().is_ok()
}

fn port_number(text: &str) -> Result<u16, &'static str> {
    text.parse()
        .ok()
        .filter(|port| *port > 0)
        .ok_or("the text after the last colon is not a port")
}

const MALFORMED: &str =
    "not a host; give a name or an address, such as db.example, 10.0.0.1 or [::1]";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_around_an_address_are_optional() {
        for (text, name, port) in [
            ("db", "db", None),
            ("db.example:5432", "db.example", Some(5432)),
            ("10.0.0.1", "10.0.0.1", None),
            ("10.0.0.1:6379", "10.0.0.1", Some(6379)),
            ("::1", "::1", None),
            ("[::1]", "::1", None),
            ("[::1]:5432", "::1", Some(5432)),
            ("fd00::5432", "fd00::5432", None),
            ("[fe80::1%eth0]:1", "fe80::1%eth0", Some(1)),
            ("my_service", "my_service", None),
        ] {
            let host = Host::parse(text).unwrap();
            assert_eq!((&*host.name, host.port), (name, port), "{text}");
        }
    }

    #[test]
    fn invalid_hosts_are_refused() {
        for text in [
            "",
            "[]",
            "[db]",
            "[::1",
            "::1]",
            "[::1]5432",
            "[::1]:",
            "db:",
            "db:http",
            "db:0",
            "db:70000",
            "a b",
            "a,b",
            "\"db\"",
            "a/b",
            "u@db",
            "db?x",
            "[::1]:1:2",
        ] {
            assert!(Host::parse(text).is_err(), "{text}");
        }
    }
}
