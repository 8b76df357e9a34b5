//! Reads the address of the database: `DATABASE_URL` and the `POSTGRES_*` settings.

use std::str::FromStr;
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;

use super::super::connection_url::ConnectionUrl;
use super::super::postgres_url::{self, Password, PostgresUrl, Ssl};
use super::super::reader::Reader;
use super::{contradiction, set_unless_different};
use stores::DatabaseUrl;

/// The address of the database, with the other content of its URL.
pub(super) struct DatabaseTarget {
    pub(super) url: DatabaseUrl,
    /// The schema of tables whose names have none.
    pub(super) schema: Option<String>,
    pub(super) connections: Option<u32>,
    /// The timeout for connecting to each host.
    pub(super) host_timeout: Option<Duration>,
}

/// Reads `DATABASE_URL` and the `POSTGRES_*` settings that complete or replace it. `why` says why a database is needed.
pub(super) fn database_target(reader: &mut Reader<'_>, why: &str) -> Option<DatabaseTarget> {
    let url = reader.url("DATABASE_URL");
    if url.is_none() && !reader.is_set("POSTGRES_HOST") {
        let _ = reader.text("POSTGRES_HOST");
        let what = format!("{why}: set it to a postgres:// or sqlite:// URL, or set POSTGRES_HOST");
        reader.problem("DATABASE_URL", what);
        return None;
    }
    let is_sqlite = |url: &String| url.starts_with("sqlite:");
    if let Some(url) = url.as_ref().filter(|url| is_sqlite(url)) {
        let url = sqlite(url)
            .map_err(|what| reader.problem("DATABASE_URL", what))
            .ok()?;
        return Some(DatabaseTarget {
            url,
            schema: None,
            connections: None,
            host_timeout: None,
        });
    }
    let postgres = match url {
        Some(url) => {
            let postgres = postgres(&url)
                .map_err(|what| reader.problem("DATABASE_URL", what))
                .ok()?;
            reader.record_harmless_parts("DATABASE_URL", &postgres.harmless);
            postgres
        }
        None => PostgresUrl::default(),
    };
    let postgres = completed(reader, postgres);
    if let Err(error) = postgres.clone().server().check_files() {
        reader.problem("DATABASE_URL", error.to_string());
    }
    Some(DatabaseTarget {
        schema: postgres.schema.clone(),
        connections: postgres.connections,
        host_timeout: postgres.host_timeout,
        url: DatabaseUrl::Postgres(Box::new(postgres.server())),
    })
}

/// Completes the URL with the `POSTGRES_*` settings.
fn completed(reader: &mut Reader<'_>, mut postgres: PostgresUrl) -> PostgresUrl {
    const URL: &str = "DATABASE_URL";
    let is_alone = !reader.is_set(URL);
    let hosts = reader.read("POSTGRES_HOST", postgres_url::hosts);
    match (postgres.hosts.as_mut_slice(), hosts.as_deref()) {
        (_, None) => {}
        ([], Some(hosts)) => {
            let ports = hosts.iter().filter_map(|host| host.port);
            if postgres
                .port
                .is_some_and(|port| ports.clone().any(|other| other != port))
            {
                reader.problem("POSTGRES_HOST", contradiction(URL));
            }
            postgres.hosts = hosts.to_vec();
        }
        ([only], Some([host])) if only.name == host.name => {
            set_unless_different(reader, "POSTGRES_HOST", URL, &mut only.port, host.port);
        }
        (known, Some(hosts)) if *known == *hosts => {}
        ([_, ..], Some(_)) => reader.problem("POSTGRES_HOST", contradiction(URL)),
    }
    let port = reader.port("POSTGRES_PORT");
    match port {
        Some(port) if postgres.names_ports() => {
            let default = postgres.port.unwrap_or(5432);
            let mut ports = postgres
                .hosts
                .iter()
                .map(|host| host.port.unwrap_or(default));
            if ports.any(|other| other != port) {
                let place = if is_alone { "POSTGRES_HOST" } else { URL };
                reader.problem("POSTGRES_PORT", contradiction(place));
            }
        }
        Some(port) => postgres.port = Some(port),
        None => {}
    }
    let user = reader.text("POSTGRES_USER");
    set_unless_different(reader, "POSTGRES_USER", URL, &mut postgres.user, user);
    let password = reader.password("POSTGRES_PASSWORD").map(Password);
    let place = &mut postgres.password;
    set_unless_different(reader, "POSTGRES_PASSWORD", URL, place, password);
    let database = reader.text("POSTGRES_DB");
    set_unless_different(reader, "POSTGRES_DB", URL, &mut postgres.database, database);
    let mode = reader.read("POSTGRES_SSLMODE", Ssl::parse);
    set_unless_different(reader, "POSTGRES_SSLMODE", URL, &mut postgres.ssl, mode);
    if mode.is_some()
        && let Err(what) = postgres.check()
    {
        reader.problem("POSTGRES_SSLMODE", format!("DATABASE_URL, {what}"));
    }
    if postgres.is_on_sockets() && postgres.ssl.is_some_and(|mode| mode != Ssl::Disable) {
        let why = "a Unix socket cannot be overheard, so nothing is encrypted on it";
        let place = if mode.is_some() {
            "POSTGRES_SSLMODE"
        } else {
            URL
        };
        reader.record_harmless_parts(place, &[("sslmode".to_owned(), why)]);
    }
    if is_alone {
        postgres
            .database
            .get_or_insert_with(|| "postgres".to_owned());
    }
    postgres
}

fn sqlite(url: &str) -> Result<DatabaseUrl, String> {
    SqliteConnectOptions::from_str(url)
        .map(|options| DatabaseUrl::Sqlite(Box::new(options.busy_timeout(BUSY_TIMEOUT))))
        .map_err(|error| {
            format!("not a URL of the form sqlite:///path/to/users.db, optionally with the parameters mode, cache, \
                 immutable or vfs: {error}")
        })
}

pub(in crate::config) fn postgres(url: &str) -> Result<PostgresUrl, String> {
    let scheme = url
        .split(':')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    match scheme.as_str() {
        "postgres" | "postgresql" => {
            let url = ConnectionUrl::parse(url).map_err(|what| {
                format!("{what}; such a URL looks like postgres://user:password@host:5432/database?sslmode=require")
            })?;
            PostgresUrl::read(&url)
        }
        "file" => Err(
            "`file:` is Prisma's notation for a SQLite file; write sqlite:///path/to/users.db, with the absolute path"
                .to_owned(),
        ),
        "jdbc" | "postgresql+asyncpg" | "postgresql+psycopg" | "postgresql+psycopg2" | "postgis" => {
            Err("this scheme belongs to one client library; write the same URL with postgres://".to_owned())
        }
        "prisma" | "prisma+postgres" => Err(
            "it is the URL of Prisma's own proxy; give the postgres:// URL of the database itself".to_owned(),
        ),
        _ => Err("only postgres:// and sqlite:// databases are supported".to_owned()),
    }
}

/// How long a reader of SQLite waits for a writer, within `DATABASE_TIMEOUT`.
const BUSY_TIMEOUT: Duration = Duration::from_secs(1);
