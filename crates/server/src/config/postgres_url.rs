//! What a `postgres://` URL asks for: the parameters of libpq, and those that Prisma, node-postgres and others add.
//!
//! Each parameter is obeyed, or noted as one that has no effect here and needs none, or refused by name. What narrows or
//! protects (TLS, a schema, a kind of server) is never among those without effect.

use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{ChannelBinding, SslMode, TargetSessionAttrs};

use super::connection_url::ConnectionUrl;
use super::host::Host;
use crate::store::{PostgresHost, PostgresServer, Verify};

/// A PostgreSQL as a URL describes it. What the URL does not say is `None`, so that other settings can complete it.
#[derive(Clone, Debug, Default)]
pub(super) struct PostgresUrl {
    pub(super) hosts: Vec<Host>,
    /// For every host that names none.
    pub(super) port: Option<u16>,
    pub(super) user: Option<String>,
    pub(super) password: Option<Password>,
    pub(super) database: Option<String>,
    pub(super) ssl: Option<Ssl>,
    /// The schema of every table that names none.
    pub(super) schema: Option<String>,
    /// The most connections.
    pub(super) connections: Option<u32>,
    ca_file: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    host_timeout: Option<Duration>,
    application_name: Option<String>,
    options: Vec<String>,
    target: Option<TargetSessionAttrs>,
    channel_binding: Option<ChannelBinding>,
    /// Parameters that have no effect here and need none, with the reason.
    pub(super) harmless: Vec<(String, &'static str)>,
}

/// A password that is not printed.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Password(pub(super) String);

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(***)")
    }
}

/// How a connection is encrypted, and what the server's certificate must prove: `sslmode` of libpq.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ssl {
    Disable,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

impl Ssl {
    /// Reads a mode in any case.
    ///
    /// # Errors
    /// When there is no such mode, or it would trust any server although it says that it verifies.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "disable" => Ok(Self::Disable),
            // libpq tries without TLS first. There is no harm in trying with it first.
            "allow" | "prefer" => Ok(Self::Prefer),
            "require" => Ok(Self::Require),
            "verify-ca" | "verify_ca" => Ok(Self::VerifyCa),
            "verify-full" | "verify_full" => Ok(Self::VerifyFull),
            "no-verify" => Err(
                "`no-verify` is node-postgres' word for TLS without a look at the certificate; write `require` for that, or \
                 `verify-full` with sslrootcert=/path/to/ca.pem to know whom you talk to"
                    .to_owned(),
            ),
            _ => Err(format!(
                "`{text}` is none of disable, allow, prefer, require, verify-ca, verify-full"
            )),
        }
    }
}

impl PostgresUrl {
    /// Reads what a URL asks for.
    ///
    /// # Errors
    /// Names the parameter that is wrong, not understood or not possible here. No value that may be a secret is repeated.
    pub(super) fn read(url: &ConnectionUrl) -> Result<Self, String> {
        if url.fragment.is_some() {
            return Err(
                "a `#` ends a URL; write one that belongs to the password as %23".to_owned(),
            );
        }
        let mut read = Self {
            hosts: url.hosts.clone(),
            user: url.user.clone(),
            password: url.password.clone().map(Password),
            database: Some(url.path.clone()).filter(|path| !path.is_empty()),
            ..Self::default()
        };
        for (name, value) in &url.parameters {
            read.take(name, value)
                .map_err(|what| format!("parameter `{}`: {what}", name.escape_debug()))?;
        }
        read.check()?;
        Ok(read)
    }

