//! Where a lane's pushes stand in line: for the provider to be there, for a stream, and for the rate; first come, first
//! served. Each step costs the same however many wait, and no lane touches another's line.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use tokio::time::Instant;

use super::breaker::{Breaker, Gate, Health};
use super::event::{Held, Meters};
use super::rate::{Rate, Throttle};
use super::transport::{
    Answer, Change, Connection, Connector, Endpoint, Growth, Id, Limits, Pool, RequestError,
};

/// So many of those who wait are sent away at once when a lane goes out; then others have the processor.
const SENT_AWAY: usize = 256;

/// Why there is no turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoTurn {
    /// The provider is out, and not asked before this has passed.
    Out(Duration),
    /// The app has other credentials now, and another lane.
    Replaced,
}

/// One who stands in line.
pub trait InLine: Send {
    /// Whether it has left: then it takes no turn from anybody.
    fn has_left(&self) -> bool;

    /// Its turn, or why there is none. Called in the midst of others' work: no more than to go on elsewhere.
    fn go(self: Box<Self>, turn: Result<Lease, NoTurn>);
}

/// Those who are to be told, once the state is let go of.
type Called = Vec<(Box<dyn InLine>, Result<Lease, NoTurn>)>;

/// A lane's line, with its connections.
pub struct Line {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    connector: Connector,
    endpoint: Arc<Endpoint>,
    meters: Arc<Meters>,
}

struct State {
    pool: Pool<Arc<Open>>,
    breaker: Breaker,
    throttle: Option<Throttle>,
    waiting: VecDeque<Waiter>,
    /// When somebody will look again.
    alarm: Option<Instant>,
    out: Option<Held>,
    closed: bool,
}

struct Open {
    connection: Connection,
    _counted: Held,
}

struct Waiter {
    since: Instant,
    who: Box<dyn InLine>,
    _counted: Held,
}

/// A stream of a connection, and leave to use it once.
pub struct Lease {
    shared: Arc<Shared>,
    open: Arc<Open>,
    id: Id,
    probe: bool,
    ended: bool,
}

/// What a request's end means for those that come after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct End {
    /// The provider took it.
    pub accepted: bool,
    /// Nothing new goes out on its connection.
    pub retire: bool,
    /// What it says of the provider; nothing, if it never went out.
    pub health: Option<Health>,
    /// The provider wants silence.
    pub pause: Option<Duration>,
}

/// What there is to do once the state is let go of.
#[derive(Clone, Copy, Default)]
struct Work {
    connect: usize,
    alarm: Option<Instant>,
}

/// Whether the next in line may go.
enum Next {
    Go(Id, Arc<Open>, bool),
    Wait,
    No(NoTurn),
}

impl Line {
    /// Nothing is open yet.
    pub fn new(
        connector: Connector,
        endpoint: Endpoint,
        limits: Limits,
        rate: Option<Rate>,
        meters: Arc<Meters>,
    ) -> Self {
        let now = Instant::now();
        let state = State {
            pool: Pool::new(limits),
            breaker: Breaker::new(now),
            throttle: rate.map(|rate| Throttle::new(rate, now)),
            waiting: VecDeque::new(),
            alarm: None,
            out: None,
            closed: false,
        };
        let endpoint = Arc::new(endpoint);
        Self { shared: Arc::new(Shared { state: Mutex::new(state), connector, endpoint, meters }) }
    }

    /// A turn for `who`, as soon as it comes.
    pub fn stand(&self, who: Box<dyn InLine>) {
        let now = Instant::now();
        let mut work = Work::default();
        let mut state = self.shared.lock();
        let turn = if state.waiting.is_empty() {
            match state.next(1, Duration::ZERO, now, &mut work) {
                Next::Go(id, open, probe) => Some(Ok(self.shared.lease(id, open, probe))),
                Next::No(why) => Some(Err(why)),
                Next::Wait => None,
            }
        } else {
            state.refusal(now).map(Err)
        };
        if let Some(turn) = turn {
            drop(state);
            return who.go(turn);
        }
        let counted = self.shared.meters.waiting();
        state.waiting.push_back(Waiter { since: now, who, _counted: counted });
        self.shared.unlock(state, work, now);
    }

    /// Holds to another rate from now on.
    pub fn set_rate(&self, rate: Option<Rate>) {
        let now = Instant::now();
        let mut state = self.shared.lock();
        if state.throttle.as_ref().map(Throttle::rate) != rate {
            state.throttle = rate.map(|rate| Throttle::new(rate, now));
            self.shared.pump(state, now);
        }
    }

    /// Sends those who wait away for good.
    pub fn close(&self) {
        let mut state = self.shared.lock();
        state.closed = true;
        self.shared.pump(state, Instant::now());
    }

    /// Closes connections that were not needed of late.
    pub fn shrink(&self) {
        let closed = self.shared.lock().pool.shrink();
        self.shared.meters.retired("idle", closed);
    }

    /// Whether the provider is not to be asked now.
    pub fn is_out(&self) -> bool {
        matches!(self.shared.lock().breaker.gate(Instant::now()), Gate::Out(_))
    }
}

impl State {
    fn refusal(&mut self, now: Instant) -> Option<NoTurn> {
        match self.breaker.gate(now) {
            _ if self.closed => Some(NoTurn::Replaced),
            Gate::Out(left) => Some(NoTurn::Out(left)),
            Gate::Open | Gate::Probing => None,
        }
    }

