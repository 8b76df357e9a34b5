//! How callers of this crate learn about changes of users and sessions.

/// Is told which users and sessions change, as far as a server says so. It is called while others wait, so it must not
/// block.
pub trait ChangeListener: Send + Sync + 'static {
    /// Something has changed, or may have changed.
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
