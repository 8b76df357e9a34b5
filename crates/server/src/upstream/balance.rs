//! Chooses the server for a request.

use std::cell::Cell;
use std::net::IpAddr;
use std::sync::Arc;

use super::member::{Member, Members};
use crate::config::Balance;

/// Chooses among the servers of a service, for one runtime.
#[derive(Debug)]
pub(super) struct Balancer {
    kind: Balance,
    members: Arc<Members>,
    /// The round-robin order, with each server as often as its weight says.
    turns: Box<[usize]>,
    /// The next position in `turns`.
    next: Cell<usize>,
    /// For each server, the hash of its name, mixed into that of the key.
    seeds: Box<[u64]>,
}

/// The key by which a server is chosen.
#[derive(Clone, Copy, Debug)]
pub(super) enum BalanceKey<'k> {
    /// The address of the client, if the user is not known.
    Address(IpAddr),
    /// A user, and the realm where the user has signed in.
    User { realm: &'k str, id: &'k str },
}

impl Balancer {
    pub(super) fn new(kind: Balance, members: Arc<Members>) -> Self {
        let weights: Vec<_> = members.all.iter().map(|member| member.weight).collect();
        let turns = turns(&weights);
        // Runtimes begin with different servers, so that the first one does not get all requests at first.
        let first = members.next_runtime() % turns.len();
        let seed = |member: &Arc<Member>| hash(FNV_OFFSET, member.name.as_bytes());
        Self {
            kind,
            turns,
            next: Cell::new(first),
            seeds: members.all.iter().map(seed).collect(),
            members,
        }
    }

    /// Whether it needs the number of requests in flight.
    pub(super) fn counts(&self) -> bool {
        self.kind == Balance::LeastRequests
    }

    /// The best server that was not `tried` yet. A server that is ejected or unwell is chosen only if all others were tried.
    /// `None` when all were tried.
    pub(super) fn choose(&self, tried: &[usize], key: BalanceKey<'_>) -> Option<usize> {
        let all = &self.members.all;
        let is_left = |place: &usize| !tried.contains(place);
        let is_good = |place: &usize| is_left(place) && !all[*place].is_avoided();
        self.best(is_good, key).or_else(|| self.best(is_left, key))
    }

    fn best(&self, counts: impl Fn(&usize) -> bool, key: BalanceKey<'_>) -> Option<usize> {
        let all = &self.members.all;
        match self.kind {
            Balance::ByUser => {
                let key = key.hash();
                let score = |place: &usize| score(key ^ self.seeds[*place], all[*place].weight);
                let candidates = (0..all.len()).filter(counts);
                candidates.max_by(|one, other| score(one).total_cmp(&score(other)))
            }
            // Among equals, the next one in round-robin order.
            Balance::LeastRequests => {
                let candidates = self.in_turn().map(|turn| self.turns[turn]).filter(counts);
                let least = candidates.reduce(|best, other| {
                    match all[other].is_less_busy_than(&all[best]) {
                        true => other,
                        false => best,
                    }
                });
                self.next.set((self.next.get() + 1) % self.turns.len());
                least
            }
            Balance::RoundRobin => {
                let turn = self.in_turn().find(|turn| counts(&self.turns[*turn]))?;
                self.next.set((turn + 1) % self.turns.len());
                Some(self.turns[turn])
            }
        }
    }

    fn in_turn(&self) -> impl Iterator<Item = usize> {
        let (next, count) = (self.next.get(), self.turns.len());
        (next..count).chain(0..next)
    }
}

impl BalanceKey<'_> {
    /// A hash that is the same in every process and on every machine, so that all gates choose the same server.
    fn hash(self) -> u64 {
        match self {
            BalanceKey::Address(address) => match address.to_canonical() {
                IpAddr::V4(address) => hash(FNV_OFFSET, &address.octets()),
                IpAddr::V6(address) => hash(FNV_OFFSET, &address.octets()),
            },
            BalanceKey::User { realm, id } => {
                let realm = hash(FNV_OFFSET, realm.as_bytes());
                hash(hash(realm, &[0]), id.as_bytes())
            }
        }
    }
}

/// The score of a server with this weight for a key, by weighted rendezvous hashing: when a server is added or removed, only
/// its own keys move (Thaler and Ravishankar 1998; weights as in draft-ietf-bess-weighted-hrw).
fn score(mixed: u64, weight: u32) -> f64 {
    // The 53 bits of an `f64`'s precision; never 0, so that the logarithm is finite.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
    let part = ((mixed64(mixed) >> 11) + 1) as f64 / (1_u64 << 53) as f64;
    // For 1 the logarithm is 0. The smallest number in its place avoids a division by zero.
    f64::from(weight) / -part.ln().min(-f64::MIN_POSITIVE)
}

/// FNV-1a: short, and the same everywhere. It need not resist attacks: choosing a server gains nothing.
fn hash(start: u64, bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    bytes.iter().fold(start, step)
}

