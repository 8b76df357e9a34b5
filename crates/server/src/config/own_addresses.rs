//! Checks that the gate's own listeners have different addresses, and that no service has one of them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::listeners::ListenerSettings;
use super::problem::Problem;
use super::raw_tables::RawTables;
use super::reader::Reader;
use super::rules::{ServerAddress, weighted};
use super::upstream;
use crate::listener::Address;

/// Reports an address for decisions or for the admin listener that another listener has too. Listeners of the proxy are compared
/// with each other elsewhere.
pub(super) fn report_duplicate_addresses(
    listeners: &[ListenerSettings],
    decisions: Option<&Address>,
    admin: SocketAddr,
    reader: &mut Reader<'_>,
) {
    let mut taken: Vec<_> = listeners
        .iter()
        .map(|listener| (listener.name, listener.address))
        .collect();
    let decisions = match decisions {
        Some(Address::Tcp(address)) => Some(("AUTH_LISTEN", *address)),
        Some(Address::Unix { .. }) | None => None,
    };
    let admin = ("ADMIN_LISTEN", admin);
    for (name, address) in decisions.into_iter().chain([admin]) {
        let duplicate = taken.iter().find(|(_, other)| overlap(*other, address));
        if let Some((other, _)) = duplicate {
            let what =
                format!("{address} is already used by {other}; choose another address or port");
            reader.problem(name, what);
        }
        taken.push((name, address));
    }
}

/// Reports services at the gate's own addresses, to which the gate would forward requests in an endless loop.
pub(super) fn report_loops(
    listeners: &[ListenerSettings],
    raw_tables: &RawTables,
    reader: &mut Reader<'_>,
    problems: &mut Vec<Problem>,
) {
    let what = |listener: &ListenerSettings| {
        let name = listener.name;
        format!("the gate itself listens there ({name}), so requests would loop forever")
    };
    let help = "give the address of the service; if both use this port, give the gate another one";
    let upstream = reader.variables().get("UPSTREAM");
    if let Some(listener) = upstream.and_then(|text| at(text, listeners)) {
        reader.problem("UPSTREAM", format!("{}; {help}", what(listener)));
    }
    let of_services = raw_tables
        .services
        .iter()
        .flat_map(|service| &service.upstreams);
    let of_routes = raw_tables.routes.iter().flat_map(|route| &route.upstreams);
    for text in of_services.chain(of_routes) {
        if let Some(listener) = at(&text.value, listeners) {
            problems.push(Problem::with(text, what(listener)).with_help(help));
        }
    }
}

/// The listener at the address of a server.
fn at<'l>(url: &str, listeners: &'l [ListenerSettings]) -> Option<&'l ListenerSettings> {
    let (url, _) = weighted(url).ok()?;
    let (host, port) = match upstream::server(url).ok()? {
        ServerAddress::Http2 { host, port } | ServerAddress::Tcp { host, port, .. } => (host, port),
        ServerAddress::Unix(_) => return None,
    };
    let addresses: Vec<IpAddr> = match host.as_str() {
        "localhost" => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
        host => vec![host.parse().ok()?],
    };
    listeners.iter().find(|listener| {
        let here = listener.address.ip();
        let is_here = |ip: &IpAddr| {
            let by_any = here.is_unspecified() && ip.is_loopback();
            *ip == here || by_any && (here.is_ipv6() || ip.is_ipv4())
        };
        port == listener.address.port() && addresses.iter().any(is_here)
    })
}

/// Whether only one of the two addresses can be bound.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let (ip, other_ip) = (one.ip(), other.ip());
    let has_all = |ip: IpAddr| ip.is_unspecified() && one.is_ipv4() == other.is_ipv4();
    let is_same = one.port() == other.port() && one.port() != 0;
    is_same && (ip == other_ip || has_all(ip) || has_all(other_ip))
}
