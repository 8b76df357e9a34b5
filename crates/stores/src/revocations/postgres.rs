//! Revocations in a table of PostgreSQL.
//!
//! An application may write to it as well, and may leave out columns that have defaults.

use std::collections::BTreeSet;

use gate::{LookupSource, Revoked};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::super::pools::Pools;
use super::super::postgres::{OwnTables, Parameter, text};
use super::super::settings::DatabaseSettings;
use super::entry::{self, EntryColumns, RevocationEntry, RevocationKey, key};
use super::{MAX_REVOCATIONS, RevocationStoreError};

pub(super) struct InPostgres(OwnTables);

impl InPostgres {
    /// Opens access to the table. `None` when the database is not PostgreSQL.
    pub(super) fn open(settings: &DatabaseSettings, pools: &Pools) -> Option<Self> {
        OwnTables::open(settings, pools).map(Self)
    }

    pub(super) async fn install(&self) -> Result<(), RevocationStoreError> {
        if self.exists().await? {
            return Ok(());
        }
        match self.0.query(CREATE, &[]).await {
            // When two nodes create it at once, one fails in spite of IF NOT EXISTS.
            Err(error) if !self.exists().await? => Err(error.into()),
            Err(_) | Ok(_) => Ok(()),
        }
    }

    async fn exists(&self) -> Result<bool, RevocationStoreError> {
        const EXISTS: &str = "SELECT to_regclass('sessiongate_revocations') IS NOT NULL";
        let rows = self.0.query(EXISTS, &[]).await?;
        Ok(rows.first().and_then(|row| row.try_get(0).ok()) == Some(true))
    }

    /// Reads the rows that have not expired by the clock of the database.
    pub(super) async fn load(&self) -> Result<Vec<RevocationEntry>, RevocationStoreError> {
        let statement = format!("{SELECT} LIMIT $1");
        // One more than the allowed number, to detect too many.
        let limit = i64::try_from(MAX_REVOCATIONS + 1).unwrap_or(i64::MAX);
        self.read(&statement, &[(&limit, Type::INT8)]).await
    }

    /// Reads the rows of these keys, as far as they have not expired.
    pub(super) async fn read_keys(
        &self,
        keys: &BTreeSet<RevocationKey>,
    ) -> Result<Vec<RevocationEntry>, RevocationStoreError> {
        let statement =
            format!("{SELECT} AND (realm, kind, id) IN (SELECT * FROM unnest($1, $2, $3))");
        let realms: Vec<_> = keys.iter().map(|of| &*of.realm).collect();
        let (kinds, ids): (Vec<_>, Vec<_>) = keys.iter().map(|of| key(&of.what)).unzip();
        let parameters = [
            (&realms as _, Type::TEXT_ARRAY),
            (&kinds as _, Type::TEXT_ARRAY),
            (&ids as _, Type::TEXT_ARRAY),
        ];
        self.read(&statement, &parameters).await
    }

