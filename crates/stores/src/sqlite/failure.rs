//! The meaning of SQLite's errors.

use super::super::one_line;

/// Describes an error, with advice if SQLite's message does not say what to do.
pub(super) fn describe(error: &sqlx::Error) -> String {
    const SQLITE_READONLY: i32 = 8;
    const SQLITE_CANTOPEN: i32 = 14;
    let text = one_line(&error.to_string());
    match code(error) {
        // Readers of a database in WAL mode have to write too: to the file with the suffix `-shm` beside it
        // (https://www.sqlite.org/wal.html, "Read-Only Databases").
        Some(SQLITE_READONLY | SQLITE_CANTOPEN) => format!(
            "{text} (if the file exists, it may be in WAL mode in a folder that the gate may not write to, which even \
             readers need; allow the gate to write to the folder, or take the file out of that mode with \
             `PRAGMA journal_mode=DELETE`; add `?immutable=1` only to the URL of a file that never changes)"
        ),
        _ => text,
    }
}

/// Whether the column or table does not exist. SQLite uses the same code for many other errors, so its message decides.
pub(super) fn is_missing(error: &sqlx::Error) -> bool {
    let message = error.as_database_error().map(|error| error.message());
    message.is_some_and(|message| {
        message.starts_with("no such column") || message.starts_with("no such table")
    })
}

/// Whether a writer in this process holds the table of a shared in-memory database. SQLite's own wait (`busy_timeout`)
/// covers files only.
pub(super) fn is_locked(error: &sqlx::Error) -> bool {
    const SQLITE_LOCKED: i32 = 6;
    code(error) == Some(SQLITE_LOCKED)
}

/// The primary result code of SQLite, without the upper bits of the extended code.
fn code(error: &sqlx::Error) -> Option<i32> {
    let code = error.as_database_error()?.code()?.parse::<i32>().ok()?;
    Some(code & 0xff)
}