    fn take(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name.to_ascii_lowercase().replace('-', "_").as_str() {
            "host" | "hostaddr" => once(&mut self.hosts, hosts(value)?),
            "port" => set(&mut self.port, number(value)?),
            "user" => set(&mut self.user, value.to_owned()),
            "password" => set(&mut self.password, Password(value.to_owned())),
            "dbname" | "database" => set(&mut self.database, value.to_owned()),
            "schema" | "search_path" | "currentschema" => self.take_schema(value),
            "options" => self.take_options(value),
            "sslmode" | "ssl_mode" => set(&mut self.ssl, Ssl::parse(value)?),
            "ssl" => set(&mut self.ssl, of_switch(value)?),
            "sslaccept" => match value {
                "strict" => set(&mut self.ssl, Ssl::VerifyFull),
                _ => Err("only `strict` verifies the server; for TLS without that write sslmode=require".to_owned()),
            },
            "sslrootcert" | "ssl_ca" | "ssl_root_cert" => set(&mut self.ca_file, value.into()),
            "sslcert" | "ssl_cert" => set(&mut self.certificate, value.into()),
            "sslkey" | "ssl_key" => set(&mut self.key, value.into()),
            "sslnegotiation" if value == "postgres" => Ok(()),
            "ssl_min_protocol_version" | "sslminprotocolversion"
                if ["TLSv1", "TLSv1.1", "TLSv1.2"].contains(&value) =>
            {
                self.harmless(name, "nothing older than TLS 1.2 is spoken anyway")
            }
            "connect_timeout" | "connecttimeout" => self.take_timeout(value),
            "connection_limit" => set(&mut self.connections, number(value)?),
            "application_name" | "applicationname" => {
                set(&mut self.application_name, value.to_owned())
            }
            "target_session_attrs" => set(&mut self.target, target(value)?),
            "channel_binding" => set(&mut self.channel_binding, channel_binding(value)?),
            "client_encoding" | "charset"
                if ["utf8", "utf-8", "auto"].contains(&&*value.to_ascii_lowercase()) =>
            {
                self.harmless(name, "text is always UTF-8")
            }
            "gssencmode" if ["disable", "prefer"].contains(&value) => {
                self.harmless(name, "Kerberos is not spoken")
            }
            "load_balance_hosts" if value == "disable" => Ok(()),
            name => match HARMLESS.iter().find(|(names, _)| names.contains(&name)) {
                Some((_, why)) => self.harmless(name, why),
                None => Err(
                    "it is not understood, and what it asks for would be missing; remove it from the URL".to_owned(),
                ),
            },
        }
    }

    fn harmless(&mut self, name: &str, why: &'static str) -> Result<(), String> {
        self.harmless.push((name.to_owned(), why));
        Ok(())
    }

    /// One schema. Tables are qualified with it, because a pooler gives each question to any of its connections, whatever
    /// `search_path` those have.
    fn take_schema(&mut self, value: &str) -> Result<(), String> {
        let schema = value.trim();
        let schema = match schema
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
        {
            Some(quoted) => quoted.replace("\"\"", "\""),
            None => schema.to_owned(),
        };
        if schema.is_empty() || value.contains(',') {
            return Err(
                "give one schema, in which all tables are; or give none and name the tables with theirs, as in \
                 USER_TABLE=schema.table"
                    .to_owned(),
            );
        }
        set(&mut self.schema, schema)
    }

    /// `-c name=value` and `--name=value` (PostgreSQL's manual, §34.1.2): the schema is taken out, the rest goes to the server.
    fn take_options(&mut self, value: &str) -> Result<(), String> {
        let mut words = value.split_ascii_whitespace();
        while let Some(word) = words.next() {
            let assignment = match word {
                "-c" => words.next().unwrap_or_default(),
                word => word
                    .strip_prefix("--")
                    .or_else(|| word.strip_prefix("-c"))
                    .unwrap_or_default(),
            };
            match assignment.split_once('=') {
                Some((name, schema)) if name.eq_ignore_ascii_case("search_path") => {
                    self.take_schema(schema)?;
                }
                Some(_) => self.options.push(format!("-c {assignment}")),
                None => self.options.push(word.to_owned()),
            }
        }
        Ok(())
    }

    fn take_timeout(&mut self, value: &str) -> Result<(), String> {
        let seconds: u32 = number(value)?;
        if seconds > 0 {
            return set(
                &mut self.host_timeout,
                Duration::from_secs(u64::from(seconds)),
            );
        }
        Ok(())
    }

