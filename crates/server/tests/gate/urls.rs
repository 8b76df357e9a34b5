//! The addresses of PostgreSQL and Redis: URLs with parameters, the settings that complete them, and IPv6.

mod messages;

use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use harness::{CutProxy, Echo, Gate, GateCommand, Postgres, Redis, Request, free_port, poll};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

use crate::support::{cached_in, gate, signed_in, status};

const PASSWORD: &str = Postgres::PASSWORD;

const USERS: &str = "\
CREATE TABLE users (id text PRIMARY KEY); INSERT INTO users VALUES ('ada');
CREATE SCHEMA tenant;
CREATE TABLE tenant.users (id text PRIMARY KEY); INSERT INTO tenant.users VALUES ('eve')";

/// Returns the command of a gate that looks users up and caches nothing.
fn checking(echo: &Echo) -> GateCommand {
    gate(&echo.url())
        .env("ENABLE_DB_CHECK", "true")
        .env("MEMORY_CACHE_TTL", "0")
        .env("DATABASE_TIMEOUT", "10000")
}

async fn status_of(gate: &Gate, user: &str) -> Result<u16> {
    Ok(gate.send(&signed_in("/", user)).await?.status)
}

/// Returns the statuses of `ada`, who is in `public.users`, and `eve`, who is in `tenant.users`, with this database.
async fn statuses_of_users(command: GateCommand) -> Result<(u16, u16)> {
    let gate = command.start().await?;
    Ok((
        status_of(&gate, "ada").await?,
        status_of(&gate, "eve").await?,
    ))
}

const PUBLIC: (u16, u16) = (200, 403);
const TENANT: (u16, u16) = (403, 200);

#[tokio::test]
async fn users_are_looked_up_in_the_schema_of_the_url() -> Result<()> {
    let postgres = Postgres::start().await?;
    postgres.execute(USERS).await?;
    let echo = Echo::start().await?;
    let url = postgres.url(Postgres::DATABASE);
    for (parameters, expected) in [
        ("", PUBLIC),
        ("?schema=public", PUBLIC),
        ("?schema=tenant", TENANT),
        ("?search_path=Tenant", TENANT),
        ("?currentSchema=tenant", TENANT),
        ("?options=-c%20search_path%3Dtenant", TENANT),
        ("?options=--search-path%3Dtenant", TENANT),
        (
            "?schema=tenant&pgbouncer=true&connection_limit=1&pool_timeout=1",
            TENANT,
        ),
    ] {
        let command = checking(&echo).env("DATABASE_URL", format!("{url}{parameters}"));
        assert_eq!(statuses_of_users(command).await?, expected, "{parameters}");
    }
    // The name of a table may contain another schema.
    let command = checking(&echo)
        .env("DATABASE_URL", format!("{url}?schema=tenant"))
        .env("USER_TABLE", "public.users");
    assert_eq!(statuses_of_users(command).await?, PUBLIC);
    // Prisma quotes the schema, so one in upper case is another schema.
    let command = checking(&echo).env("DATABASE_URL", format!("{url}?schema=Tenant"));
    assert_eq!(statuses_of_users(command).await?, (503, 503));
    Ok(())
}

#[tokio::test]
async fn sessions_are_looked_up_in_the_schema_of_the_url_too() -> Result<()> {
    let postgres = Postgres::start().await?;
    for schema in ["public", "tenant"] {
        let tables = format!(
            "CREATE SCHEMA IF NOT EXISTS {schema};
             CREATE TABLE {schema}.users (id int, name text, email text, \"emailVerified\" timestamptz);
             CREATE TABLE {schema}.sessions (\"userId\" int, expires timestamptz, \"sessionToken\" text);
             INSERT INTO {schema}.users VALUES (1, '{schema}', '{schema}@example.com', now());
             INSERT INTO {schema}.sessions VALUES (1, now() + interval '1 hour', 'token-of-{schema}')"
        );
        postgres.execute(&tables).await?;
    }
    let echo = Echo::start().await?;
    let url = postgres.url(Postgres::DATABASE);
    for (parameters, good, bad) in [
        ("", "public", "tenant"),
        ("?schema=tenant", "tenant", "public"),
    ] {
        let gate = gate(&echo.url())
            .env("SESSION_FORMAT", "authjs-database")
            .env("DATABASE_URL", format!("{url}{parameters}"))
            .env("MEMORY_CACHE_TTL", "0")
            .start()
            .await?;
        let cookie = |schema: &str| format!("authjs.session-token=token-of-{schema}");
        assert_eq!(status(&gate, &cookie(bad)).await?, 401, "{parameters}");
        assert_eq!(status(&gate, &cookie(good)).await?, 200, "{parameters}");
        let seen = echo.seen().pop().context("it reached the upstream")?;
        assert_eq!(seen.headers.get("x-user-name"), Some(good));
    }
    Ok(())
}

/// A relay in front of a server that records what clients send.
struct Recorder {
    port: u16,
    sent: Arc<Mutex<Vec<u8>>>,
    _task: JoinSet<()>,
}

impl Recorder {
    async fn start(target: String) -> Result<Self> {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let sent = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&sent);
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let (target, kept) = (target.clone(), Arc::clone(&kept));
                connections.spawn(async move {
                    // If either side fails, the connection ends, and the test examines the recorded bytes.
                    let _ = relay(client, &target, &kept).await;
                });
            }
        });
        Ok(Self {
            port,
            sent,
            _task: task,
        })
    }

    fn sent(&self) -> Vec<u8> {
        self.sent.lock().expect("no panic").clone()
    }
}

