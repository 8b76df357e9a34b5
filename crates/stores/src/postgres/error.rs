//! Errors of PostgreSQL.

use std::time::Duration;

use client_tls::TlsFileError;
use tokio_postgres::Error;
use tokio_postgres::error::{DbError, Severity};

use super::super::columns::ColumnError;
use super::super::one_line;

/// The reason why PostgreSQL gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub(in super::super) enum PostgresError {
    /// The pool is closed.
    #[error("the connections are closed")]
    Closed,
    /// A column of the user's row cannot be read.
    #[error(transparent)]
    Column(#[from] ColumnError),
    /// The server, the driver or the network reports an error.
    #[error(transparent)]
    Driver(#[from] Error),
    /// A file for TLS can no longer be used.
    #[error(transparent)]
    File(#[from] TlsFileError),
    /// Row-level security hides every row from our role.
    #[error(
        "row-level security is on for {table} and no policy lets our role see a row: no user or session would be \
         found; create a policy FOR SELECT, or use a role that has BYPASSRLS"
    )]
    Hidden {
        /// The table, quoted.
        table: String,
    },
    /// The table has no such column.
    #[error("there is no column {column} in {table}")]
    NoColumn {
        /// The column, quoted.
        column: String,
        /// The table, quoted.
        table: String,
    },
    /// No table is configured for this lookup.
    #[error("no table is configured for this lookup")]
    NoTable,
    /// A host did not accept the connection in time.
    #[error("no connection within {} ms", .0.as_millis())]
    TimedOut(Duration),
}

impl PostgresError {
    /// The SQLSTATE of the server's own error (PostgreSQL's manual, appendix A).
    pub(super) fn sqlstate(&self) -> Option<&str> {
        let Self::Driver(error) = self else {
            return None;
        };
        Some(error.as_db_error()?.code().code())
    }

    /// Describes the error down to its cause, because the driver's errors only name the operation. A server's detail
    /// and hint are left out: they can quote data.
    pub(super) fn described(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            text = format!("{text}: {}", cause_text.trim_start_matches("ERROR: "));
            source = cause.source();
        }
        if let Some(advice) = client_tls::advice(self) {
            text = format!("{text} ({advice})");
        }
        one_line(&text)
    }

    /// Whether the server closed the connection with this error (PostgreSQL's manual, §20.8.2, message severity
    /// levels).
    pub(super) fn is_fatal(&self) -> bool {
        let Self::Driver(error) = self else {
            return false;
        };
        let severity = error.as_db_error().and_then(DbError::parsed_severity);
        matches!(severity, Some(Severity::Fatal | Severity::Panic))
    }

    /// Whether the server refused the sign-in: then no other host is tried (PostgreSQL's manual, §34.1.1.3).
    pub(super) fn is_refused_sign_in(&self) -> bool {
        self.sqlstate().is_some_and(|code| code.starts_with("28"))
    }

    /// Whether the connection failed, and not the statement: a new connection may work.
    pub(super) fn is_broken_connection(&self) -> bool {
        match self.sqlstate() {
            // The server was stopped, crashed or closed an idle session, or a pooler lost its server.
            Some(code) => matches!(code, "57P01" | "57P02" | "57P05") || code.starts_with("08"),
            None => matches!(self, Self::Driver(_)),
        }
    }
}

/// The SQLSTATE for a missing privilege (PostgreSQL's manual, appendix A).
pub(super) const INSUFFICIENT_PRIVILEGE: &str = "42501";