    fn check(&mut self) -> Result<(), String> {
        if self.certificate.is_some() != self.key.is_some() {
            return Err(
                "parameters `sslcert` and `sslkey`: they name our own certificate and its key, and go together; the certificate \
                 of whoever vouches for the server is `sslrootcert`"
                    .to_owned(),
            );
        }
        let names_system = self.ca_file.as_deref() == Some("system".as_ref());
        if names_system {
            self.ca_file = None;
        }
        match (self.ssl, self.ca_file.is_some() || names_system) {
            // Who names authorities wants them asked. libpq reads `require` so.
            (Some(Ssl::Require), true) if !names_system => self.ssl = Some(Ssl::VerifyCa),
            (None | Some(Ssl::Require), true) => self.ssl = Some(Ssl::VerifyFull),
            (Some(Ssl::Disable | Ssl::Prefer), true) => {
                return Err(
                    "parameter `sslrootcert`: nobody is asked for a certificate with this `sslmode`; write \
                     sslmode=verify-full"
                        .to_owned(),
                );
            }
            (Some(Ssl::VerifyCa), true) if names_system => {
                return Err(
                    "parameter `sslmode`: the public authorities vouch for everybody, so the name has to be checked too; write \
                     sslmode=verify-full"
                        .to_owned(),
                );
            }
            (Some(Ssl::Disable), false) if self.certificate.is_some() => {
                return Err("parameter `sslcert`: there is no TLS with sslmode=disable".to_owned());
            }
            _ => {}
        }
        if self.channel_binding == Some(ChannelBinding::Require)
            && matches!(self.ssl, Some(Ssl::Disable | Ssl::Prefer) | None)
        {
            // A connection without TLS has nothing to bind to.
            self.ssl = match self.ssl {
                Some(Ssl::Disable) => {
                    return Err(
                        "parameter `channel_binding`: it needs TLS, and sslmode=disable says none"
                            .to_owned(),
                    );
                }
                _ => Some(Ssl::Require),
            };
        }
        Ok(())
    }

    /// Whether the port of each host is known from the URL alone.
    pub(super) fn names_ports(&self) -> bool {
        self.port.is_some() || self.hosts.iter().any(|host| host.port.is_some())
    }

    /// The server, with PostgreSQL's own defaults for what nobody has said. Without a password and a user it is asked without.
    pub(super) fn server(self) -> PostgresServer {
        let default_port = self.port.unwrap_or(5432);
        let hosts = self.hosts.into_iter().map(|host| PostgresHost {
            port: host.port.unwrap_or(default_port),
            name: host.name,
        });
        let mut hosts: Vec<_> = hosts.collect();
        if hosts.is_empty() {
            hosts.push(PostgresHost {
                name: "localhost".to_owned(),
                port: default_port,
            });
        }
        let mut config = Config::new();
        config.user(self.user.unwrap_or_else(|| "postgres".to_owned()));
        if let Some(Password(password)) = self.password {
            config.password(password);
        }
        if let Some(database) = self.database {
            config.dbname(database);
        }
        config.application_name(self.application_name.as_deref().unwrap_or("sessiongate"));
        if !self.options.is_empty() {
            config.options(self.options.join(" "));
        }
        if let Some(target) = self.target {
            config.target_session_attrs(target);
        }
        if let Some(binding) = self.channel_binding {
            config.channel_binding(binding);
        }
        let (mode, verify) = match self.ssl.unwrap_or(Ssl::Prefer) {
            Ssl::Disable => (SslMode::Disable, Verify::Nothing),
            Ssl::Prefer => (SslMode::Prefer, Verify::Nothing),
            Ssl::Require => (SslMode::Require, Verify::Nothing),
            Ssl::VerifyCa => (SslMode::Require, Verify::Authority),
            Ssl::VerifyFull => (SslMode::Require, Verify::AuthorityAndName),
        };
        config.ssl_mode(mode);
        PostgresServer {
            hosts,
            config,
            host_timeout: self.host_timeout,
            verify,
            ca_file: self.ca_file,
            identity: self.certificate.zip(self.key),
        }
    }
}

fn set<T: PartialEq>(place: &mut Option<T>, value: T) -> Result<(), String> {
    match place {
        Some(other) if *other != value => Err(TWICE.to_owned()),
        _ => {
            *place = Some(value);
            Ok(())
        }
    }
}

fn once(place: &mut Vec<Host>, value: Vec<Host>) -> Result<(), String> {
    if !place.is_empty() && *place != value {
        return Err(TWICE.to_owned());
    }
    *place = value;
    Ok(())
}

fn number<T: std::str::FromStr>(value: &str) -> Result<T, String> {
    value
        .parse()
        .map_err(|_| "it has to be a whole number in range".to_owned())
}

/// The folder of a Unix socket, or hosts as in front of the path.
fn hosts(value: &str) -> Result<Vec<Host>, String> {
    let host = |text: &str| match text.starts_with('/') {
        true => Ok(Host {
            name: text.to_owned(),
            port: None,
        }),
        false => Host::parse(text).map_err(str::to_owned),
    };
    value.split(',').map(host).collect()
}

