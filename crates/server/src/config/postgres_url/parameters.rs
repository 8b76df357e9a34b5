//! The parameters of a `postgres://` URL: each is applied, recorded as one that needs no effect, or refused by name.

use std::time::Duration;

use tokio_postgres::config::{ChannelBinding, TargetSessionAttrs};

use super::super::connection_url::{GIVEN_TWICE, set};
use super::super::host::Host;
use super::super::words::unsupported_parameter;
use super::harmless::HARMLESS;
use super::ssl::Ssl;
use super::{Password, PostgresUrl};

impl PostgresUrl {
    /// Applies a parameter.
    ///
    /// # Errors
    /// If it is unknown, or has a value that is wrong or not supported.
    pub(super) fn take(&mut self, name: &str, value: &str) -> Result<(), String> {
        let plain = name.to_ascii_lowercase().replace('-', "_");
        let plain = plain.as_str();
        if let Some((_, apply)) = PARAMETERS.iter().find(|(names, _)| names.contains(&plain)) {
            return apply(self, name, value);
        }
        if let Some((_, why)) = HARMLESS.iter().find(|(names, _)| names.contains(&plain)) {
            return self.harmless(plain, why);
        }
        if LIBPQ_NAMES.contains(&plain) {
            return unsupported(plain);
        }
        let supported = PARAMETERS.iter().flat_map(|(names, _)| names.iter());
        let harmless = HARMLESS.iter().flat_map(|(names, _)| names.iter());
        Err(unsupported_parameter(
            plain,
            supported.chain(harmless).copied(),
        ))
    }

    fn harmless(&mut self, name: &str, why: &'static str) -> Result<(), String> {
        self.harmless.push((name.to_owned(), why));
        Ok(())
    }

    /// Sets the hosts of a parameter. The folder of a socket replaces the `localhost` that Prisma requires before the path (its
    /// documentation of PostgreSQL, "Connecting via sockets").
    fn take_hosts(&mut self, hosts: Vec<Host>) -> Result<(), String> {
        let is_socket = hosts.iter().all(|host| host.name.starts_with('/'));
        match self.hosts.as_slice() {
            [only] if only.name == "localhost" && is_socket => {
                self.port = self.port.or(only.port);
                self.hosts = hosts;
            }
            [] => self.hosts = hosts,
            known if *known == hosts => {}
            _ => return Err(GIVEN_TWICE.to_owned()),
        }
        Ok(())
    }

    /// Sets one port for all hosts, or one for each.
    fn take_ports(&mut self, value: &str) -> Result<(), String> {
        let ports: Vec<u16> = value.split(',').map(number).collect::<Result<_, _>>()?;
        match ports.as_slice() {
            [only] => set(&mut self.port, *only),
            _ if !self.ports.is_empty() && self.ports != ports => Err(GIVEN_TWICE.to_owned()),
            _ => {
                self.ports = ports;
                Ok(())
            }
        }
    }

    /// Sets the schema. Tables are qualified with it, because a pooler runs each query on any of its connections, whatever
    /// their `search_path`. A [`NameCase::Folded`] name is read as PostgreSQL reads an entry of `search_path`.
    fn take_schema(&mut self, value: &str, case: NameCase) -> Result<(), String> {
        let schema = value.trim();
        if case == NameCase::Folded && schema.contains(['$', '\\']) {
            return Err("give the name of one schema, without `$user` and backslashes".to_owned());
        }
        let schema = match schema
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
        {
            Some(quoted) => quoted.replace("\"\"", "\""),
            None if case == NameCase::Folded => schema.to_ascii_lowercase(),
            None => schema.to_owned(),
        };
        if schema.is_empty() || value.contains(',') {
            return Err(
                "give the one schema that contains all tables; or give none, and write the tables with their schemas, as \
                 in USER_TABLE=schema.table"
                    .to_owned(),
            );
        }
        set(&mut self.schema, schema)
    }

    /// Reads `-c name=value` and `--name=value` (PostgreSQL's manual, §34.1.2): takes out the schema, and passes the rest on
    /// to the server.
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
                Some((name, schema)) if is_search_path(name) => {
                    self.take_schema(schema, NameCase::Folded)?;
                }
                Some(_) => self.options.push(format!("-c {assignment}")),
                None => self.options.push(word.to_owned()),
            }
        }
        Ok(())
    }

    /// Applies Prisma's `sslaccept`.
    fn take_ssl_accept(&mut self, value: &str) -> Result<(), String> {
        if value != "strict" {
            return Err(
                "only `strict` verifies the server; for TLS without verification write sslmode=require"
                    .to_owned(),
            );
        }
        self.is_strict = true;
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
}

/// Refuses a parameter that is known but not supported, or not with this value.
fn unsupported(name: &str) -> Result<(), String> {
    Err(unsupported_parameter(name, []))
}

/// How the case of a schema's name is handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NameCase {
    /// Kept as written: Prisma puts it in quotes.
    Exact,
    /// Lower-cased unless in double quotes: PostgreSQL's rule for `search_path`.
    Folded,
}

/// Whether an option is `search_path`. In `options`, a dash is equivalent to an underscore (PostgreSQL's manual, §20.1.4).
fn is_search_path(name: &str) -> bool {
    name.replace('-', "_").eq_ignore_ascii_case("search_path")
}

fn number<T: std::str::FromStr>(value: &str) -> Result<T, String> {
    value
        .parse()
        .map_err(|_| "it must be a whole number in range".to_owned())
}

