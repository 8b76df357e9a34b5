//! The settings of one realm: an app that issues sessions.

use std::path::Path;
use std::sync::Arc;

use gate::{Condition, IdentityRules};
use session::{ClaimDemands, KeyRing};

use super::lookups::SessionLookups;
use super::place::Place;
use super::problem::Problem;
use super::raw_tables::DEFAULT_REALM;
use super::reader::{Reader, Setting, Variables};
use super::rules::StoreColumns;
use super::sessions::{self, SessionFormat};
use super::{bearer, identity, stores};
use crate::jwks;
use ::stores::{CacheFormat, StoredClaim, UserColumn};

/// A realm: an app that issues sessions, as configured.
#[derive(Debug)]
pub(crate) struct RealmSettings {
    /// Its name.
    pub(crate) name: Arc<str>,
    /// The keys of every session cookie that is recognized.
    pub(crate) keys: Arc<KeyRing>,
    /// The requirements on a session's claims.
    pub(crate) demands: ClaimDemands,
    /// Which users may enter, and which facts about them services receive.
    pub(crate) identity: IdentityRules,
    /// The condition that every user's row must meet.
    pub(crate) active: Condition,
    /// The issuer whose bearer tokens are accepted in addition to sessions.
    pub(crate) issuer: Option<jwks::Settings>,
    /// Where users and sessions are looked up; `None` if neither is.
    pub(crate) stores: Option<::stores::Settings>,
    /// Where the file first names each column, by column name; or a whole table, by its name and a dot.
    pub(crate) places: Vec<(String, Place)>,
    /// Its settings with their effective values.
    pub(crate) settings: Vec<Setting>,
}

impl RealmSettings {
    /// The files used by its stores, each with the setting that names it.
    pub(super) fn store_files(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        self.stores.iter().flat_map(::stores::Settings::files)
    }
}

/// A realm whose own settings are read, but whose columns are not yet known.
pub(super) struct RealmReading {
    /// The format of its sessions.
    pub(super) format: SessionFormat,
    /// How its sessions are looked up, if they are.
    pub(super) lookups: Option<SessionLookups>,
    /// `None` if its keys have problems.
    pub(super) keys: Option<KeyRing>,
    demands: ClaimDemands,
    pub(super) identity: IdentityRules,
    pub(super) issuer: Option<jwks::Settings>,
    pub(super) stores: Option<::stores::Settings>,
    /// Whether the settings of the stores have problems, so that missing user rows are explained already.
    missing_rows_reported: bool,
}

impl RealmReading {
    /// Reads which sessions are accepted, and where their users are looked up.
    pub(super) fn read(reader: &mut Reader<'_>, warnings: &mut Vec<String>) -> Self {
        let format = SessionFormat::read(reader);
        let identity = identity::rules(reader, warnings);
        let lookups = SessionLookups::read(reader, format, warnings);
        let lookups = lookups.map(|lookups| lookups.refusing_guests(!identity.allow_anonymous));
        let or_opaque = lookups.is_some_and(SessionLookups::makes_authjs_opaque);
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
        // If users should be looked up and are not, there is another problem, such as a missing variable.
        let missing_rows_reported =
            reader.problems.len() > before || reader.may_be_on("ENABLE_DB_CHECK");
        warnings.extend(identity::unknown_anonymous_warning(
            &identity,
            stores.as_ref(),
        ));
        Self {
            format,
            lookups,
            keys,
            demands,
            identity,
            issuer,
            stores,
            missing_rows_reported,
        }
    }

    /// Finishes a realm that no route names. Its users are never looked up, so tables and columns need not exist.
    pub(super) fn unused(self) -> Self {
        Self {
            stores: None,
            issuer: None,
            ..self
        }
    }

    /// Finishes the realm, unless its keys have problems. `needed` are the columns of user rows that rules need.
    pub(super) fn settings(
        mut self,
        name: &str,
        active: Condition,
        needed: StoreColumns,
        variables: &Variables,
        settings: &[Setting],
        problems: &mut Vec<Problem>,
    ) -> Option<RealmSettings> {
        let first = needed.columns.first();
        let first = first.and_then(|column| needed.place_of(column));
        self.add_claims(needed.claims);
        let has_rows = needed.columns.is_empty() || self.add_columns(needed.columns);
        if !has_rows && !self.missing_rows_reported {
            match first {
                Some((name, place @ Place::File { .. })) => {
                    let what = format!("{name} needs the user's row, but users are not looked up");
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
        let stores_only_true = redis.is_some_and(|redis| redis.format == CacheFormat::True);
        if stores_only_true && self.needs_columns() {
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
            places: needed.places,
            settings: settings.to_vec(),
        })
    }

    /// Adds the columns for claims of sessions that are looked up, by the names the operator configured.
    fn add_claims(&mut self, mut claims: Vec<StoredClaim>) {
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

    fn needs_columns(&self) -> bool {
        let stores = self.stores.as_ref();
        let database = stores.and_then(|stores| stores.database.as_ref());
        database.is_some_and(|database| !database.columns.is_empty())
    }

    /// Adds columns of user rows. Returns false if no database is used, so that there are no rows.
    fn add_columns(&mut self, mut columns: Vec<UserColumn>) -> bool {
        let stores = self.stores.as_mut();
        let Some(database) = stores.and_then(|stores| stores.database.as_mut()) else {
            return false;
        };
        // A session from a cookie cache does not contain the user's row, so it is read from the user table.
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

const TRUE_IS_TOO_LITTLE: &str = "`true` only stores that a user exists, but the configuration needs columns of the \
     user's row (`require`, `active`, claims in headers); use `record`";
const NO_ROWS: &str = "the configuration needs columns of the user's row, but users are not looked up: set \
     ENABLE_DB_CHECK=true, DATABASE_URL and USER_TABLE";
const NO_ROWS_IN_FILE: &str = "set `enable_db_check = true`, `database_url` and `user_table`";
