//! Clients that keep their connections: HTTP/1.1 clients send one request after the other, HTTP/2 clients several at a time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
use bytes::Bytes;
use h2::client::SendRequest;
use harness::{Client, Mint, Request, TIMEOUT};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::conduct::{Conduct, body, mark};
use super::tally::{Outcome, Tally};
use crate::http2::client::piece;

/// The source of request numbers.
pub(super) struct Numbers {
    next: AtomicU64,
    end: u64,
}

impl Numbers {
    pub(super) fn up_to(end: u64) -> Self {
        let next = AtomicU64::new(0);
        Self { next, end }
    }

    /// Returns the next number and its service.
    fn next(&self) -> Option<(&'static str, u64)> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let service = if number.is_multiple_of(2) {
            "http1"
        } else {
            "http2"
        };
        (number < self.end).then_some((service, number))
    }
}

/// Sends requests until there are no more numbers.
pub(super) async fn run_clients(gate: SocketAddr, numbers: &Arc<Numbers>) -> Result<Tally> {
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let (numbers, user) = (Arc::clone(numbers), format!("user-{client}"));
        if client % 2 == 0 {
            clients.spawn(async move { over_http1(gate, &user, &numbers).await });
        } else {
            clients.spawn(async move { over_http2(gate, &user, &numbers).await });
        }
    }
    let mut tally = Tally::default();
    while let Some(asked) = clients.join_next().await {
        tally.add(asked??);
    }
    Ok(tally)
}

async fn over_http1(gate: SocketAddr, user: &str, numbers: &Numbers) -> Result<Tally> {
    let cookie = Mint::user(user).authjs();
    let mut tally = Tally::default();
    let (mut client, mut asked) = (Client::connect(gate).await?, 0);
    while let Some((service, number)) = numbers.next() {
        if asked == REQUESTS_OF_CONNECTION {
            (client, asked) = (Client::connect(gate).await?, 0);
        }
        asked += 1;
        let method = Conduct::of(number).method();
        let mut request = Request::new(method, &format!("/{service}/{number}")).cookie(&*cookie);
        if method == "POST" {
            request = request.body(body(user, number));
        }
        let (got, goes_on) = exchange(&mut client, &request, user, number).await;
        tally.note(service, number, &got);
        if !goes_on {
            (client, asked) = (Client::connect(gate).await?, 0);
        }
    }
    Ok(tally)
}

/// Sends a request over HTTP/1.1; returns the outcome, and whether its connection can be used again.
async fn exchange(
    client: &mut Client,
    request: &Request,
    user: &str,
    number: u64,
) -> (Outcome, bool) {
    let head = async {
        client
            .raw(&request.bytes(([127, 0, 0, 1], 0).into()))
            .await?;
        loop {
            let head = client.head().await?;
            if head.status >= 200 {
                return anyhow::Ok(head);
            }
        }
    };
    let head = match head.await {
        Ok(head) => head,
        Err(error) => return (Outcome::Nothing(format!("{error:#}")), false),
    };
    let goes_on = head.header("connection") != Some("close");
    let length = head.header("content-length").map(str::parse::<usize>);
    let has_body = Conduct::of(number).method() != "HEAD" && head.status != 204;
    let body = async {
        match length {
            _ if !has_body => Ok(Vec::new()),
            Some(length) => client.bytes(length?).await,
            None => {
                let mut body = Vec::new();
                while let Some(chunk) = client.chunk().await? {
                    body.extend(chunk);
                }
                Ok(body)
            }
        }
    };
    let body = body.await;
    let goes_on = goes_on && body.is_ok();
    let mark = head.header("x-mark").map(str::as_bytes);
    let got = outcome(head.status, mark, body, has_body, (user, number));
    (got, goes_on)
}

