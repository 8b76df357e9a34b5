//! Collects the columns of users' rows that a realm needs because the configuration refers to them.

use gate::{ClaimPath, ColumnRef};

use crate::config::credentials;
use crate::config::lookups::SessionLookups;
use crate::config::place::Place;
use crate::config::problem::Problem;
use crate::config::raw_tables::Spanned;
use crate::config::sessions::SessionFormat;
use stores::{self, ClaimOf, Memberships, StoredClaim, Table, UserColumn};

/// The columns that a realm needs, each once, and where its sessions have the claims that rules refer to.
#[derive(Debug)]
pub(in crate::config) struct RuleColumns {
    needed: StoreColumns,
    format: SessionFormat,
    /// How sessions are looked up, if they are.
    lookups: Option<SessionLookups>,
    /// Whether bearer tokens are accepted too, which have claims of their own.
    has_issuer: bool,
}

/// The columns and claims to read from the stores.
#[derive(Debug, Default)]
pub(in crate::config) struct StoreColumns {
    pub(in crate::config) columns: Vec<UserColumn>,
    /// Claims that are read from columns if a session is looked up.
    pub(in crate::config) claims: Vec<StoredClaim>,
    /// Where the file first names each column, by column name; or a whole table, by its name and a dot.
    pub(in crate::config) places: Vec<(String, Place)>,
}

impl StoreColumns {
    /// The name of a column or table in messages, and the place where the file first names it; `None` if it does not.
    pub(in crate::config) fn place_of(&self, column: &UserColumn) -> Option<(String, Place)> {
        let (name, shown_name) = match column {
            UserColumn::Time(column) | UserColumn::Value(column) => {
                let shown = credentials::shown(column.name());
                (column.name(), format!("the column `{shown}`"))
            }
            UserColumn::OrganizationRoles(_) => {
                ("member.", "the role in an organization".to_owned())
            }
        };
        let (_, place) = self.places.iter().find(|(other, _)| other == name)?;
        Some((shown_name, place.clone()))
    }
}

impl RuleColumns {
    /// Makes an empty collection for a realm with sessions of this format.
    pub(in crate::config) fn new(
        format: SessionFormat,
        lookups: Option<SessionLookups>,
        has_issuer: bool,
    ) -> Self {
        Self {
            needed: StoreColumns::default(),
            format,
            lookups,
            has_issuer,
        }
    }

    /// Makes a collection that accepts any column and reads none.
    pub(super) fn accepting_any() -> Self {
        Self::new(SessionFormat::Auto, None, true)
    }

    /// Adds a column, and returns its index.
    pub(in crate::config) fn value(&mut self, column: stores::Column) -> ColumnRef {
        let name = column.name().into();
        self.add_column(UserColumn::Value(column), name)
    }

    /// Adds a column with a time, and returns its index.
    pub(super) fn time(&mut self, column: stores::Column) -> ColumnRef {
        let name = column.name().into();
        self.add_column(UserColumn::Time(column), name)
    }

    /// Adds the user's roles in organizations, as Better Auth's organization plugin stores them (`better-auth` 1.7.25,
    /// `dist/plugins/organization/organization.mjs`), and returns their index.
    pub(super) fn organization_roles(&mut self, place: &Place) -> ColumnRef {
        self.record_place("member.", place);
        let memberships = Memberships {
            table: Table::parse("member").expect("a name of a table"),
            user: self.column_of("userId"),
            organization: self.column_of("organizationId"),
            role: self.column_of("role"),
        };
        let roles = UserColumn::OrganizationRoles(memberships);
        self.add_column(roles, "organization roles".into())
    }

    /// Checks that sessions can have an active organization, which only those of Better Auth can.
    pub(super) fn check_organizations(&self, place: &Place, problems: &mut Vec<Problem>) {
        let word = match self.format {
            SessionFormat::Auto | SessionFormat::BetterAuth => return,
            SessionFormat::AuthJs => "authjs",
            SessionFormat::AuthJsDatabase => "authjs-database",
            SessionFormat::AuthJsSigned => "authjs-signed",
            SessionFormat::NextAuth => "next-auth",
        };
        let what = format!("sessions of the format `{word}` have no active organization");
        let help = "only Better Auth has organizations (`session_format = \"better-auth\"`); test a claim or a column \
             instead: `claim = \"org.role\"`, `column = \"role\"`";
        problems.push(Problem::at(place.clone(), what).with_help(help));
    }

