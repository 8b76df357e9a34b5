//! What stores and keys need from the process.

use std::sync::Arc;

use anyhow::Result;
use tokio::runtime::Handle;

use super::tickets::HandedTickets;
use crate::audit::SharedAuditState;
use crate::limits::Table;
use crate::metrics::Metrics;
use crate::process::process;
use crate::rechecks::Rechecks;
use stores::{Pools, Trial};

/// The runtime of the live parts, their metrics, and what they share across reloads.
#[derive(Clone)]
pub(crate) struct LiveContext {
    pub(crate) runtime: Handle,
    /// The connection pools, which stores share across reloads.
    pub(crate) pools: Pools,
    pub(crate) metrics: Arc<Metrics>,
    /// The collector of changes, for leases.
    pub(crate) rechecks: Arc<Rechecks>,
    /// The table of the rate limits, which is kept across reloads.
    pub(crate) table: Arc<Table>,
    /// The ticket keys of the previous process.
    pub(crate) tickets: HandedTickets,
    /// What the audit logs share.
    pub(crate) audit: SharedAuditState,
}

impl LiveContext {
    /// The context of a new process, on this runtime.
    ///
    /// # Errors
    /// When the metrics cannot be set up.
    pub(crate) fn of(runtime: Handle, tickets: HandedTickets) -> Result<Self> {
        Ok(Self {
            pools: Pools::new(process(runtime.clone())),
            metrics: Metrics::new()?,
            rechecks: Rechecks::open(&runtime),
            table: Arc::new(Table::new()),
            tickets,
            audit: SharedAuditState::default(),
            runtime,
        })
    }

    /// A copy for a configuration that is on trial until `trial` ends.
    pub(super) fn on_trial(&self, trial: &Trial) -> Self {
        Self {
            pools: self.pools.on_trial(trial.clone()),
            ..self.clone()
        }
    }
}
