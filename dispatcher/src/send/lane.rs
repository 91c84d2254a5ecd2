//! A lane: one app with one provider, its own connections, its own rate, its own pauses.

use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use geopush_model::{Push, UnixMillis};
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use http::HeaderValue;
use http::header::AUTHORIZATION;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::decision::{Decision, Verdict, jitter};
use super::event;
use super::provider::{CredentialError, Provider, Unsendable};
use super::transport::{Connections, Lease, RequestError};

/// However long a provider asks, a lane asks again within an hour.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// How fast a lane sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Messages a minute.
    pub per_minute: NonZeroU32,
    /// What may go out at once after a lull, as time at that rate.
    pub burst: Duration,
}

impl Rate {
    fn quota(self) -> Quota {
        let burst = f64::from(self.per_minute.get()) / 60.0 * self.burst.as_secs_f64();
        // Bounded by the rate itself, which fits.
        Quota::per_minute(self.per_minute)
            .allow_burst(NonZeroU32::new(burst as u32).unwrap_or(NonZeroU32::MIN))
    }
}

/// One app with one provider. Its futures are dropped freely until a request goes out.
pub struct Lane {
    provider: Box<dyn Provider>,
    connections: Connections,
    rate: Option<DefaultDirectRateLimiter>,
    clock: DefaultClock,
    state: Mutex<State>,
    replaced: CancellationToken,
}

struct State {
    paused_until: Option<Instant>,
    used_at: Instant,
}

/// What became of one attempt.
#[derive(Debug)]
pub enum Attempt {
    /// The provider answered.
    Answered(Verdict),
    /// It went out, and no answer was seen.
    Unanswered,
    /// It went out, and the provider said that it did not look at it.
    NotProcessed,
    /// It did not go out: the provider can't be reached before this has passed.
    Unreachable(Duration),
    /// It did not go out: there is no credential.
    NoCredential(CredentialError),
    /// It did not go out, and never can.
    Unsendable(Unsendable),
}

/// A stream and leave to use it.
pub struct Turn {
    lease: Lease,
}

/// Why there is no turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoTurn {
    /// The provider can't be reached before this has passed.
    Unreachable(Duration),
    /// The app has other credentials now, and another lane.
    Replaced,
}

impl Lane {
    /// No connection is open yet.
    pub fn new(provider: Box<dyn Provider>, connections: Connections, rate: Option<Rate>) -> Self {
        let clock = DefaultClock::default();
        Self {
            provider,
            connections,
            rate: rate.map(|rate| RateLimiter::direct_with_clock(rate.quota(), clock.clone())),
            clock,
            state: Mutex::new(State { paused_until: None, used_at: Instant::now() }),
            replaced: CancellationToken::new(),
        }
    }

    /// Waits for the end of a pause, for a stream, and for the rate. Safe to drop while waiting.
    ///
    /// # Errors
    /// [`NoTurn`]
    pub async fn turn(&self) -> Result<Turn, NoTurn> {
        tokio::select! {
            biased;
            () = self.replaced.cancelled() => Err(NoTurn::Replaced),
            turn = self.wait() => turn,
        }
    }

    async fn wait(&self) -> Result<Turn, NoTurn> {
        loop {
            while let Some(until) = self.pause() {
                tokio::time::sleep_until(until).await;
            }
            let acquired = self.connections.acquire().await;
            let lease = acquired.map_err(|unreachable| NoTurn::Unreachable(unreachable.retry_in))?;
            // Waiting for the rate with a stream in hand keeps the order, and few tasks awake.
            if let Some(rate) = &self.rate {
                while let Err(not_until) = rate.check() {
                    tokio::time::sleep(not_until.wait_time_from(self.clock.now())).await;
                }
            }
            if self.pause().is_none() {
                return Ok(Turn { lease });
            }
        }
    }

    /// Sends a push and waits for its answer. Dropped before that, the push counts as unanswered.
    pub async fn send(&self, turn: Turn, push: &Push, now: UnixMillis) -> Attempt {
        let message = match self.provider.message(push, now) {
            Ok(message) => message,
            Err(unsendable) => return Attempt::Unsendable(unsendable),
        };
        let credential = match self.provider.credential(now).await {
            Ok(credential) => credential,
            Err(error) => {
                event::no_credential(push, &error);
                return Attempt::NoCredential(error);
            }
        };
        let mut headers = message.headers;
        headers.insert(AUTHORIZATION, credential.clone());
        let in_flight = event::InFlight::begin(push.provider);
        let answered = turn.lease.post(&message.path, headers, message.body).await;
        let taken = in_flight.end();
        match answered {
            Ok(answer) => {
                let verdict = self.provider.judge(push, &answer, now);
                event::answered(push, &verdict, taken);
                self.obey(&verdict, &turn.lease, &credential);
                Attempt::Answered(verdict)
            }
            Err(RequestError::NotProcessed(why)) => {
                event::not_processed(push, &why);
                Attempt::NotProcessed
            }
            Err(RequestError::Unanswered(why)) => {
                event::unanswered(push, &why);
                // Whatever swallowed this answer may swallow the next.
                turn.lease.retire();
                Attempt::Unanswered
            }
        }
    }

    /// What a verdict means for the pushes that come after.
    fn obey(&self, verdict: &Verdict, lease: &Lease, credential: &HeaderValue) {
        match verdict.decision {
            Decision::Sent => lease.accepted(),
            Decision::Reconnect(_) => lease.retire(),
            Decision::RenewCredential => self.provider.forget(credential),
            Decision::PauseLane(pause) => {
                let until = Instant::now() + pause.delay(verdict.retry_after, 1, jitter()).min(LONGEST_PAUSE);
                let mut state = self.state();
                state.paused_until = Some(state.paused_until.map_or(until, |before| before.max(until)));
            }
            Decision::Retry(_) | Decision::DropToken | Decision::GiveUp(_) => {}
        }
    }

    fn pause(&self) -> Option<Instant> {
        self.state().paused_until.filter(|until| *until > Instant::now())
    }

    /// Sends those who wait for a turn away: there is another lane now. What is under way ends well.
    pub fn replace(&self) {
        self.replaced.cancel();
    }

    /// Marks it as wanted now.
    pub fn touch(&self) {
        self.state().used_at = Instant::now();
    }

    /// For how long nobody has wanted it.
    pub fn idle_for(&self) -> Duration {
        self.state().used_at.elapsed()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
