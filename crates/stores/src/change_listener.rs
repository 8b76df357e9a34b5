//! Changes of users and sessions, as those outside this crate hear of them.

/// Hears what changes of users and sessions, as far as a server says so. Called while others wait for it: it must not wait itself.
pub trait ChangeListener: Send + Sync + 'static {
    /// Something has changed, or may have.
    fn changed(&self, change: Change<'_>);
}

/// What may have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'c> {
    /// Anything.
    Everything,
    /// The session of this id.
    Session(&'c str),
    /// The user of this id, or this user's sessions.
    User(&'c str),
}
