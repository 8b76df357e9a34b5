//! Notifies callers of this crate about changes of users and sessions.

/// Is notified of changes of users and sessions, as far as a server announces them. It is called while a lock is held,
/// so it must not block.
pub trait ChangeListener: Send + Sync + 'static {
    /// Notifies the listener that something has changed, or may have changed.
    fn changed(&self, change: Change<'_>);
}

/// The session or user that may have changed, or everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'c> {
    /// Anything.
    Everything,
    /// The session of this id.
    Session(&'c str),
    /// The user of this id, or this user's sessions.
    User(&'c str),
}
