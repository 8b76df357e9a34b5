//! The SQL statements that create and remove the triggers.
//!
//! The triggers follow these rules:
//!
//! - **They watch with `WHEN`, not with `UPDATE OF`**, which does not fire if a `BEFORE` trigger changes the column. A
//!   row that moves to another partition causes a delete and an insert.
//! - **They compare texts byte by byte**, because a column may be of a type without equality, such as `json`, or have a
//!   collation under which two roles are equal. `*<>` compares whole rows, but a dump of it cannot be restored.
//! - **They always fire**, so that changes by logical replication are announced, too.
//! - **They never raise an error**: a function that fails would fail the application's own statement, and stop replication.
//! - **A transaction announces at most [`MAX_ANNOUNCEMENTS`] changes**, and then `everything`: notifications wait in
//!   memory and in a queue that all databases of the server share. The count is a setting of the transaction, so rolling
//!   back to a savepoint rolls it back together with its notifications.
//! - **They send nothing while the queue is nearly full**, because a full queue fails transactions at commit, where no
//!   function can catch it. Gates do not trust memory then.

use std::fmt::Write as _;

use super::super::super::identifier::Column;
use super::watch::{Subject, Watch};

/// The channel on which the triggers announce changes. It is in lower case, so that it is the same with and without
/// quotes.
pub(in super::super) const CHANNEL: &str = "sessiongate_changes";

/// The prefix of functions and triggers of every version.
pub(super) const PREFIX: &str = "sessiongate_";

/// The version of the triggers. Raise it when their form changes.
pub(super) const VERSION: u32 = 1;

/// The setting of each function: this `search_path` decides what the function calls, and not that of the caller.
pub(super) const SEARCH_PATH: &str = "search_path=pg_catalog, pg_temp";

/// How many changes one transaction announces before it announces `everything`.
const MAX_ANNOUNCEMENTS: u32 = 500;

/// The share of the queue of notifications above which nothing is sent. Gates stop trusting memory long before that.
const MAX_QUEUE_USAGE: &str = "0.9";

/// Writes the body of the trigger function for this watch, in PL/pgSQL.
pub(super) fn body(watch: &Watch) -> String {
    let key = watch.key.quoted();
    let announcement = |row: &str| match watch.subject {
        // As in `session::SessionToken::id`: SHA-256 in base64url.
        Subject::Session => format!(
            "'session:' || rtrim(translate(encode(sha256(convert_to({row}.{key}::text, 'UTF8')), 'base64'), '+/', '-_'), '=')"
        ),
        Subject::User => format!("'user:' || {row}.{key}::text"),
    };
    let (before, after) = (announcement("OLD"), announcement("NEW"));
    format!(
        r"
DECLARE
  words text[] := '{{}}';
  word text;
  said integer;
BEGIN
  said := coalesce(nullif(current_setting('sessiongate.words', true), ''), '0');
  IF TG_LEVEL <> 'ROW' THEN
    words := ARRAY['everything'];
  ELSE
    IF TG_OP <> 'INSERT' THEN
      words := array_append(words, {before});
    END IF;
    IF TG_OP <> 'DELETE' THEN
      words := array_append(words, {after});
    END IF;
  END IF;
  -- A full queue would fail the transaction as it commits.
  IF said = 0 AND pg_catalog.pg_notification_queue_usage() > {MAX_QUEUE_USAGE} THEN
    RETURN NULL;
  END IF;
  FOREACH word IN ARRAY words LOOP
    CONTINUE WHEN word IS NULL;
    IF said >= {MAX_ANNOUNCEMENTS} OR octet_length(word) > 7000 THEN
      word := 'everything';
    ELSE
      said := said + 1;
    END IF;
    PERFORM pg_catalog.pg_notify('{CHANNEL}', word);
  END LOOP;
  PERFORM pg_catalog.set_config('sessiongate.words', said::text, true);
  RETURN NULL;
EXCEPTION WHEN OTHERS THEN
  BEGIN
    PERFORM pg_catalog.pg_notify('{CHANNEL}', 'everything');
  EXCEPTION WHEN OTHERS THEN
    RAISE LOG 'sessiongate: a change of % is not said (%)', TG_RELID::regclass, SQLSTATE;
  END;
  RETURN NULL;
END
"
    )
}

