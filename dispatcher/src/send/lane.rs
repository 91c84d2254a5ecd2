//! A lane: one app with one provider, its own connections, its own rate, its own breaker.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use geopush_model::{Push, UnixMillis};
use http::HeaderValue;
use http::StatusCode;
use http::header::AUTHORIZATION;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::breaker::Health;
use super::decision::{Decision, Verdict, jitter};
use super::device_limits::DeviceLimits;
use super::event::{self, Meters};
use super::line::{End, InLine, Lease, Line, NoTurn};
use super::provider::{CredentialError, Provider, Unsendable};
use super::rate::Rate;
use super::transport::RequestError;

/// One app with one provider.
pub struct Lane {
    provider: Box<dyn Provider>,
    line: Line,
    devices: Arc<DeviceLimits>,
    /// By which the devices of this lane are told from another's.
    number: u64,
    meters: Arc<Meters>,
    born: Instant,
    /// In ms since it was born.
    used_at: AtomicU64,
    replaced: CancellationToken,
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
    /// It did not go out: the provider is out, and not asked before this has passed.
    Unreachable(Duration),
    /// It did not go out: the device has had what its provider allows it, until this has passed.
    DeviceFull(Duration),
    /// It did not go out: there is no credential.
    NoCredential(CredentialError),
    /// It did not go out, and never can.
    Unsendable(Unsendable),
}

/// A push on its way through a lane, and whoever wants to know what becomes of it.
pub trait Errand: Send + Sync + 'static {
    /// What is sent.
    fn push(&self) -> &Push;

    /// Whether it has left the line.
    fn has_left(&self) -> bool;

    /// Its turn has come: what time it is, if it is still to be sent.
    fn begin(&self) -> Option<UnixMillis>;

    /// What it came to. Called once, unless it left or did not begin.
    fn end(&self, outcome: Outcome);
}

/// What an errand came to.
#[derive(Debug)]
pub enum Outcome {
    /// It was tried, or could not be.
    Tried(Attempt),
    /// The app has other credentials now, and another lane.
    Replaced,
    /// It broke down, as it would again.
    Broken,
}

/// An errand in a lane's line.
struct Standing {
    lane: Arc<Lane>,
    errand: Arc<dyn Errand>,
}

impl InLine for Standing {
    fn has_left(&self) -> bool {
        self.errand.has_left()
    }

    fn go(self: Box<Self>, turn: Result<Lease, NoTurn>) {
        match turn {
            Ok(lease) => lease.carry(|lease| self.run(lease)),
            Err(NoTurn::Out(retry_in)) => self.errand.end(Outcome::Tried(Attempt::Unreachable(retry_in))),
            Err(NoTurn::Replaced) => self.errand.end(Outcome::Replaced),
        }
    }
}

impl Standing {
    async fn run(self: Box<Self>, lease: Lease) {
        let Some(now) = self.errand.begin() else { return };
        // One that breaks down takes nobody along.
        let sent = AssertUnwindSafe(self.lane.send(lease, self.errand.push(), now)).catch_unwind().await;
        self.errand.end(sent.map_or(Outcome::Broken, Outcome::Tried));
    }
}

impl Lane {
    /// A lane of `provider`, whose pushes stand in `line`.
    pub fn new(
        provider: Box<dyn Provider>,
        line: Line,
        devices: Arc<DeviceLimits>,
        meters: Arc<Meters>,
    ) -> Self {
        static LANES: AtomicU64 = AtomicU64::new(0);
        Self {
            provider,
            line,
            devices,
            number: LANES.fetch_add(1, Ordering::Relaxed),
            meters,
            born: Instant::now(),
            used_at: AtomicU64::new(0),
            replaced: CancellationToken::new(),
        }
    }

    /// Sends a push when its turn comes: there is a stream for it, and the rate allows it. That the lane is out is told
    /// at once, to those who wait too: whoever holds the push decides where.
    pub fn carry(self: &Arc<Self>, errand: Arc<dyn Errand>) {
        self.line.stand(Box::new(Standing { lane: Arc::clone(self), errand }));
    }

