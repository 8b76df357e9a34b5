//! Fetches a page with one GET request, as a browser does.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONNECTION, COOKIE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use session::UnixTime;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::site::Site;
use crate::clock;
use crate::driven::driven;
use crate::tls::{self, Authorities, TlsFileError, TlsOptions, Verification};

/// An HTTP client that fetches pages.
pub(super) struct Fetcher {
    verified: Arc<ClientConfig>,
    unverified: Arc<ClientConfig>,
}

/// Whether the server's certificate must be valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CertificateCheck {
    /// It must be valid.
    Required,
    /// It is not verified; nothing secret is sent.
    Skipped,
}

/// The response to a request for a page.
#[derive(Debug)]
pub(super) struct FetchedPage {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// The body; empty if it is too long or incomplete.
    pub(super) body: Bytes,
    /// When the request was sent, and when the head of the response arrived.
    pub(super) sent: UnixTime,
    pub(super) received: UnixTime,
}

/// Why there is no response.
#[derive(Debug, Error)]
pub(super) enum FetchError {
    /// The server's certificate is not valid.
    #[error("{0}")]
    Certificate(String),
    /// The server did not answer with valid HTTP.
    #[error("{0}")]
    Exchange(#[from] hyper::Error),
    /// The connection failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The URL cannot be requested.
    #[error("{0}")]
    Target(#[from] http::Error),
    /// The response took too long.
    #[error("no answer within {} s", LIMIT.as_secs())]
    TimedOut,
}

impl Fetcher {
    /// Makes a client that trusts these certificate authorities.
    ///
    /// # Errors
    /// If there are no certificate authorities.
    pub(super) fn new(authorities: Authorities) -> Result<Self, TlsFileError> {
        let config = |verification| {
            let tls_options = TlsOptions {
                verification,
                identity: None,
            };
            tls::client_config(tls_options).map(Arc::new)
        };
        Ok(Self {
            verified: config(Verification::AuthorityAndName(authorities))?,
            unverified: config(Verification::Nothing)?,
        })
    }

    /// Requests a page. `cookies` is the value of a `Cookie` header.
    ///
    /// # Errors
    /// If there is no response in time.
    pub(super) async fn get(
        &self,
        site: &Site,
        trust: CertificateCheck,
        cookies: Option<&HeaderValue>,
    ) -> Result<FetchedPage, FetchError> {
        timeout(LIMIT, self.exchange(site, trust, cookies))
            .await
            .unwrap_or(Err(FetchError::TimedOut))
    }

    async fn exchange(
        &self,
        site: &Site,
        trust: CertificateCheck,
        cookies: Option<&HeaderValue>,
    ) -> Result<FetchedPage, FetchError> {
        let stream = TcpStream::connect((site.host.as_str(), site.port)).await?;
        if !site.is_https {
            return get(stream, site, cookies).await;
        }
        let config = match trust {
            CertificateCheck::Required => &self.verified,
            CertificateCheck::Skipped => &self.unverified,
        };
        let name = ServerName::try_from(site.host.clone()).map_err(io::Error::other)?;
        let connector = TlsConnector::from(Arc::clone(config));
        let stream = connector
            .connect(name, stream)
            .await
            .map_err(of_handshake)?;
        get(stream, site, cookies).await
    }
}

async fn get(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    site: &Site,
    cookies: Option<&HeaderValue>,
) -> Result<FetchedPage, FetchError> {
    let mut request = Request::get(&site.target)
        .header(HOST, site.authority())
        .header(ACCEPT, "text/html, application/json;q=0.9, */*;q=0.8")
        .header(USER_AGENT, "sessiongate-doctor")
        .header(CONNECTION, "close");
    if let Some(cookies) = cookies {
        request = request.header(COOKIE, cookies);
    }
    let request = request.body(Empty::<Bytes>::new())?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let answer = async {
        let sent = clock::now();
        let response = sender.send_request(request).await?;
        let received = clock::now();
        let (head, body) = response.into_parts();
        let body = Limited::new(body, LONGEST_BODY).collect().await;
        Ok(FetchedPage {
            status: head.status,
            headers: head.headers,
            body: body.map(|body| body.to_bytes()).unwrap_or_default(),
            sent,
            received,
        })
    };
    driven(connection, answer).await
}

/// Distinguishes an invalid certificate from a failed connection.
fn of_handshake(error: io::Error) -> FetchError {
    let wrapped = error.get_ref().and_then(|wrapped| wrapped.downcast_ref());
    match wrapped {
        Some(flaw @ rustls::Error::InvalidCertificate(_)) => {
            let advice = tls::advice(&error as &(dyn Error + 'static));
            let advice = advice.map(|advice| format!(" ({advice})"));
            FetchError::Certificate(format!("{flaw}{}", advice.unwrap_or_default()))
        }
        Some(_) | None => FetchError::Io(error),
    }
}

/// The timeout for one page, from the DNS lookup to the end of the response.
pub(super) const LIMIT: Duration = Duration::from_secs(10);

/// The longest body in bytes: the responses of session endpoints are far shorter.
const LONGEST_BODY: usize = 256 * 1024;
