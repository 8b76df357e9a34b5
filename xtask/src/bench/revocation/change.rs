//! What is changed, and where.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use harness::{Postgres, mint};
use serde_json::json;
use session::{Secret, seal};
use tokio::runtime::Runtime;
use tokio_postgres::NoTls;

use super::node::Person;
use crate::bench::lab::{Cookies, Lab, USERS, user};
use crate::step::output;

/// Where the gates look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stores {
    /// For users in PostgreSQL, with a cache in Redis; changes are heard from both.
    Postgres,
    /// For sessions of Better Auth in Redis; changes are heard from there.
    Redis,
}

/// What is changed.
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

/// Who makes changes.
pub(super) enum Client {
    Postgres(Runtime, Box<tokio_postgres::Client>),
    Redis(TcpStream),
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

    /// Everybody: those of whom something is changed, and as many others.
    pub(super) fn people(self, lab: &Lab, changes: usize) -> Result<Vec<Person>> {
        ensure!(2 * changes <= USERS, "there are only {USERS} users");
        let cookies = fs::read_to_string(lab.cookies(Cookies::Many))?;
        let people = cookies.lines().take(2 * changes).enumerate();
        Ok(people
            .map(|(number, cookie)| match self {
                Self::Postgres => Person::new(user(number), String::new(), cookie.to_owned()),
                Self::Redis => {
                    // As long as those of Better Auth.
                    let token = format!("tokenofuser{number:021}");
                    let sealed = seal::better_auth_token(&Secret::new(mint::SECRET), &token);
                    let cookie = format!("better-auth.session_token={sealed}");
                    Person::new(user(number), token, cookie)
                }
            })
            .collect())
    }

    /// Makes what there has to be before a gate starts.
    pub(super) fn prepare(self, lab: &Lab, people: &[Person]) -> Result<()> {
        let mut client = self.client(lab)?;
        match &mut client {
            Client::Postgres(runtime, client) => {
                let sql = "ALTER TABLE users ADD role text NOT NULL DEFAULT 'admin'";
                runtime.block_on(client.batch_execute(sql))?;
                for words in [["revocations", "install"], ["db", "install"]] {
                    let mut command = Command::new(&lab.gate);
                    command.args(words).envs(self.environment(lab)?);
                    output(command.env("UPSTREAM", "http://127.0.0.1:1"))?;
                }
            }
            Client::Redis(redis) => {
                for Person { id, token, .. } in people {
                    let value = json!({
                        "session": {
                            "token": token, "userId": id,
                            "expiresAt": "2100-01-01T00:00:00.000Z", "createdAt": "2020-01-01T00:00:00.000Z",
                        },
                        "user": {"id": id, "email": "ada@example.com", "name": "Ada Lovelace"},
                    });
                    let key = format!("better-auth:{token}");
                    say(redis, &["SET", &key, &value.to_string()])?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn environment(self, lab: &Lab) -> Result<Vec<(&'static str, String)>> {
        let on = || "true".to_owned();
        let mut environment = vec![("REDIS_URL", lab.redis.url()), ("REDIS_TRACKING", on())];
        match self {
            Self::Postgres => {
                let database = lab.postgres.url(Postgres::DATABASE);
                let route = "[[route]]\npath = \"/\"\nrequire = [{ column = \"role\", equals = \"admin\" }]\n";
                environment.extend([
                    ("AUTH_SECRET", mint::SECRET.to_owned()),
                    ("ENABLE_DB_CHECK", on()),
                    ("DATABASE_URL", database.clone()),
                    ("LISTEN_DATABASE_URL", database),
                    ("REVOCATION_STORE", "postgres".to_owned()),
                    ("SESSIONGATE_CONFIG", lab.file("revocation.toml", route)?),
                ]);
            }
            Self::Redis => environment.extend([
                ("BETTER_AUTH_SECRET", mint::SECRET.to_owned()),
                ("SESSION_FORMAT", "better-auth".to_owned()),
                ("SESSION_STORE", "redis".to_owned()),
            ]),
        }
        Ok(environment)
    }

    pub(super) fn client(self, lab: &Lab) -> Result<Client> {
        Ok(match self {
            Self::Postgres => {
                let runtime = tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(1)
                    .enable_all()
                    .build()?;
                let url = lab.postgres.url(Postgres::DATABASE);
                let (client, connection) =
                    runtime.block_on(tokio_postgres::connect(&url, NoTls))?;
                runtime.spawn(connection);
                Client::Postgres(runtime, Box::new(client))
            }
            Self::Redis => {
                let redis = TcpStream::connect((Ipv4Addr::LOCALHOST, lab.redis.port()))?;
                redis.set_nodelay(true)?;
                Client::Redis(redis)
            }
        })
    }
}

impl Client {
    /// Makes this change; when this returns, it is made.
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
                         SELECT pg_notify('sessiongate_revocations', ''); COMMIT"
                    ),
                };
                Ok(runtime.block_on(client.batch_execute(&sql))?)
            }
            Self::Redis(redis) => match change {
                Change::RevokeByApp => {
                    let key = format!("better-auth:revoked-sessions-before-{id}");
                    say(redis, &["SET", &key, "4000000000000"])
                }
                Change::Delete | Change::DeleteSession | Change::Revoke | Change::Role => {
                    say(redis, &["DEL", &format!("better-auth:{token}")])
                }
            },
        }
    }
}

/// Has Redis do this, and waits until it has.
fn say(redis: &mut TcpStream, words: &[&str]) -> Result<()> {
    let mut command = format!("*{}\r\n", words.len());
    for word in words {
        command += &format!("${}\r\n{word}\r\n", word.len());
    }
    redis.write_all(command.as_bytes())?;
    let mut answer = [0; 64];
    let length = redis.read(&mut answer)?;
    let first = answer[..length]
        .first()
        .context("the connection was closed")?;
    ensure!(
        *first != b'-',
        "{}",
        String::from_utf8_lossy(&answer[..length])
    );
    Ok(())
}
