//! The columns that a realm asks for, because something in the configuration looks at them.

use gate::{ClaimPath, Column};

use crate::store::{self, Memberships, Table, UserColumn};

/// The columns that a realm asks for, each once.
#[derive(Debug)]
pub(in crate::config) struct Columns {
    asked: Vec<UserColumn>,
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

    /// Asks for a column's value, and gives its place.
    pub(in crate::config) fn value(&mut self, column: store::Column) -> Column {
        let name = column.name().into();
        self.asked(UserColumn::Value(column), name)
    }

    /// Asks for the point in time in a column, and gives its place.
    pub(super) fn time(&mut self, column: store::Column) -> Column {
        let name = column.name().into();
        self.asked(UserColumn::Time(column), name)
    }

    /// Asks for the roles of the user in organizations, as the organization plugin of Better Auth keeps them
    /// (`better-auth` 1.7.25, `dist/plugins/organization/organization.mjs`), and gives their place.
    pub(super) fn organization_roles(&mut self) -> Column {
        let column = |name| store::Column::parse(name).expect("a name of a column");
        let memberships = Memberships {
            table: Table::parse("member").expect("a name of a table"),
            user: column("userId"),
            organization: column("organizationId"),
            role: column("role"),
        };
        let roles = UserColumn::OrganizationRoles(memberships);
        self.asked(roles, "organization roles".into())
    }

    fn asked(&mut self, column: UserColumn, name: Box<str>) -> Column {
        let known = self.asked.iter().position(|asked| *asked == column);
        let index = known.unwrap_or(self.asked.len());
        if known.is_none() {
            self.asked.push(column);
        }
        Column { index, name }
    }

    pub(super) fn active_organization(&self) -> ClaimPath {
        self.active_organization.clone()
    }

    pub(in crate::config) fn into_asked(self) -> Vec<UserColumn> {
        self.asked
    }
}
