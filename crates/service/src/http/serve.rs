//! The server: HTTP/1.1 and h2c on one port, with bounds on connections, headers and time.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use tracing::{debug, info, warn};

use crate::BoxError;
use crate::config::Reader;
use crate::shutdown::Shutdown;

/// A connection above the limit is told so, unless as many as this are being told already.
const TOLD_AT_ONCE: usize = 256;
const REFUSAL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\n\
    content-length: 0\r\n\r\n";
/// After a failed accept (no file descriptors left, mostly), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a server allows its clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServeLimits {
    /// Which server it is, in the names of its metrics: `geopush_<name>_http_connections`.
    pub name: String,
    /// Connections at a time; those above are answered 503 and closed.
    pub max_connections: usize,
    /// From a connection's opening, or its last answer, to the next request's headers. Then it is closed.
    pub idle: Duration,
    /// A request's headers in bytes; more is answered 431.
    pub max_header_bytes: u32,
    /// Requests at a time on one HTTP/2 connection.
    pub max_streams: u32,
    /// How long requests in flight may take to end once shutdown is asked for.
    pub drain: Duration,
}

impl ServeLimits {
    /// The usual limits for the server of this role.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.replace('-', "_"),
            max_connections: 10_000,
            idle: Duration::from_secs(60),
            max_header_bytes: 32 << 10,
            max_streams: 256,
            drain: Duration::from_secs(20),
        }
    }

    /// The limits of the server whose keys stand in this section: `<section>.max_connections`, `.idle_timeout`,
    /// `.drain_timeout`.
    pub fn read(reader: &mut Reader, section: &str, name: &str) -> Self {
        let usual = Self::named(name);
        let second = Duration::from_secs(1);
        Self {
            max_connections: reader
                .key(format!("{section}.max_connections"), "Connections at a time; those above are refused")
                .within(1..=1_000_000)
                .or(usual.max_connections),
            idle: reader
                .key(format!("{section}.idle_timeout"), "How long a connection may wait for its next request")
                .within(second..=second * 3600)
                .or(usual.idle),
            drain: reader
                .key(
                    format!("{section}.drain_timeout"),
                    "How long requests in flight may take when shutting down",
                )
                .within(Duration::ZERO..=second * 600)
                .or(usual.drain),
            ..usual
        }
    }
}

/// Serves a router until shutdown is asked for, then lets requests in flight end within `limits.drain`.
///
/// Handlers find the client's address as `ConnectInfo<SocketAddr>`. A response that has no end of its own (server-sent
/// events) must watch the shutdown itself, or it is cut when the drain is over.
///
/// # Errors
/// None at present: what fails, fails a connection.
pub async fn serve_http(
    listener: TcpListener,
    router: Router,
    shutdown: Shutdown,
    limits: ServeLimits,
) -> Result<(), BoxError> {
    let open = metrics::gauge!(format!("geopush_{}_http_connections", limits.name));
    let refused = metrics::counter!(format!("geopush_{}_http_connections_refused_total", limits.name));
    let failed = metrics::counter!(format!("geopush_{}_http_accept_failures_total", limits.name));
    let builder = builder(&limits);
    let mut connections = JoinSet::new();
    let mut refusals = JoinSet::new();
    loop {
        open.set(u32::try_from(connections.len()).map_or(f64::MAX, f64::from));
        let accepted = tokio::select! {
            () = shutdown.requested() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            Some(_) = refusals.join_next(), if !refusals.is_empty() => continue,
            accepted = listener.accept() => accepted,
        };
        let (stream, client) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                failed.increment(1);
                warn!(server = limits.name, %error, "a connection could not be accepted; check the limit of open files");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if connections.len() >= limits.max_connections {
            refused.increment(1);
            if refusals.len() < TOLD_AT_ONCE {
                refusals.spawn(tokio::time::timeout(Duration::from_secs(1), refuse(stream)));
            }
            continue;
        }
        // Answers are written whole; waiting to fill a packet only delays them.
        let _ = stream.set_nodelay(true);
        let connection =
            connection(builder.clone(), stream, client, router.clone(), limits.idle, shutdown.token());
        connections.spawn(connection);
    }
    drop(listener);
    let in_flight = connections.len();
    let drained = tokio::time::timeout(limits.drain, async {
        while connections.join_next().await.is_some() {
            open.set(u32::try_from(connections.len()).map_or(f64::MAX, f64::from));
        }
    });
    match drained.await {
        Ok(()) => info!(
            server = limits.name,
            connections = in_flight,
            "every request was answered; the server is closed"
        ),
        Err(_) => warn!(
            server = limits.name,
            connections = connections.len(),
            "the drain is over; connections are cut"
        ),
    }
    connections.shutdown().await;
    open.set(0.0);
    Ok(())
}

fn builder(limits: &ServeLimits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.idle)
        .max_buf_size((limits.max_header_bytes as usize).max(8192));
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(limits.idle / 3)
        .keep_alive_timeout(limits.idle / 3)
        .max_concurrent_streams(limits.max_streams)
        .max_header_list_size(limits.max_header_bytes);
    builder
}

async fn connection(
    builder: Builder<TokioExecutor>,
    stream: TcpStream,
    client: SocketAddr,
    router: Router,
    idle: Duration,
    shutdown: CancellationToken,
) {
    let spoken = Arc::new(AtomicBool::new(false));
    let heard = Arc::clone(&spoken);
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        heard.store(true, Ordering::Relaxed);
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(client));
        router.clone().oneshot(request)
    });
    let mut served = pin!(builder.serve_connection(TokioIo::new(stream), service));
    // Telling HTTP/1 from HTTP/2 waits for the first bytes without a limit of its own.
    let mut first_request = pin!(tokio::time::sleep(idle));
    let (mut waiting, mut draining) = (true, false);
    loop {
        tokio::select! {
            ended = &mut served => {
                if let Err(error) = ended {
                    debug!(error = %crate::shutdown::with_causes(&*error), "a connection ended badly");
                }
                return;
            }
            () = shutdown.cancelled(), if !draining => {
                draining = true;
                served.as_mut().graceful_shutdown();
            }
            () = &mut first_request, if waiting => {
                waiting = false;
                if !spoken.load(Ordering::Relaxed) {
                    return;
                }
            }
        }
    }
}

/// Says that the server is full, and reads what the client has to say until it closes: closing with unread bytes
/// would take our answer back.
async fn refuse(mut stream: TcpStream) {
    if stream.write_all(REFUSAL).await.is_ok() && stream.shutdown().await.is_ok() {
        let mut unread = [0; 1024];
        while matches!(stream.read(&mut unread).await, Ok(n) if n > 0) {}
    }
}

#[cfg(test)]
#[path = "serve_tests.rs"]
mod tests;