/// Writes one statement that creates the triggers of all these watches, or replaces outdated ones. It can be run again
/// at any time.
pub(super) fn install(watches: &[Watch]) -> String {
    let mut rows = Vec::new();
    for watch in watches {
        let names = |columns: &[Column]| {
            let names = columns.iter().map(|column| literal(column.name()));
            names.collect::<Vec<_>>().join(", ")
        };
        let texts = [
            watch.table.quoted(),
            watch.subject.as_str(),
            &watch.function(),
            watch.key.name(),
        ];
        let texts = texts.map(literal).join(", ");
        rows.push(format!(
            "    ({texts}, ARRAY[{}]::text[], ARRAY[{}]::text[], {})",
            names(&watch.needed),
            names(&watch.optional),
            literal(&body(watch))
        ));
    }
    let code = INSTALL
        .replace("{SEARCH_PATH}", &SEARCH_PATH.replace('=', " TO "))
        .replace("{VERSION}", &VERSION.to_string())
        .replace("{CHANNEL}", CHANNEL)
        .replace("{WATCHES}", &rows.join(",\n"));
    statement(&code)
}

/// Writes one statement that removes the triggers and functions of every version from the database.
pub(super) fn uninstall() -> String {
    statement(UNINSTALL)
}

/// Writes the comment at the top of the script.
pub(super) fn preface(watches: &[Watch]) -> String {
    let mut text = format!(
        "-- sessiongate {}: triggers that announce on the channel {CHANNEL} which users and sessions have changed.\n\
         -- Run this as the owner of the tables, in the database of DATABASE_URL. Names without a schema are found by the\n\
         -- search_path of the role that runs it. Run it again after adding a partition; it can be run again at any time.\n\
         -- The gate's own role needs no privilege for this beyond CONNECT.\n",
        env!("CARGO_PKG_VERSION")
    );
    for watch in watches {
        let columns = watch.needed.iter().chain(&watch.optional);
        let columns: Vec<_> = columns.map(Column::quoted).collect();
        let (table, key) = (watch.table.quoted(), watch.key.quoted());
        // Writing to a text does not fail.
        let columns = if columns.is_empty() {
            "no other column".to_owned()
        } else {
            columns.join(", ")
        };
        let _ = writeln!(text, "--   {table} by {key}: {columns}");
    }
    text
}

fn statement(code: &str) -> String {
    let mut tag = "$sessiongate$".to_owned();
    while code.contains(&tag) {
        tag.insert(tag.len() - 1, '_');
    }
    format!("DO {tag}{code}{tag}")
}

/// Quotes a text, independent of `standard_conforming_strings`.
fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    match quoted.contains('\\') {
        true => format!("E'{}'", quoted.replace('\\', "\\\\")),
        false => format!("'{quoted}'"),
    }
}

/// The code that creates the triggers. Tables are resolved by the caller's `search_path`, and everything else by ours
/// alone. A function that another role owns is not used: it would run with that role's privileges whenever the table
/// changes.
const INSTALL: &str = r#"
DECLARE
  watch record;
  member record;
  old record;
  root regclass;
  space name;
  owner name;
  function_owner name;
  function regprocedure;
  columns text[];
  missing text;
  changes text;
  made record;
  path text := pg_catalog.current_setting('search_path');
