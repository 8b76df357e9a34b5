//! Reads a `postgres://` URL: the parameters of libpq, and those that Prisma, node-postgres and others add.
//!
//! Each parameter is applied, or recorded as one that needs no effect here, or refused by name. A parameter that restricts
//! or protects (TLS, a schema, a kind of server) is never ignored.

mod harmless;
mod parameters;
mod ssl;

use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{ChannelBinding, SslMode, TargetSessionAttrs};

pub(super) use self::parameters::hosts;
pub(super) use self::ssl::Ssl;
use super::connection_url::{ConnectionUrl, set};
use super::host::Host;
use stores::{PostgresHost, PostgresServer, Verify};

/// The content of a PostgreSQL URL. Parts that the URL does not have are `None`, so that other settings can complete them.
#[derive(Clone, Debug, Default)]
pub(super) struct PostgresUrl {
    pub(super) hosts: Vec<Host>,
    /// The port of hosts without one.
    pub(super) port: Option<u16>,
    pub(super) user: Option<String>,
    pub(super) password: Option<Password>,
    pub(super) database: Option<String>,
    pub(super) ssl: Option<Ssl>,
    /// The parameter `ssl=`, which is less specific than `sslmode=` and may be combined with it.
    switch: Option<Ssl>,
    /// Prisma's `sslaccept=strict`.
    is_strict: bool,
    /// The schema of tables whose names have none.
    pub(super) schema: Option<String>,
    /// The most connections.
    pub(super) connections: Option<u32>,
    ca_file: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    /// The ports in `port=`, one for each host.
    ports: Vec<u16>,
    /// The timeout for connecting to each host.
    pub(super) host_timeout: Option<Duration>,
    application_name: Option<String>,
    options: Vec<String>,
    target: Option<TargetSessionAttrs>,
    channel_binding: Option<ChannelBinding>,
    /// Parameters that need no effect here, with the reason.
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

impl PostgresUrl {
    /// Reads a URL.
    ///
    /// # Errors
    /// Names the parameter that is wrong, unknown or unsupported. Never repeats a value that may be a secret.
    pub(super) fn read(url: &ConnectionUrl) -> Result<Self, String> {
        if url.fragment.is_some() {
            return Err(
                "a `#` ends a URL; if it is part of the password, write it as %23".to_owned(),
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

    /// Checks that no part contradicts another. It may be called again after settings were added.
    ///
    /// # Errors
    /// Names the parameter.
    pub(super) fn check(&mut self) -> Result<(), String> {
        if self.certificate.is_some() != self.key.is_some() {
            return Err(
                "parameters `sslcert` and `sslkey`: they name the gate's own certificate and its key, and must be given \
                 together; the certificate authority of the server is `sslrootcert`"
                    .to_owned(),
            );
        }
        self.check_modes()?;
        self.spread_ports()?;
        let names_system = self.ca_file.as_deref() == Some("system".as_ref());
        if names_system {
            self.ca_file = None;
        }
        match (self.ssl, self.ca_file.is_some() || names_system) {
            // Given authorities are meant to be used; libpq treats `require` the same way.
            (Some(Ssl::Require), true) if !names_system => self.ssl = Some(Ssl::VerifyCa),
            (None | Some(Ssl::Require), true) => self.ssl = Some(Ssl::VerifyFull),
            (Some(Ssl::Disable | Ssl::Prefer), true) => {
                return Err(
                    "parameter `sslrootcert`: the server's certificate is not verified with this `sslmode`; write \
                     sslmode=verify-full"
                        .to_owned(),
                );
            }
            (Some(Ssl::VerifyCa), true) if names_system => {
                return Err(
                    "parameter `sslmode`: the public authorities issue certificates to anybody, so the hostname must be \
                     verified too; write sslmode=verify-full"
                        .to_owned(),
                );
            }
            (Some(Ssl::Disable), false) if self.certificate.is_some() => {
                return Err("parameter `sslcert`: sslmode=disable turns TLS off".to_owned());
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
                        "parameter `channel_binding`: it needs TLS, which sslmode=disable turns off"
                            .to_owned(),
                    );
                }
                _ => Some(Ssl::Require),
            };
        }
        Ok(())
    }

    /// Combines `ssl=true` and `sslaccept=strict`, which mean part of what `sslmode` can express, with `sslmode`.
    fn check_modes(&mut self) -> Result<(), String> {
        self.ssl = match (self.switch, self.ssl) {
            (None, mode) => mode,
            (Some(Ssl::Require), Some(mode @ (Ssl::VerifyCa | Ssl::VerifyFull))) => Some(mode),
            (Some(switch), mode) if mode.is_none_or(|mode| mode == switch) => Some(switch),
            (Some(_), _) => {
                return Err(
                    "parameters `ssl` and `sslmode`: they contradict each other; keep `sslmode`"
                        .to_owned(),
                );
            }
        };
        match (self.is_strict, self.ssl) {
            (false, _) => {}
            (true, None | Some(Ssl::Require | Ssl::VerifyFull)) => self.ssl = Some(Ssl::VerifyFull),
            (true, Some(Ssl::Disable | Ssl::Prefer | Ssl::VerifyCa)) => {
                return Err(
                    "parameter `sslaccept`: `strict` and `sslmode` contradict each other; write sslmode=verify-full"
                        .to_owned(),
                );
            }
        }
        Ok(())
    }

    fn spread_ports(&mut self) -> Result<(), String> {
        if self.ports.is_empty() {
            return Ok(());
        }
        if self.ports.len() != self.hosts.len() {
            return Err("parameter `port`: give one port, or one for each host".to_owned());
        }
        for (host, port) in self.hosts.iter_mut().zip(&self.ports) {
            set(&mut host.port, *port).map_err(|what| format!("parameter `port`: {what}"))?;
        }
        Ok(())
    }

    /// Whether every host is the folder of a Unix socket.
    pub(super) fn is_on_sockets(&self) -> bool {
        !self.hosts.is_empty() && self.hosts.iter().all(|host| host.name.starts_with('/'))
    }

    /// Whether the URL names a port.
    pub(super) fn names_ports(&self) -> bool {
        self.port.is_some() || self.hosts.iter().any(|host| host.port.is_some())
    }

    /// The server, with PostgreSQL's own defaults for missing parts.
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

#[cfg(test)]
mod tests;
