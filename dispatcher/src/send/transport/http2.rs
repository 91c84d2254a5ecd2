//! One HTTP/2 connection, and what became of each request on it.

use std::error::Error as _;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, Uri, uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::Endpoint;

/// Above any answer of either provider.
const MAX_ANSWER: usize = 64 << 10;

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// Look-up, TCP and TLS together.
    pub connect: Duration,
    /// From a request's first byte to its answer's last.
    pub request: Duration,
    /// While requests are under way a PING goes out this often, and must be answered within as long: a cut that
    /// nobody told us of is noticed.
    pub ping: Duration,
}

/// Opens connections.
#[derive(Clone)]
pub struct Connector {
    tls: TlsConnector,
    timeouts: Timeouts,
}

/// An answer: its body is empty if the connection ended before it was whole, since the status decides alone then.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// A request that got no answer.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The provider has not acted on it, by its word or because it never left: it may be sent again freely.
    #[error("the connection did not take the request: {0}")]
    NotProcessed(String),
    /// The provider may or may not have acted on it.
    #[error("no answer was seen: {0}")]
    Unanswered(String),
}

/// A connection. Clones share it.
#[derive(Clone)]
pub struct Connection {
    requests: SendRequest<Full<Bytes>>,
    endpoint: Arc<Endpoint>,
    timeout: Duration,
}

impl Connector {
    /// One that trusts as `tls` says.
    pub fn new(tls: Arc<rustls::ClientConfig>, timeouts: Timeouts) -> Self {
        Self { tls: tls.into(), timeouts }
    }

    /// Opens a connection. The future beside it ends when the connection takes no more requests.
    ///
    /// # Errors
    /// When the provider can't be reached, is not who it should be, or does not speak HTTP/2.
    pub async fn connect(
        &self,
        endpoint: &Arc<Endpoint>,
    ) -> io::Result<(Connection, impl Future<Output = ()> + Send + use<>)> {
        match timeout(self.timeouts.connect, self.open(endpoint)).await {
            Ok(opened) => opened,
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "connecting took too long")),
        }
    }

    async fn open(
        &self,
        endpoint: &Arc<Endpoint>,
    ) -> io::Result<(Connection, impl Future<Output = ()> + Send + use<>)> {
        let tcp = TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await?;
        tcp.set_nodelay(true)?;
        let tls = self.tls.connect(endpoint.name.clone(), tcp).await?;
        if tls.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "the provider does not speak HTTP/2"));
        }
        let (requests, driver) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(self.timeouts.ping)
            .keep_alive_timeout(self.timeouts.ping)
            .handshake(TokioIo::new(tls))
            .await
            .map_err(io::Error::other)?;
        let connection =
            Connection { requests, endpoint: Arc::clone(endpoint), timeout: self.timeouts.request };
        let ended = async move {
            if let Err(error) = driver.await {
                tracing::debug!(%error, "a connection to a provider ended");
            }
        };
        Ok((connection, ended))
    }
}

impl Connection {
    /// Whether it takes requests.
    pub fn is_open(&self) -> bool {
        !self.requests.is_closed()
    }

    /// Posts to `path`, below the endpoint's own.
    ///
    /// # Errors
    /// [`RequestError`]
    pub async fn post(&self, path: &str, headers: HeaderMap, body: Bytes) -> Result<Answer, RequestError> {
        let uri = Uri::builder()
            .scheme(uri::Scheme::HTTPS)
            .authority(self.endpoint.authority.clone())
            .path_and_query(format!("{}{path}", self.endpoint.prefix))
            .build()
            .map_err(|error| RequestError::NotProcessed(error.to_string()))?;
        let mut request = Request::post(uri).body(Full::new(body)).map_err(not_processed)?;
        *request.headers_mut() = headers;
        let mut requests = self.requests.clone();
        let answered = async {
            let response = requests.try_send_request(request).await.map_err(|failed| {
                let never_left = failed.message().is_some();
                classify(failed.error(), never_left)
            })?;
            let (head, body) = response.into_parts();
            Ok(Answer { status: head.status, headers: head.headers, body: whole(body).await })
        };
        match timeout(self.timeout, answered).await {
            Ok(answered) => answered,
            Err(_) => Err(RequestError::Unanswered(format!("{:?} have passed", self.timeout))),
        }
    }
}

fn not_processed(error: impl std::fmt::Display) -> RequestError {
    RequestError::NotProcessed(error.to_string())
}

async fn whole(body: Incoming) -> Bytes {
    match Limited::new(body, MAX_ANSWER).collect().await {
        Ok(whole) => whole.to_bytes(),
        Err(_) => Bytes::new(),
    }
}

/// A stream that was refused, or that a GOAWAY left out, was not processed (RFC 9113, sections 6.8 and 8.7). h2
/// gives a remote GOAWAY as the error of exactly the streams that it left out; those under way when a connection
/// is cut get an I/O error.
fn classify(error: &hyper::Error, never_left: bool) -> RequestError {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<h2::Error>());
    let refused = cause.is_some_and(|cause| {
        cause.is_remote()
            && (cause.is_go_away()
                || (cause.is_reset() && cause.reason() == Some(h2::Reason::REFUSED_STREAM)))
    });
    let text = cause.map_or_else(|| error.to_string(), ToString::to_string);
    if never_left || refused { RequestError::NotProcessed(text) } else { RequestError::Unanswered(text) }
}
