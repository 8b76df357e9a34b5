//! What can be seen of a database and of Redis beside users and sessions: rights, indexes, how they behave when they are full.

use session::UnixTime;

use super::identifier::{Column, Table};

/// A column that is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    pub(super) table: &'a Table,
    pub(super) column: &'a Column,
    /// Whether rows are looked up by it.
    pub(super) is_key: bool,
}

impl<'a> Wanted<'a> {
    /// A column by which rows are looked up.
    pub(super) fn key(table: &'a Table, column: &'a Column) -> Self {
        Self {
            table,
            column,
            is_key: true,
        }
    }

    /// A column that is only read.
    pub(super) fn read(table: &'a Table, column: &'a Column) -> Self {
        Self {
            table,
            column,
            is_key: false,
        }
    }

    /// The column as it was seen; one that could not be looked at is not told.
    pub(super) fn seen(&self, state: Result<ColumnState, String>) -> ColumnSurvey {
        ColumnSurvey {
            table: self.table.quoted().to_owned(),
            column: self.column.quoted().to_owned(),
            state: state.unwrap_or_else(ColumnState::NotTold),
        }
    }
}

/// What was seen of a database.
#[derive(Clone, Debug, Default)]
pub struct DatabaseSurvey {
    /// Who we are there; `None` where there are no roles.
    pub role: Option<RoleSurvey>,
    /// What time it is there; `None` where the clock is ours.
    pub clock: Option<ClockReading>,
    /// The columns that are read.
    pub columns: Vec<ColumnSurvey>,
}

/// Who we are in a database.
#[derive(Clone, Debug)]
pub struct RoleSurvey {
    /// The name of our role.
    pub name: String,
    /// Whether it may do anything.
    pub is_superuser: bool,
    /// What it may do beside reading, in the database as a whole.
    pub rights: Vec<&'static str>,
}

/// Another clock, between two readings of ours.
#[derive(Clone, Copy, Debug)]
pub struct ClockReading {
    /// Ours, before the question.
    pub before: UnixTime,
    /// Theirs.
    pub theirs: UnixTime,
    /// Ours, after the answer.
    pub after: UnixTime,
}

/// What was seen of a column.
#[derive(Clone, Debug)]
pub struct ColumnSurvey {
    /// The table, quoted.
    pub table: String,
    /// The column, quoted.
    pub column: String,
    /// What there is of it.
    pub state: ColumnState,
}

/// Whether a column can be read.
#[derive(Clone, Debug)]
pub enum ColumnState {
    /// It can, and rows are looked up by it.
    Key(LookupSurvey),
    /// The table has no such column.
    NoColumn,
    /// There is no such table.
    NoTable,
    /// We may not read it.
    NotReadable,
    /// The database does not say, and why not.
    NotTold(String),
    /// It can; rows are looked up by another.
    Readable,
}

/// How rows are looked up.
#[derive(Clone, Debug)]
pub struct LookupSurvey {
    /// Whether it is a view, behind which nothing can be seen.
    pub is_view: bool,
    /// How many rows there are.
    pub rows: Rows,
    /// An index that can find a row by this column.
    pub index: Option<String>,
    /// What the database would do; `None` when it did not say.
    pub plan: Option<Plan>,
    /// What we may do to the table beside reading it.
    pub rights: Vec<&'static str>,
    /// Which rows we see.
    pub visible: Visibility,
    /// The statement that makes an index.
    pub create_index: String,
}

/// How many rows there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// By the statistics of the database.
    About(u64),
    /// Counted up to here.
    AtLeast(u64),
    /// Counted.
    Exactly(u64),
    /// Not asked: counting what a view shows may take long.
    NotCounted,
}

impl Rows {
    /// The number, or the least that it can be.
    pub fn least(self) -> u64 {
        match self {
            Self::About(rows) | Self::AtLeast(rows) | Self::Exactly(rows) => rows,
            Self::NotCounted => 0,
        }
    }
}

/// What a database would do to find a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Go through an index.
    Index,
    /// Read the whole table.
    Scan,
}

/// Which rows we may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visibility {
    /// Every row.
    All,
    /// Those that a policy of row-level security lets us see.
    ByPolicy,
    /// No row at all.
    Nothing,
}

/// What a Redis is used for, beside sessions that an application keeps there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RedisUses {
    /// Answers of the database are kept there.
    pub caches: bool,
    /// Limits are counted there.
    pub counts: bool,
}

/// What was seen of Redis.
#[derive(Clone, Debug)]
pub struct RedisSurvey {
    /// What the gate needs and may not do, in the store's words, each once.
    pub refused: Vec<String>,
    /// Why it takes no writes although our user may write: its code, such as `OOM` or `READONLY`.
    pub takes_no_writes: Option<String>,
    /// What our user may do to keys that the gate has nothing to do with: `read`, `write`.
    pub other_keys: Vec<&'static str>,
    /// What becomes of keys when memory is full; `None` when our user may not ask.
    pub fullness: Option<Fullness>,
}

/// What becomes of keys when memory is full.
#[derive(Clone, Debug)]
pub struct Fullness {
    /// In bytes; zero is no limit.
    pub max_memory: u64,
    /// The name of the policy, such as `allkeys-lru`.
    pub policy: String,
}