    /// Records where the file names a column, unless it was named before.
    pub(in crate::config) fn record_place(&mut self, name: &str, place: &Place) {
        let places = &mut self.needed.places;
        if places.iter().all(|(other, _)| other != name) {
            places.push((name.to_owned(), place.clone()));
        }
    }

    /// The column with this name in Better Auth, under the adapter's name for it.
    pub(super) fn column_of(&self, name: &str) -> stores::Column {
        stores::Column::parse(&self.adapter_name(name)).expect("a name of a column")
    }

    fn adapter_name(&self, name: &str) -> String {
        let lookups = self.lookups.filter(|lookups| lookups.is_better_auth());
        lookups.map_or_else(|| name.to_owned(), |lookups| lookups.column(name))
    }

    fn add_column(&mut self, column: UserColumn, name: Box<str>) -> ColumnRef {
        let columns = &mut self.needed.columns;
        let known = columns.iter().position(|known| *known == column);
        let index = known.unwrap_or(columns.len());
        if known.is_none() {
            columns.push(column);
        }
        ColumnRef { index, name }
    }

    /// The claim with the id of a session's active organization.
    pub(super) fn active_organization(&mut self, place: &Place) -> ClaimPath {
        let path = match self.format {
            SessionFormat::Auto | SessionFormat::BetterAuth => "session.activeOrganizationId",
            SessionFormat::AuthJs
            | SessionFormat::AuthJsDatabase
            | SessionFormat::AuthJsSigned
            | SessionFormat::NextAuth => "activeOrganizationId",
        };
        let path = ClaimPath::new(path).expect("names with a dot between them");
        // The claim is always valid, because it is the name of a column.
        let _ = self.stored_claim(&path, Some(place));
        path
    }

    /// Checks that sessions can have this claim, including those that are looked up. A condition about a claim that never exists
    /// would never be met, or always if it is inside `not`.
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

    /// Checks a claim that a setting names, as [`Self::claim`] does for conditions.
    pub(in crate::config) fn claim_of_setting(&mut self, path: &ClaimPath) -> Result<(), String> {
        let checked = self.stored_claim(path, None);
        checked.map_err(|(what, help)| format!("{what}; {help}"))
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
                let help = "use a column of the user's row: `column = \"…\"`; the claims are `sub`, `email`, \
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
                    "their claims are in the objects `session` and `user`; write `{}.{member}`",
                    of.as_str()
                );
                return Err((what, help));
            }
        };
        if (of, member) == (ClaimOf::Session, "token") {
            let what =
                "a session's token is a credential, and cannot be compared or written to headers";
            let help = "use another claim";
            return Err((what.to_owned(), help.to_owned()));
        }
        if self.lookups.is_some() {
            let column = stores::Column::parse(&self.adapter_name(member)).map_err(|error| {
                let what = format!("`{member}` cannot be a column: {error}");
                (
                    what,
                    "use a claim that the app stores in its tables".to_owned(),
                )
            })?;
            if let Some(place) = place {
                self.record_place(column.name(), place);
            }
            let claim = StoredClaim {
                of,
                name: member.into(),
                column,
            };
            if !self.needed.claims.contains(&claim) {
                self.needed.claims.push(claim);
            }
        }
        Ok(())
    }

    pub(in crate::config) fn into_needed(self) -> StoreColumns {
        self.needed
    }
}

/// The claims of every session that is looked up.
const CLAIMS_OF_ALL: [&str; 6] = ["sub", "email", "email_verified", "name", "iat", "exp"];

/// Columns that Better Auth's plugins (`admin`, `organization`; 1.7.25) add to the session table, not the user table.
const OF_SESSION: [&str; 3] = ["activeOrganizationId", "activeTeamId", "impersonatedBy"];
