//! The state of the triggers: whether they exist and do what they should.

use std::fmt;

use serde::Deserialize;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::super::error::PostgresError;
use super::super::own::Parameter;
use super::sql::{self, PREFIX, VERSION};
use super::watch::Watch;

/// A table whose changes should be announced, and the flaws of its triggers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchedTable {
    /// The table, quoted.
    pub table: String,
    /// The column that identifies the changed session or user, quoted.
    pub key: String,
    /// The subject of a change: `session` or `user`.
    pub subject: &'static str,
    /// The reasons why not all changes are announced. Empty if they are.
    pub flaws: Vec<TriggerFlaw>,
}

/// The reason why changes of a table are not announced. Names of tables and columns are quoted, at least if SQL
/// requires it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TriggerFlaw {
    /// A trigger is disabled, or does not fire for changes by logical replication.
    Disabled(String),
    /// The owner of the function may not call `pg_notify`.
    MayNotNotify(String),
    /// There is no such trigger.
    Missing(String),
    /// The table has no such column.
    NoColumn(String),
    /// There is no such table.
    NoTable,
    /// The table is a view or a foreign table, for which no trigger sees all changes.
    NotATable(String),
    /// A trigger is of another version, or does not watch all columns that are read.
    Outdated(String),
}

impl fmt::Display for TriggerFlaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disabled(on) => write!(f, "a trigger on {on} is disabled, or not ENABLE ALWAYS"),
            Self::MayNotNotify(owner) => write!(
                f,
                "{owner}, which owns the function of the triggers, may not call pg_notify"
            ),
            Self::Missing(on) => write!(f, "a trigger on {on} is missing"),
            Self::NoColumn(column) => write!(f, "there is no column {column}"),
            Self::NoTable => f.write_str("there is no such table"),
            Self::NotATable(on) => write!(
                f,
                "{on} is a view or a foreign table, and no trigger can announce its changes"
            ),
            Self::Outdated(on) => write!(
                f,
                "a trigger on {on} is of another version, or does not watch all columns that are read"
            ),
        }
    }
}

/// The state of the triggers of all tables.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct TriggerState {
    pub(in super::super) tables: Vec<WatchedTable>,
    /// Differs when a table, a partition or a trigger was created, replaced or removed, or a table was truncated. The
    /// triggers may not have announced that.
    pub(in super::super) fingerprint: String,
}

impl TriggerState {
    /// The first reason why not all changes are announced, if there is one.
    pub(in super::super) fn flaw(&self) -> Option<String> {
        let flawed = |table: &WatchedTable| {
            let flaw = table.flaws.first()?;
            Some(format!("{}: {flaw}", table.table))
        };
        self.tables.iter().find_map(flawed)
    }
}

/// The parameters of the query about the triggers of one table.
pub(super) struct TriggerQuery<'w> {
    watch: &'w Watch,
    table: &'w str,
    function: String,
    body: String,
}

impl<'w> TriggerQuery<'w> {
    pub(super) fn of(watch: &'w Watch) -> Self {
        Self {
            watch,
            table: watch.table.quoted(),
            function: watch.function(),
            body: sql::body(watch),
        }
    }

    /// The parameters of [`MEMBERS`].
    pub(super) fn parameters(&self) -> [Parameter<'_>; 5] {
        [
            (&self.table, Type::TEXT),
            (&self.function, Type::TEXT),
            (&self.body, Type::TEXT),
            (&PATTERN, Type::TEXT),
            (&sql::SEARCH_PATH, Type::TEXT),
        ]
    }

    /// Adds the rows of one table to the state.
    pub(super) fn read(&self, rows: &[Row], state: &mut TriggerState) -> Result<(), PostgresError> {
        let members = rows.iter().map(Member::read).collect::<Result<Vec<_>, _>>();
        let members = members?;
        for member in &members {
            state.fingerprint.push_str(&member.identity);
            for trigger in &member.triggers {
                state.fingerprint.push_str(&trigger.row);
            }
        }
        state.fingerprint.push('\n');
        state.tables.push(WatchedTable {
            table: self.watch.table.quoted().to_owned(),
            key: self.watch.key.quoted().to_owned(),
            subject: self.watch.subject.as_str(),
            flaws: find_flaws(self.watch, &members),
        });
        Ok(())
    }
}

/// A watched table, a partition of it, or a table that inherits from it. The table itself comes first.
#[derive(Debug)]
struct Member {
    name: String,
    is_table: bool,
    /// Differs when this is another table, or when all its rows were replaced at once.
    identity: String,
    columns: Vec<String>,
    triggers: Vec<Trigger>,
}

