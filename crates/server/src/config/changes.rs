//! Reads `LISTEN_DATABASE_URL`: the connection on which the gate listens for changes in the database.

use super::reader::Reader;
use super::stores::postgres;
use ::stores::PostgresServer;

/// Reads the URL, and records that parameters for the schema and the number of connections have no effect in it.
pub(super) fn listen(reader: &mut Reader<'_>) -> Option<Box<PostgresServer>> {
    let url = reader.url(LISTEN)?;
    let postgres = match url.starts_with("sqlite:") {
        true => Err("only PostgreSQL notifies of changes; give a postgres:// URL".to_owned()),
        false => postgres(&url),
    };
    let postgres = postgres.map_err(|what| reader.problem(LISTEN, what)).ok()?;
    let mut remarks = postgres.harmless.clone();
    for (name, is_given, why) in [
        (
            "schema",
            postgres.schema.is_some(),
            "DATABASE_URL sets the schema of the tables",
        ),
        (
            "connection_limit",
            postgres.connections.is_some(),
            "the gate listens on only one connection",
        ),
    ] {
        if is_given {
            remarks.push((name.to_owned(), why));
        }
    }
    reader.record_harmless_parts(LISTEN, &remarks);
    let server = postgres.server();
    if let Err(error) = server.check_files() {
        reader.problem(LISTEN, error.to_string());
    }
    Some(Box::new(server))
}

const LISTEN: &str = "LISTEN_DATABASE_URL";

#[cfg(test)]
mod tests {
    use super::super::{Config, Variables};
    use super::*;

    fn read(pairs: &[(&'static str, &str)]) -> Result<Config, String> {
        let base = [
            ("UPSTREAM", "http://127.0.0.1:3000"),
            ("AUTH_SECRET", "kW9tZ3mQ7xL2vB8nR4pJ6sD1fG5hC0yA"),
        ];
        let pairs = base.iter().chain(pairs);
        let pairs = pairs.map(|(name, value)| (*name, (*value).to_owned()));
        let config = Config::from_variables(&Variables::default().with(pairs));
        config.map_err(|errors| errors.to_string())
    }

    const CHECK: (&str, &str) = ("ENABLE_DB_CHECK", "true");
    const DATABASE: (&str, &str) = ("DATABASE_URL", "postgres://gate:x@pooler:6432/app");
    const URL: &str = "postgres://gate:hunter2@db/app?schema=auth&pgbouncer=true";

    #[test]
    fn listen_url_may_differ_from_database_url() {
        let config = read(&[CHECK, DATABASE, (LISTEN, URL)]).unwrap();
        let stores = config.realms[0].stores.as_ref().unwrap();
        let listen = stores.database.as_ref().unwrap().listen.as_ref().unwrap();
        assert_eq!(format!("{listen:?}"), "Postgres(db:5432/app)");
        let shown = config.settings.iter().map(|setting| &setting.shown);
        let shown: Vec<_> = shown.filter(|shown| shown.contains("hunter2")).collect();
        assert!(shown.is_empty(), "{shown:?}");
        let noted = |name: &str| config.settings.iter().any(|setting| setting.name == name);
        assert!(noted("LISTEN_DATABASE_URL schema") && noted("LISTEN_DATABASE_URL pgbouncer"));
    }

    #[test]
    fn invalid_listen_urls_are_reported() {
        let error = read(&[CHECK, DATABASE, (LISTEN, "sqlite:///users.db")]).unwrap_err();
        assert!(error.contains("LISTEN_DATABASE_URL"), "{error}");
        let sqlite = ("DATABASE_URL", "sqlite:///users.db");
        for (pairs, why) in [
            (&[CHECK, sqlite, (LISTEN, URL)][..], "SQLite"),
            (&[(LISTEN, URL)], "no database is used"),
        ] {
            let warnings = read(pairs).unwrap().warnings;
            let is_it = |warning: &String| warning.contains(LISTEN) && warning.contains(why);
            assert!(warnings.iter().any(is_it), "{why}: {warnings:?}");
        }
    }
}
