//! A rate limit for each of many keys.

use std::fmt;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use gate::Exceeded;
use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::{NotUntil, Quota, RateLimiter};

use super::network_of;
use super::table::Table;
use crate::config::RateLimit;
use stores::{SharedCell, SharedChange};

/// A rate limit. Its counts survive reloads, because its keys are in a table of the process.
pub(super) struct Limiter {
    /// The policy's name, as clients see it.
    policy: &'static str,
    limit: RateLimit,
    /// Separates its keys from those of other limits.
    salt: u64,
    /// Separates its keys from those of other limits in the shared count.
    name: Box<str>,
    /// The interval at which one more action is allowed, in nanoseconds.
    interval: u64,
    cells: RateLimiter<u64, Cells, Ticks, NoOpMiddleware<Nanos>>,
}

impl Limiter {
    /// A limit with this policy; `place` is its route, if it belongs to one.
    pub(super) fn new(
        table: &Arc<Table>,
        policy: &'static str,
        limit: RateLimit,
        place: Option<&str>,
    ) -> Self {
        let quota = match limit.window.as_secs() {
            1 => Quota::per_second(limit.count),
            60 => Quota::per_minute(limit.count),
            _ => Quota::per_hour(limit.count),
        };
        let quota = quota.allow_burst(limit.burst);
        let cells = Cells {
            table: Arc::clone(table),
            made_at: table.now(),
        };
        let ticks = Ticks {
            table: Arc::clone(table),
        };
        let interval = quota.replenish_interval().as_nanos();
        Self {
            policy,
            limit,
            salt: table.hash((policy, limit, place)),
            name: name(policy, &limit, place),
            interval: u64::try_from(interval).unwrap_or(u64::MAX),
            cells: RateLimiter::new(quota, cells, ticks),
        }
    }

    /// Counts an action of an address.
    pub(super) fn check_address(&self, address: IpAddr) -> Result<(), Exceeded> {
        self.check(network_of(address))
    }

    /// Takes back a count of an address.
    pub(super) fn give_back_address(&self, address: IpAddr) {
        let table = &self.cells.clock().table;
        let key = table.hash((self.salt, network_of(address)));
        table.give_back(key, self.interval);
    }

    /// Counts an action under this key.
    ///
    /// # Errors
    /// [`Exceeded`] when the limit is reached. The action is not counted then.
    pub(super) fn check(&self, key: impl Hash) -> Result<(), Exceeded> {
        let key = self.cells.clock().table.hash((self.salt, key));
        let checked = self.cells.check_key(&key);
        checked.map_err(|later| self.exceeded(&later))
    }

    /// A count of an address, which can be added to the shared count.
    pub(super) fn counted_address(&self, address: IpAddr) -> Counted<'_> {
        let network = network_of(address);
        self.counted(network, &[&network.to_be_bytes()])
    }

    /// A count under `key`, which can be added to the shared count. There its key is a digest of the limit's name and `text`,
    /// because `key` has a different hash on each node.
    pub(super) fn counted(&self, key: impl Hash, text: &[&[u8]]) -> Counted<'_> {
        let mut digest = Context::new(&SHA256);
        for part in [self.name.as_bytes()].iter().chain(text) {
            // Each part with its length, so that different keys never have the same text.
            digest.update(&(part.len() as u64).to_le_bytes());
            digest.update(part);
        }
        let mut shared = [0; 16];
        shared.copy_from_slice(&digest.finish().as_ref()[..16]);
        Counted {
            limiter: self,
            key: self.cells.clock().table.hash((self.salt, key)),
            shared,
        }
    }

    #[cold]
    fn exceeded(&self, later: &NotUntil<Nanos>) -> Exceeded {
        self.exceeded_for(later.wait_time_from(self.cells.clock().now()))
    }

    fn exceeded_for(&self, wait: Duration) -> Exceeded {
        Exceeded {
            policy: self.policy,
            quota: self.limit.count.get(),
            window: self.limit.window,
            wait,
        }
    }
}

/// An action that was counted on this node.
pub(super) struct Counted<'l> {
    limiter: &'l Limiter,
    key: u64,
    shared: [u8; 16],
}