    /// The rate comes last: what it allows is not given to one who must wait for something else.
    fn next(&mut self, waiting: usize, waited: Duration, now: Instant, work: &mut Work) -> Next {
        if let Some(why) = self.refusal(now) {
            return Next::No(why);
        }
        if self.breaker.gate(now) == Gate::Probing {
            return Next::Wait;
        }
        if !self.pool.has_stream() {
            match self.pool.growth(waiting, waited, now) {
                Growth::Enough => {}
                Growth::Later(pause) => work.alarm = Some(now + pause),
                Growth::Open(count) => {
                    self.pool.connecting(count);
                    work.connect += count;
                }
            }
            return Next::Wait;
        }
        if let Some(Err(pause)) = self.throttle.as_mut().map(|throttle| throttle.check(now)) {
            work.alarm = Some(now + pause);
            return Next::Wait;
        }
        match self.pool.take() {
            Some((id, open)) => Next::Go(id, open, self.breaker.begin()),
            None => Next::Wait,
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lease(self: &Arc<Self>, id: Id, open: Arc<Open>, probe: bool) -> Lease {
        Lease { shared: Arc::clone(self), open, id, probe, ended: false }
    }

    /// Lets go whoever may.
    fn pump(self: &Arc<Self>, mut state: MutexGuard<'_, State>, now: Instant) {
        let mut work = Work::default();
        let mut called = Called::new();
        while let Some(first) = state.waiting.front() {
            if first.who.has_left() {
                state.waiting.pop_front();
                continue;
            }
            let (waiting, waited) = (state.waiting.len(), now.saturating_duration_since(first.since));
            let turn = match state.next(waiting, waited, now, &mut work) {
                Next::Go(id, open, probe) => {
                    self.meters.waited(waited);
                    Ok(self.lease(id, open, probe))
                }
                Next::No(_) if called.len() == SENT_AWAY => {
                    work.alarm = Some(now);
                    break;
                }
                Next::No(why) => Err(why),
                Next::Wait => break,
            };
            called.extend(state.waiting.pop_front().map(|waiter| (waiter.who, turn)));
        }
        self.unlock(state, work, now);
        for (who, turn) in called {
            who.go(turn);
        }
    }

    fn unlock(self: &Arc<Self>, mut state: MutexGuard<'_, State>, work: Work, now: Instant) {
        if state.breaker.is_out() != state.out.is_some() {
            state.out = state.breaker.is_out().then(|| self.meters.out(&self.endpoint.host));
        }
        let alarm = work.alarm.filter(|at| state.alarm.is_none_or(|set| set > *at));
        state.alarm = alarm.or(state.alarm);
        drop(state);
        for _ in 0..work.connect {
            tokio::spawn(Arc::clone(self).connect());
        }
        if let Some(at) = alarm {
            let line = Arc::downgrade(self);
            tokio::spawn(async move {
                if at > now {
                    tokio::time::sleep_until(at).await;
                } else {
                    tokio::task::yield_now().await;
                }
                let Some(line) = line.upgrade() else { return };
                let mut state = line.lock();
                if state.alarm == Some(at) {
                    state.alarm = None;
                }
                line.pump(state, Instant::now());
            });
        }
    }

    async fn connect(self: Arc<Self>) {
        let opened = self.connector.connect(&self.endpoint).await;
        let now = Instant::now();
        let mut state = self.lock();
        match opened {
            Ok((connection, driver)) => {
                let open = Arc::new(Open { connection, _counted: self.meters.connection() });
                let id = state.pool.opened(open);
                let line = Arc::downgrade(&self);
                tokio::spawn(driver.run(move |change| changed(&line, id, change)));
            }
            Err(error) => {
                self.meters.connect_failed(&error, &self.endpoint.host);
                if state.pool.failed(now) {
                    state.breaker.unreachable(now);
                }
            }
        }
        self.pump(state, now);
    }
}

fn changed(line: &Weak<Shared>, id: Id, change: Change) {
    let Some(line) = line.upgrade() else { return };
    let now = Instant::now();
    let mut state = line.lock();
    match change {
        Change::Streams(streams) => state.pool.announced(id, streams),
        Change::Closing => {
            if state.pool.retire(id) {
                line.meters.retired("closed", 1);
            }
        }
        Change::Cut => {
            if state.pool.retire(id) {
                line.meters.retired("cut", 1);
                state.breaker.report(Health::Cut, false, now);
            }
        }
    }
    line.pump(state, now);
}

impl Lease {
    /// Does this work where its connection's is done.
    pub fn carry<W: Future<Output = ()> + Send + 'static>(self, work: impl FnOnce(Self) -> W) {
        let open = Arc::clone(&self.open);
        open.connection.spawn(work(self));
    }

    /// Posts on this stream.
    ///
    /// # Errors
    /// [`RequestError`]
    pub async fn post(&self, path: &str, headers: HeaderMap, body: Bytes) -> Result<Answer, RequestError> {
        self.open.connection.post(path, headers, body).await
    }

    /// The request has ended, or will not be made.
    pub fn end(mut self, end: End) {
        self.settle(end);
    }

    fn settle(&mut self, end: End) {
        self.ended = true;
        let now = Instant::now();
        let mut state = self.shared.lock();
        state.pool.give_back(self.id, end.accepted);
        let first = end.retire && state.pool.retire(self.id);
        if first {
            self.shared.meters.retired("failed", 1);
        }
        match end.health {
            // What was cut is cut for all that was under way on the connection, and counts once.
            Some(Health::Cut) if !first && !self.probe => {}
            Some(health) => state.breaker.report(health, self.probe, now),
            None if self.probe => state.breaker.probe_lost(),
            None => {}
        }
        if let Some(pause) = end.pause {
            state.breaker.pause(pause, now);
        }
        self.shared.pump(state, now);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.ended {
            self.settle(End::default());
        }
    }
}
