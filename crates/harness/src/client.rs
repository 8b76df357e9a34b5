//! A strict HTTP/1.1 client that sends exactly the bytes it is given.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::TIMEOUT;
use crate::wire::{Framing, Headers, Wire};

/// One connection. It stays open between requests; every wait fails after [`TIMEOUT`].
#[derive(Debug)]
pub struct Client {
    wire: Wire,
    address: SocketAddr,
    /// The versions of HTTP with which an answer may begin.
    versions: &'static [&'static str],
}

/// A request as it will be written: nothing is added except `Host`, unless the test gave one, and the framing of a body.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The fields in order.
    pub headers: Headers,
    /// The body without its framing.
    pub body: Vec<u8>,
}

impl Client {
    /// Connects to `address`.
    ///
    /// # Errors
    /// When nothing listens there.
    pub async fn connect(address: SocketAddr) -> Result<Self> {
        let stream = timeout(TIMEOUT, TcpStream::connect(address))
            .await?
            .with_context(|| format!("{address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            wire: Wire::new(stream),
            address,
            versions: &["HTTP/1.1 "],
        })
    }

    /// Accepts answers in HTTP/1.0 too, for requests that go directly to a service.
    #[must_use]
    pub fn or_http_1_0(mut self) -> Self {
        self.versions = &["HTTP/1.1 ", "HTTP/1.0 "];
        self
    }

    /// Sends a request and reads its answer.
    ///
    /// # Errors
    /// When the connection breaks or the answer is not strict HTTP/1.1.
    pub async fn send(&mut self, request: &Request) -> Result<Response> {
        self.raw(&request.bytes(self.address)).await?;
        self.response_to(&request.method).await
    }

    /// Sends `GET target` without further fields, and reads the answer.
    ///
    /// # Errors
    /// When the connection breaks or the answer is not strict HTTP/1.1.
    pub async fn get(&mut self, target: &str) -> Result<Response> {
        self.send(&Request::get(target)).await
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// When the connection is broken.
    pub async fn raw(&mut self, bytes: &[u8]) -> Result<()> {
        timeout(TIMEOUT, self.wire.send(bytes)).await?
    }

    /// Reads the answer to a request that is not HEAD. 1xx answers are returned like any other.
    ///
    /// # Errors
    /// When the connection breaks or the answer is not strict HTTP/1.1.
    pub async fn response(&mut self) -> Result<Response> {
        self.response_to("GET").await
    }

    /// Reads the head of an answer and leaves its body to [`Client::chunk`] or [`Client::bytes`].
    ///
    /// # Errors
    /// When the connection breaks or the head is not strict HTTP/1.1.
    pub async fn head(&mut self) -> Result<Response> {
        let head = timeout(TIMEOUT, self.wire.head())
            .await
            .context("no response arrived")??;
        let head = head.context("the connection was closed without a response")?;
        let mut versions = self.versions.iter();
        let status = versions
            .find_map(|version| head.start.strip_prefix(version))
            .and_then(|rest| rest.get(..3));
        let status = status.and_then(|status| status.parse().ok());
        let status = status.with_context(|| format!("not a status line: {:?}", head.start))?;
        Ok(Response {
            status,
            headers: head.headers,
            body: Vec::new(),
        })
    }

    /// Reads the data of the next chunk of an answer whose head was read; `None` after the last.
    ///
    /// # Errors
    /// When the connection breaks or the chunk is malformed.
    pub async fn chunk(&mut self) -> Result<Option<Vec<u8>>> {
        timeout(TIMEOUT, self.wire.chunk())
            .await
            .context("no chunk arrived")?
    }

    /// Reads exactly `length` bytes, for what follows a 101.
    ///
    /// # Errors
    /// When the connection ends before.
    pub async fn bytes(&mut self, length: usize) -> Result<Vec<u8>> {
        timeout(TIMEOUT, self.wire.exactly(length))
            .await
            .context("the bytes did not arrive")?
    }

    /// Waits until the peer closes without sending anything more.
    ///
    /// # Errors
    /// When it sends something, or does not close.
    pub async fn closed(&mut self) -> Result<()> {
        // An error is a reset, which closes the connection too.
        if let Ok(bytes) = timeout(TIMEOUT, self.wire.read_some())
            .await
            .context("the connection is still open")?
        {
            ensure!(
                bytes.is_empty(),
                "more came: {:?}",
                String::from_utf8_lossy(&bytes)
            );
        }
        Ok(())
    }

    /// Half-closes the connection: nothing more will be sent.
    ///
    /// # Errors
    /// When the connection is broken.
    pub async fn finish(&mut self) -> Result<()> {
        self.wire.finish().await
    }

    async fn response_to(&mut self, method: &str) -> Result<Response> {
        let mut response = self.head().await?;
        let bodiless =
            method == "HEAD" || response.status < 200 || matches!(response.status, 204 | 304);
        if !bodiless {
            let framing = response.headers.framing()?;
            response.body = timeout(TIMEOUT, self.body(framing))
                .await
                .context("the body is incomplete")??;
        }
        Ok(response)
    }

    async fn body(&mut self, framing: Framing) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        match framing {
            Framing::Chunked => {
                while let Some(chunk) = self.wire.chunk().await? {
                    body.extend(chunk);
                }
            }
            Framing::Length(length) => body = self.wire.exactly(length).await?,
            Framing::UntilClose => loop {
                let bytes = self.wire.read_some().await?;
                if bytes.is_empty() {
                    break;
                }
                body.extend(bytes);
            },
        }
        Ok(body)
    }
}

impl Request {
    /// Makes a request with this method and target.
    pub fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: None,
        }
    }

    /// Makes a GET request.
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// Makes a POST request with a body of known length.
    pub fn post(target: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            body: Some(body.into()),
            ..Self::new("POST", target)
        }
    }

    /// Sets a body of known length.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Sets another target.
    #[must_use]
    pub fn with_target(mut self, target: &str) -> Self {
        target.clone_into(&mut self.target);
        self
    }

    /// Adds a field.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Adds a `Cookie` field.
    #[must_use]
    pub fn cookie(self, cookie: impl Into<String>) -> Self {
        self.header("Cookie", cookie)
    }

    /// Makes it look like the request of a browser that opens a page.
    #[must_use]
    pub fn as_navigation(self) -> Self {
        self.header("Sec-Fetch-Mode", "navigate")
            .header("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
    }

    /// Makes it a WebSocket handshake with RFC 6455's sample key.
    #[must_use]
    pub fn websocket(self) -> Self {
        self.header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
    }

    /// Returns the bytes to send to a server at `address`.
    pub fn bytes(&self, address: SocketAddr) -> Vec<u8> {
        let mut text = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        if !self
            .headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("host"))
        {
            text += &format!("Host: {address}\r\n");
        }
        for (name, value) in &self.headers {
            text += &format!("{name}: {value}\r\n");
        }
        if let Some(body) = &self.body {
            text += &format!("Content-Length: {}\r\n", body.len());
        }
        let mut bytes = (text + "\r\n").into_bytes();
        bytes.extend(self.body.iter().flatten());
        bytes
    }
}

impl Response {
    /// Returns the value of the only field called `name`.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// When the body is not JSON.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("not JSON: {:?}", self.text()))
    }
}
