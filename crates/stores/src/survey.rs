//! The results of surveys of a database and a Redis: privileges, indexes, and how Redis behaves when its memory is full.

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
    pub(super) fn with_state(&self, state: Result<ColumnState, String>) -> ColumnSurvey {
        ColumnSurvey {
            table: self.table.quoted().to_owned(),
            column: self.column.quoted().to_owned(),
            state: state.unwrap_or_else(ColumnState::Unknown),
        }
    }
}

/// The result of a survey of a database.
#[derive(Clone, Debug, Default)]
pub struct DatabaseSurvey {
    /// Our role; `None` if there are no roles.
    pub role: Option<RoleSurvey>,
    /// The clock of the server; `None` if it is our own.
    pub clock: Option<ClockReading>,
    /// The columns that lookups read.
    pub columns: Vec<ColumnSurvey>,
}

/// Our role in a database.
#[derive(Clone, Debug)]
pub struct RoleSurvey {
    /// The name of our role.
    pub name: String,
    /// Whether the role is a superuser.
    pub is_superuser: bool,
    /// The privileges of the role beyond reading, in the server as a whole.
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

/// The result of a survey of a column.
#[derive(Clone, Debug)]
pub struct ColumnSurvey {
    /// The table, quoted.
    pub table: String,
    /// The column, quoted.
    pub column: String,
    /// Whether the column can be read.
    pub state: ColumnState,
}

/// Whether a column can be read.
#[derive(Clone, Debug)]
pub enum ColumnState {
    /// The column can be read, and rows are looked up by it.
    Key(LookupSurvey),
    /// The table has no such column.
    NoColumn,
    /// There is no such table.
    NoTable,
    /// Our role may not read the column.
    NotReadable,
    /// The state is not known, for this reason.
    Unknown(String),
    /// The column can be read. Rows are looked up by another column.
    Readable,
}

/// How rows are looked up by a column, and the privileges of our role on the table.
#[derive(Clone, Debug)]
pub struct LookupSurvey {
    /// Whether the table is a view. The tables behind a view are not surveyed.
    pub is_view: bool,
    /// How many rows the table has.
    pub rows: Rows,
    /// An index that finds a row by this column.
    pub index: Option<String>,
    /// The plan of the lookup. `None` when it is not known.
    pub plan: Option<Plan>,
    /// Our privileges on the table beyond reading it.
    pub rights: Vec<&'static str>,
    /// The rows that our role may see.
    pub visible: Visibility,
    /// The statement that creates an index.
    pub create_index: String,
}

/// The number of rows in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// An estimate by the statistics of the database.
    About(u64),
    /// At least this many: counting stopped at this bound.
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

/// How a database would find a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// By an index.
    Index,
    /// By reading the whole table.
    Scan,
}

/// The rows of a table that our role may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visibility {
    /// Every row.
    All,
    /// The rows that a policy of row-level security shows.
    ByPolicy,
    /// No row at all.
    Nothing,
}

/// The purposes for which the gate uses a Redis, beside sessions that an application keeps there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RedisUses {
    /// Whether the gate caches answers of the database.
    pub caches: bool,
    /// Whether the gate counts rate limits.
    pub counts: bool,
}

/// The result of a survey of Redis.
#[derive(Clone, Debug)]
pub struct RedisSurvey {
    /// Descriptions of the refusals of commands that the gate needs, each once.
    pub refused: Vec<String>,
    /// The code with which Redis refuses all writes although our user may write, such as `OOM` or `READONLY`.
    pub write_refusal: Option<String>,
    /// The kinds of access that our user has to keys that are not the gate's: `read`, `write`.
    pub other_keys: Vec<&'static str>,
    /// What happens to keys when memory is full. `None` when our user may not query that.
    pub memory_limit: Option<MemoryLimit>,
}

/// What happens to keys when memory is full.
#[derive(Clone, Debug)]
pub struct MemoryLimit {
    /// The limit of memory in bytes; zero means no limit.
    pub max_memory: u64,
    /// The eviction policy, such as `allkeys-lru`.
    pub policy: String,
}
