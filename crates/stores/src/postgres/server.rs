//! The address of a PostgreSQL server, and connections to it.

use std::fmt;
use std::future::poll_fn;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::config::SslMode;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{AsyncMessage, Client, Config, NoTls, Notification, Row};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_util::sync::CancellationToken;

use super::super::connections::Opener;
use super::error::PostgresError;
use client_tls::{Authorities, TlsFileError, TlsOptions, Verification};

/// The address of a PostgreSQL server, and how to sign in. Its `Debug` and `Display` show no credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresServer {
    /// The hosts, tried in this order; at least one.
    pub hosts: Vec<PostgresHost>,
    /// Credentials and startup parameters. Names no host.
    pub config: Config,
    /// How long connecting to each host may take. With several hosts, each never gets more than its share of the time for
    /// a lookup.
    pub host_timeout: Option<Duration>,
    /// How the server's certificate is verified, if the connection is encrypted.
    pub verify: Verify,
    /// A file with the authorities to trust in place of the public ones.
    pub ca_file: Option<PathBuf>,
    /// The files with our own certificate and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// A host and its port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresHost {
    /// A name, an address without brackets, or the directory of a Unix socket, which begins with a slash.
    pub name: String,
    /// The port, which is also part of the name of a Unix socket.
    pub port: u16,
}

/// How the certificate of a server is verified (`sslmode` of libpq, §34.19.1 of PostgreSQL's manual).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verify {
    /// A trusted authority must have issued the certificate, for any host.
    Authority,
    /// A trusted authority must have issued the certificate for this host.
    AuthorityAndName,
    /// The certificate is not verified.
    #[default]
    Nothing,
}

impl PostgresServer {
    /// The name of the database, which is the same on every node.
    pub fn database(&self) -> &str {
        self.config
            .get_dbname()
            .or(self.config.get_user())
            .unwrap_or_default()
    }

    /// The files with certificates and keys that the settings name.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let identity = self.identity.iter();
        let identity = identity.flat_map(|(certificate, key)| [certificate, key]);
        self.ca_file.iter().chain(identity).map(PathBuf::as_path)
    }

    /// Checks that the files for TLS can be used.
    ///
    /// # Errors
    /// When a file cannot be used.
    pub fn check_files(&self) -> Result<(), TlsFileError> {
        if self.config.get_ssl_mode() == SslMode::Disable {
            return Ok(());
        }
        self.tls().map(drop)
    }

    /// Builds the TLS configuration. It reads the files for each connection, so that certificates can be replaced at run
    /// time.
    fn tls(&self) -> Result<MakeRustlsConnect, TlsFileError> {
        let authorities = || match &self.ca_file {
            Some(path) => Authorities::of_file(path),
            None => Ok(Authorities::public()),
        };
        let verification = match self.verify {
            Verify::Authority => Verification::Authority(authorities()?),
            Verify::AuthorityAndName => Verification::AuthorityAndName(authorities()?),
            Verify::Nothing => Verification::Nothing,
        };
        let identity = self.identity.as_ref();
        let config = client_tls::client_config(TlsOptions {
            verification,
            identity: identity.map(|(certificate, key)| (certificate.as_path(), key.as_path())),
        })?;
        Ok(MakeRustlsConnect::new(config))
    }

    /// Connects to the first host that accepts. `limit` is the time for a whole lookup, of which several hosts get
    /// equal shares. `on_notification`, if given, receives the server's notifications.
    pub(super) async fn connect(
        &self,
        limit: Duration,
        on_notification: Option<&NotificationHandler>,
    ) -> Result<Connection, PostgresError> {
        let count = u32::try_from(self.hosts.len()).unwrap_or(u32::MAX);
        let share = (count > 1).then(|| limit / count);
        let mut result = Err(PostgresError::Closed);
        for host in &self.hosts {
            let connecting = self.connect_to(host, on_notification);
            // Whatever `connect_timeout` says, time must remain for the next host.
            result = match [self.host_timeout, share].into_iter().flatten().min() {
                None => connecting.await,
                Some(limit) => timeout(limit, connecting)
                    .await
                    .unwrap_or(Err(PostgresError::TimedOut(limit))),
            };
            let is_final = |error: &PostgresError| error.is_refused_sign_in();
            if result.as_ref().map_or_else(is_final, |_| true) {
                break;
            }
        }
        result
    }

    async fn connect_to(
        &self,
        host: &PostgresHost,
        on_notification: Option<&NotificationHandler>,
    ) -> Result<Connection, PostgresError> {
        let mut config = self.config.clone();
        config.host(&host.name).port(host.port);
        if config.get_ssl_mode() == SslMode::Disable || host.is_socket() {
            // A Unix socket cannot be eavesdropped on, and libpq does not encrypt it either.
            config.ssl_mode(SslMode::Disable);
            let (client, driver) = config.connect(NoTls).await?;
            return Ok(Connection::new(client, driver, on_notification));
        }
        let (client, driver) = config.connect(self.tls()?).await?;
        Ok(Connection::new(client, driver, on_notification))
    }
}

