//! Accepting connections: TLS, HTTP, and the two ways that a fault ends a connection.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

pub(crate) type Answer = Response<Full<Bytes>>;

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
const HEADERS_TIMEOUT: Duration = Duration::from_secs(30);
const MAX_CONNECTIONS: usize = 4096;
/// What a connection may have under way unread: more than a window full of the largest pushes.
const CONNECTION_WINDOW: u32 = 4 << 20;
const STREAM_WINDOW: u32 = 64 << 10;

/// The connection that a push came by, as far as a fault can touch it.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    /// Whether the client has shown a certificate of the sandbox's authority.
    pub(crate) certified: bool,
    goaway: CancellationToken,
    cut: CancellationToken,
}

impl Wire {
    /// Lets what is under way finish, and takes nothing new.
    pub(crate) fn go_away(&self) {
        self.goaway.cancel();
    }

    /// Ends the connection at once. Never returns: the connection takes its requests with it.
    pub(crate) async fn cut(&self) -> Infallible {
        self.cut.cancel();
        std::future::pending().await
    }
}

/// The server's limits, as its provider announces them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub http2_only: bool,
    pub max_concurrent_streams: u32,
}

/// Serves until `stop`; then every connection is closed.
pub(crate) async fn serve<S, F>(
    listener: TcpListener,
    tls: TlsAcceptor,
    limits: Limits,
    stop: CancellationToken,
    handle: S,
) where
    S: Fn(Arc<Wire>, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let http = Arc::new(http(limits));
    let free = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let accepted = async {
            let permit = Arc::clone(&free).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            () = stop.cancelled() => return,
            accepted = accepted => accepted,
        };
        let tcp = match accepted {
            Ok((tcp, _)) => tcp,
            Err(error) => {
                // Out of file descriptors, most likely: waiting is all that helps.
                tracing::warn!(%error, "cannot accept a connection; raise the limit of open files");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (tls, http, handle, stop) = (tls.clone(), Arc::clone(&http), handle.clone(), stop.clone());
        tokio::spawn(async move {
            let _permit = permit;
            tokio::select! {
                () = stop.cancelled() => {}
                () = connection(tcp, tls, &http, handle) => {}
            }
        });
    }
}

fn http(limits: Limits) -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS_TIMEOUT);
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.max_concurrent_streams)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .initial_stream_window_size(STREAM_WINDOW);
    if limits.http2_only { http.http2_only() } else { http }
}

async fn connection<S, F>(tcp: TcpStream, tls: TlsAcceptor, http: &auto::Builder<TokioExecutor>, handle: S)
where
    S: Fn(Arc<Wire>, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    if let Err(error) = tcp.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY refused");
    }
    let stream = match tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(tcp)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%error, "TLS handshake failed"),
        Err(_) => return tracing::debug!("TLS handshake took too long"),
    };
    let certified = stream.get_ref().1.peer_certificates().is_some();
    let wire = Arc::new(Wire { certified, ..Wire::default() });
    let on_request = Arc::clone(&wire);
    let service = service_fn(move |request| {
        let (wire, handle) = (Arc::clone(&on_request), handle.clone());
        async move {
            // HTTP/2 requests are tasks of their own, which a cut connection must not leave behind.
            let cut = wire.cut.clone();
            tokio::select! {
                biased;
                answer = handle(wire, request) => Ok(answer),
                () = cut.cancelled() => Err(Cut),
            }
        }
    });
    let mut served = pin!(http.serve_connection(TokioIo::new(stream), service));
    let mut leaving = false;
    loop {
        tokio::select! {
            biased;
            () = wire.cut.cancelled() => return,
            () = wire.goaway.cancelled(), if !leaving => {
                leaving = true;
                served.as_mut().graceful_shutdown();
            }
            served = &mut served => {
                if let Err(error) = served {
                    tracing::debug!(%error, "connection ended");
                }
                return;
            }
        }
    }
}

/// The answer of a request whose connection was cut; nobody is left to read it.
#[derive(Debug, thiserror::Error)]
#[error("the connection was cut by a fault")]
struct Cut;
