//! The HTTP client towards the ACME server: one connection for each request, over TLS, with limits on time and size.

use std::error::Error as StdError;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderValue};
use http::uri::Scheme;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Collected, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use thiserror::Error as ThisError;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::driven::driven;
use crate::tls::{self, Authorities, TlsFileError, TlsOptions, Verification};

/// The HTTP client for the ACME server. It trusts the configured authorities.
#[derive(Clone)]
pub(super) struct AcmeClient(Arc<ClientConfig>);

type BoxError = Box<dyn StdError + Send + Sync>;

/// Why a request has failed.
#[derive(Debug, ThisError)]
enum ExchangeError {
    #[error("cannot connect to {0}: {1}{2}")]
    Connect(String, io::Error, String),
    #[error("the ACME server returned `{0}`, which is not an https:// URL")]
    NotHttps(Uri),
    #[error("{0} answered {1} with a body that is not JSON; is it an ACME server?")]
    NotAcme(String, http::StatusCode),
    #[error("{0} does not answer: {1}")]
    Broken(String, BoxError),
    #[error("{0} did not answer within {seconds} s", seconds = LONGEST.as_secs())]
    TimedOut(String),
}

impl AcmeClient {
    /// Creates a client that trusts these authorities.
    ///
    /// # Errors
    /// When no authority is usable.
    pub(super) fn new(authorities: Authorities) -> Result<Self, TlsFileError> {
        let tls_options = TlsOptions {
            verification: Verification::AuthorityAndName(authorities),
            identity: None,
        };
        Ok(Self(Arc::new(tls::client_config(tls_options)?)))
    }

    /// Fetches the directory of a server, which has the URLs of its resources (RFC 8555 §7.1.1).
    ///
    /// # Errors
    /// A message that says why the directory cannot be fetched.
    pub(super) async fn directory(self, url: &str) -> Result<(), String> {
        let request = Request::get(url).body(BodyWrapper::from(Vec::new()));
        let request = request.map_err(|error| error.to_string())?;
        let answer = self.exchange(request).await;
        let answer = answer.map_err(|error| error.to_string())?;
        let status = answer.status();
        let body = answer.into_body().collect().await;
        let body = body.map(Collected::to_bytes).unwrap_or_default();
        let directory: Result<serde_json::Value, _> = serde_json::from_slice(&body);
        match directory.is_ok_and(|directory| directory.get("newOrder").is_some()) {
            true => Ok(()),
            false => Err(format!("it answered {status} without a directory")),
        }
    }

    async fn exchange(
        self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Result<Response<Full<Bytes>>, ExchangeError> {
        let uri = request.uri().clone();
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return Err(ExchangeError::NotHttps(uri));
        };
        if *scheme != Scheme::HTTPS {
            return Err(ExchangeError::NotHttps(uri));
        }
        let shown = authority.as_str().to_owned();
        let exchange = async {
            let host = authority.host().trim_matches(['[', ']']).to_owned();
            let port = authority.port_u16().unwrap_or(443);
            let tcp = TcpStream::connect((host.as_str(), port)).await;
            let tcp = tcp.map_err(|error| unconnected(&shown, error))?;
            let name = ServerName::try_from(host).map_err(|_| ExchangeError::NotHttps(uri.clone()));
            let secured = TlsConnector::from(self.0).connect(name?, tcp).await;
            let stream = secured.map_err(|error| unconnected(&shown, error))?;
            let broken = |error: BoxError| ExchangeError::Broken(shown.clone(), error);
            send(stream, request, &uri, &shown).await.map_err(broken)
        };
        let answer = timeout(LONGEST, exchange).await;
        let answer = answer.unwrap_or_else(|_| Err(ExchangeError::TimedOut(shown.clone())))?;
        let is_json = answer.headers().get(CONTENT_TYPE).is_some_and(is_json);
        // An HTML answer comes from a proxy in between, or from another kind of server.
        match answer.status().is_success() || is_json {
            true => Ok(answer),
            false => Err(ExchangeError::NotAcme(shown, answer.status())),
        }
    }
}

async fn send(
    stream: tokio_rustls::client::TlsStream<TcpStream>,
    mut request: Request<BodyWrapper<Bytes>>,
    uri: &Uri,
    authority: &str,
) -> Result<Response<Full<Bytes>>, BoxError> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = path.parse()?;
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::try_from(authority)?);
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let answer = async {
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, MOST_ANSWERED).collect().await?;
        Ok(Response::from_parts(head, Full::new(body.to_bytes())))
    };
    driven(connection, answer).await
}

fn unconnected(authority: &str, error: io::Error) -> ExchangeError {
    let advice = tls::advice(&error).map_or_else(String::new, |advice| format!(" ({advice})"));
    ExchangeError::Connect(authority.to_owned(), error, advice)
}

fn is_json(value: &HeaderValue) -> bool {
    // `application/problem+json` describes errors (RFC 7807).
    value.to_str().is_ok_and(|value| value.contains("json"))
}

impl HttpClient for AcmeClient {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let client = self.clone();
        Box::pin(async move {
            let answer = client.exchange(request).await;
            answer
                .map(BytesResponse::from)
                .map_err(|error| Error::Other(Box::new(error)))
        })
    }
}

/// The limit for one request, from the name lookup to the end of the answer.
pub(crate) const LONGEST: Duration = Duration::from_secs(30);

/// The largest answer, in bytes: far more than a chain of certificates takes.
const MOST_ANSWERED: usize = 256 << 10;
