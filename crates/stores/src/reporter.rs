//! What is told of every answer of a store.

use std::sync::Arc;

use gate::{Lookup, LookupSource};

use super::{FactKind, Observer, Outcome};

/// Tells the observer how stores fare with one kind of question.
pub(super) struct Reporter {
    pub(super) observer: Arc<dyn Observer>,
    pub(super) kind: FactKind,
}

impl Reporter {
    pub(super) fn answered(&self, source: LookupSource, outcome: Outcome) {
        self.observer.answered(self.kind, source, outcome);
    }

    /// A store knew whether there is such a thing.
    pub(super) fn found<F>(&self, lookup: &Lookup<F>) {
        let outcome = match lookup.found {
            Some(_) => Outcome::Present,
            None => Outcome::Absent,
        };
        self.answered(lookup.source, outcome);
    }
}
