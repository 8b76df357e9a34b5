//! The first words of a connection on which TLS is spoken.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, ProtocolVersion, ServerConfig, ServerConnection,
};
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::socket::TlsSocket;

/// Why a client and we have not come to terms.
#[derive(Debug, Error)]
pub(crate) enum HandshakeError {
    /// It left, or the connection broke.
    #[error("the client has left")]
    Gone,
    /// It speaks HTTP without TLS.
    #[error("a request without TLS came to a port for TLS; it was told to use https://")]
    PlainHttp,
    /// It does not speak TLS as we do.
    #[error("{0}")]
    Tls(rustls::Error),
    /// It took too long.
    #[error("it has not come to an end within {0:?} (CLIENT_HEADER_TIMEOUT)")]
    TimedOut(Duration),
    /// It said too much.
    #[error("more than {MOST_RECEIVED} bytes came, and no end")]
    TooLong,
}

impl HandshakeError {
    /// The word in the metrics.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Gone => "client_left",
            Self::PlainHttp => "plain_http",
            Self::Tls(rustls::Error::NoCertificatesPresented) => "no_client_certificate",
            Self::Tls(rustls::Error::InvalidCertificate(_)) => "bad_client_certificate",
            Self::Tls(rustls::Error::AlertReceived(_)) => "refused_by_client",
            Self::Tls(_) => "failed",
            Self::TimedOut(_) => "timed_out",
            Self::TooLong => "too_long",
        }
    }
}

impl From<io::Error> for HandshakeError {
    fn from(error: io::Error) -> Self {
        let of_tls = error.get_ref().and_then(|inner| inner.downcast_ref());
        of_tls.cloned().map_or(Self::Gone, Self::Tls)
    }
}

/// Comes to terms with a client within `limit`.
///
/// # Errors
/// [`HandshakeError`] says why that was not possible. The client has been told, where there was somebody to tell.
pub(crate) async fn accept(
    tcp: TcpStream,
    config: Arc<ServerConfig>,
    limit: Duration,
) -> Result<TlsSocket, HandshakeError> {
    let connection = ServerConnection::new(config).map_err(HandshakeError::Tls)?;
    let mut socket = TlsSocket::new(tcp, connection);
    let come_to_terms = come_to_terms(&mut socket);
    let result = timeout(limit, come_to_terms).await;
    match result.unwrap_or(Err(HandshakeError::TimedOut(limit))) {
        Ok(()) => Ok(socket),
        Err(error) => {
            if matches!(error, HandshakeError::PlainHttp) {
                // Whether it listens or not, the connection is over.
                let _ = timeout(LONGEST_LINGER, explain(socket.tcp())).await;
            }
            Err(error)
        }
    }
}

/// Comes to terms with a server that has this name.
///
/// # Errors
/// When it does not speak TLS, is not who it should be, or the connection breaks.
pub(crate) async fn connect(
    tcp: TcpStream,
    config: &Arc<ClientConfig>,
    name: &ServerName<'static>,
) -> io::Result<TlsSocket> {
    let connection = ClientConnection::new(Arc::clone(config), name.clone());
    let connection = connection.map_err(io::Error::other)?;
    let mut socket = TlsSocket::new(tcp, connection);
    match come_to_terms(&mut socket).await {
        Ok(()) => Ok(socket),
        Err(HandshakeError::Tls(error)) => Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        Err(HandshakeError::PlainHttp) => {
            let what = "the server speaks HTTP without TLS; write `http://`";
            Err(io::Error::new(io::ErrorKind::InvalidData, what))
        }
        Err(HandshakeError::Gone | HandshakeError::TimedOut(_) | HandshakeError::TooLong) => {
            let what = "the server has ended the connection in the middle of the handshake";
            Err(io::Error::new(io::ErrorKind::UnexpectedEof, what))
        }
    }
}

/// Comes to terms with the other side. In TLS 1.3 the last words of ours go out with the first bytes that are written.
///
/// # Errors
/// When the connection breaks, or one of the two does not take the other's word.
async fn come_to_terms(socket: &mut TlsSocket) -> Result<(), HandshakeError> {
    let mut received = 0;
    poll_fn(|context| poll(socket, &mut received, context)).await
}

/// Whether a client comes back, in the metrics' words.
pub(crate) fn kind(connection: &ServerConnection) -> &'static str {
    match connection.handshake_kind() {
        Some(HandshakeKind::Resumed) => "resumed",
        Some(HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest) | None => "full",
    }
}

fn poll(
    socket: &mut TlsSocket,
    received: &mut usize,
    context: &mut Context<'_>,
) -> Poll<Result<(), HandshakeError>> {
    while socket.is_handshaking() {
        while socket.is_holding() {
            ready!(socket.poll_drain(context))?;
        }
        let is_first = *received == 0;
        let count = ready!(socket.poll_fill(context, |bytes| match bytes.first() {
            Some(byte) if is_first && byte.is_ascii_alphabetic() => Err(HandshakeError::PlainHttp),
            Some(_) | None => Ok(()),
        }))?;
        if count == 0 {
            return Poll::Ready(Err(HandshakeError::Gone));
        }
        *received += count;
        if *received > MOST_RECEIVED {
            return Poll::Ready(Err(HandshakeError::TooLong));
        }
    }
    // Before TLS 1.3 the client waits for it. What is said last in TLS 1.3 are tickets, for which nobody waits.
    while socket.is_holding() && socket.version() != Some(ProtocolVersion::TLSv1_3) {
        ready!(socket.poll_drain(context))?;
    }
    Poll::Ready(Ok(()))
}

/// Tells a client that speaks HTTP without TLS what it has to do. What it has sent is read, or the answer might be lost
/// (RFC 9112 §9.6).
async fn explain(tcp: &mut TcpStream) -> io::Result<()> {
    tcp.write_all(ASKS_FOR_TLS).await?;
    tcp.shutdown().await?;
    let mut rest = [0; 4096];
    let mut read = 0;
    while read < MOST_LINGERED {
        match tcp.read(&mut rest).await? {
            0 => break,
            count => read += count,
        }
    }
    Ok(())
}

const ASKS_FOR_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
    content-type: text/plain; charset=utf-8\r\n\
    content-length: 66\r\n\
    connection: close\r\n\r\n\
    This port speaks HTTPS, and the request came without it: https://\n";

/// In bytes. A client's certificates take a few KiB, the longest message of rustls 64.
const MOST_RECEIVED: usize = 96 * 1024;

const LONGEST_LINGER: Duration = Duration::from_secs(1);
const MOST_LINGERED: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_plain_http_says_how_long_it_is() {
        let answer = str::from_utf8(ASKS_FOR_TLS).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())));
    }
}
