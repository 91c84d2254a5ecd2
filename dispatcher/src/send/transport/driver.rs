//! What keeps one connection going: frames in and out, the work that is done by it, PINGs, and word of what its server
//! allows.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use h2::client::{Connection, SendRequest};
use h2::{Ping, PingPong};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tokio_rustls::client::TlsStream;

use super::cork::{Cork, Corked};
use super::keepalive::{KeepAlive, Tick};
use super::patience::Patience;

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

/// What is done in a connection's task: requests, and what follows from their answers.
pub type Work = BoxFuture<'static, ()>;

/// So many answers are worked on before the requests that follow from them go out: a record of TLS full of requests, so
/// that the provider has something to do while the next are made.
const AT_ONCE: usize = 16;
/// Answers and requests take turns so often before other connections have theirs.
const ROUNDS: usize = 16;

type Frames = Connection<Corked<TlsStream<TcpStream>>, Bytes>;

/// Drives one connection.
pub struct Driver {
    /// None once it has ended: what is under way on it is told so.
    connection: Option<Frames>,
    cork: Cork,
    /// Work that comes; none when there will be no more.
    coming: Option<mpsc::UnboundedReceiver<Work>>,
    working: FuturesUnordered<Work>,
    /// Tells of a GOAWAY. Given up when nobody else sends: it would keep the connection open.
    requests: Option<SendRequest<Bytes>>,
    pings: Option<PingPong>,
    keep_alive: KeepAlive,
    ticks: Interval,
    patience: Arc<Patience>,
    looks: Interval,
    streams: usize,
    under_way: Arc<AtomicUsize>,
}

impl Driver {
    pub(super) fn new(
        mut connection: Frames,
        cork: Cork,
        requests: SendRequest<Bytes>,
        keep_alive: KeepAlive,
        patience: Arc<Patience>,
        under_way: Arc<AtomicUsize>,
        coming: mpsc::UnboundedReceiver<Work>,
    ) -> Self {
        let every = |period| {
            let mut ticks = interval_at(Instant::now() + period, period);
            // A process that stood still must not take its own silence for the server's.
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        };
        let (ticks, looks) = (every(keep_alive.period()), every(patience.period()));
        let pings = connection.ping_pong();
        let streams = connection.max_concurrent_send_streams();
        Self {
            connection: Some(connection),
            cork,
            coming: Some(coming),
            working: FuturesUnordered::new(),
            requests: Some(requests),
            pings,
            keep_alive,
            ticks,
            patience,
            looks,
            streams,
            under_way,
        }
    }

    /// Until the connection has ended, and all work by it. `tell` is called at once with each change.
    pub async fn run(mut self, tell: impl Fn(Change) + Send) {
        poll_fn(|cx| self.poll(cx, &tell)).await;
    }

    fn poll(&mut self, cx: &mut Context<'_>, tell: &impl Fn(Change)) -> Poll<()> {
        for _ in 0..ROUNDS {
            if let Poll::Ready(ended) = self.frames(cx, tell) {
                self.end(&ended, tell);
            }
            // After the frames were read, for the same reason.
            while self.looks.poll_tick(cx).is_ready() {
                self.patience.look(Instant::now());
            }
            // Answers that have come free streams for what waits; what goes out by that is the next round's.
            if !self.work(cx) {
                let over = self.connection.is_none() && self.coming.is_none() && self.working.is_empty();
                return if over { Poll::Ready(()) } else { Poll::Pending };
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn frames(&mut self, cx: &mut Context<'_>, tell: &impl Fn(Change)) -> Poll<Result<(), String>> {
        let Some(connection) = &mut self.connection else { return Poll::Pending };
        if self.coming.is_none() {
            self.requests = None;
        }
        // All that there is to write is gathered first, and goes out together.
        self.cork.put_in();
        let gathered = Pin::new(&mut *connection).poll(cx);
        self.cork.pull();
        let written = if gathered.is_pending() { Pin::new(&mut *connection).poll(cx) } else { gathered };
        if let Poll::Ready(ended) = written {
            return Poll::Ready(ended.map_err(|error| error.to_string()));
        }
        let streams = connection.max_concurrent_send_streams();
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

    fn end(&mut self, ended: &Result<(), String>, tell: &impl Fn(Change)) {
        if let Err(why) = ended {
            tracing::debug!(why, "a connection to a provider ended");
        }
        self.connection = None;
        if let Some(coming) = &mut self.coming {
            coming.close();
        }
        if self.requests.take().is_some() {
            let cut = ended.is_err() || self.under_way.load(Ordering::Relaxed) > 0;
            tell(if cut { Change::Cut } else { Change::Closing });
        }
    }

    /// Does what can be done. False if nothing could.
    fn work(&mut self, cx: &mut Context<'_>) -> bool {
        let mut done = false;
        while let Some(coming) = &mut self.coming
            && let Poll::Ready(work) = coming.poll_recv(cx)
        {
            match work {
                Some(work) => self.working.push(work),
                None => self.coming = None,
            }
            done = true;
        }
        for _ in 0..AT_ONCE {
            let Poll::Ready(Some(())) = self.working.poll_next_unpin(cx) else { return done };
            done = true;
        }
        done
    }

    fn check_life(&mut self, cx: &mut Context<'_>) -> Result<(), String> {
        let Some(pings) = &mut self.pings else { return Ok(()) };
        if self.keep_alive.waits() && pings.poll_pong(cx).is_ready() {
            self.keep_alive.answered();
        }
        while self.ticks.poll_tick(cx).is_ready() {
            let busy = self.under_way.load(Ordering::Relaxed) > 0;
            match self.keep_alive.tick(busy, Instant::now()) {
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