/// The finalizer of SplitMix64, so that every bit depends on every bit.
fn mixed64(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// The round-robin order by weight, spread out (nginx's smooth weighted round robin): with weights 3 and 1, the second
/// server comes between two turns of the first.
fn turns(weights: &[u32]) -> Box<[usize]> {
    let divisor = weights.iter().copied().fold(0, greatest_divisor).max(1);
    let weights: Vec<_> = weights
        .iter()
        .map(|weight| i64::from(weight / divisor))
        .collect();
    let total: i64 = weights.iter().sum();
    let mut current = vec![0; weights.len()];
    let turn = |_| {
        let added = current.iter_mut().zip(&weights);
        added.for_each(|(current, weight)| *current += weight);
        let largest = (0..current.len()).rev().max_by_key(|place| current[*place]);
        let place = largest.expect("a service has a server");
        current[place] -= total;
        place
    };
    (0..total).map(turn).collect()
}

fn greatest_divisor(one: u32, other: u32) -> u32 {
    match other {
        0 => one,
        other => greatest_divisor(other, one % other),
    }
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{PoolSettings, ServerAddress, ServerSettings, UpstreamSettings};
    use std::time::Duration;

    fn members(weights: &[u32]) -> Arc<Members> {
        let server = |(index, weight): (usize, &u32)| ServerSettings {
            address: ServerAddress::Tcp {
                host: format!("app-{index}"),
                port: 80,
                secure: false,
            },
            weight: *weight,
        };
        Arc::new(Members::new(&UpstreamSettings {
            servers: weights.iter().enumerate().map(server).collect(),
            connect_timeout: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            pool: PoolSettings::default(),
        }))
    }

    const NO_USER: BalanceKey<'static> =
        BalanceKey::Address(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));

    fn user(id: &str) -> BalanceKey<'_> {
        BalanceKey::User { realm: "", id }
    }

    #[test]
    fn turns_are_spread_by_weight() {
        assert_eq!(*turns(&[1, 1, 1]), [0, 1, 2]);
        assert_eq!(*turns(&[50, 50]), [0, 1]);
        assert_eq!(*turns(&[5, 1, 1]), [0, 0, 1, 0, 2, 0, 0]);
    }

    #[test]
    fn avoided_servers_are_skipped_unless_all_are_avoided() {
        let members = members(&[1, 1, 1]);
        for kind in [Balance::ByUser, Balance::LeastRequests, Balance::RoundRobin] {
            let balancer = Balancer::new(kind, Arc::clone(&members));
            members.all[1].set_healthy(false);
            let mut chosen: Vec<_> = (0..30)
                .filter_map(|_| balancer.choose(&[], NO_USER))
                .collect();
            assert!(chosen.len() == 30 && !chosen.contains(&1), "{kind:?}");
            assert_eq!(balancer.choose(&[0, 2], NO_USER), Some(1), "{kind:?}");
            assert_eq!(balancer.choose(&[0, 1, 2], NO_USER), None, "{kind:?}");
            members.all[0].set_healthy(false);
            members.all[2].set_healthy(false);
            chosen = (0..30)
                .filter_map(|_| balancer.choose(&[], NO_USER))
                .collect();
            assert_eq!(chosen.len(), 30, "{kind:?}");
            for member in &members.all {
                member.set_healthy(true);
            }
        }
    }

    #[test]
    fn the_server_with_the_fewest_requests_gets_the_next() {
        let members = members(&[1, 2]);
        let balancer = Balancer::new(Balance::LeastRequests, Arc::clone(&members));
        let mut under_way = Vec::new();
        for _ in 0..9 {
            let place = balancer.choose(&[], NO_USER).unwrap();
            under_way.push((place, members.all[place].begin_request()));
        }
        let first = under_way.iter().filter(|(place, _)| *place == 0).count();
        assert_eq!(first, 3);
        under_way.retain(|(place, _)| *place == 0);
        assert_eq!(balancer.choose(&[], NO_USER), Some(1));
    }

    #[test]
    fn users_keep_their_server_when_another_leaves_and_spread_by_weight() {
        let members = members(&[1, 1, 2]);
        let balancer = Balancer::new(Balance::ByUser, Arc::clone(&members));
        let ids: Vec<_> = (0..4000).map(|number| format!("user-{number}")).collect();
        let choose = || {
            let chosen = ids.iter().map(|id| balancer.choose(&[], user(id)).unwrap());
            chosen.collect::<Vec<_>>()
        };
        let before = choose();
        assert_eq!(before, choose());
        let of_last = before.iter().filter(|place| **place == 2).count();
        assert!((1800..2200).contains(&of_last), "{of_last}");
        members.all[0].set_healthy(false);
        let after = choose();
        let moved = before
            .iter()
            .zip(&after)
            .filter(|(one, other)| one != other);
        assert!(moved.clone().all(|(before, _)| *before == 0));
        assert!(moved.count() > 0);
    }

    #[test]
    fn same_id_in_two_realms_is_two_users() {
        let of = |realm| BalanceKey::User { realm, id: "1" }.hash();
        assert_ne!(of("shop"), of("wiki"));
        let mapped: IpAddr = "::ffff:10.0.0.1".parse().unwrap();
        let plain: IpAddr = "10.0.0.1".parse().unwrap();
        assert_eq!(
            BalanceKey::Address(mapped).hash(),
            BalanceKey::Address(plain).hash()
        );
    }
}
