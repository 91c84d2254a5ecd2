//! What can happen while sending: each is counted and said in one place. No line holds a token or a message.

use std::time::Duration;

use geopush_model::{Delivery, Outcome, Provider, Push, UnixMillis};
use metrics::{Counter, Gauge, Histogram};
use tokio::time::Instant;

use super::decision::{Decision, Verdict};
use super::provider::CredentialError;
use super::transport::RequestError;

/// The meters of one provider, looked up once: a lane counts several things a push.
pub struct Meters {
    provider: Provider,
    in_flight: Gauge,
    waiting: Gauge,
    connections: Gauge,
    out: Gauge,
    requests: [Counter; CLASSES.len()],
    seconds: Histogram,
    wait_seconds: Histogram,
    device_full: Counter,
}

const CLASSES: [&str; 6] =
    ["accepted", "retry", "dead_token", "credential_refused", "lane_paused", "refused"];

fn class(decision: Decision) -> usize {
    match decision {
        Decision::Sent => 0,
        Decision::Retry(_) | Decision::Reconnect(_) => 1,
        Decision::DropToken => 2,
        Decision::RenewCredential => 3,
        Decision::PauseLane(_) => 4,
        Decision::GiveUp(_) => 5,
    }
}

impl Meters {
    /// Those of a provider.
    pub fn new(provider: Provider) -> Self {
        let name = provider.as_str();
        let request = |outcome| {
            metrics::counter!(
                "geopush_dispatcher_send_requests_total", "provider" => name, "outcome" => outcome
            )
        };
        Self {
            provider,
            in_flight: metrics::gauge!("geopush_dispatcher_send_in_flight_requests", "provider" => name),
            waiting: metrics::gauge!("geopush_dispatcher_send_waiting_pushes", "provider" => name),
            connections: metrics::gauge!("geopush_dispatcher_send_connections", "provider" => name),
            out: metrics::gauge!("geopush_dispatcher_send_lanes_out", "provider" => name),
            requests: CLASSES.map(request),
            seconds: metrics::histogram!("geopush_dispatcher_send_seconds", "provider" => name),
            wait_seconds: metrics::histogram!("geopush_dispatcher_send_wait_seconds", "provider" => name),
            device_full: metrics::counter!("geopush_dispatcher_send_device_full_total", "provider" => name),
        }
    }

    /// A request goes out.
    pub fn begin(&self) -> InFlight<'_> {
        self.in_flight.increment(1.0);
        InFlight { meters: self, since: Instant::now(), ended: false }
    }

    /// The provider answered.
    pub fn answered(&self, push: &Push, verdict: &Verdict, taken: Duration) {
        let class = class(verdict.decision);
        self.requests[class].increment(1);
        self.seconds.record(taken);
        let provider = push.provider.as_str();
        match verdict.decision {
            Decision::Sent => {}
            Decision::PauseLane(pause) => tracing::warn!(
                provider, tenant = %push.tenant, app = push.app, said = verdict.said, ?pause,
                "a provider refuses an app's pushes for now; have the app's keys checked at the provider's console"
            ),
            Decision::GiveUp(reason) => tracing::debug!(
                provider, push = %push.id, said = verdict.said, reason = reason.as_str(), rule = verdict.source,
                "a provider refused a push"
            ),
            _ => tracing::debug!(
                provider, push = %push.id, said = verdict.said, what = CLASSES[class], "answered"
            ),
        }
    }

    /// A push waits for its turn.
    pub fn waiting(&self) -> Held {
        Held::new(&self.waiting)
    }

    /// It has waited.
    pub fn waited(&self, waited: Duration) {
        self.wait_seconds.record(waited);
    }

    /// A connection is open.
    pub fn connection(&self) -> Held {
        Held::new(&self.connections)
    }

    /// A provider could not be reached.
    pub fn connect_failed(&self, error: &std::io::Error, host: &str) {
        metrics::counter!(
            "geopush_dispatcher_send_connect_failures_total", "provider" => self.provider.as_str()
        )
        .increment(1);
        tracing::warn!(
            %error, host,
            "a provider can't be reached and is tried again; if it goes on, check the network and `provider_ca`"
        );
    }

    /// Connections carry nothing new.
    pub fn retired(&self, why: &'static str, count: usize) {
        if count > 0 {
            let provider = self.provider.as_str();
            metrics::counter!(
                "geopush_dispatcher_send_connections_retired_total", "provider" => provider, "why" => why
            )
            .increment(count as u64);
        }
    }

    /// A lane goes out: its provider fails, limits or can't be reached.
    pub fn out(&self, host: &str) -> Held {
        let provider = self.provider.as_str();
        metrics::counter!("geopush_dispatcher_send_outages_total", "provider" => provider).increment(1);
        tracing::warn!(
            provider,
            host,
            "an app's pushes to a provider wait: it fails, refuses or can't be reached; it is tried again by itself"
        );
        Held::new(&self.out)
    }

    /// A device has had what its provider allows it.
    pub fn device_full(&self) {
        self.device_full.increment(1);
    }
}

/// Something that a gauge counts while it is there.
pub struct Held(Gauge);

