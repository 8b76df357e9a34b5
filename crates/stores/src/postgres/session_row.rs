//! A session and its user, as a row of PostgreSQL.

use gate::User;
use serde_json::{Map, Value};
use session::UnixTime;
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

use super::super::identifier::Column;
use super::super::session_state::{MalformedRecord, StoredRow};
use super::super::standing::StandingRow;
use super::super::time::Zone;
use super::statement::KeyLookup;

/// A row that was found by the statement of [`KeyLookup::session`].
pub(super) struct SessionRow<'a> {
    pub(super) row: &'a Row,
    pub(super) zoneless: &'a [String],
    pub(super) zone: Option<&'a Zone>,
}

impl SessionRow<'_> {
    pub(super) fn read(
        &self,
        by: &KeyLookup,
        user: User,
        claims: Map<String, Value>,
    ) -> Result<StoredRow, MalformedRecord> {
        let (expires, created) = match &by.times[..] {
            [created, expires] => (Some(expires.name()), Some(created.name())),
            times => (times.first().map(Column::name), None),
        };
        Ok(StoredRow {
            subject: self
                .get::<String>(0, MalformedRecord::Text)?
                .ok_or(MalformedRecord::Text)?,
            email: self.get(1, MalformedRecord::Text)?,
            name: self.get(2, MalformedRecord::Text)?,
            standing: StandingRow::of_texts([
                self.get(5, MalformedRecord::Text)?,
                self.get(6, MalformedRecord::Text)?,
                self.get(7, MalformedRecord::Text)?,
            ]),
            issued_at: self.time(3, created, MalformedRecord::Creation)?,
            expires_at: self
                .time(4, expires, MalformedRecord::Expiry)?
                .ok_or(MalformedRecord::Expiry)?,
            user,
            claims,
        })
    }

    fn get<'r, T: FromSql<'r>>(
        &'r self,
        index: usize,
        fault: MalformedRecord,
    ) -> Result<Option<T>, MalformedRecord> {
        self.row.try_get(index).map_err(|_| fault)
    }

    fn time(
        &self,
        index: usize,
        column: Option<&str>,
        fault: MalformedRecord,
    ) -> Result<Option<UnixTime>, MalformedRecord> {
        let Some(millis) = self.get::<f64>(index, fault)? else {
            return Ok(None);
        };
        let is_zoneless =
            column.is_some_and(|name| self.zoneless.iter().any(|other| other == name));
        // Infinity becomes a time that no session may last until.
        let time = UnixTime::from_millis(millis as u64);
        Ok(Some(match self.zone {
            Some(zone) if is_zoneless => zone.absolute(time),
            Some(_) | None => time,
        }))
    }
}
