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
pub(crate) struct DatabaseSurvey {
    /// Who we are there; `None` where there are no roles.
    pub(crate) role: Option<RoleSurvey>,
    /// What time it is there; `None` where the clock is ours.
    pub(crate) clock: Option<ClockReading>,
    /// The columns that are read.
    pub(crate) columns: Vec<ColumnSurvey>,
}

/// Who we are in a database.
#[derive(Clone, Debug)]
pub(crate) struct RoleSurvey {
    pub(crate) name: String,
    pub(crate) is_superuser: bool,
    /// What it may do beside reading, in the database as a whole.
    pub(crate) rights: Vec<&'static str>,
}

/// Another clock, between two readings of ours.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClockReading {
    pub(crate) before: UnixTime,
    pub(crate) theirs: UnixTime,
    pub(crate) after: UnixTime,
}

/// What was seen of a column.
#[derive(Clone, Debug)]
pub(crate) struct ColumnSurvey {
    /// The table, quoted.
    pub(crate) table: String,
    /// The column, quoted.
    pub(crate) column: String,
    pub(crate) state: ColumnState,
}

/// Whether a column can be read.
#[derive(Clone, Debug)]
pub(crate) enum ColumnState {
    /// It can, and rows are looked up by it.
    Key(LookupSurvey),
    NoColumn,
    NoTable,
    NotReadable,
    /// The database does not say, and why not.
    NotTold(String),
    /// It can; rows are looked up by another.
    Readable,
}

/// How rows are looked up.
#[derive(Clone, Debug)]
pub(crate) struct LookupSurvey {
    /// Whether it is a view, behind which nothing can be seen.
    pub(crate) is_view: bool,
    pub(crate) rows: Rows,
    /// An index that can find a row by this column.
    pub(crate) index: Option<String>,
    /// What the database would do; `None` when it did not say.
    pub(crate) plan: Option<Plan>,
    /// What we may do to the table beside reading it.
    pub(crate) rights: Vec<&'static str>,
    pub(crate) visible: Visibility,
    /// The statement that makes an index.
    pub(crate) create_index: String,
}

/// How many rows there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rows {
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
    pub(crate) fn least(self) -> u64 {
        match self {
            Self::About(rows) | Self::AtLeast(rows) | Self::Exactly(rows) => rows,
            Self::NotCounted => 0,
        }
    }
}

/// What a database would do to find a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Go through an index.
    Index,
    /// Read the whole table.
    Scan,
}

/// Which rows we may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Visibility {
    All,
    ByPolicy,
    Nothing,
}

/// What was seen of Redis.
#[derive(Clone, Debug)]
pub(crate) struct RedisSurvey {
    /// What the gate needs and may not do, in the store's words, each once.
    pub(crate) refused: Vec<String>,
    /// Why it takes no writes although our user may write: its code, such as `OOM` or `READONLY`.
    pub(crate) takes_no_writes: Option<String>,
    /// What our user may do to keys that the gate has nothing to do with: `read`, `write`.
    pub(crate) other_keys: Vec<&'static str>,
    /// What becomes of keys when memory is full; `None` when our user may not ask.
    pub(crate) fullness: Option<Fullness>,
}

/// What becomes of keys when memory is full.
#[derive(Clone, Debug)]
pub(crate) struct Fullness {
    /// In bytes; zero is no limit.
    pub(crate) max_memory: u64,
    /// The name of the policy, such as `allkeys-lru`.
    pub(crate) policy: String,
}
