//! One application that issues sessions, as configured.

use std::path::Path;
use std::sync::Arc;

use gate::{Condition, IdentityRules};
use session::{ClaimDemands, KeyRing};

use super::lookups::SessionLookups;
use super::place::Place;
use super::problem::Problem;
use super::raw::{Reader, Setting, Variables};
use super::rules::StoreColumns;
use super::sessions::{self, SessionFormat};
use super::stack::DEFAULT_REALM;
use super::{bearer, identity, stores};
use crate::jwks;
use ::stores::{CacheFormat, StoredClaim, UserColumn};

/// One application that issues sessions.
#[derive(Debug)]
pub(crate) struct RealmSettings {
    /// Its name.
    pub(crate) name: Arc<str>,
    /// The keys of every session cookie that is recognized.
    pub(crate) keys: Arc<KeyRing>,
    /// What is demanded of a session's claims.
    pub(crate) demands: ClaimDemands,
    /// Which users may enter, and what is written about them.
    pub(crate) identity: IdentityRules,
    /// What must hold of a user's row.
    pub(crate) active: Condition,
    /// Whose signed tokens are accepted beside the sessions.
    pub(crate) issuer: Option<jwks::Settings>,
    /// Where users and sessions are looked up; `None` when neither is.
    pub(crate) stores: Option<::stores::Settings>,
    /// Where the file first names a column, by the name of the column; or a whole table, by its name and a dot.
    pub(crate) places: Vec<(String, Place)>,
    /// Every setting of it as it took effect.
    pub(crate) settings: Vec<Setting>,
}

impl RealmSettings {
    /// The files that its stores need, each with the setting that names it.
    pub(super) fn store_files(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        self.stores.iter().flat_map(::stores::Settings::files)
    }
}

/// A realm as far as its own settings go, and what else is known of them.
pub(super) struct RealmReading {
    /// The format of its sessions.
    pub(super) format: SessionFormat,
    /// Where its sessions are looked up.
    pub(super) lookups: Option<SessionLookups>,
    /// `None` when something is wrong with its keys.
    pub(super) keys: Option<KeyRing>,
    demands: ClaimDemands,
    pub(super) identity: IdentityRules,
    pub(super) issuer: Option<jwks::Settings>,
    pub(super) stores: Option<::stores::Settings>,
    /// Something is wrong with what says where they are, so why there are no rows of users is said, or follows from what is.
    is_lack_of_rows_said: bool,
}

impl RealmReading {
    /// Reads what says which sessions count, and who their users are.
    pub(super) fn read(reader: &mut Reader<'_>, warnings: &mut Vec<String>) -> Self {
        let format = SessionFormat::read(reader);
        let identity = identity::rules(reader, warnings);
        let lookups = SessionLookups::read(reader, format, warnings);
        let lookups = lookups.map(|lookups| lookups.refusing_guests(!identity.allow_anonymous));
        let or_opaque = lookups.is_some_and(SessionLookups::make_authjs_opaque);
        let subjects = identity::subject_claims(reader, format, warnings);
        let demands = sessions::demands(reader, subjects.session);
        let issuer = bearer::issuer(reader, subjects.bearer, warnings);
        let no_cookie_needed = issuer.is_some();
        let keys = sessions::key_ring(reader, format, or_opaque, no_cookie_needed, warnings);
        let (keys, format) = match keys {
            Some((keys, format)) => (Some(keys), format),
            None => (None, format),
        };
        let before = reader.problems.len();
        let stores = stores::settings(reader, lookups, warnings);
        // Where users are to be looked up and are not, something else is wrong, be it a variable that the file names.
        let is_lack_of_rows_said =
            reader.problems.len() > before || reader.may_be_on("ENABLE_DB_CHECK");
        warnings.extend(identity::unknown_guests(&identity, stores.as_ref()));
        Self {
            format,
            lookups,
            keys,
            demands,
            identity,
            issuer,
            stores,
            is_lack_of_rows_said,
        }
    }

    /// The same for a realm that no route names: nobody looks for its users, so what they would be looked for in need not be
    /// there.
    pub(super) fn unused(self) -> Self {
        Self {
            stores: None,
            issuer: None,
            ..self
        }
    }

