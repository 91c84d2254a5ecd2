//! One HTTP/2 connection, and what became of each request on it.
//!
//! h2 is driven directly: it says how many streams the server allows and which of them a GOAWAY left out, and a request
//! costs no task nor channel of its own. What is done with a request is done in its connection's task ([`Work`]), so that
//! many requests are one write.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use h2::RecvStream;
use h2::client::{self, SendRequest};
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request, StatusCode, Uri, uri};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;

use super::Endpoint;
use super::cork::Corked;
use super::driver::{Driver, Work};
use super::keepalive::KeepAlive;
use super::patience::Patience;
use super::tls::{TlsError, with_identity};

/// Above any answer of either provider.
const MAX_ANSWER: usize = 64 << 10;
/// Answers that may be on their way at once, so that none waits for leave to come.
const CONNECTION_WINDOW: u32 = 1 << 20;
/// How many streams are used before the server has said how many it allows.
const UNTOLD_STREAMS: usize = 1;
/// The most that is written at once: so many TLS records of full size (RFC 8446, section 5.1), which rustls takes at once.
const WRITE: usize = 3 * (16 << 10);

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
    /// As before; and the connection takes no more.
    #[error("the connection takes no more requests: {0}")]
    Closing(String),
    /// The connection was cut or reset: the provider may or may not have acted on it.
    #[error("no answer was seen: {0}")]
    Unanswered(String),
    /// The provider may or may not have acted on it, and takes its time.
    #[error("no answer was seen within {0:?}")]
    TimedOut(Duration),
}

/// A connection. Dropped, it closes when what is under way on it has ended.
pub struct Connection {
    requests: SendRequest<Bytes>,
    endpoint: Arc<Endpoint>,
    patience: Arc<Patience>,
    under_way: Arc<AtomicUsize>,
    work: mpsc::UnboundedSender<Work>,
}

impl Connector {
    /// One that trusts as `tls` says.
    pub fn new(tls: Arc<rustls::ClientConfig>, timeouts: Timeouts) -> Self {
        Self { tls: tls.into(), timeouts }
    }

    /// The same, shown with a certificate of our own.
    ///
    /// # Errors
    /// When the certificate and the key, both in PEM, are not those of one identity.
    pub fn with_identity(&self, certificate_pem: &str, key_pem: &str) -> Result<Self, TlsError> {
        let tls = with_identity(self.tls.config(), certificate_pem, key_pem)?;
        Ok(Self { tls: Arc::new(tls).into(), timeouts: self.timeouts })
    }

    /// Opens a connection, which lives while somebody runs its driver.
    ///
    /// # Errors
    /// When the provider can't be reached, is not who it should be, or does not speak HTTP/2.
    pub async fn connect(&self, endpoint: &Arc<Endpoint>) -> io::Result<(Connection, Driver)> {
        match timeout(self.timeouts.connect, self.open(endpoint)).await {
            Ok(opened) => opened,
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "connecting took too long")),
        }
    }

    async fn open(&self, endpoint: &Arc<Endpoint>) -> io::Result<(Connection, Driver)> {
        let tcp = TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await?;
        tcp.set_nodelay(true)?;
        let tls = self.tls.connect(endpoint.name.clone(), tcp).await?;
        // A server that names no protocol is taken at its provider's word, which is HTTP/2: some servers made to test
        // senders do not negotiate. One that is another's answers in another tongue, which is an error soon enough.
        if tls.get_ref().1.alpn_protocol().is_some_and(|protocol| protocol != b"h2") {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "the provider does not speak HTTP/2"));
        }
        let io = Corked::with_capacity(WRITE, tls);
        let cork = io.cork();
        let (requests, connection) = client::Builder::new()
            .initial_connection_window_size(CONNECTION_WINDOW)
            .initial_max_send_streams(UNTOLD_STREAMS)
            .enable_push(false)
            .handshake(io)
            .await
            .map_err(io::Error::other)?;
        let under_way = Arc::new(AtomicUsize::new(0));
        let (sender, work) = mpsc::unbounded_channel();
        let patience = Arc::new(Patience::new(self.timeouts.request));
        let keep_alive = KeepAlive::new(self.timeouts.ping, Instant::now());
        let driver = Driver::new(
            connection,
            cork,
            requests.clone(),
            keep_alive,
            Arc::clone(&patience),
            Arc::clone(&under_way),
            work,
        );
        let connection =
            Connection { requests, endpoint: Arc::clone(endpoint), patience, under_way, work: sender };
        Ok((connection, driver))
    }
}