/// `ssl=true`, which libpq reads as `sslmode=require` (PostgreSQL's manual, §34.1.1.2); node-postgres also takes a mode here.
fn of_switch(value: &str) -> Result<Ssl, String> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "1" | "on" | "yes" | "" => Ok(Ssl::Require),
        "false" | "0" | "off" | "no" => Ok(Ssl::Disable),
        _ => Ssl::parse(value),
    }
}

fn target(value: &str) -> Result<TargetSessionAttrs, String> {
    match value {
        "any" => Ok(TargetSessionAttrs::Any),
        "read-write" | "primary" => Ok(TargetSessionAttrs::ReadWrite),
        "read-only" | "standby" => Ok(TargetSessionAttrs::ReadOnly),
        _ => Err(
            "only any, read-write, primary, read-only and standby are understood; name the hosts in the order that you prefer"
                .to_owned(),
        ),
    }
}

fn channel_binding(value: &str) -> Result<ChannelBinding, String> {
    match value {
        "disable" => Ok(ChannelBinding::Disable),
        "prefer" => Ok(ChannelBinding::Prefer),
        "require" => Ok(ChannelBinding::Require),
        _ => Err("it is none of disable, prefer, require".to_owned()),
    }
}

const TWICE: &str = "it is given twice, and not with the same value";

