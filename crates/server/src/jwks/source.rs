//! Where an issuer publishes its keys: a file, or a URL that is fetched with GET.

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONNECTION, HOST, USER_AGENT};
use http::uri::Scheme;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use session::{JwtKeys, JwtKeysError};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::driven::driven;
use crate::tls::{self, Authorities, TlsOptions, Verification};
use client_tls::named_file;

/// Where an issuer publishes its keys.
#[derive(Clone, Debug)]
pub(crate) enum KeySource {
    /// A file, which is read again each time.
    File(PathBuf),
    /// The issuer's server.
    Url(JwksUrl),
}

/// Why an issuer's keys cannot be fetched.
#[derive(Debug, Error)]
pub(crate) enum JwksError {
    /// The server's answer broke off.
    #[error("the answer broke off: {0}")]
    Body(Box<dyn Error + Send + Sync>),
    /// The server did not answer with valid HTTP.
    #[error("{0}")]
    Exchange(#[from] hyper::Error),
    /// The file cannot be read, or there is no connection to the server.
    #[error("{error}{advice}", error = .0, advice = in_parentheses(tls::advice(.0)))]
    Io(#[from] io::Error),
    /// The document is no JWK set.
    #[error("{0}")]
    Keys(#[from] JwtKeysError),
    /// The file has no usable key.
    #[error("the JWKS has no public key for verifying signatures that is of a supported type")]
    NoUsableKey,
    /// The document is not UTF-8.
    #[error("the JWKS is not text")]
    NotText,
    /// The server did not answer with 200. Redirects are not followed, because they could choose the keys.
    #[error("the server answered {0}")]
    Status(StatusCode),
    /// The server took too long.
    #[error("no answer within {} s", TIMEOUT.as_secs())]
    TimedOut,
}

impl KeySource {
    /// Reads the keys that are published now, as text.
    pub(crate) async fn read(&self) -> Result<String, JwksError> {
        match self {
            Self::File(path) => {
                let path = path.clone();
                let read = spawn_blocking(move || read_file(&path)).await;
                read.map_err(|_| io::Error::other("the reading thread ended"))?
            }
            Self::Url(url) => timeout(TIMEOUT, url.fetch())
                .await
                .map_err(|_| JwksError::TimedOut)?,
        }
    }
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Url(url) => url.fmt(f),
        }
    }
}

/// Reads a file with keys, unless it is longer than keys may be.
pub(crate) fn read_file(path: &Path) -> Result<String, JwksError> {
    let bytes = named_file::read(path, JwtKeys::MAX_JWKS_LEN as u64);
    text(
        bytes.map_err(|error| match error.kind() == ErrorKind::FileTooLarge {
            true => JwtKeysError::Oversize.into(),
            false => JwksError::Io(error),
        })?,
    )
}

fn in_parentheses(advice: Option<&str>) -> String {
    advice.map_or_else(String::new, |advice| format!(" ({advice})"))
}

fn text(bytes: Vec<u8>) -> Result<String, JwksError> {
    if bytes.len() > JwtKeys::MAX_JWKS_LEN {
        return Err(JwtKeysError::Oversize.into());
    }
    let text = String::from_utf8(bytes).map_err(|_| JwksError::NotText)?;
    // RFC 8259 section 8.1 lets a reader ignore a byte-order mark.
    Ok(match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    })
}

/// A URL with keys, and how its server is authenticated.
#[derive(Clone)]
pub(crate) struct JwksUrl {
    host: String,
    port: u16,
    /// The value of the `Host` header.
    authority: String,
    path_and_query: String,
    /// `None` for plain HTTP, which does not leave this machine.
    tls: Option<(ServerName<'static>, Arc<ClientConfig>)>,
}

/// Why a URL is not suitable for fetching keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum JwksUrlError {
    /// Without TLS, anybody on the network path could replace the keys.
    #[error("plain http is allowed only to this machine; use https")]
    Insecure,
    /// Not a URL, or one with credentials or of another scheme.
    #[error("give a file or a URL such as https://issuer.example/.well-known/jwks.json")]
    Malformed,
}