async fn relay(
    client: tokio::net::TcpStream,
    target: &str,
    kept: &Mutex<Vec<u8>>,
) -> std::io::Result<()> {
    let server = tokio::net::TcpStream::connect(target).await?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let upward = async {
        let mut block = vec![0; 4096];
        while let Ok(length @ 1..) = from_client.read(&mut block).await {
            kept.lock().expect("no panic").extend(&block[..length]);
            to_server.write_all(&block[..length]).await?;
        }
        to_server.shutdown().await
    };
    let downward = tokio::io::copy(&mut from_server, &mut to_client);
    tokio::try_join!(upward, downward).map(drop)
}

/// The message by which a client asks whether the server supports TLS (PostgreSQL's manual, §55.7).
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

#[tokio::test]
async fn nothing_is_sent_in_the_clear_to_a_server_without_tls() -> Result<()> {
    let postgres = Postgres::start().await?;
    postgres.execute(USERS).await?;
    let echo = Echo::start().await?;
    for parameters in [
        "?ssl=true",
        "?ssl=1&schema=public",
        "?sslMode=require",
        "?sslmode=Verify-Full",
        "?ssl=no&ssl_mode=disable",
        "?channel_binding=require",
        "?sslmode=prefer&channel_binding=require",
    ] {
        let recorder = Recorder::start(postgres.address()).await?;
        let address = format!("127.0.0.1:{}", recorder.port);
        let url = postgres.url_through(&address, Postgres::DATABASE);
        let command = checking(&echo).env("DATABASE_URL", format!("{url}{parameters}"));
        let gate = command.start().await?;
        let status = status_of(&gate, "ada").await?;
        let sent = recorder.sent();
        if parameters.contains("disable") {
            // Without TLS, the recorder does see the connection's text.
            assert_eq!(status, 200);
            assert!(sent.windows(4).any(|bytes| bytes == b"gate"));
            continue;
        }
        assert_eq!(status, 503, "{parameters}");
        let (requests, rest) = sent.as_chunks::<8>();
        assert!(!requests.is_empty() && rest.is_empty(), "{parameters}");
        assert!(
            requests.iter().all(|bytes| *bytes == SSL_REQUEST),
            "{parameters}"
        );
    }
    Ok(())
}

/// Returns the server's data about TLS on the gate's connections.
async fn encrypted(postgres: &Postgres) -> Result<String> {
    let sql = "SELECT DISTINCT ssl, coalesce(client_dn, '-') FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
               WHERE application_name = 'sessiongate'";
    postgres.execute(sql).await
}

/// Creates a client certificate for the role `gate`, signed by the authority of the server; returns its URL parameters.
async fn client_certificate(postgres: &Postgres, folder: &Path) -> Result<String> {
    let authority = postgres.authority();
    let (certificate, key) = (folder.join("client.pem"), folder.join("client.key"));
    let mut openssl = Command::new("openssl");
    openssl.args(
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=gate"
            .split(' '),
    );
    openssl.arg("-CA").arg(authority);
    openssl
        .arg("-CAkey")
        .arg(authority.with_file_name("authority.key"));
    openssl
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate);
    harness::run(openssl, "openssl").await?;
    let set = format!("ALTER SYSTEM SET ssl_ca_file = '{}'", authority.display());
    postgres.execute(&set).await?;
    postgres.execute("SELECT pg_reload_conf()").await?;
    poll("the server to load its authority", async || {
        let shown = postgres.execute("SHOW ssl_ca_file").await.ok()?;
        (!shown.is_empty()).then_some(())
    })
    .await?;
    Ok(format!(
        "sslcert={}&sslkey={}",
        certificate.display(),
        key.display()
    ))
}

