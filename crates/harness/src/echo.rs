//! An upstream in this process that records the requests that reach it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::TIMEOUT;
use crate::wire::{Framing, Head, Headers, Wire, latin1};

/// An upstream that answers every request with a description of it in JSON, and records the request for the test.
///
/// | path | what it does |
/// |---|---|
/// | `/status/503` | answers with that status |
/// | `/slow?ms=200` | answers after a while |
/// | `/hold` | answers after [`Echo::release`] |
/// | `/stream?chunks=3` | sends the first chunk at once, each other after [`Echo::release`] |
/// | `/ws` | answers 101 and sends back all bytes that it receives |
/// | `/big?bytes=1000` | answers with that many bytes |
/// | `/close` | closes without an answer |
/// | any other | answers 200 |
///
/// Dropping it closes its connections.
#[derive(Debug)]
pub struct Echo {
    address: SocketAddr,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

/// A request as the upstream received it.
#[derive(Clone, Debug)]
pub struct ReceivedRequest {
    /// The connection on which it came, counted from 0.
    pub connection: usize,
    /// The method, as spelled.
    pub method: String,
    /// The request target, byte for byte.
    pub target: String,
    /// The fields in order.
    pub headers: Headers,
    /// The body, or what has arrived of it.
    pub body: Vec<u8>,
    /// Whether the body has arrived to its declared end.
    pub complete: bool,
    /// What is wrong with it, if the upstream could not read it.
    pub broken: Option<String>,
}

#[derive(Debug)]
struct Shared {
    seen: watch::Sender<Vec<ReceivedRequest>>,
    releases: Semaphore,
}

impl Echo {
    /// Starts an upstream on a free loopback port.
    ///
    /// # Errors
    /// When no socket can be opened.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            seen: watch::Sender::default(),
            releases: Semaphore::new(0),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self {
            address,
            shared,
            _tasks: tasks,
        })
    }

    /// The address on which it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns `http://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns every request so far.
    pub fn seen(&self) -> Vec<ReceivedRequest> {
        self.shared.seen.borrow().clone()
    }

    /// Returns the only request so far.
    ///
    /// # Panics
    /// When there was none, or more than one.
    pub fn only(&self) -> ReceivedRequest {
        let mut seen = self.seen();
        assert_eq!(
            seen.len(),
            1,
            "requests that reached the upstream: {seen:#?}"
        );
        seen.remove(0)
    }

    /// Waits for a request for which `wanted` returns true, and returns it in its present state.
    ///
    /// # Errors
    /// When no such request comes within [`TIMEOUT`].
    pub async fn wait_for(
        &self,
        mut wanted: impl FnMut(&ReceivedRequest) -> bool,
    ) -> Result<ReceivedRequest> {
        let mut receiver = self.shared.seen.subscribe();
        let arrived = async {
            let seen = receiver
                .wait_for(|seen| seen.iter().any(&mut wanted))
                .await?;
            Ok::<_, anyhow::Error>(seen.clone())
        };
        let seen = timeout(TIMEOUT, arrived).await.with_context(|| {
            format!("no such request reached the upstream: {:#?}", self.seen())
        })??;
        seen.into_iter().find(wanted).context("it was found above")
    }

    /// Lets one waiting `/hold` answer, or one `/stream` send its next chunk.
    pub fn release(&self) {
        self.shared.releases.add_permits(1);
    }
}

impl ReceivedRequest {
    /// The path, without the query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    fn parameter(&self, name: &str) -> Option<u64> {
        let (_, query) = self.target.split_once('?')?;
        query
            .split('&')
            .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
    }

    fn description(&self) -> String {
        let headers: Vec<_> = self.headers.iter().collect();
        json!({ "method": self.method, "target": self.target, "headers": headers, "body": latin1(&self.body) })
            .to_string()
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // The connections belong to this task: when it is aborted, they are too.
    let mut connections = JoinSet::new();
    for connection in 0.. {
        let Ok((stream, _)) = listener.accept().await else {
            return;
        };
        // Heads and bodies are sent one after the other; without this, the body would wait for the peer's delayed acknowledgment.
        let _ = stream.set_nodelay(true);
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let mut latest = None;
            if let Err(error) = serve(stream, connection, &shared, &mut latest).await {
                shared.seen.send_modify(|seen| match latest {
                    Some(index) => seen[index].broken = Some(format!("{error:#}")),
                    None => seen.push(ReceivedRequest::unreadable(connection, &error)),
                });
            }
        });
    }
}

