//! Descriptions of errors and refusals of Redis, which quote nothing of the server's messages but the error code.

use std::time::Duration;

use redis::{ErrorKind, RedisError};

use super::super::one_line;
use super::server::ConnectError;

/// Describes why there is no connection, and what to do about it, if that is known.
pub(super) fn describe_connect_error(error: &ConnectError) -> String {
    describe_connect_error_of(error, command_of_sign_in)
}

/// Describes why there is no connection on which the server could push messages.
pub(super) fn describe_push_connect_error(error: &ConnectError) -> String {
    describe_connect_error_of(error, |_| HELLO)
}

fn describe_connect_error_of(
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
    // Look at the I/O error itself: the cause chain of a `ConnectError` skips it.
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

/// Describes how `command` failed, without the server's text: some servers repeat the command in it, with the password or
/// the id.
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

/// Describes a timeout.
pub(super) fn describe_timeout(limit: Duration) -> String {
    format!("did not answer within {} ms", limit.as_millis())
}

/// Describes that the server refused `command`, with advice if the code alone does not say what to do.
pub(super) fn refusal(command: &str, code: &str) -> String {
    let advice = match code {
        "NOPERM" => {
            "the gate's user lacks the right to this command or to the gate's keys; docs/operating.md lists what it needs"
        }
        "NOAUTH" => "the server demands a password; set REDIS_PASSWORD, or put one into REDIS_URL",
        "ASK" | "MOVED" => {
            "the server belongs to a cluster; name some of its servers as redis+cluster://host:6379,host:6379"
        }
        "ERR" if command.starts_with("CLUSTER") => {
            "the server does not belong to a cluster; write redis:// in place of redis+cluster://"
        }
        "CLUSTERDOWN" => {
            "no server of the cluster holds the key, or too few of them know each other"
        }
        _ if command == SELECT => {
            "the gate's user lacks the right to this command, or the server has no database of this number"
        }
        "ERR" | "NOPROTO" if command == HELLO => {
            "the server, or a proxy in front of it, does not support RESP3, with which Redis 6 and later announce changes"
        }
        _ => return format!("refused {command}: {code}"),
    };
    format!("refused {command}: {code} ({advice})")
}

/// Guesses which of the commands with which the driver begins a connection was refused. The driver does not report which.
fn command_of_sign_in(error: &RedisError) -> &'static str {
    match error.kind() == ErrorKind::AuthenticationFailed {
        true => "AUTH",
        false => SELECT,
    }
}

/// The code of the server's own error, which is its first word. `None` when the connection failed instead.
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

/// Commands that an access-control list of the server must allow. `docs/operating.md` lists them.
pub(super) const READ: &str = "GETRANGE";
pub(super) const WRITE: &str = "SET";
pub(super) const TRACKING: &str = "CLIENT TRACKING";
pub(super) const ROLE: &str = "ROLE";
pub(super) const HELLO: &str = "HELLO";
pub(super) const CLUSTER_NODES: &str = "CLUSTER NODES";
pub(super) const CLUSTER_SLOTS: &str = "CLUSTER SLOTS";
const SELECT: &str = "SELECT";

/// Advice about certificates: the servers of a cluster, and those behind sentinels, have other hosts than the URL
/// names.
const OTHER_HOSTS: &str = "the server's certificate is for other hosts; its subjectAltName must name the host as it is configured here, or as \
     the servers of a cluster (cluster-preferred-endpoint-type) or the sentinels announce it";
