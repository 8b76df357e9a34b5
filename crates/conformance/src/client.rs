//! A client that sends given bytes unchanged.

use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::answer::{Response, answers};
use crate::clock::now;
use crate::latin;

/// The bytes to send, and how long to wait for responses.
#[derive(Clone, Debug)]
pub(crate) struct Sending<'a> {
    /// The pieces to send, each with a pause before it.
    pub(crate) pieces: Vec<(Duration, String)>,
    /// The number of responses to wait for.
    pub(crate) enough: usize,
    /// The methods of the requests, in order.
    pub(crate) methods: Vec<&'a str>,
    pub(crate) timeout: Duration,
    /// How long to wait for more responses when there are enough.
    pub(crate) settle: Duration,
    /// Whether the gateway must close the connection after an error, so that the client waits for that.
    pub(crate) expects_close: bool,
    /// Whether the client half-closes the connection after the last piece.
    pub(crate) half_closes: bool,
}

/// The result of sending: the responses received.
#[derive(Clone, Debug, Default)]
pub(crate) struct Exchange {
    pub(crate) data: String,
    pub(crate) answers: Vec<Response>,
    /// Whether the peer closed the connection.
    pub(crate) closed: bool,
    pub(crate) timed_out: bool,
}

impl Sending<'_> {
    pub(crate) fn new(text: impl Into<String>, timeout: Duration) -> Self {
        Self {
            pieces: vec![(Duration::ZERO, text.into())],
            enough: 1,
            methods: Vec::new(),
            timeout,
            settle: Duration::from_millis(15),
            expects_close: false,
            half_closes: false,
        }
    }

    /// Sends the pieces over a new connection.
    pub(crate) fn send(&self, to: SocketAddr) -> Exchange {
        let mut exchange = Exchange::default();
        // If the gateway is down, the connection ends without a response.
        let Ok(stream) = TcpStream::connect_timeout(&to, self.timeout) else {
            exchange.closed = true;
            return exchange;
        };
        // Neither can fail on an open socket.
        let _ = stream.set_nodelay(true);
        let _ = stream.set_write_timeout(Some(self.timeout));
        let mut deadline = now() + self.timeout;
        for (pause, piece) in &self.pieces {
            if !pause.is_zero() {
                deadline += *pause;
                self.listen(&stream, now() + *pause, &mut exchange);
            }
            if exchange.closed || (&stream).write_all(&latin::bytes(piece)).is_err() {
                break;
            }
        }
        if self.half_closes {
            let _ = stream.shutdown(std::net::Shutdown::Write);
        }
        exchange.timed_out = self.listen(&stream, deadline, &mut exchange);
        exchange
    }

    /// Reads until there are enough responses, the peer closes the connection, or the time is `until`. Returns whether the time
    /// ran out before there were enough responses.
    fn listen(&self, mut stream: &TcpStream, until: Instant, exchange: &mut Exchange) -> bool {
        loop {
            exchange.answers = answers(&exchange.data, &self.methods, exchange.closed);
            let complete = exchange.answers.iter().filter(|answer| answer.complete);
            let enough = complete.count() >= self.enough;
            if exchange.closed {
                return false;
            }
            let left = until.saturating_duration_since(now());
            if left.is_zero() {
                return !enough;
            }
            let refused = exchange
                .answers
                .last()
                .is_none_or(|last| last.status >= 400);
            let wait = match (enough, self.expects_close && refused) {
                (true, false) => left.min(self.settle),
                (true, true) | (false, _) => left,
            };
            match read(&mut stream, wait) {
                Some(data) if data.is_empty() => exchange.closed = true,
                Some(data) => exchange.data.push_str(&latin::text(&data)),
                None if enough => return false,
                None => {}
            }
        }
    }
}

/// Returns the bytes that arrive within this time; `None` if none arrive, and no bytes when the connection has ended in any way.
pub(crate) fn read(stream: &mut &TcpStream, wait: Duration) -> Option<Vec<u8>> {
    // Zero would mean no timeout.
    let wait = wait.max(Duration::from_millis(1));
    let _ = stream.set_read_timeout(Some(wait));
    let mut buffer = vec![0; 1 << 16];
    match stream.read(&mut buffer) {
        Ok(length) => {
            buffer.truncate(length);
            Some(buffer)
        }
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => None,
        Err(_) => Some(Vec::new()),
    }
}

impl Exchange {
    /// Returns the status of the first response; 0 if there is none.
    pub(crate) fn status(&self) -> u16 {
        self.answers.first().map_or(0, |answer| answer.status)
    }

    pub(crate) fn statuses(&self) -> Vec<u16> {
        self.answers.iter().map(|answer| answer.status).collect()
    }

    /// Whether the response is a client error, or rejects an unknown method or version.
    pub(crate) fn refuses(&self) -> bool {
        matches!(self.status(), 400..=499 | 501 | 505)
    }

    pub(crate) fn permits(&self) -> bool {
        (200..300).contains(&self.status())
    }
}

impl fmt::Display for Exchange {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let statuses: Vec<_> = self.statuses().iter().map(u16::to_string).collect();
        match (statuses.is_empty(), self.data.is_empty()) {
            (true, true) => write!(to, "no answer")?,
            (true, false) => write!(to, "an unreadable answer")?,
            (false, _) => write!(to, "status {}", statuses.join(", "))?,
        }
        write!(to, "{}", if self.closed { ", closed" } else { ", open" })?;
        write!(to, "{}", if self.timed_out { ", timed out" } else { "" })
    }
}
