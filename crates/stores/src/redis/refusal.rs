//! What a Redis has refused, in words that quote nothing of what the server says.

use std::time::Duration;

use redis::{ErrorKind, RedisError};

use super::super::one_line;
use super::server::ConnectError;

/// Why there is no line, and what to do about it, if that is known.
pub(super) fn no_connection(error: &ConnectError) -> String {
    no_connection_for(error, command_of_sign_in)
}

/// Why there is no connection on which the server would speak unasked.
pub(super) fn no_push_connection(error: &ConnectError) -> String {
    no_connection_for(error, |_| HELLO)
}

fn no_connection_for(
    error: &ConnectError,
    command: impl FnOnce(&RedisError) -> &'static str,
) -> String {
    let text = match error {
        ConnectError::Redis(error) => describe(command(error), error),
        ConnectError::File(_)
        | ConnectError::Io(_)
        | ConnectError::Sentinels(_)
        | ConnectError::Unknown(_) => error.to_string(),
    };
    // As the cause of a `ConnectError`, an I/O error names what is behind the refusal, and not the refusal.
    let advice = match error {
        ConnectError::Io(error) if client_tls::is_for_other_hosts(error) => Some(OTHER_HOSTS),
        ConnectError::Io(error) => client_tls::advice(error),
        ConnectError::File(_)
        | ConnectError::Redis(_)
        | ConnectError::Sentinels(_)
        | ConnectError::Unknown(_) => None,
    };
    one_line(&match advice {
        Some(advice) => format!("{text} ({advice})"),
        None => text,
    })
}

/// What became of `command`, without anything that a server could quote: some repeat the command, with the password or the
/// id.
pub(super) fn describe(command: &str, error: &RedisError) -> String {
    match code(error) {
        Some(code) => refusal(command, code),
        None if error.kind() == ErrorKind::AuthenticationFailed => {
            refusal(command, "authentication failed")
        }
        None if error.kind() == ErrorKind::RESP3NotSupported => refusal(command, "ERR"),
        None if error.is_io_error() => error.to_string(),
        None => error.category().to_owned(),
    }
}

/// That a server has had its time.
pub(super) fn late(limit: Duration) -> String {
    format!("did not answer within {} ms", limit.as_millis())
}

/// That the server has refused `command`, and what to do about it where the code does not say it.
pub(super) fn refusal(command: &str, code: &str) -> String {
    let advice = match code {
        "NOPERM" => {
            "the gate's user lacks the right to this command or to the gate's keys; docs/operating.md lists what it needs"
        }
        "NOAUTH" => "the server wants a password; set REDIS_PASSWORD, or put one into REDIS_URL",
        "ASK" | "MOVED" => {
            "the server belongs to a cluster; name some of its servers as redis+cluster://host:6379,host:6379"
        }
        "ERR" if command.starts_with("CLUSTER") => {
            "the server belongs to no cluster; write redis:// in place of redis+cluster://"
        }
        "CLUSTERDOWN" => {
            "no server of the cluster holds the key, or too few of them know each other"
        }
        _ if command == SELECT => {
            "the gate's user lacks the right to this command, or the server has no database of this number"
        }
        "ERR" | "NOPROTO" if command == HELLO => {
            "the server, or a proxy before it, does not speak RESP3, in which Redis 6 and later say what changes"
        }
        _ => return format!("refused {command}: {code}"),
    };
    format!("refused {command}: {code} ({advice})")
}

/// Which command of those that the driver begins a line with was refused: it reports them without saying which.
fn command_of_sign_in(error: &RedisError) -> &'static str {
    match error.kind() == ErrorKind::AuthenticationFailed {
        true => "AUTH",
        false => SELECT,
    }
}

/// The first word of the server's own error; `None` when it is not the server that refuses, but the line that fails.
pub(super) fn code(error: &RedisError) -> Option<&str> {
    const LONGEST: usize = 32;
    error.code().map(|code| {
        if code.len() <= LONGEST && code.is_ascii() {
            code
        } else {
            "ERR"
        }
    })
}

/// The commands that an access-control list of the server has to allow. `docs/operating.md` lists them.
pub(super) const READ: &str = "GETRANGE";
pub(super) const WRITE: &str = "SET";
pub(super) const TRACKING: &str = "CLIENT TRACKING";
pub(super) const ROLE: &str = "ROLE";
pub(super) const HELLO: &str = "HELLO";
pub(super) const CLUSTER_NODES: &str = "CLUSTER NODES";
pub(super) const CLUSTER_SLOTS: &str = "CLUSTER SLOTS";
const SELECT: &str = "SELECT";

/// The servers of a cluster, and of sentinels, are not where the URL says.
const OTHER_HOSTS: &str = "the server's certificate is for other hosts; its subjectAltName must name the host as it is configured here, or as \
     the servers of a cluster (cluster-preferred-endpoint-type) or the sentinels announce it";
