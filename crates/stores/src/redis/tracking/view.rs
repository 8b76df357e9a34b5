//! The view that one server of a cluster has of the cluster.

use std::collections::{BTreeMap, BTreeSet};

use redis::{Value, from_redis_value};

use super::super::cluster::{Place, SlotMap};

/// The slots and the servers of a cluster, as one server sees them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ClusterView {
    pub(super) slots: SlotMap,
    /// All known servers, including those without slots: replicas, and servers that are about to receive slots.
    pub(super) servers: BTreeSet<Place>,
    /// The servers to which slots of this server are migrating. It redirects commands about keys that it no longer has
    /// to them.
    pub(super) importing: BTreeSet<Place>,
}

/// A line in the answer to `CLUSTER NODES`.
struct NodeLine<'a> {
    id: &'a str,
    host: &'a str,
    port: u16,
    /// The name that the server announces, if it announces one.
    name: Option<&'a str>,
    flags: &'a str,
    slots: Vec<&'a str>,
}

impl ClusterView {
    /// Reads the answers of a server at the host `asked` to `CLUSTER SLOTS` and `CLUSTER NODES`.
    ///
    /// # Errors
    /// When an answer is not understood.
    pub(super) fn read(slots: Value, nodes: Value, asked: &str) -> Result<Self, String> {
        let endpoints = SlotMap::endpoints(&slots, asked);
        let slots = SlotMap::read(slots, asked)?;
        let nodes: String = from_redis_value(nodes).map_err(|_| NOT_UNDERSTOOD)?;
        let lines: Option<Vec<_>> = nodes.lines().map(NodeLine::read).collect();
        let lines = lines.ok_or(NOT_UNDERSTOOD)?;
        // Whether clients should use names rather than addresses.
        let by_name = lines.iter().any(|line| {
            let endpoint = endpoints.get(line.id);
            endpoint.is_some_and(|(host, _)| *host != line.host && Some(&**host) == line.name)
        });
        let places: BTreeMap<_, _> = lines
            .iter()
            .filter(|line| line.is_known())
            .filter_map(|line| {
                let endpoint = endpoints.get(line.id).cloned();
                Some((line.id, endpoint.or_else(|| line.place(by_name, asked))?))
            })
            .collect();
        let own = lines.iter().filter(|line| line.has("myself"));
        let importing = own.flat_map(|line| line.slots.iter());
        let importing = importing.filter_map(|slot| slot.strip_suffix(']')?.split_once("->-"));
        let importing = importing.filter_map(|(_, id)| places.get(id).cloned());
        Ok(Self {
            slots,
            importing: importing.collect(),
            servers: places
                .into_values()
                .chain(endpoints.into_values())
                .collect(),
        })
    }
}

impl<'a> NodeLine<'a> {
    /// Reads `id address:port@bus,name,… flags primary ping pong epoch link slot …`. Only Redis 7 and later write the
    /// name.
    fn read(line: &'a str) -> Option<Self> {
        let mut words = line.split(' ');
        let (id, place, flags) = (words.next()?, words.next()?, words.next()?);
        let mut place = place.split(',');
        let (address, name) = (place.next()?, place.next());
        let (address, _) = address.split_once('@').unwrap_or((address, ""));
        let (host, port) = address.rsplit_once(':')?;
        Some(Self {
            id,
            host,
            port: port.parse().ok()?,
            name: name.filter(|name| !name.is_empty()),
            flags,
            slots: words.skip(5).collect(),
        })
    }

    fn has(&self, flag: &str) -> bool {
        self.flags.split(',').any(|known| known == flag)
    }

    /// Whether the server is a known member with an address.
    fn is_known(&self) -> bool {
        !self.has("handshake") && !self.has("noaddr")
    }

    fn place(&self, by_name: bool, asked: &str) -> Option<Place> {
        let host = match (self.name.filter(|_| by_name), self.host) {
            (Some(name), _) => name,
            (None, "") => asked,
            (None, host) => host,
        };
        (self.port != 0).then(|| (host.to_owned(), self.port))
    }
}

const NOT_UNDERSTOOD: &str = "its answer about the servers of its cluster is not understood";

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer as Redis 7.0.15 writes it, in which one server migrates two slots.
    const NODES: &str = "\
        a1 127.0.0.1:1@11,one.example myself,master - 0 0 1 connected 0-5460 [7->-c3] [9-<-b2]\n\
        b2 127.0.0.1:2@12,two.example master - 0 1795953230518 2 connected 5461-16383\n\
        c3 127.0.0.1:3@13,three.example master - 0 1795953230518 0 connected\n\
        d4 127.0.0.1:4@14 slave,fail? a1 0 1795953230518 1 connected\n\
        e5 127.0.0.1:5@15 handshake - 0 0 0 disconnected\n\
        f6 :0@0 master,noaddr - 0 0 0 disconnected\n";

    fn slots(host: fn(u16) -> String) -> Value {
        let server = |port: u16, id: &str| {
            let host = Value::BulkString(host(port).into());
            Value::Array(vec![
                host,
                Value::Int(port.into()),
                Value::BulkString(id.into()),
            ])
        };
        let range = |first, last, servers: Vec<Value>| {
            Value::Array([vec![Value::Int(first), Value::Int(last)], servers].concat())
        };
        Value::Array(vec![
            range(0, 5460, vec![server(1, "a1"), server(4, "d4")]),
            range(5461, 16383, vec![server(2, "b2")]),
        ])
    }

    #[test]
    fn all_servers_and_migration_targets_are_found() {
        let nodes = Value::BulkString(NODES.into());
        let view = ClusterView::read(slots(|_| "127.0.0.1".to_owned()), nodes, "asked").unwrap();
        let place = |port| ("127.0.0.1".to_owned(), port);
        assert_eq!(view.servers, [1, 2, 3, 4].map(place).into());
        assert_eq!(view.importing, [place(3)].into());
        assert_eq!(view.slots.holder(9), Some(&place(1)));
    }

    #[test]
    fn names_are_used_where_the_cluster_announces_names() {
        let name = |port| {
            let name = ["", "one", "two", "three", "four"][usize::from(port)];
            format!("{name}.example")
        };
        let nodes = Value::BulkString(NODES.into());
        let view = ClusterView::read(slots(name), nodes, "asked").unwrap();
        let place = |port| (name(port), port);
        assert_eq!(view.servers, [1, 2, 3, 4].map(place).into());
        assert_eq!(view.importing, [place(3)].into());
    }

    #[test]
    fn an_invalid_answer_is_an_error() {
        let slots = || slots(|_| "127.0.0.1".to_owned());
        for nodes in ["a1", "a1 127.0.0.1 master", "a1 127.0.0.1:x@1 master"] {
            let nodes = Value::BulkString(nodes.into());
            assert!(ClusterView::read(slots(), nodes, "asked").is_err());
        }
        assert!(ClusterView::read(slots(), Value::Int(1), "asked").is_err());
    }
}
