//! The columns that a realm asks for, because something in the configuration looks at them.

use gate::{ClaimPath, ColumnRef};

use crate::config::credentials;
use crate::config::lookups::SessionLookups;
use crate::config::place::Place;
use crate::config::problem::Problem;
use crate::config::sessions::SessionFormat;
use crate::config::stack::Spanned;
use stores::{self, ClaimOf, Memberships, StoredClaim, Table, UserColumn};

/// The columns that a realm asks for, each once, and where its sessions hold what rules ask for.
#[derive(Debug)]
pub(in crate::config) struct RuleColumns {
    asked: StoreColumns,
    format: SessionFormat,
    /// What the tables are like, where sessions are looked up.
    lookups: Option<SessionLookups>,
    /// Whether signed tokens of another issuer are accepted too, which have claims of their own.
    has_issuer: bool,
}

/// What is asked for.
#[derive(Debug, Default)]
pub(in crate::config) struct StoreColumns {
    pub(in crate::config) columns: Vec<UserColumn>,
    /// Claims that sessions in cookies have, and that are read of a row where a session is looked up.
    pub(in crate::config) claims: Vec<StoredClaim>,
    /// Where the file first names a column, by the name of the column; or a whole table, by its name and a dot.
    pub(in crate::config) places: Vec<(String, Place)>,
}

impl StoreColumns {
    /// What the file calls a column, and where it first does.
    pub(in crate::config) fn place_of(&self, column: &UserColumn) -> Option<(String, Place)> {
        let (name, called) = match column {
            UserColumn::Time(column) | UserColumn::Value(column) => {
                let shown = credentials::shown(column.name());
                (column.name(), format!("the column `{shown}`"))
            }
            UserColumn::OrganizationRoles(_) => {
                ("member.", "the role in an organization".to_owned())
            }
        };
        let (_, place) = self.places.iter().find(|(other, _)| other == name)?;
        Some((called, place.clone()))
    }
}

impl RuleColumns {
    /// None yet, of a realm with such sessions.
    pub(in crate::config) fn new(
        format: SessionFormat,
        lookups: Option<SessionLookups>,
        has_issuer: bool,
    ) -> Self {
        Self {
            asked: StoreColumns::default(),
            format,
            lookups,
            has_issuer,
        }
    }

    /// Those of a realm that may have anything, and of which nothing is asked.
    pub(super) fn of_nobody() -> Self {
        Self::new(SessionFormat::Auto, None, true)
    }

    /// Asks for a column's value, and gives its place.
    pub(in crate::config) fn value(&mut self, column: stores::Column) -> ColumnRef {
        let name = column.name().into();
        self.asked(UserColumn::Value(column), name)
    }

    /// Asks for the point in time in a column, and gives its place.
    pub(super) fn time(&mut self, column: stores::Column) -> ColumnRef {
        let name = column.name().into();
        self.asked(UserColumn::Time(column), name)
    }

    /// Asks for the roles of the user in organizations, as the organization plugin of Better Auth keeps them
    /// (`better-auth` 1.7.25, `dist/plugins/organization/organization.mjs`), and gives their place.
    pub(super) fn organization_roles(&mut self, place: &Place) -> ColumnRef {
        self.named_at("member.", place);
        let memberships = Memberships {
            table: Table::parse("member").expect("a name of a table"),
            user: self.column_of("userId"),
            organization: self.column_of("organizationId"),
            role: self.column_of("role"),
        };
        let roles = UserColumn::OrganizationRoles(memberships);
        self.asked(roles, "organization roles".into())
    }

    /// Sees that a session can be active in an organization: only Better Auth has them.
    pub(super) fn check_organizations(&self, place: &Place, problems: &mut Vec<Problem>) {
        let word = match self.format {
            SessionFormat::Auto | SessionFormat::BetterAuth => return,
            SessionFormat::AuthJs => "authjs",
            SessionFormat::AuthJsDatabase => "authjs-database",
            SessionFormat::AuthJsSigned => "authjs-signed",
            SessionFormat::NextAuth => "next-auth",
        };
        let what = format!("sessions of the format `{word}` are active in no organization");
        let help = "only Better Auth has organizations (`session_format = \"better-auth\"`); look at a claim or a column: \
                    `claim = \"org.role\"`, `column = \"role\"`";
        problems.push(Problem::at(place.clone(), what).with_help(help));
    }

    /// Notes where the file names a column. The first place counts.
    pub(in crate::config) fn named_at(&mut self, name: &str, place: &Place) {
        let places = &mut self.asked.places;
        if places.iter().all(|(other, _)| other != name) {
            places.push((name.to_owned(), place.clone()));
        }
    }

    /// The column that Better Auth itself calls so, as the adapter of the realm calls it.
    pub(super) fn column_of(&self, name: &str) -> stores::Column {
        stores::Column::parse(&self.spelled(name)).expect("a name of a column")
    }

