//! The three areas of the demo, a service for each.

/// An area of the demo, with a service of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Area {
    Admin,
    Members,
    Public,
}

impl Area {
    /// The path of the area.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Admin => "/admin/",
            Self::Members => "/members/",
            Self::Public => "/",
        }
    }

    /// The name of the area, for people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Admin => "Admin area",
            Self::Members => "Member area",
            Self::Public => "Public page",
        }
    }
}
