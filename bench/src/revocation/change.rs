//! The changes that end access, and the stores where they are made.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use harness::{Postgres, mint};
use serde_json::json;
use session::{Secret, seal};
use tokio::runtime::Runtime;
use tokio::time::timeout;
use tokio_postgres::NoTls;
use xtask::step::output;

use super::node::Person;
use super::socket;
use crate::lab::{Cookies, Lab, USERS, user};

/// The group of stores that the gates use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stores {
    /// Users in PostgreSQL, with a cache in Redis; both notify the gates of changes.
    Postgres,
    /// Sessions of Better Auth in Redis, which notifies the gates of changes.
    Redis,
}

/// A change that ends a user's access.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    /// The user is deleted.
    Delete,
    /// The session is deleted.
    DeleteSession,
    /// The user's sessions are revoked.
    Revoke,
    /// The app revokes the user's sessions.
    RevokeByApp,
    /// The user loses the role that the route demands.
    Role,
}

/// The addresses of the stores, for the gates and for the client that makes changes.
#[derive(Clone, Debug)]
pub(super) struct Places {
    /// `DATABASE_URL` and `LISTEN_DATABASE_URL`.
    pub(super) database: String,
    pub(super) listen: String,
    /// `REDIS_URL`.
    pub(super) redis: String,
    /// The URL for changes in PostgreSQL: it lists all servers and leads to the primary.
    pub(super) truth: String,
    pub(super) redis_ports: Vec<u16>,
    /// The port of the WebSocket service.
    pub(super) sockets: u16,
}

/// The client that makes changes.
pub(super) enum Client {
    Postgres(Runtime, Box<tokio_postgres::Client>),
    /// A connection to the primary, and whether it has replicas.
    Redis(TcpStream, bool),
}

impl Places {
    /// Returns the addresses of the lab's stores.
    pub(super) fn of(lab: &Lab, sockets: u16) -> Self {
        let database = lab.postgres.url(Postgres::DATABASE);
        Self {
            listen: database.clone(),
            redis: lab.redis.url(),
            truth: database.clone(),
            redis_ports: vec![lab.redis.port()],
            database,
            sockets,
        }
    }
}

impl Change {
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Delete => "user deleted in PostgreSQL",
            Self::DeleteSession => "session deleted in Redis",
            Self::Revoke => "user revoked in PostgreSQL",
            Self::RevokeByApp => "user's sessions revoked by Better Auth in Redis",
            Self::Role => "role taken away in PostgreSQL",
        }
    }
}

impl Stores {
    pub(super) const ALL: [Self; 2] = [Self::Postgres, Self::Redis];

    pub(super) fn changes(self) -> Vec<Change> {
        match self {
            Self::Postgres => vec![Change::Delete, Change::Role, Change::Revoke],
            Self::Redis => vec![Change::DeleteSession, Change::RevokeByApp],
        }
    }

    /// Returns the users that are changed, and as many others.
    pub(super) fn people(self, lab: &Lab, changes: usize) -> Result<Vec<Person>> {
        ensure!(2 * changes <= USERS, "there are only {USERS} users");
        let cookies = fs::read_to_string(lab.cookies(Cookies::Many))?;
        let people = cookies.lines().take(2 * changes).enumerate();
        Ok(people
            .map(|(number, cookie)| match self {
                Self::Postgres => Person::new(user(number), String::new(), cookie.to_owned()),
                Self::Redis => {
                    // As long as a token of Better Auth.
                    let token = format!("tokenofuser{number:021}");
                    let sealed = seal::better_auth_token(&Secret::new(mint::SECRET), &token);
                    let cookie = format!("better-auth.session_token={sealed}");
                    Person::new(user(number), token, cookie)
                }
            })
            .collect())
    }

