//! Reads the URLs of the harness. The binary has its own parser for the URLs that operators write.

use std::path::PathBuf;

use ::redis::{IntoConnectionInfo as _, RedisConnectionInfo};
use tokio_postgres::config::{Config, SslMode};
use url::Url;

use crate::{ClusterSeeds, PostgresHost, PostgresServer, RedisAddress, RedisServer, Verify};

/// Reads `postgres://user:password@host:port/database?sslmode=…&sslrootcert=…&options=…`.
pub(crate) fn postgres_server(url: &str) -> PostgresServer {
    let mut url = Url::parse(url).unwrap();
    let hosts = vec![PostgresHost {
        name: url.host_str().unwrap().to_owned(),
        port: url.port().unwrap_or(5432),
    }];
    let parameters: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let parameter = |name: &str| {
        let found = parameters.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone())
    };
    url.set_query(None);
    let given: Config = url.as_str().parse().unwrap();
    let mut config = Config::new();
    config.user(given.get_user().unwrap_or("postgres"));
    if let Some(password) = given.get_password() {
        config.password(password);
    }
    if let Some(database) = given.get_dbname() {
        config.dbname(database);
    }
    if let Some(options) = parameter("options") {
        config.options(options);
    }
    let (mode, verify) = match parameter("sslmode").as_deref() {
        Some("disable") => (SslMode::Disable, Verify::Nothing),
        None => (SslMode::Prefer, Verify::Nothing),
        Some("verify-full") => (SslMode::Require, Verify::AuthorityAndName),
        Some(other) => panic!("no test has sslmode={other}"),
    };
    config.ssl_mode(mode).application_name("sessiongate");
    PostgresServer {
        hosts,
        config,
        host_timeout: None,
        verify,
        ca_file: parameter("sslrootcert").map(PathBuf::from),
        identity: None,
    }
}

/// Reads `redis[s]://[user[:password]@]host:port[/database]`, `unix:///path`, or for a cluster
/// `redis[s]+cluster://[user:password@]host:port,host:port`.
pub(crate) fn redis_server(url: &str) -> RedisServer {
    if let Some((scheme, rest)) = url.split_once("+cluster://") {
        let (login, hosts) = rest.rsplit_once('@').unwrap_or(("", rest));
        let host = |host: &str| {
            let (name, port) = host.rsplit_once(':').unwrap();
            (name.to_owned(), port.parse().unwrap())
        };
        let seeds = ClusterSeeds {
            hosts: hosts.split(',').map(host).collect(),
            tls: scheme == "rediss",
        };
        let login = match login {
            "" => RedisConnectionInfo::default(),
            login => redis_server(&format!("redis://{login}@nowhere")).login,
        };
        let address = RedisAddress::Cluster(Box::new(seeds));
        return RedisServer { address, login };
    }
    // The driver is built without TLS support of its own, and refuses URLs that require TLS.
    let in_clear = url.replacen("rediss://", "redis://", 1);
    let login: RedisConnectionInfo = in_clear
        .into_connection_info()
        .unwrap()
        .redis_settings()
        .clone();
    let url = Url::parse(url).unwrap();
    let address = match url.host_str() {
        None => RedisAddress::Unix(url.path().into()),
        Some(host) => RedisAddress::Tcp {
            host: host.to_owned(),
            port: url.port().unwrap_or(6379),
            tls: url.scheme() == "rediss",
        },
    };
    RedisServer { address, login }
}
