//! The addresses of a gate's listeners, as its log names them.

use std::net::{AddrParseError, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

/// The address of the listener for decisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecisionListener {
    /// A TCP address.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl FromStr for DecisionListener {
    type Err = AddrParseError;

    fn from_str(address: &str) -> Result<Self, Self::Err> {
        match address.strip_prefix("unix:") {
            Some(path) => Ok(Self::Unix(path.into())),
            None => Ok(Self::Tcp(address.parse()?)),
        }
    }
}

/// Returns the address in a log line that names `listener`, in either log format: `… listening listener="proxy"
/// address=127.0.0.1:1234`, or JSON with these fields.
pub(super) fn bound_address(line: &str, listener: &str) -> Option<String> {
    if !line.contains("listening") {
        return None;
    }
    let bare = bare_text(line);
    let field = |name: &str| {
        let start = bare
            .match_indices(name)
            .map(|(at, _)| at + name.len())
            .find_map(|end| {
                let rest = bare[end..]
                    .strip_prefix('=')
                    .or_else(|| bare[end..].strip_prefix(':'))?;
                Some(bare.len() - rest.len())
            })?;
        bare[start..].split([' ', ',', '}']).next()
    };
    (field("listener")? == listener).then_some(())?;
    field("address").map(str::to_owned)
}

/// Returns the line without quotes and terminal colors.
fn bare_text(line: &str) -> String {
    let mut bare = String::new();
    let mut chars = line.chars();
    while let Some(char) = chars.next() {
        match char {
            '\x1b' => while chars.next().is_some_and(|end| !end.is_ascii_alphabetic()) {},
            '"' => {}
            _ => bare.push(char),
        }
    }
    bare
}

#[cfg(test)]
mod tests {
    use super::{DecisionListener, bound_address};

    #[test]
    fn a_socket_in_the_file_system_is_an_address_too() {
        let line = r#"INFO listening listener="decisions" address=unix:/run/gate.sock"#;
        let address = bound_address(line, "decisions").expect("an address");
        assert_eq!(
            address.parse(),
            Ok(DecisionListener::Unix("/run/gate.sock".into()))
        );
    }

    #[test]
    fn both_log_formats_name_the_bound_address() {
        let address = Some("127.0.0.1:1234".to_owned());
        for line in [
            r#"2030-01-01T00:00:00Z  INFO sessiongate: listening listener="proxy" address=127.0.0.1:1234"#,
            r#"INFO listening listener=proxy address=127.0.0.1:1234"#,
            "\x1b[32mINFO\x1b[0m listening \x1b[3mlistener\x1b[0m\x1b[2m=\x1b[0m\"proxy\" \
             \x1b[3maddress\x1b[0m=127.0.0.1:1234",
            r#"{"level":"INFO","fields":{"message":"listening","listener":"proxy","address":"127.0.0.1:1234"}}"#,
            r#"{"address":"127.0.0.1:1234","listener":"proxy","message":"listening"}"#,
        ] {
            assert_eq!(bound_address(line, "proxy"), address, "{line}");
            assert_eq!(bound_address(line, "admin"), None, "{line}");
        }
    }
}
