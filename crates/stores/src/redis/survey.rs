//! Surveys the permissions of our user in Redis, and how Redis behaves when its memory is full. Nothing is written.

use std::collections::{BTreeMap, BTreeSet};

use redis::aio::MultiplexedConnection;
use redis::{Cmd, RedisError};
use tokio::time::timeout;

use super::super::settings::RedisSettings;
use super::super::survey::{MemoryLimit, RedisSurvey, RedisUses};
use super::leases::{DELETE, TIME_LEFT};
use super::refusal::{
    CLUSTER_NODES, HELLO, READ, TRACKING, WRITE, code, describe, describe_connect_error,
    describe_timeout, refusal,
};
use super::script::{EVAL, EVALSHA};
use super::server::{RedisAddress, RedisServer};

/// Surveys a Redis, each step within the timeout of a lookup. In a cluster, it surveys each server that holds slots.
///
/// # Errors
/// When Redis does not answer in time, or refuses the sign-in.
pub(in super::super) async fn survey(
    settings: &RedisSettings,
    uses: RedisUses,
) -> Result<RedisSurvey, String> {
    let RedisAddress::Cluster(seeds) = &settings.server.address else {
        return survey_server(&settings.server, settings, uses).await;
    };
    let (login, ca_file) = (&settings.server.login, settings.ca_file.as_ref());
    let slots = seeds.slots(&[], login, ca_file, settings.timeout).await?;
    let servers: BTreeSet<_> = slots.holders().collect();
    let mut surveys = Vec::new();
    for (host, port) in servers {
        let server = seeds.server_at(host, *port, login);
        let survey = survey_server(&server, settings, uses).await;
        let survey = survey.map_err(|why| format!("{}: {why}", server.address))?;
        surveys.push((server.address.to_string(), survey));
    }
    Ok(combine(surveys))
}

/// Combines the surveys of the servers of a cluster.
fn combine(surveys: Vec<(String, RedisSurvey)>) -> RedisSurvey {
    let mut all = RedisSurvey {
        refused: Vec::new(),
        write_refusal: None,
        other_keys: Vec::new(),
        memory_limit: None,
    };
    let count = surveys.len();
    let mut refused: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (address, survey) in surveys {
        for refusal in survey.refused {
            refused.entry(refusal).or_default().push(address.clone());
        }
        all.write_refusal = all.write_refusal.or(survey.write_refusal);
        for what in survey.other_keys {
            if !all.other_keys.contains(&what) {
                all.other_keys.push(what);
            }
        }
        let has_limit = |memory_limit: &MemoryLimit| memory_limit.max_memory != 0;
        if !all.memory_limit.as_ref().is_some_and(has_limit) {
            all.memory_limit = survey.memory_limit.or(all.memory_limit);
        }
    }
    let refusals = refused
        .into_iter()
        .map(|(refusal, at)| match at.len() == count {
            true => refusal,
            false => format!("{refusal}, at {}", at.join(", ")),
        });
    all.refused.extend(refusals);
    all
}

async fn survey_server(
    server: &RedisServer,
    settings: &RedisSettings,
    uses: RedisUses,
) -> Result<RedisSurvey, String> {
    let connecting = server.connect(settings.ca_file.as_ref(), settings.timeout);
    let (connection, _driver) = match timeout(settings.timeout, connecting).await {
        Ok(connected) => connected.map_err(|error| describe_connect_error(&error))?,
        Err(_) => return Err(describe_timeout(settings.timeout)),
    };
    let surveyor = Surveyor {
        connection,
        is_of_cluster: matches!(settings.server.address, RedisAddress::Cluster(_)),
    };
    surveyor.survey(settings, uses).await
}

/// Surveys one server, on its own connection. The driver limits the time for each answer.
struct Surveyor {
    connection: MultiplexedConnection,
    is_of_cluster: bool,
}

impl Surveyor {
    async fn survey(
        mut self,
        settings: &RedisSettings,
        uses: RedisUses,
    ) -> Result<RedisSurvey, String> {
        let mut survey = RedisSurvey {
            refused: Vec::new(),
            write_refusal: None,
            other_keys: Vec::new(),
            memory_limit: None,
        };
        let prefixes = [Some(&settings.key_prefix), settings.sessions.as_ref()];
        for prefix in prefixes.into_iter().flatten() {
            if let Some(code) = self.refused(READ, read(prefix)).await? {
                add_once(&mut survey.refused, refusal(READ, &code));
            }
        }
        match self
            .refused(WRITE, try_write(&settings.key_prefix))
            .await?
            .as_deref()
        {
            None | Some(SYNTAX) => {}
            Some("NOPERM") => add_once(&mut survey.refused, refusal(WRITE, "NOPERM")),
            Some(code) => survey.write_refusal = Some(code.to_owned()),
        }
        for (name, command) in commands_for(&settings.key_prefix, uses) {
            if self.refused(name, command).await?.as_deref() == Some("NOPERM") {
                add_once(&mut survey.refused, refusal(name, "NOPERM"));
            }
        }
        let is_ours = |prefix: &&String| OTHER_KEY.starts_with(prefix.as_str());
        if !prefixes.iter().flatten().any(is_ours) {
            if self.refused(READ, read(OTHER_KEY)).await?.is_none() {
                survey.other_keys.push("read");
            }
            if self.refused(WRITE, try_write(OTHER_KEY)).await?.as_deref() == Some(SYNTAX) {
                survey.other_keys.push("write");
            }
        }
        survey.memory_limit = self.memory_limit().await?;
        if settings.tracking && self.is_of_cluster {
            let mut nodes = redis::cmd("CLUSTER");
            nodes.arg("NODES");
            if let Some(code) = self.refused(CLUSTER_NODES, nodes).await? {
                add_once(&mut survey.refused, refusal(CLUSTER_NODES, &code));
            }
        }
        if settings.tracking {
            // These come last: afterwards the connection uses another version of the protocol.
            for (name, command) in tracking_commands(&settings.key_prefix) {
                if let Some(code) = self.refused(name, command).await? {
                    add_once(&mut survey.refused, refusal(name, &code));
                }
            }
        }
        Ok(survey)
    }

