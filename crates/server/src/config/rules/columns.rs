//! The columns that a realm asks for, because something in the configuration looks at them.

use gate::{ClaimPath, Column};

use crate::store;

/// A column that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AskedColumn {
    /// The roles of the user in organizations, as Better Auth's plugin keeps them.
    OrganizationRoles,
    /// A point in time.
    Time(store::Column),
    /// Any value.
    Value(store::Column),
}

/// The columns that a realm asks for, each once.
#[derive(Debug)]
pub(in crate::config) struct Columns {
    asked: Vec<AskedColumn>,
    /// Where the sessions of the realm say which organization they are active in.
    active_organization: ClaimPath,
}

impl Columns {
    /// None yet. Sessions of Better Auth have an object for the session in their claims.
    pub(in crate::config) fn new(are_of_better_auth: bool) -> Self {
        let path = match are_of_better_auth {
            true => "session.activeOrganizationId",
            false => "activeOrganizationId",
        };
        Self {
            asked: Vec::new(),
            active_organization: ClaimPath::new(path).expect("names with a dot between them"),
        }
    }

    /// Asks for a column, and gives its place.
    pub(in crate::config) fn index(&mut self, column: AskedColumn) -> Column {
        let known = self.asked.iter().position(|asked| *asked == column);
        let name = match &column {
            AskedColumn::OrganizationRoles => "organization roles".into(),
            AskedColumn::Time(column) | AskedColumn::Value(column) => column.name().into(),
        };
        let index = known.unwrap_or(self.asked.len());
        if known.is_none() {
            self.asked.push(column);
        }
        Column { index, name }
    }

    pub(super) fn active_organization(&self) -> ClaimPath {
        self.active_organization.clone()
    }

    pub(in crate::config) fn into_asked(self) -> Vec<AskedColumn> {
        self.asked
    }
}