/// A trigger of the gate.
#[derive(Clone, Debug, Deserialize)]
struct Trigger {
    name: String,
    enabled: String,
    kind: i32,
    /// The columns that it watches, if it watches columns.
    watched: Option<Vec<String>>,
    /// Whether its function is the expected one, with the expected body and settings.
    is_right: bool,
    /// The owner of the function.
    owner: String,
    may_notify: bool,
    /// Differs when the trigger was changed.
    row: String,
}

impl Member {
    fn read(row: &Row) -> Result<Self, tokio_postgres::Error> {
        let triggers: Option<String> = row.try_get(4)?;
        // PostgreSQL has written this JSON for our query, so it can be read.
        let triggers = triggers.and_then(|text| serde_json::from_str(&text).ok());
        Ok(Self {
            name: row.try_get(0)?,
            is_table: row.try_get(1)?,
            identity: row.try_get(2)?,
            columns: row.try_get::<_, Option<_>>(3)?.unwrap_or_default(),
            triggers: triggers.unwrap_or_default(),
        })
    }
}

fn find_flaws(watch: &Watch, members: &[Member]) -> Vec<TriggerFlaw> {
    let Some(root) = members.first() else {
        return vec![TriggerFlaw::NoTable];
    };
    let mut flaws = Vec::new();
    let exists = |name: &str| root.columns.iter().any(|column| column == name);
    let needed = [&watch.key].into_iter().chain(&watch.needed);
    let missing = needed.filter(|column| !exists(column.name()));
    flaws.extend(missing.map(|column| TriggerFlaw::NoColumn(column.quoted().to_owned())));
    let optional = watch.optional.iter();
    let optional = optional.filter(|column| exists(column.name()));
    let wanted: Vec<_> = watch.needed.iter().chain(optional).collect();
    let name = watch.function();
    for member in members {
        if !member.is_table {
            flaws.push(TriggerFlaw::NotATable(member.name.clone()));
            continue;
        }
        for (suffix, kind) in TRIGGERS {
            let expected = format!("{name}_{suffix}");
            let mut triggers = member.triggers.iter();
            let Some(trigger) = triggers.find(|trigger| trigger.name == expected) else {
                flaws.push(missing_or_outdated(watch, member, suffix));
                continue;
            };
            let watches = |name: &str| {
                let watched = trigger.watched.as_ref();
                watched.is_some_and(|watched| watched.iter().any(|column| column == name))
            };
            let watches_all = || wanted.iter().all(|column| watches(column.name()));
            let on = member.name.clone();
            if !trigger.is_right || trigger.kind != kind || suffix == "update" && !watches_all() {
                flaws.push(TriggerFlaw::Outdated(on));
            } else if trigger.enabled != ALWAYS {
                flaws.push(TriggerFlaw::Disabled(on));
            } else if !trigger.may_notify {
                flaws.push(TriggerFlaw::MayNotNotify(trigger.owner.clone()));
            }
        }
    }
    flaws.dedup();
    flaws
}

/// The flaw for a missing trigger: it is outdated if a trigger of another version exists, and missing otherwise.
fn missing_or_outdated(watch: &Watch, member: &Member, suffix: &str) -> TriggerFlaw {
    let (subject, on) = (watch.subject.as_str(), member.name.clone());
    let is_other_version = |trigger: &&Trigger| {
        let name = trigger.name.strip_prefix(PREFIX);
        let version = name.and_then(|name| name.strip_prefix('v')?.split_once('_'));
        version.is_some_and(|(version, rest)| {
            version != VERSION.to_string() && rest.starts_with(subject) && rest.ends_with(suffix)
        })
    };
    match member.triggers.iter().find(is_other_version) {
        Some(_) => TriggerFlaw::Outdated(on),
        None => TriggerFlaw::Missing(on),
    }
}

/// `tgenabled` of a trigger that always fires.
const ALWAYS: &str = "A";

/// The triggers that each table must have, with `tgtype` of each: the bits are row 1, insert 4, delete 8, update 16,
/// truncate 32.
const TRIGGERS: [(&str, i32); 3] = [("rows", 13), ("update", 17), ("truncate", 32)];

/// Matches triggers of the gate, of every version.
const PATTERN: &str = "sessiongate\\_v%";

