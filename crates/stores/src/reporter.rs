//! Reports every answer of a store to the observer.

use std::sync::Arc;

use gate::{Lookup, LookupSource};

use super::{FactKind, Observer, Outcome};

/// Reports the outcomes of lookups of one kind of fact.
pub(super) struct Reporter {
    pub(super) observer: Arc<dyn Observer>,
    pub(super) kind: FactKind,
}

impl Reporter {
    pub(super) fn answered(&self, source: LookupSource, outcome: Outcome) {
        self.observer.answered(self.kind, source, outcome);
    }

    /// Reports that a store has answered whether the fact exists.
    pub(super) fn found<F>(&self, lookup: &Lookup<F>) {
        let outcome = match lookup.found {
            Some(_) => Outcome::Present,
            None => Outcome::Absent,
        };
        self.answered(lookup.source, outcome);
    }
}