impl Held {
    fn new(gauge: &Gauge) -> Self {
        gauge.increment(1.0);
        Self(gauge.clone())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

/// A request under way, as the gauge counts it.
pub struct InFlight<'a> {
    meters: &'a Meters,
    since: Instant,
    ended: bool,
}

impl InFlight<'_> {
    /// It has ended: how long it took.
    pub fn end(mut self) -> Duration {
        self.ended = true;
        self.since.elapsed()
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.meters.in_flight.decrement(1.0);
        // Given up with the slice, while its answer was on the way.
        if !self.ended {
            never_seen(self.meters.provider);
        }
    }
}

fn request(provider: Provider, outcome: &'static str) {
    metrics::counter!(
        "geopush_dispatcher_send_requests_total", "provider" => provider.as_str(), "outcome" => outcome
    )
    .increment(1);
}

/// A request that the provider did not look at.
pub fn not_processed(push: &Push, why: &RequestError) {
    request(push.provider, "not_processed");
    tracing::debug!(provider = push.provider.as_str(), push = %push.id, %why, "a connection did not take a push");
}

/// A request whose answer nobody has seen: it will be sent again, and may reach the phone twice.
pub fn unanswered(push: &Push, why: &RequestError) {
    let provider = push.provider.as_str();
    never_seen(push.provider);
    tracing::debug!(provider, push = %push.id, %why, "a push's answer was never seen");
}

/// A request's answer was seen by nobody who could write it down.
pub fn never_seen(provider: Provider) {
    request(provider, "unanswered");
    metrics::counter!("geopush_dispatcher_send_unanswered_total", "provider" => provider.as_str())
        .increment(1);
}

/// A push that an owner before may have sent without writing down its end: nobody knows, so it goes out.
pub fn uncertain(push: &Push) {
    let provider = push.provider.as_str();
    metrics::counter!("geopush_dispatcher_send_uncertain_total", "provider" => provider).increment(1);
    tracing::debug!(provider, push = %push.id, "a push may have been sent before; it is sent, perhaps again");
}

/// An app has no credential to send with.
pub fn no_credential(push: &Push, error: &CredentialError) {
    let (outcome, why) = match error {
        CredentialError::Refused(why) => ("credential_refused", why),
        CredentialError::Unavailable { why, .. } => ("credential_unavailable", why),
    };
    request(push.provider, outcome);
    tracing::debug!(
        provider = push.provider.as_str(), tenant = %push.tenant, app = push.app, why, outcome,
        "an app has no credential to send with"
    );
}

/// A token endpoint refuses an app's key.
pub fn account_refused(project: &str, why: &str) {
    tracing::warn!(project, why, "a service account is refused; have the app's key file uploaded anew");
}

/// A push waits for its next attempt.
pub fn retry(push: &Push, pause: Duration) {
    let provider = push.provider.as_str();
    metrics::counter!("geopush_dispatcher_send_retries_total", "provider" => provider).increment(1);
    tracing::debug!(provider, push = %push.id, ?pause, "a push is tried again");
}

/// The meters of pushes that end, looked up once where nearly all end.
pub struct EndMeters {
    fcm_accepted: Counter,
    apns_accepted: Counter,
    fix_to_accepted: Histogram,
}

impl EndMeters {
    /// Those of this process.
    pub fn new() -> Self {
        Self {
            fcm_accepted: ends(Provider::Fcm, Outcome::Accepted, ""),
            apns_accepted: ends(Provider::Apns, Outcome::Accepted, ""),
            fix_to_accepted: metrics::histogram!("geopush_dispatcher_fix_to_accepted_seconds"),
        }
    }

    /// A push has ended.
    pub fn ended(&self, push: &Push, delivery: &Delivery) {
        let reason = delivery.reason.map_or("", |reason| reason.as_str());
        match (delivery.outcome, push.provider) {
            (Outcome::Accepted, Provider::Fcm) => self.fcm_accepted.increment(1),
            (Outcome::Accepted, Provider::Apns) => self.apns_accepted.increment(1),
            (outcome, provider) => ends(provider, outcome, reason).increment(1),
        }
        if delivery.outcome == Outcome::Accepted
            && let Some(received_at) = push.received_at
        {
            self.fix_to_accepted.record(seconds(delivery.finished_at, received_at));
        }
    }
}

fn ends(provider: Provider, outcome: Outcome, reason: &'static str) -> Counter {
    metrics::counter!(
        "geopush_dispatcher_send_pushes_total",
        "provider" => provider.as_str(), "outcome" => outcome.as_str(), "reason" => reason
    )
}

fn seconds(to: UnixMillis, from: UnixMillis) -> f64 {
    to.since_ms(from).max(0) as f64 / 1000.0
}

/// How many lanes there are.
pub fn lanes(provider: Provider, count: usize) {
    metrics::gauge!("geopush_dispatcher_send_lanes", "provider" => provider.as_str()).set(count as f64);
}

/// A record of the pushes that can't be read.
pub fn rejected(offset: u64, reason: &str) {
    metrics::counter!("geopush_dispatcher_send_rejected_total").increment(1);
    tracing::warn!(offset, reason, "a push could not be read and went to geopush.rejected");
}

/// The log did not take outcomes; they are kept and written again.
pub fn append_failed(error: &geopush_log::AppendError, pause: Duration) {
    metrics::counter!("geopush_dispatcher_send_append_failures_total").increment(1);
    tracing::warn!(%error, ?pause, "outcomes could not be written and are written again; check the log's backend");
}