    /// The realm, if nothing was wrong with its keys. These columns of its users are looked at.
    pub(super) fn settings(
        mut self,
        name: &str,
        active: Condition,
        asked: StoreColumns,
        variables: &Variables,
        settings: &[Setting],
        problems: &mut Vec<Problem>,
    ) -> Option<RealmSettings> {
        let first = asked.columns.first();
        let first = first.and_then(|column| asked.place_of(column));
        self.ask_for_claims(asked.claims);
        let has_rows = asked.columns.is_empty() || self.ask_for(asked.columns);
        if !has_rows && !self.is_lack_of_rows_said {
            match first {
                Some((name, place @ Place::File { .. })) => {
                    let what =
                        format!("{name} is read from the user's row, and users are not looked up");
                    problems.push(Problem::at(place, what).with_help(NO_ROWS_IN_FILE));
                }
                Some((_, Place::Variable(_))) | None => {
                    let mut reader = Reader::new(variables);
                    reader.problem("ENABLE_DB_CHECK", NO_ROWS);
                    problems.append(&mut reader.problems);
                }
            }
        }
        let redis = self
            .stores
            .as_ref()
            .and_then(|stores| stores.redis.as_ref());
        let says_true = redis.is_some_and(|redis| redis.format == CacheFormat::True);
        if says_true && self.asks_for_columns() {
            let mut reader = Reader::new(variables);
            reader.problem("REDIS_CACHE_FORMAT", TRUE_IS_TOO_LITTLE);
            problems.append(&mut reader.problems);
        }
        if let Some(stores) = &mut self.stores {
            stores.realm = (name != DEFAULT_REALM).then(|| name.to_owned());
        }
        Some(RealmSettings {
            name: name.into(),
            keys: Arc::new(self.keys?),
            demands: self.demands,
            identity: self.identity,
            active,
            issuer: self.issuer,
            stores: self.stores,
            places: asked.places,
            settings: settings.to_vec(),
        })
    }

    /// Asks for claims of the sessions that are looked up, in the columns that the operator has named.
    fn ask_for_claims(&mut self, mut claims: Vec<StoredClaim>) {
        let Some(stores) = &mut self.stores else {
            return;
        };
        let database = stores.database.as_ref();
        if let Some(tables) = database.and_then(|database| database.sessions.as_ref()) {
            for claim in &mut claims {
                if let Some(column) = tables.named(claim.of, &claim.name) {
                    claim.column = column.clone();
                }
            }
        }
        stores.claims = claims;
    }

    fn asks_for_columns(&self) -> bool {
        let stores = self.stores.as_ref();
        let database = stores.and_then(|stores| stores.database.as_ref());
        database.is_some_and(|database| !database.columns.is_empty())
    }

    /// Asks for columns of the users' rows, if there is a table of users.
    fn ask_for(&mut self, mut columns: Vec<UserColumn>) -> bool {
        let stores = self.stores.as_mut();
        let Some(database) = stores.and_then(|stores| stores.database.as_mut()) else {
            return false;
        };
        // A session that the application has cached in a cookie says nothing of the row.
        if let (None, Some(sessions)) = (&database.users, &database.sessions) {
            database.users = Some(sessions.users.clone());
        }
        if let Some(users) = &database.users {
            for column in &mut columns {
                if let UserColumn::OrganizationRoles(memberships) = column {
                    memberships.table = memberships.table.clone().beside(&users.table);
                }
            }
        }
        database.columns = columns;
        true
    }
}

const TRUE_IS_TOO_LITTLE: &str = "`true` says that a user exists and nothing of the row, and columns of the users' rows are looked \
                                  at (`require`, `active`, claims in headers); leave it at `record`";
const NO_ROWS: &str = "columns of the users' rows are looked at, and nobody looks for users: set ENABLE_DB_CHECK=true, and say \
                       in DATABASE_URL and USER_TABLE where they are";
const NO_ROWS_IN_FILE: &str =
    "set `enable_db_check = true`, and say in `database_url` and `user_table` where they are";