    fn spelled(&self, name: &str) -> String {
        let lookups = self.lookups.filter(|lookups| lookups.are_of_better_auth());
        lookups.map_or_else(|| name.to_owned(), |lookups| lookups.column(name))
    }

    fn asked(&mut self, column: UserColumn, name: Box<str>) -> ColumnRef {
        let columns = &mut self.asked.columns;
        let known = columns.iter().position(|asked| *asked == column);
        let index = known.unwrap_or(columns.len());
        if known.is_none() {
            columns.push(column);
        }
        ColumnRef { index, name }
    }

    /// The claim that names the organization in which a session is active.
    pub(super) fn active_organization(&mut self, place: &Place) -> ClaimPath {
        let path = match self.format {
            SessionFormat::Auto | SessionFormat::BetterAuth => "session.activeOrganizationId",
            SessionFormat::AuthJs
            | SessionFormat::AuthJsDatabase
            | SessionFormat::AuthJsSigned
            | SessionFormat::NextAuth => "activeOrganizationId",
        };
        let path = ClaimPath::new(path).expect("names with a dot between them");
        // The name is one of a column, so nothing can be wrong.
        let _ = self.stored_claim(&path, Some(place));
        path
    }

    /// Sees that sessions can have this claim, and that those have it too that are looked up. A rule about a claim that is
    /// never there would hold of nobody, or, behind `not`, of everybody.
    pub(super) fn claim(
        &mut self,
        path: &ClaimPath,
        text: &Spanned<String>,
        problems: &mut Vec<Problem>,
    ) {
        if let Err((what, help)) = self.stored_claim(path, Some(&text.place)) {
            problems.push(Problem::at(text.place.clone(), what).with_help(help));
        }
    }

    /// Likewise, for a claim that a setting names.
    pub(in crate::config) fn claim_of_setting(&mut self, path: &ClaimPath) -> Result<(), String> {
        let asked = self.stored_claim(path, None);
        asked.map_err(|(what, help)| format!("{what}; {help}"))
    }

    fn stored_claim(
        &mut self,
        path: &ClaimPath,
        place: Option<&Place>,
    ) -> Result<(), (String, String)> {
        let path = path.as_str();
        match self.format {
            SessionFormat::BetterAuth => {}
            SessionFormat::AuthJsDatabase if !self.has_issuer && !CLAIMS_OF_ALL.contains(&path) => {
                let what = format!("sessions in a database have no claim `{path}`");
                let help = "name a column of the user's row: `column = \"…\"`; the claims are `sub`, `email`, \
                            `email_verified`, `name`, `iat` and `exp`";
                return Err((what, help.to_owned()));
            }
            SessionFormat::Auto
            | SessionFormat::AuthJs
            | SessionFormat::AuthJsDatabase
            | SessionFormat::AuthJsSigned
            | SessionFormat::NextAuth => return Ok(()),
        }
        let mut names = path.split('.');
        let (object, member) = (names.next().unwrap_or_default(), names.next());
        let of = ClaimOf::ALL.into_iter().find(|of| of.as_str() == object);
        let (of, member) = match (of, member) {
            (Some(of), Some(member)) => (of, member),
            (_, _) if self.has_issuer => return Ok(()),
            (_, _) => {
                let what = format!("sessions of Better Auth have no claim `{path}`");
                let of = match OF_SESSION.contains(&path) {
                    true => ClaimOf::Session,
                    false => ClaimOf::User,
                };
                let member = match ClaimOf::ALL.iter().any(|of| of.as_str() == path) {
                    true => "id",
                    false => path,
                };
                let help = format!(
                    "what they say stands in two objects, so name a member of one: `{}.{member}`",
                    of.as_str()
                );
                return Err((what, help));
            }
        };
        if (of, member) == (ClaimOf::Session, "token") {
            let what = "the token of a session lets in who knows it, and is nothing to compare or to write";
            let help = "name another member";
            return Err((what.to_owned(), help.to_owned()));
        }
        if self.lookups.is_some() {
            let column = stores::Column::parse(&self.spelled(member)).map_err(|error| {
                let what = format!("`{member}` can be no column: {error}");
                (
                    what,
                    "name a member that the app keeps in its tables".to_owned(),
                )
            })?;
            if let Some(place) = place {
                self.named_at(column.name(), place);
            }
            let claim = StoredClaim {
                of,
                name: member.into(),
                column,
            };
            if !self.asked.claims.contains(&claim) {
                self.asked.claims.push(claim);
            }
        }
        Ok(())
    }

    pub(in crate::config) fn into_asked(self) -> StoreColumns {
        self.asked
    }
}

/// The claims of every session that is looked up.
const CLAIMS_OF_ALL: [&str; 6] = ["sub", "email", "email_verified", "name", "iat", "exp"];

/// What plugins of Better Auth 1.7.25 keep of a session rather than of its user (`admin`, `organization`).
const OF_SESSION: [&str; 3] = ["activeOrganizationId", "activeTeamId", "impersonatedBy"];