impl Counted<'_> {
    /// The change that counts the action in the shared count.
    pub(super) fn shared(&self) -> SharedCell {
        let burst = self.limiter.limit.burst.get();
        self.cell(SharedChange::Count { burst })
    }

    /// The change that takes the action back from the shared count.
    pub(super) fn given_back(&self) -> SharedCell {
        self.cell(SharedChange::GiveBack)
    }

    fn cell(&self, change: SharedChange) -> SharedCell {
        let RateLimit { count, window, .. } = self.limiter.limit;
        SharedCell {
            key: self.shared,
            interval: window.as_secs_f64() * 1e6 / f64::from(count.get()),
            change,
        }
    }

    /// Takes the count back on this node.
    pub(super) fn give_back(&self) {
        let table = &self.limiter.cells.clock().table;
        table.give_back(self.key, self.limiter.interval);
    }

    /// The refusal, with the time to wait.
    pub(super) fn exceeded(&self, wait: Duration) -> Exceeded {
        self.limiter.exceeded_for(wait)
    }
}

/// The name of a limit in the shared count. It is composed of the limit's values.
fn name(policy: &str, limit: &RateLimit, place: Option<&str>) -> Box<str> {
    let RateLimit {
        by,
        count,
        window,
        burst,
    } = limit;
    let place = place.map_or_else(String::new, |place| format!(" of {place}"));
    format!(
        "{policy} {by:?} {count}/{} {burst}{place}",
        window.as_secs()
    )
    .into()
}

impl fmt::Debug for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter")
            .field("policy", &self.policy)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// Governor's state store. Governor counts nanoseconds since its start, the table nanoseconds of its own clock.
struct Cells {
    table: Arc<Table>,
    made_at: u64,
}

impl StateStore for Cells {
    type Key = u64;

    fn measure_and_replace<T, F, E>(&self, key: &u64, next: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        self.table.replace(*key, |known| {
            let known = known.map(|full_at| full_at.saturating_sub(self.made_at));
            let (given, full_at) = next(known.map(Nanos::from))?;
            Ok((given, full_at.as_u64().saturating_add(self.made_at)))
        })
    }
}

/// The clock of a table.
struct Ticks {
    table: Arc<Table>,
}

impl Clock for Ticks {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.table.now().into()
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::config::CountedBy;

    /// A limit that recovers so slowly that nothing comes back during a test.
    fn limit(burst: u32) -> RateLimit {
        RateLimit {
            by: CountedBy::Address,
            count: NonZeroU32::MIN,
            window: Duration::from_secs(3600),
            burst: NonZeroU32::new(burst).unwrap(),
        }
    }

    #[test]
    fn burst_is_allowed_and_the_next_request_waits() {
        let table = Arc::new(Table::new());
        let limiter = Limiter::new(&table, "address", limit(3), None);
        let [ada, bob] = [[192, 0, 2, 1], [192, 0, 2, 2]].map(IpAddr::from);
        for _ in 0..3 {
            assert_eq!(limiter.check_address(ada), Ok(()));
        }
        let exceeded = limiter.check_address(ada).unwrap_err();
        assert_eq!((exceeded.policy, exceeded.quota), ("address", 1));
        let wait = exceeded.wait.as_secs();
        assert!((3590..=3600).contains(&wait), "{exceeded:?}");
        assert_eq!(limiter.check_address(bob), Ok(()));
        limiter.give_back_address(ada);
        assert_eq!(limiter.check_address(ada), Ok(()));
        assert!(limiter.check_address(ada).is_err());
    }

    #[test]
    fn recreated_limit_keeps_its_count_apart_from_others() {
        let table = Arc::new(Table::new());
        let made = |burst, place| Limiter::new(&table, "address", limit(burst), place);
        let address = IpAddr::from([192, 0, 2, 1]);
        assert!(made(1, None).check_address(address).is_ok());
        assert!(made(1, None).check_address(address).is_err());
        assert!(made(2, None).check_address(address).is_ok());
        assert!(made(1, Some("wiki")).check_address(address).is_ok());
        assert!(made(1, Some("wiki")).check_address(address).is_err());
    }

    #[test]
    fn counting_allocates_no_memory() {
        let table = Arc::new(Table::new());
        let limiter = Limiter::new(&table, "address", limit(1), None);
        let counted = allocation_counter::measure(|| {
            for last in 0..100 {
                let _ = limiter.check_address([192, 0, 2, last % 50].into());
            }
        });
        assert_eq!(counted.count_total, 0);
    }
}
