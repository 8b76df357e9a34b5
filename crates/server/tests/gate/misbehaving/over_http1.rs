//! The misbehaving service over HTTP/1.1, which writes its bytes itself.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::conduct::{Conduct, STRAY, body, mark};

/// The service over HTTP/1.1. Dropping it ends the service and its connections.
pub(super) struct OverHttp1 {
    pub(super) address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl OverHttp1 {
    pub(super) async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                        // The gate may end a connection at any time.
                        connections.spawn(async { drop(Served::new(stream).serve().await) });
                    },
                    Some(_) = connections.join_next() => {}
                }
            }
        });
        Ok(Self {
            address,
            _tasks: tasks,
        })
    }
}

/// A connection, and the bytes received on it.
struct Served {
    stream: TcpStream,
    input: Vec<u8>,
}

/// Whether a connection can take another request.
#[derive(PartialEq, Eq)]
enum NextStep {
    Ends,
    GoesOn,
}

impl Served {
    fn new(stream: TcpStream) -> Self {
        let input = Vec::new();
        Self { stream, input }
    }

    async fn serve(mut self) -> Result<()> {
        self.stream.set_nodelay(true)?;
        while let Some((user, number)) = self.request().await? {
            if self.answer(&user, number).await? == NextStep::Ends {
                break;
            }
        }
        Ok(())
    }

    /// Reads a request with its body; returns its user and number, or `None` at the end of the connection.
    async fn request(&mut self) -> Result<Option<(String, u64)>> {
        loop {
            let end = self.input.windows(4).position(|end| end == b"\r\n\r\n");
            if let Some(end) = end {
                let head = String::from_utf8(self.input.drain(..end + 4).collect())?;
                let field = |name: &str| {
                    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
                    lines.find_map(|(other, value)| {
                        other.eq_ignore_ascii_case(name).then(|| value.to_owned())
                    })
                };
                let length = field("content-length").map_or(Ok(0), |length| length.parse())?;
                self.fill(length).await?;
                self.input.drain(..length);
                let target = head.split(' ').nth(1).context("a target")?;
                let number = target.rsplit('/').next().context("a number")?.parse()?;
                return Ok(Some((field("x-user-id").context("a user")?, number)));
            }
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Ok(None);
            }
        }
    }

    async fn fill(&mut self, length: usize) -> Result<()> {
        while self.input.len() < length {
            let came = self.stream.read_buf(&mut self.input).await?;
            anyhow::ensure!(came > 0, "the body broke off");
        }
        Ok(())
    }

    async fn answer(&mut self, user: &str, number: u64) -> Result<NextStep> {
        let conduct = Conduct::of(number);
        let mark = mark(user, number);
        let body = body(&mark, number);
        let head = |rest: &str| format!("HTTP/1.1 200 OK\r\nX-Mark: {mark}\r\n{rest}\r\n");
        let sized = |length: usize| head(&format!("Content-Length: {length}\r\n")).into_bytes();
        let whole = || [sized(body.len()), body.clone()].concat();
        match conduct {
            Conduct::Proper => self.send(&whole()).await?,
            Conduct::BadChunk => {
                let begun = head("Transfer-Encoding: chunked\r\n");
                let begun = format!("{begun}{:x}\r\n", body.len()).into_bytes();
                self.send(&[&begun, &body[..], b"\r\nnone\r\n"].concat())
                    .await?;
                return Ok(NextStep::Ends);
            }
            Conduct::BodyToHead => self.send(&[&whole()[..], STRAY].concat()).await?,
            Conduct::BodyWithNone => {
                let head = format!("HTTP/1.1 204 No Content\r\nX-Mark: {mark}\r\n\r\n");
                self.send(&[head.as_bytes(), STRAY].concat()).await?;
            }
            Conduct::Chunked => {
                let begun = head("Transfer-Encoding: chunked\r\n");
                let begun = format!("{begun}{:x}\r\n", body.len()).into_bytes();
                self.send(&[&begun, &body[..], b"\r\n0\r\n\r\n"].concat())
                    .await?;
            }
            Conduct::Closes => {
                let head = head(&format!(
                    "Connection: close\r\nContent-Length: {}\r\n",
                    body.len()
                ));
                self.send(&[head.as_bytes(), &body].concat()).await?;
                return Ok(NextStep::Ends);
            }
            Conduct::ClosesAtOnce => return Ok(NextStep::Ends),
            Conduct::HalfCloses => {
                self.send(&whole()).await?;
                self.stream.shutdown().await?;
            }
            Conduct::Hangs => {
                // Reads until the gate gives up.
                while self.stream.read_buf(&mut self.input).await? > 0 {}
                return Ok(NextStep::Ends);
            }
            Conduct::Interim => {
                let hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
                self.send(&[&hints[..], &whole()].concat()).await?;
            }
            Conduct::MidHead => {
                self.send(&whole()[..20]).await?;
                return Ok(NextStep::Ends);
            }
            Conduct::Nonsense => self.send(b"220 mail.example ESMTP\r\n\r\n").await?,
            Conduct::Killed | Conduct::Resets => {
                // Closes with a reset.
                socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO))?;
                return Ok(NextStep::Ends);
            }
            Conduct::Slow => {
                let whole = whole();
                let (first, second) = whole.split_at(whole.len() / 2);
                self.send(first).await?;
                tokio::time::sleep(Duration::from_millis(2)).await;
                self.send(second).await?;
            }
            Conduct::TooLong => self.send(&[&whole()[..], STRAY].concat()).await?,
            Conduct::TooShort => {
                self.send(&[sized(body.len() + 10), body].concat()).await?;
                return Ok(NextStep::Ends);
            }
            Conduct::TwoLengths => {
                let length = body.len();
                let two = format!(
                    "Content-Length: {length}\r\nContent-Length: {}\r\n",
                    length + 1
                );
                self.send(&[head(&two).as_bytes(), &body].concat()).await?;
            }
        }
        Ok(NextStep::GoesOn)
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(bytes).await?)
    }
}
