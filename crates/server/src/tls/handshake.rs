//! TLS handshakes, with clients and with servers.

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

/// Why a handshake with a client has failed.
#[derive(Debug, Error)]
pub(crate) enum HandshakeError {
    /// The client went away, or the connection broke.
    #[error("the client has disconnected")]
    Gone,
    /// The client sent HTTP without TLS.
    #[error("a plain HTTP request arrived at a TLS port; the client was told to use https://")]
    PlainHttp,
    /// The client's TLS was not acceptable.
    #[error("{0}")]
    Tls(rustls::Error),
    /// The handshake took too long.
    #[error("the handshake did not complete within {0:?} (CLIENT_HEADER_TIMEOUT)")]
    TimedOut(Duration),
    /// The client sent too many bytes.
    #[error("the handshake did not complete within {MOST_RECEIVED} bytes")]
    TooLong,
}

impl HandshakeError {
    /// The label in the metrics.
    pub(crate) fn label(&self) -> &'static str {
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

/// Does a handshake with a client within `limit`.
///
/// # Errors
/// [`HandshakeError`] says why it has failed. The client got an alert, if it is still there.
pub(crate) async fn accept(
    tcp: TcpStream,
    config: Arc<ServerConfig>,
    limit: Duration,
) -> Result<TlsSocket, HandshakeError> {
    let connection = ServerConnection::new(config).map_err(HandshakeError::Tls)?;
    let mut socket = TlsSocket::new(tcp, connection);
    let handshaking = complete_handshake(&mut socket);
    let result = timeout(limit, handshaking).await;
    match result.unwrap_or(Err(HandshakeError::TimedOut(limit))) {
        Ok(()) => Ok(socket),
        Err(error) => {
            if matches!(error, HandshakeError::PlainHttp) {
                // The connection is over, whether the client reads the answer or not.
                let _ = timeout(LONGEST_LINGER, answer_plain_http(socket.tcp())).await;
            }
            Err(error)
        }
    }
}

/// Does a handshake with the server of this name.
///
/// # Errors
/// When the server does not speak TLS, its certificate is not valid for the name, or the connection breaks.
pub(crate) async fn connect(
    tcp: TcpStream,
    config: &Arc<ClientConfig>,
    name: &ServerName<'static>,
) -> io::Result<TlsSocket> {
    let connection = ClientConnection::new(Arc::clone(config), name.clone());
    let connection = connection.map_err(io::Error::other)?;
    let mut socket = TlsSocket::new(tcp, connection);
    match complete_handshake(&mut socket).await {
        Ok(()) => Ok(socket),
        Err(HandshakeError::Tls(error)) => Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        Err(HandshakeError::PlainHttp) => {
            let what = "the server speaks HTTP without TLS; use `http://`";
            Err(io::Error::new(io::ErrorKind::InvalidData, what))
        }
        Err(HandshakeError::Gone | HandshakeError::TimedOut(_) | HandshakeError::TooLong) => {
            let what = "the server closed the connection during the handshake";
            Err(io::Error::new(io::ErrorKind::UnexpectedEof, what))
        }
    }
}

/// Completes a handshake. In TLS 1.3 the last bytes of it are sent with the first application data.
///
/// # Errors
/// When the connection breaks, or one of the sides rejects the other.
async fn complete_handshake(socket: &mut TlsSocket) -> Result<(), HandshakeError> {
    let mut received = 0;
    poll_fn(|context| poll(socket, &mut received, context)).await
}

/// Whether the handshake was full or resumed, as a metrics label.
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
    // Before TLS 1.3 the client waits for these bytes. In TLS 1.3 they are tickets, for which no client waits.
    while socket.is_holding() && socket.version() != Some(ProtocolVersion::TLSv1_3) {
        ready!(socket.poll_drain(context))?;
    }
    Poll::Ready(Ok(()))
}

/// Answers a client that sent HTTP without TLS. The request is read afterwards, or the answer might be lost (RFC 9112 §9.6).
async fn answer_plain_http(tcp: &mut TcpStream) -> io::Result<()> {
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
    This port requires HTTPS, but the request is plain HTTP: https://\n";

/// How much a client may send in a handshake, in bytes. A client's certificates take a few KiB; the longest message that rustls
/// accepts has 64 KiB.
const MOST_RECEIVED: usize = 96 * 1024;

const LONGEST_LINGER: Duration = Duration::from_secs(1);
const MOST_LINGERED: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_to_plain_http_has_the_right_length() {
        let answer = str::from_utf8(ASKS_FOR_TLS).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())));
    }
}
