//! Limits that all nodes count together, beside their own count.
//!
//! A request that is over the limit by this node's own count is refused without asking anybody, because all nodes together have
//! counted at least as many. So somebody who asks too often at one node costs Redis nothing; and where Redis does not answer, what the node has
//! counted is there and goes on.

use std::fmt;
use std::sync::Arc;

use gate::Exceeded;
use metrics::Counter;
use smallvec::SmallVec;

use super::limiter::Counted;
use crate::metrics::Metrics;
use stores::SharedRates;

/// Where limits are counted together.
#[derive(Clone)]
pub(crate) struct AllNodes {
    rates: Arc<SharedRates>,
    by_all: Counter,
    by_this_node: Counter,
}

/// Who has counted something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CountedBy {
    /// All of them.
    AllNodes,
    /// This one alone.
    ThisNode,
}

/// What one step of a request counts, in its order.
pub(super) type Step<'l> = SmallVec<[Counted<'l>; 4]>;

impl AllNodes {
    /// Counted by `rates`.
    pub(crate) fn new(rates: &Arc<SharedRates>, metrics: &Metrics) -> Self {
        Self {
            rates: Arc::clone(rates),
            by_all: metrics.shared_limits("shared"),
            by_this_node: metrics.shared_limits("local"),
        }
    }

    /// Counts for all nodes what this node has counted, which is something. Says whether they did.
    ///
    /// # Errors
    /// The limit that all nodes together are over. It does not count here either.
    pub(super) async fn count(&self, step: Step<'_>) -> Result<CountedBy, Exceeded> {
        let cells = step.iter().map(Counted::shared).collect();
        let over = match self.rates.count(cells).await {
            Some(Ok(())) => {
                self.by_all.increment(1);
                return Ok(CountedBy::AllNodes);
            }
            Some(Err(over)) => over,
            None => {
                self.by_this_node.increment(1);
                return Ok(CountedBy::ThisNode);
            }
        };
        self.by_all.increment(1);
        // Those before it count.
        for uncounted in step.iter().skip(over.cell) {
            uncounted.give_back();
        }
        let exceeded = step.get(over.cell);
        exceeded.map_or(Ok(CountedBy::AllNodes), |counted| {
            Err(counted.exceeded(over.wait))
        })
    }

    /// Lets something that they have counted count no longer, soon.
    pub(super) fn give_back(&self, counted: &Counted<'_>) {
        self.rates.give_back(counted.given_back());
    }
}

impl fmt::Debug for AllNodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AllNodes").finish_non_exhaustive()
    }
}
