//! The three areas of the demo, a service for each.

/// One of the services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Area {
    Admin,
    Members,
    Public,
}

impl Area {
    /// Where it is.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Admin => "/admin/",
            Self::Members => "/members/",
            Self::Public => "/",
        }
    }

    /// What it is called.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Admin => "Admin area",
            Self::Members => "Member area",
            Self::Public => "Public page",
        }
    }
}
