//! Balances connections among the runtimes of a listener.
//!
//! The kernel chooses a socket by a hash of a connection's addresses. That is even for thousands of connections; but one
//! runtime may get all of the eight that a load balancer keeps, or the two on which Envoy asks for decisions. So a runtime
//! hands an accepted connection to another one that has fewer. Envoy's `exact_balance` does the same.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use crate::socket::{ConnectionGuard, StdStream, Stream};

/// One runtime's part in the balancing of a listener's connections.
#[derive(Debug)]
pub(crate) struct ConnectionBalancer {
    index: usize,
    group: Arc<[GroupMember]>,
    handed: UnboundedReceiver<HandedConnection>,
}

/// What the other runtimes know about a runtime.
#[derive(Debug)]
struct GroupMember {
    /// Each of its connections has a clone, so the reference count is the number of connections plus one.
    guard: ConnectionGuard,
    hand: UnboundedSender<HandedConnection>,
}

impl GroupMember {
    fn connections(&self) -> usize {
        Arc::strong_count(&self.guard) - 1
    }
}

/// A connection on its way from the runtime that accepted it to the one that serves it.
#[derive(Debug)]
struct HandedConnection {
    stream: StdStream,
    peer: IpAddr,
    guard: ConnectionGuard,
}

impl ConnectionBalancer {
    /// Balancers for this many runtimes.
    pub(crate) fn group(count: usize) -> Vec<Self> {
        let (group, handed): (Vec<_>, Vec<_>) = (0..count)
            .map(|_| {
                let (hand, handed) = mpsc::unbounded_channel();
                let guard = ConnectionGuard::default();
                (GroupMember { guard, hand }, handed)
            })
            .unzip();
        let group: Arc<[GroupMember]> = group.into();
        let balancer = |(index, handed)| Self {
            index,
            group: Arc::clone(&group),
            handed,
        };
        handed.into_iter().enumerate().map(balancer).collect()
    }

    /// Returns a connection that was accepted here, or hands it to another runtime that has markedly fewer.
    ///
    /// # Errors
    ///
    /// When the connection cannot leave this runtime. It is closed then.
    pub(crate) fn keep_or_hand_on(
        &self,
        stream: Stream,
        peer: IpAddr,
    ) -> io::Result<Option<Stream>> {
        let Some(other) = self.less_busy() else {
            return Ok(Some(stream.with_connection_guard(self.guard())));
        };
        let handed = HandedConnection {
            stream: stream.into_std()?,
            peer,
            guard: Arc::clone(&other.guard),
        };
        match other.hand.send(handed) {
            Ok(()) => Ok(None),
            // The other runtime is being stopped, and so is this one.
            Err(refused) => {
                let stream = Stream::from_std(refused.0.stream)?;
                Ok(Some(stream.with_connection_guard(self.guard())))
            }
        }
    }

    /// The runtime with the fewest connections, if it has markedly fewer than this one. A small difference is not worth the
    /// cost: if connections come and go quickly, the next ones make up for it.
    fn less_busy(&self) -> Option<&GroupMember> {
        let fewest = self.group.iter().min_by_key(|other| other.connections())?;
        let (own, least) = (&self.group[self.index], fewest.connections());
        (own.connections() > least + least / TOLERATED_SHARE).then_some(fewest)
    }

    fn guard(&self) -> ConnectionGuard {
        Arc::clone(&self.group[self.index].guard)
    }

    /// The next connection that another runtime hands to this one.
    ///
    /// # Errors
    ///
    /// When the connection cannot join this runtime. It is closed then.
    pub(crate) async fn handed(&mut self) -> io::Result<(Stream, IpAddr)> {
        let handed = self.handed.recv().await;
        // Never `None`, because this runtime has a sender of its own.
        handed.map_or_else(
            || Err(io::ErrorKind::NotConnected.into()),
            HandedConnection::arrive,
        )
    }

    /// The next connection that was handed over before the end. From the first call on, other runtimes keep what they
    /// accept.
    pub(crate) async fn last_handed(&mut self) -> Option<io::Result<(Stream, IpAddr)>> {
        self.handed.close();
        self.handed.recv().await.map(HandedConnection::arrive)
    }
}

impl HandedConnection {
    fn arrive(self) -> io::Result<(Stream, IpAddr)> {
        let stream = Stream::from_std(self.stream)?.with_connection_guard(self.guard);
        Ok((stream, self.peer))
    }
}

/// A runtime may have one more connection for each this many of the least busy one. Handing one over costs about as much as
/// accepting it.
const TOLERATED_SHARE: usize = 16;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::os::unix::net::UnixStream as StdUnixStream;

    use tokio::net::UnixStream;

    use super::*;

    const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn connection() -> Stream {
        let (stream, _) = StdUnixStream::pair().unwrap();
        stream.set_nonblocking(true).unwrap();
        UnixStream::from_std(stream).unwrap().into()
    }

    fn connections(of: &ConnectionBalancer) -> Vec<usize> {
        of.group.iter().map(GroupMember::connections).collect()
    }

    #[tokio::test]
    async fn connection_goes_to_the_runtime_with_the_fewest() {
        let mut group = ConnectionBalancer::group(3);
        let mut kept = Vec::new();
        for _ in 0..9 {
            kept.extend(group[1].keep_or_hand_on(connection(), PEER).unwrap());
        }
        assert_eq!(kept.len(), 3);
        assert_eq!(connections(&group[0]), [3, 3, 3]);
        // A connection that is handed on counts for its new runtime from then on, until it ends.
        let (handed, _) = group[2].handed().await.unwrap();
        assert_eq!(connections(&group[0]), [3, 3, 3]);
        drop((handed, kept));
        assert_eq!(connections(&group[0]), [3, 0, 2]);
        // Another runtime hands over a connection that it has accepted.
        assert!(
            group[0]
                .keep_or_hand_on(connection(), PEER)
                .unwrap()
                .is_none()
        );
        assert_eq!(connections(&group[0]), [3, 1, 2]);
    }

    #[tokio::test]
    async fn small_difference_moves_no_connection() {
        let group = ConnectionBalancer::group(2);
        let kept: Vec<Stream> = (0..1000)
            .filter_map(|index| {
                let balancer: &ConnectionBalancer = &group[index % 2];
                balancer.keep_or_hand_on(connection(), PEER).unwrap()
            })
            .collect();
        assert_eq!(kept.len(), 1000);
        assert!(
            group[0]
                .keep_or_hand_on(connection(), PEER)
                .unwrap()
                .is_some()
        );
    }

    #[tokio::test]
    async fn runtime_that_ends_drops_only_what_was_handed_to_it() {
        let mut group = ConnectionBalancer::group(2);
        let kept = group[0].keep_or_hand_on(connection(), PEER).unwrap();
        assert!(kept.is_some());
        assert!(
            group[0]
                .keep_or_hand_on(connection(), PEER)
                .unwrap()
                .is_none()
        );
        assert!(group[1].last_handed().await.is_some());
        let kept = group[0].keep_or_hand_on(connection(), PEER).unwrap();
        assert!(kept.is_some());
        assert!(group[1].last_handed().await.is_none());
        assert_eq!(connections(&group[0]), [2, 0]);
    }
}
