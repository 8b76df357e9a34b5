//! Reads the columns of the tables, and the rows that our role may see, before lookups, and warns about problems.

use std::sync::PoisonError;

use gate::LookupSource;

use super::super::single_flight::Trust;
use super::Postgres;
use super::catalog::{self, Layout, Visible};
use super::error::PostgresError;
use super::server::Connection;
use super::statement::{KeyLookup, KeyStatement};

impl Postgres {
    /// Reads from the catalog the types of the columns and which rows our role may see, and builds the statement.
    pub(super) async fn build_statement(
        &self,
        by: &KeyLookup,
        trust: Trust,
    ) -> Result<KeyStatement, PostgresError> {
        let taken = self.connections.take(trust).await?;
        let answer = self.read_catalog(&taken.connection, by).await;
        taken.give_back(answer)
    }

    async fn read_catalog(
        &self,
        connection: &Connection,
        by: &KeyLookup,
    ) -> Result<KeyStatement, PostgresError> {
        let columns = [&by.column].into_iter().chain(&by.times);
        let columns: Vec<_> = columns.map(|column| column.name()).collect();
        let values = by.columns.build_selection(connection).await?;
        let layout = Layout::read(connection, &by.table, &columns).await?;
        let tables = [&by.table].into_iter().chain(&by.users);
        for table in tables.chain(by.columns.other_tables()) {
            match Visible::read(connection, table).await? {
                Visible::All => {}
                Visible::None => {
                    // Discard the statement, which would keep finding no rows.
                    by.discard();
                    return Err(PostgresError::Hidden {
                        table: table.quoted().to_owned(),
                    });
                }
                Visible::SomeByPolicy => self.warn_once(format!(
                    "row-level security is on for {}: users whose rows its policies hide from our role are treated as absent \
                     and refused; a role that has BYPASSRLS sees all rows",
                    table.quoted(),
                )),
            }
        }
        let standing = match &by.standing {
            Some(standing) => catalog::standing(connection, standing).await?,
            None => String::new(),
        };
        let statement =
            by.complete(&layout, &standing, values)
                .ok_or_else(|| PostgresError::NoColumn {
                    column: by.column.quoted().to_owned(),
                    table: by.table.quoted().to_owned(),
                })?;
        self.warn_about_zone(by, &statement);
        Ok(statement)
    }

    /// Warns that times without a zone are read as UTC if no zone is configured, and about a configured zone without
    /// effect.
    fn warn_about_zone(&self, by: &KeyLookup, statement: &KeyStatement) {
        let table = by.table.quoted();
        if self.columns_zone.is_none() && !statement.columns.zoneless.is_empty() {
            self.warn_once(format!(
                "the times in `{}` of {} have no time zone and are read as UTC; set SESSION_TIME_ZONE, to UTC if that is \
                 right",
                statement.columns.zoneless.join("` and `"),
                by.columns.users.table.quoted(),
            ));
        }
        let columns = statement.zoneless.join("` and `");
        match (&self.zone, statement.zoneless.is_empty()) {
            (None, false) => self.warn_once(format!(
                "the times in `{columns}` of {table} have no time zone and are read as UTC; if the application writes them \
                 in another zone, sessions live too long or too short: set SESSION_TIME_ZONE, to UTC if that is right"
            )),
            (Some(zone), true) if !by.times.is_empty() && !statement.columns.uses_zone() => self.warn_once(format!(
                "SESSION_TIME_ZONE={zone} has no effect: the times in {table} have a time zone of their own"
            )),
            (None | Some(_), _) => {}
        }
    }

    fn warn_once(&self, text: String) {
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if !logged.contains(&text) {
            tracing::warn!(store = LookupSource::Postgres.as_str(), "{text}");
            logged.insert(text);
        }
    }
}
