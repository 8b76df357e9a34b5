//! A client that follows the rules of HTTP/2: that of the `h2` crate.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use harness::{Gate, Mint, TIMEOUT};
use http::{HeaderMap, Request, Response};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// A connection of the client.
pub(crate) struct Http2Client {
    pub(crate) requests: SendRequest<Bytes>,
    /// The task that reads and writes its bytes.
    driver: JoinSet<Result<(), h2::Error>>,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Http2Client {
    pub(crate) async fn open(gate: &Gate) -> Result<Self> {
        let stream = TcpStream::connect(gate.proxy).await?;
        let (requests, connection) = h2::client::handshake(stream).await?;
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        Ok(Self { requests, driver })
    }

    /// Begins a request; it has a body unless `ends`.
    pub(crate) async fn begin(
        &mut self,
        request: &Request<()>,
        ends: bool,
    ) -> Result<(ResponseFuture, SendStream<Bytes>)> {
        let ready = self.requests.clone().ready();
        let mut requests = timeout(TIMEOUT, ready).await.context("no room")??;
        Ok(requests.send_request(request.clone(), ends)?)
    }

    /// Sends a request without a body and returns the answer.
    pub(crate) async fn answer(&mut self, request: &Request<()>) -> Result<Answer> {
        let (response, _) = self.begin(request, true).await?;
        Answer::of(response).await
    }

    /// Sends a request with this body and returns the answer.
    pub(crate) async fn send(&mut self, request: &Request<()>, body: Bytes) -> Result<Answer> {
        let (response, mut stream) = self.begin(request, false).await?;
        stream.send_data(body, true)?;
        Answer::of(response).await
    }

    /// Sends this many requests, many at a time, and verifies that the upstream's answer to each describes that request.
    pub(crate) async fn each_request_gets_its_own_answer(&mut self, requests: usize) -> Result<()> {
        let (mut answers, mut left) = (JoinSet::new(), 0..requests);
        loop {
            if answers.len() < 80
                && let Some(number) = left.next()
            {
                let path = format!("/own?{number}");
                let (response, mut body) = self.begin(&signed_in("POST", &path), false).await?;
                body.send_data(Bytes::from(path.clone()), true)?;
                answers.spawn(async move { anyhow::Ok((path, Answer::of(response).await?)) });
                continue;
            }
            let Some(answered) = answers.join_next().await else {
                return Ok(());
            };
            let (path, answer) = answered??;
            let account: serde_json::Value = serde_json::from_slice(&answer.body)?;
            ensure!(
                account["target"] == path && account["body"] == path,
                "{path}: {account}"
            );
        }
    }

    /// Waits for the end of the connection.
    pub(crate) async fn ended(mut self) -> Result<()> {
        drop(self.requests);
        let ended = timeout(TIMEOUT, self.driver.join_next()).await;
        let ended = ended.context("the connection does not end")?;
        Ok(ended.context("the driver task runs")???)
    }
}

impl Answer {
    pub(crate) async fn of(response: ResponseFuture) -> Result<Self> {
        let response = timeout(TIMEOUT, response).await.context("no answer")??;
        Self::rest(response).await
    }

    async fn rest(response: Response<RecvStream>) -> Result<Self> {
        let (head, mut stream) = response.into_parts();
        let mut body = Vec::new();
        while let Some(piece) = piece(&mut stream).await? {
            body.extend(piece);
        }
        Ok(Self {
            status: head.status.as_u16(),
            headers: head.headers,
            body: body.into(),
        })
    }

    /// Returns the value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Returns the next piece of a body, after giving its window back.
pub(crate) async fn piece(stream: &mut RecvStream) -> Result<Option<Bytes>> {
    loop {
        let next = timeout(TIMEOUT, stream.data()).await;
        let Some(piece) = next.context("no bytes arrived")? else {
            return Ok(None);
        };
        let piece = piece?;
        stream.flow_control().release_capacity(piece.len())?;
        if !piece.is_empty() {
            return Ok(Some(piece));
        }
    }
}

/// Returns a GET request without a session.
pub(crate) fn get(path: &str) -> Request<()> {
    request("GET", path)
}

/// A request with a session.
pub(crate) fn signed_in(method: &str, path: &str) -> Request<()> {
    let mut request = request(method, path);
    let cookie = Mint::user("ada").authjs();
    let cookie = cookie.parse().expect("a cookie is a value");
    request.headers_mut().insert("cookie", cookie);
    request
}

fn request(method: &str, path: &str) -> Request<()> {
    let uri = format!("http://gate.example{path}");
    let request = Request::builder().method(method).uri(uri);
    request.body(()).expect("parts of the test's own")
}

/// Returns a POST request without a session.
pub(crate) fn post(path: &str) -> Request<()> {
    request("POST", path)
}
