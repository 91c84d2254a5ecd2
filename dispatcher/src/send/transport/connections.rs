//! The few connections of a lane: one to start, more when its streams are all taken.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::http2::Connection;
use super::{Answer, Connector, Endpoint, RequestError};

/// The pause after a failed connect: doubles from the first to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How much is open at once.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections.
    pub connections: usize,
    /// Streams of a connection.
    pub streams: usize,
    /// Streams of a connection until one of its requests was accepted.
    pub first_streams: usize,
}

/// The provider can't be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreachable {
    /// Connecting will be tried again after this.
    pub retry_in: Duration,
}

/// A lane's connections to its endpoint.
pub struct Connections {
    connector: Connector,
    endpoint: Arc<Endpoint>,
    limits: Limits,
    slots: Vec<Slot>,
    turn: AtomicUsize,
}

#[derive(Default)]
struct Slot {
    open: Mutex<Option<Arc<Open>>>,
    connecting: tokio::sync::Mutex<Backoff>,
}

struct Open {
    connection: Connection,
    /// One permit a stream. Closed with the connection, which sends those who wait to the next one.
    streams: Arc<Semaphore>,
    /// Whether `streams` has all its permits, and how many it lacks until then.
    wide: AtomicBool,
    further_streams: usize,
    retired: AtomicBool,
}

#[derive(Default)]
struct Backoff {
    failures: u32,
    until: Option<Instant>,
}

/// A stream of a connection, ready for one request.
pub struct Lease {
    open: Arc<Open>,
    _stream: OwnedSemaphorePermit,
}

impl Connections {
    /// None is open yet.
    pub fn new(connector: Connector, endpoint: Endpoint, limits: Limits) -> Self {
        let slots = (0..limits.connections.max(1)).map(|_| Slot::default()).collect();
        Self { connector, endpoint: Arc::new(endpoint), limits, slots, turn: AtomicUsize::new(0) }
    }

    /// A stream, as soon as there is one. Safe to drop while waiting.
    ///
    /// # Errors
    /// When no connection is open and none can be opened now.
    pub async fn acquire(&self) -> Result<Lease, Unreachable> {
        loop {
            let mut busy: Vec<Arc<Open>> = Vec::with_capacity(self.slots.len());
            for slot in &self.slots {
                let open = match slot.usable() {
                    Some(open) => open,
                    None => match self.connect(slot).await {
                        Ok(open) => open,
                        // A further connection is a wish, the first a need.
                        Err(_) if !busy.is_empty() => break,
                        Err(unreachable) => return Err(unreachable),
                    },
                };
                if let Ok(stream) = Arc::clone(&open.streams).try_acquire_owned() {
                    return Ok(Lease { open, _stream: stream });
                }
                let warming_up = !open.wide.load(Ordering::Relaxed);
                busy.push(open);
                if warming_up {
                    break;
                }
            }
            let turn = self.turn.fetch_add(1, Ordering::Relaxed) % busy.len();
            let open = busy.swap_remove(turn);
            if let Ok(stream) = Arc::clone(&open.streams).acquire_owned().await
                && open.is_usable()
            {
                return Ok(Lease { open, _stream: stream });
            }
        }
    }

    /// One caller connects, the others wait for it.
    async fn connect(&self, slot: &Slot) -> Result<Arc<Open>, Unreachable> {
        let mut backoff = slot.connecting.lock().await;
        if let Some(open) = slot.usable() {
            return Ok(open);
        }
        if let Some(retry_in) = backoff.remaining(Instant::now()) {
            return Err(Unreachable { retry_in });
        }
        match self.open().await {
            Ok(open) => {
                *backoff = Backoff::default();
                *slot.lock() = Some(Arc::clone(&open));
                Ok(open)
            }
            Err(error) => {
                let retry_in = backoff.failed(Instant::now());
                metrics::counter!("geopush_dispatcher_send_connect_failures_total").increment(1);
                tracing::warn!(
                    %error, host = self.endpoint.host, ?retry_in,
                    "a provider can't be reached and is tried again; if it goes on, check the network and `provider_ca`"
                );
                Err(Unreachable { retry_in })
            }
        }
    }

    async fn open(&self) -> io::Result<Arc<Open>> {
        let (connection, ended) = self.connector.connect(&self.endpoint).await?;
        let first = self.limits.first_streams.min(self.limits.streams);
        let streams = Arc::new(Semaphore::new(first));
        let closing = Arc::clone(&streams);
        tokio::spawn(async move {
            ended.await;
            closing.close();
        });
        let further_streams = self.limits.streams - first;
        let wide = AtomicBool::new(further_streams == 0);
        Ok(Arc::new(Open { connection, streams, wide, further_streams, retired: AtomicBool::new(false) }))
    }
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, Option<Arc<Open>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn usable(&self) -> Option<Arc<Open>> {
        self.lock().clone().filter(|open| open.is_usable())
    }
}

impl Open {
    fn is_usable(&self) -> bool {
        self.connection.is_open() && !self.retired.load(Ordering::Relaxed)
    }
}

impl Backoff {
    fn remaining(&self, now: Instant) -> Option<Duration> {
        self.until.map(|until| until.saturating_duration_since(now)).filter(|left| !left.is_zero())
    }

    fn failed(&mut self, now: Instant) -> Duration {
        let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(16)).min(LONGEST_PAUSE);
        self.failures += 1;
        self.until = Some(now + pause);
        pause
    }
}

impl Lease {
    /// Posts on this stream.
    ///
    /// # Errors
    /// [`RequestError`]
    pub async fn post(&self, path: &str, headers: HeaderMap, body: Bytes) -> Result<Answer, RequestError> {
        self.open.connection.post(path, headers, body).await
    }

    /// The provider accepted a request: the connection may carry as many as its limit says.
    pub fn accepted(&self) {
        if !self.open.wide.swap(true, Ordering::Relaxed) {
            self.open.streams.add_permits(self.open.further_streams);
        }
    }

    /// Nothing new goes out on this connection; what is under way ends well.
    pub fn retire(&self) {
        self.open.retired.store(true, Ordering::Relaxed);
        self.open.streams.close();
    }
}