/// Selects the table and all its partitions and descendants, with our triggers on each.
pub(super) const MEMBERS: &str = r"
    WITH RECURSIVE tree AS (
        SELECT pg_catalog.to_regclass($1)::oid AS oid
        UNION SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN tree ON i.inhparent = tree.oid)
    SELECT pg_catalog.format('%I.%I', n.nspname, c.relname), c.relkind IN ('r', 'p'),
        c.oid::text || ':' || c.relfilenode::text,
        (SELECT pg_catalog.array_agg(a.attname::text) FROM pg_catalog.pg_attribute a
            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
        (SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
                'name', t.tgname, 'enabled', t.tgenabled, 'kind', t.tgtype,
                'watched', CASE t.tgnargs WHEN 1 THEN pg_catalog.convert_from(pg_catalog.substring(
                    t.tgargs, 1, pg_catalog.octet_length(t.tgargs) - 1), pg_catalog.getdatabaseencoding())::json END,
                'is_right', p.proname = $2 AND p.prosrc = $3 AND p.prosecdef AND p.proconfig = ARRAY[$5],
                'owner', pg_catalog.pg_get_userbyid(p.proowner),
                'may_notify', pg_catalog.has_function_privilege(p.proowner, 'pg_catalog.pg_notify(text, text)', 'EXECUTE'),
                'row', t.oid::text || ':' || t.xmin::text) ORDER BY t.oid)::text
            FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
            WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgname LIKE $4)
    FROM tree JOIN pg_catalog.pg_class c USING (oid) JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    ORDER BY c.oid <> pg_catalog.to_regclass($1), c.oid";

#[cfg(test)]
mod tests {
    use super::super::super::super::identifier::{Column, Table};
    use super::super::watch::Subject;
    use super::*;

    fn watch() -> Watch {
        let column = |name| Column::parse(name).unwrap();
        Watch {
            table: Table::parse("users").unwrap(),
            subject: Subject::User,
            key: column("id"),
            needed: vec![column("role")],
            optional: vec![column("banned")],
        }
    }

    fn member(name: &str) -> Member {
        let triggers = TRIGGERS.map(|(suffix, kind)| Trigger {
            name: format!("{}_{suffix}", watch().function()),
            enabled: ALWAYS.to_owned(),
            kind,
            watched: (suffix == "update").then(|| vec!["more".to_owned(), "role".to_owned()]),
            is_right: true,
            owner: "app".to_owned(),
            may_notify: true,
            row: String::new(),
        });
        Member {
            name: name.to_owned(),
            is_table: true,
            identity: String::new(),
            columns: ["id", "role"].map(str::to_owned).to_vec(),
            triggers: triggers.to_vec(),
        }
    }

    fn flaws(change: impl Fn(&mut [Member])) -> Vec<TriggerFlaw> {
        let mut members = ["users", "users_1"].map(member);
        change(&mut members);
        find_flaws(&watch(), &members)
    }

    #[test]
    fn every_flaw_is_reported() {
        let on = |name: &str| name.to_owned();
        assert_eq!(flaws(|_| ()), []);
        assert_eq!(find_flaws(&watch(), &[]), [TriggerFlaw::NoTable]);
        let second = |change: fn(&mut Member)| flaws(move |members| change(&mut members[1]));
        let missing = second(|member| member.triggers.truncate(2));
        assert_eq!(missing, [TriggerFlaw::Missing(on("users_1"))]);
        let disabled = second(|member| member.triggers[0].enabled = "O".to_owned());
        assert_eq!(disabled, [TriggerFlaw::Disabled(on("users_1"))]);
        let outdated = second(|member| member.triggers[1].watched = Some(Vec::new()));
        assert_eq!(outdated, [TriggerFlaw::Outdated(on("users_1"))]);
        let tampered = second(|member| member.triggers[2].is_right = false);
        assert_eq!(tampered, [TriggerFlaw::Outdated(on("users_1"))]);
        let foreign = second(|member| member.is_table = false);
        assert_eq!(foreign, [TriggerFlaw::NotATable(on("users_1"))]);
        let mute = second(|member| member.triggers[0].may_notify = false);
        assert_eq!(mute, [TriggerFlaw::MayNotNotify("app".to_owned())]);
        let older = flaws(|members| {
            for trigger in &mut members[0].triggers {
                trigger.name = trigger.name.replace("_v1_", "_v0_");
            }
        });
        assert_eq!(older, [TriggerFlaw::Outdated(on("users"))]);
    }

    #[test]
    fn a_column_that_was_added_later_must_be_watched() {
        let came = flaws(|members| members[0].columns.push("banned".to_owned()));
        let outdated = ["users", "users_1"].map(|on| TriggerFlaw::Outdated(on.to_owned()));
        assert_eq!(came, outdated);
        let left = flaws(|members| members[0].columns.retain(|name| name == "id"));
        assert_eq!(left, [TriggerFlaw::NoColumn("\"role\"".to_owned())]);
    }
}
