//! Where a Redis is, and how a line to it is opened.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisConnectionInfo, RedisError};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;

use client_tls::{Authorities, Proof, Terms, TlsFileError};

/// Where a Redis is, and its credentials. Printing it shows only where.
#[derive(Clone)]
pub struct RedisServer {
    /// The other end of the line.
    pub address: RedisAddress,
    /// User, password and the number of the database.
    pub login: RedisConnectionInfo,
}

/// The other end of a line to Redis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisAddress {
    /// A host.
    Tcp {
        /// A name, or an address without brackets.
        host: String,
        /// The port.
        port: u16,
        /// Whether the line is encrypted, and the server's certificate verified.
        tls: bool,
    },
    /// A Unix socket.
    Unix(PathBuf),
}

impl RedisServer {
    /// Makes sure that the CA file can be used, if it is needed.
    ///
    /// # Errors
    /// When it cannot.
    pub fn check_files(&self, ca_file: Option<&PathBuf>) -> Result<(), TlsFileError> {
        match self.address {
            RedisAddress::Tcp { tls: true, .. } => config(ca_file).map(|_| ()),
            RedisAddress::Tcp { tls: false, .. } | RedisAddress::Unix(_) => Ok(()),
        }
    }

    /// Opens a line and signs in. The certificates of `ca_file` are read anew each time, so that they can be replaced while
    /// we run.
    ///
    /// # Errors
    /// When the server cannot be reached, does not prove who it is, or does not let us in.
    pub(super) async fn connect(
        &self,
        ca_file: Option<&PathBuf>,
        timeout: Duration,
    ) -> Result<(MultiplexedConnection, Driver), ConnectError> {
        match &self.address {
            RedisAddress::Unix(path) => {
                self.sign_in(UnixStream::connect(path).await?, timeout)
                    .await
            }
            RedisAddress::Tcp { host, port, tls } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                if !tls {
                    return self.sign_in(stream, timeout).await;
                }
                let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
                let connector = TlsConnector::from(Arc::new(config(ca_file)?));
                self.sign_in(connector.connect(name, stream).await?, timeout)
                    .await
            }
        }
    }

    async fn sign_in(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        timeout: Duration,
    ) -> Result<(MultiplexedConnection, Driver), ConnectError> {
        // Servers with restricted users refuse the command that would tell them our name.
        let login = self.login.clone().set_skip_set_lib_name();
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(timeout));
        let (connection, driver) =
            MultiplexedConnection::new_with_config(&login, stream, config).await?;
        #[expect(
            clippy::disallowed_methods,
            reason = "its owner is the line, which ends it"
        )]
        let driver = Driver(tokio::spawn(driver).abort_handle());
        Ok((connection, driver))
    }
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
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

/// The task that moves the bytes of a line. Dropped, it ends at once, whatever the server is still to say.
#[derive(Debug)]
pub(super) struct Driver(AbortHandle);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Why there is no line.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    /// The CA file cannot be used any more.
    #[error(transparent)]
    File(#[from] TlsFileError),
    /// The server cannot be reached, or does not prove who it is.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The server does not let us in.
    #[error(transparent)]
    Redis(#[from] RedisError),
}

fn config(ca_file: Option<&PathBuf>) -> Result<ClientConfig, TlsFileError> {
    let authorities = match ca_file {
        Some(path) => Authorities::of_file(path)?,
        None => Authorities::public(),
    };
    client_tls::client_config(Terms {
        proof: Proof::AuthorityAndName(authorities),
        identity: None,
    })
}