BEGIN
  PERFORM pg_catalog.set_config('lock_timeout', '5s', true);
  PERFORM pg_catalog.pg_advisory_xact_lock(7310025391254110311);
  FOR watch IN SELECT * FROM (VALUES
{WATCHES}
  ) AS w (relation, subject, name, key, needed, optional, body) LOOP
    PERFORM pg_catalog.set_config('search_path', path, true);
    root := watch.relation::regclass;
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    SELECT n.nspname, pg_get_userbyid(c.relowner) INTO space, owner
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.oid = root AND c.relkind IN ('r', 'p');
    IF NOT FOUND THEN
      RAISE EXCEPTION '% is not a table: triggers cannot announce its changes', root;
    END IF;
    SELECT string_agg(wanted.name, ', ') INTO missing
      FROM (SELECT watch.key UNION SELECT unnest(watch.needed)) AS wanted (name)
      WHERE NOT EXISTS (SELECT FROM pg_attribute a
        WHERE a.attrelid = root AND a.attname = wanted.name AND a.attnum > 0 AND NOT a.attisdropped);
    IF missing IS NOT NULL THEN
      RAISE EXCEPTION 'there is no column % in %', missing, root;
    END IF;

    -- The function.
    SELECT pg_get_userbyid(p.proowner) INTO function_owner
      FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
      WHERE n.nspname = space AND p.proname = watch.name AND p.pronargs = 0;
    IF function_owner NOT IN (owner, current_user) AND NOT EXISTS (
      SELECT FROM pg_roles WHERE rolname = function_owner AND rolsuper) THEN
      RAISE EXCEPTION 'the function %.% belongs to %, which does not own %: drop it', space, watch.name, function_owner, root;
    END IF;
    EXECUTE format('CREATE OR REPLACE FUNCTION %I.%I() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET {SEARCH_PATH} AS %L',
      space, watch.name, watch.body);
    EXECUTE format('REVOKE ALL ON FUNCTION %I.%I() FROM PUBLIC', space, watch.name);
    EXECUTE format('COMMENT ON FUNCTION %I.%I() IS %L', space, watch.name,
      'sessiongate, version {VERSION}: announces changes of ' || watch.subject || 's on the channel {CHANNEL}');
    IF owner <> current_user AND (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
      EXECUTE format('ALTER FUNCTION %I.%I() OWNER TO %I', space, watch.name, owner);
    END IF;
    function := format('%I.%I()', space, watch.name)::regprocedure;

    -- The columns that exist, and the columns that triggers of other gates already watch.
    SELECT array_agg(a.attname::text ORDER BY a.attname) INTO columns
      FROM pg_attribute a
      WHERE a.attrelid = root AND a.attnum > 0 AND NOT a.attisdropped AND a.attname <> watch.key
      AND (a.attname = ANY (watch.needed || watch.optional) OR EXISTS (
        SELECT FROM pg_trigger t, jsonb_array_elements_text(
          convert_from(substring(t.tgargs FROM 1 FOR octet_length(t.tgargs) - 1), getdatabaseencoding())::jsonb) AS watched (name)
        WHERE t.tgrelid = root AND t.tgname = watch.name || '_update' AND t.tgfoid = function AND t.tgnargs = 1
        AND watched.name = a.attname));
    columns := coalesce(columns, '{}');
    SELECT string_agg(format('OLD.%1$I::text COLLATE "C" IS DISTINCT FROM NEW.%1$I::text COLLATE "C"', wanted.name), ' OR ')
      INTO changes FROM unnest(array_prepend(watch.key, columns)) AS wanted (name);

    FOR member IN
      WITH RECURSIVE tree AS (
        SELECT root::oid AS oid
        UNION SELECT i.inhrelid FROM pg_inherits i JOIN tree ON i.inhparent = tree.oid)
      SELECT c.oid, c.oid::regclass AS name, c.relkind, c.relispartition AND c.oid <> root AS has_triggers_of_parent
      FROM tree JOIN pg_class c USING (oid) ORDER BY c.oid <> root, c.oid
    LOOP
      IF member.relkind NOT IN ('r', 'p') THEN
        RAISE WARNING '% is not a table of this server: its changes are not announced', member.name;
        CONTINUE;
      END IF;
      FOR old IN SELECT t.tgname FROM pg_trigger t
        WHERE t.tgrelid = member.oid AND t.tgparentid = 0 AND NOT t.tgisinternal
        AND t.tgname ~ '^sessiongate_v[0-9]+_' AND t.tgname !~ '^sessiongate_v{VERSION}_' LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', old.tgname, member.name);
      END LOOP;
      FOR made IN SELECT * FROM (VALUES
        ('_rows', 13, false, 'AFTER INSERT OR DELETE', 'FOR EACH ROW', ''),
        ('_update', 17, false, 'AFTER UPDATE', 'FOR EACH ROW WHEN (' || changes || ')', to_jsonb(columns)::text),
        ('_truncate', 32, true, 'AFTER TRUNCATE', 'FOR EACH STATEMENT', '')
      ) AS m (suffix, type, on_every_partition, event, each, argument) LOOP
        IF member.has_triggers_of_parent AND NOT made.on_every_partition THEN
          CONTINUE;
        END IF;
        SELECT t.tgfoid = function AND t.tgtype = made.type AND t.tgargs = CASE made.argument WHEN '' THEN '' ELSE
          convert_to(made.argument, getdatabaseencoding()) || decode('00', 'hex') END AS is_right INTO old
          FROM pg_trigger t WHERE t.tgrelid = member.oid AND t.tgname = watch.name || made.suffix;
        IF FOUND AND old.is_right THEN
          CONTINUE;
        ELSIF FOUND THEN
          EXECUTE format('DROP TRIGGER %I ON %s', watch.name || made.suffix, member.name);
        END IF;
        EXECUTE format('CREATE TRIGGER %I %s ON %s %s EXECUTE FUNCTION %I.%I(%s)', watch.name || made.suffix, made.event,
          member.name, made.each, space, watch.name, CASE made.argument WHEN '' THEN '' ELSE quote_literal(made.argument) END);
      END LOOP;
    END LOOP;

    -- On each table separately: partitions have their own switch.
    FOR old IN
      WITH RECURSIVE tree AS (
        SELECT root::oid AS oid
        UNION SELECT i.inhrelid FROM pg_inherits i JOIN tree ON i.inhparent = tree.oid)
      SELECT t.tgrelid::regclass AS name, t.tgname FROM tree JOIN pg_trigger t ON t.tgrelid = tree.oid
      WHERE starts_with(t.tgname, watch.name || '_') AND t.tgenabled <> 'A' ORDER BY t.tgrelid <> root
    LOOP
      EXECUTE format('ALTER TABLE ONLY %s ENABLE ALWAYS TRIGGER %I', old.name, old.tgname);
    END LOOP;
    FOR old IN SELECT p.oid::regprocedure AS name FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
      WHERE n.nspname = space AND p.proname ~ '^sessiongate_v[0-9]+_' AND p.proname !~ '^sessiongate_v{VERSION}_'
      AND NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgfoid = p.oid) LOOP
      EXECUTE format('DROP FUNCTION %s', old.name);
    END LOOP;
  END LOOP;
  PERFORM pg_catalog.set_config('search_path', path, true);
