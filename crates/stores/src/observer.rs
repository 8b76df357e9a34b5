//! Reports every answer of a store to metrics.

use gate::LookupSource;

/// Receives the outcome of every lookup in every store, for metrics. It is called on the hot path for memory, and on
/// the shared runtime for the other stores, so it must not block.
pub trait Observer: Send + Sync + 'static {
    /// Records that `source` was asked for one user or session, with this outcome.
    fn answered(&self, kind: FactKind, source: LookupSource, outcome: Outcome);
}

/// The kinds of facts that stores look up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FactKind {
    /// A session, by its token.
    Session,
    /// A user, by the subject of a session.
    User,
}

/// The outcome of a lookup in one store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The store says that there is no such user or session.
    Absent,
    /// The store did not answer.
    Failed,
    /// The store holds something that no application would have written, which is treated as absent. Only for the
    /// application's own store.
    Malformed,
    /// The store has no answer that can be used, so the next one is asked. Only for Redis.
    Missed,
    /// The store says that the user or session exists.
    Present,
    /// The answer of the next store could not be written to this one, in addition to [`Outcome::Missed`]; or an
    /// outdated answer could not be deleted from it. Only for Redis.
    Unwritten,
}

impl Outcome {
    /// The name of the outcome in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Failed => "failed",
            Self::Malformed => "malformed",
            Self::Missed => "missed",
            Self::Present => "present",
            Self::Unwritten => "unwritten",
        }
    }
}