#[tokio::test]
async fn tls_parameters_of_the_database_url_take_effect() -> Result<()> {
    let postgres = Postgres::options().tls().start().await?;
    postgres.execute(USERS).await?;
    let echo = Echo::start().await?;
    let url = postgres.url(Postgres::DATABASE);
    let folder = tempfile::tempdir()?;
    let authority = postgres.authority().display().to_string();
    let certificate = client_certificate(&postgres, folder.path()).await?;
    for (parameters, status, expected) in [
        ("sslmode=disable".to_owned(), 200, "f|-"),
        ("ssl=true".to_owned(), 200, "t|-"),
        ("sslMode=require".to_owned(), 200, "t|-"),
        ("channel_binding=require".to_owned(), 200, "t|-"),
        (format!("sslrootcert={authority}"), 200, "t|-"),
        (
            format!("sslmode=verify-full&sslrootcert={authority}"),
            200,
            "t|-",
        ),
        (
            format!("ssl=true&sslmode=verify-ca&ssl_ca={authority}"),
            200,
            "t|-",
        ),
        // No public authority has signed this server's certificate.
        ("sslmode=verify-full".to_owned(), 503, ""),
        ("sslrootcert=system".to_owned(), 503, ""),
        ("sslmode=require&sslaccept=strict".to_owned(), 503, ""),
        (format!("sslmode=require&{certificate}"), 200, "t|/CN=gate"),
    ] {
        let gate = checking(&echo)
            .env("DATABASE_URL", format!("{url}?{parameters}"))
            .start()
            .await?;
        assert_eq!(status_of(&gate, "ada").await?, status, "{parameters}");
        assert_eq!(encrypted(&postgres).await?, expected, "{parameters}");
        drop(gate);
        poll("the connections to end", async || {
            let left = encrypted(&postgres).await.ok()?;
            left.is_empty().then_some(())
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_first_suitable_host_of_a_database_url_is_used() -> Result<()> {
    let (reading, writing) = (Postgres::start().await?, Postgres::start().await?);
    // Ada is in the first database, Eve in the second.
    reading.execute(USERS).await?;
    writing
        .execute("CREATE TABLE users (id text PRIMARY KEY); INSERT INTO users VALUES ('eve')")
        .await?;
    let read_only = format!(
        "ALTER DATABASE {} SET default_transaction_read_only = on",
        Postgres::DATABASE
    );
    reading.execute(&read_only).await?;
    let echo = Echo::start().await?;
    let dead = format!("127.0.0.1:{}", free_port());
    let (first, second) = (reading.address(), writing.address());
    let (first_port, second_port) = (reading.port(), writing.port());
    for (hosts, parameters, expected) in [
        (format!("{dead},{first}"), String::new(), PUBLIC),
        (
            format!("{dead},{first}"),
            "?connect_timeout=9".to_owned(),
            PUBLIC,
        ),
        (format!("{first},{second}"), String::new(), PUBLIC),
        (
            format!("{first},{second}"),
            "?target_session_attrs=any".to_owned(),
            PUBLIC,
        ),
        (
            format!("{first},{second}"),
            "?target_session_attrs=read-write".to_owned(),
            TENANT,
        ),
        (
            format!("{first},{second}"),
            "?targetServerType=primary".to_owned(),
            TENANT,
        ),
        (
            format!("{second},{first}"),
            "?target_session_attrs=read-only".to_owned(),
            PUBLIC,
        ),
        (
            String::new(),
            format!(
                "?host=127.0.0.1,127.0.0.1&port={first_port},{second_port}&target_session_attrs=primary"
            ),
            TENANT,
        ),
        (
            first,
            "?target_session_attrs=read-write".to_owned(),
            (503, 503),
        ),
    ] {
        let url = format!("postgres://gate:{PASSWORD}@{hosts}/app{parameters}");
        let command = checking(&echo).env("DATABASE_URL", &url);
        assert_eq!(statuses_of_users(command).await?, expected, "{url}");
    }
    Ok(())
}

#[tokio::test]
async fn sockets_and_separate_settings_reach_the_database() -> Result<()> {
    let postgres = Postgres::start().await?;
    postgres.execute(USERS).await?;
    let echo = Echo::start().await?;
    let socket = postgres.execute("SHOW unix_socket_directories").await?;
    let encoded = socket.replace('/', "%2F");
    let (address, port) = (postgres.address(), postgres.port().to_string());
    let urls = [
        format!("postgres://gate:{PASSWORD}@/app?host={socket}&port={port}"),
        format!("postgres://gate:{PASSWORD}@localhost:{port}/app?host={socket}&schema=public"),
        format!("postgres://gate:{PASSWORD}@{encoded}:{port}/app"),
        format!("postgres://gate:{PASSWORD}@{encoded}/app?port={port}&sslmode=require"),
        format!("postgresql:///app?host={socket}&port={port}&user=gate&password={PASSWORD}"),
    ];
    for url in &urls {
        let command = checking(&echo).env("DATABASE_URL", url);
        assert_eq!(statuses_of_users(command).await?, PUBLIC, "{url}");
    }
    let whole = format!("postgres://gate:{PASSWORD}@{address}/app");
    for (url, parts) in [
        (
            format!("postgres://gate@{address}/app"),
            vec![("POSTGRES_PASSWORD", PASSWORD)],
        ),
        (
            format!("postgres://{address}/app"),
            vec![("POSTGRES_PASSWORD", PASSWORD), ("POSTGRES_USER", "gate")],
        ),
        (
            "postgres://127.0.0.1".to_owned(),
            vec![
                ("POSTGRES_PASSWORD", PASSWORD),
                ("POSTGRES_USER", "gate"),
                ("POSTGRES_PORT", &port),
                ("POSTGRES_DB", "app"),
            ],
        ),
        (
            format!("postgres://gate:{PASSWORD}@/app"),
            vec![("POSTGRES_HOST", &socket), ("POSTGRES_PORT", &port)],
        ),
        // Settings that agree with the URL do no harm.
        (
            whole,
            vec![
                ("POSTGRES_PASSWORD", PASSWORD),
                ("POSTGRES_HOST", "127.0.0.1"),
                ("POSTGRES_PORT", &port),
            ],
        ),
        (
            String::new(),
            vec![
                ("POSTGRES_HOST", &address),
                ("POSTGRES_PASSWORD", PASSWORD),
                ("POSTGRES_USER", "gate"),
                ("POSTGRES_DB", "app"),
            ],
        ),
    ] {
        let command = checking(&echo)
            .env("DATABASE_URL", &url)
            .envs(parts.clone());
        assert_eq!(statuses_of_users(command).await?, PUBLIC, "{url} {parts:?}");
    }
    Ok(())
}

#[tokio::test]
async fn redis_credentials_from_settings_and_url_parameters_work() -> Result<()> {
    let postgres = Postgres::start().await?;
    postgres.execute(USERS).await?;
    let redis = Redis::options().password("pw-of-default").start().await?;
    redis
        .cli(["ACL", "SETUSER", "gate", "on", ">pw-of-gate", "~*", "+@all"])
        .await?;
    let echo = Echo::start().await?;
    let address = redis.address();
    let port = redis.port().to_string();
    let bare = format!("redis://{address}");
    let default = ("REDIS_PASSWORD", "pw-of-default");
    let user = [("REDIS_USERNAME", "gate"), ("REDIS_PASSWORD", "pw-of-gate")];
    for (url, parts) in [
        (bare.clone(), vec![default]),
        (format!("{bare}?password=pw-of-default"), vec![]),
        (
            format!("{bare}/1?username=gate&password=pw-of-gate"),
            vec![],
        ),
        (bare, user.to_vec()),
        (format!("redis://gate@{address}"), vec![user[1]]),
        (
            "redis://127.0.0.1".to_owned(),
            vec![default, ("REDIS_PORT", &port)],
        ),
        (
            String::new(),
            vec![user[0], user[1], ("REDIS_HOST", &address)],
        ),
        // The variables that Kubernetes sets for a service called `redis`.
        (
            String::new(),
            vec![
                default,
                ("REDIS_HOST", &address),
                ("REDIS_PORT", "tcp://10.96.0.10:6379"),
            ],
        ),
    ] {
        redis.cli(["FLUSHALL"]).await?;
        let gate = checking(&echo)
            .env("DATABASE_URL", postgres.url(Postgres::DATABASE))
            .env("REDIS_URL", &url)
            .envs(parts.clone())
            .start()
            .await?;
        assert_eq!(status_of(&gate, "ada").await?, 200);
        let number = if url.contains("/1?") { "1" } else { "0" };
        poll("the user to be cached", async || {
            let found = redis.cli(["-n", number, "EXISTS", "auth:ada"]).await.ok()?;
            (found == "1").then_some(())
        })
        .await
        .with_context(|| format!("{url} {parts:?}"))?;
        if parts.iter().any(|(_, value)| value.starts_with("tcp:")) {
            let mentions = |line: &str| line.contains("enableServiceLinks").then_some(());
            gate.stderr().wait_for(mentions).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn unused_kubernetes_port_variables_do_not_prevent_the_start() -> Result<()> {
    let (echo, gate) = crate::support::started([
        ("REDIS_PORT", "tcp://10.96.0.10:6379"),
        ("REDIS_SERVICE_HOST", "10.96.0.10"),
        ("REDIS_PORT_6379_TCP", "tcp://10.96.0.10:6379"),
        ("POSTGRES_PORT", "tcp://10.96.0.11:5432"),
    ])
    .await?;
    assert_eq!(status_of(&gate, "ada").await?, 200);
    assert_eq!(echo.seen().len(), 1);
    Ok(())
}

#[tokio::test]
async fn ipv6_addresses_work_in_every_setting() -> Result<()> {
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        eprintln!("skipped: this machine has no ::1");
        return Ok(());
    }
    let (postgres, redis, echo) = (
        Postgres::start().await?,
        Redis::start().await?,
        Echo::start().await?,
    );
    postgres.execute(USERS).await?;
    let ip = Ipv6Addr::LOCALHOST.into();
    let database = CutProxy::start_on(ip, &postgres.address()).await?;
    let cache = CutProxy::start_on(ip, &redis.address()).await?;
    let upstream = CutProxy::start_on(ip, &echo.address().to_string()).await?;
    let (database_port, cache_port) = (database.port().to_string(), cache.port().to_string());
    let in_brackets = |port: &str| format!("[::1]:{port}");
    let credentials = [
        ("POSTGRES_USER", "gate"),
        ("POSTGRES_PASSWORD", PASSWORD),
        ("POSTGRES_DB", "app"),
    ];
    let command = || {
        checking(&echo)
            .env("UPSTREAM", format!("http://[::1]:{}", upstream.port()))
            .env("LISTEN", "[::1]:0")
            .env("ADMIN_LISTEN", "[::1]:0")
            .env("REDIS_CACHE_TTL", "60")
            .envs(credentials)
    };
    let commands = [
        command()
            .env(
                "DATABASE_URL",
                format!("postgres://[::1]:{database_port}/app"),
            )
            .env("REDIS_URL", format!("redis://[::1]:{cache_port}")),
        command()
            .env(
                "DATABASE_URL",
                format!("postgres:///app?host=::1&port={database_port}"),
            )
            .env("REDIS_HOST", in_brackets(&cache_port)),
        command()
            .env("POSTGRES_HOST", "[::1]")
            .env("POSTGRES_PORT", &database_port)
            .env("REDIS_HOST", "[::1]")
            .env("REDIS_PORT", &cache_port),
        command()
            .env("POSTGRES_HOST", "::1")
            .env("POSTGRES_PORT", &database_port)
            .env("REDIS_HOST", "::1")
            .env("REDIS_PORT", &cache_port),
        command()
            .env("POSTGRES_HOST", in_brackets(&database_port))
            .env("REDIS_URL", "redis://[::1]")
            .env("REDIS_PORT", &cache_port),
    ];
    for command in commands {
        redis.cli(["FLUSHALL"]).await?;
        let gate = command.clone().start().await?;
        assert!(gate.proxy.is_ipv6() && gate.admin.is_ipv6());
        assert_eq!(status_of(&gate, "ada").await?, 200, "{command:?}");
        assert_eq!(status_of(&gate, "eve").await?, 403, "{command:?}");
        assert!(cached_in(&redis).await?.contains("auth:ada"));
    }
    // A client with an IPv6 address behind a proxy that is trusted by its IPv6 address.
    for trusted in ["::1", "[::1]", "::1/128"] {
        let gate = command()
            .env("DATABASE_URL", postgres.url(Postgres::DATABASE))
            .env("TRUSTED_PROXIES", trusted)
            .start()
            .await?;
        let request = Request::get("/").header("X-Forwarded-For", "2001:db8::7");
        gate.send(&request).await?;
        let line = gate.wait_for_audit(|_| true).await?;
        assert!(
            line.to_string().contains("2001:db8::7"),
            "{trusted}: {line}"
        );
    }
    Ok(())
}