/// What has no effect on one question at a time, asked without statements that have a name: in lower case, with `_` for `-`.
const HARMLESS: [(&[&str], &str); 6] = [
    (
        &["pgbouncer"],
        "look-ups work through a pooler in any of its modes",
    ),
    (
        &[
            "statement_cache_capacity",
            "statement_cache_size",
            "prepared_statements",
            "prepare_threshold",
            "preparethreshold",
            "max_prepared_statements",
        ],
        "no statement is kept prepared",
    ),
    (
        &[
            "pool_timeout",
            "socket_timeout",
            "statement_timeout_client",
            "sockettimeout",
        ],
        "DATABASE_TIMEOUT bounds how long a request waits",
    ),
    (
        &[
            "keepalives",
            "keepalives_idle",
            "keepalives_interval",
            "keepalives_count",
            "tcp_user_timeout",
            "tcpkeepalive",
        ],
        "a connection that does not answer is given up within DATABASE_TIMEOUT",
    ),
    (
        &[
            "pool_size",
            "max_pool_size",
            "min_pool_size",
            "pool_min",
            "pool_max",
            "max_idle_connection_lifetime",
        ],
        "DATABASE_CONNECTIONS says how many connections there are",
    ),
    (
        &[
            "fallback_application_name",
            "sslcompression",
            "sslsni",
            "krbsrvname",
            "single_use_connections",
        ],
        "nothing here depends on it",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn read(parameters: &str) -> Result<PostgresUrl, String> {
        let url = format!("postgres://u:hidden@db/app?{parameters}");
        PostgresUrl::read(&ConnectionUrl::parse(&url).unwrap())
    }

    #[test]
    fn tls_is_read_as_libpq_reads_it_and_never_dropped() {
        for (parameters, mode, verify) in [
            ("", SslMode::Prefer, Verify::Nothing),
            ("sslmode=disable", SslMode::Disable, Verify::Nothing),
            ("sslMode=require", SslMode::Require, Verify::Nothing),
            (
                "SSLMODE=Verify-Full",
                SslMode::Require,
                Verify::AuthorityAndName,
            ),
            ("ssl-mode=verify-ca", SslMode::Require, Verify::Authority),
            ("ssl=true", SslMode::Require, Verify::Nothing),
            ("ssl=1", SslMode::Require, Verify::Nothing),
            (
                "ssl=verify-full",
                SslMode::Require,
                Verify::AuthorityAndName,
            ),
            ("ssl=false", SslMode::Disable, Verify::Nothing),
            (
                "sslaccept=strict",
                SslMode::Require,
                Verify::AuthorityAndName,
            ),
            (
                "sslrootcert=/ca.pem",
                SslMode::Require,
                Verify::AuthorityAndName,
            ),
            (
                "sslrootcert=system",
                SslMode::Require,
                Verify::AuthorityAndName,
            ),
            (
                "sslmode=require&sslrootcert=/ca.pem",
                SslMode::Require,
                Verify::Authority,
            ),
            ("channel_binding=require", SslMode::Require, Verify::Nothing),
        ] {
            let server = read(parameters).unwrap().server();
            assert_eq!(
                (server.config.get_ssl_mode(), server.verify),
                (mode, verify),
                "{parameters}"
            );
        }
    }

    #[test]
    fn what_cannot_be_obeyed_is_refused_by_name() {
        for (parameters, words) in [
            ("sslmode=no-verify", "parameter `sslmode`: `no-verify` is"),
            ("ssl=no-verify", "parameter `ssl`: `no-verify` is"),
            ("sslmode=yes", "`yes` is none of disable, allow"),
            ("sslaccept=accept_invalid_certs", "only `strict` verifies"),
            ("sslcert=/c.pem", "`sslcert` and `sslkey`"),
            ("sslmode=prefer&sslrootcert=/ca.pem", "nobody is asked"),
            ("sslmode=disable&channel_binding=require", "it needs TLS"),
            ("sslmode=disable&sslmode=require", "given twice"),
            ("ssl=true&sslmode=verify-full", "given twice"),
            ("ssl_min_protocol_version=TLSv1.3", "not understood"),
            ("gssencmode=require", "not understood"),
            ("require_auth=scram-sha-256", "not understood"),
            ("service=prod", "not understood"),
            ("passfile=/x", "not understood"),
            ("sslcrl=/x", "not understood"),
            (
                "schemas=tenant",
                "parameter `schemas`: it is not understood",
            ),
            ("schema=a,b", "give one schema"),
            ("search_path=", "give one schema"),
            ("options=-c%20search_path%3Da,b", "give one schema"),
            ("target_session_attrs=prefer-standby", "only any"),
            ("connection_limit=many", "whole number"),
            ("port=0x1", "whole number"),
            ("host=a%20b", "not a host"),
        ] {
            let error = read(parameters).unwrap_err();
            assert!(error.contains(words), "{parameters}: {error}");
            assert!(!error.contains("hidden"));
        }
    }

    #[test]
    fn what_clients_write_is_obeyed() {
        let read = read(
            "schema=tenant&connection_limit=3&connect_timeout=4&application_name=gate&port=6000&\
             target_session_attrs=read-write&options=-c+statement_timeout%3D1s+--search_path%3Dtenant&\
             pgbouncer=true&pool_timeout=10&statement-cache-capacity=0",
        )
        .unwrap();
        assert_eq!(read.schema.as_deref(), Some("tenant"));
        assert_eq!(read.connections, Some(3));
        let names: Vec<_> = read.harmless.iter().map(|(name, _)| name.clone()).collect();
        assert_eq!(
            names,
            ["pgbouncer", "pool_timeout", "statement_cache_capacity"]
        );
        let server = read.server();
        assert_eq!(server.config.get_options(), Some("-c statement_timeout=1s"));
        assert_eq!(server.config.get_application_name(), Some("gate"));
        assert_eq!(server.hosts[0].to_string(), "db:6000");
        assert_eq!(server.host_timeout, Some(Duration::from_secs(4)));
        assert_eq!(
            server.config.get_target_session_attrs(),
            TargetSessionAttrs::ReadWrite
        );
    }

    #[test]
    fn hosts_may_stand_in_front_or_behind() {
        for (url, expected) in [
            ("postgres://u@[::1]:5433/app", &["[::1]:5433"][..]),
            ("postgres://u@a,b:5433/app", &["a:5432", "b:5433"]),
            (
                "postgres:///app?host=/run/postgresql",
                &["/run/postgresql:5432"],
            ),
            ("postgres://u@%2Frun%2Fpg/app?port=1", &["/run/pg:1"]),
            ("postgres:///app?host=::1,b:1", &["[::1]:5432", "b:1"]),
            ("postgres:///app", &["localhost:5432"]),
        ] {
            let url = ConnectionUrl::parse(url).unwrap();
            let server = PostgresUrl::read(&url).unwrap().server();
            let hosts: Vec<_> = server.hosts.iter().map(ToString::to_string).collect();
            assert_eq!(hosts, expected);
        }
        let url = ConnectionUrl::parse("postgres://a/app?host=b").unwrap();
        assert!(PostgresUrl::read(&url).unwrap_err().contains("given twice"));
    }
}
