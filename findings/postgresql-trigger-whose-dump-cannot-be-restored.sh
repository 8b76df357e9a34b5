#!/usr/bin/env bash
# PostgreSQL 15.18, a trigger whose WHEN compares two rows with `*<>`.
#
# Seen: `WHEN (ROW(OLD.a)::record *<> ROW(NEW.a)::record)` makes a trigger that works: it compares columns byte by byte, of
# types without equality (json) too. The server prints it without the casts, `ROW(old.a) *<> ROW(new.a)`. That is another
# expression: two row constructors are compared column by column, and there is no operator `integer *<> integer`. So what
# `pg_dump` writes of such a table cannot be restored.
#
# It matters to whoever writes triggers that watch columns of any type: cast each column to text, and compare with
# `IS DISTINCT FROM` under the collation "C". That is printed as it was written.
#
# Needs a PostgreSQL server's programs (initdb, pg_ctl, psql, pg_dump), and not to be root. Exits with an error when the
# behavior differs from what is described here.
set -euo pipefail
folder=$(mktemp -d)
trap 'pg_ctl -D "$folder/data" -m immediate stop >/dev/null 2>&1 || true; rm -rf "$folder"' EXIT
PATH="$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -1):$PATH"
initdb -D "$folder/data" -U postgres -A trust --no-sync >/dev/null
pg_ctl -D "$folder/data" -o "-k $folder -h ''" -l "$folder/log" -w start >/dev/null
export PGHOST="$folder" PGUSER=postgres
sql() { psql -XqAt -v ON_ERROR_STOP=1 "$@"; }
sql -c "
  CREATE TABLE seen (a integer, b json);
  CREATE FUNCTION say() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE WARNING ''changed''; RETURN NULL; END';
  CREATE TRIGGER say AFTER UPDATE ON seen FOR EACH ROW
    WHEN (ROW(OLD.a, OLD.b)::record *<> ROW(NEW.a, NEW.b)::record) EXECUTE FUNCTION say();
  INSERT INTO seen VALUES (1, '{}')"
sql -c "UPDATE seen SET b = '[]'" 2>&1 | grep -q changed
printed=$(sql -c "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgname = 'say'")
echo "printed: $printed"
echo "$printed" | grep -qF '(ROW(old.a, old.b) *<> ROW(new.a, new.b))'
sql -c 'CREATE DATABASE copy'
pg_dump postgres >"$folder/dump.sql"
if refused=$(sql -d copy -f "$folder/dump.sql" 2>&1); then
  echo "The dump was restored." && exit 1
fi
echo "restored: $refused"
echo "$refused" | grep -qF 'operator does not exist: integer *<> integer'
echo "As described."