/// Reads the folder of a Unix socket, or a list of hosts.
pub(in crate::config) fn hosts(value: &str) -> Result<Vec<Host>, String> {
    let host = |text: &str| match text.starts_with('/') {
        true => Ok(Host {
            name: text.to_owned(),
            port: None,
        }),
        false => Host::parse(text).map_err(str::to_owned),
    };
    value.split(',').map(host).collect()
}

/// Reads `ssl=true`, which libpq treats as `sslmode=require` (PostgreSQL's manual, §34.1.1.2); node-postgres also accepts a
/// mode here.
fn of_switch(value: &str) -> Result<Ssl, String> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "1" | "on" | "yes" | "" => Ok(Ssl::Require),
        "false" | "0" | "off" | "no" => Ok(Ssl::Disable),
        _ => Ssl::parse(value),
    }
}

fn target(value: &str) -> Result<TargetSessionAttrs, String> {
    match value.to_ascii_lowercase().as_str() {
        "any" => Ok(TargetSessionAttrs::Any),
        "read-write" | "primary" | "master" => Ok(TargetSessionAttrs::ReadWrite),
        "read-only" | "standby" | "secondary" | "slave" => Ok(TargetSessionAttrs::ReadOnly),
        _ => Err(
            "the values are any, read-write, primary, read-only and standby; list the hosts in the order you prefer"
                .to_owned(),
        ),
    }
}

fn channel_binding(value: &str) -> Result<ChannelBinding, String> {
    match value {
        "disable" => Ok(ChannelBinding::Disable),
        "prefer" => Ok(ChannelBinding::Prefer),
        "require" => Ok(ChannelBinding::Require),
        _ => Err("the values are disable, prefer and require".to_owned()),
    }
}

/// How a parameter is applied, given its name as written and its value.
type Apply = fn(&mut PostgresUrl, &str, &str) -> Result<(), String>;

/// The supported parameters: their names in lower case, with `_` for `-`, and how each is applied.
const PARAMETERS: &[(&[&str], Apply)] = &[
    (&["host", "hostaddr"], |url, _, value| {
        url.take_hosts(hosts(value)?)
    }),
    (&["port"], |url, _, value| url.take_ports(value)),
    (&["user"], |url, _, value| {
        set(&mut url.user, value.to_owned())
    }),
    (&["password"], |url, _, value| {
        set(&mut url.password, Password(value.to_owned()))
    }),
    (&["dbname", "database"], |url, _, value| {
        set(&mut url.database, value.to_owned())
    }),
    (&["schema"], |url, _, value| {
        url.take_schema(value, NameCase::Exact)
    }),
    (&["search_path", "currentschema"], |url, _, value| {
        url.take_schema(value, NameCase::Folded)
    }),
    (&["options"], |url, _, value| url.take_options(value)),
    (&["sslmode", "ssl_mode"], |url, _, value| {
        set(&mut url.ssl, Ssl::parse(value)?)
    }),
    (&["ssl"], |url, _, value| {
        set(&mut url.switch, of_switch(value)?)
    }),
    (&["sslaccept"], |url, _, value| url.take_ssl_accept(value)),
    (
        &["sslrootcert", "ssl_ca", "ssl_root_cert"],
        |url, _, value| set(&mut url.ca_file, value.into()),
    ),
    (&["sslcert", "ssl_cert"], |url, _, value| {
        set(&mut url.certificate, value.into())
    }),
    (&["sslkey", "ssl_key"], |url, _, value| {
        set(&mut url.key, value.into())
    }),
    (&["sslnegotiation"], |_, name, value| match value {
        "postgres" => Ok(()),
        _ => unsupported(name),
    }),
    (
        &["ssl_min_protocol_version", "sslminprotocolversion"],
        |url, name, value| match value {
            "TLSv1" | "TLSv1.1" | "TLSv1.2" => {
                url.harmless(name, "TLS 1.2 is the oldest version in any case")
            }
            _ => unsupported(name),
        },
    ),
    (&["connect_timeout", "connecttimeout"], |url, _, value| {
        url.take_timeout(value)
    }),
    (&["connection_limit"], |url, _, value| {
        set(&mut url.connections, number(value)?)
    }),
    (&["application_name", "applicationname"], |url, _, value| {
        set(&mut url.application_name, value.to_owned())
    }),
    (
        &["target_session_attrs", "targetservertype"],
        |url, _, value| set(&mut url.target, target(value)?),
    ),
    (&["channel_binding"], |url, _, value| {
        set(&mut url.channel_binding, channel_binding(value)?)
    }),
    (
        &["client_encoding", "charset"],
        |url, name, value| match value.to_ascii_lowercase().as_str() {
            "utf8" | "utf-8" | "auto" => url.harmless(name, "text is always UTF-8"),
            _ => unsupported(name),
        },
    ),
    (&["gssencmode"], |url, name, value| match value {
        "disable" | "prefer" => url.harmless(name, "Kerberos is never used"),
        _ => unsupported(name),
    }),
    (&["load_balance_hosts"], |_, name, value| match value {
        "disable" => Ok(()),
        _ => unsupported(name),
    }),
];

/// Unsupported parameters of libpq (PostgreSQL's manual, §34.1.2). They are not misspellings, so no other name is suggested.
const LIBPQ_NAMES: [&str; 11] = [
    "passfile",
    "replication",
    "require_auth",
    "requirepeer",
    "service",
    "sslcertmode",
    "sslcrl",
    "sslcrldir",
    "sslkeylogfile",
    "sslpassword",
    "scram_client_key",
];
