//! What stores and keys need around them.

use std::sync::Arc;

use anyhow::Result;
use tokio::runtime::Handle;

use super::tickets::HandedTickets;
use crate::audit::AuditTerms;
use crate::doubts::Doubts;
use crate::limits::Table;
use crate::metrics::Metrics;
use crate::process::process;
use stores::{Pools, Trial};

/// Where things that are live run, and what counts how they fare.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub(crate) runtime: Handle,
    /// The connections, which stores before and after a reload share.
    pub(crate) pools: Pools,
    pub(crate) metrics: Arc<Metrics>,
    /// What is heard of changes, for exchanges that last.
    pub(crate) doubts: Arc<Doubts>,
    /// Who has asked lately, which limits before and after a reload share.
    pub(crate) table: Arc<Table>,
    /// What the process before this one leaves to it.
    pub(crate) tickets: HandedTickets,
    /// What is told to those who write audit lines.
    pub(crate) audit: AuditTerms,
}

impl Surroundings {
    /// Those of a process that begins, on this runtime.
    ///
    /// # Errors
    /// When nothing can be counted.
    pub(crate) fn of(runtime: Handle, tickets: HandedTickets) -> Result<Self> {
        Ok(Self {
            pools: Pools::new(process(runtime.clone())),
            metrics: Metrics::new()?,
            doubts: Doubts::open(&runtime),
            table: Arc::new(Table::new()),
            tickets,
            audit: AuditTerms::default(),
            runtime,
        })
    }

    /// The same, for a configuration that is tried until `trial` ends.
    pub(super) fn on_trial(&self, trial: &Trial) -> Self {
        Self {
            pools: self.pools.on_trial(trial.clone()),
            ..self.clone()
        }
    }
}