    /// Runs a command, and returns the code of the server's refusal; `None` when it does not refuse.
    async fn refused(&mut self, name: &str, command: Cmd) -> Result<Option<String>, String> {
        match command.exec_async(&mut self.connection).await {
            Ok(()) => Ok(None),
            Err(error) => match code(&error) {
                // In a cluster, another server may hold the key. Permissions are checked before that.
                Some("ASK" | "MOVED") if self.is_of_cluster => Ok(None),
                Some(code) => Ok(Some(code.to_owned())),
                None => Err(describe(name, &error)),
            },
        }
    }

    async fn memory_limit(&mut self) -> Result<Option<MemoryLimit>, String> {
        let mut command = redis::cmd("INFO");
        command.arg("memory");
        let answer: Result<String, RedisError> = command.query_async(&mut self.connection).await;
        match answer {
            Ok(text) => Ok(memory_limit(&text)),
            Err(error) if code(&error).is_some() => Ok(None),
            Err(error) => Err(describe("INFO", &error)),
        }
    }
}

/// The commands that caches and limits need beyond reading and writing. Running them changes nothing: there is no
/// script of this digest, the other script only returns 1, and no key is the prefix alone.
fn commands_for(prefix: &str, uses: RedisUses) -> Vec<(&'static str, Cmd)> {
    let script = |name, text: &str| {
        let mut command = redis::cmd(name);
        command.arg(text).arg(1).arg(prefix);
        (name, command)
    };
    let of = |name| (name, redis::cmd(name).arg(prefix).to_owned());
    let mut commands = Vec::new();
    if uses.caches || uses.counts {
        commands.push(script(EVALSHA, &"0".repeat(40)));
        commands.push(script(EVAL, "return 1"));
    }
    if uses.caches {
        commands.extend([of(TIME_LEFT), of(DELETE)]);
    }
    if uses.counts {
        commands.push((TIME, redis::cmd(TIME)));
    }
    commands
}

/// The commands that the channel of changes needs. TRACKING runs before the switch to RESP3, so nothing is ever pushed.
fn tracking_commands(prefix: &str) -> [(&'static str, Cmd); 2] {
    let mut tracking = redis::cmd("CLIENT");
    tracking.arg("TRACKING").arg("ON").arg("BCAST");
    tracking.arg("PREFIX").arg(prefix);
    let mut hello = redis::cmd(HELLO);
    hello.arg(3);
    [(TRACKING, tracking), (HELLO, hello)]
}

/// The command that lookups read with.
fn read(key: &str) -> Cmd {
    let mut command = redis::cmd(READ);
    command.arg(key).arg(0).arg(0);
    command
}

/// A write command that always fails, because it requires both that the key exists and that it does not. The server
/// checks our permissions, its memory and its role before it parses the options (`processCommand` in `src/server.c` of
/// Redis 7.0), so the error shows whether the command would have written with valid options.
fn try_write(key: &str) -> Cmd {
    let mut command = redis::cmd(WRITE);
    command.arg(key).arg("").arg("NX").arg("XX");
    command
}

fn add_once(refused: &mut Vec<String>, refusal: String) {
    if !refused.contains(&refusal) {
        refused.push(refusal);
    }
}

/// Reads the answer to `INFO memory`, one `name:value` on each line.
fn memory_limit(info: &str) -> Option<MemoryLimit> {
    let value = |name: &str| {
        let mut lines = info.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
    };
    Some(MemoryLimit {
        max_memory: value("maxmemory")?.trim().parse().ok()?,
        policy: value("maxmemory_policy")?.trim().to_owned(),
    })
}

/// The command that reads the clock by which scripts count.
const TIME: &str = "TIME";

/// The code of errors that have no code of their own, such as syntax errors.
const SYNTAX: &str = "ERR";

/// A key that no application uses.
const OTHER_KEY: &str = "sessiongate-doctor-looks-for-rights";

#[cfg(test)]
mod tests {
    use super::memory_limit;

    #[test]
    fn the_policy_is_found_in_the_answer_to_info() {
        let info = "# Memory\r\nused_memory:1\r\nmaxmemory:1048576\r\nmaxmemory_human:1.00M\r\nmaxmemory_policy:noeviction\r\n";
        let memory_limit = memory_limit(info).unwrap();
        assert_eq!(
            (memory_limit.max_memory, memory_limit.policy.as_str()),
            (1_048_576, "noeviction")
        );
        assert!(super::memory_limit("# Memory\r\n").is_none());
    }
}
