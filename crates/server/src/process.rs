//! What the process provides to its stores.

use stores::{Clock, Process, Trial};
use tokio::runtime::Handle;

use crate::{clock, vital};

/// The process, for stores that wait for their servers on `runtime`.
pub(crate) fn process(runtime: Handle) -> Process {
    Process {
        runtime,
        clock: clock(),
        vital: |name| Box::new(vital::part(name)),
        random: || fastrand::u64(..),
        trial: Trial::default(),
    }
}

/// The clock of the process.
pub(crate) fn clock() -> Clock {
    Clock::new(clock::monotonic, clock::now)
}
