//! What a survey finds out about a database and a Redis: rights, indexes, and how they behave when they are full.

use session::UnixTime;

use super::identifier::{Column, Table};

/// A column that lookups read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    pub(super) table: &'a Table,
    pub(super) column: &'a Column,
    /// Whether rows are looked up by this column.
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

    /// Combines the column with its state, or with the reason why the state is not known.
    pub(super) fn seen(&self, state: Result<ColumnState, String>) -> ColumnSurvey {
        ColumnSurvey {
            table: self.table.quoted().to_owned(),
            column: self.column.quoted().to_owned(),
            state: state.unwrap_or_else(ColumnState::NotTold),
        }
    }
}

/// What a survey found out about a database.
#[derive(Clone, Debug, Default)]
pub struct DatabaseSurvey {
    /// Our role; `None` where there are no roles.
    pub role: Option<RoleSurvey>,
    /// The clock of the server; `None` where it is our own.
    pub clock: Option<ClockReading>,
    /// The columns that lookups read.
    pub columns: Vec<ColumnSurvey>,
}

/// Our role in a database.
#[derive(Clone, Debug)]
pub struct RoleSurvey {
    /// The name of our role.
    pub name: String,
    /// Whether it is a superuser.
    pub is_superuser: bool,
    /// Its rights beyond reading, in the database as a whole.
    pub rights: Vec<&'static str>,
}

/// A reading of the server's clock, between two readings of our own.
#[derive(Clone, Copy, Debug)]
pub struct ClockReading {
    /// Our time before the query.
    pub before: UnixTime,
    /// The server's time.
    pub theirs: UnixTime,
    /// Our time after the answer.
    pub after: UnixTime,
}

/// What a survey found out about a column.
#[derive(Clone, Debug)]
pub struct ColumnSurvey {
    /// The table, quoted.
    pub table: String,
    /// The column, quoted.
    pub column: String,
    /// Whether it can be read.
    pub state: ColumnState,
}

/// Whether a column can be read.
#[derive(Clone, Debug)]
pub enum ColumnState {
    /// It can be read, and rows are looked up by it.
    Key(LookupSurvey),
    /// The table has no such column.
    NoColumn,
    /// There is no such table.
    NoTable,
    /// Our role may not read it.
    NotReadable,
    /// The database did not say, for this reason.
    NotTold(String),
    /// It can be read; rows are looked up by another column.
    Readable,
}

/// How rows are looked up.
#[derive(Clone, Debug)]
pub struct LookupSurvey {
    /// Whether it is a view, whose tables cannot be surveyed.
    pub is_view: bool,
    /// How many rows the table has.
    pub rows: Rows,
    /// An index that finds a row by this column.
    pub index: Option<String>,
    /// The plan of the lookup; `None` when the database did not say.
    pub plan: Option<Plan>,
    /// Our rights to the table beyond reading it.
    pub rights: Vec<&'static str>,
    /// Which rows our role sees.
    pub visible: Visibility,
    /// The statement that creates an index.
    pub create_index: String,
}

/// The number of rows in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// An estimate by the statistics of the database.
    About(u64),
    /// Counted up to this bound.
    AtLeast(u64),
    /// The exact count.
    Exactly(u64),
    /// Not counted: counting the rows of a view may take long.
    NotCounted,
}

impl Rows {
    /// The number of rows, or a lower bound.
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
    /// Use an index.
    Index,
    /// Read the whole table.
    Scan,
}

/// Which rows our role may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visibility {
    /// Every row.
    All,
    /// The rows that a policy of row-level security shows.
    ByPolicy,
    /// No row at all.
    Nothing,
}

/// What the gate uses a Redis for, beside sessions that an application keeps there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RedisUses {
    /// It caches answers of the database.
    pub caches: bool,
    /// It counts limits.
    pub counts: bool,
}

/// What a survey found out about Redis.
#[derive(Clone, Debug)]
pub struct RedisSurvey {
    /// The commands that the gate needs and may not run, in the store's words, each once.
    pub refused: Vec<String>,
    /// The code with which it refuses all writes although our user may write, such as `OOM` or `READONLY`.
    pub takes_no_writes: Option<String>,
    /// What our user may do to keys that are not the gate's: `read`, `write`.
    pub other_keys: Vec<&'static str>,
    /// What happens to keys when memory is full; `None` when our user may not ask.
    pub fullness: Option<Fullness>,
}

/// What happens to keys when memory is full.
#[derive(Clone, Debug)]
pub struct Fullness {
    /// The limit of memory in bytes; zero means no limit.
    pub max_memory: u64,
    /// The eviction policy, such as `allkeys-lru`.
    pub policy: String,
}