impl JwksUrl {
    /// Parses a URL as configured. Over HTTPS, one of `authorities` must vouch for the server's certificate.
    pub(crate) fn parse(text: &str, authorities: Authorities) -> Result<Self, JwksUrlError> {
        let uri: Uri = text.parse().map_err(|_| JwksUrlError::Malformed)?;
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return Err(JwksUrlError::Malformed);
        };
        let has_port = authority.as_str().len() > authority.host().len();
        // The parser treats a port out of range like a missing one, and the request would go to another server.
        if authority.as_str().contains('@') || (has_port && authority.port_u16().is_none()) {
            return Err(JwksUrlError::Malformed);
        }
        let host = authority
            .host()
            .trim_start_matches('[')
            .trim_end_matches(']');
        let tls = if *scheme == Scheme::HTTPS {
            let name =
                ServerName::try_from(host.to_owned()).map_err(|_| JwksUrlError::Malformed)?;
            Some((name, Arc::new(client_config(authorities)?)))
        } else if *scheme != Scheme::HTTP {
            return Err(JwksUrlError::Malformed);
        } else if !is_this_machine(host) {
            return Err(JwksUrlError::Insecure);
        } else {
            None
        };
        let default_port = if tls.is_some() { 443 } else { 80 };
        Ok(Self {
            host: host.to_owned(),
            port: authority.port_u16().unwrap_or(default_port),
            authority: authority.as_str().to_owned(),
            path_and_query: uri
                .path_and_query()
                .map_or_else(|| "/".to_owned(), ToString::to_string),
            tls,
        })
    }

    /// Whether the keys are fetched over TLS, which authenticates the server.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.tls.is_some()
    }

    async fn fetch(&self) -> Result<String, JwksError> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        match &self.tls {
            None => self.get(stream).await,
            Some((name, config)) => {
                let connector = TlsConnector::from(Arc::clone(config));
                self.get(connector.connect(name.clone(), stream).await?)
                    .await
            }
        }
    }

    async fn get(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Result<String, JwksError> {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let request = Request::get(&self.path_and_query)
            .header(HOST, &self.authority)
            .header(ACCEPT, "application/jwk-set+json, application/json")
            .header(USER_AGENT, "sessiongate")
            .header(CONNECTION, "close")
            .body(Empty::<Bytes>::new())
            .expect("a parsed URL has a valid path and authority");
        let answer = async {
            let response = sender.send_request(request).await?;
            if response.status() != StatusCode::OK {
                return Err(JwksError::Status(response.status()));
            }
            let body = Limited::new(response.into_body(), JwtKeys::MAX_JWKS_LEN);
            let body = body.collect().await.map_err(|error| {
                if error.is::<LengthLimitError>() {
                    JwtKeysError::Oversize.into()
                } else {
                    JwksError::Body(error)
                }
            })?;
            text(body.to_bytes().into())
        };
        driven(connection, answer).await
    }
}

impl fmt::Display for JwksUrl {
    /// Shows the URL without the query, in which some issuers require an access key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let path = self.path_and_query.split('?').next().unwrap_or_default();
        write!(f, "{scheme}://{}{path}", self.authority)
    }
}

impl fmt::Debug for JwksUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JwksUrl({self})")
    }
}

fn client_config(authorities: Authorities) -> Result<ClientConfig, JwksUrlError> {
    let tls_options = TlsOptions {
        verification: Verification::AuthorityAndName(authorities),
        identity: None,
    };
    // This fails only without a single authority, and the public ones are always there.
    tls::client_config(tls_options).map_err(|_| JwksUrlError::Malformed)
}

fn is_this_machine(host: &str) -> bool {
    let is_loopback = |ip: IpAddr| ip.is_loopback();
    host == "localhost" || host.parse().is_ok_and(is_loopback)
}

/// The limit for one fetch, from the name lookup to the end of the answer.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<JwksUrl, JwksUrlError> {
        JwksUrl::parse(text, Authorities::public())
    }

    #[test]
    fn byte_order_mark_is_ignored() {
        let keys = text(b"\xef\xbb\xbf{}".to_vec());
        assert!(matches!(keys.as_deref(), Ok("{}")), "{keys:?}");
    }

    #[test]
    fn plain_http_is_allowed_only_to_this_machine() {
        for url in [
            "http://127.0.0.1:8000/jwks",
            "http://[::1]/jwks",
            "http://localhost/jwks",
            "https://issuer.example/jwks",
            "https://192.0.2.1",
            "https://[2001:db8::1]:8443/jwks",
        ] {
            assert!(parse(url).is_ok(), "{url}");
        }
        for url in [
            "http://issuer.example/jwks",
            "http://192.0.2.1/jwks",
            "http://localhost.example/jwks",
            "http://127.0.0.1.example/jwks",
        ] {
            assert_eq!(parse(url).unwrap_err(), JwksUrlError::Insecure, "{url}");
        }
        for url in [
            "ftp://issuer.example/jwks",
            "https://",
            "https:///jwks",
            "https://user:password@issuer.example/jwks",
            "https://issuer.example:99999/jwks",
            "https://issuer.example:/jwks",
            "http://127.0.0.1@issuer.example/jwks",
            "://",
        ] {
            assert_eq!(parse(url).unwrap_err(), JwksUrlError::Malformed, "{url}");
        }
    }

    #[test]
    fn query_is_sent_but_not_shown() {
        let url = parse("https://issuer.example:8443/jwks?key=hidden").unwrap();
        assert_eq!(url.path_and_query, "/jwks?key=hidden");
        assert_eq!(url.to_string(), "https://issuer.example:8443/jwks");
        assert_eq!(url.authority, "issuer.example:8443");
        assert_eq!(
            format!("{url:?}"),
            "JwksUrl(https://issuer.example:8443/jwks)"
        );
        assert_eq!(parse("https://issuer.example").unwrap().path_and_query, "/");
    }
}