impl PostgresHost {
    /// Whether this is the directory of a Unix socket.
    pub fn is_socket(&self) -> bool {
        self.name.starts_with('/')
    }
}

impl fmt::Display for PostgresHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, port } = self;
        match name.contains(':') && !self.is_socket() {
            true => write!(f, "[{name}]:{port}"),
            false => write!(f, "{name}:{port}"),
        }
    }
}

/// Shows hosts and database, without credentials.
impl fmt::Display for PostgresServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<_> = self.hosts.iter().map(ToString::to_string).collect();
        write!(f, "{}/{}", hosts.join(","), self.database())
    }
}

impl fmt::Debug for PostgresServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Postgres({self})")
    }
}

/// Opens connections to a PostgreSQL server.
pub(in super::super) struct PostgresOpener {
    pub(in super::super) server: PostgresServer,
    /// The time for a whole lookup.
    pub(in super::super) limit: Duration,
}

impl PostgresOpener {
    /// The lifetime of a connection: after a failover or a change in DNS, a server that should no longer be queried may
    /// still answer.
    pub(in super::super) const LIFETIME: Duration = Duration::from_secs(30 * 60);
}

impl Opener for PostgresOpener {
    type Connection = Connection;
    type Error = PostgresError;

    async fn open(&self) -> Result<Connection, PostgresError> {
        self.server.connect(self.limit, None).await
    }

    async fn close(connection: Connection) {
        let Connection {
            client, mut driver, ..
        } = connection;
        // Without its client, the driver closes the connection and ends.
        drop(client);
        let _ = (&mut driver.0).await;
    }

    fn closed() -> PostgresError {
        PostgresError::Closed
    }

    fn is_answer(error: &PostgresError) -> bool {
        match error {
            PostgresError::Driver(_) => error.sqlstate().is_some() && !error.is_fatal(),
            PostgresError::Column(_)
            | PostgresError::Hidden { .. }
            | PostgresError::NoColumn { .. }
            | PostgresError::NoTable => true,
            PostgresError::Closed | PostgresError::File(_) | PostgresError::TimedOut(_) => false,
        }
    }
}

/// A connection, and the task that reads and writes it. Dropping it ends both at once, even with an answer outstanding.
pub(in super::super) struct Connection {
    client: Client,
    driver: PostgresDriver,
    ended: CancellationToken,
}

struct PostgresDriver(JoinHandle<()>);

/// Receives notifications. It is called in the task that reads the connection, so it must not block.
pub(super) type NotificationHandler = Arc<dyn Fn(&Notification) + Send + Sync>;

impl Connection {
    fn new<S, T>(
        client: Client,
        mut driver: tokio_postgres::Connection<S, T>,
        on_notification: Option<&NotificationHandler>,
    ) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let on_notification = on_notification.map(Arc::clone);
        let ended = CancellationToken::new();
        let at_the_end = ended.clone().drop_guard();
        #[expect(
            clippy::disallowed_methods,
            reason = "its owner is the connection, which ends it"
        )]
        // The client reports an error of the driver to the next query.
        let driver = tokio::spawn(async move {
            let _at_the_end = at_the_end;
            let Some(on_notification) = on_notification else {
                drop(driver.await);
                return;
            };
            while let Some(Ok(message)) = poll_fn(|context| driver.poll_message(context)).await {
                if let AsyncMessage::Notification(notification) = message {
                    on_notification(&notification);
                }
            }
        });
        Self {
            client,
            driver: PostgresDriver(driver),
            ended,
        }
    }

    /// Runs statements without results, one after the other.
    pub(super) async fn run(&self, statements: &str) -> Result<(), PostgresError> {
        Ok(self.client.batch_execute(statements).await?)
    }

    /// Returns once the connection has ended.
    pub(super) async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Runs one statement in one round trip and returns its rows.
    ///
    /// The statement has no name, and is parsed, bound and executed in one message. So a pooler that gives each
    /// transaction to any of its connections (PgBouncer with `pool_mode=transaction`) cannot run another statement in
    /// its place: under a name, it could run the statement that another client prepared under the same name on another
    /// connection of the pooler, without an error (PgBouncer 1.18).
    pub(super) async fn query(
        &self,
        statement: &str,
        parameters: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Vec<Row>, PostgresError> {
        Ok(self.client.query_typed(statement, parameters).await?)
    }
}

impl Drop for PostgresDriver {
    fn drop(&mut self) {
        self.0.abort();
    }
}
