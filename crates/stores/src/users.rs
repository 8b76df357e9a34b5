//! The chain of stores in which users are looked up by the subjects of sessions.

use std::fmt;
use std::sync::Arc;

use gate::{Lookup, LookupSource, StoreError, User};

use super::chain::{Chain, Truth};
use super::columns::UserColumns;
use super::database::Database;
use super::record::RecordScope;
use super::reporter::Reporter;
use super::single_flight::LookupResult;
use super::{Outcome, settings::UserTable};

/// A handle to the chain of stores that know users. Clones share everything; every runtime that decides has one.
#[derive(Clone)]
pub struct UserChain(pub(super) Arc<Chain<UserTruth>>);

impl gate::UserStore for UserChain {
    async fn find(&self, subject: &str) -> Result<Lookup<User>, StoreError> {
        self.0.find(subject, || subject.into()).await
    }
}

impl fmt::Debug for UserChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UserChain({})", self.0.truth.source())
    }
}

/// The table of users, the source of truth about them.
pub(super) struct UserTruth(pub(super) Arc<Database>);

impl Truth for UserTruth {
    type Fact = User;
    type Query = Box<str>;

    async fn find(&self, subject: Box<str>, reporter: &Reporter) -> LookupResult<User> {
        let source = self.source();
        let found = match self.0.find_user(&subject).await {
            Ok(Ok(found)) => found,
            Ok(Err(fault)) => {
                tracing::warn!(store = source.as_str(), "user is malformed: {fault}");
                reporter.answered(source, Outcome::Malformed);
                return Ok(Lookup {
                    found: None,
                    source,
                });
            }
            Err(error) => {
                reporter.answered(source, Outcome::Failed);
                return Err(error);
            }
        };
        let lookup = Lookup { found, source };
        reporter.found(&lookup);
        Ok(lookup)
    }

    fn source(&self) -> LookupSource {
        self.0.source()
    }
}

/// Describes what records of users are about: the same on every node that reads the same columns of the same table.
pub(super) fn record_scope(
    database: &str,
    users: &UserTable,
    configured: &UserColumns,
) -> RecordScope {
    let (table, id) = (users.table.quoted(), users.id.quoted());
    RecordScope {
        description: format!("{database} {table} {id}{}", configured.description()),
        columns: configured.columns.len(),
        claims: 0,
    }
}
