//! The upstream's responses: mostly 200, and malformed ones where a case sets them.

use std::io::{self, Write};
use std::net::TcpStream;

use super::Record;

/// A kind of response of the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// Content-Length beside Transfer-Encoding.
    BothFramings,
    /// A body after 204, which has none.
    BodyAfter204,
    /// A body after HEAD, which has none.
    BodyAfterHead,
    /// A header that continues on the next line.
    Folded,
    /// Fields of the connection.
    HopByHop,
    /// Bytes that are not HTTP.
    NoHttp,
    /// A NUL in a header.
    Nul,
    /// 200.
    Ordinary,
    /// Fewer bytes than announced, then the connection is closed.
    Short,
    /// 101 to a request that asks for it.
    Switching,
    /// Two different Content-Length.
    TwoLengths,
    /// 101 to a request that does not ask for it.
    UnaskedSwitching,
    /// A second, unsolicited response.
    Unsolicited,
}

impl Reply {
    /// Sends the response. Returns whether the connection can be used again.
    pub(super) fn send(self, mut to: &TcpStream, record: &Record) -> io::Result<bool> {
        to.write_all(self.text(record).as_bytes())?;
        Ok(!matches!(self, Self::Short | Self::NoHttp))
    }

    /// Whether the connection changes to another protocol afterwards.
    pub(super) fn switches(self, record: &Record) -> bool {
        match self {
            Self::Switching => !record.all("upgrade").is_empty(),
            Self::UnaskedSwitching => true,
            Self::BothFramings
            | Self::BodyAfter204
            | Self::BodyAfterHead
            | Self::Folded
            | Self::HopByHop
            | Self::NoHttp
            | Self::Nul
            | Self::Ordinary
            | Self::Short
            | Self::TwoLengths
            | Self::Unsolicited => false,
        }
    }

    fn text(self, record: &Record) -> String {
        let length = format!("Content-Length: {}\r\n\r\n", BODY.len());
        let ordinary = format!("{HEAD}{length}{BODY}");
        match self {
            Self::BothFramings => format!(
                "{HEAD}Content-Length: {}\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{BODY}\r\n0\r\n\r\n",
                BODY.len(),
                BODY.len()
            ),
            Self::BodyAfter204 => {
                "HTTP/1.1 204 No Content\r\nX-Recorder: 1\r\nContent-Length: 12\r\n\r\nPOISON-body!"
                    .to_owned()
            }
            Self::BodyAfterHead if record.method == "HEAD" => format!("{HEAD}{length}POISON-body!"),
            Self::Folded => format!("{HEAD}X-Fold: a\r\n b\r\n{length}{BODY}"),
            Self::HopByHop => format!(
                "{HEAD}Connection: X-Hop-Resp\r\nX-Hop-Resp: 1\r\nKeep-Alive: timeout=99\r\n\
                 Proxy-Authenticate: Basic\r\nProxy-Connection: keep-alive\r\n{length}{BODY}"
            ),
            Self::NoHttp => "POISON, which is not HTTP\r\n\r\n".to_owned(),
            Self::Nul => format!("{HEAD}X-Bad: a\0b\r\n{length}{BODY}"),
            Self::Short => format!("{HEAD}Content-Length: 100\r\n\r\n0123456789"),
            Self::Switching if self.switches(record) => {
                let protocol = record.all("upgrade").join(", ");
                format!("{SWITCHING}Upgrade: {protocol}\r\n\r\n")
            }
            Self::TwoLengths => format!("{HEAD}Content-Length: 5\r\n{length}{BODY}"),
            Self::UnaskedSwitching => format!("{SWITCHING}Upgrade: websocket\r\n\r\nPOISON"),
            Self::Unsolicited => format!(
                "{ordinary}HTTP/1.1 200 OK\r\nContent-Length: 7\r\nX-Poison: 1\r\n\r\nPOISON\n"
            ),
            Self::BodyAfterHead | Self::Ordinary | Self::Switching => {
                match record.method.as_str() {
                    "HEAD" => format!("{HEAD}{length}"),
                    _ => ordinary,
                }
            }
        }
    }
}

/// The body of every ordinary response.
pub(crate) const BODY: &str = "upstream-ok\n";

const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Recorder: 1\r\n";
const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n";
