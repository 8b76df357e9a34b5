//! Limits the connections of a listener, in all and from each address, over all runtimes.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::network_of;
use crate::config::LimitSettings;

/// The counted connections of a listener. There is an entry for each address with a connection, so file descriptors bound
/// the memory.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    all: AtomicUsize,
    of_addresses: [Mutex<HashMap<u128, usize>>; SHARDS],
}

/// Counts a connection until it is dropped.
#[derive(Debug)]
pub(crate) struct LimitGuard {
    among: Arc<Connections>,
    is_among_all: bool,
    network: Option<u128>,
}

/// Why a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnectionLimit {
    /// Its address has reached its limit.
    Address,
    /// The listener has reached its limit.
    Listener,
}

impl ConnectionLimit {
    /// The name of the setting, for metrics and log.
    pub(crate) fn setting(self) -> &'static str {
        match self {
            Self::Address => "CONNECTIONS_PER_ADDRESS",
            Self::Listener => "MAX_CONNECTIONS",
        }
    }
}

impl Connections {
    /// Counts a new connection, if there are limits. The limit of one address does not apply to proxies, which connect for many
    /// clients.
    ///
    /// # Errors
    /// [`ConnectionLimit`] says why the connection is to be closed.
    pub(crate) fn admit(
        self: &Arc<Self>,
        peer: IpAddr,
        is_proxy: bool,
        limits: &LimitSettings,
    ) -> Result<Option<Box<LimitGuard>>, ConnectionLimit> {
        let per_address = limits.connections_per_address.filter(|_| !is_proxy);
        if per_address.is_none() && limits.connections.is_none() {
            return Ok(None);
        }
        let mut held = LimitGuard {
            among: Arc::clone(self),
            is_among_all: false,
            network: None,
        };
        if let Some(most) = limits.connections {
            let next = |count: usize| (count < most.get()).then_some(count + 1);
            let counted = self
                .all
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
            counted.map_err(|_| ConnectionLimit::Listener)?;
            held.is_among_all = true;
        }
        if let Some(most) = per_address {
            let network = network_of(peer);
            if !self.count(network, most) {
                return Err(ConnectionLimit::Address);
            }
            held.network = Some(network);
        }
        Ok(Some(Box::new(held)))
    }

    fn count(&self, network: u128, most: NonZeroUsize) -> bool {
        let mut of_addresses = self
            .shard(network)
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let count = of_addresses.entry(network).or_default();
        let has_room = *count < most.get();
        *count += usize::from(has_room);
        has_room
    }

    fn uncount(&self, network: u128) {
        let mut of_addresses = self
            .shard(network)
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = of_addresses.get_mut(&network) {
            *count -= 1;
            if *count == 0 {
                of_addresses.remove(&network);
            }
        }
    }

    fn shard(&self, network: u128) -> &Mutex<HashMap<u128, usize>> {
        // The last byte varies most: of an IPv4 address, or of an IPv6 network.
        let [.., low] = (network ^ network >> 64).to_be_bytes();
        &self.of_addresses[usize::from(low) % SHARDS]
    }
}

impl Drop for LimitGuard {
    fn drop(&mut self) {
        if self.is_among_all {
            self.among.all.fetch_sub(1, Ordering::Relaxed);
        }
        if let Some(network) = self.network {
            self.among.uncount(network);
        }
    }
}

/// Runtimes accept connections concurrently, so the map is sharded.
const SHARDS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(per_address: usize, all: usize) -> LimitSettings {
        LimitSettings {
            connections_per_address: NonZeroUsize::new(per_address),
            connections: NonZeroUsize::new(all),
            ..LimitSettings::default()
        }
    }

    #[test]
    fn connections_are_limited_by_address_and_in_total() {
        let (connections, limits) = (Arc::<Connections>::default(), limits(2, 4));
        let admit = |peer: &str, is_proxy| {
            let admitted = connections.admit(peer.parse().unwrap(), is_proxy, &limits);
            admitted.map(|held| held.expect("there are limits"))
        };
        let first = admit("2001:db8::1", false);
        let second = admit("2001:db8::2", false).unwrap();
        assert_eq!(
            admit("2001:db8::3", false).unwrap_err(),
            ConnectionLimit::Address
        );
        let _third = admit("2001:db8:0:1::1", false).unwrap();
        let _fourth = admit("2001:db8::3", true).unwrap();
        assert_eq!(
            admit("192.0.2.1", false).unwrap_err(),
            ConnectionLimit::Listener
        );
        drop(first);
        let _fifth = admit("2001:db8::3", false).unwrap();
        drop(second);
        let _sixth = admit("192.0.2.1", false).unwrap();
        assert_eq!(
            admit("192.0.2.1", false).unwrap_err(),
            ConnectionLimit::Listener
        );
    }

    #[test]
    fn addresses_without_connections_are_forgotten() {
        let (connections, limits) = (Arc::<Connections>::default(), limits(1, 0));
        for last in 0..=255 {
            let held = connections.admit([192, 0, 2, last].into(), false, &limits);
            let again = connections.admit([192, 0, 2, last].into(), false, &limits);
            assert_eq!((held.is_ok(), again.is_err()), (true, true));
        }
        let kept = connections.of_addresses.iter();
        assert_eq!(
            kept.map(|shard| shard.lock().unwrap().len()).sum::<usize>(),
            0
        );
        let none = limits_off();
        let admitted = connections.admit([192, 0, 2, 1].into(), false, &none);
        assert!(admitted.unwrap().is_none());
    }

    fn limits_off() -> LimitSettings {
        limits(0, 0)
    }
}
