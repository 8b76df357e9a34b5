//! The tables and columns that triggers watch, for the settings of some stores.

use aws_lc_rs::digest::{SHA256, digest};

use super::super::super::columns::UserColumns;
use super::super::super::hex;
use super::super::super::identifier::{Column, Table};
use super::super::super::settings::Settings;
use super::super::super::standing::Need;
use super::sql;

/// A table whose changes are announced, and the columns whose changes matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Watch {
    pub(super) table: Table,
    pub(super) subject: Subject,
    /// The column that holds the user's id or the session's token.
    pub(super) key: Column,
    /// The other columns that are read; a change of any of them is announced.
    pub(super) needed: Vec<Column>,
    /// The columns that are read if they exist.
    pub(super) optional: Vec<Column>,
}

/// The subject of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// The session whose token is in the column. Notifications never hold the token, which is a credential: every
    /// client that may connect to the database can listen.
    Session,
    /// The user whose id is in the column.
    User,
}

impl Subject {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::User => "user",
        }
    }
}

impl Watch {
    /// The name of the function that announces changes of this table. It holds a digest of the function's body, so that
    /// a function with another body has another name.
    pub(super) fn function(&self) -> String {
        let digest = digest(&SHA256, sql::body(self).as_bytes());
        let digits = hex(&digest.as_ref()[..4]);
        let (version, subject) = (sql::VERSION, self.subject.as_str());
        format!("{}v{version}_{subject}_{digits}", sql::PREFIX)
    }
}

/// Lists the tables and columns to watch for stores with these settings, each table and key once.
pub(super) fn of<'a>(settings: impl IntoIterator<Item = &'a Settings>) -> Vec<Watch> {
    let mut watches = Vec::new();
    for settings in settings {
        of_one(settings, &mut watches);
    }
    for watch in &mut watches {
        let Watch {
            key,
            needed,
            optional,
            ..
        } = watch;
        needed.retain(|column| column != key);
        optional.retain(|column| column != key && !needed.contains(column));
        for columns in [needed, optional] {
            columns.sort_by(|one, other| one.name().cmp(other.name()));
            columns.dedup();
        }
    }
    watches
}

fn of_one(settings: &Settings, watches: &mut Vec<Watch>) {
    let Some(database) = &settings.database else {
        return;
    };
    if let Some(users) = &database.users {
        let configured = settings.user_columns();
        of_columns(&configured, (&users.table, &users.id), None, watches);
    }
    if let Some(sessions) = &database.sessions {
        let (table, token) = (&sessions.table, &sessions.token);
        let (users, standing) = (&sessions.users, &sessions.standing);
        let session = watch(watches, Subject::Session, table, token);
        session.needed.extend(sessions.of_sessions().cloned());
        let user = watch(watches, Subject::User, &users.table, &users.id);
        user.needed.extend(sessions.of_users().cloned());
        let standing = [
            (&standing.verified, (Subject::User, &users.table, &users.id)),
            (
                &standing.anonymous,
                (Subject::User, &users.table, &users.id),
            ),
            (&standing.impersonated_by, (Subject::Session, table, token)),
        ];
        for (column, (subject, table, key)) in standing {
            let Some(column) = column else {
                continue;
            };
            let watch = watch(watches, subject, table, key);
            match column.need {
                Need::Always => watch.needed.push(column.column.clone()),
                Need::IfReadable | Need::IfPresent => watch.optional.push(column.column.clone()),
            }
        }
        let configured = settings.session_columns();
        let of_sessions = Some((table, token));
        of_columns(&configured, (&users.table, &users.id), of_sessions, watches);
    }
}

/// Adds the columns that rules, headers and claims use. Each table comes with the column of its key.
fn of_columns(
    configured: &UserColumns,
    (users, id): (&Table, &Column),
    sessions: Option<(&Table, &Column)>,
    watches: &mut Vec<Watch>,
) {
    for memberships in configured.memberships() {
        let read = [&memberships.organization, &memberships.role];
        let watch = watch(
            watches,
            Subject::User,
            &memberships.table,
            &memberships.user,
        );
        watch.needed.extend(read.map(Column::clone));
    }
    let user = watch(watches, Subject::User, users, id);
    user.needed.extend(configured.of_users().cloned());
    if let Some((table, token)) = sessions {
        let session = watch(watches, Subject::Session, table, token);
        session.needed.extend(configured.of_sessions().cloned());
    }
}

/// Finds the watch of this table by this key, or adds one.
fn watch<'w>(
    watches: &'w mut Vec<Watch>,
    subject: Subject,
    table: &Table,
    key: &Column,
) -> &'w mut Watch {
    let is_same =
        |watch: &Watch| (watch.subject, &watch.table, &watch.key) == (subject, table, key);
    let index = watches.iter().position(is_same).unwrap_or_else(|| {
        watches.push(Watch {
            table: table.clone(),
            subject,
            key: key.clone(),
            needed: Vec::new(),
            optional: Vec::new(),
        });
        watches.len() - 1
    });
    &mut watches[index]
}
