//! Rate limits that all nodes count together, besides their own count.
//!
//! A request over this node's own limit is refused without asking Redis, because all nodes together have counted at least as
//! many. So a client that floods one node costs Redis nothing; and if Redis does not answer, the node's own count still
//! limits.

use std::fmt;
use std::sync::Arc;

use gate::Exceeded;
use metrics::Counter;
use smallvec::SmallVec;

use super::limiter::Counted;
use crate::metrics::Metrics;
use stores::SharedRates;

/// The count that all nodes share.
#[derive(Clone)]
pub(crate) struct AllNodes {
    rates: Arc<SharedRates>,
    by_all: Counter,
    by_this_node: Counter,
}

/// Which nodes have counted a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CountScope {
    /// All nodes.
    AllNodes,
    /// This node alone.
    ThisNode,
}

/// The counts of one step of a request, in order.
pub(super) type Step<'l> = SmallVec<[Counted<'l>; 4]>;

impl AllNodes {
    /// A shared count in `rates`.
    pub(crate) fn new(rates: &Arc<SharedRates>, metrics: &Metrics) -> Self {
        Self {
            rates: Arc::clone(rates),
            by_all: metrics.shared_limits("shared"),
            by_this_node: metrics.shared_limits("local"),
        }
    }

    /// Adds this node's counts, at least one, to those of all nodes.
    ///
    /// # Errors
    /// The limit that all nodes together exceed. This limit and those after it do not count the request.
    pub(super) async fn count(&self, step: Step<'_>) -> Result<CountScope, Exceeded> {
        let cells = step.iter().map(Counted::shared).collect();
        let over = match self.rates.count(cells).await {
            Some(Ok(())) => {
                self.by_all.increment(1);
                return Ok(CountScope::AllNodes);
            }
            Some(Err(over)) => over,
            None => {
                self.by_this_node.increment(1);
                return Ok(CountScope::ThisNode);
            }
        };
        self.by_all.increment(1);
        // The counts for the limits before it stay.
        for uncounted in step.iter().skip(over.cell) {
            uncounted.give_back();
        }
        let exceeded = step.get(over.cell);
        exceeded.map_or(Ok(CountScope::AllNodes), |counted| {
            Err(counted.exceeded(over.wait))
        })
    }

    /// Takes a count back on all nodes, without waiting.
    pub(super) fn give_back(&self, counted: &Counted<'_>) {
        self.rates.give_back(counted.given_back());
    }
}

impl fmt::Debug for AllNodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AllNodes").finish_non_exhaustive()
    }
}