END
"#;

const UNINSTALL: &str = r"
DECLARE
  old record;
  path text := pg_catalog.current_setting('search_path');
BEGIN
  PERFORM pg_catalog.set_config('lock_timeout', '5s', true);
  PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
  PERFORM pg_catalog.pg_advisory_xact_lock(7310025391254110311);
  FOR old IN SELECT t.tgname, t.tgrelid::regclass AS relation FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
    WHERE t.tgname ~ '^sessiongate_v[0-9]+_' AND p.proname ~ '^sessiongate_v[0-9]+_' AND t.tgparentid = 0 LOOP
    EXECUTE format('DROP TRIGGER %I ON %s', old.tgname, old.relation);
  END LOOP;
  FOR old IN SELECT p.oid::regprocedure AS name FROM pg_proc p
    WHERE p.proname ~ '^sessiongate_v[0-9]+_(session|user)_[0-9a-f]+$' AND p.pronargs = 0
    AND NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgfoid = p.oid) LOOP
    EXECUTE format('DROP FUNCTION %s', old.name);
  END LOOP;
  PERFORM pg_catalog.set_config('search_path', path, true);
END
";

#[cfg(test)]
mod tests {
    use super::super::super::super::identifier::Table;
    use super::*;

    fn watch(subject: Subject, table: &str, key: &str, needed: &[&str]) -> Watch {
        let column = |name: &&str| Column::parse(name).unwrap();
        Watch {
            table: Table::parse(table).unwrap(),
            subject,
            key: column(&key),
            needed: needed.iter().map(column).collect(),
            optional: Vec::new(),
        }
    }

    #[test]
    fn a_name_cannot_end_its_quotes() {
        let name = "it's\\$sessiongate$;\"x";
        let watch = watch(Subject::User, name, name, &[name]);
        let sql = install(&[watch]);
        let opened = sql.strip_prefix("DO $sessiongate_$").unwrap();
        let code = opened.strip_suffix("$sessiongate_$").unwrap();
        assert!(!code.contains("$sessiongate_$"));
        assert!(code.contains(r#"(E'"it''s\\$sessiongate$;""x"', 'user', 'sessiongate_v1_user_"#));
        assert!(code.contains(r"ARRAY[E'it''s\\$sessiongate$;"));
    }

    #[test]
    fn functions_with_different_bodies_have_different_names() {
        let name = |subject, table, key| watch(subject, table, key, &["role"]).function();
        let user = name(Subject::User, "users", "id");
        assert_eq!(user, name(Subject::User, "app.people", "id"));
        assert_ne!(user, name(Subject::User, "users", "email"));
        assert_ne!(user, name(Subject::Session, "users", "id"));
        assert!(user.starts_with("sessiongate_v1_user_"), "{user}");
    }

    #[test]
    fn a_token_is_announced_only_as_its_hash() {
        let body = body(&watch(Subject::Session, "session", "token", &[]));
        let hashed = r#"sha256(convert_to(OLD."token"::text"#;
        assert_eq!(
            body.matches(r#"OLD."token""#).count(),
            body.matches(hashed).count()
        );
        assert!(body.contains("PERFORM pg_catalog.pg_notify('sessiongate_changes', word)"));
    }

    #[test]
    fn the_script_lists_the_watched_columns() {
        let text = preface(&[watch(Subject::User, "app.users", "id", &["banned", "role"])]);
        assert!(text.lines().all(|line| line.starts_with("--")));
        assert!(
            text.contains(r#"--   "app"."users" by "id": "banned", "role""#),
            "{text}"
        );
    }
}
