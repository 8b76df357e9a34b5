//! Limits how often an address may send a session that does not open, or that no store knows.

use std::net::IpAddr;
use std::sync::Arc;

use gate::Exceeded;
use smallvec::smallvec;

use super::all_nodes::{AllNodes, CountScope};
use super::limiter::Limiter;
use super::table::Table;
use crate::boxed::boxed;
use crate::config::RateLimit;

/// The limit on how often an address may send a session that does not open, or that no store knows.
#[derive(Debug)]
pub(crate) struct BadSessions {
    limiter: Limiter,
    /// The shared count, if nodes count together.
    all_nodes: Option<AllNodes>,
}

/// A session that was counted as bad.
#[must_use = "it may turn out to be a good one"]
#[derive(Debug)]
pub(crate) struct CountedAsBad<'l> {
    bad_sessions: &'l BadSessions,
    client: IpAddr,
    by: CountScope,
}

impl BadSessions {
    pub(super) fn new(table: &Arc<Table>, limit: RateLimit, all_nodes: Option<AllNodes>) -> Self {
        Self {
            limiter: Limiter::new(table, "bad-session", limit, None),
            all_nodes,
        }
    }

    /// Counts a session from an address as a bad one.
    ///
    /// # Errors
    /// The limit that is exceeded.
    pub(crate) async fn count(&self, client: IpAddr) -> Result<CountedAsBad<'_>, Exceeded> {
        self.limiter.check_address(client)?;
        let by = match &self.all_nodes {
            None => CountScope::ThisNode,
            Some(all_nodes) => {
                let step = smallvec![self.limiter.counted_address(client)];
                boxed(all_nodes.count(step)).await?
            }
        };
        Ok(CountedAsBad {
            bad_sessions: self,
            client,
            by,
        })
    }
}

impl CountedAsBad<'_> {
    /// Takes the count back, because the session was good: here at once, on all nodes without waiting.
    pub(crate) fn take_back(self) {
        let BadSessions { limiter, all_nodes } = self.bad_sessions;
        limiter.give_back_address(self.client);
        if let (CountScope::AllNodes, Some(all_nodes)) = (self.by, all_nodes) {
            all_nodes.give_back(&limiter.counted_address(self.client));
        }
    }
}
