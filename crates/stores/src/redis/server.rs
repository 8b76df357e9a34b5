//! The address of a Redis, and how a connection to it is opened.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::{AsyncPushSender, MultiplexedConnection};
use redis::{AsyncConnectionConfig, ProtocolVersion, RedisConnectionInfo, RedisError};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;

use super::cluster::ClusterSeeds;
use super::refusal::{ROLE, code, describe};
use super::sentinel::Sentinels;
use client_tls::{Authorities, TlsFileError, TlsOptions, Verification};

/// The address of a Redis, and the credentials for it. Its `Debug` shows no credentials.
#[derive(Clone)]
pub struct RedisServer {
    /// The address.
    pub address: RedisAddress,
    /// User, password and the number of the database.
    pub login: RedisConnectionInfo,
}

/// The address of a Redis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisAddress {
    /// A cluster, discovered through these of its servers.
    Cluster(Box<ClusterSeeds>),
    /// One server at a host and port.
    Tcp {
        /// A name, or an address without brackets.
        host: String,
        /// The port.
        port: u16,
        /// Whether the connection uses TLS, and the server's certificate is verified.
        tls: bool,
    },
    /// The primary that these sentinels name.
    Sentinels(Box<Sentinels>),
    /// A Unix socket.
    Unix(PathBuf),
}

impl RedisServer {
    /// Checks that the CA file can be used, if it is needed.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub fn check_files(&self, ca_file: Option<&PathBuf>) -> Result<(), TlsFileError> {
        match self.address {
            RedisAddress::Cluster(ref seeds) if seeds.tls => config(ca_file).map(|_| ()),
            RedisAddress::Sentinels(ref sentinels) if sentinels.tls => config(ca_file).map(|_| ()),
            RedisAddress::Tcp { tls: true, .. } => config(ca_file).map(|_| ()),
            RedisAddress::Cluster(_)
            | RedisAddress::Sentinels(_)
            | RedisAddress::Tcp { tls: false, .. }
            | RedisAddress::Unix(_) => Ok(()),
        }
    }

    /// Opens a connection and signs in. `ca_file` is read each time, so that it can be replaced at run time. With
    /// sentinels, the connection leads to the primary that they name, and that reports this role itself; with a cluster,
    /// to one of its servers.
    ///
    /// # Errors
    /// When the server cannot be found or reached, does not prove its identity, or refuses the sign-in.
    pub(super) async fn connect(
        &self,
        ca_file: Option<&PathBuf>,
        timeout: Duration,
    ) -> Result<(MultiplexedConnection, RedisDriver), ConnectError> {
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(timeout));
        let login = self.login.clone();
        let (mut connection, driver) = self.open(ca_file, login, timeout, config).await?;
        if self.sentinels().is_some() {
            // Sentinels keep naming a former primary until they learn of the new one.
            prove_primary(&mut connection).await?;
        }
        Ok((connection, driver))
    }

    /// Opens a connection with RESP3, on which the server may push messages, and passes these to `pushes`. Pushed
    /// messages are about all databases of the server, so no database is selected.
    ///
    /// # Errors
    /// When the server cannot be found or reached, does not prove its identity, refuses the sign-in, or does not support
    /// RESP3.
    pub(super) async fn connect_with_pushes(
        &self,
        ca_file: Option<&PathBuf>,
        timeout: Duration,
        pushes: impl AsyncPushSender,
    ) -> Result<(MultiplexedConnection, RedisDriver), ConnectError> {
        let login = self.login.clone().set_db(0);
        let login = login.set_protocol(ProtocolVersion::RESP3);
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(Some(timeout))
            .set_push_sender(pushes);
        self.open(ca_file, login, timeout, config).await
    }

    /// The sentinels, if the address names any.
    pub(super) fn sentinels(&self) -> Option<&Sentinels> {
        match &self.address {
            RedisAddress::Sentinels(sentinels) => Some(sentinels),
            RedisAddress::Cluster(_) | RedisAddress::Tcp { .. } | RedisAddress::Unix(_) => None,
        }
    }

    /// Resolves sentinels to the primary that they name, within half of `limit`. Other addresses stay as they are.
    ///
    /// # Errors
    /// When no sentinel names a primary.
    pub(super) async fn located(
        &self,
        ca_file: Option<&PathBuf>,
        limit: Duration,
    ) -> Result<Self, ConnectError> {
        let Some(sentinels) = self.sentinels() else {
            return Ok(self.clone());
        };
        let (host, port) = sentinels.primary(ca_file, limit / 2).await?;
        let tls = sentinels.tls;
        Ok(Self {
            address: RedisAddress::Tcp { host, port, tls },
            login: self.login.clone(),
        })
    }

    async fn open(
        &self,
        ca_file: Option<&PathBuf>,
        login: RedisConnectionInfo,
        limit: Duration,
        config: AsyncConnectionConfig,
    ) -> Result<(MultiplexedConnection, RedisDriver), ConnectError> {
        match &self.address {
            RedisAddress::Cluster(seeds) => {
                let first = seeds.first_to_answer(&[], &login, ca_file, limit);
                let (connection, driver, _) = first.await?;
                Ok((connection, driver))
            }
            RedisAddress::Sentinels(sentinels) => {
                let (host, port) = sentinels.primary(ca_file, limit / 2).await?;
                open_tcp((&host, port), sentinels.tls, ca_file, login, config).await
            }
            RedisAddress::Tcp { host, port, tls } => {
                open_tcp((host, *port), *tls, ca_file, login, config).await
            }
            RedisAddress::Unix(path) => {
                sign_in(UnixStream::connect(path).await?, login, config).await
            }
        }
    }
}