impl ReceivedRequest {
    fn of(connection: usize, head: Head) -> Result<Self> {
        let parts: Vec<_> = head.start.split(' ').collect();
        let [method, target, "HTTP/1.1"] = parts[..] else {
            bail!("a bad request line: {:?}", head.start)
        };
        Ok(Self {
            connection,
            method: method.to_owned(),
            target: target.to_owned(),
            headers: head.headers,
            body: Vec::new(),
            complete: false,
            broken: None,
        })
    }

    fn unreadable(connection: usize, error: &anyhow::Error) -> Self {
        Self {
            connection,
            method: String::new(),
            target: String::new(),
            headers: Headers::default(),
            body: Vec::new(),
            complete: false,
            broken: Some(format!("{error:#}")),
        }
    }
}

/// Answers the requests of one connection; `latest` is the index of the one that is being read.
async fn serve(
    stream: TcpStream,
    connection: usize,
    shared: &Shared,
    latest: &mut Option<usize>,
) -> Result<()> {
    let mut wire = Wire::new(stream);
    while let Some(head) = wire.head().await? {
        let request = ReceivedRequest::of(connection, head)?;
        let framing = request.headers.framing()?;
        let expects = request.headers.get("expect").is_some();
        let mut index = 0;
        shared.seen.send_modify(|seen| {
            index = seen.len();
            seen.push(request);
        });
        *latest = Some(index);
        if expects {
            wire.send(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        read_body(&mut wire, framing, |piece| {
            shared
                .seen
                .send_modify(|seen| seen[index].body.extend_from_slice(piece));
        })
        .await?;
        shared.seen.send_modify(|seen| seen[index].complete = true);
        let request = shared.seen.borrow()[index].clone();
        *latest = None;
        if !answer(&mut wire, &request, shared).await? {
            return Ok(());
        }
    }
    Ok(())
}

async fn read_body(wire: &mut Wire, framing: Framing, mut take: impl FnMut(&[u8])) -> Result<()> {
    match framing {
        Framing::Chunked => {
            while let Some(chunk) = wire.chunk().await? {
                take(&chunk);
            }
        }
        Framing::Length(length) => {
            let mut left = length;
            while left > 0 {
                let piece = wire.read_at_most(left).await?;
                ensure!(!piece.is_empty(), "the body is {left} bytes too short");
                left -= piece.len();
                take(&piece);
            }
        }
        Framing::UntilClose => {}
    }
    Ok(())
}

/// Answers one request; `false` ends the connection.
async fn answer(wire: &mut Wire, request: &ReceivedRequest, shared: &Shared) -> Result<bool> {
    let mut status = "200 OK".to_owned();
    let mut body = request.description();
    match request.path() {
        "/ws" => return websocket(wire).await,
        "/stream" => return stream(wire, request, shared).await,
        "/close" => return Ok(false),
        "/hold" => shared.releases.acquire().await?.forget(),
        "/slow" => {
            let wait = Duration::from_millis(request.parameter("ms").unwrap_or(200));
            tokio::time::sleep(wait).await;
        }
        "/big" => {
            let bytes = request.parameter("bytes").unwrap_or(1 << 20);
            body = "x".repeat(usize::try_from(bytes)?);
        }
        path => {
            if let Some(code) = path.strip_prefix("/status/") {
                status = format!("{code} as asked");
            }
        }
    }
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nX-Echo: 1\r\nContent-Length: {length}\r\n\r\n"
    );
    wire.send(head.as_bytes()).await?;
    if request.method != "HEAD" {
        wire.send(body.as_bytes()).await?;
    }
    Ok(true)
}

async fn stream(wire: &mut Wire, request: &ReceivedRequest, shared: &Shared) -> Result<bool> {
    wire.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await?;
    for number in 0..request.parameter("chunks").unwrap_or(2) {
        if number > 0 {
            shared.releases.acquire().await?.forget();
        }
        let chunk = format!("chunk {number}\n");
        wire.send(format!("{:x}\r\n{chunk}\r\n", chunk.len()).as_bytes())
            .await?;
    }
    wire.send(b"0\r\n\r\n").await?;
    Ok(true)
}

/// Answers a WebSocket handshake. The accept value fits RFC 6455's sample key: the tests' client sends no other key.
async fn websocket(wire: &mut Wire) -> Result<bool> {
    wire.send(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
          Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
    )
    .await?;
    loop {
        let bytes = wire.read_some().await?;
        if bytes.is_empty() {
            return Ok(false);
        }
        wire.send(&bytes).await?;
    }
}
