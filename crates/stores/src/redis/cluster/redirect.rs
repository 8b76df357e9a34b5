//! Where a server of a cluster sends a question that it does not answer.

use super::super::node::Replies;
use super::seeds::Place;

/// Why it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Redirect {
    /// The key is on its way there, for this question.
    Ask,
    /// The other one holds its slot.
    Moved,
}

impl Redirect {
    /// Where a question is sent, if it is: by the answer to any of its commands.
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

/// `host:port`, with the host of the one who says it where there is none.
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