/// Opens a connection to this host and port, and signs in.
pub(super) async fn open_tcp(
    (host, port): (&str, u16),
    tls: bool,
    ca_file: Option<&PathBuf>,
    login: RedisConnectionInfo,
    config: AsyncConnectionConfig,
) -> Result<(MultiplexedConnection, RedisDriver), ConnectError> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    if !tls {
        return sign_in(stream, login, config).await;
    }
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let connector = TlsConnector::from(Arc::new(self::config(ca_file)?));
    let stream = connector.connect(name, stream).await?;
    sign_in(stream, login, config).await
}

/// Checks that the server reports the role of a primary.
pub(super) async fn prove_primary(
    connection: &mut MultiplexedConnection,
) -> Result<(), ConnectError> {
    let command = redis::cmd(ROLE);
    let answer: Result<Vec<redis::Value>, _> = command.query_async(connection).await;
    let role = match answer {
        Ok(answer) => answer.into_iter().next(),
        Err(error) if code(&error).is_some() => {
            return Err(ConnectError::Sentinels(describe(ROLE, &error)));
        }
        Err(error) => return Err(error.into()),
    };
    match role.map(redis::from_redis_value::<String>) {
        Some(Ok(role)) if role == "master" => Ok(()),
        _ => Err(ConnectError::Sentinels(
            "the server that the sentinels name is not, or is no longer, a primary".to_owned(),
        )),
    }
}

async fn sign_in(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    login: RedisConnectionInfo,
    config: AsyncConnectionConfig,
) -> Result<(MultiplexedConnection, RedisDriver), ConnectError> {
    // A server with restricted users may refuse the command that would send the name of the client library.
    let login = login.set_skip_set_lib_name();
    let (connection, driver) =
        MultiplexedConnection::new_with_config(&login, stream, config).await?;
    #[expect(
        clippy::disallowed_methods,
        reason = "its owner is the connection, which ends it"
    )]
    let driver = RedisDriver(tokio::spawn(driver).abort_handle());
    Ok((connection, driver))
}

impl PartialEq for RedisServer {
    fn eq(&self, other: &Self) -> bool {
        let login = |server: &Self| {
            let login = &server.login;
            let [user, password] =
                [login.username(), login.password()].map(|text| text.map(str::to_owned));
            (login.db(), user, password)
        };
        self.address == other.address && login(self) == login(other)
    }
}

impl fmt::Debug for RedisServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redis({}, database {})", self.address, self.login.db())
    }
}

impl fmt::Display for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port, tls } => {
                let scheme = if *tls { "rediss" } else { "redis" };
                match host.contains(':') {
                    true => write!(f, "{scheme}://[{host}]:{port}"),
                    false => write!(f, "{scheme}://{host}:{port}"),
                }
            }
            Self::Cluster(seeds) => seeds.fmt(f),
            Self::Sentinels(sentinels) => sentinels.fmt(f),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

/// The task that reads and writes a connection. Dropping this ends the task at once, even with an answer outstanding.
#[derive(Debug)]
pub(super) struct RedisDriver(AbortHandle);

impl Drop for RedisDriver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The reason why a connection could not be opened.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    /// The CA file can no longer be used.
    #[error(transparent)]
    File(#[from] TlsFileError),
    /// The server cannot be reached, or does not prove its identity.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The server refuses the sign-in, or the driver reports another error.
    #[error(transparent)]
    Redis(#[from] RedisError),
    /// No sentinel names a primary, or the named server is not one.
    #[error("{0}")]
    Sentinels(String),
    /// No server of the cluster accepts a connection, or none is named.
    #[error("{0}")]
    Unknown(String),
}

fn config(ca_file: Option<&PathBuf>) -> Result<ClientConfig, TlsFileError> {
    let authorities = match ca_file {
        Some(path) => Authorities::of_file(path)?,
        None => Authorities::public(),
    };
    client_tls::client_config(TlsOptions {
        verification: Verification::AuthorityAndName(authorities),
        identity: None,
    })
}
