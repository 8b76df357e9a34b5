//! How a connection to a server is opened: the way there, what the server is told of the client, and TLS.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UnixStream};

use crate::config::{PoolSettings, ServerAddress};
use crate::proxy_protocol::{self, ProxyVersion};
use crate::socket::{Stream, keep_alive};
use crate::tls::{advice, handshake};

/// Opens connections to a server.
#[derive(Clone, Debug)]
pub(super) struct Dialer {
    pub(super) address: ServerAddress,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    pub(super) proxy_protocol: Option<ProxyVersion>,
}

/// Whom a connection is for, where the server is told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    pub(super) client: IpAddr,
    /// Where it has reached us, if that is known.
    pub(super) reached: Option<SocketAddr>,
}

impl Dialer {
    pub(super) fn new(address: &ServerAddress, pool: &PoolSettings) -> Self {
        let tls = match address {
            ServerAddress::Tcp {
                host, secure: true, ..
            } => {
                let of_url = || ServerName::try_from(host.clone()).ok();
                let name = pool.tls.name.clone().or_else(of_url);
                pool.tls.config.clone().zip(name)
            }
            ServerAddress::Http2 { .. }
            | ServerAddress::Tcp { secure: false, .. }
            | ServerAddress::Unix(_) => None,
        };
        Self {
            address: address.clone(),
            tls,
            proxy_protocol: pool.proxy_protocol,
        }
    }

    /// Whether the other one does the same.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let tls = |dialer: &Self| {
            let tls = dialer.tls.as_ref();
            tls.map(|(config, name)| (Arc::as_ptr(config), name.clone()))
        };
        let way = |dialer: &Self| (dialer.address.clone(), dialer.proxy_protocol);
        way(self) == way(other) && tls(self) == tls(other)
    }

    /// Opens a connection. The name of the server is looked up each time, and its addresses are tried one after the other.
    ///
    /// # Errors
    /// When nobody takes it, or the other side and we do not come to terms about TLS.
    pub(super) async fn open(&self, caller: Option<Caller>) -> io::Result<Stream> {
        let told = self.proxy_protocol.map(|version| {
            let caller = caller.map(|caller| (caller.client, caller.reached));
            proxy_protocol::header(version, caller)
        });
        let told = told.unwrap_or_default();
        let (host, port) = match &self.address {
            ServerAddress::Http2 { host, port } | ServerAddress::Tcp { host, port, .. } => {
                (host.as_str(), *port)
            }
            ServerAddress::Unix(path) => {
                let mut stream = UnixStream::connect(path).await?;
                stream.write_all(&told).await?;
                return Ok(Stream::from(stream));
            }
        };
        let mut stream = TcpStream::connect((host, port)).await?;
        stream.set_nodelay(true)?;
        keep_alive(&stream)?;
        stream.write_all(&told).await?;
        let stream = Stream::from(stream);
        match (&self.tls, self.address.speaks_tls()) {
            (Some((config, name)), _) => {
                let secure = async |tcp| handshake::connect(tcp, config, name).await;
                stream.secured(secure).await.map_err(explained)
            }
            // The configuration sees to it that there is one.
            (None, true) => Err(io::ErrorKind::Unsupported.into()),
            (None, false) => Ok(stream),
        }
    }
}

/// Says of an error of TLS that it is one, and what to do about it.
fn explained(error: io::Error) -> io::Error {
    let what = match advice(&error) {
        Some(advice) => format!("TLS: {error}; {advice}"),
        None => format!("TLS: {error}"),
    };
    io::Error::new(error.kind(), what)
}