async fn over_http2(gate: SocketAddr, user: &str, numbers: &Arc<Numbers>) -> Result<Tally> {
    let cookie: Arc<str> = Mint::user(user).authjs().into();
    let mut tally = Tally::default();
    let mut left = true;
    while left {
        let (requests, connection) = h2::client::handshake(TcpStream::connect(gate).await?).await?;
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        let (mut streams, mut asked) = (JoinSet::new(), 0);
        loop {
            let next =
                (asked < REQUESTS_OF_CONNECTION && streams.len() < STREAMS).then(|| numbers.next());
            match next {
                Some(Some((service, number))) => {
                    asked += 1;
                    let (requests, user) = (requests.clone(), user.to_owned());
                    let cookie = Arc::clone(&cookie);
                    streams.spawn(async move {
                        let got = stream(requests, &user, &cookie, service, number).await;
                        let got =
                            got.unwrap_or_else(|error| Outcome::Nothing(format!("{error:#}")));
                        (service, number, got)
                    });
                    continue;
                }
                Some(None) => left = false,
                None => {}
            }
            let Some(asked) = streams.join_next().await else {
                break;
            };
            let (service, number, got) = asked?;
            tally.note(service, number, &got);
        }
        drop(requests);
        let ended = timeout(TIMEOUT, driver.join_next()).await;
        ended
            .context("the connection does not end")?
            .context("the driver task runs")???;
    }
    Ok(tally)
}

/// Sends a request over HTTP/2 and returns the outcome.
async fn stream(
    requests: SendRequest<Bytes>,
    user: &str,
    cookie: &str,
    service: &'static str,
    number: u64,
) -> Result<Outcome> {
    let method = Conduct::of(number).method();
    let uri = format!("http://gate.example/{service}/{number}");
    let request = http::Request::builder().method(method).uri(uri);
    let mut request = request.header("cookie", cookie).body(())?;
    let sent = Bytes::from(body(user, number));
    if method == "POST" {
        let length = sent.len().into();
        request.headers_mut().insert("content-length", length);
    }
    let mut requests = timeout(TIMEOUT, requests.ready())
        .await
        .context("no room")??;
    let (response, mut outgoing) = requests.send_request(request, method != "POST")?;
    if method == "POST" {
        outgoing.send_data(sent, true)?;
    }
    let response = match timeout(TIMEOUT, response).await.context("no answer")? {
        // When a stream is reset, the beginning of its answer may be dropped.
        Err(error) if error.is_reset() => return Ok(Outcome::Broken),
        answered => answered?,
    };
    let (head, mut incoming) = response.into_parts();
    let whole = async {
        let mut body = Vec::new();
        while let Some(piece) = piece(&mut incoming).await? {
            body.extend(piece);
        }
        Ok(body)
    };
    let whole = whole.await;
    let status = head.status.as_u16();
    let mark = head.headers.get("x-mark").map(|mark| mark.as_bytes());
    let has_body = method != "HEAD" && status != 204;
    Ok(outcome(status, mark, whole, has_body, (user, number)))
}

/// Judges whether an answer belongs to the request with this user and number.
fn outcome(
    status: u16,
    seen_mark: Option<&[u8]>,
    whole: Result<Vec<u8>>,
    has_body: bool,
    (user, number): (&str, u64),
) -> Outcome {
    let mark = mark(user, number);
    let Some(seen_mark) = seen_mark else {
        let foreign = |body: &Vec<u8>| {
            body.windows(5)
                .any(|part| part == b"stray" || part == b"user-")
        };
        return match whole {
            Ok(body) if foreign(&body) => {
                Outcome::Another(format!("{status} with the body of another"))
            }
            Ok(_) => Outcome::Refusal(status),
            Err(error) => Outcome::Nothing(format!("{status}: {error:#}")),
        };
    };
    if seen_mark != mark.as_bytes() {
        return Outcome::Another(format!("the answer of {}", seen_mark.escape_ascii()));
    }
    let wanted = if has_body {
        body(&mark, number)
    } else {
        Vec::new()
    };
    match whole {
        Err(_) => Outcome::Broken,
        Ok(whole) if whole == wanted => Outcome::Own(status),
        Ok(whole) => Outcome::Another(format!(
            "a body of {} bytes, not {}",
            whole.len(),
            wanted.len()
        )),
    }
}

const CLIENTS: usize = 24;

/// The concurrent requests on a connection of HTTP/2.
const STREAMS: usize = 8;

/// The requests after which a client opens another connection.
const REQUESTS_OF_CONNECTION: usize = 300;