impl Connection {
    /// Does this work in the connection's own task: what it posts by then is written together.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        if let Err(left) = self.work.send(Box::pin(work)) {
            // The connection has ended, as the work will be told.
            tokio::spawn(left.0);
        }
    }

    /// Posts to `path`, below the endpoint's own.
    ///
    /// # Errors
    /// [`RequestError`]
    pub async fn post(&self, path: &str, headers: HeaderMap, body: Bytes) -> Result<Answer, RequestError> {
        let request = self.request(path, headers)?;
        let _under_way = UnderWay::begin(&self.under_way);
        let mut asked = pin!(self.ask(request, body));
        let mut patient = self.patience.begin(Instant::now());
        poll_fn(|cx| match asked.as_mut().poll(cx) {
            Poll::Ready(answered) => Poll::Ready(answered),
            Poll::Pending => {
                patient.poll_over(cx).map(|()| Err(RequestError::TimedOut(self.patience.limit())))
            }
        })
        .await
    }

    fn request(&self, path: &str, headers: HeaderMap) -> Result<Request<()>, RequestError> {
        let path = match self.endpoint.prefix.as_str() {
            "" => PathAndQuery::try_from(path),
            prefix => PathAndQuery::try_from(format!("{prefix}{path}")),
        };
        let mut parts = uri::Parts::default();
        parts.scheme = Some(uri::Scheme::HTTPS);
        parts.authority = Some(self.endpoint.authority.clone());
        parts.path_and_query = Some(path.map_err(not_processed)?);
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::from_parts(parts).map_err(not_processed)?;
        *request.headers_mut() = headers;
        Ok(request)
    }

    async fn ask(&self, request: Request<()>, body: Bytes) -> Result<Answer, RequestError> {
        // A handle of its own never has another request to wait for.
        let mut requests = self.requests.clone();
        let (response, mut stream) = requests.send_request(request, body.is_empty()).map_err(closing)?;
        // Each handle is counted by the connection; this one has done its work.
        drop(requests);
        if !body.is_empty() {
            // What went wrong here the answer tells.
            let _ = stream.send_data(body, true);
        }
        let (head, body) = response.await.map_err(|error| classify(&error))?.into_parts();
        Ok(Answer { status: head.status, headers: head.headers, body: whole(body).await })
    }
}

struct UnderWay<'a>(&'a AtomicUsize);

impl<'a> UnderWay<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn not_processed(error: impl std::fmt::Display) -> RequestError {
    RequestError::NotProcessed(error.to_string())
}

fn closing(error: h2::Error) -> RequestError {
    // What is wrong with the request alone says nothing of the connection.
    if error.is_library() || error.is_remote() || error.is_io() {
        RequestError::Closing(error.to_string())
    } else {
        not_processed(error)
    }
}

async fn whole(mut body: RecvStream) -> Bytes {
    let mut whole = BytesMut::new();
    let mut first = None;
    while let Some(read) = body.data().await {
        let Ok(read) = read else { return Bytes::new() };
        // Fails only for a stream that has ended.
        let _ = body.flow_control().release_capacity(read.len());
        if whole.len() + read.len() > MAX_ANSWER {
            return Bytes::new();
        }
        // Nearly every answer is one frame: it is not copied.
        if first.is_none() && whole.is_empty() {
            first = Some(read);
        } else {
            whole.extend_from_slice(&first.replace(Bytes::new()).unwrap_or_default());
            whole.extend_from_slice(&read);
        }
    }
    first.filter(|_| whole.is_empty()).unwrap_or_else(|| whole.freeze())
}

/// A stream that was refused, or that a GOAWAY left out, was not processed (RFC 9113, sections 6.8 and 8.7). h2
/// gives a remote GOAWAY as the error of exactly the streams that it left out; those under way when a connection
/// is cut get an I/O error.
fn classify(error: &h2::Error) -> RequestError {
    let refused = error.is_remote()
        && (error.is_go_away() || (error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM)));
    if refused { not_processed(error) } else { RequestError::Unanswered(error.to_string()) }
}