    /// Creates what must exist before a gate starts.
    pub(super) fn prepare(self, lab: &Lab, places: &Places, people: &[Person]) -> Result<()> {
        let mut client = self.client(places)?;
        match &mut client {
            Client::Postgres(runtime, client) => {
                let sql = "ALTER TABLE users ADD role text NOT NULL DEFAULT 'admin'";
                runtime.block_on(client.batch_execute(sql))?;
                for words in [["revocations", "install"], ["db", "install"]] {
                    let mut command = Command::new(&lab.gate);
                    command.args(words).envs(self.environment(lab, places)?);
                    output(command.env("UPSTREAM", "http://127.0.0.1:1"))?;
                }
            }
            Client::Redis(redis, _) => {
                for Person { id, token, .. } in people {
                    let value = json!({
                        "session": {
                            "token": token, "userId": id,
                            "expiresAt": "2100-01-01T00:00:00.000Z", "createdAt": "2020-01-01T00:00:00.000Z",
                        },
                        "user": {"id": id, "email": "ada@example.com", "name": "Ada Lovelace"},
                    });
                    let key = format!("better-auth:{token}");
                    send_command(redis, &["SET", &key, &value.to_string()])?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn environment(
        self,
        lab: &Lab,
        places: &Places,
    ) -> Result<Vec<(&'static str, String)>> {
        let on = || "true".to_owned();
        let demand = match self {
            Self::Postgres => "require = [{ column = \"role\", equals = \"admin\" }]\n",
            Self::Redis => "",
        };
        let (path, port) = (socket::PATH, places.sockets);
        let routes = format!(
            "[[route]]\npath = \"{path}\"\nupstream = \"http://127.0.0.1:{port}\"\n{demand}\
             [[route]]\npath = \"/\"\n{demand}"
        );
        let mut environment = vec![
            ("REDIS_URL", places.redis.clone()),
            ("REDIS_TRACKING", on()),
            ("SESSIONGATE_CONFIG", lab.file("revocation.toml", &routes)?),
        ];
        match self {
            Self::Postgres => environment.extend([
                ("AUTH_SECRET", mint::SECRET.to_owned()),
                ("ENABLE_DB_CHECK", on()),
                ("DATABASE_URL", places.database.clone()),
                ("LISTEN_DATABASE_URL", places.listen.clone()),
                ("REVOCATION_STORE", "postgres".to_owned()),
            ]),
            Self::Redis => environment.extend([
                ("BETTER_AUTH_SECRET", mint::SECRET.to_owned()),
                ("SESSION_FORMAT", "better-auth".to_owned()),
                ("SESSION_STORE", "redis".to_owned()),
            ]),
        }
        Ok(environment)
    }

    pub(super) fn client(self, places: &Places) -> Result<Client> {
        Ok(match self {
            Self::Postgres => {
                let runtime = tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(1)
                    .enable_all()
                    .build()?;
                let connecting = tokio_postgres::connect(&places.truth, NoTls);
                let connecting = async { timeout(TIMEOUT, connecting).await };
                let (client, connection) = runtime.block_on(connecting)??;
                runtime.spawn(connection);
                Client::Postgres(runtime, Box::new(client))
            }
            Self::Redis => {
                let mut ports = places.redis_ports.iter();
                let primary = ports.find_map(|port| primary_at(*port).ok().flatten());
                let primary = primary.context("no Redis is a primary")?;
                Client::Redis(primary, places.redis_ports.len() > 1)
            }
        })
    }
}

/// Returns a connection to the Redis at this port, if it is a primary.
fn primary_at(port: u16) -> Result<Option<TcpStream>> {
    let mut redis = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    redis.set_nodelay(true)?;
    redis.set_read_timeout(Some(TIMEOUT))?;
    let role = send_command(&mut redis, &["ROLE"])?;
    Ok(role.contains("master").then_some(redis))
}

impl Client {
    /// Makes this change and returns when the store has confirmed it.
    pub(super) fn make(&mut self, change: Change, of: &Person) -> Result<()> {
        let Person { id, token, .. } = of;
        match self {
            Self::Postgres(runtime, client) => {
                let sql = match change {
                    Change::Delete => format!("DELETE FROM users WHERE id = '{id}'"),
                    Change::Role => format!("UPDATE users SET role = 'user' WHERE id = '{id}'"),
                    Change::Revoke | Change::DeleteSession | Change::RevokeByApp => format!(
                        "BEGIN; INSERT INTO sessiongate_revocations (kind, id, expires, reason) \
                         VALUES ('user', '{id}', now() + interval '1 day', 'bench'); \
                         SELECT pg_notify('sessiongate_revocations', 'default:user:{id}'); COMMIT"
                    ),
                };
                let making = async { timeout(TIMEOUT, client.batch_execute(&sql)).await };
                Ok(runtime.block_on(making)??)
            }
            Self::Redis(redis, has_replicas) => {
                match change {
                    Change::RevokeByApp => {
                        let key = format!("better-auth:revoked-sessions-before-{id}");
                        send_command(redis, &["SET", &key, "4000000000000"])?
                    }
                    Change::Delete | Change::DeleteSession | Change::Revoke | Change::Role => {
                        send_command(redis, &["DEL", &format!("better-auth:{token}")])?
                    }
                };
                // A change that only the primary has may be lost with it.
                if *has_replicas && send_command(redis, &["WAIT", "1", "1000"])?.starts_with(":0") {
                    bail!("no replica has the write");
                }
                Ok(())
            }
        }
    }
}

/// Sends a command to Redis and returns the beginning of its answer, at most 4 KiB.
fn send_command(redis: &mut TcpStream, words: &[&str]) -> Result<String> {
    let mut command = format!("*{}\r\n", words.len());
    for word in words {
        command += &format!("${}\r\n{word}\r\n", word.len());
    }
    redis.write_all(command.as_bytes())?;
    let mut answer = [0; 4096];
    let length = redis.read(&mut answer)?;
    let first = answer[..length]
        .first()
        .context("the connection was closed")?;
    let text = String::from_utf8_lossy(&answer[..length]);
    ensure!(*first != b'-', "{text}");
    Ok(text.into_owned())
}

/// How long a server may take for a change before it is considered to hang.
const TIMEOUT: Duration = Duration::from_secs(5);