    async fn read(
        &self,
        statement: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<RevocationEntry>, RevocationStoreError> {
        let rows = self.0.query(statement, parameters).await;
        let rows = match rows {
            Err(_) if !self.exists().await? => return Err(RevocationStoreError::NoTable),
            rows => rows?,
        };
        rows.iter().map(read).collect()
    }

    /// Adds a revocation, in one statement, so that other nodes are notified when it is committed and not before.
    pub(super) async fn add(&self, entry: &RevocationEntry) -> Result<(), RevocationStoreError> {
        const ADD: &str = "WITH gone AS (DELETE FROM sessiongate_revocations WHERE expires < clock_timestamp() \
             AND (realm, kind, id) <> ($1, $2, $3)), \
             added AS (INSERT INTO sessiongate_revocations AS known (realm, kind, id, issued_before, expires, made_by, source, reason) \
             SELECT $1, $2, $3, to_timestamp($4::float8 / 1000), to_timestamp($5::float8 / 1000), $6, $7, $8 \
             WHERE (SELECT count(*) FROM sessiongate_revocations WHERE expires > clock_timestamp()) < $9 \
             OR EXISTS (SELECT FROM sessiongate_revocations WHERE (realm, kind, id) = ($1, $2, $3)) \
             ON CONFLICT (realm, kind, id) DO UPDATE SET issued_before = greatest(known.issued_before, excluded.issued_before), \
             expires = greatest(known.expires, excluded.expires), made = clock_timestamp(), made_by = excluded.made_by, \
             source = excluded.source, reason = excluded.reason RETURNING 1) \
             SELECT pg_catalog.pg_notify('sessiongate_revocations', $10) FROM added";
        let EntryColumns {
            realm,
            kind,
            id,
            before,
            until,
            made: _,
            by,
            source,
            reason,
        } = EntryColumns::from(entry);
        let (before, until) = (float(before), float(until));
        let payload = RevocationKey::payload(&realm, &kind, &id);
        let most = i64::try_from(MAX_REVOCATIONS).unwrap_or(i64::MAX);
        let parameters = [
            text(&realm),
            text(&kind),
            text(&id),
            (&before as _, Type::FLOAT8),
            (&until as _, Type::FLOAT8),
            text(&by),
            text(&source),
            text(&reason),
            (&most as _, Type::INT8),
            text(&payload),
        ];
        let added = match self.0.query(ADD, &parameters).await {
            // If our role may create the table, no operator has to.
            Err(_) if !self.exists().await? => {
                self.install()
                    .await
                    .map_err(|_| RevocationStoreError::NoTable)?;
                self.0.query(ADD, &parameters).await?
            }
            added => added?,
        };
        match added.is_empty() {
            true => Err(RevocationStoreError::Full(LookupSource::Postgres)),
            false => Ok(()),
        }
    }

    pub(super) async fn remove(
        &self,
        realm: &str,
        what: &Revoked,
    ) -> Result<bool, RevocationStoreError> {
        const REMOVE: &str = "WITH removed AS (DELETE FROM sessiongate_revocations \
             WHERE (realm, kind, id) = ($1, $2, $3) RETURNING 1) \
             SELECT pg_catalog.pg_notify('sessiongate_revocations', $4) FROM removed";
        let (kind, id) = key(what);
        let payload = RevocationKey::payload(realm, kind, id);
        let parameters = [text(&realm), text(&kind), text(&id), text(&payload)];
        let removed = match self.0.query(REMOVE, &parameters).await {
            Err(_) if !self.exists().await? => return Err(RevocationStoreError::NoTable),
            removed => removed?,
        };
        Ok(!removed.is_empty())
    }

    pub(super) async fn close(self) {
        self.0.close().await;
    }
}

/// The SQL that creates the table, with the privileges that other roles than its owner need.
pub(super) fn sql() -> String {
    format!(
        "{CREATE};\n\
         -- A gate only reads. For its role, unless it owns the table:\n\
         -- GRANT SELECT ON sessiongate_revocations TO sessiongate;\n\
         -- A role that adds or removes revocations also needs to write: the role in DATABASE_URL of `sessiongate revoke` and\n\
         -- `sessiongate revocations remove`, and of a gate whose admin listener is used for it. For such a role alone:\n\
         -- GRANT INSERT, UPDATE, DELETE ON sessiongate_revocations TO sessiongate_writer;\n"
    )
}

fn read(row: &Row) -> Result<RevocationEntry, RevocationStoreError> {
    let text = |at| row.try_get::<_, String>(at).ok();
    let millis = |at| row.try_get::<_, i64>(at).ok();
    entry::read(EntryColumns::of_row(text, millis), LookupSource::Postgres)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds up to the year 9999 are exact"
)]
fn float(millis: u64) -> f64 {
    millis as f64
}

/// Selects the revocations that have not expired.
const SELECT: &str = "SELECT realm, kind, id, (extract(epoch FROM issued_before) * 1000)::int8, \
     (extract(epoch FROM expires) * 1000)::int8, (extract(epoch FROM made) * 1000)::int8, made_by, source, reason \
     FROM sessiongate_revocations WHERE expires > clock_timestamp()";

const CREATE: &str = "CREATE TABLE IF NOT EXISTS sessiongate_revocations (realm text NOT NULL DEFAULT 'default', \
     kind text NOT NULL CHECK (kind IN ('all', 'session', 'user')), id text NOT NULL DEFAULT '', \
     issued_before timestamptz NOT NULL DEFAULT clock_timestamp(), \
     expires timestamptz NOT NULL DEFAULT clock_timestamp() + interval '30 days', \
     made timestamptz NOT NULL DEFAULT clock_timestamp(), made_by text NOT NULL DEFAULT current_user, \
     source text NOT NULL DEFAULT 'sql', reason text NOT NULL DEFAULT '', PRIMARY KEY (realm, kind, id))";