    async fn send(&self, lease: Lease, push: &Push, now: UnixMillis) -> Attempt {
        let limits = self.provider.device_limits(push);
        if let Err(wait) = self.devices.check(self.number, &push.token, limits, Instant::now()) {
            self.meters.device_full();
            return Attempt::DeviceFull(wait);
        }
        let message = match self.provider.message(push, now) {
            Ok(message) => message,
            Err(unsendable) => return Attempt::Unsendable(unsendable),
        };
        let credential = match self.provider.credential(now).await {
            Ok(credential) => credential,
            Err(error) => {
                event::no_credential(push, &error);
                let health = match &error {
                    CredentialError::Unavailable { retry_after, .. } => Some(Health::Ill(*retry_after)),
                    CredentialError::Refused(_) => None,
                };
                lease.end(End { health, ..End::default() });
                return Attempt::NoCredential(error);
            }
        };
        let mut headers = message.headers;
        if let Some(credential) = &credential {
            headers.insert(AUTHORIZATION, credential.clone());
        }
        let in_flight = self.meters.begin();
        let answered = lease.post(&message.path, headers, message.body).await;
        let taken = in_flight.end();
        let (attempt, end) = match answered {
            Ok(answer) => {
                let verdict = self.provider.judge(push, &answer, now);
                self.meters.answered(push, &verdict, taken);
                let end = self.consequence(&verdict, answer.status, credential.as_ref());
                (Attempt::Answered(verdict), end)
            }
            Err(why @ (RequestError::NotProcessed(_) | RequestError::Closing(_))) => {
                event::not_processed(push, &why);
                let retire = matches!(why, RequestError::Closing(_));
                (Attempt::NotProcessed, End { retire, ..End::default() })
            }
            // Whatever swallowed this answer may swallow the next.
            Err(why @ (RequestError::Unanswered(_) | RequestError::TimedOut(_))) => {
                event::unanswered(push, &why);
                let health = match why {
                    RequestError::TimedOut(_) => Health::Ill(None),
                    _ => Health::Cut,
                };
                (Attempt::Unanswered, End { retire: true, health: Some(health), ..End::default() })
            }
        };
        lease.end(end);
        attempt
    }

    /// What a verdict means for the pushes that come after.
    fn consequence(&self, verdict: &Verdict, status: StatusCode, credential: Option<&HeaderValue>) -> End {
        let failed = || match status {
            _ if status.is_server_error() => Health::Ill(verdict.retry_after),
            _ => Health::Well,
        };
        let well = End { health: Some(Health::Well), ..End::default() };
        match verdict.decision {
            Decision::Sent => End { accepted: true, ..well },
            Decision::Reconnect(_) => End { retire: true, health: Some(failed()), ..well },
            Decision::RenewCredential => {
                if let Some(credential) = credential {
                    self.provider.forget(credential);
                }
                well
            }
            Decision::PauseLane(pause) => {
                End { pause: Some(pause.delay(verdict.retry_after, 1, jitter())), ..well }
            }
            Decision::Retry(pause)
                if status == StatusCode::TOO_MANY_REQUESTS && self.provider.has_shared_quota() =>
            {
                let asked = pause.delay(verdict.retry_after, 1, 0.0);
                End { health: Some(Health::Limited(asked)), ..well }
            }
            Decision::Retry(_) => End { health: Some(failed()), ..well },
            Decision::DropToken | Decision::GiveUp(_) => well,
        }
    }

    /// Holds to another rate from now on; connections, and those who wait, stay.
    pub fn set_rate(&self, rate: Option<Rate>) {
        self.line.set_rate(rate);
    }

    /// Sends those who wait for a turn away: there is another lane now. What is under way ends well.
    pub fn replace(&self) {
        self.replaced.cancel();
        self.line.close();
    }

    /// Is set off when there is another lane for the app: whoever waits until this one is asked again need not.
    pub fn replaced(&self) -> CancellationToken {
        self.replaced.clone()
    }

    /// Closes connections that were not needed of late.
    pub fn shrink(&self) {
        self.line.shrink();
    }

    /// Marks it as wanted now.
    pub fn touch(&self) {
        self.used_at.store(self.born.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    /// Whether it is to be kept: wanted of late, or out, which is not to be forgotten.
    pub fn is_wanted(&self, idle: Duration) -> bool {
        let used_at = Duration::from_millis(self.used_at.load(Ordering::Relaxed));
        self.born.elapsed().saturating_sub(used_at) < idle || self.line.is_out()
    }
}
