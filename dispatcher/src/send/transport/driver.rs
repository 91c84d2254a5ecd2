//! What keeps one connection going: frames in and out, PINGs, and word of what its server allows.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::client::{Connection, SendRequest};
use h2::{Ping, PingPong};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{Interval, MissedTickBehavior};
use tokio_rustls::client::TlsStream;

use super::keepalive::{KeepAlive, Tick};

/// What a pool has to know of one of its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The server allows so many requests at once.
    Streams(usize),
    /// It takes no more requests. What is under way ends well.
    Closing,
    /// It has ended, and what was under way on it with it.
    Cut,
}

/// Drives one connection.
pub struct Driver {
    connection: Connection<TlsStream<TcpStream>, Bytes>,
    /// Tells of a GOAWAY. Given up when nobody else sends: it would keep the connection open.
    requests: Option<SendRequest<Bytes>>,
    dropped: oneshot::Receiver<()>,
    pings: Option<PingPong>,
    keep_alive: KeepAlive,
    ticks: Interval,
    streams: usize,
    under_way: Arc<AtomicUsize>,
}

impl Driver {
    pub(super) fn new(
        mut connection: Connection<TlsStream<TcpStream>, Bytes>,
        requests: SendRequest<Bytes>,
        streams: usize,
        keep_alive: KeepAlive,
        under_way: Arc<AtomicUsize>,
        dropped: oneshot::Receiver<()>,
    ) -> Self {
        let mut ticks =
            tokio::time::interval_at(tokio::time::Instant::now() + keep_alive.period(), keep_alive.period());
        // A process that stood still must not take its own silence for the server's.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let pings = connection.ping_pong();
        Self { connection, requests: Some(requests), dropped, pings, keep_alive, ticks, streams, under_way }
    }

    /// Until the connection has ended. `tell` is called at once with each change.
    pub async fn run(mut self, tell: impl Fn(Change) + Send) {
        let ended = poll_fn(|cx| self.poll(cx, &tell)).await;
        if let Err(why) = &ended {
            tracing::debug!(why, "a connection to a provider ended");
        }
        if self.requests.is_some() {
            let cut = ended.is_err() || self.under_way.load(Ordering::Relaxed) > 0;
            tell(if cut { Change::Cut } else { Change::Closing });
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>, tell: &impl Fn(Change)) -> Poll<Result<(), String>> {
        if self.requests.is_some() && Pin::new(&mut self.dropped).poll(cx).is_ready() {
            self.requests = None;
        }
        if let Poll::Ready(ended) = Pin::new(&mut self.connection).poll(cx) {
            return Poll::Ready(ended.map_err(|error| error.to_string()));
        }
        let streams = self.connection.max_concurrent_send_streams();
        if streams != self.streams {
            self.streams = streams;
            tell(Change::Streams(streams));
        }
        if let Some(requests) = &mut self.requests
            && let Poll::Ready(Err(_)) = requests.poll_ready(cx)
        {
            self.requests = None;
            tell(Change::Closing);
        }
        // After the frames were read: an answer that has come counts, however late this process looks.
        self.check_life(cx).map_or_else(|why| Poll::Ready(Err(why)), |()| Poll::Pending)
    }

    fn check_life(&mut self, cx: &mut Context<'_>) -> Result<(), String> {
        let Some(pings) = &mut self.pings else { return Ok(()) };
        if self.keep_alive.waits() && pings.poll_pong(cx).is_ready() {
            self.keep_alive.answered();
        }
        while self.ticks.poll_tick(cx).is_ready() {
            let busy = self.under_way.load(Ordering::Relaxed) > 0;
            match self.keep_alive.tick(busy, tokio::time::Instant::now()) {
                Tick::Nothing => {}
                Tick::Dead => return Err("it did not answer a PING in time".to_owned()),
                Tick::Ping => {
                    pings.send_ping(Ping::opaque()).map_err(|error| error.to_string())?;
                    // Registers for the answer, which is not here yet.
                    let _ = pings.poll_pong(cx);
                }
            }
        }
        Ok(())
    }
}
