//! What the metrics hear of every answer of a store.

use gate::LookupSource;

/// Hears how each store fares, for the metrics. Called on the hot path for memory, and on the shared runtime for the
/// others: it must not wait.
pub trait Observer: Send + Sync + 'static {
    /// `source` was asked for one user or session, with this outcome.
    fn answered(&self, kind: FactKind, source: LookupSource, outcome: Outcome);
}

/// What stores are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FactKind {
    /// A session, by its token.
    Session,
    /// A user, by the subject of a session.
    User,
}

/// How a question to one store ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It knows that there is no such user or session.
    Absent,
    /// It did not answer.
    Failed,
    /// What it holds is nothing that an application would have written, and counts as absent. Truths only.
    Malformed,
    /// It does not know; the next store is asked. Not memory, and not the last one.
    Missed,
    /// It knows the user or the session.
    Present,
    /// What the next store said could not be written to it. Redis only, and in addition to [`Outcome::Missed`].
    Unwritten,
}

impl Outcome {
    /// The outcome's name in metrics.
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
