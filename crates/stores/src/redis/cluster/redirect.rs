//! Redirections by a server of a cluster.

use super::super::node::Replies;
use super::seeds::Place;

/// The kinds of redirections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Redirect {
    /// The slot is migrating: only this command goes to the other server, after ASKING.
    Ask,
    /// The other server holds the slot.
    Moved,
}

impl Redirect {
    /// The first redirection among the answers in `replies`, if there is one.
    pub(super) fn of(replies: &Replies) -> Option<(Self, Place)> {
        replies.answers.iter().find_map(|answer| {
            let error = answer.as_ref().err()?;
            let redirect = match error.code()? {
                "ASK" => Self::Ask,
                "MOVED" => Self::Moved,
                _ => return None,
            };
            let (to, _) = error.redirect_node()?;
            Some((redirect, place(to, replies.node.host())?))
        })
    }
}

/// Reads `host:port`. A missing host stands for that of the server that was `asked`.
fn place(text: &str, asked: &str) -> Option<Place> {
    let (host, port) = text.rsplit_once(':')?;
    let host = host.strip_prefix('[').unwrap_or(host);
    let host = host.strip_suffix(']').unwrap_or(host);
    let host = if ["", "?"].contains(&host) {
        asked
    } else {
        host
    };
    Some((host.to_owned(), port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn places_are_read_as_servers_write_them() {
        for (text, host, port) in [
            ("10.0.0.1:7000", "10.0.0.1", 7000),
            ("redis-1.example:6379", "redis-1.example", 6379),
            ("::1:7000", "::1", 7000),
            ("[::1]:7000", "::1", 7000),
            (":7000", "asked", 7000),
            ("?:7000", "asked", 7000),
        ] {
            assert_eq!(place(text, "asked"), Some((host.to_owned(), port)));
        }
        assert_eq!(place("nowhere", "asked"), None);
        assert_eq!(place("host:70000", "asked"), None);
    }
}
