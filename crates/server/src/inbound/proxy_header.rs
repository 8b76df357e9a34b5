//! Reads the PROXY header at the start of a connection.

use std::io;
use std::net::IpAddr;

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt};
use wire::proxy_protocol::{self, ProxyHeader, ProxyHeaderError};

/// Why no PROXY header could be read.
#[derive(Debug, Error)]
pub(super) enum NoHeader {
    /// The connection ended within the header.
    #[error("the connection ended within its PROXY header")]
    Ended(#[from] io::Error),
    /// The connection ended without a byte, as port checks do.
    #[error("the connection ended before any data")]
    Silent,
    /// The connection begins with something else.
    #[error(transparent)]
    Wrong(#[from] ProxyHeaderError),
}

/// Reads the PROXY header, and not a byte more. Returns the client's address, if the header names one.
///
/// # Errors
/// [`NoHeader`] says what is wrong. The connection cannot be used then.
pub(super) async fn read(
    stream: &mut (impl AsyncRead + Unpin),
) -> Result<Option<IpAddr>, NoHeader> {
    let mut header = Vec::new();
    loop {
        let more = match proxy_protocol::read(&header)? {
            ProxyHeader::Incomplete(more) => more,
            ProxyHeader::Complete(client) => return Ok(client),
        };
        let here = header.len();
        let received = (&mut *stream)
            .take(more as u64)
            .read_buf(&mut header)
            .await?;
        if received == 0 && here == 0 {
            return Err(NoHeader::Silent);
        }
        if received == 0 {
            return Err(NoHeader::Ended(io::ErrorKind::UnexpectedEof.into()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn proxy_header_is_removed_and_nothing_behind_it() {
        let mut bytes = &b"PROXY TCP4 192.0.2.7 192.0.2.1 1 443\r\nGET /"[..];
        let client = read(&mut bytes).await.unwrap();
        assert_eq!(
            (client, bytes),
            (Some([192, 0, 2, 7].into()), &b"GET /"[..])
        );
    }

    #[tokio::test]
    async fn ended_connection_differs_from_one_without_a_header() {
        let read = async |mut bytes: &[u8]| read(&mut bytes).await;
        assert!(matches!(read(b"").await, Err(NoHeader::Silent)));
        for begun in [
            &b"P"[..],
            b"PROXY TCP4 1.1",
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0cab",
        ] {
            assert!(matches!(read(begun).await, Err(NoHeader::Ended(_))));
        }
        assert!(matches!(
            read(b"GET / HTTP/1.1\r\n\r\n").await,
            Err(NoHeader::Wrong(_))
        ));
    }
}
